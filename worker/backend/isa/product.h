/* The two loops of worker/backend/product.h, for the table of kernels. */
#ifndef WORKER_BACKEND_ISA_PRODUCT_H
#define WORKER_BACKEND_ISA_PRODUCT_H

#include "worker/backend/isa/vector.h"
#include "worker/backend/kernels.h"

void ISA_NAME(pack)(float *panel, const float *const *rows, size_t count, size_t depth);
void ISA_NAME(product)(const struct panel_product *product);

#endif
