#include "worker/train/telemetry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/event.h"

/* The numbers over all modules. */
static const struct {
  const char *name;
  size_t offset;
} numbers[] = {{"adapter_angle", offsetof(struct telemetry, mean.angle)},
               {"adapter_angle_max", offsetof(struct telemetry, angle_max)},
               {"adapter_defect", offsetof(struct telemetry, mean.defect)},
               {"adapter_defect_max", offsetof(struct telemetry, mean.defect_max)}};

static double number(const struct telemetry *t, size_t i) {
  double value;
  memcpy(&value, (const char *)t + numbers[i].offset, sizeof value);
  return value;
}

enum status telemetry_init(struct telemetry *t, const struct model *model, struct error *err) {
  *t = (struct telemetry){.model = model};
  if (model->adapter_count == 0 || !model->adapters[0]->ops->telemetry)
    return STATUS_OK;
  t->module = calloc(model->adapter_count, sizeof *t->module);
  if (!t->module)
    return error_no_memory(err, "the telemetry");
  t->count = model->adapter_count;
  return STATUS_OK;
}

void telemetry_done(struct telemetry *t) {
  free(t->module);
  *t = (struct telemetry){0};
}

enum status telemetry_measure(struct telemetry *t, struct learner *learner, struct error *err) {
  enum status status = t->count ? learner_factors(learner, err) : STATUS_OK;
  if (status || t->count == 0)
    return status;
  t->mean = (struct adapter_telemetry){0};
  t->angle_max = 0;
  for (size_t i = 0; i < t->count; i++) {
    struct adapter_telemetry *one = &t->module[i];
    t->model->adapters[i]->ops->telemetry(t->model->adapters[i], one);
    t->mean.angle += one->angle / (double)t->count;
    t->mean.defect += one->defect / (double)t->count;
    t->mean.defect_max = fmax(t->mean.defect_max, one->defect_max);
    t->angle_max = fmax(t->angle_max, one->angle);
  }
  return STATUS_OK;
}

void telemetry_set(const struct telemetry *t, json_t *data) {
  for (size_t i = 0; t->count && i < COUNT_OF(numbers); i++)
    json_object_set_new(data, numbers[i].name, json_real(number(t, i)));
}

void telemetry_csv_names(struct str *csv) {
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    str_printf(csv, ",%s", numbers[i].name);
}

void telemetry_csv(const struct telemetry *t, bool measured, struct str *csv) {
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    if (measured && t->count)
      str_printf(csv, ",%.9g", number(t, i));
    else
      str_putc(csv, ',');
}

/* Six digits show any change: a line has room for the numbers of hundreds of modules. What is not finite is null. */
static json_t *shown(double value) {
  char text[32];
  snprintf(text, sizeof text, "%.6g", value);
  return isfinite(value) ? json_real(strtod(text, NULL)) : json_null();
}

/* Bytes of the longest text of such a list. */
static size_t bytes_of(const struct telemetry *t) {
  enum { FRAME = 256, NUMBER = 14, QUOTES = 3 };
  size_t bytes = FRAME;
  for (size_t i = 0; i < t->count; i++)
    bytes += strlen(t->model->adapters[i]->linear->name) + QUOTES + (size_t)2 * NUMBER;
  return bytes;
}

json_t *telemetry_by_module(const struct telemetry *t, int64_t step) {
  if (t->count == 0 || bytes_of(t) > EVENT_LINE_MAX)
    return NULL;
  json_t *modules = json_array(), *angle = json_array(), *defect = json_array();
  for (size_t i = 0; i < t->count; i++) {
    json_array_append_new(modules, json_string(t->model->adapters[i]->linear->name));
    json_array_append_new(angle, shown(t->module[i].angle));
    json_array_append_new(defect, shown(t->module[i].defect));
  }
  return json_pack("{s:I s:o s:o s:o}", "step", (json_int_t)step, "modules", modules, "angle", angle, "defect", defect);
}
