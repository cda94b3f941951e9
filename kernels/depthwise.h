/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution: each channel by a filter of its own.
 *
 * Order of evaluation, the same on every ISA: from +0, over u, then v ascending (positions in x), one chain of
 * multiply-adds, over what is on the image; then bias, then the activation.
 *
 * Images are [height][width][channels], and lanes run over a row's numbers as they lie: where windows move by one pixel
 * a vector may begin anywhere in a pixel, for what each channel has is repeated. Results that lie a whole number of
 * pixels and of vectors apart have the same weights: 3x3 ones stay in registers for all of these; of others some
 * results are computed together.
 */
#ifndef CONVPOOL_DEPTHWISE_H
#define CONVPOOL_DEPTHWISE_H

#include "between.h"
#include "finish.h"

enum { depthwise_together = VEC_REGISTERS >= 16 ? 4 : 2, depthwise_side = 3 };

/* Outputs whose windows have the same part on the image: for the first one, where that begins, and the weights there.
 */
typedef struct depthwise_part {
    size_t rows, columns;
    const float *from, *weights, *bias;
    float *to;
} depthwise_part;

/* Vectors of n numbers, one after the other; of each of these `count` or, of the first `more` ones, one more, which
 * have the same channels, `step` floats apart in the image and `to_step` in the output; and of all these so many lines.
 * In each there may be a window before these, and one behind, which have a column in padding. */
typedef struct depthwise_grid {
    size_t n, vectors, count, more, step, to_step, lines, down, to_down;
    bool before, behind;
} depthwise_grid;

/* What each channel has of one kind. */
VEC_INLINE size_t depthwise_pitch(const convpool_between *s) { return s->channels + CONVPOOL_REPEATED; }

/* The part from number `at` on. */
VEC_INLINE depthwise_part depthwise_from(const convpool_between *s, const depthwise_part *p, size_t at) {
    size_t c = at % s->channels;
    return (depthwise_part){p->rows, p->columns, p->from + at, p->weights + c, p->bias + c, p->to + at};
}

/* What becomes of sums: ReLU, or ReLU6; other activations come later. */
typedef struct depthwise_end {
    vec bias, floor;
    bool relu6;
} depthwise_end;

VEC_INLINE depthwise_end depthwise_end_of(const convpool_between *s, const float *bias) {
    bool relu = s->activation == CONVPOOL_ACTIVATION_RELU;
    return (depthwise_end){vec_load(bias), vec_splat(relu ? &finish_zero : &finish_lowest),
                           s->activation == CONVPOOL_ACTIVATION_RELU6};
}

VEC_INLINE void depthwise_finish(vec sum, const depthwise_end *end, float *to, size_t n) {
    vec y = vec_max(end->floor, vec_add(sum, end->bias));
    if (end->relu6) y = activate_relu6(y);
    if (n < vec_lanes)
        vec_store_part(to, y, n);
    else
        vec_store(to, y);
}

/* Of so many rows and columns, whose weights are in registers. */
VEC_INLINE void depthwise_output(size_t rows, size_t columns, const float *const *row, size_t right, const vec *weight,
                                 const depthwise_end *end, float *to) {
    vec sum = vec_zero();
    VEC_UNROLL
    for (size_t t = 0; t < rows * columns; t++) {
        size_t u = t / columns, v = t % columns;
        sum = vec_mul_add(vec_load(row[u] + v * right), weight[u * depthwise_side + v], sum);
    }
    depthwise_finish(sum, end, to, vec_lanes);
}

VEC_INLINE void depthwise_step(size_t rows, const float **row, size_t step) {
    VEC_UNROLL
    for (size_t u = 0; u < rows; u++)
        row[u] += step;
}

/* Whole vectors, by filters of three columns. */
VEC_INLINE void depthwise_side_of(size_t rows, const convpool_between *s, const depthwise_part *part,
                                  const depthwise_grid *g) {
    size_t right = s->channels, step = g->step, to_step = g->to_step;
    for (size_t k = 0; k < g->vectors; k++) {
        depthwise_part p = depthwise_from(s, part, k * vec_lanes);
        depthwise_end end = depthwise_end_of(s, p.bias);
        vec weight[depthwise_side * depthwise_side];
        VEC_UNROLL
        for (size_t i = 0; i < rows * depthwise_side; i++)
            weight[i] = vec_load(p.weights + i * depthwise_pitch(s));
        for (size_t line = g->lines; line > 0; line--, p.from += g->down, p.to += g->to_down) {
            const float *row[depthwise_side];
            float *to = p.to;
            VEC_UNROLL
            for (size_t u = 0; u < rows; u++)
                row[u] = p.from + u * s->width * right;
            if (g->before) {
                depthwise_output(rows, 2, row, right, weight + 1, &end, to);
                depthwise_step(rows, row, step - right);
                to += to_step;
            }
            for (size_t i = g->count + (k < g->more); i > 0; i--, to += to_step) {
                depthwise_output(rows, 3, row, right, weight, &end, to);
                depthwise_step(rows, row, step);
            }
            if (g->behind) depthwise_output(rows, 2, row, right, weight, &end, to);
        }
    }
}

/* Of any, so many vectors together. */
VEC_INLINE void depthwise_any(size_t together, const convpool_between *s, const depthwise_part *p, size_t n,
                              size_t step, size_t to_step) {
    size_t down = s->width * s->channels, pitch = depthwise_pitch(s);
    const float *from = p->from, *weights = p->weights;
    vec sum[depthwise_together];
    VEC_UNROLL
    for (size_t i = 0; i < together; i++)
        sum[i] = vec_zero();
    for (size_t u = p->rows; u > 0; u--, from += down, weights += s->window_width * pitch)
        for (size_t k = 0; k < p->columns; k++) {
            vec weight = vec_load(weights + k * pitch);
            VEC_UNROLL
            for (size_t i = 0; i < together; i++)
                sum[i] = vec_mul_add(between_load(from + k * s->channels + i * step, n), weight, sum[i]);
        }
    depthwise_end end = depthwise_end_of(s, p->bias);
    VEC_UNROLL
    for (size_t i = 0; i < together; i++)
        depthwise_finish(sum[i], &end, p->to + i * to_step, n);
}

/* A line of them; where there are enough the last ones overlap those before. */
static __attribute__((noinline)) void depthwise_line(const convpool_between *s, const depthwise_part *part, size_t n,
                                                     size_t count, size_t step, size_t to_step) {
    size_t together = n == vec_lanes && count >= depthwise_together ? depthwise_together : 1;
    for (size_t i = 0; i < count; i += together) {
        size_t first = i + together <= count ? i : count - together;
        depthwise_part p = *part;
        p.from += first * step, p.to += first * to_step;
        if (together == 1)
            depthwise_any(1, s, &p, n, step, to_step);
        else
            depthwise_any(depthwise_together, s, &p, vec_lanes, step, to_step);
    }
}

/* The longer of the two directions is within lines. */
static void depthwise_lines(const convpool_between *s, const depthwise_part *part, const depthwise_grid *g) {
    for (size_t k = 0; k < g->vectors; k++) {
        depthwise_part p = depthwise_from(s, part, k * vec_lanes);
        size_t count = g->count + (k < g->more);
        bool across = count >= depthwise_together || count >= g->lines;
        for (size_t i = across ? g->lines : count; i > 0; i--) {
            if (across)
                depthwise_line(s, &p, g->n, count, g->step, g->to_step);
            else
                depthwise_line(s, &p, g->n, g->lines, g->down, g->to_down);
            p.from += across ? g->down : g->step, p.to += across ? g->to_down : g->to_step;
        }
    }
}

static __attribute__((noinline)) void depthwise_grid_of(const convpool_between *s, const depthwise_part *p,
                                                        const depthwise_grid *g) {
    bool side = s->window_width == depthwise_side && p->columns == depthwise_side && g->n == vec_lanes;
    if (side && p->rows == 3)
        depthwise_side_of(3, s, p, g);
    else if (side && p->rows == 2)
        depthwise_side_of(2, s, p, g);
    else
        depthwise_lines(s, p, g);
}

/* So many lines of `pixels` windows, and at their ends those of a column in padding. */
static void depthwise_windows(const convpool_between *s, const depthwise_part *part, depthwise_grid g, size_t pixels) {
    size_t channels = s->channels;
    bool apart = g.before || g.behind || (s->stride_width > 1 && pixels > 1); /* no vector belongs to two windows */
    size_t numbers = apart ? channels : pixels * channels, all = numbers / vec_lanes, rest = numbers % vec_lanes;
    g.n = vec_lanes;
    g.down = s->stride_height * s->width * channels, g.to_down = s->out_width * channels;
    if (apart) {
        g.vectors = all, g.count = pixels, g.step = s->stride_width * channels, g.to_step = channels;
    } else { /* a multiple of pixels and of vectors, whose lanes are a power of two */
        size_t common = channels & -channels, period = channels / size_min(common, vec_lanes);
        g.vectors = size_min(period, all), g.count = all / period, g.more = all % period;
        g.step = g.to_step = period * vec_lanes;
    }
    if (all > 0) depthwise_grid_of(s, part, &g);
    if (rest == 0) return;
    g.n = size_min(numbers, vec_lanes), g.vectors = 1, g.more = 0; /* the last vector overlaps the one before */
    if (!apart) g.count = 1;
    depthwise_part last = depthwise_from(s, part, numbers - g.n);
    depthwise_grid_of(s, &last, &g);
}

/* In one dimension, `count` outputs, whose windows have `size` pixels on the image, from `first` on, and before them so
 * many in padding. */
typedef struct depthwise_span {
    size_t count, first, size, before;
} depthwise_span;

/* From an output on. */
static depthwise_span depthwise_next(size_t out, size_t outputs, size_t window, size_t stride, size_t pad,
                                     size_t extent) {
    size_t start = out * stride, end = pad + extent; /* in the padded image */
    depthwise_span span = {.count = 1};
    if (start >= end || start + window <= pad) return span;
    span.size = between_part(start, window, pad, extent, &span.first);
    span.before = start < pad ? pad - start : 0;
    if (span.size == window) span.count = size_min(outputs, (end - window) / stride + 1) - out;
    return span;
}
static depthwise_span depthwise_across(const convpool_between *s, size_t q) {
    if (q >= s->out_width) return (depthwise_span){.count = 0};
    return depthwise_next(q, s->out_width, s->window_width, s->stride_width, s->pad_left, s->width);
}

/* Windows from q on, on the rows of a part; returns how many. Those of three columns go along with one at either end
 * that has two, if vectors do not go from one to the other. */
static size_t depthwise_some(const convpool_between *s, depthwise_part part, size_t lines, size_t q) {
    depthwise_span some = depthwise_across(s, q), next = some;
    depthwise_grid g = {.lines = lines};
    size_t count = some.count, pixels = some.count, skipped = some.before;
    bool side = s->window_width == depthwise_side && (part.rows == 2 || part.rows == 3) && s->channels >= vec_lanes;
    bool whole = side && s->channels % vec_lanes == 0;
    if (side && some.size == 2) {
        part.columns = depthwise_side, pixels = skipped = 0;
        g.before = some.before == 1, g.behind = some.before == 0;
        next = depthwise_across(s, q + count);
        if (whole && g.before && next.size == depthwise_side) pixels = next.count, count += pixels;
    } else {
        part.columns = some.size;
    }
    next = depthwise_across(s, q + count);
    if (whole && pixels > 0 && part.columns == depthwise_side && next.size == 2) g.behind = true, count++;
    part.from += some.first * s->channels, part.to += q * s->channels;
    part.weights += skipped * depthwise_pitch(s);
    depthwise_windows(s, &part, g, pixels);
    return count;
}

static __attribute__((noinline)) void stage_depthwise(const convpool_between *s, const float *input, float *output) {
    size_t row = s->width * s->channels, out_row = s->out_width * s->channels;
    depthwise_span down;
    for (size_t p = 0; p < s->out_height; p += down.count) {
        down = depthwise_next(p, s->out_height, s->window_height, s->stride_height, s->pad_top, s->height);
        const float *weights = s->per_channel[0] + down.before * s->window_width * depthwise_pitch(s);
        depthwise_part part = {down.size,           0, input + down.first * row, weights, s->per_channel[1],
                               output + p * out_row};
        for (size_t q = 0; q < s->out_width;)
            q += depthwise_some(s, part, down.count, q);
    }
    if (s->activation == CONVPOOL_ACTIVATION_NONE || s->activation == CONVPOOL_ACTIVATION_RELU ||
        s->activation == CONVPOOL_ACTIVATION_RELU6)
        return;
    convpool_between whole = *s;
    whole.height = s->out_height, whole.width = s->out_width;
    whole.per_channel[0] = s->per_channel[2], whole.per_channel[1] = NULL;
    between_activation(&whole, output, output);
}

#endif
