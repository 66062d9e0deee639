#include "worker/results/tensorboard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/file/event_file.h"

enum { COLUMNS_MAX = 64, TAG_MAX = 64 };

struct columns {
  size_t count;
  char tag[COLUMNS_MAX][TAG_MAX];
};

static const char *past_line(const char *at) {
  at += strcspn(at, "\n");
  return *at ? at + 1 : at;
}

/* Takes a field; past it and the comma after it. */
static const char *past_field(const char *at) {
  at += strcspn(at, ",\n");
  return *at == ',' ? at + 1 : at;
}

static void name_tag(char out[TAG_MAX], const char *column, int length) {
  static const struct {
    const char *prefix, *group;
  } groups[] = {{"train_", "train"}, {"valid_", "eval"}, {"adapter_", "adapter"}};
  for (size_t i = 0; i < COUNT_OF(groups); i++) {
    int prefix = (int)strlen(groups[i].prefix);
    if (length > prefix && strncmp(column, groups[i].prefix, (size_t)prefix) == 0) {
      snprintf(out, TAG_MAX, "%s/%.*s", groups[i].group, length - prefix, column + prefix);
      return;
    }
  }
  snprintf(out, TAG_MAX, "train/%.*s", length, column);
}

static void read_header(struct columns *c, const char *at) {
  for (c->count = 0; *at && *at != '\n'; at = past_field(at)) {
    CHECK(c->count < COLUMNS_MAX);
    name_tag(c->tag[c->count++], at, (int)strcspn(at, ",\n"));
  }
}

static enum status add_row(struct event_file *f, const struct columns *c, const char *at, struct error *err) {
  struct scalar scalars[COLUMNS_MAX];
  size_t count = 0;
  int64_t step = strtoll(at, NULL, 10);
  at = past_field(at);
  for (size_t i = 1; i < c->count; i++, at = past_field(at))
    if (*at != ',' && *at != '\n' && *at)
      scalars[count++] = (struct scalar){c->tag[i], strtof(at, NULL)};
  return event_file_add(f, step, scalars, count, err);
}

enum status tensorboard_write(const char *path, const struct str *csv, struct error *err) {
  struct columns columns;
  struct event_file file;
  read_header(&columns, csv->text);
  enum status status = event_file_create(&file, path, err);
  for (const char *at = past_line(csv->text); !status && *at; at = past_line(at))
    status = add_row(&file, &columns, at, err);
  if (!status)
    return event_file_publish(&file, err);
  event_file_discard(&file);
  return status;
}
