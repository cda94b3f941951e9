/* SPDX-License-Identifier: MIT */
/*
 * The algorithm `direct`: the sum as it is written.
 *
 * Order of evaluation, the same on every ISA: from +0, over c, then u, then v ascending (positions in x), one chain of
 * multiply-adds; then the maximum, then bias, then the activation; but where the latter may fall as its argument rises,
 * or makes NaN of -infinity, the maximum comes last. A zero around the image is an input like any other.
 *
 * Error (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1): with n terms and u = 2^-24,
 * |y - exact| <= k u (|b| + sum |x||w|) + k 2^-149 (1 + sum |x|), k = (n + 1) / (1 - (n + 1) u): no term meets more
 * than one multiplication's rounding, n - 1 additions' (the first adds to zero), and the bias's.
 *
 * Lanes run over output channels. A block of output pixels has a slot for each convolution output that it takes, and
 * the rest is a matrix product (product_at.h) that reads inputs where the source has them: a slot's first, and from
 * there at the distance that a term of the sum has, which is packed. Where sums have few terms, or output channels are
 * few, pixels are computed row by row instead (product_row.h), and with small filters of few input channels lanes run
 * over pixels (pixels/direct.h).
 */
#ifndef CONVPOOL_DIRECT_H
#define CONVPOOL_DIRECT_H

#include "finish.h"
#include "packed.h"
#include "product_at.h"
#include "product_row.h"
#include "source.h"

enum {
    direct_slots = 96,      /* of a block, at most */
    direct_sums = 4 * 1024, /* and sums */
};

/* Vectors of output channels that are computed together: more where there are few pixels, to keep as many sums. */
static packed_blocks direct_blocks(const convpool_shape *s) {
    size_t slots = size_min(s->conv_height * s->conv_width, product_at_many);
    size_t vecs = size_min(tune_sums / slots, product_at_vecs), all = (s->out_channels + vec_lanes - 1) / vec_lanes;
    return (packed_blocks){size_even(all, vecs) * vec_lanes, vec_lanes};
}

static size_t direct_slots_of_block(const convpool_shape *s) {
    size_t window = s->pool ? 4 : 1, most = size_min(direct_slots, direct_sums / direct_blocks(s).most);
    size_t pixels = size_min(most / window, s->out_height * s->out_width);
    return window * (pixels ? pixels : 1);
}

/* ---- Packed: bias, slopes and weights, and behind them the terms' distances ---- */

static size_t direct_terms(const convpool_shape *s) { /* in bytes: where they begin */
    return size_round_up(packed_blocks_size(s, direct_blocks(s)), CONVPOOL_ALIGNMENT);
}

static size_t direct_packed_size(const convpool_shape *s) { return direct_terms(s) + s->depth * sizeof(size_t); }

static void direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    packed_pack(s, direct_blocks(s), weights, bias, packed);
    size_t *term = (size_t *)(void *)((char *)packed + direct_terms(s));
    source_strides step = source_steps(s);
    for (size_t c = 0; c < s->channels; c++)
        for (size_t u = 0; u < s->filter_height; u++)
            for (size_t v = 0; v < s->filter_width; v++)
                *term++ = c * step.channel + u * step.row + v * step.column;
}

static inline double direct_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return packed_direct_bound(s, direct_blocks(s), packed, max_abs_input);
}

/* ---- Scratch: a band of the source, and a block's sums ---- */

static inline size_t direct_window_rows(const convpool_shape *s) { return s->pool ? 2 : 1; }

static size_t direct_scratch_size(const convpool_shape *s) {
    size_t sums = direct_slots_of_block(s) * direct_blocks(s).most;
    return (source_floats(s, source_in_place(s), direct_window_rows(s)) + sums) * sizeof(float) + CONVPOOL_ALIGNMENT -
           1;
}

/* What all blocks of a call have in common. */
typedef struct direct_call {
    const convpool_shape *shape;
    packed_blocks blocks;
    const float *bias, *weights;
    const size_t *terms;
    const float *rows; /* of windows, */
    size_t first_row;  /* from this one on, in the source */
    float *sums;
} direct_call;

static direct_call direct_begin(const convpool_shape *s, const float *packed, void *scratch) {
    direct_call a = {.shape = s, .blocks = direct_blocks(s), .bias = packed};
    a.weights = packed + packed_weights(s, a.blocks);
    a.terms = (const size_t *)(const void *)((const char *)packed + direct_terms(s));
    a.sums = scratch_align(scratch) + source_floats(s, source_in_place(s), direct_window_rows(s));
    return a;
}

/* Some output pixels: of each slot, where its first input is. */
typedef struct direct_block {
    size_t slots, at[direct_slots];
    product_at_groups groups; /* of all slots by as many vectors as were computed with last */
} direct_block;

/* Makes the block of so many pixels of the output plane. A window at the edge has its last row or column twice if there
 * is but one. */
static void direct_make_block(const direct_call *a, size_t first, size_t pixels, direct_block *b) {
    const convpool_shape *s = a->shape;
    source_strides step = source_steps(s);
    size_t down = source_step(s, source_in_place(s)) * step.row, across = s->stride_width * step.column,
           window = s->pool ? 2 : 1;
    size_t row = first / s->out_width, column = first % s->out_width, *at = b->at;
    b->slots = window * window * pixels;
    for (size_t n; pixels > 0; pixels -= n, row++, column = 0) {
        n = size_min(pixels, s->out_width - column);
        size_t upper = (window * row - a->first_row) * down + window * column * across;
        size_t lower = upper + (window * row + 1 < s->conv_height ? down : 0);
        for (size_t i = 0; i < n; i++, upper += window * across, lower += window * across) {
            *at++ = upper;
            if (window == 1) continue;
            size_t next = 2 * (column + i) + 1 < s->conv_width ? across : 0;
            *at++ = upper + next;
            *at++ = lower;
            *at++ = lower + next;
        }
    }
}

/* The product for output channels from o on, but for where its sums go. */
static product_at direct_product(const direct_call *a, size_t o) {
    return (product_at){
        .rows = a->rows, .terms = a->terms, .lanes = a->weights + o * a->shape->depth, .depth = a->shape->depth};
}

/* The maxima of windows, finished or to be finished, in the place of the sums, [slot][channel]. */
static void direct_pool(const direct_call *a, size_t windows, size_t o, size_t lanes, bool to_finish) {
    bool relu = finish_is_relu(a->shape);
    for (size_t n = 0; n < lanes; n += vec_lanes) {
        vec bias = vec_load(a->bias + o + n);
        float *to = a->sums + n, *from = to;
        for (size_t left = windows; left > 0; left--, to += lanes, from += 4 * lanes) {
            vec largest = vec_max4(vec_load(from), vec_load(from + lanes), vec_load(from + 2 * lanes),
                                   vec_load(from + 3 * lanes));
            vec_store(to, to_finish ? finish(largest, bias, relu) : largest);
        }
    }
}

/* Whether pixels' results in these channels lie in the output as sums do. */
static bool direct_in_place(const convpool_shape *s, size_t o, size_t lanes) {
    bool side_by_side = s->output_hwc || s->out_height * s->out_width == 1;
    return side_by_side && o + lanes <= s->out_channels;
}

/* A block's `pixels` pixels, from pixel `first` on, in the output channels from o on that are computed together: how
 * many these are. */
static size_t direct_pixels(const direct_call *a, direct_block *b, size_t first, size_t pixels, size_t o,
                            float *output) {
    const convpool_shape *s = a->shape;
    size_t lanes = packed_block(s, a->blocks, o);
    finish_pixels to = finish_to(s, output, first, pixels, o, lanes);
    bool late = s->late || !s->pool, in_place = !s->pool && direct_in_place(s, o, lanes); /* finished sum by sum */
    product_at p = direct_product(a, o);
    p.sums = in_place ? to.to : a->sums;
    p.sum_row = in_place ? s->out_channels : lanes;
    p.bias = late ? a->bias + o : NULL;
    p.floor = finish_floor(s);
    if (b->groups.rows != b->slots || b->groups.vecs * vec_lanes != lanes)
        b->groups = product_at_cut(b->slots, lanes / vec_lanes);
    product_at_run(&p, b->at, &b->groups);
    if (!late) direct_pool(a, pixels, o, lanes, true);
    if (!finish_is_plain(s))
        finish_activate(s, a->blocks, a->bias, o,
                        (activate_rows){p.sums, late ? b->slots : pixels, p.sum_row, .channels = lanes});
    if (in_place) return lanes;
    if (late && s->pool) direct_pool(a, pixels, o, lanes, false);
    to.from = a->sums;
    to.pitch = lanes;
    finish_write(&to);
    return lanes;
}

/* Rows of the output, from `row` to before `end`, block by block. */
static void direct_run_blocks(const direct_call *a, size_t row, size_t end, float *output) {
    const convpool_shape *s = a->shape;
    size_t most = direct_slots_of_block(s) / (s->pool ? 4 : 1), last = end * s->out_width;
    direct_block b;
    b.groups.rows = 0;
    for (size_t first = row * s->out_width, pixels; first < last; first += pixels) {
        pixels = size_min(most, last - first);
        direct_make_block(a, first, pixels, &b);
        for (size_t o = 0; o < s->out_channels;)
            o += direct_pixels(a, &b, first, pixels, o, output);
    }
}

/* ---- Row by row ---- */

static bool direct_is_by_row(const convpool_shape *s) {
    if (tune_few == 0 || s->filter_width == 1 || s->stride_width != 1) return false;
    bool narrow = s->out_channels <= vec_lanes;
    if (!s->pool) return narrow && s->out_width >= product_row_least;
    return convpool_windows_are_whole(s) && !s->late && (narrow || s->depth <= tune_few);
}

/* `pixels` pixels of a row in output channels from o on, a vector of them. */
static void direct_row_pixels(const direct_call *a, product_row *p, size_t first, size_t pixels, size_t o,
                              float *output) {
    const convpool_shape *s = a->shape;
    size_t block = o - o % a->blocks.most;
    finish_pixels to = finish_to(s, output, first, pixels, o, vec_lanes);
    bool in_place = direct_in_place(s, o, vec_lanes);
    p->lanes = a->weights + block * s->depth + (o - block);
    p->lane_pitch = packed_block(s, a->blocks, block);
    p->bias = a->bias + o;
    p->to[0] = in_place ? to.to : a->sums;
    p->to_pixel = in_place ? s->out_channels : vec_lanes;
    product_row_run(p, s->pool, false, pixels);
    if (!finish_is_plain(s))
        finish_activate(s, a->blocks, a->bias, o,
                        (activate_rows){p->to[0], pixels, p->to_pixel, .channels = vec_lanes});
    if (in_place) return;
    to.from = a->sums;
    to.pitch = vec_lanes;
    finish_write(&to);
}

/* Whether half a vector holds all output channels. */
static bool direct_is_halved(const convpool_shape *s) { return s->out_channels <= product_row_half; }

/* `pixels` pixels of a row or, unpooled, of two, in all output channels, two rows of the convolution in a vector. */
static void direct_row_halves(const direct_call *a, product_row *p, size_t first, size_t pixels, size_t rows,
                              float *output) {
    const convpool_shape *s = a->shape;
    const size_t half = product_row_half, even = size_round_up(pixels, 2);
    finish_pixels to = finish_to(s, output, first, pixels, 0, half);
    bool in_place = finish_is_plain(s) && s->output_hwc && s->out_channels == half;
    size_t row = in_place ? s->out_width * half : even * half; /* floats from a row's results to the next one's */
    p->lanes = a->weights;
    p->lane_pitch = vec_lanes;
    p->bias = a->bias;
    p->to[0] = in_place ? to.to : a->sums;
    p->to[1] = p->to[0] + (rows - 1) * row;
    p->to_pixel = half;
    product_row_run(p, s->pool, true, pixels);
    if (in_place) return;
    if (!finish_is_plain(s)) {
        for (size_t i = 0; i < rows && pixels < even; i++) /* what fills up a vector is a number that there is */
            memcpy(p->to[i] + pixels * half, p->to[i] + (pixels - 1) * half, half * sizeof(float));
        finish_activate(s, a->blocks, a->bias, 0,
                        (activate_rows){p->to[0], rows * even / 2, vec_lanes, .channels = vec_lanes, .halves = true});
    }
    to.pitch = half;
    for (size_t i = 0; i < rows; i++, to.to += s->out_width * to.pixel) {
        to.from = p->to[i];
        finish_write(&to);
    }
}

/* Rows of the output, in pieces whose results in a vector of channels fit the block's sums. */
static void direct_run_rows(const direct_call *a, size_t row, size_t end, float *output) {
    const convpool_shape *s = a->shape;
    source_strides step = source_steps(s);
    size_t down = source_step(s, source_in_place(s)) * step.row, window = s->pool ? 2 : 1;
    size_t most = direct_slots_of_block(s) * a->blocks.most / vec_lanes;
    product_row p = {.step = step.column,
                     .terms = a->terms,
                     .filter_rows = s->channels * s->filter_height,
                     .taps = s->filter_width,
                     .floor = finish_floor(s)};
    bool halves = direct_is_halved(s);
    for (size_t rows; row < end; row += rows) {
        rows = halves && !s->pool ? size_min(2, end - row) : 1;
        for (size_t column = 0, pixels; column < s->out_width; column += pixels) {
            pixels = size_even(s->out_width - column, most);
            p.rows[0] = a->rows + (window * row - a->first_row) * down + window * column * step.column;
            p.rows[1] = p.rows[0] + (s->pool || rows == 2 ? down : 0);
            if (halves) direct_row_halves(a, &p, row * s->out_width + column, pixels, rows, output);
            for (size_t o = 0; !halves && o < s->out_channels; o += vec_lanes)
                direct_row_pixels(a, &p, row * s->out_width + column, pixels, o, output);
        }
    }
}

static void direct_run(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    direct_call a = direct_begin(s, job->packed, job->scratch);
    size_t window = direct_window_rows(s),
           rows = (source_window_rows(s, source_in_place(s), window) + window - 1) / window;
    size_t row = job->first_row, end = row + job->row_count;
    for (size_t count; row < end; row += count) {
        count = size_min(rows, end - row);
        a.first_row = window * row;
        a.rows = source_rows(s, source_in_place(s), job->input, a.first_row,
                             size_min(window * count, s->conv_height - a.first_row), scratch_align(job->scratch));
        (direct_is_by_row(s) ? direct_run_rows : direct_run_blocks)(&a, row, row + count, job->output);
    }
}

#endif
