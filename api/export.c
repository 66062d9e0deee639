/* The formats of `exports`. */
#include <stdio.h>
#include <string.h>

#include "api/job.h"

static const char *const format_names[EXPORT_FORMAT_COUNT] = {[EXPORT_PEFT] = "peft",
                                                              [EXPORT_LORA] = "lora",
                                                              [EXPORT_MERGED] = "merged",
                                                              [EXPORT_GGUF] = "gguf",
                                                              [EXPORT_GGUF_LORA] = "gguf-lora"};
static const char *const type_names[] = {[EXPORT_TYPE_NONE] = "",
                                         [EXPORT_TYPE_F32] = "f32",
                                         [EXPORT_TYPE_F16] = "f16",
                                         [EXPORT_TYPE_BF16] = "bf16",
                                         [EXPORT_TYPE_Q8_0] = "q8_0"};

/* Which element types a format can have; bit i: enum export_type i. */
static unsigned types_of(enum export_format format) {
  unsigned half = 1u << EXPORT_TYPE_F16 | 1u << EXPORT_TYPE_BF16;
  switch (format) {
  case EXPORT_MERGED: return half | 1u << EXPORT_TYPE_F32;
  case EXPORT_GGUF: return half | 1u << EXPORT_TYPE_Q8_0;
  case EXPORT_PEFT:
  case EXPORT_LORA:
  case EXPORT_GGUF_LORA: return 1u << EXPORT_TYPE_NONE;
  case EXPORT_FORMAT_COUNT: break;
  }
  CHECK(!"a format");
}

bool export_parse(struct export_choice *out, const char *text) {
  const char *colon = strchr(text, ':');
  size_t length = colon ? (size_t)(colon - text) : strlen(text);
  for (int f = 0; f < EXPORT_FORMAT_COUNT; f++) {
    if (strlen(format_names[f]) != length || memcmp(format_names[f], text, length) != 0)
      continue;
    out->format = (enum export_format)f;
    out->type = f == EXPORT_MERGED ? EXPORT_TYPE_BF16 : f == EXPORT_GGUF ? EXPORT_TYPE_F16 : EXPORT_TYPE_NONE;
    if (!colon)
      return true;
    for (size_t t = 1; t < COUNT_OF(type_names); t++)
      if (strcmp(type_names[t], colon + 1) == 0) {
        out->type = (enum export_type)t;
        return types_of(out->format) >> t & 1;
      }
    return false;
  }
  return false;
}

void export_name(char out[EXPORT_NAME_MAX], struct export_choice choice) {
  snprintf(out, EXPORT_NAME_MAX, "%s%s%s", format_names[choice.format], choice.type ? ":" : "",
           type_names[choice.type]);
}

/* Can this adapter be written in the format? */
static bool supported(struct export_choice choice, const struct adapter_spec *adapter, size_t index,
                      struct fault_list *faults) {
  bool needs_low_rank = choice.format == EXPORT_LORA || choice.format == EXPORT_GGUF_LORA;
  const struct method *method = method_of(adapter->peft_type);
  bool in_full = adapter->modules_to_save.count > 0 || adapter->bias != BIAS_NONE;
  if (choice.format == EXPORT_GGUF_LORA && in_full && method->low_rank) {
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
              "item %zu of exports: a GGUF LoRA has no place for what is trained in full (%s); \"gguf\" and \"merged\" "
              "have it",
              index, adapter->modules_to_save.count ? "modules_to_save" : "bias");
    return false;
  }
  if (!needs_low_rank || method->low_rank)
    return true;
  fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
            "item %zu of exports: %s has no low-rank form, so no LoRA equals it; \"merged\" and \"gguf\" are exact",
            index, method->peft_type);
  return false;
}

void job_exports_judge(const struct string_list *exports, bool gguf_base, bool classifier, struct fault_list *faults) {
  for (size_t i = 0; i < exports->count; i++) {
    struct export_choice choice;
    CHECK(export_parse(&choice, exports->item[i]));
    bool gguf = choice.format == EXPORT_GGUF, lora = choice.format == EXPORT_GGUF_LORA;
    if (classifier && (gguf || lora))
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
                "exports: \"%s\" is for language models, and this one is a classifier; \"merged\" is exact",
                exports->item[i]);
    else if (gguf && !gguf_base)
      fault_add(faults, STATUS_UNSUPPORTED_VALUE, "exports",
                "exports: \"%s\" needs a base that is a GGUF file; \"merged\" is exact, and llama.cpp's "
                "convert_hf_to_gguf.py reads it",
                exports->item[i]);
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
                "item %zu of exports must be peft, lora, merged[:f32|f16|bf16], gguf[:f16|bf16|q8_0] or gguf-lora", i);
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
