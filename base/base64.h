/* Base64 (RFC 4648, section 4). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

/* Appended. False when it does not fit. */
bool base64_add(struct str *out, const void *bytes, size_t length);

/* The caller frees *out. STATUS_INVALID_VALUE: it is no base64. */
NODISCARD enum status base64_read(unsigned char **out, size_t *length, const char *text, struct error *err);

#endif
