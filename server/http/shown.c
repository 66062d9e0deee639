#include "server/http/shown.h"

#include <stdlib.h>
#include <string.h>

#include "api/tenant.h"
#include "base/clock.h"
#include "server/http/reply.h"

enum { ENTRIES = 64, TEXT_BYTES_MAX = 32 << 10, ID_BYTES = 64 };

struct entry {
  char tenant[TENANT_BYTES], job_id[ID_BYTES]; /* job_id "": none */
  struct db_version version;
  int64_t second;
  size_t length;
  char *text;
};

struct shown {
  struct entry entry[ENTRIES];
  const struct request *asks; /* who was told last that there is nothing, and when: what it reads is not older */
  struct db_version version;
  int64_t second;
};

static struct entry *entry_of(struct server *server, const char *job_id) {
  uint32_t hash = 2166136261u;
  if (!server->shown)
    server->shown = calloc(1, sizeof *server->shown); /* without memory nothing is kept */
  for (; *job_id; job_id++)
    hash = (hash ^ (unsigned char)*job_id) * 16777619u;
  return server->shown ? &server->shown->entry[hash % ENTRIES] : NULL;
}

bool shown_reply(struct request *request, const char *job_id) {
  struct server *server = request->server;
  const struct entry *entry = entry_of(server, job_id);
  struct shown *shown = server->shown;
  struct error err;
  struct str text;
  if (!entry)
    return false;
  shown->asks = db_version(&shown->version, server->db, &err) ? NULL : request;
  shown->second = clock_unix();
  if (!shown->asks || strcmp(entry->job_id, job_id) != 0 || strcmp(entry->tenant, request->tenant) != 0 ||
      entry->second != shown->second || !db_version_same(&shown->version, &entry->version))
    return false;
  str_init(&text, REPLY_BYTES_MAX);
  str_add(&text, entry->text, entry->length);
  reply_json_text(request, &text, NULL, NULL);
  return true;
}

void shown_keep(struct request *request, const char *job_id, const struct str *text) {
  struct shown *shown = request->server->shown;
  bool asked = shown && shown->asks == request;
  if (!asked || text->failed || text->length > TEXT_BYTES_MAX || strlen(job_id) >= ID_BYTES ||
      db_gathered(request->server->db))
    return;
  struct entry *entry = entry_of(request->server, job_id);
  char *copy = realloc(entry->text, text->length);
  entry->job_id[0] = '\0';
  if (!copy)
    return;
  memcpy(copy, text->text, text->length);
  entry->text = copy;
  entry->length = text->length;
  entry->version = shown->version;
  entry->second = shown->second;
  snprintf(entry->tenant, sizeof entry->tenant, "%s", request->tenant);
  snprintf(entry->job_id, sizeof entry->job_id, "%s", job_id);
}

void shown_free(struct shown *shown) {
  for (size_t i = 0; shown && i < ENTRIES; i++)
    free(shown->entry[i].text);
  free(shown);
}
