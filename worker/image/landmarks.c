#include "worker/image/landmarks.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"

static enum status read_point(double out[2], const json_t *point, size_t number, struct error *err) {
  if (json_array_size(point) != 2)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "point %zu must be a list [x, y], not %s", number,
                     json_is_array(point) ? "a list of another length" : json_kind(point));
  for (size_t axis = 0; axis < 2; axis++) {
    const json_t *value = json_array_get(point, axis);
    if (!json_is_number(value))
      return error_set(err, STATUS_DATASET_INVALID, NULL, "point %zu: %c must be a number, not %s", number,
                       axis ? 'y' : 'x', json_kind(value));
    out[axis] = json_number_value(value);
    if (!(fabs(out[axis]) <= LANDMARKS_COORDINATE_MAX))
      return error_set(err, STATUS_DATASET_INVALID, NULL, "point %zu: %c is %g; pixels from -%d to %d are read", number,
                       axis ? 'y' : 'x', out[axis], LANDMARKS_COORDINATE_MAX, LANDMARKS_COORDINATE_MAX);
  }
  return STATUS_OK;
}

static enum status read_points(struct landmarks *out, const json_t *list, struct error *err) {
  const size_t count = json_array_size(list);
  if (!json_is_array(list) && !json_is_null(list))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "landmarks must be a list of [x, y], not %s", json_kind(list));
  if (count == 0)
    return STATUS_OK;
  out->points = malloc(2 * count * sizeof *out->points);
  if (!out->points)
    return error_no_memory(err, "landmarks");
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < count; i++)
    status = read_point(out->points + 2 * i, json_array_get(list, i), i + 1, err);
  out->count = count;
  return status;
}

enum status landmarks_read(struct landmarks *out, const char *text, size_t length, struct error *err) {
  static const struct json_limits limits = {.bytes_max = LANDMARKS_BYTES_MAX};
  AUTO(json_release) json_t *list = NULL;
  *out = (struct landmarks){0};
  enum status status = json_parse(&list, text, length, &limits, err);
  status = status ? status : read_points(out, list, err);
  if (status)
    landmarks_done(out);
  return status;
}

void landmarks_done(struct landmarks *landmarks) {
  free(landmarks->points);
  *landmarks = (struct landmarks){0};
}

double landmarks_distance(const struct landmarks *truth, const struct landmarks *found, double scale) {
  double sum = 0;
  CHECK(truth->count == found->count && truth->count > 0);
  for (size_t i = 0; i < truth->count; i++)
    sum += hypot(truth->points[2 * i] * scale - found->points[2 * i],
                 truth->points[2 * i + 1] * scale - found->points[2 * i + 1]);
  return sum / (double)truth->count;
}
