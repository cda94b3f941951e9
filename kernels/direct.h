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
 * few, pixels are computed row by row instead (direct_rows.h), and with small filters of few input channels lanes run
 * over pixels (pixels/direct.h).
 */
#ifndef CONVPOOL_DIRECT_H
#define CONVPOOL_DIRECT_H

#include "direct_call.h"
#include "direct_rows.h"

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
    const convpool_shape *s = a->shape;
    return (product_at){.rows = a->rows,
                        .terms = a->terms,
                        .lanes = a->weights + o * s->depth,
                        .depth = s->depth,
                        .far = product_at_is_far(s->depth * s->out_channels)};
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

static void direct_run(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    direct_call a = direct_begin(s, job->packed, job->scratch);
    size_t window = direct_window_rows(s),
           rows = (source_window_rows(s, source_in_place(s), window) + window - 1) / window;
    size_t row = job->first_row, end = row + job->row_count;
    bool in_pairs = direct_pairs_most(&a) > 0, by_row = direct_is_by_row(s);
    for (size_t count; row < end; row += count) {
        count = size_min(rows, end - row);
        a.first_row = window * row;
        a.rows = source_rows(s, source_in_place(s), job->input, a.first_row,
                             size_min(window * count, s->conv_height - a.first_row), scratch_align(job->scratch));
        (in_pairs ? direct_run_pairs : by_row ? direct_run_rows : direct_run_blocks)(&a, row, row + count, job->output);
    }
}

#endif
