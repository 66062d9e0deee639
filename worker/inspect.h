/* What a base model is good for: its files are opened as a job would open them, and nothing is trained. */
#ifndef WORKER_INSPECT_H
#define WORKER_INSPECT_H

#include <jansson.h>

#include "base/error.h"

/* A new object in *report:
     architecture (config.json's model_type); tasks, in PEFT's words ["CAUSAL_LM", "SEQ_CLS"]; max_seq_length;
     vocab_size; parameters (numbers in its tensors); layers, as layers_to_transform counts them; target_modules (names
     that an adapter can be put on), default_target_modules, other_modules (names of those that none can be put on),
     not_adapted (that these "cannot be adapted here: ..."); modules [{name, inputs, outputs, count}], one for each name
     and shape;
     of a diffusion pipeline architecture (model_index.json's _class_name) and tasks ["TEXT_TO_IMAGE"], the tokens of a
     prompt as max_seq_length, the modules of its UNet, no layers, and image {size, size_multiple, scheduler}: what a
     picture has where a request does not say it, and what its sides are multiples of;
     of an encoder of pictures (image_metrics.h) architecture, tasks ["IMAGE_FEATURE_EXTRACTION"], parameters and image
     {size}: no job learns with it, previews are measured by it;
     of a language model chat_template: true, with chat_template_refuses {feature (api/chat_feature.h): its words}, or
     false, with chat_template_error.
   A model that no job can use is the error that such a job would end with, and *report is NULL. */
NODISCARD enum status inspect_model(json_t **report, const char *path, struct error *err);

#endif
