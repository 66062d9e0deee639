/* How long the pages of each list are. */
#ifndef API_PAGE_H
#define API_PAGE_H

#include <stdbool.h>

#include "api/endpoint.h"

struct page_rule {
  int limit, limit_max; /* items on a page, where `limit` is absent, and at most */
  bool both_orders;     /* order=asc is possible; else the newest is always first */
};
/* NULL: the operation's answer has no pages. */
const struct page_rule *page_rule_of(enum operation op);

#endif
