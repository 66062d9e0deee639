/* What a conversation may have that a chat template may refuse: told of a data file when it is checked, of a model when
   it is looked at, and compared when a job is created. */
#ifndef API_CHAT_FEATURE_H
#define API_CHAT_FEATURE_H

enum chat_feature {
#define CHAT_FEATURE(name, text, words) CHAT_##name,
#include "api/chat_feature.def"
#undef CHAT_FEATURE
  CHAT_FEATURE_COUNT
};

/* "system" */
const char *chat_feature_name(enum chat_feature feature);
/* "a system message" */
const char *chat_feature_words(enum chat_feature feature);

#endif
