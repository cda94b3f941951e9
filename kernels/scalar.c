/* SPDX-License-Identifier: MIT */
#include "vector_scalar.h"

#include "direct.h"
#include "stages.h"
#include "winograd.h"

static const convpool_kernel kernels[] = {CONVPOOL_KERNELS("scalar")};

const convpool_isa convpool_isa_scalar = {
    "scalar", 0, kernels, sizeof kernels / sizeof *kernels, max_pool_2x2, relu,
};
