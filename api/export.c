/* The formats of `exports`. */
#include <stdio.h>
#include <string.h>

#include "api/job.h"

static const char *const type_names[] = {[EXPORT_TYPE_NONE] = "",
                                         [EXPORT_TYPE_F32] = "f32",
                                         [EXPORT_TYPE_F16] = "f16",
                                         [EXPORT_TYPE_BF16] = "bf16",
                                         [EXPORT_TYPE_Q8_0] = "q8_0"};

#define TYPE(name) (1u << EXPORT_TYPE_##name)
static const struct {
  const char *name;
  unsigned types;         /* bit i: enum export_type i */
  enum export_type usual; /* where a name says none */
  bool low_rank;          /* of methods whose adapter is exactly a LoRA */
  bool adapter_alone;     /* it has no place for what is trained in full */
  bool language, image;   /* of language models, of image models */
} formats[EXPORT_FORMAT_COUNT] = {
    [EXPORT_PEFT] = {.name = "peft", .types = TYPE(NONE)},
    [EXPORT_LORA] = {.name = "lora", .types = TYPE(NONE), .low_rank = true},
    [EXPORT_MERGED] = {.name = "merged", .types = TYPE(F32) | TYPE(F16) | TYPE(BF16), .usual = EXPORT_TYPE_BF16},
    [EXPORT_GGUF] = {.name = "gguf",
                     .types = TYPE(F16) | TYPE(BF16) | TYPE(Q8_0),
                     .usual = EXPORT_TYPE_F16,
                     .language = true},
    [EXPORT_GGUF_LORA] =
        {.name = "gguf-lora", .types = TYPE(NONE), .low_rank = true, .adapter_alone = true, .language = true},
    [EXPORT_DIFFUSERS_LORA] =
        {.name = "diffusers-lora", .types = TYPE(NONE), .low_rank = true, .adapter_alone = true, .image = true},
    [EXPORT_KOHYA_LORA] =
        {.name = "kohya-lora", .types = TYPE(NONE), .low_rank = true, .adapter_alone = true, .image = true},
};
#undef TYPE

bool export_parse(struct export_choice *out, const char *text) {
  const char *colon = strchr(text, ':');
  size_t length = colon ? (size_t)(colon - text) : strlen(text);
  for (int f = 0; f < EXPORT_FORMAT_COUNT; f++) {
    if (strlen(formats[f].name) != length || memcmp(formats[f].name, text, length) != 0)
      continue;
    out->format = (enum export_format)f;
    out->type = formats[f].usual;
    if (!colon)
      return true;
    for (size_t t = 1; t < COUNT_OF(type_names); t++)
      if (strcmp(type_names[t], colon + 1) == 0) {
        out->type = (enum export_type)t;
        return formats[f].types >> t & 1;
      }
    return false;
  }
  return false;
}

void export_name(char out[EXPORT_NAME_MAX], struct export_choice choice) {
  snprintf(out, EXPORT_NAME_MAX, "%s%s%s", formats[choice.format].name, choice.type ? ":" : "",
           type_names[choice.type]);
}

/* Can this adapter be written in the format? */
static bool supported(struct export_choice choice, const struct adapter_spec *adapter, size_t index,
                      struct fault_list *faults) {
  bool low_rank = adapter_spec_low_rank(adapter);
  bool tokens = adapter->peft_type == PEFT_LORA && adapter->lora.trainable_token_indices.count > 0;
  bool in_full = adapter->modules_to_save.count > 0 || adapter->bias != BIAS_NONE || tokens;
  if (formats[choice.format].adapter_alone && in_full && low_rank) {
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
              "item %zu of exports: %s has no place for what is trained in full (%s); \"merged\" has it", index,
              formats[choice.format].name,
              adapter->modules_to_save.count ? "modules_to_save"
              : tokens                       ? "trainable_token_indices"
                                             : "bias");
    return false;
  }
  if (!formats[choice.format].low_rank || low_rank)
    return true;
  fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
            "item %zu of exports: %s has no low-rank form, so no LoRA equals it; \"merged\" and \"gguf\" are exact",
            index, adapter_spec_name(adapter));
  return false;
}

/* What a format is for that this model is not; NULL: nothing. */
static const char *other_model(enum export_format format, enum export_model model) {
  if (formats[format].language && (model == EXPORT_MODEL_TEXT || model == EXPORT_MODEL_IMAGE))
    return "language models";
  return formats[format].image && (model == EXPORT_MODEL_TEXT || model == EXPORT_MODEL_LANGUAGE) ? "image models"
                                                                                                 : NULL;
}

void job_exports_judge(const struct string_list *exports, enum export_model model, struct fault_list *faults) {
  static const char *const words[] = {[EXPORT_MODEL_LANGUAGE] = "a language model",
                                      [EXPORT_MODEL_TEXT] = "a classifier or an encoder",
                                      [EXPORT_MODEL_IMAGE] = "an image model"};
  for (size_t i = 0; i < exports->count; i++) {
    struct export_choice choice;
    CHECK(export_parse(&choice, exports->item[i]));
    const char *other = other_model(choice.format, model);
    if (other)
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
                "exports: \"%s\" is for %s, and this one is %s; \"merged\" is exact", exports->item[i], other,
                words[model]);
  }
}

void job_exports_settle(struct string_list *exports, const struct adapter_spec *adapter, struct arena *arena,
                        struct fault_list *faults) {
  struct string_list given = *exports;
  *exports = (struct string_list){.count = 1, .item = arena_array(arena, given.count + 1, sizeof *exports->item)};
  if (!exports->item) {
    fault_add(faults, STATUS_OUT_OF_MEMORY, "exports", "exports does not fit into memory");
    exports->count = 0;
    return;
  }
  exports->item[0] = "peft";
  for (size_t i = 0; i < given.count; i++) {
    struct export_choice choice;
    char name[EXPORT_NAME_MAX];
    if (!export_parse(&choice, given.item[i])) {
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
                "item %zu of exports must be peft, lora, merged[:f32|f16|bf16], gguf[:f16|bf16|q8_0], gguf-lora, "
                "diffusers-lora or kohya-lora",
                i);
      continue;
    }
    if (!supported(choice, adapter, i, faults))
      continue;
    export_name(name, choice);
    bool seen = false;
    for (size_t j = 0; j < exports->count && !seen; j++)
      seen = strcmp(exports->item[j], name) == 0;
    const char *copy = seen ? NULL : arena_string(arena, name);
    if (copy)
      exports->item[exports->count++] = copy;
    else if (!seen)
      fault_add(faults, STATUS_OUT_OF_MEMORY, "exports", "exports does not fit into memory");
  }
}

json_t *export_formats_json(void) {
  json_t *out = json_array();
  for (int f = 0; out && f < EXPORT_FORMAT_COUNT; f++) {
    json_t *types = json_array();
    for (size_t t = 1; t < COUNT_OF(type_names); t++)
      if (formats[f].types >> t & 1)
        json_array_append_new(types, json_string(type_names[t]));
    json_t *usual = formats[f].usual ? json_string(type_names[formats[f].usual]) : json_null();
    json_t *row = json_pack("{ss so so sb sb sb sb}", "name", formats[f].name, "types", types, "default_type", usual,
                            "always", f == EXPORT_PEFT, "needs_exact_lora", formats[f].low_rank, "needs_language_model",
                            formats[f].language, "needs_image_model", formats[f].image);
    if (json_array_append_new(out, row) != 0) {
      json_decref(out);
      return NULL;
    }
  }
  return out;
}
