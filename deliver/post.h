/* One POST to an address that somebody else chose. The only file of this program that knows libcurl. */
#ifndef DELIVER_POST_H
#define DELIVER_POST_H

#include <jansson.h>

#include "base/error.h"

/* The order {"url", "headers": ["name: value", ...], "body", "http": may it be http://, "any": may the address be one
   that is not public, "timeout_ms"}. *http_status: of the answer, whatever it is. Else the error says why there is
   none: STATUS_INVALID_VALUE where the address is refused, STATUS_IO else. */
NODISCARD enum status post(int *http_status, const json_t *order, struct error *err);

#endif
