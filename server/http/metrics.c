/* /metrics: what the daemon counts, and what is true now. It tells of all tenants together, so that only keys of the
   operator's own one see it; nothing in it names a tenant or what is one's. */
#include "server/metrics.h"

#include <string.h>

#include "api/tenant.h"
#include "base/log.h"
#include "server/host.h"
#include "server/http/front.h"
#include "server/http/reply.h"
#include "server/servings.h"
#include "server/supervisor.h"
#include "storage/db_queue.h"

enum { TEXT_BYTES = 4 << 20 };

static int64_t training(const struct server *server) {
  size_t jobs = supervisor_jobs(server->supervisor, "cpu");
  for (size_t i = 0; i < server->devices.count; i++)
    jobs += supervisor_jobs(server->supervisor, server->devices.other[i].name);
  return (int64_t)jobs;
}

/* A store that does not answer leaves out its numbers alone: that is when the others are wanted most. */
static void look(struct metrics_view *view, const struct server *server) {
  struct error err;
  const struct budget_use use = supervisor_use(server->supervisor);
  *view = (struct metrics_view){.training = training(server),
                                .checking = (int64_t)supervisor_checks(server->supervisor),
                                .exporting = (int64_t)supervisor_exports(server->supervisor),
                                .inspecting = (int64_t)supervisor_inspections(server->supervisor),
                                .serving = (int64_t)supervisor_servings(server->supervisor),
                                .models_ready = (int64_t)servings_ready(server->servings),
                                .generations = (int64_t)server->servings->count,
                                .budget_bytes = budget_bytes(server->budget.memory_mib),
                                .budget_used_bytes = budget_bytes(use.memory_mib + use.leaving_mib),
                                .budget_idle_bytes = budget_bytes(use.idle_mib),
                                .budget_cores = server->budget.cores,
                                .budget_used_cores = use.cores,
                                .connections = (int64_t)front_connections(server->front),
                                .free_bytes = host_free_bytes(server->config)};
  process_usage(&view->process);
  if (db_queue_count(view->open, view->finished, server->db, &err)) {
    log_warn("/metrics lacks the jobs: %s", err.text);
    memset(view->open, 0xFF, sizeof view->open);
    memset(view->finished, 0xFF, sizeof view->finished);
  }
  view->store_busy = db_busy(server->db);
}

void http_metrics(struct request *request) {
  struct server *server = request->server;
  struct metrics_view view;
  struct str text;
  struct error err;
  if (request->tenant && strcmp(request->tenant, TENANT_DEFAULT) != 0) {
    error_set(&err, STATUS_SCOPE, NULL, "the server's metrics are for keys of the tenant \"%s\"", TENANT_DEFAULT);
    reply_error(request, &err);
    return;
  }
  look(&view, server);
  str_init(&text, TEXT_BYTES);
  metrics_write(&text, &server->metrics, &view);
  reply_text(request, &text, "text/plain; version=0.0.4; charset=utf-8");
}
