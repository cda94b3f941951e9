/* SPDX-License-Identifier: MIT */
/* What a network's result must be: its stages one by one, by their definitions. */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *zeros(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    if (memory == NULL) abort();
    return memory;
}

/* Planes to pixels, or back. */
static float *turned(const float *from, const size_t e[3], bool to_hwc) {
    size_t pixels = e[1] * e[2];
    float *to = zeros(e[0] * pixels, sizeof *to);
    for (size_t c = 0; c < e[0]; c++)
        for (size_t i = 0; i < pixels; i++) {
            size_t chw = c * pixels + i, hwc = i * e[0] + c;
            if (to_hwc)
                to[hwc] = from[chw];
            else
                to[chw] = from[hwc];
        }
    return to;
}

/* A pool's output pixel in one plane, by the definition. */
static float pooled(const convpool_stage *s, const float *plane, const size_t e[3], size_t p, size_t q) {
    size_t height = or_else(s->spec.filter_height, 2), width = or_else(s->spec.filter_width, 2);
    size_t top = p * or_else(s->spec.stride_height, height), left = q * or_else(s->spec.stride_width, width);
    float sum = 0, count = 0, most = -INFINITY;
    for (size_t u = top; u < top + height; u++)
        for (size_t v = left; v < left + width; v++) {
            size_t row = u - s->spec.pad_top, column = v - s->spec.pad_left;
            if (u < s->spec.pad_top || v < s->spec.pad_left || row >= e[1] || column >= e[2]) continue;
            sum += plane[row * e[2] + column];
            count += 1;
            most = reference_max(most, plane[row * e[2] + column]);
        }
    return s->kind == CONVPOOL_STAGE_MAX_POOL ? most : sum / count;
}

static float *reference_pool(const convpool_stage *s, const float *x, size_t e[3]) {
    size_t height = or_else(s->spec.filter_height, 2), width = or_else(s->spec.filter_width, 2);
    size_t rows = (s->spec.pad_top + e[1] + s->spec.pad_bottom - height) / or_else(s->spec.stride_height, height) + 1;
    size_t columns = (s->spec.pad_left + e[2] + s->spec.pad_right - width) / or_else(s->spec.stride_width, width) + 1;
    float *y = zeros(e[0] * rows * columns, sizeof *y);
    for (size_t c = 0; c < e[0]; c++)
        for (size_t p = 0; p < rows; p++)
            for (size_t q = 0; q < columns; q++)
                y[(c * rows + p) * columns + q] = pooled(s, x + c * e[1] * e[2], e, p, q);
    e[1] = rows, e[2] = columns;
    return y;
}

/* A depthwise convolution's sum, of what is on the image. */
static float depthwise_sum(const convpool_stage *s, bool fused, const float *plane, const size_t e[3], size_t c,
                           size_t top, size_t left) {
    convpool_layer_spec spec = s->spec;
    spec.in_channels = 1, spec.out_channels = e[0];
    float sum = 0;
    for (size_t u = 0; u < or_else(spec.filter_height, 2); u++)
        for (size_t v = 0; v < or_else(spec.filter_width, 2); v++) {
            size_t row = top + u - spec.pad_top, column = left + v - spec.pad_left; /* may wrap */
            if (row >= e[1] || column >= e[2]) continue;
            float x = plane[row * e[2] + column], w = s->weights[weight_at(&spec, c, 0, u, v)], product = x * w;
            sum = fused ? fused_multiply_add(x, w, sum) : sum + product;
        }
    return sum;
}

static float *reference_depthwise(const convpool_stage *s, bool fused, const float *x, size_t e[3]) {
    convpool_layer_spec spec = s->spec;
    spec.in_channels = e[0], spec.in_height = e[1], spec.in_width = e[2], spec.pool = CONVPOOL_POOL_NONE;
    extents out = extents_of(&spec);
    size_t rows = out.out_height, columns = out.out_width;
    float *y = zeros(e[0] * rows * columns, sizeof *y);
    for (size_t i = 0; i < e[0] * rows * columns; i++) {
        size_t c = i / columns / rows, p = i / columns % rows, q = i % columns;
        float sum = depthwise_sum(s, fused, x + c * e[1] * e[2], e, c, p * out.stride_height, q * out.stride_width);
        y[i] = reference_activation(&spec, c, sum + (s->bias ? s->bias[c] : 0));
    }
    e[1] = rows, e[2] = columns;
    return y;
}

/* algorithm: NULL for double precision, rounded. */
static float *reference_layer(const convpool_stage *s, const char *algorithm, bool fused, const float *x, size_t e[3]) {
    convpool_layer_spec spec = s->spec;
    spec.in_channels = e[0], spec.in_height = e[1], spec.in_width = e[2];
    spec.input_layout = spec.output_layout = CONVPOOL_IMAGE_CHW;
    extents out = extents_of(&spec);
    float *y = zeros(out.out, sizeof *y), *bias = zeros(spec.out_channels, sizeof *bias);
    double *exact = zeros(out.out, sizeof *exact);
    if (algorithm != NULL)
        reference_bits(&spec, algorithm, fused, x, s->weights, s->bias ? s->bias : bias, y);
    else
        reference_double(&spec, x, s->weights, s->bias ? s->bias : bias, exact);
    for (size_t i = 0; i < out.out && algorithm == NULL; i++)
        y[i] = (float)exact[i];
    free(bias);
    free(exact);
    e[0] = spec.out_channels, e[1] = out.out_height, e[2] = out.out_width;
    return y;
}

/* What a stage makes of an image in planes, of extents e, which become the result's. */
static float *reference_stage(const convpool_stage *s, const char *algorithm, bool fused, const float *x, size_t e[3]) {
    size_t pixels = e[1] * e[2], count = e[0] * pixels;
    if (s->kind == CONVPOOL_STAGE_LAYER) return reference_layer(s, algorithm, fused, x, e);
    if (s->kind == CONVPOOL_STAGE_DEPTHWISE) return reference_depthwise(s, fused, x, e);
    if (s->kind == CONVPOOL_STAGE_MAX_POOL || s->kind == CONVPOOL_STAGE_AVERAGE_POOL) return reference_pool(s, x, e);
    float *y = zeros(count, sizeof *y);
    bool numbers = s->spec.in_channels == count && s->spec.in_height == 1 && s->spec.in_width == 1;
    for (size_t i = 0; i < count; i++) {
        size_t c = numbers ? i % pixels * e[0] + i / pixels : i / pixels; /* whose weight and slope counts */
        if (s->kind == CONVPOOL_STAGE_ACTIVATION) y[i] = reference_activation(&s->spec, c, x[i]);
        if (s->kind == CONVPOOL_STAGE_GLOBAL_MAX) y[c] = i % pixels ? reference_max(y[c], x[i]) : x[i];
        if (s->kind != CONVPOOL_STAGE_SCALE) continue;
        float product = x[i] * s->weights[c], bias = s->bias ? s->bias[c] : 0;
        y[i] = fused ? fused_multiply_add(x[i], s->weights[c], bias) : product + bias;
    }
    if (s->kind == CONVPOOL_STAGE_SOFTMAX) convpool_softmax(x, count, y);
    if (s->kind == CONVPOOL_STAGE_LOG_SOFTMAX) { /* log_softmax_is_exact_enough holds it to the definition */
        convpool_network *alone;
        convpool_stage only = {.kind = s->kind, .spec = {.in_channels = e[0], .in_height = 1, .in_width = 1}};
        if (convpool_network_create(&only, 1, &alone) != CONVPOOL_OK) abort();
        convpool_network_run(alone, x, y, NULL);
        convpool_network_destroy(alone);
    }
    if (s->kind == CONVPOOL_STAGE_GLOBAL_AVERAGE) convpool_global_average(x, e[0], e[1], e[2], y);
    if (s->kind == CONVPOOL_STAGE_GLOBAL_MAX || s->kind == CONVPOOL_STAGE_GLOBAL_AVERAGE) e[1] = e[2] = 1;
    return y;
}

float *reference_network(const convpool_stage *stages, size_t count, const convpool_network *network, bool fused,
                         const float *input) {
    size_t e[3] = {stages->spec.in_channels, stages->spec.in_height, stages->spec.in_width};
    float *x = turned(input, e, false);
    if (stages->spec.input_layout == CONVPOOL_IMAGE_CHW) memcpy(x, input, e[0] * e[1] * e[2] * sizeof *x);
    for (size_t i = 0; i < count; i++) {
        const char *dash = strchr(convpool_layer_kernel(convpool_network_layer(network, i)), '-');
        float *y = reference_stage(&stages[i], network == NULL ? NULL : dash ? dash + 1 : "", fused, x, e);
        free(x);
        x = y;
    }
    if (stages[count - 1].spec.output_layout == CONVPOOL_IMAGE_CHW) return x;
    float *y = turned(x, e, true);
    free(x);
    return y;
}
