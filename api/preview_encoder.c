#include "api/preview_encoder.h"

#include <string.h>

const struct preview_encoder_row preview_encoders[PREVIEW_ENCODER_COUNT] = {
    [PREVIEW_ENCODER_CLIP] = {"image.clip_model", CLIP_MODEL_TYPE, "a CLIPModel"},
    [PREVIEW_ENCODER_DINO] = {"image.dino_model", VIT_MODEL_TYPE, "a ViTModel of DINO's"},
};

enum preview_encoder preview_encoder_find(const char *model_type) {
  int found = 0;
  while (found < PREVIEW_ENCODER_COUNT && (!model_type || strcmp(model_type, preview_encoders[found].model_type) != 0))
    found++;
  return (enum preview_encoder)found;
}

const char *preview_encoder_id(const struct job_spec *spec, enum preview_encoder encoder) {
  return encoder == PREVIEW_ENCODER_CLIP ? spec->image.clip_model : spec->image.dino_model;
}
