/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "dispatch.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extents extents_of(const convpool_layer_spec *spec) {
    extents e = {.filter_height = spec->filter_height ? spec->filter_height : 2,
                 .filter_width = spec->filter_width ? spec->filter_width : 2,
                 .stride_height = spec->stride_height ? spec->stride_height : 1,
                 .stride_width = spec->stride_width ? spec->stride_width : 1,
                 .pool = spec->pool == CONVPOOL_POOL_NONE ? 1 : 2,
                 .padded_height = spec->pad_top + spec->in_height + spec->pad_bottom,
                 .padded_width = spec->pad_left + spec->in_width + spec->pad_right};
    size_t rounded = spec->pool == CONVPOOL_POOL_MAX_2X2_CEIL ? 1 : 0;
    size_t conv_height = (e.padded_height - e.filter_height) / e.stride_height + 1;
    size_t conv_width = (e.padded_width - e.filter_width) / e.stride_width + 1;
    e.out_height = (conv_height + rounded) / e.pool;
    e.out_width = (conv_width + rounded) / e.pool;
    e.conv_height = e.pool * e.out_height < conv_height ? e.pool * e.out_height : conv_height;
    e.conv_width = e.pool * e.out_width < conv_width ? e.pool * e.out_width : conv_width;
    e.filter = e.filter_height * e.filter_width;
    e.in = spec->in_channels * spec->in_height * spec->in_width;
    e.weights = spec->out_channels * spec->in_channels * e.filter;
    e.out = spec->out_channels * e.out_height * e.out_width;
    return e;
}

size_t weight_at(const convpool_layer_spec *spec, size_t o, size_t c, size_t u, size_t v) {
    size_t height = spec->filter_height ? spec->filter_height : 2, width = spec->filter_width ? spec->filter_width : 2;
    if (spec->filter == CONVPOOL_CONVOLUTION) u = height - 1 - u, v = width - 1 - v;
    size_t at = u * width + v;
    switch (spec->weights_layout) {
    case CONVPOOL_WEIGHTS_HWIO: return (at * spec->in_channels + c) * spec->out_channels + o;
    case CONVPOOL_WEIGHTS_OHWI: return (o * height * width + at) * spec->in_channels + c;
    default: return (o * spec->in_channels + c) * height * width + at;
    }
}

static size_t image_at(convpool_image_layout layout, size_t channels, size_t height, size_t width, size_t c, size_t row,
                       size_t column) {
    return layout == CONVPOOL_IMAGE_HWC ? (row * width + column) * channels + c : (c * height + row) * width + column;
}

size_t input_at(const convpool_layer_spec *spec, size_t c, size_t row, size_t column) {
    return image_at(spec->input_layout, spec->in_channels, spec->in_height, spec->in_width, c, row, column);
}

size_t output_at(const convpool_layer_spec *spec, size_t o, size_t row, size_t column) {
    extents e = extents_of(spec);
    return image_at(spec->output_layout, spec->out_channels, e.out_height, e.out_width, o, row, column);
}

/* An input of the padded image. */
static float padded(const convpool_layer_spec *spec, const float *input, size_t c, size_t row, size_t column) {
    bool above = row < spec->pad_top, before = column < spec->pad_left;
    if (above || before || row - spec->pad_top >= spec->in_height || column - spec->pad_left >= spec->in_width)
        return 0;
    return input[input_at(spec, c, row - spec->pad_top, column - spec->pad_left)];
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
    size_t height = spec->filter_height ? spec->filter_height : 2, width = spec->filter_width ? spec->filter_width : 2;
    size_t top = r * (spec->stride_height ? spec->stride_height : 1);
    size_t left = s * (spec->stride_width ? spec->stride_width : 1);
    size_t first = weight_at(spec, o, 0, 0, 0); /* and steps, modulo 2^n */
    size_t by_c = weight_at(spec, o, 1, 0, 0) - first, by_u = weight_at(spec, o, 0, 1, 0) - first;
    size_t by_v = weight_at(spec, o, 0, 0, 1) - first;
    for (size_t c = 0; c < spec->in_channels; c++)
        for (size_t u = 0; u < height; u++)
            for (size_t v = 0; v < width; v++) {
                float x = padded(spec, input, c, top + u, left + v);
                float w = weights[first + c * by_c + u * by_u + v * by_v];
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

/* ---- Activations, as kernels/activate.h says they are evaluated ---- */

/* t, from -105 to 0, as n ln 2 and the rest, of which the exponential less 1 is returned. */
static float reduced_expm1(float t, int *n) {
    float shifted = t * 0x1.715476p0f + 0x1.8p23f, whole = shifted - 0x1.8p23f;
    float r = (t - whole * 0x1.63p-1f) - whole * -0x1.bd0106p-13f, q = 1 / 5040.0f;
    const float taylor[] = {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f};
    for (size_t i = 0; i < 5; i++) {
        float product = q * r;
        q = product + taylor[i];
    }
    *n = (int)whole;
    float square = r * r, rest = square * q;
    return r + rest;
}

static float expm1_below_0(float t) {
    int n;
    float p = reduced_expm1(t > -30 ? t : -30, &n), power = ldexpf(1, n), scaled = power * p;
    return scaled + (power - 1);
}

static float sigmoid(float y) {
    int n;
    float t = y < 0 ? y : -y, p = reduced_expm1(t > -105 ? t : -105, &n);
    int first = n > -100 ? n : -100;
    float large = (p + 1) * ldexpf(1, first), e = large * ldexpf(1, n - first);
    return (y < 0 ? e : 1) / (e + 1);
}

static float hyperbolic_tangent(float y) {
    float e = expm1_below_0(2 * (y < 0 ? y : -y)), negative = e / (e + 2);
    return y < 0 ? negative : -negative;
}

static float slope_of(const convpool_layer_spec *spec, size_t o) {
    return spec->activation == CONVPOOL_ACTIVATION_PRELU ? spec->slopes[o] : spec->activation_parameter;
}

float reference_activation(const convpool_layer_spec *spec, size_t o, float y) {
    if (isnan(y)) return y;
    float relu = reference_relu(y);
    switch (spec->activation) {
    case CONVPOOL_ACTIVATION_RELU: return relu;
    case CONVPOOL_ACTIVATION_RELU6: return relu < 6 ? relu : 6;
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
    case CONVPOOL_ACTIVATION_PRELU: return y >= 0 ? y : slope_of(spec, o) * y;
    case CONVPOOL_ACTIVATION_SIGMOID: return sigmoid(y);
    case CONVPOOL_ACTIVATION_TANH: return hyperbolic_tangent(y);
    case CONVPOOL_ACTIVATION_ELU: return y >= 0 ? y : spec->activation_parameter * expm1_below_0(y);
    default: return y;
    }
}

double exact_activation(const convpool_layer_spec *spec, size_t o, double y) {
    switch (spec->activation) {
    case CONVPOOL_ACTIVATION_RELU: return fmax(y, 0);
    case CONVPOOL_ACTIVATION_RELU6: return fmin(fmax(y, 0), 6);
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
    case CONVPOOL_ACTIVATION_PRELU: return y >= 0 ? y : (double)slope_of(spec, o) * y;
    case CONVPOOL_ACTIVATION_SIGMOID: return 1 / (1 + exp(-y));
    case CONVPOOL_ACTIVATION_TANH: return tanh(y);
    case CONVPOOL_ACTIVATION_ELU: return y >= 0 ? y : (double)spec->activation_parameter * expm1(y);
    default: return y;
    }
}

/* The convolution outputs that a pixel takes, one after the other: at most four, and fewer at an edge. */
typedef struct window {
    size_t count, rows[4], columns[4];
} window;

static window window_of(const extents *e, size_t p, size_t q) {
    window w = {0};
    for (size_t n = 0; n < e->pool * e->pool; n++) {
        size_t row = e->pool * p + n / 2, column = e->pool * q + n % 2;
        if (row >= e->conv_height || column >= e->conv_width) continue;
        w.rows[w.count] = row;
        w.columns[w.count++] = column;
    }
    return w;
}

void reference_double(const convpool_layer_spec *spec, const float *input, const float *weights, const float *bias,
                      double *y) {
    extents e = extents_of(spec);
    for (size_t o = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++) {
                window w = window_of(&e, p, q);
                double b = bias == NULL ? 0 : bias[o], *largest = &y[output_at(spec, o, p, q)];
                *largest = -INFINITY;
                for (size_t n = 0; n < w.count; n++) {
                    sums sum = sum_at(spec, IN_DOUBLE, input, weights, o, w.rows[n], w.columns[n]);
                    *largest = fmax(*largest, exact_activation(spec, o, sum.value + b));
                }
            }
}

/* The bound of a pixel, of the largest bound on the sums that it takes and of the largest magnitude of these: what the
 * activation adds to it. */
static double activated_bound(const convpool_layer_spec *spec, size_t o, double magnitude, double bound) {
    double slope = fabs((double)slope_of(spec, o)), factor = slope > 1 ? slope : 1, u = 0x1p-24;
    switch (spec->activation) {
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
    case CONVPOOL_ACTIVATION_PRELU: return bound * factor + u * slope * (magnitude + bound) + 0x1p-149;
    case CONVPOOL_ACTIVATION_SIGMOID:
    case CONVPOOL_ACTIVATION_TANH: return bound + 4 * u + 0x1p-149;
    case CONVPOOL_ACTIVATION_ELU: return bound * factor + 4 * u * slope + 0x1p-149;
    default: return bound;
    }
}

/* ---- Direct, as kernels/direct.h says it is evaluated ---- */

static void direct_bound(const convpool_layer_spec *spec, const float *input, const float *weights, const float *bias,
                         double *bound) {
    extents e = extents_of(spec);
    /* Every term meets at most one rounding more than there are terms. */
    double roundings = (double)(spec->in_channels * e.filter) + 1, k = roundings / (1 - roundings * 0x1p-24);
    for (size_t o = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++) {
                window w = window_of(&e, p, q);
                double b = bias == NULL ? 0 : bias[o], most = 0, magnitude = 0;
                for (size_t n = 0; n < w.count; n++) {
                    sums sum = sum_at(spec, IN_DOUBLE, input, weights, o, w.rows[n], w.columns[n]);
                    magnitude = fmax(magnitude, fabs(b) + sum.products);
                    most = fmax(most, k * 0x1p-24 * (fabs(b) + sum.products) + k * 0x1p-149 * (1 + sum.inputs));
                }
                bound[output_at(spec, o, p, q)] = activated_bound(spec, o, magnitude, most);
            }
}

/* Whether bias and activation come before the maximum: where the latter may fall as its argument rises, or makes NaN of
 * -infinity. */
static bool activated_first(const convpool_layer_spec *spec) {
    bool first = spec->activation == CONVPOOL_ACTIVATION_SIGMOID ||
                 (spec->activation == CONVPOOL_ACTIVATION_ELU && !(spec->activation_parameter >= 0));
    if (spec->activation == CONVPOOL_ACTIVATION_LEAKY_RELU || spec->activation == CONVPOOL_ACTIVATION_PRELU)
        for (size_t o = 0; o < spec->out_channels; o++)
            first |= !(slope_of(spec, o) > 0);
    return first;
}

/* Pixels of the convolution's outputs, [o][row][column]. */
static void pixels_of(const convpool_layer_spec *spec, const float *outputs, const float *bias, float *y) {
    extents e = extents_of(spec);
    bool first = activated_first(spec);
    for (size_t o = 0; o < spec->out_channels; o++)
        for (size_t p = 0; p < e.out_height; p++)
            for (size_t q = 0; q < e.out_width; q++) {
                window w = window_of(&e, p, q);
                float *at = &y[output_at(spec, o, p, q)], b = bias == NULL ? 0 : bias[o];
                for (size_t n = 0; n < w.count; n++) {
                    float value = outputs[(o * e.conv_height + w.rows[n]) * e.conv_width + w.columns[n]];
                    if (first) value = reference_activation(spec, o, value + b);
                    *at = n == 0 ? value : reference_max(*at, value);
                }
                if (!first) *at = reference_activation(spec, o, *at + b);
            }
}

static void direct_bits(const convpool_layer_spec *spec, bool fused, const float *input, const float *weights,
                        const float *bias, float *y) {
    extents e = extents_of(spec);
    float *outputs = malloc(spec->out_channels * e.conv_height * e.conv_width * sizeof *outputs);
    if (outputs == NULL) abort();
    for (size_t o = 0, i = 0; o < spec->out_channels; o++)
        for (size_t r = 0; r < e.conv_height; r++)
            for (size_t s = 0; s < e.conv_width; s++, i++) {
                sums sum = sum_at(spec, fused ? FUSED : SEPARATE, input, weights, o, r, s);
                outputs[i] = fused ? sum.fused : sum.separate;
            }
    pixels_of(spec, outputs, bias, y);
    free(outputs);
}

/* ---- Winograd, as kernels/winograd/scheme.h says it is evaluated ---- */

enum { SIDE = 4 }; /* of the largest tile of inputs */

/* The layer cut into tiles of tile x tile convolution outputs, of side x side inputs. */
typedef struct tiling {
    size_t tile, filter, side, stride, conv_height, conv_width; /* the outputs that count */
    size_t wide;                                                /* the filter's side */
    size_t parts;         /* across and down: a filter of five has two, of three weights and of two */
    size_t pixels;        /* across a unit: whole output pixels of whole tiles */
    size_t rows, columns; /* of tiles */
} tiling;

/* winograd<tile><filter> */
static tiling tiling_of(const convpool_layer_spec *spec, const char *algorithm) {
    extents e = extents_of(spec);
    tiling t = {.tile = (size_t)(algorithm[8] - '0'), .filter = (size_t)(algorithm[9] - '0'), .stride = e.pool};
    t.side = t.tile + t.filter - 1;
    t.wide = e.filter_height;
    t.parts = (t.wide + t.filter - 1) / t.filter;
    t.conv_height = e.conv_height;
    t.conv_width = e.conv_width;
    t.pixels = t.stride == 2 && t.tile == 2 ? 1 : t.tile;
    t.rows = (t.conv_height + t.tile - 1) / t.tile;
    t.columns = (e.out_width + t.pixels - 1) / t.pixels * t.pixels * t.stride / t.tile;
    return t;
}

/* The first convolution column of a tile: the last unit of a row ends with the image. */
static size_t tile_column(const tiling *t, size_t column) {
    size_t across = t->pixels * t->stride, first = column * t->tile;
    size_t unit = first / across * across;
    bool moved = t->conv_width >= across && unit + across > t->conv_width;
    return first - unit + (moved ? t->conv_width - across : unit);
}

/* An input, if some output reads it. */
static float counted(const convpool_layer_spec *spec, const tiling *t, const float *input, size_t c, size_t row,
                     size_t column) {
    bool counts = row < t->conv_height + t->wide - 1 && column < t->conv_width + t->wide - 1;
    return counts ? padded(spec, input, c, row, column) : 0;
}

/* In one dimension: of inputs, of weights, of products. */
static void forward(const tiling *t, const float *d, float *v) {
    v[0] = t->side == 3 ? d[0] - d[1] : d[0] - d[2];
    v[1] = t->side == 3 ? d[1] : d[1] + d[2];
    v[2] = d[2] - d[1];
    if (t->side == 4) v[3] = d[3] - d[1];
}

static void filter_forward(const tiling *t, const double *g, double *u) {
    double last = g[t->filter - 1], middle = t->filter == 3 ? g[1] : 0;
    u[0] = g[0];
    u[1] = t->side == 3 ? g[0] + last : (g[0] + middle + last) / 2;
    if (t->side == 4) u[2] = (g[0] - middle + last) / 2;
    if (t->side == 4 && t->filter == 2) u[2] = (g[0] - last) / 2;
    u[t->side - 1] = last;
}

static void backward(const tiling *t, const float *m, float *y) {
    float both = m[1] + m[2], apart = m[1] - m[2];
    y[0] = t->side == 3 ? m[0] + m[1] : m[0] + both;
    y[1] = t->side == 3 ? both : t->filter == 3 ? apart + m[3] : apart;
    if (t->tile == 3) y[2] = both + m[3];
}

/* T, below which inputs must be; 0 where everything is computed directly. */
static double input_limit(const convpool_layer_spec *spec, const float *weights, const float *bias) {
    extents e = extents_of(spec);
    double largest = 0;
    for (size_t o = 0; o < spec->out_channels; o++) {
        double sum = 0;
        for (size_t c = 0; c < spec->in_channels; c++)
            for (size_t uv = 0; uv < e.filter; uv++)
                sum += fabs((double)weights[weight_at(spec, o, c, uv / e.filter_width, uv % e.filter_width)]);
        if (!(sum < ldexp(1, 120)) || (bias != NULL && !(fabs((double)bias[o]) < ldexp(1, 126)))) return 0;
        largest = fmax(largest, sum);
    }
    return ldexp(1, 121 - (largest > 1 ? (int)ceil(log2(largest)) : 0));
}

/* The transformed weights of one part of a filter, u[row][column]: across, then down, rounded once. */
static void transform_filter(const convpool_layer_spec *spec, const tiling *t, const float *weights, size_t o, size_t c,
                             size_t part, float u[SIDE][SIDE]) {
    double across[3][SIDE] = {{0}}, down[SIDE] = {0};
    size_t first_row = part / t->parts * t->filter, first_column = part % t->parts * t->filter;
    for (size_t i = 0; i < t->filter && first_row + i < t->wide; i++) {
        double g[3] = {0};
        for (size_t j = 0; j < t->filter && first_column + j < t->wide; j++)
            g[j] = weights[weight_at(spec, o, c, first_row + i, first_column + j)];
        filter_forward(t, g, across[i]);
    }
    for (size_t j = 0; j < t->side; j++) {
        double g[3] = {0};
        for (size_t i = 0; i < t->filter; i++)
            g[i] = across[i][j];
        filter_forward(t, g, down);
        for (size_t i = 0; i < t->side; i++)
            u[i][j] = (float)down[i];
    }
}

/* The transformed inputs of one tile in one channel, v[row][column]: down, then across. */
static void transform_inputs(const convpool_layer_spec *spec, const tiling *t, const float *input, size_t c, size_t row,
                             size_t column, float v[SIDE][SIDE]) {
    float d[SIDE] = {0}, down[SIDE] = {0};
    for (size_t j = 0; j < t->side; j++) {
        for (size_t i = 0; i < t->side; i++)
            d[i] = counted(spec, t, input, c, row + i, column + j);
        forward(t, d, down);
        for (size_t i = 0; i < t->side; i++)
            v[i][j] = down[i];
    }
    for (size_t i = 0; i < t->side; i++) {
        memcpy(d, v[i], sizeof d);
        forward(t, d, v[i]);
    }
}

/* The convolution outputs of one tile from its products, m[row][column]: down, then across. */
static void transform_products(const tiling *t, float m[SIDE][SIDE], float y[3][3]) {
    float z[3][SIDE] = {{0}}, column[SIDE] = {0}, down[3] = {0};
    for (size_t j = 0; j < t->side; j++) {
        for (size_t i = 0; i < t->side; i++)
            column[i] = m[i][j];
        backward(t, column, down);
        for (size_t i = 0; i < t->tile; i++)
            z[i][j] = down[i];
    }
    for (size_t i = 0; i < t->tile; i++)
        backward(t, z[i], y[i]);
}

/* Which rows of tiles are computed directly. */
static void rows_beyond(const convpool_layer_spec *spec, const tiling *t, const float *input, double limit,
                        bool *direct) {
    for (size_t c = 0; c < spec->in_channels; c++)
        for (size_t i = 0; i < t->conv_height + t->wide - 1; i++)
            for (size_t j = 0; j < t->conv_width + t->wide - 1; j++)
                if (!(fabs((double)counted(spec, t, input, c, i, j)) < limit))
                    for (size_t u = 0; u < t->wide; u++)
                        if (i >= u && i - u < t->conv_height) direct[(i - u) / t->tile] = true;
}

static void winograd_bits(const convpool_layer_spec *spec, const char *algorithm, bool fused, const float *input,
                          const float *weights, const float *bias, float *y) {
    tiling t = tiling_of(spec, algorithm);
    double limit = input_limit(spec, weights, bias);
    size_t channels = spec->in_channels, out_channels = spec->out_channels, plane = t.conv_height * t.conv_width;
    size_t parts = t.parts * t.parts, terms = parts * channels; /* [part][channel] */
    float *outputs = malloc(out_channels * plane * sizeof *outputs);
    float(*u)[SIDE][SIDE] = malloc(out_channels * terms * sizeof *u), (*v)[SIDE][SIDE] = malloc(terms * sizeof *v);
    bool *direct = calloc(t.rows, sizeof *direct);
    if (outputs == NULL || u == NULL || v == NULL || direct == NULL) abort();
    for (size_t n = 0; n < out_channels * terms; n++)
        transform_filter(spec, &t, weights, n / terms, n % channels, n / channels % parts, u[n]);
    rows_beyond(spec, &t, input, limit, direct);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t j = t.columns; j-- > 0;) { /* of two tiles that have an output the left one's counts */
            size_t row = i * t.tile, column = tile_column(&t, j);
            for (size_t n = 0; n < terms && !direct[i]; n++)
                transform_inputs(spec, &t, input, n % channels, row + n / channels / t.parts * t.filter,
                                 column + n / channels % t.parts * t.filter, v[n]);
            for (size_t o = 0; o < out_channels; o++) {
                float m[SIDE][SIDE] = {{0}}, of_tile[3][3];
                for (size_t k = 0; k < terms && !direct[i]; k++)
                    for (size_t n = 0; n < t.side * t.side; n++) {
                        size_t at = n / t.side, across = n % t.side, part = k / channels;
                        if (at == t.filter && part / t.parts > 0)
                            continue; /* parts of two weights have three positions */
                        if (across == t.filter && part % t.parts > 0) continue;
                        float x = v[k][at][across], w = u[o * terms + k][at][across], *sum = &m[at][across];
                        float product = x * w;
                        *sum = fused ? fused_multiply_add(x, w, *sum) : *sum + product;
                    }
                transform_products(&t, m, of_tile);
                for (size_t n = 0; n < t.tile * t.tile; n++) {
                    size_t r = row + n / t.tile, s = column + n % t.tile;
                    if (r >= t.conv_height || s >= t.conv_width) continue;
                    float *sum = &outputs[o * plane + r * t.conv_width + s];
                    *sum = of_tile[n / t.tile][n % t.tile];
                    if (direct[i]) {
                        sums chain = sum_at(spec, fused ? FUSED : SEPARATE, input, weights, o, r, s);
                        *sum = fused ? chain.fused : chain.separate;
                    }
                }
            }
        }
    pixels_of(spec, outputs, bias, y);
    free(outputs);
    free(u);
    free(v);
    free(direct);
}

static void winograd_bound(const convpool_layer_spec *spec, const char *algorithm, const float *input,
                           const float *weights, const float *bias, double *bound) {
    tiling t = tiling_of(spec, algorithm);
    extents e = extents_of(spec);
    double roundings = (double)(t.parts * t.parts * spec->in_channels) + 8, growth = t.side == 3 ? 9 : 16;
    double k = growth * roundings / (1 - roundings * 0x1p-24);
    double *largest = malloc(spec->in_channels * sizeof *largest);
    if (largest == NULL) abort();
    memset(bound, 0, e.out * sizeof *bound);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t j = 0; j < t.columns; j++) {
            size_t row = i * t.tile, column = tile_column(&t, j);
            double inputs = 0;
            for (size_t c = 0; c < spec->in_channels; c++) {
                largest[c] = 0;
                for (size_t n = 0, side = t.tile + t.wide - 1; n < side * side; n++) {
                    double x = fabs((double)counted(spec, &t, input, c, row + n / side, column + n % side));
                    largest[c] = fmax(largest[c], x);
                    inputs += x;
                }
            }
            for (size_t o = 0; o < spec->out_channels; o++) {
                double sum = bias == NULL ? 0 : fabs((double)bias[o]);
                for (size_t c = 0; c < spec->in_channels; c++)
                    for (size_t uv = 0; uv < e.filter; uv++)
                        sum += largest[c] *
                               fabs((double)weights[weight_at(spec, o, c, uv / e.filter_width, uv % e.filter_width)]);
                double here = activated_bound(spec, o, sum, k * 0x1p-24 * sum + k * 0x1p-149 * (1 + inputs));
                for (size_t n = 0; n < t.tile * t.tile; n++) {
                    size_t r = row + n / t.tile, s = column + n % t.tile;
                    if (r >= t.conv_height || s >= t.conv_width) continue;
                    double *at = &bound[output_at(spec, o, r / t.stride, s / t.stride)];
                    *at = fmax(*at, here);
                }
            }
        }
    free(largest);
}

void reference_bits(const convpool_layer_spec *spec, const char *algorithm, bool fused, const float *input,
                    const float *weights, const float *bias, float *y) {
    if (strncmp(algorithm, "winograd", 8) != 0)
        direct_bits(spec, fused, input, weights, bias, y);
    else
        winograd_bits(spec, algorithm, fused, input, weights, bias, y);
}

void reference_bound(const convpool_layer_spec *spec, const char *algorithm, const float *input, const float *weights,
                     const float *bias, double *bound) {
    if (strncmp(algorithm, "winograd", 8) != 0)
        direct_bound(spec, input, weights, bias, bound);
    else
        winograd_bound(spec, algorithm, input, weights, bias, bound);
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
