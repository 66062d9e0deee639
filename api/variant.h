/* The methods that are compared with each other: an adapter method, or one with a switch of its own, and the size at
   which it trains as many parameters as another. One table for sweeps and for `reflect bench`. */
#ifndef API_VARIANT_H
#define API_VARIANT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct variant {
  const char *name, *peft_type;
  const char *size, *word; /* the member that has its size, and what that is called */
  double (*cost)(double size);
  bool power;      /* sizes are powers of two, so that they divide the modules' inputs */
  const char *set; /* one more member, and its JSON; NULL: none */
  const char *to;
};
enum { VARIANT_COUNT = 6 };
extern const struct variant variants[VARIANT_COUNT];
#define VARIANT_NAMES "hra, hra-gs, hra-lambda, lora, oft, boft"

/* NULL: there is none of that name. */
const struct variant *variant_find(const char *name, size_t length);
/* What an input of an adapted module costs in parameters with such an `adapter` (NULL: a job's default); NAN: that
   depends on the model, or on what is no number. */
double variant_cost(const json_t *adapter);
/* The size whose cost is nearest; of two the smaller. */
int64_t variant_matched(const struct variant *variant, double cost);
/* The adapter of that size: what all methods share is `base`'s (may be NULL), its own members are the method's. A new
   reference; NULL: no memory. */
json_t *variant_adapter(const json_t *base, const struct variant *variant, int64_t size);

#endif
