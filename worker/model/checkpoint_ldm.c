#include "worker/model/checkpoint_ldm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char UNET[] = "model.diffusion_model.", VAE[] = "first_stage_model.",
                  CLIP[] = "cond_stage_model.transformer.", OPEN_CLIP[] = "cond_stage_model.model.";

/* What other models' files have a tensor of, by how its name begins. */
static const struct {
  const char *begins, *what;
} others[] = {{"conditioner.embedders.", "Stable Diffusion XL"},
              {"model.diffusion_model.joint_blocks.", "Stable Diffusion 3"},
              {"model.diffusion_model.double_blocks.", "FLUX"},
              {"double_blocks.", "FLUX"},
              {"control_model.", "a ControlNet"},
              {"lora_unet_", "a LoRA adapter, not a base model,"},
              {"unet.", "an adapter in diffusers' names, not a base model,"},
              {"base_model.", "an adapter in PEFT's names, not a base model,"},
              {"down_blocks.", "a UNet in diffusers' names, a part of a pipeline,"}};

static bool begins(const char *name, const char *with) {
  return strncmp(name, with, strlen(with)) == 0;
}

/* The tensors are sorted: the first that is not before `with` begins with it, or none does. */
static bool has_any(const struct safetensors *file, const char *with) {
  size_t low = 0, high = file->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(file->tensors[middle].name, with) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low < file->count && begins(file->tensors[low].name, with);
}

enum status checkpoint_ldm_check(const struct safetensors *file, struct error *err) {
  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (has_any(file, others[i].begins))
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "the file is of %s (it has tensors %s...), which is not supported; Stable Diffusion 1.x and 2.x "
                       "are",
                       others[i].what, others[i].begins);
  const struct st_tensor *conv = safetensors_find(file, "model.diffusion_model.input_blocks.0.0.weight");
  if (!conv || conv->rank != 4)
    return error_set(
        err, STATUS_MODEL_INVALID, "model",
        "the file has no convolution model.diffusion_model.input_blocks.0.0.weight: it is no checkpoint of "
        "Stable Diffusion 1.x or 2.x");
  if (conv->shape[1] == 9 || conv->shape[1] == 8)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "the UNet reads %lld channels: it is made for %s, which is not supported; those that read 4 are",
                     (long long)conv->shape[1], conv->shape[1] == 9 ? "inpainting" : "editing by instructions");
  return STATUS_OK;
}

/* A component in the making. */
struct translation {
  const char *component, *prefix; /* its name, and of its tensors */
  size_t layers, levels;
  struct st_tensor *tensors;
  size_t count;
  struct arena *arena;
};

/* What trainers keep beside a component's weights, and the text encoder's parts that no UNet reads. */
static bool is_idle(const struct translation *t, const char *name) {
  if (t->prefix == OPEN_CLIP)
    return strcmp(name, "text_projection") == 0 || strcmp(name, "logit_scale") == 0 || strcmp(name, "attn_mask") == 0;
  return t->prefix == VAE && (begins(name, "loss.") || begins(name, "model_ema."));
}

static bool add(struct translation *t, const struct st_tensor *from, const char *name) {
  struct st_tensor *tensor = &t->tensors[t->count];
  *tensor = *from;
  tensor->name = arena_string(t->arena, name);
  t->count += tensor->name != NULL;
  return tensor->name != NULL;
}

/* q, k and v of PyTorch's MultiheadAttention are rows of one tensor. */
static enum status split(struct translation *t, const struct st_tensor *from, const char *name, const char *kind,
                         struct error *err) {
  static const char *const thirds[] = {"q_proj", "k_proj", "v_proj"};
  size_t parent = strlen(name) - strlen(kind);
  struct st_tensor part = *from;
  char each[LDM_NAME_BYTES + 8];
  if (from->rank < 1 || from->shape[0] % 3)
    return error_set(err, STATUS_MODEL_INVALID, "model", "tensor %s%s is not q, k and v in one", t->prefix, name);
  part.shape[0] /= 3;
  part.length /= 3;
  for (size_t i = 0; i < COUNT_OF(thirds); i++) {
    part.bytes = from->bytes + i * part.length;
    snprintf(each, sizeof each, "%.*s%s.%s", (int)parent, name, thirds[i], kind);
    if (!add(t, &part, each))
      return error_no_memory(err, "a checkpoint's tables");
  }
  return STATUS_OK;
}

static enum status translate(struct translation *t, const struct st_tensor *from, struct error *err) {
  const char *name = from->name + strlen(t->prefix), *third = NULL;
  char out[LDM_NAME_BYTES];
  bool known = t->prefix == UNET   ? checkpoint_ldm_unet_name(out, name, t->layers)
               : t->prefix == VAE  ? checkpoint_ldm_vae_name(out, name, t->levels)
               : t->prefix == CLIP ? snprintf(out, sizeof out, "%s", name) < (int)sizeof out
                                   : checkpoint_ldm_open_clip_name(out, name, &third);
  if (third)
    return split(t, from, out, third, err);
  if (known)
    return add(t, from, out) ? STATUS_OK : error_no_memory(err, "a checkpoint's tables");
  return is_idle(t, name) ? STATUS_OK
                          : error_set(err, STATUS_MODEL_INVALID, "model",
                                      "the file has a tensor %.120s, which has no place in the %s of its config",
                                      from->name, t->component);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

/* A member that counts something, whatever else it may be: what is wrong with it is said where the component is made.
 */
static size_t count_of(const json_t *value, size_t fallback) {
  return json_is_integer(value) && json_integer_value(value) > 0 ? (size_t)json_integer_value(value) : fallback;
}

enum status checkpoint_ldm_translate(struct checkpoint *c, const char *name, struct error *err) {
  struct safetensors *file = &c->tensors;
  const char *text = has_any(file, OPEN_CLIP) ? OPEN_CLIP : CLIP;
  struct translation t = {.component = name,
                          .prefix = strcmp(name, "unet") == 0  ? UNET
                                    : strcmp(name, "vae") == 0 ? VAE
                                                               : text,
                          .layers = count_of(json_object_get(c->config, "layers_per_block"), 2),
                          .levels = json_array_size(json_object_get(c->config, "block_out_channels")),
                          .arena = &c->arena};
  if (!has_any(file, t.prefix))
    return error_set(err, STATUS_MODEL_INVALID, "model", "the file has no tensors %s...: the %s is missing", t.prefix,
                     name);
  t.tensors = arena_array(&c->arena, 3 * file->count, sizeof *t.tensors);
  enum status status = t.tensors ? STATUS_OK : error_no_memory(err, "a checkpoint's tables");
  for (size_t i = 0; !status && i < file->count; i++)
    if (begins(file->tensors[i].name, t.prefix))
      status = translate(&t, &file->tensors[i], err);
  if (status)
    return status;
  qsort(t.tensors, t.count, sizeof *t.tensors, by_name);
  file->tensors = t.tensors;
  file->count = t.count;
  return STATUS_OK;
}
