/* Models as clients see them. */
#ifndef SERVER_HTTP_MODEL_OBJECT_H
#define SERVER_HTTP_MODEL_OBJECT_H

#include "server/http/request.h"
#include "server/models.h"

/* `usable` is null as long as nobody has looked at the model. A new reference. */
NODISCARD json_t *model_base_object(struct server *server, const struct base_model *base);
/* One that was trained here. A new reference. */
NODISCARD json_t *model_tuned_object(const char *name, int64_t finished_at);

#endif
