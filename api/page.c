#include "api/page.h"

static const struct page_rule rules[OP_COUNT] = {
    [OP_files_list] = {10000, 10000, true}, [OP_jobs_list] = {20, 100, false},
    [OP_jobs_events] = {20, 1000, true},    [OP_jobs_checkpoints] = {10, 1000, true},
    [OP_uploads_list] = {20, 100, true},    [OP_parts_list] = {1000, 1000, true},
    [OP_keys_list] = {20, 100, false},      [OP_audit_list] = {20, 100, false},
    [OP_sweeps_list] = {10, 20, false},
    [OP_queue_list] = {100, 1000, false},
    [OP_webhooks_list] = {20, 100, false},  [OP_webhooks_deliveries] = {20, 100, false},
};

const struct page_rule *page_rule_of(enum operation op) {
  return op < OP_COUNT && rules[op].limit ? &rules[op] : NULL;
}
