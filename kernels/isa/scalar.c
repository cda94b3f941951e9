/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "scalar.h"
#include "../algorithms.h"
#include "../stages.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("scalar")};

const convpool_isa convpool_isa_scalar = {
    .name = "scalar",
    .needs = 0,
    .fused = VEC_FUSED,
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof *kernels,
    .max_pool_2x2 = max_pool_2x2,
    .relu = relu,
};
