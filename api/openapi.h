/* The OpenAPI 3.1 document of this server, made from endpoints.def, errors.def and the field tables,
   so that it cannot fall behind them. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include <jansson.h>

#include "base/attr.h"

/* A new reference; NULL when memory runs out. */
NODISCARD json_t *openapi_document(void);

#endif
