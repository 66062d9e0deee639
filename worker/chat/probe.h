/* What a chat template refuses, found by rendering a small conversation for each feature. */
#ifndef WORKER_CHAT_PROBE_H
#define WORKER_CHAT_PROBE_H

#include "api/chat_feature.h"
#include "worker/chat/chat_template.h"

/* A new object: the name of each feature that the template refuses, with its words. STATUS_DATASET_INVALID or
   STATUS_UNSUPPORTED_VALUE when it cannot render a question and an answer; STATUS_OUT_OF_MEMORY. */
NODISCARD enum status probe_chat_template(json_t **refused, const struct chat_template *chat, struct error *err);

#endif
