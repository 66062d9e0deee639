#include "api/preview_encoder.h"

#include <string.h>

#include "base/attr.h"

const struct preview_encoder_row preview_encoders[PREVIEW_ENCODER_COUNT] = {
    [PREVIEW_ENCODER_CLIP] = {"image.clip_model", {CLIP_MODEL_TYPE}, "a CLIPModel"},
    [PREVIEW_ENCODER_DINO] = {"image.dino_model",
                              {VIT_MODEL_TYPE, DINOV2_MODEL_TYPE},
                              "a ViTModel of DINO's or a Dinov2Model"},
};

enum preview_encoder preview_encoder_find(const char *model_type) {
  for (int i = 0; model_type && i < PREVIEW_ENCODER_COUNT; i++)
    for (size_t t = 0; t < COUNT_OF(preview_encoders[i].model_types) && preview_encoders[i].model_types[t]; t++)
      if (strcmp(model_type, preview_encoders[i].model_types[t]) == 0)
        return (enum preview_encoder)i;
  return PREVIEW_ENCODER_COUNT;
}

const char *preview_encoder_id(const struct job_spec *spec, enum preview_encoder encoder) {
  return encoder == PREVIEW_ENCODER_CLIP ? spec->image.clip_model : spec->image.dino_model;
}
