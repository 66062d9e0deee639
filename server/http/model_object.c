#include "server/http/model_object.h"

#include "server/http/reply.h"
#include "server/inspected.h"

/* Takes the references of the last three. */
static json_t *model_object(const char *id, int64_t created, const char *owner, const char *format, json_t *usable,
                            json_t *error, json_t *capabilities) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o}", "id", id, "object", "model", "created",
                   (json_int_t)created, "owned_by", owner, "format", format, "usable", usable, "error", error,
                   "capabilities", capabilities);
}

json_t *model_base_object(struct server *server, const struct base_model *base) {
  const struct inspected *inspected = inspected_of(server->inspected, base);
  json_t *usable = json_null(), *error = json_null(), *capabilities = json_null();
  if (inspected && inspected->state == INSPECTED_KNOWN && inspected->error.status) {
    usable = json_false();
    error = json_pack("{s:s, s:o}", "code", status_code(inspected->error.status), "message",
                      reply_message(server, inspected->error.text));
  } else if (inspected && inspected->state == INSPECTED_KNOWN && inspected->report) {
    usable = json_true();
    capabilities = json_incref(inspected->report);
  }
  return model_object(base->id, base->created, "reflectd", model_format_name(base->format), usable, error,
                      capabilities);
}

json_t *model_tuned_object(const char *name, int64_t finished_at) {
  return model_object(name, finished_at, "user", "peft", json_true(), json_null(), json_null());
}
