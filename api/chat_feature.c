#include "api/chat_feature.h"

#include "base/error.h"

static const struct {
  const char *name, *words;
} features[CHAT_FEATURE_COUNT] = {
#define CHAT_FEATURE(name, text, words) [CHAT_##name] = {text, words},
#include "api/chat_feature.def"
#undef CHAT_FEATURE
};

const char *chat_feature_name(enum chat_feature feature) {
  CHECK(feature < CHAT_FEATURE_COUNT);
  return features[feature].name;
}

const char *chat_feature_words(enum chat_feature feature) {
  CHECK(feature < CHAT_FEATURE_COUNT);
  return features[feature].words;
}
