/* How like previews are to the subject and to their prompts (DreamBooth: Ruiz et al., 2023): means of cosines between
   embeddings of encoders that the user supplies. CLIP-T: of a preview and its prompt; CLIP-I and DINO: of each preview
   and each picture of the subject. */
#ifndef WORKER_TRAIN_IMAGE_METRICS_H
#define WORKER_TRAIN_IMAGE_METRICS_H

#include <jansson.h>

#include "api/task.h"
#include "worker/image/image.h"
#include "worker/image/image_processor.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

/* An encoder of pictures, with the sum of the subject's pictures' embeddings. */
struct vision_encoder {
  struct model model; /* backend NULL: there is none */
  struct image_processor processor;
  size_t cols;
  float *pixels, *patches; /* [side][side][3] and the encoder's patches */
  float *embedding;        /* [cols] */
  double *instances;       /* [cols], the sum over instance_count */
  size_t instance_count;
  double similarity; /* sum over the previews */
};

struct image_metrics {
  struct vision_encoder clip, dino;
  struct model text; /* CLIP's */
  struct tokenizer *tokenizer;
  float *prompts; /* [prompt_count][clip.cols] */
  size_t prompt_count;
  double text_similarity;
  size_t previews;
};

enum { IMAGE_METRIC_COUNT = 3 };
extern const char *const image_metric_names[IMAGE_METRIC_COUNT]; /* "valid_clip_t", ... */

/* Is the model at `path` such an encoder? config.json's model_type is looked at alone. */
bool image_encoder_is(const char *path);
/* What it is good for, opened as a job would (inspect.h): a new object in *report. */
NODISCARD enum status image_encoder_inspect(json_t **report, const char *path, struct backend *backend,
                                            struct error *err);
/* Opens the task's clip_dir and dino_dir, either of which may be NULL, and embeds image.validation_prompts.
   STATUS_MODEL_INVALID names image.clip_model or image.dino_model, and the file and member at fault; errors of prompts
   are those of image_metrics_prompts. Empty after a failure. */
NODISCARD enum status image_metrics_open(struct image_metrics *out, const struct task *task, struct backend *backend,
                                         struct error *err);
void image_metrics_close(struct image_metrics *metrics);
/* What previews are compared with, in place of the prompts before; nothing where there is no CLIP model. One that it
   cannot read is STATUS_INVALID_VALUE of `param`. */
NODISCARD enum status image_metrics_prompts(struct image_metrics *metrics, const char *const *prompts, size_t count,
                                            const char *param, struct error *err);
/* Bytes of the models, and of a pass. */
NODISCARD enum status image_metrics_memory(size_t *bytes, const struct image_metrics *metrics, struct error *err);
/* A picture of the subject. */
NODISCARD enum status image_metrics_instance(struct image_metrics *metrics, const struct image *image,
                                             struct error *err);
/* Forgets the previews; then each of a set is added, with the number of its prompt. */
void image_metrics_begin(struct image_metrics *metrics);
NODISCARD enum status image_metrics_preview(struct image_metrics *metrics, const struct image *image, size_t prompt,
                                            struct error *err);
/* Whether that one is measured: there are its encoder and what it compares previews with. Its mean over the previews.
 */
bool image_metrics_has(const struct image_metrics *metrics, int metric);
double image_metrics_value(const struct image_metrics *metrics, int metric);

#endif
