/* SPDX-License-Identifier: MIT */
#include "vector_sse2.h"

#include "direct.h"
#include "stages.h"
#include "winograd.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("sse2")};

const convpool_isa convpool_isa_sse2 = {
    "sse2", CONVPOOL_NEEDS_SSE2, kernels, sizeof kernels / sizeof *kernels, max_pool_2x2, relu,
};
