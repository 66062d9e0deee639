/* The small JSON bodies, as field tables: read by handlers, described by openapi.c. A job's is in job_fields.h. */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/endpoint.h"
#include "base/field.h"

enum { KEY_NAME_MAX = 100, KEY_GRACE_S = 24 * 3600, KEY_GRACE_MAX_S = 90 * 24 * 3600 };

struct key_body { /* keys_create */
  const char *name;
  int scope; /* enum scope of api/key.h, less SCOPE_READ */
  int64_t expires_in_s; /* 0: never */
};
struct rotate_body { /* keys_rotate */
  int64_t grace_s;
};
struct tenant_body { /* tenants_update; -1: as the server is configured */
  int64_t queued_max, running_max, bytes_max;
};
struct exports_body { /* exports_create */
  struct string_list exports;
};

enum { UPLOAD_EXPIRES_MIN_S = 3600, UPLOAD_EXPIRES_MAX_S = 2592000 };

struct upload_body { /* uploads_create */
  int64_t bytes;
  const char *filename, *purpose, *mime_type; /* the type says nothing that the name does not */
  const char *anchor;
  int64_t seconds; /* after which the file expires; 0: it stays */
};
extern const struct field_table upload_expiry_fields; /* its member expires_after: anchor and seconds */
struct completion_body { /* uploads_complete */
  struct string_list part_ids;
  const char *md5;
};

enum { WEBHOOK_URL_MAX = 2000, WEBHOOK_NAME_MAX = 200 };

struct webhook_body { /* webhooks_create, webhooks_update: what is absent stays */
  const char *name, *url;
  struct string_list event_types;
};
struct webhook_test_body { /* webhooks_test */
  const char *event_type;
};
struct webhook_secret_body { /* webhooks_rotate_secret */
  bool keep;
};

/* The table of the operation's body; NULL: it has none, or one of another kind. */
const struct field_table *body_fields(enum operation op);
/* Has it a member that must be there? Else the body itself may be absent. */
bool body_required(const struct field_table *table);

#endif
