#include "worker/image/image_processor.h"

#include <string.h>

#include "base/json.h"

enum { SIDE_MAX = 4096, PIL_BILINEAR = 2, PIL_BICUBIC = 3 };

static enum status invalid(struct error *err, const char *member, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "preprocessor_config.json: %s %s", member, what);
}

/* What is to be done with a picture. */
struct steps {
  bool resize, crop, rescale, normalize;
};

static enum status read_flag(bool *out, const json_t *config, const char *name, bool fallback, struct error *err) {
  const json_t *value = json_object_get(config, name);
  *out = value && !json_is_null(value) ? json_is_true(value) : fallback;
  return !value || json_is_null(value) || json_is_boolean(value) ? STATUS_OK
                                                                 : invalid(err, name, "must be true or false");
}

static bool is_side(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= SIDE_MAX;
}

/* Sides of a size that is a number or {"height", "width"}; 0: it is neither, or no square. */
static size_t square_of(const json_t *size) {
  const json_t *height = json_object_get(size, "height"), *width = json_object_get(size, "width");
  if (is_side(size))
    return (size_t)json_integer_value(size);
  return is_side(height) && is_side(width) && json_equal(height, width) ? (size_t)json_integer_value(height) : 0;
}

/* "CLIPImageProcessor", "CLIPFeatureExtractor", ...: of ViT's a size that is a number is of both sides. */
static bool is_vit(const json_t *config) {
  const char *name = json_string_value(json_object_get(config, "image_processor_type"));
  if (!name)
    name = json_string_value(json_object_get(config, "feature_extractor_type"));
  return name && strncmp(name, "ViT", 3) == 0;
}

static enum status read_steps(struct steps *out, const json_t *config, struct error *err) {
  enum status status = read_flag(&out->resize, config, "do_resize", true, err);
  status = status ? status : read_flag(&out->crop, config, "do_center_crop", !is_vit(config), err);
  status = status ? status : read_flag(&out->rescale, config, "do_rescale", true, err);
  status = status ? status : read_flag(&out->normalize, config, "do_normalize", true, err);
  return status || out->resize ? status : invalid(err, "do_resize", "must be true");
}

static enum status read_sizes(struct image_processor *p, const json_t *config, bool crops, struct error *err) {
  const json_t *size = json_object_get(config, "size"), *shortest = json_object_get(size, "shortest_edge");
  p->square = !shortest && (json_is_object(size) || is_vit(config));
  p->resized = is_side(shortest) ? (size_t)json_integer_value(shortest) : shortest ? 0 : square_of(size);
  if (!p->resized)
    return invalid(err, "size",
                   "must be a side, {\"shortest_edge\": side} or a square {\"height\": side, \"width\": side}");
  if (!p->square && !crops)
    return invalid(err, "do_center_crop", "must be true where size is the shortest edge");
  p->side = crops ? square_of(json_object_get(config, "crop_size")) : p->resized;
  if (!p->side || p->side > p->resized)
    return invalid(err, "crop_size", "must be the side of a square that is no larger than size");
  return STATUS_OK;
}

/* A list of three numbers; of deviations above 0. */
static bool read_channels(float out[3], const json_t *list, bool positive) {
  for (size_t c = 0; c < 3; c++) {
    const json_t *value = json_array_get(list, c);
    out[c] = (float)json_number_value(value);
    if (!json_is_number(value) || (positive && !(out[c] > 0)))
      return false;
  }
  return json_array_size(list) == 3;
}

static enum status read_values(struct image_processor *p, const json_t *config, const struct steps *steps,
                               struct error *err) {
  const json_t *factor = json_object_get(config, "rescale_factor");
  p->scale = !steps->rescale ? 1 : factor ? (float)json_number_value(factor) : 1.0F / 255;
  if (!(p->scale > 0))
    return invalid(err, "rescale_factor", "must be a number above 0");
  for (size_t c = 0; c < 3; c++)
    p->deviation[c] = 1;
  if (!steps->normalize)
    return STATUS_OK;
  if (!read_channels(p->mean, json_object_get(config, "image_mean"), false))
    return invalid(err, "image_mean", "must be three numbers");
  return read_channels(p->deviation, json_object_get(config, "image_std"), true)
             ? STATUS_OK
             : invalid(err, "image_std", "must be three numbers above 0");
}

enum status image_processor_read(struct image_processor *out, const json_t *config, struct error *err) {
  const json_t *resample = json_object_get(config, "resample");
  const json_int_t filter = resample ? json_integer_value(resample) : is_vit(config) ? PIL_BILINEAR : PIL_BICUBIC;
  *out = (struct image_processor){.filter = filter == PIL_BICUBIC ? RESIZE_BICUBIC : RESIZE_BILINEAR};
  if (filter != PIL_BILINEAR && filter != PIL_BICUBIC)
    return invalid(err, "resample", "must be 2 (bilinear) or 3 (bicubic)");
  struct steps steps;
  enum status status = read_steps(&steps, config, err);
  status = status ? status : read_sizes(out, config, steps.crop, err);
  return status ? status : read_values(out, config, &steps, err);
}

enum status image_processor_apply(float *out, const struct image_processor *p, const struct image *image,
                                  struct error *err) {
  struct image resized, cropped;
  enum status status = p->square ? resize_to(&resized, image, p->resized, p->resized, p->filter, err)
                                 : resize_shorter_side(&resized, image, p->resized, p->filter, err);
  if (status)
    return status;
  status = resize_crop_middle(&cropped, &resized, p->side, err);
  image_done(&resized);
  if (status)
    return status;
  for (size_t i = 0; i < 3 * p->side * p->side; i++)
    out[i] = ((float)cropped.pixels[i] * p->scale - p->mean[i % 3]) / p->deviation[i % 3];
  image_done(&cropped);
  return STATUS_OK;
}
