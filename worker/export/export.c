#include "worker/export/export.h"

#include "worker/export/export_formats.h"

static enum status write_one(const struct export *e, struct export_choice choice, struct error *err) {
  switch (choice.format) {
  case EXPORT_PEFT: return STATUS_OK; /* always there */
  case EXPORT_LORA: return export_lora(e, err);
  case EXPORT_MERGED: return export_merged(e, choice.type, err);
  case EXPORT_GGUF: return export_gguf(e, choice.type, err);
  case EXPORT_GGUF_LORA: return export_gguf_lora(e, err);
  case EXPORT_DIFFUSERS_LORA: return export_diffusers_lora(e, err);
  case EXPORT_KOHYA_LORA: return export_kohya_lora(e, err);
  case EXPORT_FORMAT_COUNT: break;
  }
  CHECK(!"a format");
}

static enum status parse(struct export_choice *out, const char *format, struct error *err) {
  return export_parse(out, format)
             ? STATUS_OK
             : error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "exports: \"%.40s\" is no format", format);
}

enum status export_check(const struct export *e, const struct string_list *formats, struct error *err) {
  enum status status = STATUS_OK;
  bool gguf = false; /* checked: its types do not differ in what they refuse */
  for (size_t i = 0; !status && i < formats->count; i++) {
    struct export_choice choice;
    status = parse(&choice, formats->item[i], err);
    if (status || gguf || choice.format != EXPORT_GGUF)
      continue;
    gguf = true;
    status = export_gguf_check(e, err);
    if (status)
      error_prefix(err, "export %s", formats->item[i]);
  }
  return status;
}

enum status export_formats(const struct export *e, const struct string_list *formats, struct error *err) {
  struct model *m = e->model;
  enum status status = adapter_forward_factors(m->adapters, m->adapter_count, m->backend, err);
  status = status ? status : parameter_download(&m->parameters, err);
  for (size_t i = 0; !status && i < formats->count; i++) {
    struct export_choice choice;
    status = parse(&choice, formats->item[i], err);
    if (status)
      return status;
    status = write_one(e, choice, err);
    if (status)
      error_prefix(err, "export %s", formats->item[i]);
    else
      status = report_poll(e->report, err);
  }
  return status;
}
