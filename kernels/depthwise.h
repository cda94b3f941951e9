/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution: each channel by a filter of its own.
 *
 * Order of evaluation, the same on every ISA: from +0, over u, then v ascending (positions in x), one chain of
 * multiply-adds, over what is on the image; then bias, then the activation.
 *
 * Images are [height][width][channels], and lanes run over a row's numbers as they lie: where windows move by one pixel
 * a vector may begin anywhere in a pixel, for what each channel has is repeated. Results that lie a whole number of
 * pixels and of vectors apart are computed together, and share the weights that are loaded.
 */
#ifndef CONVPOOL_DEPTHWISE_H
#define CONVPOOL_DEPTHWISE_H

#include "between.h"
#include "finish.h"

enum { depthwise_together = VEC_REGISTERS >= 16 ? 4 : 2 };

/* The weights of windows that are on the image: the first one, and the pixel that the first window has there. */
typedef struct depthwise_part {
    const float *from, *weights;
    size_t rows, columns;
} depthwise_part;

/* What each channel has of one kind. */
VEC_INLINE size_t depthwise_pitch(const convpool_between *s) { return s->channels + CONVPOOL_REPEATED; }

/* n numbers of so many vectors, from number `at` of the row on; `step` floats apart, in the output `to_step`. */
typedef struct depthwise_vectors {
    size_t at, n, step, to_step;
    float *to;
} depthwise_vectors;

VEC_INLINE void depthwise_run(size_t count, size_t rows, size_t columns, const convpool_between *s,
                              const depthwise_part *part, const depthwise_vectors *v) {
    size_t right = s->channels, down = s->width * right, pitch = depthwise_pitch(s), c = v->at % right;
    const float *from = part->from + v->at, *weights = part->weights + c;
    vec sum[depthwise_together];
    VEC_UNROLL
    for (size_t i = 0; i < count; i++)
        sum[i] = vec_zero();
    for (size_t u = rows; u > 0; u--, from += down, weights += s->window_width * pitch)
        for (size_t k = 0; k < columns; k++) {
            vec weight = vec_load(weights + k * pitch);
            VEC_UNROLL
            for (size_t i = 0; i < count; i++)
                sum[i] = vec_mul_add(between_load(from + k * right + i * v->step, v->n), weight, sum[i]);
        }
    bool relu = s->activation == CONVPOOL_ACTIVATION_RELU;
    vec bias = vec_load(s->per_channel[1] + c), floor = vec_splat(relu ? &finish_zero : &finish_lowest);
    VEC_UNROLL
    for (size_t i = 0; i < count; i++) {
        vec y = vec_max(floor, vec_add(sum[i], bias));
        if (v->n < vec_lanes)
            vec_store_part(v->to + i * v->to_step, y, v->n);
        else
            vec_store(v->to + i * v->to_step, y);
    }
}

/* Several whole vectors; and one, which may be a part. */
static __attribute__((noinline)) void depthwise_several(const convpool_between *s, const depthwise_part *part,
                                                        const depthwise_vectors *several) {
    depthwise_vectors v = *several;
    v.n = vec_lanes;
    if (part->rows == 3 && part->columns == 3)
        depthwise_run(depthwise_together, 3, 3, s, part, &v);
    else
        depthwise_run(depthwise_together, part->rows, part->columns, s, part, &v);
}
static __attribute__((noinline)) void depthwise_one(const convpool_between *s, const depthwise_part *part,
                                                    const depthwise_vectors *one) {
    depthwise_vectors v = *one;
    if (v.n < vec_lanes) {
        depthwise_run(1, part->rows, part->columns, s, part, &v);
        return;
    }
    v.n = vec_lanes;
    depthwise_run(1, part->rows, part->columns, s, part, &v);
}

/* `count` vectors. */
static void depthwise_all(const convpool_between *s, const depthwise_part *part, size_t count, depthwise_vectors v) {
    depthwise_part p = *part;
    for (size_t done; count > 0; count -= done, p.from += done * v.step, v.to += done * v.to_step) {
        done = v.n == vec_lanes && count >= depthwise_together ? depthwise_together : 1;
        (done > 1 ? depthwise_several : depthwise_one)(s, &p, &v);
    }
}

/* `numbers` of a row that windows make which move by one pixel. */
static void depthwise_flat(const convpool_between *s, const depthwise_part *part, size_t numbers, float *to) {
    size_t common = s->channels & -s->channels; /* with a vector, whose lanes are a power of two */
    size_t step = s->channels / (common < vec_lanes ? common : vec_lanes) * vec_lanes, at = 0;
    if (numbers < vec_lanes) {
        depthwise_one(s, part, &(depthwise_vectors){.n = numbers, .to = to});
        return;
    }
    for (; at < step && at + vec_lanes <= numbers; at += vec_lanes)
        depthwise_all(s, part, (numbers - vec_lanes - at) / step + 1,
                      (depthwise_vectors){at, vec_lanes, step, step, to + at});
    at = numbers - vec_lanes; /* the last vector overlaps the one before */
    if (numbers % vec_lanes > 0) depthwise_one(s, part, &(depthwise_vectors){at, vec_lanes, 0, 0, to + at});
}

/* The results of `pixels` windows. */
static void depthwise_pixels(const convpool_between *s, const depthwise_part *part, size_t pixels, float *to) {
    size_t channels = s->channels, step = s->stride_width * channels;
    if (pixels == 0) return;
    if (s->stride_width == 1 || pixels == 1) {
        depthwise_flat(s, part, pixels * channels, to);
        return;
    }
    for (size_t c = 0; c < channels; c += vec_lanes) {
        size_t at = channels < vec_lanes || c + vec_lanes <= channels ? c : channels - vec_lanes;
        size_t n = channels < vec_lanes ? channels : vec_lanes;
        depthwise_all(s, part, pixels, (depthwise_vectors){at, n, step, channels, to + at});
    }
}

/* How many steps are before `extent`, of those from 0 on. */
VEC_INLINE size_t depthwise_steps(size_t extent, size_t step) { return (extent + step - 1) / step; }

/* A row of the output, from a row of the windows. */
static void depthwise_row(const convpool_between *s, const float *row, const float *weights, size_t rows, float *to) {
    size_t right = s->pad_left + s->width, step = s->stride_width, q = 0; /* the first column behind the image */
    size_t inner = depthwise_steps(s->pad_left, step), end = inner; /* windows that are on it in all their columns */
    if (right >= s->window_width) end = (right - s->window_width) / step + 1;
    for (size_t count; q < s->out_width; q += count, to += count * s->channels) {
        size_t start = q * step, first, columns = 0;
        count = q >= inner && q < end ? (end < s->out_width ? end : s->out_width) - q : 1;
        if (start < right && start + s->window_width > s->pad_left)
            columns = between_part(start, s->window_width, s->pad_left, s->width, &first);
        else
            first = 0;
        size_t skipped = start < s->pad_left ? s->pad_left - start : 0; /* columns of weights */
        depthwise_part part = {row + first * s->channels, weights, rows, columns};
        if (columns > 0) part.weights += skipped * depthwise_pitch(s);
        depthwise_pixels(s, &part, count, to);
    }
}

static __attribute__((noinline)) void stage_depthwise(const convpool_between *s, const float *input, float *output) {
    size_t row = s->width * s->channels, out_row = s->out_width * s->channels;
    convpool_between line = *s; /* of the output, to be activated where it is */
    line.height = 1, line.width = s->out_width;
    line.per_channel[0] = s->per_channel[2], line.per_channel[1] = NULL;
    for (size_t p = 0; p < s->out_height; p++, output += out_row) {
        size_t start = p * s->stride_height, first = 0, rows = 0, skipped = 0;
        if (start < s->pad_top + s->height && start + s->window_height > s->pad_top) {
            rows = between_part(start, s->window_height, s->pad_top, s->height, &first);
            skipped = start < s->pad_top ? s->pad_top - start : 0;
        }
        const float *weights = s->per_channel[0] + skipped * s->window_width * depthwise_pitch(s);
        depthwise_row(s, input + first * row, weights, rows, output);
        if (s->activation != CONVPOOL_ACTIVATION_RELU) between_activation(&line, output, output);
    }
}

#endif
