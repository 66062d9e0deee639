#include "api/task.h"

#include "base/json.h"

enum { PATH_MAX_BYTES = 4096 };

static const char *const kinds[] = {[TASK_TRAIN] = "train",     [TASK_CHECK] = "check",
                                    [TASK_INSPECT] = "inspect", [TASK_ESTIMATE] = "estimate",
                                    [TASK_PLAN] = "plan",       [TASK_SURVEY] = "survey",
                                    [TASK_EXPORT] = "export",   [TASK_GENERATE] = "generate",
                                    [TASK_COMPARE] = "compare", NULL};

const char *const map_kind_names[] = {[MAPS_SEGMENTATION] = "segmentation",
                                      [MAPS_LANDMARK] = "landmark",
                                      [MAPS_CANNY] = "canny",
                                      [MAPS_EDGES] = "edges",
                                      NULL};

#define AT(member) offsetof(struct task, member)
static const struct field task_rows[] = {
    {"kind", NULL, FIELD_CHOICE, AT(kind), FIELD_REQUIRED, .choices = kinds},
    {"job_id", NULL, FIELD_STRING, AT(job_id), .min = 1, .max = 128},
    {"request_id", NULL, FIELD_STRING, AT(request_id), .min = 1, .max = 128},
    {"attempt", NULL, FIELD_INT, AT(attempt), .max = 1e9},
    {"fine_tuned_model", NULL, FIELD_STRING, AT(fine_tuned_model), .min = 1, .max = 1024},
    {"model_dir", NULL, FIELD_STRING, AT(model_dir), .min = 1, .max = PATH_MAX_BYTES},
    {"output_dir", NULL, FIELD_STRING, AT(output_dir), .min = 1, .max = PATH_MAX_BYTES},
    {"start", NULL, FIELD_STRING, AT(start), .min = 1, .max = PATH_MAX_BYTES},
    {"clip_dir", NULL, FIELD_STRING, AT(clip_dir), .min = 1, .max = PATH_MAX_BYTES},
    {"dino_dir", NULL, FIELD_STRING, AT(dino_dir), .min = 1, .max = PATH_MAX_BYTES},
    {"matmul", NULL, FIELD_CHOICE, AT(matmul), .choices = job_matmul_names, .initial = "auto"},
    {"device", NULL, FIELD_STRING, AT(device), .min = 1, .max = 15},
    {"device_may_fit", NULL, FIELD_BOOL, AT(device_may_fit), .initial = "false"},
    {"resume", NULL, FIELD_STRING_LIST, AT(resume), .min = 0, .max = TASK_RESUME_MAX},
    {"exports", NULL, FIELD_STRING_LIST, AT(exports), .min = 0, .max = 16},
    {"memory_bytes", NULL, FIELD_INT, AT(memory_bytes), .max = 0x1p53},
    {"memory_bytes_max", NULL, FIELD_INT, AT(memory_bytes_max), .max = 0x1p53},
    {"threads", NULL, FIELD_INT, AT(threads), .max = 1024},
};
#undef AT
static const struct field_table task_fields = {.fields = task_rows, .count = COUNT_OF(task_rows)};

#define AT(member) offsetof(struct task_file, member)
static const struct field file_rows[] = {
    {"id", NULL, FIELD_STRING, AT(id), FIELD_REQUIRED, .min = 1, .max = 128},
    {"path", NULL, FIELD_STRING, AT(path), FIELD_REQUIRED, .min = 1, .max = PATH_MAX_BYTES},
    {"filename", NULL, FIELD_STRING, AT(filename), FIELD_REQUIRED, .min = 1, .max = 1024},
};
#undef AT
static const struct field_table file_fields = {.fields = file_rows, .count = COUNT_OF(file_rows)};

#define AT(member) offsetof(struct task_maps, member)
static const struct field maps_rows[] = {
    {"truth_dir", NULL, FIELD_STRING, AT(truth_dir), FIELD_REQUIRED, .min = 1, .max = PATH_MAX_BYTES},
    {"maps_dir", NULL, FIELD_STRING, AT(maps_dir), FIELD_REQUIRED, .min = 1, .max = PATH_MAX_BYTES},
    {"kind", NULL, FIELD_CHOICE, AT(kind), FIELD_REQUIRED, .choices = map_kind_names},
    {"ignore", NULL, FIELD_INT, AT(ignore), .min = -1, .max = 0xffffff, .initial = "-1"},
    {"scale", NULL, FIELD_NUMBER, AT(scale), FIELD_EXCLUSIVE, .max = 1e6, .initial = "1"},
};
#undef AT
static const struct field_table maps_fields = {.fields = maps_rows, .count = COUNT_OF(maps_rows)};

static bool has_spec(enum task_kind kind) {
  return kind == TASK_TRAIN || kind == TASK_EXPORT || kind == TASK_ESTIMATE || kind == TASK_PLAN || kind == TASK_SURVEY;
}

json_t *task_json(const struct task *task) {
  json_t *out = field_write(&task_fields, task);
  int bad = json_object_set_new(out, "training",
                                task->training.path ? field_write(&file_fields, &task->training) : json_null());
  bad |= json_object_set_new(out, "validation",
                             task->validation.path ? field_write(&file_fields, &task->validation) : json_null());
  bad |= json_object_set_new(out, "maps",
                             task->kind == TASK_COMPARE ? field_write(&maps_fields, &task->maps) : json_null());
  bad |= json_object_set_new(out, "spec", has_spec(task->kind) ? job_spec_json(&task->spec) : json_null());
  if (!bad)
    return out;
  json_decref(out);
  return NULL;
}

static void check_path(const char *path, const char *name, struct fault_list *faults) {
  if (!path)
    fault_add(faults, STATUS_MISSING_PARAMETER, name, "%s is required", name);
  else if (path[0] != '/')
    fault_add(faults, STATUS_INVALID_VALUE, name, "%s must be an absolute path", name);
}

static void read_file(struct task_file *out, const json_t *document, const char *name, bool required,
                      struct arena *arena, struct fault_list *faults) {
  const json_t *value = json_object_get(document, name);
  if ((!value || json_is_null(value)) && !required)
    return;
  if (!value || json_is_null(value)) {
    fault_add(faults, STATUS_MISSING_PARAMETER, name, "%s is required", name);
    return;
  }
  field_read(&file_fields, out, value, name, NULL, arena, faults);
  if (out->path)
    check_path(out->path, name, faults);
}

static void read_maps(struct task_maps *out, const json_t *document, struct arena *arena, struct fault_list *faults) {
  const json_t *value = json_object_get(document, "maps");
  if (!value || json_is_null(value)) {
    fault_add(faults, STATUS_MISSING_PARAMETER, "maps", "maps is required");
    return;
  }
  field_read(&maps_fields, out, value, "maps", NULL, arena, faults);
  check_path(out->truth_dir, "maps.truth_dir", faults);
  check_path(out->maps_dir, "maps.maps_dir", faults);
}

enum status task_parse(struct task *out, const json_t *document, struct arena *arena, struct error *err) {
  static const char *const elsewhere[] = {"training", "validation", "maps", "spec", NULL};
  struct fault_list faults = {0};
  *out = (struct task){0};
  field_read(&task_fields, out, document, "", elsewhere, arena, &faults);
  read_file(&out->training, document, "training",
            out->kind == TASK_TRAIN || out->kind == TASK_CHECK || out->kind == TASK_ESTIMATE ||
                out->kind == TASK_PLAN || out->kind == TASK_SURVEY,
            arena, &faults);
  read_file(&out->validation, document, "validation", false, arena, &faults);
  if (out->start || out->kind == TASK_EXPORT)
    check_path(out->start, "start", &faults);
  if (out->clip_dir)
    check_path(out->clip_dir, "clip_dir", &faults);
  if (out->dino_dir)
    check_path(out->dino_dir, "dino_dir", &faults);
  for (size_t i = 0; i < out->resume.count; i++)
    check_path(out->resume.item[i], "resume", &faults);
  if (out->kind == TASK_EXPORT && out->exports.count == 0)
    fault_add(&faults, STATUS_MISSING_PARAMETER, "exports", "exports is required");
  if (out->kind == TASK_COMPARE)
    read_maps(&out->maps, document, arena, &faults);
  else if (out->kind != TASK_CHECK && (out->kind != TASK_SURVEY || out->model_dir))
    check_path(out->model_dir, "model_dir", &faults);
  if (out->kind == TASK_GENERATE)
    check_path(out->output_dir, "output_dir", &faults);
  if (has_spec(out->kind)) {
    bool estimates = out->kind == TASK_ESTIMATE || out->kind == TASK_PLAN || out->kind == TASK_SURVEY;
    if (!estimates || out->output_dir)
      check_path(out->output_dir, "output_dir", &faults);
    if (!estimates && (!out->job_id || !out->fine_tuned_model))
      fault_add(&faults, STATUS_MISSING_PARAMETER, "job_id", "job_id and fine_tuned_model are required");
    const json_t *spec = json_object_get(document, "spec");
    if (spec)
      job_spec_parse(&out->spec, spec, 0, arena, &faults);
    else
      fault_add(&faults, STATUS_MISSING_PARAMETER, "spec", "spec is required");
  }
  if (faults.count == 0)
    return STATUS_OK;
  return error_set(err, faults.item[0].status, faults.item[0].param, "%s", faults.item[0].text);
}
