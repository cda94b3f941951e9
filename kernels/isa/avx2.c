/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "avx2.h"
#include "../algorithms.h"
#include "../stages.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("avx2")};

const convpool_isa convpool_isa_avx2 = {
    .name = "avx2",
    .needs = CONVPOOL_NEEDS_AVX2 | CONVPOOL_NEEDS_FMA3,
    .fused = VEC_FUSED,
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof *kernels,
    .max_pool_2x2 = max_pool_2x2,
    .relu = relu,
};
