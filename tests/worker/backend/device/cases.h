/* All cases of the device's kernels, for the host and for OpenCL. */
#ifndef TESTS_WORKER_BACKEND_DEVICE_CASES_H
#define TESTS_WORKER_BACKEND_DEVICE_CASES_H

#include "tests/worker/backend/device/cases_attention.h"
#include "tests/worker/backend/device/cases_products.h"
#include "tests/worker/backend/device/cases_rows.h"
#include "tests/worker/backend/device/cases_similarity.h"
#include "tests/worker/backend/device/cases_training.h"

static const struct CMUnitTest device_cases[] = {
    cmocka_unit_test(test_matmul),
    cmocka_unit_test(test_matmul_weights),
    cmocka_unit_test(test_matmul_batches),
    cmocka_unit_test(test_decode),
    cmocka_unit_test(test_round),
    cmocka_unit_test(test_skinny),
    cmocka_unit_test(test_column_sums),
    cmocka_unit_test(test_sum_squares),
    cmocka_unit_test(test_dropout),
    cmocka_unit_test(test_elements),
    cmocka_unit_test(test_geglu),
    cmocka_unit_test(test_columns),
    cmocka_unit_test(test_scale),
    cmocka_unit_test(test_rope),
    cmocka_unit_test(test_embeddings),
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_unfold),
    cmocka_unit_test(test_token_rows),
    cmocka_unit_test(test_token_logits),
    cmocka_unit_test(test_layernorm),
    cmocka_unit_test(test_layernorm_of_itself),
    cmocka_unit_test(test_rmsnorm),
    cmocka_unit_test(test_mean_rows),
    cmocka_unit_test(test_unit_rows),
    cmocka_unit_test(test_similarity),
    cmocka_unit_test(test_attention),
    cmocka_unit_test(test_attention_seen),
    cmocka_unit_test(test_attention_dropout),
    cmocka_unit_test(test_attention_rows),
    cmocka_unit_test(test_attention_wide),
    cmocka_unit_test(test_attention_distances),
    cmocka_unit_test(test_cross_entropy),
    cmocka_unit_test(test_squared_error),
    cmocka_unit_test(test_binary_cross_entropy),
    cmocka_unit_test(test_adamw),
};

#endif
