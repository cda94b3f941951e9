/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "avx512.h"
#include "../algorithms.h"
#include "../stages.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("avx512")};

const convpool_isa convpool_isa_avx512 = {
    .name = "avx512",
    .needs = CONVPOOL_NEEDS_AVX512F | CONVPOOL_NEEDS_AVX512BW | CONVPOOL_NEEDS_AVX512DQ | CONVPOOL_NEEDS_AVX512VL,
    .fused = VEC_FUSED,
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof *kernels,
    .max_pool_2x2 = max_pool_2x2,
    .relu = relu,
};
