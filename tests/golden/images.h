/* Reference cases of diffusion pipelines' components: UNet2DConditionModel with an adapter, CLIPTextModel and
   AutoencoderKL. */
#ifndef TESTS_GOLDEN_IMAGES_H
#define TESTS_GOLDEN_IMAGES_H

#include <jansson.h>

#include "tests/golden/reference.h"

/* Is it one of them, by the model of its case.json? */
bool images_is_case(const json_t *about);
/* Compares the case in `folder`, whose io.safetensors is open. */
enum status images_run(struct worst *worst, const char *folder, const json_t *about, struct reference *ref,
                       struct backend *backend, struct error *err);

#endif
