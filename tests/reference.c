/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <string.h>

extents extents_of(const convpool_layer_spec *spec) {
    size_t stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    extents e = {.out_height = (spec->in_height - 1) / stride, .out_width = (spec->in_width - 1) / stride};
    e.in = spec->in_channels * spec->in_height * spec->in_width;
    e.weights = spec->out_channels * spec->in_channels * 4;
    e.out = spec->out_channels * e.out_height * e.out_width;
    return e;
}

/* The sum over c, u, v in documented order, positions in x, of one convolution output at row r, column s:
 * calls term(x, w) through the three accumulations that the references need. */
typedef struct sums {
    double value, products, inputs; /* sum x w, sum |x||w|, sum |x| */
    float fused, separate;          /* the chain with one rounding a term, and with two */
} sums;

enum accumulation { IN_DOUBLE, FUSED, SEPARATE };

static sums sum_at(const convpool_layer_spec *spec, enum accumulation how, const float *input, const float *weights,
                   size_t o, size_t r, size_t s) {
    sums sum = {0};
    bool flip = spec->filter == CONVPOOL_CONVOLUTION;
    for (size_t c = 0; c < spec->in_channels; c++)
        for (size_t u = 0; u < 2; u++)
            for (size_t v = 0; v < 2; v++) {
                float x = input[(c * spec->in_height + r + u) * spec->in_width + s + v];
                float w = weights[((o * spec->in_channels + c) * 2 + (flip ? 1 - u : u)) * 2 + (flip ? 1 - v : v)];
                if (how == IN_DOUBLE) {
                    sum.value += (double)x * w;
                    sum.products += fabs((double)x * w);
                    sum.inputs += fabs((double)x);
                } else if (how == FUSED) {
                    sum.fused = fused_multiply_add(x, w, sum.fused);
                } else {
                    float product = x * w;
                    sum.separate = sum.separate + product;
                }
            }
    return sum;
}

void reference_double(const convpool_layer_spec *spec, const float *input, const float *weights, const float *bias,
                      double *y, double *bound) {
    extents e = extents_of(spec);
    size_t stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    /* kernels/direct.h: every term meets at most 4C + 1 roundings. */
    double roundings = 4.0 * (double)spec->in_channels + 1, k = roundings / (1 - roundings * 0x1p-24);
    for (size_t o = 0, i = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++, i++) {
                double b = bias == NULL ? 0 : bias[o];
                y[i] = -INFINITY;
                bound[i] = 0;
                for (size_t n = 0; n < stride * stride; n++) {
                    sums sum = sum_at(spec, IN_DOUBLE, input, weights, o, stride * p + n / 2, stride * q + n % 2);
                    y[i] = fmax(y[i], sum.value + b);
                    bound[i] = fmax(bound[i], k * 0x1p-24 * (fabs(b) + sum.products) + k * 0x1p-149 * (1 + sum.inputs));
                }
                if (spec->activation == CONVPOOL_ACTIVATION_RELU) y[i] = fmax(y[i], 0);
            }
}

void reference_direct(const convpool_layer_spec *spec, bool fused, const float *input, const float *weights,
                      const float *bias, float *y) {
    extents e = extents_of(spec);
    size_t stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    for (size_t o = 0, i = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++, i++) {
                for (size_t n = 0; n < stride * stride; n++) {
                    sums sum = sum_at(spec, fused ? FUSED : SEPARATE, input, weights, o, stride * p + n / 2,
                                      stride * q + n % 2);
                    float value = fused ? sum.fused : sum.separate;
                    y[i] = n == 0 ? value : reference_max(y[i], value);
                }
                y[i] = y[i] + (bias == NULL ? 0 : bias[o]);
                if (spec->activation == CONVPOOL_ACTIVATION_RELU) y[i] = reference_relu(y[i]);
            }
}

bool isa_is_fused(const char *isa) {
    return strcmp(isa, "avx2") == 0 || strcmp(isa, "avx512") == 0 || strcmp(isa, "neon") == 0;
}

/* The product of two floats is exact in double. The sum is rounded to odd there (Boldo and Melquiond, Emulation
 * of FMA and correctly rounded sums: proved algorithms using rounding to odd, 2008), so that rounding it again, to
 * float, is as rounding it once. */
float fused_multiply_add(float a, float b, float c) {
    double product = (double)a * b, sum = product + c;
    if (!isfinite(sum)) return (float)sum;
    double high = sum - product, error = (product - (sum - high)) + (c - high); /* Knuth's two-sum */
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0 && bits % 2 == 0) {
        bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
}

float reference_max(float a, float b) {
    if (isnan(a)) return a;
    if (isnan(b)) return b;
    return a > b ? a : b;
}

float reference_relu(float a) { return isnan(a) || a > 0 ? a : 0; }

uint64_t random_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

float random_uniform(uint64_t *state) { return (float)(int32_t)(random_bits(state) >> 40) * 0x1p-23f - 1; }

size_t random_below(uint64_t *state, size_t limit) { return (size_t)(random_bits(state) % limit); }

void random_fill(uint64_t *state, float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = random_uniform(state);
}
