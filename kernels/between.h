/* SPDX-License-Identifier: MIT */
/* A network's stages between its layers, over the vocabulary of vector/vector.h. Images are [height][width][channels],
 * and lanes run over channels, or over the whole image where pixels do not matter. */
#ifndef CONVPOOL_BETWEEN_H
#define CONVPOOL_BETWEEN_H

#include "activate.h"
#include "kernel.h"
#include "softmax.h"
#include "vector/vector.h"

/* So many channels from p on, at most a vector of them. */
VEC_INLINE vec between_load(const float *p, size_t n) { return n < vec_lanes ? vec_load_part(p, n) : vec_load(p); }

/* A sum's mean, over a count that stands in lanes that are not taken, too: clang would divide by 0 there. */
VEC_INLINE vec between_mean(vec sum, float count) {
    vec pixels = vec_splat(&count);
    VEC_KEEP(pixels);
    return vec_div(sum, pixels);
}

/* The largest of what `count` successive pixels have, in n channels. */
VEC_INLINE vec between_row(const float *from, size_t channels, size_t count, size_t n) {
    vec y = between_load(from, n);
    for (count--; count >= 3; count -= 3, from += 3 * channels)
        y = vec_max4(y, between_load(from + channels, n), between_load(from + 2 * channels, n),
                     between_load(from + 3 * channels, n));
    if (count == 0) return y;
    vec next = between_load(from + channels, n), last = between_load(from + count * channels, n);
    return vec_max4(y, y, next, last);
}

/* And of so many rows of them: each by itself, for one maximum would have to wait for the one before. */
VEC_INLINE vec between_largest(const convpool_between *s, const float *from, size_t rows, size_t columns, size_t n) {
    size_t down = s->width * s->channels, right = s->channels;
    if (rows == 2 && columns == 2)
        return vec_max4(between_load(from, n), between_load(from + right, n), between_load(from + down, n),
                        between_load(from + down + right, n));
    vec y = between_row(from, right, columns, n);
    while (--rows > 0) {
        vec row = between_row(from += down, right, columns, n);
        y = vec_max4(y, y, row, row);
    }
    return y;
}

/* What a pool makes of so many rows and columns of pixels, for n channels. Sums start from +0 and go row by row. */
VEC_INLINE vec between_window(bool largest, const convpool_between *s, const float *from, size_t rows, size_t columns,
                              size_t n) {
    if (largest) return between_largest(s, from, rows, columns, n);
    vec y = vec_zero();
    for (size_t u = 0; u < rows; u++, from += s->width * s->channels)
        for (size_t v = 0; v < columns; v++)
            y = vec_add(y, between_load(from + v * s->channels, n));
    return between_mean(y, (float)rows * (float)columns);
}

/* All channels of a pixel. */
VEC_INLINE void between_pixel(bool largest, const convpool_between *s, const float *from, size_t rows, size_t columns,
                              float *to) {
    size_t n = s->channels;
    if (n < vec_lanes) vec_store_part(to, between_window(largest, s, from, rows, columns, n), n);
    for (size_t c = 0; n >= vec_lanes && c < n; c += vec_lanes) {
        size_t at = c + vec_lanes <= n ? c : n - vec_lanes; /* the last vector overlaps the one before */
        vec_store(to + at, between_window(largest, s, from + at, rows, columns, vec_lanes));
    }
}

/* Where the part of a window lies that is on the image, in one dimension, and how long it is. */
static size_t between_part(size_t start, size_t window, size_t pad, size_t extent, size_t *first) {
    size_t end = start + window < pad + extent ? start + window : pad + extent;
    *first = start > pad ? start - pad : 0;
    return end - pad - *first;
}

VEC_INLINE void between_pool(bool largest, const convpool_between *s, const float *input, float *output) {
    size_t top, left;
    for (size_t p = 0; p < s->out_height; p++) {
        size_t rows = between_part(p * s->stride_height, s->window_height, s->pad_top, s->height, &top);
        for (size_t q = 0; q < s->out_width; q++, output += s->channels) {
            size_t columns = between_part(q * s->stride_width, s->window_width, s->pad_left, s->width, &left);
            const float *from = input + (top * s->width + left) * s->channels;
            if (rows == 2 && columns == 2)
                between_pixel(largest, s, from, 2, 2, output);
            else if (rows == 3 && columns == 3)
                between_pixel(largest, s, from, 3, 3, output);
            else
                between_pixel(largest, s, from, rows, columns, output);
        }
    }
}

/* In the order of stage_global_average(), for n channels. */
VEC_INLINE vec between_average(const float *from, size_t pixels, size_t channels, size_t n) {
    enum { sums = 16 };
    vec sum[sums];
    for (size_t k = 0; k < sums; k++)
        sum[k] = vec_zero();
    size_t i = 0;
    for (; pixels - i >= sums; i += sums)
        for (size_t k = 0; k < sums; k++, from += channels)
            sum[k] = vec_add(sum[k], between_load(from, n));
    for (size_t k = 0; i < pixels; i++, k++, from += channels)
        sum[k] = vec_add(sum[k], between_load(from, n));
    for (size_t half = sums / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            sum[k] = vec_add(sum[k], sum[k + half]);
    return between_mean(sum[0], (float)pixels);
}

static void between_global_average(const convpool_between *s, const float *input, float *output) {
    size_t c = 0, pixels = s->height * s->width;
    for (; c + vec_lanes <= s->channels; c += vec_lanes)
        vec_store(output + c, between_average(input + c, pixels, s->channels, vec_lanes));
    if (c < s->channels) {
        size_t n = s->channels - c;
        vec_store_part(output + c, between_average(input + c, pixels, s->channels, n), n);
    }
}

enum { BETWEEN_SCALE = -1 }; /* beside activations */

VEC_INLINE vec between_value(int activation, vec x, vec a, vec b) {
    return activation == BETWEEN_SCALE ? vec_mul_add(x, a, b) : activate((convpool_activation)activation, x, a);
}

/* Each number by itself, with what its channel has. */
VEC_INLINE void between_each(int activation, const convpool_between *s, const float *input, float *output) {
    size_t count = s->channels * s->height * s->width, i = 0, c = 0, step = vec_lanes % s->channels;
    const float *first = s->per_channel[0], *second = s->per_channel[1];
    vec a = vec_splat(&s->parameter), b = vec_zero();
    for (; i + vec_lanes <= count; i += vec_lanes) {
        if (first) a = vec_load(first + c);
        if (second) b = vec_load(second + c);
        vec_store(output + i, between_value(activation, vec_load(input + i), a, b));
        c += c + step < s->channels ? step : step - s->channels;
    }
    if (i == count) return;
    size_t n = count - i;
    if (first) a = vec_load_part(first + c, n);
    if (second) b = vec_load_part(second + c, n);
    vec_store_part(output + i, between_value(activation, vec_load_part(input + i, n), a, b), n);
}

#define BETWEEN_EACH(name) \
    case CONVPOOL_ACTIVATION_##name: between_each(CONVPOOL_ACTIVATION_##name, s, input, output); break
static void between_activation(const convpool_between *s, const float *input, float *output) {
    switch (s->activation) {
        BETWEEN_EACH(RELU);
        BETWEEN_EACH(RELU6);
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
        BETWEEN_EACH(PRELU);
        BETWEEN_EACH(SIGMOID);
        BETWEEN_EACH(TANH);
        BETWEEN_EACH(ELU);
    default:
        if (input != output) memcpy(output, input, s->channels * s->height * s->width * sizeof *output);
    }
}

static __attribute__((noinline)) void stage_between(const convpool_between *s, const float *input, float *output) {
    switch (s->kind) {
    case CONVPOOL_STAGE_MAX_POOL:
    case CONVPOOL_STAGE_GLOBAL_MAX: between_pool(true, s, input, output); break;
    case CONVPOOL_STAGE_AVERAGE_POOL: between_pool(false, s, input, output); break;
    case CONVPOOL_STAGE_GLOBAL_AVERAGE: between_global_average(s, input, output); break;
    case CONVPOOL_STAGE_SCALE: between_each(BETWEEN_SCALE, s, input, output); break;
    case CONVPOOL_STAGE_ACTIVATION: between_activation(s, input, output); break;
    case CONVPOOL_STAGE_SOFTMAX: stage_softmax(input, s->channels, output); break;
    case CONVPOOL_STAGE_LOG_SOFTMAX: log_softmax(input, s->channels, output); break;
    default: break; /* a layer is none of these, nor is a depthwise convolution */
    }
}

#endif
