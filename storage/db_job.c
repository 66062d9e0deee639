#include "storage/db_job.h"

#include <string.h>

#include "storage/job_rows.h"

static bool parse_state(void *member, const char *word) {
  return job_state_parse(member, word);
}

#define AT(member) offsetof(struct job_row, member)
static const struct column columns[] = {
    {"id", COLUMN_TEXT, AT(id), NULL},
    {"tenant", COLUMN_TEXT, AT(tenant), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"model", COLUMN_TEXT, AT(model), NULL},
    {"training_file", COLUMN_TEXT, AT(training_file), NULL},
    {"validation_file", COLUMN_TEXT, AT(validation_file), NULL},
    {"fine_tuned_model", COLUMN_TEXT, AT(fine_tuned_model), NULL},
    {"spec", COLUMN_TEXT, AT(spec), NULL},
    {"metadata", COLUMN_TEXT, AT(metadata), NULL},
    {"priority", COLUMN_INT, AT(priority), NULL},
    {"idempotency_key", COLUMN_TEXT, AT(idempotency_key), NULL},
    {"body_sha256", COLUMN_TEXT, AT(body_sha256), NULL},
    {"state", COLUMN_WORD, AT(state), parse_state},
    {"lease_token", COLUMN_INT, AT(lease_token), NULL},
    {"restarts", COLUMN_INT, AT(restarts), NULL},
    {"worker", COLUMN_TEXT, AT(worker), NULL},
    {"cancel_requested_at", COLUMN_INT, AT(cancel_requested_at), NULL},
    {"started_at", COLUMN_INT, AT(started_at), NULL},
    {"finished_at", COLUMN_INT, AT(finished_at), NULL},
    {"ifnull(trained_tokens, -1)", COLUMN_INT, AT(trained_tokens), NULL},
    {"progress", COLUMN_TEXT, AT(progress), NULL},
    {"error_code", COLUMN_TEXT, AT(error_code), NULL},
    {"error_param", COLUMN_TEXT, AT(error_param), NULL},
    {"error_message", COLUMN_TEXT, AT(error_message), NULL},
    {"model_deleted", COLUMN_BOOL, AT(model_deleted), NULL},
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"needs_free", COLUMN_INT, AT(needs_free), NULL},
    {"device_wanted", COLUMN_TEXT, AT(device_wanted), NULL},
    {"device", COLUMN_TEXT, AT(device), NULL},
    {"attempts", COLUMN_INT, AT(attempts), NULL},
    {"interruptions", COLUMN_INT, AT(interruptions), NULL},
    {"furthest_step", COLUMN_INT, AT(furthest_step), NULL},
    {"pause_requested_at", COLUMN_INT, AT(pause_requested_at), NULL},
    {"estimate", COLUMN_TEXT, AT(estimate), NULL},
    {"request_id", COLUMN_TEXT, AT(request_id), NULL},
    {"peft_type", COLUMN_TEXT, AT(peft_type), NULL},
    {"place", COLUMN_INT, AT(place), NULL},
    {"cloned_from", COLUMN_TEXT, AT(cloned_from), NULL},
    {"from_checkpoint", COLUMN_TEXT, AT(from_checkpoint), NULL},
    {"sweep", COLUMN_TEXT, AT(sweep), NULL},
    {"sweep_values", COLUMN_TEXT, AT(sweep_values), NULL},
    {"ifnull(needs_memory, -1)", COLUMN_INT, AT(needs_memory), NULL},
    {"waiting_for", COLUMN_TEXT, AT(waiting_for), NULL},
};
#undef AT
const struct row_type job_rows = {"a job", sizeof(struct job_row), columns, COUNT_OF(columns)};

/* At most `limit` rows of a list. */
static enum status read_list(struct job_row **out, size_t *count, bool *more, struct stmt *stmt, int64_t limit,
                             struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_list(&list, &job_rows, stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_job_insert(struct db *db, const struct job_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db,
                "INSERT INTO job (id, created_at, model, training_file, validation_file, fine_tuned_model, spec,"
                " metadata, priority, idempotency_key, body_sha256, state, finished_at, device_wanted, tenant,"
                " request_id, peft_type, cloned_from, from_checkpoint, sweep, sweep_values) VALUES"
                " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, NULL, ifnull(?13, 'auto'), ?14, ?15,"
                " ifnull(?16, ''), ?17, ?18, ?19, ?20)",
                err);
  if (status)
    return status;
  CHECK(!job_state_terminal(row->state));
  stmt_text(&stmt, row->id);
  stmt_int(&stmt, row->created_at);
  stmt_text(&stmt, row->model);
  stmt_text(&stmt, row->training_file);
  stmt_text(&stmt, row->validation_file);
  stmt_text(&stmt, row->fine_tuned_model);
  stmt_text(&stmt, row->spec);
  stmt_text(&stmt, row->metadata);
  stmt_int(&stmt, row->priority);
  stmt_text(&stmt, row->idempotency_key);
  stmt_text(&stmt, row->body_sha256);
  stmt_text(&stmt, job_state_name(row->state));
  stmt_text(&stmt, row->device_wanted);
  stmt_text(&stmt, row->tenant);
  stmt_text(&stmt, row->request_id);
  stmt_text(&stmt, row->peft_type);
  stmt_text(&stmt, row->cloned_from);
  stmt_text(&stmt, row->from_checkpoint);
  stmt_text(&stmt, row->sweep);
  stmt_text(&stmt, row->sweep_values);
  return stmt_run(&stmt, NULL, err);
}

static enum status get(struct job_row *out, struct db *db, const char *sql, const char *tenant, const char *id,
                       struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found = false;
  enum status status = row_open(&stmt, db, &job_rows, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  if (tenant)
    stmt_text(&stmt, tenant);
  status = row_next(out, &found, &job_rows, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_JOB_NOT_FOUND, "job_id", "no job has the id %.64s", id);
  return status;
}

enum status db_job_get(struct job_row *out, struct db *db, const char *tenant, const char *id, struct arena *arena,
                       struct error *err) {
  CHECK(tenant);
  return get(out, db, "SELECT * FROM job WHERE id = ?1 AND tenant = ?2", tenant, id, arena, err);
}

enum status db_job_of_any(struct job_row *out, struct db *db, const char *id, struct arena *arena, struct error *err) {
  return get(out, db, "SELECT * FROM job WHERE id = ?1", NULL, id, arena, err);
}

enum status db_job_spec(struct job_spec *out, json_t **document, const struct job_row *job, struct arena *arena,
                        struct error *err) {
  enum status status = job_spec_restore(out, document, job->spec, arena, err);
  return status == STATUS_DAMAGED ? error_prefix(err, "the stored specification of %s is damaged", job->id) : status;
}

struct pair {
  const char *key, *value;
};

/* Of the pairs of an object, the one that fewest jobs have, as far as that is counted: the others are looked for among
   those jobs alone. */
static enum status find_rarest(struct pair *out, struct db *db, const char *tenant, const char *metadata,
                               struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db,
                                 "SELECT want.key, want.value FROM json_each(?1) AS want ORDER BY"
                                 " (SELECT count(*) FROM (SELECT 1 FROM job_metadata AS has"
                                 " WHERE has.owner = ?2 AND has.key = want.key AND has.value = want.value"
                                 " LIMIT 1000)) LIMIT 1",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, metadata);
  stmt_text(&stmt, tenant);
  status = stmt_step(&stmt, &row, err);
  if (status)
    return status;
  CHECK(row); /* a filter has a pair */
  *out = (struct pair){.key = stmt_get_text(&stmt, 0, arena), .value = stmt_get_text(&stmt, 1, arena)};
  return out->key && out->value ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "listing jobs");
}

enum status db_job_list(struct job_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                        const struct page *page, const struct job_filter *filter, struct arena *arena,
                        struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct pair pair = {0};
  int64_t after;
  const char *sql = "SELECT * FROM job WHERE tenant = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
  enum status status = row_cursor(&after, db, "SELECT seq FROM job WHERE id = ?1 AND tenant = ?2", tenant, page, err);
  if (filter->sweep)
    sql = "SELECT * FROM job INDEXED BY job_of_sweep WHERE tenant = ?3 AND sweep = ?4 AND seq < ?1"
          " ORDER BY seq DESC LIMIT ?2";
  else if (filter->metadata_null) /* and no pair at the same time */
    sql = "SELECT * FROM job INDEXED BY job_without_metadata WHERE tenant = ?3 AND metadata IS NULL"
          " AND ?4 IS NULL AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
  else if (filter->metadata)
    sql = "WITH want AS MATERIALIZED (SELECT key, value FROM json_each(?4) WHERE key <> ?5)"
          " SELECT * FROM job_metadata AS pair CROSS JOIN job USING (seq)"
          " WHERE pair.owner = ?3 AND tenant = ?3 AND pair.key = ?5 AND pair.value = ?6 AND pair.seq < ?1"
          " AND NOT EXISTS"
          " (SELECT 1 FROM want WHERE NOT EXISTS (SELECT 1 FROM job_metadata AS has"
          " WHERE has.owner = ?3 AND has.key = want.key AND has.value = want.value AND has.seq = pair.seq))"
          " ORDER BY pair.seq DESC LIMIT ?2";
  if (!status && filter->metadata)
    status = find_rarest(&pair, db, tenant, filter->metadata, arena, err);
  if (!status)
    status = row_open(&stmt, db, &job_rows, sql, err);
  if (status)
    return status;
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  stmt_text(&stmt, tenant);
  if (filter->sweep)
    stmt_text(&stmt, filter->sweep);
  else if (filter->metadata || filter->metadata_null)
    stmt_text(&stmt, filter->metadata);
  if (filter->metadata && !filter->metadata_null) {
    stmt_text(&stmt, pair.key);
    stmt_text(&stmt, pair.value);
  }
  return read_list(out, count, more, &stmt, page->limit, arena, err);
}

enum status db_job_next(struct job_row *out, bool *found, struct db *db, enum job_state state, int64_t after,
                        struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &job_rows,
                                "SELECT * FROM job WHERE state = ?1 AND seq > ?2 ORDER BY seq LIMIT 1", err);
  if (status)
    return status;
  stmt_text(&stmt, job_state_name(state));
  stmt_int(&stmt, after);
  return row_next(out, found, &job_rows, &stmt, arena, err);
}

static const struct column model_columns[] = {
    {"fine_tuned_model", COLUMN_TEXT, offsetof(struct job_model, name), NULL},
    {"finished_at", COLUMN_INT, offsetof(struct job_model, finished_at), NULL},
};
static const struct row_type model_type = {"a model", sizeof(struct job_model), model_columns,
                                           COUNT_OF(model_columns)};

enum status db_job_models(struct job_model **out, size_t *count, bool *more, struct db *db, const char *tenant,
                          struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  *out = NULL;
  enum status status = row_open(&stmt, db, &model_type,
                                "SELECT * FROM job WHERE tenant = ?1 AND state = 'succeeded' AND model_deleted = 0"
                                " ORDER BY seq DESC",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  status = row_list(&list, &model_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_job_of_model(struct job_row *out, struct db *db, const char *tenant, const char *name,
                            struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool found = false;
  enum status status = row_open(&stmt, db, &job_rows,
                                "SELECT * FROM job WHERE fine_tuned_model = ?1 AND state = 'succeeded'"
                                " AND model_deleted = 0 AND tenant = ?2",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, name);
  stmt_text(&stmt, tenant);
  status = row_next(out, &found, &job_rows, &stmt, arena, err);
  if (!status && !found)
    return error_set(err, STATUS_MODEL_NOT_FOUND, "model", "no model has the id %.128s", name);
  return status;
}

enum status db_job_delete_model(struct db *db, const char *id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE job SET model_deleted = 1 WHERE id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_same(struct job_row *out, bool *found, struct db *db, const char *tenant, const char *key,
                        const char *body_sha256, int64_t since, struct arena *arena, struct error *err) {
  return row_same(out, found, &job_rows, db,
                  "SELECT * FROM job WHERE tenant = ?3 AND idempotency_key = ?1 AND created_at >= ?2"
                  " ORDER BY created_at DESC, seq DESC LIMIT 1",
                  "SELECT * FROM job WHERE tenant = ?3 AND body_sha256 = ?1 AND created_at >= ?2"
                  " AND idempotency_key IS NULL ORDER BY created_at DESC, seq DESC LIMIT 1",
                  tenant, key, body_sha256, since, arena, err);
}

enum status db_job_first(struct job_row *out, bool *found, struct db *db, const struct job_place *place,
                         struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status =
      row_open(&stmt, db, &job_rows,
               "SELECT * FROM job WHERE seq = (SELECT first.seq"
               " FROM (SELECT DISTINCT tenant, device_wanted FROM job_count WHERE state = 'queued') AS lane"
               " CROSS JOIN tenant ON tenant.name = lane.tenant CROSS JOIN job AS first"
               " WHERE (lane.device_wanted IN (SELECT value FROM json_each(?2))) <> ?3"
               " AND first.seq = (SELECT seq FROM job AS waits WHERE waits.state = 'queued'"
               " AND waits.tenant = lane.tenant AND waits.device_wanted = lane.device_wanted"
               " AND waits.needs_free <= ?1 AND waits.run_after <= ?5"
               " ORDER BY waits.priority DESC, waits.place LIMIT 1)"
               " AND (SELECT ifnull(sum(jobs), 0) FROM job_count AS runs WHERE runs.state = 'running'"
               " AND runs.tenant = lane.tenant) < ifnull(nullif(ifnull(tenant.running_max, ?4), 0), 9e18)"
               " ORDER BY first.priority DESC, tenant.turn, first.place LIMIT 1)",
               err);
  if (status)
    return status;
  stmt_int(&stmt, place->free_bytes);
  stmt_text(&stmt, place->devices);
  stmt_int(&stmt, place->others);
  stmt_int(&stmt, place->running_max);
  stmt_int(&stmt, place->now_ms);
  return row_next(out, found, &job_rows, &stmt, arena, err);
}

enum status db_job_claim(struct job_row *out, bool *found, struct db *db, const struct job_place *place, int64_t now,
                         struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct job_row first;
  enum status status = db_job_first(&first, found, db, place, arena, err);
  if (status || !*found)
    return status;
  *found = false;
  status = row_open(&stmt, db, &job_rows,
                    "UPDATE job SET state = 'running', lease_token = lease_token + 1, started_at = ?2, worker = NULL,"
                    " progress = iif(furthest_step > 0, progress, NULL),"
                    " trained_tokens = iif(furthest_step > 0, trained_tokens, NULL), needs_free = 0, run_after = 0,"
                    " attempts = attempts + 1, pause_requested_at = NULL, waiting_for = NULL"
                    " WHERE seq = ?1 AND state = 'queued' RETURNING *",
                    err);
  if (status)
    return status;
  stmt_int(&stmt, first.seq);
  stmt_int(&stmt, now);
  status = row_next(out, found, &job_rows, &stmt, arena, err);
  bool row = *found;
  while (!status && row)
    status = stmt_step(&stmt, &row, err);
  return status;
}

/* For the worker that a job's claim was made for. */
#define GUARD " WHERE id = ?1 AND lease_token = ?2 AND state = 'running'"

static enum status run_guarded(struct stmt *stmt, bool *held, struct error *err) {
  int64_t rows = 0;
  enum status status = stmt_run(stmt, &rows, err);
  *held = rows > 0;
  return status;
}

static enum status open_guarded(struct stmt *stmt, struct db *db, const char *sql, const struct lease *lease,
                                struct error *err) {
  enum status status = stmt_open(stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(stmt, lease->job_id);
  stmt_int(stmt, lease->token);
  return STATUS_OK;
}

enum status db_job_set_worker(struct db *db, const struct lease *lease, const char *worker, bool *held,
                              struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  enum status status = open_guarded(&stmt, db, "UPDATE job SET worker = ?3" GUARD, lease, err);
  if (status)
    return status;
  stmt_text(&stmt, worker);
  return run_guarded(&stmt, held, err);
}

enum status db_job_set_device(struct db *db, const struct lease *lease, const char *device, bool *held,
                              struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  enum status status = open_guarded(&stmt, db, "UPDATE job SET device = ?3" GUARD, lease, err);
  if (status)
    return status;
  stmt_text(&stmt, device);
  return run_guarded(&stmt, held, err);
}

enum status db_job_set_progress(struct db *db, const struct lease *lease, const char *progress,
                                int64_t trained_tokens, bool *held, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  enum status status = open_guarded(
      &stmt, db, "UPDATE job SET progress = ?3, trained_tokens = ifnull(nullif(?4, -1), trained_tokens)" GUARD, lease,
      err);
  if (status)
    return status;
  stmt_text(&stmt, progress);
  stmt_int(&stmt, trained_tokens);
  return run_guarded(&stmt, held, err);
}

enum status db_job_set_estimate(struct db *db, const char *id, const char *estimate, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE job SET estimate = ?2 WHERE id = ?1 AND estimate IS NULL", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, estimate);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_set_needs(struct db *db, const char *id, int64_t memory_mib, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE job SET needs_memory = ?2 WHERE id = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, memory_mib);
  return stmt_run(&stmt, NULL, err);
}

static enum status set_waiting(struct db *db, const char *sql, const char *id, const char *waiting_for,
                               struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, waiting_for);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_set_waiting(struct db *db, const char *id, const char *waiting_for, struct error *err) {
  enum status status = set_waiting(db,
                                   "UPDATE job SET waiting_for = NULL WHERE waiting_for IS NOT NULL"
                                   " AND (id IS NOT ?1 OR waiting_for IS NOT ?2)",
                                   id, waiting_for, err);
  return status || !id ? status
                       : set_waiting(db, "UPDATE job SET waiting_for = ?2 WHERE id = ?1 AND state = 'queued'", id,
                                     waiting_for, err);
}

enum status db_job_held(bool *held, struct db *db, const struct lease *lease, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  enum status status = open_guarded(&stmt, db, "SELECT 1 FROM job" GUARD, lease, err);
  return status ? status : stmt_step(&stmt, held, err);
}

enum status db_job_unclaim(struct db *db, const struct lease *lease, bool *held, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  enum status status =
      open_guarded(&stmt, db,
                   "UPDATE job SET state = iif(pause_requested_at IS NULL, 'queued', 'paused'),"
                   " pause_requested_at = NULL, started_at = NULL, worker = NULL,"
                   " attempts = max(attempts - 1, 0)" GUARD,
                   lease, err);
  return status ? status : run_guarded(&stmt, held, err);
}

enum status db_job_wait_for_room(struct db *db, const char *id, int64_t needs_free, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE job SET needs_free = ?2 WHERE id = ?1 AND state = 'queued'", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, needs_free);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_room_for_all(struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE job SET needs_free = 0 WHERE state = 'queued' AND needs_free > 0", err);
  return status ? status : stmt_run(&stmt, NULL, err);
}

enum status db_job_wait_until(struct db *db, const char *id, int64_t run_after, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE job SET run_after = ?2 WHERE id = ?1 AND state = 'queued'", err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, run_after);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_forget_waits(struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status =
      stmt_open(&stmt, db, "UPDATE job SET run_after = 0 WHERE state = 'queued' AND run_after > 0", err);
  return status ? status : stmt_run(&stmt, NULL, err);
}

static enum status run_of(struct db *db, const char *sql, const char *id, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_refund(struct db *db, const char *id, struct error *err) {
  return run_of(db, "UPDATE job SET attempts = max(attempts - 1, 0) WHERE id = ?1", id, err);
}

enum status db_job_interrupted(struct db *db, const char *id, struct error *err) {
  return run_of(db, "UPDATE job SET interruptions = interruptions + 1 WHERE id = ?1", id, err);
}

static void bind_end(struct stmt *stmt, enum job_state to, const struct error *why, int64_t now) {
  CHECK((to == JOB_FAILED) == (why != NULL));
  stmt_text(stmt, job_state_name(to));
  stmt_int_or_null(stmt, job_state_terminal(to) ? now : 0);
  stmt_text(stmt, why ? status_code(why->status) : NULL);
  stmt_text(stmt, why && why->param[0] ? why->param : NULL);
  stmt_text(stmt, why ? why->text : NULL);
}

enum status db_job_release(struct db *db, const struct lease *lease, enum job_state to, const struct error *why,
                           int64_t now, bool *held, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *held = false;
  CHECK(job_state_may_move(JOB_RUNNING, to));
  enum status status = open_guarded(&stmt, db,
                                    "UPDATE job SET state = ?3, finished_at = ?4, error_code = ?5, error_param = ?6,"
                                    " error_message = ?7, restarts = restarts + (?3 = 'queued'),"
                                    " pause_requested_at = NULL" GUARD,
                                    lease, err);
  if (status)
    return status;
  bind_end(&stmt, to, why, now);
  return run_guarded(&stmt, held, err);
}

enum status db_job_move(struct db *db, const char *id, enum job_state from, enum job_state to,
                        const struct error *why, int64_t now, bool *moved, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *moved = false;
  CHECK(from != JOB_RUNNING && job_state_may_move(from, to));
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE job SET state = ?3, finished_at = ?4, error_code = ?5, error_param = ?6,"
                                 " error_message = ?7 WHERE id = ?1 AND state = ?2",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, job_state_name(from));
  bind_end(&stmt, to, why, now);
  return run_guarded(&stmt, moved, err);
}

enum status db_job_request_cancel(struct db *db, const char *id, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE job SET cancel_requested_at = ?2 WHERE id = ?1 AND state = 'running'"
                                 " AND cancel_requested_at IS NULL",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_request_pause(struct db *db, const char *id, int64_t now, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE job SET pause_requested_at = ?2 WHERE id = ?1 AND state = 'running'"
                                 " AND pause_requested_at IS NULL",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_int(&stmt, now);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_withdraw_pause(struct db *db, const char *id, struct error *err) {
  return run_of(db, "UPDATE job SET pause_requested_at = NULL WHERE id = ?1 AND state = 'running'", id, err);
}
