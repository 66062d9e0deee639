/* Encoders that previews of pictures are measured with: the member of a job that names one, and which models serve. */
#ifndef API_PREVIEW_ENCODER_H
#define API_PREVIEW_ENCODER_H

#include "api/job.h"

enum preview_encoder { PREVIEW_ENCODER_CLIP, PREVIEW_ENCODER_DINO, PREVIEW_ENCODER_COUNT };

/* Transformers' model_type of such models; a worker reports it as their architecture. */
#define CLIP_MODEL_TYPE "clip"
#define VIT_MODEL_TYPE "vit"
#define DINOV2_MODEL_TYPE "dinov2"

struct preview_encoder_row {
  const char *param;          /* "image.clip_model" */
  const char *model_types[2]; /* the second may be NULL */
  const char *words;          /* "a CLIPModel" */
};
extern const struct preview_encoder_row preview_encoders[PREVIEW_ENCODER_COUNT];

/* PREVIEW_ENCODER_COUNT: of no encoder, or NULL. */
enum preview_encoder preview_encoder_find(const char *model_type);
/* The id of the model that the job names; NULL: none. */
const char *preview_encoder_id(const struct job_spec *spec, enum preview_encoder encoder);

#endif
