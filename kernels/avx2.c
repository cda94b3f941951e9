/* SPDX-License-Identifier: MIT */
#include "vector_avx2.h"

#include "direct.h"
#include "stages.h"
#include "winograd.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("avx2")};

const convpool_isa convpool_isa_avx2 = {
    "avx2", CONVPOOL_NEEDS_AVX2 | CONVPOOL_NEEDS_FMA3, kernels, sizeof kernels / sizeof *kernels, max_pool_2x2, relu,
};
