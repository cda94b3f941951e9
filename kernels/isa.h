/* SPDX-License-Identifier: MIT */
/* What an ISA's file ends with: its table. `what` are the bits of CONVPOOL_NEEDS_... */
#ifndef CONVPOOL_ISA_H
#define CONVPOOL_ISA_H

#include "algorithms.h"
#include "between.h"
#include "stages.h"

#define CONVPOOL_ISA(isa, what) \
    static const convpool_kernel kernels[] = {CONVPOOL_KERNELS(#isa)}; \
    const convpool_isa convpool_isa_##isa = { \
        .name = #isa, \
        .needs = what, \
        .fused = VEC_FUSED, \
        .kernels = kernels, \
        .kernel_count = sizeof kernels / sizeof *kernels, \
        .max_pool_2x2 = max_pool_2x2, \
        .relu = relu, \
        .global_average = global_average, \
        .softmax = softmax, \
        .between = between, \
    };

#endif
