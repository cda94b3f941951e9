/* SPDX-License-Identifier: MIT */
/* The layer of seed_layer.c with weights that are compiled in, and without a heap: memory for the layer and its scratch
 * are static arrays. seed_layer_data.h was made by npy_to_header.py.
 *
 *     no_heap
 */
#include <convpool.h>

#include <math.h>
#include <stdio.h>

#include "seed_layer_data.h" /* weights, bias, x, y */

enum { C = 16, SIDE = 25, O = 32, OUT = 12 };

static unsigned char memory[CONVPOOL_LAYER_MEMORY_MAX(C, O)];
static unsigned char scratch[CONVPOOL_LAYER_SCRATCH_MAX(C, SIDE, SIDE, O)];
static float output[O * OUT * OUT];

int main(void) {
    convpool_layer_spec spec = {0};
    spec.in_channels = C, spec.in_height = spec.in_width = SIDE, spec.out_channels = O;
    spec.filter = CONVPOOL_CONVOLUTION;
    convpool_layer *layer;
    convpool_status status = convpool_layer_create_in(&spec, weights, bias, memory, sizeof memory, &layer);
    if (status == CONVPOOL_OK) status = convpool_layer_run(layer, x, output, scratch);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(status)), 1;

    double largest = 0;
    for (int i = 0; i < O * OUT * OUT; i++) {
        double error = fabs((double)output[i] - y[i]);
        if (!(error <= largest)) largest = error;
    }
    printf("%s: within %.2g of NumPy's result; %zu of %zu bytes for the layer, %zu of %zu for scratch\n",
           convpool_layer_kernel(layer), largest, convpool_layer_memory_size(&spec), sizeof memory,
           convpool_layer_scratch_size(layer), sizeof scratch);
    return largest < 1e-4 ? 0 : 1; /* there is nothing to free */
}
