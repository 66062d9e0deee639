#include "server/http/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/page.h"
#include "base/str.h"

static int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum status decode(const char **out, const char *text, size_t length, struct arena *arena, struct error *err) {
  char *copy = arena_copy(arena, text, length);
  size_t n = 0;
  if (!copy)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the query");
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      if (i + 2 >= length || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
        return error_set(err, STATUS_INVALID_VALUE, NULL, "the query has a bad escape at \"%.12s\"", text + i);
      c = (char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
      i += 2;
    }
    if (c == '\0')
      return error_set(err, STATUS_INVALID_VALUE, NULL, "the query contains a zero byte");
    copy[n++] = c;
  }
  copy[n] = '\0';
  if (!utf8_valid(copy, n, NULL))
    return error_set(err, STATUS_INVALID_VALUE, NULL, "the query is not UTF-8");
  *out = copy;
  return STATUS_OK;
}

enum status query_parse(struct query *out, const char *target, struct arena *arena, struct error *err) {
  out->count = 0;
  const char *p = strchr(target, '?');
  while (p && *p) {
    p++;
    size_t length = strcspn(p, "&#");
    const char *equals = memchr(p, '=', length);
    size_t name_length = equals ? (size_t)(equals - p) : length;
    if (name_length > 0) {
      if (out->count == QUERY_PAIRS_MAX)
        return error_set(err, STATUS_INVALID_VALUE, NULL, "the query has more than %d parameters", QUERY_PAIRS_MAX);
      enum status status = decode(&out->pair[out->count].name, p, name_length, arena, err);
      if (!status)
        status = equals ? decode(&out->pair[out->count].value, equals + 1, length - name_length - 1, arena, err)
                        : decode(&out->pair[out->count].value, "", 0, arena, err);
      if (status)
        return status;
      out->count++;
    }
    p += length;
    if (*p == '#')
      break;
  }
  return STATUS_OK;
}

const char *query_get(const struct query *query, const char *name) {
  for (size_t i = query->count; i > 0; i--)
    if (strcmp(query->pair[i - 1].name, name) == 0)
      return query->pair[i - 1].value;
  return NULL;
}

enum status query_int(int64_t *out, const struct query *query, const char *name, int64_t fallback, int64_t min,
                      int64_t max, struct error *err) {
  const char *text = query_get(query, name);
  *out = fallback;
  if (!text)
    return STATUS_OK;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (!text[0] || *end || errno || strchr(" \t\n+", text[0]) || value < min || value > max)
    return error_set(err, STATUS_INVALID_VALUE, name,
                     "%s must be an integer in %" PRId64 "..%" PRId64 ", not \"%.32s\"", name, min, max, text);
  *out = value;
  return STATUS_OK;
}

enum status query_bool(bool *out, const struct query *query, const char *name, struct error *err) {
  const char *value = query_get(query, name);
  *out = value && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
  if (!value || *out || strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, name, "%s must be true or false", name);
}

enum status query_page(struct page *out, const struct query *query, enum operation op, struct error *err) {
  const char *order = query_get(query, "order");
  const struct page_rule *rule = page_rule_of(op);
  CHECK(rule);
  *out = (struct page){.after = query_get(query, "after"), .limit = rule->limit};
  if (out->after && !out->after[0])
    out->after = NULL;
  if (order && strcmp(order, "asc") == 0)
    out->ascending = true;
  else if (order && strcmp(order, "desc") != 0)
    return error_set(err, STATUS_INVALID_VALUE, "order", "order must be \"asc\" or \"desc\", not \"%.32s\"", order);
  if (out->ascending && !rule->both_orders)
    return error_set(err, STATUS_INVALID_VALUE, "order", "this list has the newest first always");
  return query_int(&out->limit, query, "limit", rule->limit, 1, rule->limit_max, err);
}
