#include "storage/db_state.h"

#include "storage/row.h"

#define AT(member) offsetof(struct state_row, member)
static const struct column columns[] = {
    {"lease_token", COLUMN_INT, AT(lease_token), NULL}, {"step", COLUMN_INT, AT(step), NULL},
    {"path", COLUMN_TEXT, AT(path), NULL},              {"bytes", COLUMN_INT, AT(bytes), NULL},
    {"sha256", COLUMN_TEXT, AT(sha256), NULL},          {"created_at", COLUMN_INT, AT(created_at), NULL},
};
#undef AT
static const struct row_type state_type = {"a training state", sizeof(struct state_row), columns, COUNT_OF(columns)};

static enum status insert_state(struct db *db, const struct lease *lease, const struct state_row *row, bool *held,
                                struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t rows = 0;
  enum status status =
      stmt_open(&stmt, db,
                "INSERT INTO training_state (job_id, lease_token, step, path, bytes, sha256, created_at)"
                " SELECT id, lease_token, ?3, ?4, ?5, ?6, ?7 FROM job"
                " WHERE id = ?1 AND lease_token = ?2 AND state = 'running'"
                " ON CONFLICT (job_id, step) DO UPDATE SET lease_token = excluded.lease_token, path = excluded.path,"
                " bytes = excluded.bytes, sha256 = excluded.sha256, created_at = excluded.created_at",
                err);
  if (status)
    return status;
  stmt_text(&stmt, lease->job_id);
  stmt_int(&stmt, lease->token);
  stmt_int(&stmt, row->step);
  stmt_text(&stmt, row->path);
  stmt_int(&stmt, row->bytes);
  stmt_text(&stmt, row->sha256);
  stmt_int(&stmt, row->created_at);
  status = stmt_run(&stmt, &rows, err);
  *held = rows > 0;
  return status;
}

static enum status run_with(struct db *db, const char *sql, const struct lease *lease, int64_t step,
                            struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, lease->job_id);
  stmt_int(&stmt, lease->token);
  stmt_int(&stmt, step);
  return stmt_run(&stmt, NULL, err);
}

/* Rows at `step` or beyond it, and all but the newest of those before it. */
#define GIVE_WAY                                                                                                       \
  " WHERE job_id = ?1 AND (step >= ?3 OR step NOT IN (SELECT step FROM training_state"                                 \
  " WHERE job_id = ?1 AND step < ?3 ORDER BY step DESC LIMIT 1))"

enum status db_state_add(struct db *db, const struct lease *lease, const struct state_row *row, bool *held,
                         struct error *err) {
  _Static_assert(STATES_KEPT == 2, "one beside the newest");
  enum status status = db_job_held(held, db, lease, err);
  if (status || !*held)
    return status;
  status = run_with(db,
                    "INSERT OR IGNORE INTO removal SELECT path FROM training_state" GIVE_WAY " AND lease_token <> ?2",
                    lease, row->step, err);
  if (!status)
    status = run_with(db, "DELETE FROM training_state" GIVE_WAY, lease, row->step, err);
  if (!status)
    status = insert_state(db, lease, row, held, err);
  return status ? status
                : run_with(db,
                           "UPDATE job SET furthest_step = ?3, attempts = min(attempts, 1), interruptions = 0"
                           " WHERE id = ?1 AND lease_token = ?2 AND furthest_step < ?3",
                           lease, row->step, err);
}

enum status db_state_list(struct state_row **out, size_t *count, struct db *db, const char *job_id,
                          struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  enum status status = row_open(&stmt, db, &state_type,
                                "SELECT * FROM training_state WHERE job_id = ?1 ORDER BY step DESC", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  status = row_list(&list, &state_type, &stmt, STATES_KEPT, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

/* What begins with "path/" is less than "path0": '0' follows the slash. */
#define IN_PATH " WHERE job_id = ?1 AND (path = ?2 OR (path >= ?2 || '/' AND path < ?2 || '0'))"

enum status db_path_named(bool *out, struct db *db, const char *job_id, const char *path, struct error *err) {
  int64_t named = 0;
  enum status status = stmt_number2(&named, db,
                                    "SELECT EXISTS (SELECT 1 FROM training_state" IN_PATH
                                    ") OR EXISTS (SELECT 1 FROM checkpoint" IN_PATH
                                    ") OR EXISTS (SELECT 1 FROM artifact" IN_PATH ")",
                                    job_id, path, err);
  *out = named > 0;
  return status;
}
