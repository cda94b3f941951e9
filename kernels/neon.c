/* SPDX-License-Identifier: MIT */
#include "vector_neon.h"

#include "direct.h"
#include "stages.h"
#include "winograd.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("neon")};

const convpool_isa convpool_isa_neon = {
    "neon", 0, kernels, sizeof kernels / sizeof *kernels, max_pool_2x2, relu,
};
