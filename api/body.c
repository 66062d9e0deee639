#include "api/body.h"

#include "base/hash.h"

#define TABLE(rows)                                                                                                    \
  { .fields = (rows), .count = COUNT_OF(rows) }

static const char *const scopes[] = {"read", "submit", "admin", NULL};
static const struct field key_rows[] = {
    {"name", NULL, FIELD_STRING, offsetof(struct key_body, name), FIELD_REQUIRED, 1, KEY_NAME_MAX,
     .doc = "What people know the key by."},
    {"scope", NULL, FIELD_CHOICE, offsetof(struct key_body, scope), 0, 0, 0, scopes, "submit",
     .doc = "What the key may do; each scope includes those before it."},
    {"expires_in_s", NULL, FIELD_INT, offsetof(struct key_body, expires_in_s), 0, 0, 10.0 * 366 * 24 * 3600,
     .unit = "seconds", .doc = "Time until the key is refused; 0: never."},
};
static const struct field rotate_rows[] = {
    {"grace_s", NULL, FIELD_INT, offsetof(struct rotate_body, grace_s), 0, 0, KEY_GRACE_MAX_S, .initial = "86400",
     .unit = "seconds", .doc = "Time that the old key works on."},
};
static const struct field tenant_rows[] = {
#define LIMIT(name, member, max, text)                                                                                 \
  { name, NULL, FIELD_INT, offsetof(struct tenant_body, member), FIELD_NULLABLE, -1, max, .initial = "-1", .doc = text }
    LIMIT("queued_jobs_max", queued_max, 1e6,
          "Jobs that may wait; 0: any number; null or -1: as the server is configured; absent: stays."),
    LIMIT("running_jobs_max", running_max, 1e6, "Jobs that train at the same time, likewise."),
    LIMIT("stored_bytes_max", bytes_max, 1e15, "Bytes of uploads, artifacts and states, likewise."),
#undef LIMIT
};
static const struct field export_rows[] = {
    {"exports", NULL, FIELD_STRING_LIST, offsetof(struct exports_body, exports), FIELD_REQUIRED, 1, 16,
     .doc = "Formats to write, as the job's exports names them."},
};

#define AT(member) offsetof(struct upload_body, member)
static const struct field upload_rows[] = {
    {"bytes", NULL, FIELD_INT, AT(bytes), FIELD_REQUIRED, 0, 1e15, .unit = "bytes", .doc = "Size of the whole file."},
    {"filename", NULL, FIELD_STRING, AT(filename), FIELD_REQUIRED, 1, 255, .doc = "Its ending tells the format."},
    {"purpose", NULL, FIELD_STRING, AT(purpose), FIELD_REQUIRED, 1, 64, .doc = "fine-tune."},
    {"mime_type", NULL, FIELD_STRING, AT(mime_type), 0, 0, 255, .doc = "Not used: the file's name tells the format."},
};
static const struct field expiry_rows[] = {
    {"anchor", NULL, FIELD_STRING, AT(anchor), FIELD_REQUIRED, 1, 64, .doc = "created_at."},
    {"seconds", NULL, FIELD_INT, AT(seconds), FIELD_REQUIRED, UPLOAD_EXPIRES_MIN_S, UPLOAD_EXPIRES_MAX_S,
     .unit = "seconds", .doc = "Age at which the file is removed."},
};
#undef AT
const struct field_table upload_expiry_fields = TABLE(expiry_rows);
static const struct field completion_rows[] = {
    {"part_ids", NULL, FIELD_STRING_LIST, offsetof(struct completion_body, part_ids), FIELD_REQUIRED, 0, 100000,
     .doc = "The parts in the order of the file."},
    {"md5", NULL, FIELD_STRING, offsetof(struct completion_body, md5), 0, MD5_HEX - 1, MD5_HEX - 1,
     .doc = "MD5 of the whole file, in hexadecimal: it is compared."},
};

#define WEBHOOK(flags)                                                                                                 \
  {"name", NULL, FIELD_STRING,     offsetof(struct webhook_body, name),                                                \
   flags,  1,    WEBHOOK_NAME_MAX, .doc = "What people know the endpoint by."},                                        \
      {"url", NULL, FIELD_STRING,    offsetof(struct webhook_body, url),                                               \
       flags, 1,    WEBHOOK_URL_MAX, .doc = "Where events are sent, https://."},                                       \
      {"event_types",                                                                                                  \
       NULL,                                                                                                           \
       FIELD_STRING_LIST,                                                                                              \
       offsetof(struct webhook_body, event_types),                                                                     \
       flags,                                                                                                          \
       1,                                                                                                              \
       16,                                                                                                             \
       .doc = "What is told, as /v1/webhook_event_types names it."},
static const struct field webhook_rows[] = {WEBHOOK(FIELD_REQUIRED)};
static const struct field webhook_change_rows[] = {WEBHOOK(0)};
#undef WEBHOOK
static const struct field webhook_test_rows[] = {
    {"event_type", NULL, FIELD_STRING, offsetof(struct webhook_test_body, event_type), FIELD_REQUIRED, 1, 64,
     .doc = "What the sample tells of."},
};
static const struct field webhook_secret_rows[] = {
    {"keep_old_secret_active_for_24_hours", NULL, FIELD_BOOL, offsetof(struct webhook_secret_body, keep),
     .doc = "The old secret signs too for a day."},
};

static const struct field_table tables[OP_COUNT] = {
    [OP_webhooks_create] = TABLE(webhook_rows),
    [OP_webhooks_update] = TABLE(webhook_change_rows),
    [OP_webhooks_test] = TABLE(webhook_test_rows),
    [OP_webhooks_rotate_secret] = TABLE(webhook_secret_rows),
    [OP_uploads_create] = TABLE(upload_rows),
    [OP_uploads_complete] = TABLE(completion_rows),
    [OP_keys_create] = TABLE(key_rows),
    [OP_keys_rotate] = TABLE(rotate_rows),
    [OP_tenants_update] = TABLE(tenant_rows),
    [OP_exports_create] = TABLE(export_rows),
};

bool body_required(const struct field_table *table) {
  bool required = false;
  for (size_t i = 0; i < table->count; i++)
    required |= table->fields[i].flags & FIELD_REQUIRED;
  return required;
}

const struct field_table *body_fields(enum operation op) {
  return op < OP_COUNT && tables[op].count ? &tables[op] : NULL;
}
