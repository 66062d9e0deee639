#include "worker/train/start.h"

/* As many at once as there are threads, but for large modules, of which each takes its share of this. */
enum { MEMORY = 512 << 20 };

static size_t at_once(const struct model *m) {
  size_t threads = (size_t)pool_threads(m->backend->pool), each = adapter_start_bytes(m->adapters, m->adapter_count, 1);
  size_t fit = each ? MEMORY / each : threads;
  return fit < 1 ? 1 : fit < threads ? fit : threads;
}

size_t start_memory(const struct model *m) {
  return adapter_start_bytes(m->adapters, m->adapter_count, at_once(m));
}

enum status start_adapters(struct training *t, struct error *err) {
  const struct model *m = t->learner->model;
  size_t n = at_once(m);
  enum status status = STATUS_OK;
  if (!start_memory(m))
    return STATUS_OK;
  for (size_t first = 0; !status && first < m->adapter_count; first += n) {
    training_progress(t, "start", first == 0);
    size_t count = m->adapter_count - first < n ? m->adapter_count - first : n;
    status = adapter_start(m->adapters + first, count, m->backend->pool, (uint64_t)t->task->spec.seed, err);
    status = status ? status : report_poll(t->report, err);
  }
  learner_changed(t->learner);
  return status;
}
