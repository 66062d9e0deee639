#include "sandbox/layers.h"

#include "sandbox/calls.h"
#include "sandbox/files.h"
#include "sandbox/limits.h"
#include "sandbox/process.h"

static const struct {
  const char *name;
  bool may_lack;
  enum status (*set)(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);
} layers[LAYER_COUNT] = {
    [LAYER_PARENT] = {"parent", false, process_follow},
    [LAYER_DESCRIPTORS] = {"descriptors", false, process_close},
    [LAYER_ENVIRONMENT] = {"environment", false, process_clean},
    [LAYER_LIMITS] = {"limits", true, limits_set},
    [LAYER_NAMESPACES] = {"namespaces", true, process_unshare},
    [LAYER_CAPABILITIES] = {"capabilities", true, process_drop},
    [LAYER_LANDLOCK] = {"landlock", true, files_set},
    [LAYER_SECCOMP] = {"seccomp", true, calls_set},
};

const char *layer_name(enum layer layer) {
  return layers[layer].name;
}

bool layer_may_lack(enum layer layer) {
  return layers[layer].may_lack;
}

enum status layer_set(enum layer layer, const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  detail[0] = '\0';
  return layers[layer].set(plan, detail, err);
}

enum status layers_set(const struct plan *plan, struct error *err) {
  char detail[LAYER_DETAIL_BYTES];
  for (int i = 0; i < LAYER_COUNT; i++) {
    enum status status = plan->without[i] ? STATUS_OK : layer_set((enum layer)i, plan, detail, err);
    if (status)
      return error_prefix(err, "%s", layers[i].name);
  }
  return STATUS_OK;
}
