/* API keys as text: "rfd_" with a public id, a secret and a checksum, so that a typing error, and a key in a place
   where it does not belong, is known for what it is without asking the store. Pure, but for the secret's randomness. */
#ifndef API_KEY_H
#define API_KEY_H

#include <stdbool.h>

/* What a key may do; each includes those before it. */
enum scope {
  SCOPE_OPEN,   /* needs no key */
  SCOPE_READ,   /* look */
  SCOPE_SUBMIT, /* upload, create, cancel, delete */
  SCOPE_ADMIN,  /* keys, limits, audit log */
  SCOPE_COUNT
};
const char *scope_name(enum scope scope); /* "read" */
/* False: no key has a scope of that name ("open" neither). */
bool scope_parse(enum scope *out, const char *name);

enum { KEY_ID = 8, KEY_SECRET = 32, KEY_CHECK = 6, KEY_ID_BYTES = KEY_ID + 1 };
enum { KEY_BYTES = 4 + KEY_ID + 1 + KEY_SECRET + 1 + KEY_CHECK + 1 };

/* A new one. Whoever holds `text` wipes it. */
void key_make(char text[KEY_BYTES], char id[KEY_ID_BYTES]);
/* Is it a whole key, by its form and its checksum? Then *id is its id. */
bool key_parse(char id[KEY_ID_BYTES], const char *text);

#endif
