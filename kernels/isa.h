/* SPDX-License-Identifier: MIT */
/* What an ISA's file ends with: its table. `what` are the bits of CONVPOOL_NEEDS_... */
#ifndef CONVPOOL_ISA_H
#define CONVPOOL_ISA_H

#include "algorithms.h"
#include "between.h"
#include "depthwise.h"
#include "stages.h"

/* The stages, as others call them: as a kernel's functions, they end with vec_end(). They have nothing in memory, which
 * AddressSanitizer would clear with vectors behind it. */
static void isa_max_pool_2x2(const float *input, size_t channels, size_t height, size_t width, float *output) {
    stage_max_pool_2x2(input, channels, height, width, output);
    vec_end();
}
static void isa_relu(const float *input, size_t count, float *output) {
    stage_relu(input, count, output);
    vec_end();
}
static void isa_global_average(const float *input, size_t channels, size_t pixels, float *output) {
    stage_global_average(input, channels, pixels, output);
    vec_end();
}
static void isa_softmax(const float *input, size_t count, float *output) {
    stage_softmax(input, count, output);
    vec_end();
}
static void isa_between(const convpool_between *stage, const float *input, float *output) {
    (stage->kind == CONVPOOL_STAGE_DEPTHWISE ? stage_depthwise : stage_between)(stage, input, output);
    vec_end();
}

#define CONVPOOL_ISA(isa, what) \
    static const convpool_kernel kernels_##isa[] = {CONVPOOL_KERNELS(#isa)}; \
    const convpool_isa convpool_isa_##isa = { \
        .name = #isa, \
        .needs = what, \
        .fused = VEC_FUSED, \
        .kernels = kernels_##isa, \
        .kernel_count = sizeof kernels_##isa / sizeof *kernels_##isa, \
        .max_pool_2x2 = isa_max_pool_2x2, \
        .relu = isa_relu, \
        .global_average = isa_global_average, \
        .softmax = isa_softmax, \
        .between = isa_between, \
    };

#endif
