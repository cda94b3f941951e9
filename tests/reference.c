/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "dispatch.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
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
                      double *y) {
    extents e = extents_of(spec);
    size_t stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    for (size_t o = 0, i = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++, i++) {
                double b = bias == NULL ? 0 : bias[o];
                y[i] = -INFINITY;
                for (size_t n = 0; n < stride * stride; n++) {
                    sums sum = sum_at(spec, IN_DOUBLE, input, weights, o, stride * p + n / 2, stride * q + n % 2);
                    y[i] = fmax(y[i], sum.value + b);
                }
                if (spec->activation == CONVPOOL_ACTIVATION_RELU) y[i] = fmax(y[i], 0);
            }
}

/* ---- Direct, as kernels/direct.h says it is evaluated ---- */

static void direct_bound(const convpool_layer_spec *spec, const float *input, const float *weights, const float *bias,
                         double *bound) {
    extents e = extents_of(spec);
    size_t stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    /* Every term meets at most 4C + 1 roundings. */
    double roundings = 4.0 * (double)spec->in_channels + 1, k = roundings / (1 - roundings * 0x1p-24);
    for (size_t o = 0, i = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++, i++) {
                double b = bias == NULL ? 0 : bias[o];
                bound[i] = 0;
                for (size_t n = 0; n < stride * stride; n++) {
                    sums sum = sum_at(spec, IN_DOUBLE, input, weights, o, stride * p + n / 2, stride * q + n % 2);
                    bound[i] = fmax(bound[i], k * 0x1p-24 * (fabs(b) + sum.products) + k * 0x1p-149 * (1 + sum.inputs));
                }
            }
}

static void direct_bits(const convpool_layer_spec *spec, bool fused, const float *input, const float *weights,
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

/* ---- Winograd, as kernels/winograd/scheme.h says it is evaluated ---- */

/* The layer cut into tiles of tile x tile convolution outputs. */
typedef struct tiling {
    size_t tile, stride, conv_height, conv_width; /* the outputs that count */
    size_t pixels;                                /* across a unit: whole output pixels made of whole tiles */
    size_t rows, columns;                         /* of tiles */
} tiling;

static tiling tiling_of(const convpool_layer_spec *spec, size_t tile) {
    extents e = extents_of(spec);
    tiling t = {.tile = tile, .stride = spec->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1};
    t.conv_height = t.stride * e.out_height;
    t.conv_width = t.stride * e.out_width;
    t.pixels = t.stride == 2 && tile == 2 ? 1 : tile;
    t.rows = (t.conv_height + tile - 1) / tile;
    t.columns = (e.out_width + t.pixels - 1) / t.pixels * t.pixels * t.stride / tile;
    return t;
}

/* The first convolution column of a tile: the last unit of a row ends with the image. */
static size_t tile_column(const tiling *t, size_t column) {
    size_t across = t->pixels * t->stride, first = column * t->tile;
    size_t unit = first / across * across;
    bool moved = t->conv_width >= across && unit + across > t->conv_width;
    return first - unit + (moved ? t->conv_width - across : unit);
}

static float counted(const convpool_layer_spec *spec, const tiling *t, const float *input, size_t c, size_t row,
                     size_t column) {
    bool counts = row <= t->conv_height && column <= t->conv_width;
    return counts ? input[(c * spec->in_height + row) * spec->in_width + column] : 0;
}

/* F(2, 2) and F(3, 2) in one dimension: of inputs, of weights, of products. */
static void forward(size_t tile, const float *d, float *v) {
    v[0] = tile == 2 ? d[0] - d[1] : d[0] - d[2];
    v[1] = tile == 2 ? d[1] : d[1] + d[2];
    v[2] = d[2] - d[1];
    if (tile == 3) v[3] = d[3] - d[1];
}

static void filter_forward(size_t tile, double g0, double g1, double *u) {
    u[0] = g0;
    u[1] = tile == 2 ? g0 + g1 : (g0 + g1) / 2;
    if (tile == 3) u[2] = (g0 - g1) / 2;
    u[tile] = g1;
}

static void backward(size_t tile, const float *m, float *y) {
    float both = m[1] + m[2];
    y[0] = tile == 2 ? m[0] + m[1] : m[0] + both;
    y[1] = tile == 2 ? both : m[1] - m[2];
    if (tile == 3) y[2] = both + m[3];
}

/* T, below which inputs must be; 0 where everything is computed directly. */
static double input_limit(const convpool_layer_spec *spec, const float *weights, const float *bias) {
    size_t count = 4 * spec->in_channels;
    double largest = 0;
    for (size_t o = 0; o < spec->out_channels; o++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += fabs((double)weights[o * count + i]);
        if (!(sum < ldexp(1, 120)) || (bias != NULL && !(fabs((double)bias[o]) < ldexp(1, 126)))) return 0;
        largest = fmax(largest, sum);
    }
    return ldexp(1, 121 - (largest > 1 ? (int)ceil(log2(largest)) : 0));
}

/* The transformed weights of one filter, u[row][column]: across, then down, rounded once. */
static void transform_filter(const convpool_layer_spec *spec, size_t tile, const float *g, float u[4][4]) {
    size_t flip = spec->filter == CONVPOOL_CONVOLUTION ? 3 : 0;
    double across[2][4] = {{0}}, down[4] = {0};
    for (size_t i = 0; i < 2; i++)
        filter_forward(tile, g[(2 * i) ^ flip], g[(2 * i + 1) ^ flip], across[i]);
    for (size_t j = 0; j <= tile; j++) {
        filter_forward(tile, across[0][j], across[1][j], down);
        for (size_t i = 0; i <= tile; i++)
            u[i][j] = (float)down[i];
    }
}

/* The transformed inputs of one tile in one channel, v[row][column]: down, then across. */
static void transform_inputs(const convpool_layer_spec *spec, const tiling *t, const float *input, size_t c, size_t row,
                             size_t column, float v[4][4]) {
    float d[4] = {0}, down[4] = {0};
    for (size_t j = 0; j <= t->tile; j++) {
        for (size_t i = 0; i <= t->tile; i++)
            d[i] = counted(spec, t, input, c, row + i, column + j);
        forward(t->tile, d, down);
        for (size_t i = 0; i <= t->tile; i++)
            v[i][j] = down[i];
    }
    for (size_t i = 0; i <= t->tile; i++) {
        memcpy(d, v[i], sizeof d);
        forward(t->tile, d, v[i]);
    }
}

/* The convolution outputs of one tile from its products, m[row][column]: down, then across. */
static void transform_products(size_t tile, float m[4][4], float y[3][3]) {
    float z[3][4] = {{0}}, column[4] = {0}, down[3] = {0};
    for (size_t j = 0; j <= tile; j++) {
        for (size_t i = 0; i <= tile; i++)
            column[i] = m[i][j];
        backward(tile, column, down);
        for (size_t i = 0; i < tile; i++)
            z[i][j] = down[i];
    }
    for (size_t i = 0; i < tile; i++)
        backward(tile, z[i], y[i]);
}

static void winograd_bits(const convpool_layer_spec *spec, size_t tile, bool fused, const float *input,
                          const float *weights, const float *bias, float *y) {
    tiling t = tiling_of(spec, tile);
    double limit = input_limit(spec, weights, bias);
    size_t channels = spec->in_channels, out_channels = spec->out_channels, plane = t.conv_height * t.conv_width;
    float *outputs = malloc(out_channels * plane * sizeof *outputs);
    float(*u)[4][4] = malloc(out_channels * channels * sizeof *u), (*v)[4][4] = malloc(channels * sizeof *v);
    bool *direct = calloc(t.rows, sizeof *direct);
    if (outputs == NULL || u == NULL || v == NULL || direct == NULL) abort();
    for (size_t n = 0; n < out_channels * channels; n++)
        transform_filter(spec, tile, weights + 4 * n, u[n]);
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i <= t.conv_height; i++)
            for (size_t j = 0; j <= t.conv_width; j++)
                if (!(fabs((double)counted(spec, &t, input, c, i, j)) < limit)) {
                    if (i < t.conv_height) direct[i / tile] = true;
                    if (i > 0) direct[(i - 1) / tile] = true;
                }
    for (size_t i = 0; i < t.rows; i++)
        for (size_t j = 0; j < t.columns; j++) {
            size_t row = i * tile, column = tile_column(&t, j);
            for (size_t c = 0; c < channels && !direct[i]; c++)
                transform_inputs(spec, &t, input, c, row, column, v[c]);
            for (size_t o = 0; o < out_channels; o++) {
                float m[4][4] = {{0}}, of_tile[3][3];
                for (size_t c = 0; c < channels && !direct[i]; c++)
                    for (size_t n = 0; n < (tile + 1) * (tile + 1); n++) {
                        size_t at = n / (tile + 1), across = n % (tile + 1);
                        float x = v[c][at][across], w = u[o * channels + c][at][across], *sum = &m[at][across];
                        float product = x * w;
                        *sum = fused ? fused_multiply_add(x, w, *sum) : *sum + product;
                    }
                transform_products(tile, m, of_tile);
                for (size_t n = 0; n < tile * tile; n++) {
                    size_t r = row + n / tile, s = column + n % tile;
                    if (r >= t.conv_height || s >= t.conv_width) continue;
                    float *sum = &outputs[o * plane + r * t.conv_width + s];
                    *sum = of_tile[n / tile][n % tile];
                    if (direct[i]) {
                        sums chain = sum_at(spec, fused ? FUSED : SEPARATE, input, weights, o, r, s);
                        *sum = fused ? chain.fused : chain.separate;
                    }
                }
            }
        }
    for (size_t o = 0, at = 0; o < out_channels; o++)
        for (size_t p = 0; p < t.conv_height / t.stride; p++)
            for (size_t q = 0; q < t.conv_width / t.stride; q++, at++) {
                const float *window = outputs + o * plane + t.stride * (p * t.conv_width + q);
                y[at] = *window;
                for (size_t n = 1; n < t.stride * t.stride; n++)
                    y[at] = reference_max(y[at], window[n / 2 * t.conv_width + n % 2]);
                y[at] = y[at] + (bias == NULL ? 0 : bias[o]);
                if (spec->activation == CONVPOOL_ACTIVATION_RELU) y[at] = reference_relu(y[at]);
            }
    free(outputs);
    free(u);
    free(v);
    free(direct);
}

static void winograd_bound(const convpool_layer_spec *spec, size_t tile, const float *input, const float *weights,
                           const float *bias, double *bound) {
    tiling t = tiling_of(spec, tile);
    extents e = extents_of(spec);
    double roundings = (double)spec->in_channels + 8, growth = tile == 2 ? 9 : 16;
    double k = growth * roundings / (1 - roundings * 0x1p-24);
    double *largest = malloc(spec->in_channels * sizeof *largest);
    if (largest == NULL) abort();
    memset(bound, 0, e.out * sizeof *bound);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t j = 0; j < t.columns; j++) {
            size_t row = i * tile, column = tile_column(&t, j);
            double inputs = 0;
            for (size_t c = 0; c < spec->in_channels; c++) {
                largest[c] = 0;
                for (size_t n = 0; n < (tile + 1) * (tile + 1); n++) {
                    double x = fabs((double)counted(spec, &t, input, c, row + n / (tile + 1), column + n % (tile + 1)));
                    largest[c] = fmax(largest[c], x);
                    inputs += x;
                }
            }
            for (size_t o = 0; o < spec->out_channels; o++) {
                double sum = bias == NULL ? 0 : fabs((double)bias[o]);
                for (size_t c = 0; c < spec->in_channels; c++) {
                    const float *w = weights + (o * spec->in_channels + c) * 4;
                    sum += largest[c] *
                           (fabs((double)w[0]) + fabs((double)w[1]) + fabs((double)w[2]) + fabs((double)w[3]));
                }
                double here = k * 0x1p-24 * sum + k * 0x1p-149 * (1 + inputs);
                for (size_t n = 0; n < tile * tile; n++) {
                    size_t r = row + n / tile, s = column + n % tile;
                    if (r >= t.conv_height || s >= t.conv_width) continue;
                    double *at = &bound[(o * e.out_height + r / t.stride) * e.out_width + s / t.stride];
                    *at = fmax(*at, here);
                }
            }
        }
    free(largest);
}

/* 0 for `direct`, else the tile of `winograd<tile>2`. */
static size_t tile_of(const char *algorithm) {
    return strncmp(algorithm, "winograd", 8) == 0 ? (size_t)(algorithm[8] - '0') : 0;
}

void reference_bits(const convpool_layer_spec *spec, const char *algorithm, bool fused, const float *input,
                    const float *weights, const float *bias, float *y) {
    size_t tile = tile_of(algorithm);
    if (tile == 0)
        direct_bits(spec, fused, input, weights, bias, y);
    else
        winograd_bits(spec, tile, fused, input, weights, bias, y);
}

void reference_bound(const convpool_layer_spec *spec, const char *algorithm, const float *input, const float *weights,
                     const float *bias, double *bound) {
    size_t tile = tile_of(algorithm);
    if (tile == 0)
        direct_bound(spec, input, weights, bias, bound);
    else
        winograd_bound(spec, tile, input, weights, bias, bound);
}

bool isa_is_fused(const char *isa) {
    for (const convpool_isa *const *i = convpool_isas; *i != NULL; i++)
        if (strcmp((*i)->name, isa) == 0) return (*i)->fused;
    return false;
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
