/* A request while it is answered. */
#ifndef WORKER_GENERATE_ACTIVE_H
#define WORKER_GENERATE_ACTIVE_H

#include "worker/generate/detokenizer.h"
#include "worker/generate/sampler.h"
#include "worker/generate/served.h"
#include "worker/generate/tool_calls.h"

struct active {
  struct active *next;
  struct arena arena;
  json_t *document; /* the line's */
  struct generation_request request;
  struct served *served;
  int32_t *ids;      /* [count] the prompt's tokens and the completion's so far; `limit` fit */
  uint8_t *type_ids; /* [prompt] of texts that are not generated from; NULL: all 0 */
  size_t prompt, count, limit;
  struct kv_cache cache; /* of ids[0 .. past) */
  size_t cache_bytes;
  struct sampler sampler;
  struct detokenizer text;
  struct tool_calls calls; /* in what it tells */
  size_t told;             /* tokens of the completion, the one that ended it among them */
  bool ended;              /* it goes */
};

#endif
