#include "server/http/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "api/body.h"
#include "api/tenant.h"
#include "base/rng.h"
#include "base/str.h"
#include "server/http/multipart.h"
#include "server/limits.h"
#include "server/paths.h"

enum { CHARGE_BYTES = 1 << 20, FIELD_BYTES_MAX = 256 };

enum upload_part { PART_NONE, PART_FILE, PART_PURPOSE, PART_ANCHOR, PART_SECONDS, PART_COUNT };

static const char *const names_of_kind[][PART_COUNT] = {
    [UPLOAD_OF_FILE] = {[PART_FILE] = "file",
                        [PART_PURPOSE] = "purpose",
                        [PART_ANCHOR] = "expires_after[anchor]",
                        [PART_SECONDS] = "expires_after[seconds]"},
    [UPLOAD_OF_PART] = {[PART_FILE] = "data"},
};

struct upload {
  struct upload *next, **link; /* in server->uploads */
  struct server *server;
  enum upload_kind kind;
  const char *const *names; /* of its fields; NULL: there is none */
  int64_t bytes_max;
  char tenant[TENANT_BYTES];
  uint64_t charged; /* of its bytes: so many have room */
  struct multipart parser;
  enum upload_part part; /* the one that is arriving */
  bool seen[PART_COUNT];
  struct str value[PART_COUNT]; /* of the fields */
  char filename[MULTIPART_NAME_MAX];
  char id[40];
  char path[PATH_BYTES];
  char sha256[HASH_HEX];
  struct file_new file; /* fd -1 unless the file part has begun */
  /* upload_end */
  uv_work_t work;
  bool publishing; /* all but `server` belongs to another thread */
  bool arrived;    /* whoever is told makes its row, which counts from then on */
  struct uploaded uploaded;
  upload_published *published;
  struct request *request;
  enum status status;
  struct error err;
};

enum status upload_check_purpose(const char *purpose, struct error *err) {
  static const char *const others[] = {"assistants", "assistants_output", "batch",     "batch_output",
                                       "evals",      "fine-tune-results", "user_data", "vision"};
  if (strcmp(purpose, "fine-tune") == 0)
    return STATUS_OK;
  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (strcmp(purpose, others[i]) == 0)
      return error_set(err, STATUS_INVALID_PURPOSE, "purpose",
                       "the purpose \"%s\" is not served here; the one that is allowed is \"fine-tune\"", purpose);
  return error_set(err, STATUS_INVALID_PURPOSE, "purpose",
                   "\"%.64s\" is no purpose; the one that is allowed, for data and for adapters, is \"fine-tune\"",
                   purpose);
}

enum status upload_check_pending(const struct upload_row *row, struct error *err) {
  if (row->status == UPLOAD_PENDING)
    return STATUS_OK;
  return error_set(err, STATUS_UPLOAD_ENDED, "upload_id", "the upload is %s", upload_status_name(row->status));
}

static enum status on_part(void *context, const char *name, const char *filename, struct error *err) {
  struct upload *upload = context;
  char full[PATH_BYTES];
  upload->part = PART_FILE;
  while (upload->part < PART_COUNT && (!upload->names[upload->part] || strcmp(upload->names[upload->part], name) != 0))
    upload->part++;
  if (upload->part == PART_COUNT)
    return error_set(err, STATUS_UNKNOWN_PARAMETER, "name", "there is no field \"%.64s\"; %s", name,
                     upload->kind == UPLOAD_OF_PART ? "the only one is data"
                                                    : "the fields are file, purpose, expires_after[anchor] and"
                                                      " expires_after[seconds]");
  if (upload->seen[upload->part])
    return error_set(err, STATUS_INVALID_VALUE, name, "the field %s came twice", name);
  upload->seen[upload->part] = true;
  if (upload->part != PART_FILE)
    return STATUS_OK;
  if (upload->kind == UPLOAD_OF_FILE && (!filename || !filename[0]))
    return error_set(err, STATUS_INVALID_VALUE, "file", "the field file needs a filename: its ending tells the format");
  snprintf(upload->filename, sizeof upload->filename, "%s", filename ? filename : "");
  rng_id(upload->id, sizeof upload->id, upload->kind == UPLOAD_OF_PART ? "part_" : "file-");
  enum status status = path_format(upload->path, err, PATH_FILE, upload->id);
  if (!status)
    status = path_format(full, err, "%s/%s", upload->server->config->data, upload->path);
  return status ? status : file_create(&upload->file, full, err);
}

int64_t upload_arriving(const struct server *server, const char *tenant) {
  int64_t bytes = 0;
  for (const struct upload *upload = server->uploads; upload; upload = upload->next)
    if (!upload->arrived && strcmp(upload->tenant, tenant) == 0)
      bytes += (int64_t)upload->file.bytes;
  return bytes;
}

/* Looks for room a megabyte at a time: what others of the tenant send meanwhile counts too. */
static enum status charge(struct upload *upload, size_t length, struct error *err) {
  uint64_t bytes = upload->file.bytes + length;
  if (bytes <= upload->charged)
    return STATUS_OK;
  upload->charged = bytes + CHARGE_BYTES;
  int64_t arriving = upload_arriving(upload->server, upload->tenant) + (int64_t)length;
  return limits_bytes(upload->server, upload->tenant, arriving, upload->names[PART_FILE], err);
}

static enum status on_data(void *context, const char *bytes, size_t length, struct error *err) {
  struct upload *upload = context;
  if (upload->part != PART_FILE) {
    if (!str_add(&upload->value[upload->part], bytes, length))
      return error_set(err, STATUS_INVALID_VALUE, upload->names[upload->part], "%s is longer than %d bytes",
                       upload->names[upload->part], FIELD_BYTES_MAX);
    return STATUS_OK;
  }
  if (upload->file.bytes + length > (uint64_t)upload->bytes_max)
    return error_set(err, STATUS_TOO_LARGE, upload->names[PART_FILE], "the %s larger than the limit of %lld bytes",
                     upload->kind == UPLOAD_OF_PART ? "part is, with those that are there," : "file is",
                     (long long)upload->bytes_max);
  upload->server->metrics.upload_bytes += length;
  enum status status = charge(upload, length, err);
  return status ? status : file_write(&upload->file, bytes, length, err);
}

static enum status on_part_end(void *context, struct error *err) {
  struct upload *upload = context;
  struct str *value = &upload->value[upload->part];
  bool text = strlen(value->text) == value->length && utf8_valid(value->text, value->length, NULL);
  if (upload->part != PART_FILE && !text)
    return error_set(err, STATUS_INVALID_VALUE, upload->names[upload->part], "%s is not text",
                     upload->names[upload->part]);
  return upload->part == PART_PURPOSE ? upload_check_purpose(value->text, err) : STATUS_OK;
}

enum status upload_new(struct upload **out, struct server *server, const char *tenant, enum upload_kind kind,
                       int64_t bytes_max, const char *content_type, struct error *err) {
  static const struct multipart_calls calls = {on_part, on_data, on_part_end};
  struct upload *upload = calloc(1, sizeof *upload);
  *out = NULL;
  if (!upload)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting an upload");
  upload->server = server;
  upload->kind = kind;
  upload->names = names_of_kind[kind];
  upload->bytes_max = bytes_max;
  snprintf(upload->tenant, sizeof upload->tenant, "%s", tenant);
  upload->file.fd = -1;
  upload->next = server->uploads;
  upload->link = &server->uploads;
  if (upload->next)
    upload->next->link = &upload->next;
  server->uploads = upload;
  for (size_t i = 0; i < PART_COUNT; i++)
    str_init(&upload->value[i], FIELD_BYTES_MAX);
  enum status status = multipart_init(&upload->parser, content_type, &calls, upload, err);
  if (status) {
    upload_free(upload);
    return status;
  }
  *out = upload;
  return STATUS_OK;
}

void upload_free(struct upload *upload) {
  if (!upload)
    return;
  CHECK(!upload->publishing);
  *upload->link = upload->next;
  if (upload->next)
    upload->next->link = upload->link;
  file_discard(&upload->file);
  for (size_t i = 0; i < PART_COUNT; i++)
    str_done(&upload->value[i]);
  free(upload);
}

const char *upload_id(const struct upload *upload) {
  return upload->id;
}

const struct uploaded *upload_result(const struct upload *upload) {
  return &upload->uploaded;
}

enum status upload_feed(struct upload *upload, const char *bytes, size_t length, struct error *err) {
  return multipart_feed(&upload->parser, bytes, length, err);
}

/* expires_after[anchor] must be created_at; [seconds] has OpenAI's bounds. */
static enum status read_expiry(int64_t *out, const struct upload *upload, struct error *err) {
  *out = 0;
  if (!upload->seen[PART_ANCHOR] && !upload->seen[PART_SECONDS])
    return STATUS_OK;
  if (!upload->seen[PART_ANCHOR] || strcmp(upload->value[PART_ANCHOR].text, "created_at") != 0)
    return error_set(err, STATUS_INVALID_VALUE, upload->names[PART_ANCHOR], "expires_after[anchor] must be created_at");
  const char *text = upload->value[PART_SECONDS].text;
  char *end;
  errno = 0;
  *out = strtoll(text, &end, 10);
  if (end == text || *end || errno || *out < UPLOAD_EXPIRES_MIN_S || *out > UPLOAD_EXPIRES_MAX_S)
    return error_set(err, STATUS_INVALID_VALUE, upload->names[PART_SECONDS],
                     "expires_after[seconds] must be an integer in %d..%d", UPLOAD_EXPIRES_MIN_S, UPLOAD_EXPIRES_MAX_S);
  return STATUS_OK;
}

/* The sync of a large file takes seconds. */
static void publish(uv_work_t *work) {
  struct upload *upload = work->data;
  upload->status = file_publish(&upload->file, upload->sha256, &upload->err);
}

static void on_published(uv_work_t *work, int code) {
  struct upload *upload = work->data;
  (void)code; /* never cancelled */
  upload->publishing = false;
  upload->arrived = true;
  upload->server->publishing--;
  upload->published(upload->request, &upload->uploaded, upload->status ? &upload->err : NULL);
}

enum status upload_end(struct upload *upload, upload_published *published, struct request *request, struct error *err) {
  int64_t expires_after;
  enum status status = multipart_end(&upload->parser, err);
  for (enum upload_part part = PART_FILE; !status && part <= PART_PURPOSE; part++)
    if (upload->names[part] && !upload->seen[part])
      status =
          error_set(err, STATUS_MISSING_PARAMETER, upload->names[part], "the field %s is missing", upload->names[part]);
  if (!status)
    status = read_expiry(&expires_after, upload, err);
  if (status)
    return status;
  upload->uploaded = (struct uploaded){.id = upload->id,
                                       .filename = upload->filename,
                                       .purpose = upload->value[PART_PURPOSE].text,
                                       .expires_after = expires_after,
                                       .bytes = (int64_t)upload->file.bytes,
                                       .sha256 = upload->sha256,
                                       .path = upload->path};
  upload->published = published;
  upload->request = request;
  upload->publishing = true;
  upload->server->publishing++;
  upload->work.data = upload;
  CHECK(uv_queue_work(upload->server->uv, &upload->work, publish, on_published) == 0);
  return STATUS_OK;
}
