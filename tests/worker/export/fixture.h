/* A model with a random adapter that is exported, for the tests of exports. */
#ifndef TESTS_WORKER_EXPORT_FIXTURE_H
#define TESTS_WORKER_EXPORT_FIXTURE_H

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/export/export.h"
#include "worker/train/learner.h"

static const uint32_t offsets[] = {0, 7, 8, 20};
static const int32_t ids[] = {3, 9, 27, 81, 45, 36, 10, 5, 98, 97, 96, 12, 13, 14, 15, 16, 17, 18, 19, 4};

struct fixture {
  char out[64];
  struct backend backend;
  struct model model;
  struct adapter_spec spec;
  struct report report;
  struct export export;
  struct error err;
};

/* A model with an adapter at random, so that it changes what the model says. */
static inline void open_model(struct fixture *f, const char *path, size_t num_labels, const struct adapter_spec *spec) {
  struct rng rng;
  snprintf(f->out, sizeof f->out, "/tmp/test_export.XXXXXX");
  assert_non_null(mkdtemp(f->out));
  f->spec = *spec;
  f->spec.target_modules.pattern = "all-linear";
  assert_int_equal(cpu_open(&f->backend, 2, NULL, &f->err), STATUS_OK);
  enum job_output output = num_labels == 0 ? OUTPUT_TEXT : num_labels == 1 ? OUTPUT_NUMBER : OUTPUT_CLASS;
  if (model_open(&f->model, path, output, num_labels, 1, &f->backend, &f->err) ||
      model_adapt(&f->model, &f->spec, 1, &f->err))
    fail_msg("%s", f->err.text);
  rng_init(&rng, 3, 99);
  for (size_t i = 0; i < f->model.parameters.count; i++)
    for (size_t j = 0; j < f->model.parameters.item[i]->count; j++)
      f->model.parameters.item[i]->data[j] += 0.2f * (2 * rng_uniform(&rng) - 1);
  report_init(&f->report, open("/dev/null", O_WRONLY), -1);
  f->export = (struct export){.model = &f->model,
                              .spec = &f->spec,
                              .base = "tiny",
                              .base_path = path,
                              .output_dir = f->out,
                              .report = &f->report};
}

static inline void close_model(struct fixture *f) {
  close(f->report.out);
  model_close(&f->model);
  backend_close(&f->backend);
  assert_int_equal(file_remove_tree(f->out, NULL), STATUS_OK);
}

static inline enum status write_format(struct fixture *f, const char *format) {
  const char *items[] = {format};
  return export_formats(&f->export, &(struct string_list){1, items}, &f->err);
}

static inline double worst(const float *a, const float *b, size_t count) {
  double diff = 0, top = 0;
  for (size_t i = 0; i < count; i++) {
    diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
    top = fmax(top, fabs((double)b[i]));
  }
  return diff / top;
}

/* Logits of a model, and those of the one written to `path`: (20, 99). */
static inline double logits_differ(struct fixture *f, const char *path) {
  struct batch_limits limits = {3, 20, 12};
  struct learner learner = {.adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}}, other = learner;
  struct model exported;
  const struct sequences three = sequences_host(3, 20, 12, offsets, ids, NULL);
  struct logits a, b;
  if (learner_init(&learner, &f->model, &limits, &limits, &f->err) ||
      model_open(&exported, path, OUTPUT_TEXT, 0, 1, &f->backend, &f->err) ||
      learner_init(&other, &exported, &limits, &limits, &f->err) || learner_predict(&learner, &three, &a, &f->err) ||
      learner_predict(&other, &three, &b, &f->err))
    fail_msg("%s", f->err.text);
  assert_int_equal(a.rows * a.cols, 20 * 99);
  double differ = worst(b.data, a.data, a.rows * a.cols);
  learner_done(&other);
  learner_done(&learner);
  model_close(&exported);
  return differ;
}

#endif
