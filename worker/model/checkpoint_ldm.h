/* A single-file checkpoint of Stable Diffusion 1.x or 2.x (api/single_file.h) seen as the components that diffusers
   would have made of it: their configs, and their tensors by diffusers' and Transformers' names. */
#ifndef WORKER_MODEL_CHECKPOINT_LDM_H
#define WORKER_MODEL_CHECKPOINT_LDM_H

#include "worker/model/checkpoint.h"

/* In checkpoint_ldm_names.c: the name of a tensor of a component (without the component's prefix) in diffusers, into
   out. False: it is none that this component has. layers: the UNet's layers_per_block; levels: of the VAE. */
enum { LDM_NAME_BYTES = 320 };
bool checkpoint_ldm_unet_name(char out[LDM_NAME_BYTES], const char *name, size_t layers);
bool checkpoint_ldm_vae_name(char out[LDM_NAME_BYTES], const char *name, size_t levels);
/* Of open_clip's text encoder, which 2.x has. *third is set where the tensor is q, k and v in one: the name is that of
   their parent, and of "weight" or "bias". */
bool checkpoint_ldm_open_clip_name(char out[LDM_NAME_BYTES], const char *name, const char **third);

/* Is the open file of Stable Diffusion 1.x or 2.x? STATUS_MODEL_INVALID names what it is of instead. */
NODISCARD enum status checkpoint_ldm_check(const struct safetensors *file, struct error *err);
/* In checkpoint_ldm_config.c: the config of the component `name` ("unet", "vae", "text_encoder", "scheduler") where
   there is none beside the file, by the version that the width of the UNet's cross attention tells (768: 1.x, 1024:
   2.x). The caller owns *out. STATUS_MODEL_INVALID: another width; and the scheduler of 2.x, since neither names nor
   shapes tell what its UNet predicts. */
NODISCARD enum status checkpoint_ldm_config(json_t **out, const struct safetensors *file, const char *name,
                                            struct error *err);
/* Makes the tensors of the open file those of the component alone, under diffusers' names, where they lie.
   STATUS_MODEL_INVALID names a tensor that the component does not know, or says that it has none. */
NODISCARD enum status checkpoint_ldm_translate(struct checkpoint *checkpoint, const char *name, struct error *err);

#endif
