/* SPDX-License-Identifier: MIT */
/* The header as a program of C or C++ meets it, with every warning that may be asked for. Compiled, not run. */
#include <convpool.h>

#ifdef __cplusplus
#define ZERO \
    {}
#else
#define ZERO \
    { 0 }
#endif

/* The bounds are constant expressions of numbers of any type. */
enum { CHANNELS = 16 };
extern unsigned char layer_memory[CONVPOOL_LAYER_MEMORY_MAX(CHANNELS, 32)];
extern unsigned char layer_scratch[CONVPOOL_LAYER_SCRATCH_MAX(16, 25u, 25L, sizeof(char) * 32)];

#ifndef __cplusplus /* whose compilers may warn of the one or of the other */
size_t of_signed(int channels, int outputs);
size_t of_signed(int channels, int outputs) { return CONVPOOL_LAYER_MEMORY_MAX(channels, outputs); }
#endif

convpool_status make(const float *weights, convpool_layer **layer);
convpool_status make(const float *weights, convpool_layer **layer) {
    convpool_layer_spec spec = ZERO;
    spec.in_channels = CHANNELS, spec.in_height = 25, spec.in_width = 25, spec.out_channels = 32;
    size_t bound = CONVPOOL_LAYER_MEMORY_MAX(spec.in_channels, spec.out_channels);
    return bound < sizeof layer_memory
               ? CONVPOOL_OUT_OF_MEMORY
               : convpool_layer_create_in(&spec, weights, NULL, layer_memory, sizeof layer_memory, layer);
}
