/* SPDX-License-Identifier: MIT */
/* What an ISA's file ends with: its table. `what` are the bits of CONVPOOL_NEEDS_... */
#ifndef CONVPOOL_ISA_H
#define CONVPOOL_ISA_H

#include "algorithms.h"
#include "between.h"
#include "stages.h"

#define CONVPOOL_ISA(isa, what) \
    static const convpool_kernel kernels_##isa[] = {CONVPOOL_KERNELS(#isa)}; \
    const convpool_isa convpool_isa_##isa = { \
        .name = #isa, \
        .needs = what, \
        .fused = VEC_FUSED, \
        .kernels = kernels_##isa, \
        .kernel_count = sizeof kernels_##isa / sizeof *kernels_##isa, \
        .max_pool_2x2 = stage_max_pool_2x2, \
        .relu = stage_relu, \
        .global_average = stage_global_average, \
        .softmax = stage_softmax, \
        .between = stage_between, \
    };

#endif
