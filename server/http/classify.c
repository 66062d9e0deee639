/* POST /v1/classify: what a classifier takes each text, or pair of texts, for. */
#include "server/http/answering.h"

static enum status whole(json_t **out, const struct answering *answering, struct error *err) {
  json_t *data = json_array(), *usage = answering_usage(answering);
  int bad = 0;
  for (size_t i = 0; i < answering->part_count; i++) {
    json_t *scores = answering->part[i].scores, *best = json_array_get(scores, 0);
    bad |= json_array_append_new(data, json_pack("{s:s, s:I, s:O?, s:O?, s:O?}", "object", "classification", "index",
                                                 (json_int_t)i, "label", json_object_get(best, "label"), "score",
                                                 json_object_get(best, "score"), "scores", scores));
  }
  json_object_del(usage, "completion_tokens");
  *out = json_pack("{s:s, s:o, s:s, s:o}", "object", "list", "data", data, "model", answering->body.model, "usage",
                   usage);
  if (!bad && *out)
    return STATUS_OK;
  json_decref(*out);
  return error_no_memory(err, "the answer");
}

static const struct answer_kind classification = {.whole = whole};

void http_classify_create(struct request *request) {
  answering_reply(request, &classification);
}
