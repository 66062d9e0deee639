/* JSON as text: where the members of an object lie, found without making values of them. For text that goes on as it
 * is. */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct json_text {
  const char *at;
  size_t length;
};

/* Is it one JSON value and nothing else, at most 32 deep, in UTF-8? The functions below are for such. */
bool json_text_valid(struct json_text text);

/* The members of an object one after the other, in their order; *offset is 0 at first. `name` is what stands between
   the quotes, escapes as they are. False: there are no more, or it is no object. */
bool json_text_next(struct json_text *name, struct json_text *value, size_t *offset, struct json_text object);
/* The first of that name; *out is empty where there is none. */
bool json_text_get(struct json_text *out, struct json_text object, const char *name);

#endif
