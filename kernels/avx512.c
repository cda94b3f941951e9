/* SPDX-License-Identifier: MIT */
#include "vector_avx512.h"

#include "direct.h"
#include "stages.h"
#include "winograd.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("avx512")};

const convpool_isa convpool_isa_avx512 = {
    "avx512",     CONVPOOL_NEEDS_AVX512F | CONVPOOL_NEEDS_AVX512BW | CONVPOOL_NEEDS_AVX512DQ | CONVPOOL_NEEDS_AVX512VL,
    kernels,      sizeof kernels / sizeof *kernels,
    max_pool_2x2, relu,
};
