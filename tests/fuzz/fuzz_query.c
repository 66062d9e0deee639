/* sources: base api/page.c server/http/query.c */
/* Any request target: its query is refused with a word, or all of its pairs are text, and what is asked of it by name
   and number answers within its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/page.h"
#include "base/str.h"
#include "server/http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  AUTO(arena_done) struct arena arena;
  struct query query;
  struct page page;
  struct error err = {0};
  int64_t number;
  char *target = malloc(size + 1);
  CHECK(target);
  memcpy(target, bytes, size);
  target[size] = '\0';
  arena_init(&arena, 1 << 20);
  if (query_parse(&query, target, &arena, &err)) {
    CHECK(err.text[0]);
  } else {
    CHECK(query.count <= QUERY_PAIRS_MAX);
    for (size_t i = 0; i < query.count; i++) {
      CHECK(utf8_valid(query.pair[i].name, strlen(query.pair[i].name), NULL));
      CHECK(utf8_valid(query.pair[i].value, strlen(query.pair[i].value), NULL));
      CHECK(query_get(&query, query.pair[i].name));
    }
    if (query_int(&number, &query, "limit", 20, 1, 100, &err) == STATUS_OK)
      CHECK(number >= 1 && number <= 100);
    if (query_page(&page, &query, OP_files_list, &err) == STATUS_OK)
      CHECK(page.limit >= 1 && page.limit <= page_rule_of(OP_files_list)->limit_max);
  }
  free(target);
  return 0;
}
