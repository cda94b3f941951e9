/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "sse2.h"
#include "../algorithms.h"
#include "../stages.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("sse2")};

const convpool_isa convpool_isa_sse2 = {
    .name = "sse2",
    .needs = CONVPOOL_NEEDS_SSE2,
    .fused = VEC_FUSED,
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof *kernels,
    .max_pool_2x2 = max_pool_2x2,
    .relu = relu,
};
