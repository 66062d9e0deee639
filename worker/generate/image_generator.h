/* Requests for pictures to one diffusion pipeline and its adapters: what generator.h is for models of text. One picture
   is made at a time, in the order in which they were asked for: a UNet's step has work for all threads. */
#ifndef WORKER_GENERATE_IMAGE_GENERATOR_H
#define WORKER_GENERATE_IMAGE_GENERATOR_H

#include "api/task.h"
#include "worker/backend/backend.h"
#include "worker/generate/generator.h"

struct image_generator;

/* The pipeline at task->model_dir, adapters in task->output_dir: PEFT folders on its UNet. */
NODISCARD enum status image_generator_open(struct image_generator **out, const struct task *task,
                                           struct backend *backend, generator_tell *tell, void *context,
                                           struct error *err);
void image_generator_close(struct image_generator *generator);

/* As generator_hear, generator_busy and generator_step; a step is one of the sampler's. */
void image_generator_hear(struct image_generator *generator, const struct generation_line *line, struct arena *arena,
                          json_t *document);
bool image_generator_busy(const struct image_generator *generator);
NODISCARD enum status image_generator_step(struct image_generator *generator, struct error *err);

#endif
