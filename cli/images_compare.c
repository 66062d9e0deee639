#include "cli/images_compare.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/text.h"
#include "cli/worker_task.h"

enum { COMPARE_SECONDS = 6 * 3600, TEXT_BYTES = 1 << 20 };

static const struct option_row rows[] = {
    {"kind", OPTION_TEXT, offsetof(struct images_compare_options, kind), NULL, "KIND",
     "segmentation (PNG, a class a pixel), landmark (JSON, [[x, y], ...]), canny (pictures), edges (black and white)"},
    {"ignore", OPTION_TEXT, offsetof(struct images_compare_options, ignore), NULL, "CLASS",
     "segmentation: 0 to 255, or a colour as #ffffff, whose pixels of the truth do not count"},
    {"scale", OPTION_NUMBER, 0, "scale", "FACTOR",
     "landmark: of the truth's coordinates; 0.5 where the originals have twice the size"},
};
const struct option_table images_compare_table = {rows, COUNT_OF(rows)};

/* ---- what is asked ---- */

static enum status read_class(int64_t *out, const char *text, struct error *err) {
  const bool colour = text[0] == '#';
  const char *digits = colour ? text + 1 : text;
  const size_t length = strlen(digits);
  long value = strtol(digits, NULL, colour ? 16 : 10);
  bool valid = colour ? length == 6 && strspn(digits, "0123456789abcdefABCDEF") == length
                      : length > 0 && length <= 3 && strspn(digits, "0123456789") == length && value <= 255;
  if (!valid)
    return error_set(err, STATUS_INVALID_VALUE, "ignore",
                     "--ignore must be a class from 0 to 255, or a colour as #ffffff, not \"%.80s\"", text);
  *out = colour ? value : value * 0x010101;
  return STATUS_OK;
}

static enum status read_scale(double *out, const json_t *value, struct error *err) {
  *out = json_number_value(value);
  return *out > 0 && *out <= 1e6
             ? STATUS_OK
             : error_set(err, STATUS_INVALID_VALUE, "scale", "--scale must be above 0, and at most 1000000");
}

static enum status read_options(struct task_maps *out, const struct images_compare_options *options,
                                const json_t *scale, struct error *err) {
  *out = (struct task_maps){.ignore = -1, .scale = 1};
  if (!options->kind)
    return error_set(err, STATUS_MISSING_PARAMETER, "kind",
                     "--kind is missing: segmentation, landmark, canny or edges");
  out->kind = str_index(map_kind_names, MAP_KIND_COUNT, options->kind);
  if (out->kind < 0)
    return error_set(err, STATUS_INVALID_VALUE, "kind",
                     "--kind must be segmentation, landmark, canny or edges, not \"%.80s\"", options->kind);
  if (options->ignore && out->kind != MAPS_SEGMENTATION)
    return error_set(err, STATUS_INVALID_VALUE, "ignore", "--ignore is for --kind segmentation");
  if (scale && out->kind != MAPS_LANDMARK)
    return error_set(err, STATUS_INVALID_VALUE, "scale", "--scale is for --kind landmark");
  enum status status = options->ignore ? read_class(&out->ignore, options->ignore, err) : STATUS_OK;
  return !status && scale ? read_scale(&out->scale, scale, err) : status;
}

/* ---- what is said ---- */

static void add_number(struct str *out, const char *name, const json_t *value) {
  str_printf(out, "%-10s", name);
  if (json_is_number(value))
    str_printf(out, "%.4f\n", json_number_value(value));
  else
    str_puts(out, "-\n");
}

static void add_count(struct str *out, const char *name, const json_t *value) {
  str_printf(out, "%-10s", name);
  text_count(out, (uint64_t)json_integer_value(value));
  str_putc(out, '\n');
}

static void cell_score(struct str *out, const json_t *value) {
  if (json_is_number(value))
    str_printf(out, "%.4f", json_number_value(value));
  else
    str_putc(out, '-');
}

static void print(const json_t *report) {
  static const struct text_column columns[] = {{"CLASS", text_cell, "class"},
                                               {"IoU", cell_score, "IoU"},
                                               {"Acc", cell_score, "Acc"},
                                               {"TRUTH", text_cell, "truth_pixels"},
                                               {"MAPS", text_cell, "map_pixels"}};
  static const char *const scores[] = {"mIoU", "mAcc", "aAcc", "distance", "IoU", "F1"};
  const json_t *missing = json_object_get(report, "not_detected"), *ignored = json_object_get(report, "ignored_pixels");
  AUTO(str_done) struct str out;
  str_init(&out, TEXT_BYTES);
  add_count(&out, "images", json_object_get(report, "images"));
  if (missing) {
    add_count(&out, "compared", json_object_get(report, "compared"));
    str_printf(&out, "%-10s%lld in the truth, %lld in the maps\n", "none",
               (long long)json_integer_value(json_object_get(missing, "truth")),
               (long long)json_integer_value(json_object_get(missing, "maps")));
  }
  for (size_t i = 0; i < COUNT_OF(scores); i++)
    if (json_object_get(report, scores[i]))
      add_number(&out, scores[i], json_object_get(report, scores[i]));
  if (json_integer_value(ignored))
    add_count(&out, "ignored", ignored);
  if (json_object_get(report, "classes")) {
    str_putc(&out, '\n');
    text_table(&out, columns, COUNT_OF(columns), json_object_get(report, "classes"));
  }
  fputs(out.text, stdout);
}

enum exit_code images_compare(struct cli *cli, const char *truth, const char *maps,
                              const struct images_compare_options *options, const json_t *document) {
  AUTO(json_release) json_t *report = NULL;
  char truth_path[PATH_MAX], maps_path[PATH_MAX];
  struct task task = {.kind = TASK_COMPARE};
  struct error err;
  enum status status = read_options(&task.maps, options, json_object_get(document, "scale"), &err);
  if (!status && !realpath(truth, truth_path))
    status = error_set_errno(&err, STATUS_IO, NULL, "%s", truth);
  else if (!status && !realpath(maps, maps_path))
    status = error_set_errno(&err, STATUS_IO, NULL, "%s", maps);
  if (status)
    return cli_fail(cli, &err);
  task.maps.truth_dir = truth_path;
  task.maps.maps_dir = maps_path;
  const char *const reads[] = {truth_path, maps_path};
  status = worker_task_run(&report, &task, reads, COUNT_OF(reads), COMPARE_SECONDS, &err);
  if (status) {
    enum exit_code code = cli_fail(cli, &err);
    return status_http(status) < 500 ? EXIT_UNSUCCESSFUL : code; /* a file is not valid */
  }
  if (cli->json)
    return cli_print_json(report);
  print(report);
  return EXIT_DONE;
}
