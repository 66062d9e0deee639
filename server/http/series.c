#include "server/http/series.h"

#include <math.h>
#include <string.h>

/* What is no metric but the place of one. */
static bool is_place(const char *name) {
  return strcmp(name, "step") == 0 || strcmp(name, "total_steps") == 0;
}

static struct series *find(struct series_list *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->item[i].name, name) == 0)
      return &list->item[i];
  return NULL;
}

static enum status add(struct series_list *list, const char *name, size_t length, size_t points, struct arena *arena,
                       struct error *err) {
  if (list->count == SERIES_MAX)
    return error_set(err, STATUS_INVALID_VALUE, "names", "there are more than %d series", SERIES_MAX);
  struct series *series = &list->item[list->count];
  *series = (struct series){.name = arena_copy(arena, name, length),
                            .step = arena_array(arena, points + 1, sizeof *series->step),
                            .value = arena_array(arena, points + 1, sizeof *series->value)};
  if (!series->name || !series->step || !series->value)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading metrics");
  list->count++;
  return STATUS_OK;
}

static enum status add_named(struct series_list *list, const char *names, size_t points, struct arena *arena,
                             struct error *err) {
  enum status status = STATUS_OK;
  for (const char *at = names; !status && *at; at += *at == ',') {
    size_t length = strcspn(at, ",");
    if (length == 0)
      return error_set(err, STATUS_INVALID_VALUE, "names", "names has an empty name");
    status = add(list, at, length, points, arena, err);
    if (!status && find(list, list->item[list->count - 1].name) != &list->item[list->count - 1])
      list->count--; /* said twice */
    at += length;
  }
  return status;
}

static void put(struct series *series, int64_t step, double value) {
  if (series->count > 0 && series->step[series->count - 1] == step)
    return;
  series->least = series->count == 0 ? value : fmin(series->least, value);
  series->most = series->count == 0 ? value : fmax(series->most, value);
  series->last = value;
  series->step[series->count] = step;
  series->value[series->count++] = value;
}

enum status series_read(struct series_list *out, const struct metrics_row *rows, size_t count, const char *names,
                        struct arena *arena, struct error *err) {
  out->count = 0;
  enum status status = names ? add_named(out, names, count, arena, err) : STATUS_OK;
  for (size_t i = 0; !status && i < count; i++) {
    AUTO(json_release) json_t *data = NULL;
    const char *name;
    json_t *value;
    if (!rows[i].data || json_parse(&data, rows[i].data, strlen(rows[i].data), NULL, NULL))
      continue;
    json_object_foreach(data, name, value) {
      if (status || !json_is_number(value) || is_place(name))
        continue;
      struct series *series = find(out, name);
      if (!series && !names && out->count < SERIES_MAX) {
        status = add(out, name, strlen(name), count, arena, err);
        series = status ? NULL : &out->item[out->count - 1];
      }
      if (series)
        put(series, rows[i].step, json_number_value(value));
    }
  }
  for (size_t i = 0; i < out->count; i++)
    out->item[i].whole = out->item[i].count;
  return status;
}

/* Moves the point to the place of the next one that is kept. */
static void keep(struct series *series, size_t *kept, size_t at) {
  series->step[*kept] = series->step[at];
  series->value[(*kept)++] = series->value[at];
}

void series_thin(struct series *series, size_t points) {
  size_t count = series->count, kept = 1;
  CHECK(points >= SERIES_POINTS_MIN);
  if (count <= points)
    return;
  size_t parts = (points - 2) / 2, inner = count - 2;
  for (size_t part = 0; part < parts; part++) {
    size_t low = 1 + part * inner / parts, end = 1 + (part + 1) * inner / parts, high = low;
    size_t first = low;
    for (size_t i = first; i < end; i++) {
      low = series->value[i] < series->value[low] ? i : low;
      high = series->value[i] > series->value[high] ? i : high;
    }
    keep(series, &kept, low < high ? low : high);
    if (low != high)
      keep(series, &kept, low < high ? high : low);
  }
  keep(series, &kept, count - 1);
  series->count = kept;
}

/* ---- as text ---- */

static bool begins(const char *name, const char *with) {
  return strncmp(name, with, strlen(with)) == 0;
}

static const char *kind_of(const char *name) {
  if (begins(name, "train_"))
    return "train";
  if (begins(name, "valid_"))
    return "validation";
  if (begins(name, "adapter_"))
    return "adapter";
  return strcmp(name, "learning_rate") == 0 || strcmp(name, "grad_norm") == 0 ? "optimizer" : "run";
}

static const char *unit_of(const char *name) {
  if (begins(name, "adapter_angle"))
    return "rad";
  return strcmp(name, "tokens_per_second") == 0 ? "tokens/s" : NULL;
}

json_t *series_json(const struct series *series) {
  json_t *steps = json_array(), *values = json_array();
  int bad = 0;
  for (size_t i = 0; i < series->count; i++) {
    bad |= json_array_append_new(steps, json_integer(series->step[i]));
    bad |= json_array_append_new(values, json_real(series->value[i]));
  }
  bool any = series->whole > 0;
  json_t *out =
      json_pack("{s:s, s:s, s:s?, s:I, s:o, s:o, s:o, s:o, s:o}", "name", series->name, "kind", kind_of(series->name),
                "unit", unit_of(series->name), "count", (json_int_t)series->whole, "min",
                any ? json_real(series->least) : json_null(), "max", any ? json_real(series->most) : json_null(),
                "last", any ? json_real(series->last) : json_null(), "steps", steps, "values", values);
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}

void series_csv(struct str *out, const struct series_list *list) {
  size_t at[SERIES_MAX] = {0};
  str_puts(out, "step");
  for (size_t i = 0; i < list->count; i++) {
    str_putc(out, ',');
    str_csv(out, list->item[i].name);
  }
  str_puts(out, "\r\n");
  for (;;) {
    int64_t step = INT64_MAX;
    bool any = false;
    for (size_t i = 0; i < list->count; i++)
      if (at[i] < list->item[i].count) {
        any = true;
        step = list->item[i].step[at[i]] < step ? list->item[i].step[at[i]] : step;
      }
    if (!any)
      return;
    str_printf(out, "%lld", (long long)step);
    for (size_t i = 0; i < list->count; i++) {
      const struct series *series = &list->item[i];
      bool here = at[i] < series->count && series->step[at[i]] == step;
      str_putc(out, ',');
      if (here)
        str_printf(out, "%.15g", series->value[at[i]++]);
    }
    str_puts(out, "\r\n");
  }
}
