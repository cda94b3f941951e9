/* SPDX-License-Identifier: MIT */
/* What a layer's results must be: written for clarity, in plain C, from the definitions alone. */
#ifndef CONVPOOL_REFERENCE_H
#define CONVPOOL_REFERENCE_H

#include "convpool.h"

/* What a spec's 0 stands for. */
static inline size_t or_else(size_t value, size_t otherwise) { return value ? value : otherwise; }

/* The extents that follow from a spec. */
typedef struct extents {
    size_t in, weights, out;                    /* floats */
    size_t out_height, out_width;               /* pixels */
    size_t conv_height, conv_width;             /* outputs of the convolution that some pixel takes */
    size_t filter_height, filter_width, filter; /* and weights of a filter */
    size_t stride_height, stride_width, pool;   /* pool: 2 where there is one, else 1 */
    size_t padded_height, padded_width;
} extents;
extents extents_of(const convpool_layer_spec *spec);

/* Where a weight and an output lie, in the layouts of the spec. (u, v) is a position in x. */
size_t weight_at(const convpool_layer_spec *spec, size_t o, size_t c, size_t u, size_t v);
size_t output_at(const convpool_layer_spec *spec, size_t o, size_t row, size_t column);
size_t input_at(const convpool_layer_spec *spec, size_t c, size_t row, size_t column);

/* The result, in double precision. */
void reference_double(const convpool_layer_spec *spec, const float *input, const float *weights, const float *bias,
                      double *y);

/* What an algorithm's kernels return, to the last bit: in float, in the documented order of evaluation, with fused
 * multiply-add or with two roundings. */
void reference_bits(const convpool_layer_spec *spec, const char *algorithm, bool fused, const float *input,
                    const float *weights, const float *bias, float *y);

/* The a-priori bound on an algorithm's error in each result. */
void reference_bound(const convpool_layer_spec *spec, const char *algorithm, const float *input, const float *weights,
                     const float *bias, double *bound);

/* What a network returns, to the last bit: its stages one by one, with the algorithms of its layers; or, where it is
 * NULL, with layers in double precision that are rounded. For free(). */
float *reference_network(const convpool_stage *stages, size_t count, const convpool_network *network, bool fused,
                         const float *input);

/* Whether the kernels of this ISA have fused multiply-add. */
bool isa_is_fused(const char *isa);

/* a * b + c with one rounding, without a fused multiply-add's help. */
float fused_multiply_add(float a, float b, float c);

/* max and ReLU as the layer has them: NaN where an operand is NaN; +0 for -0. */
float reference_max(float a, float b);
float reference_relu(float a);

/* The activation of output channel o, to the last bit; and exactly, or nearly so. */
float reference_activation(const convpool_layer_spec *spec, size_t o, float y);
double exact_activation(const convpool_layer_spec *spec, size_t o, double y);

#endif
