/* SPDX-License-Identifier: MIT */
/*
 * `direct` row by row (product_row.h): where sums have few terms, or output channels are few. Where half a vector holds
 * all of these, rows of the convolution are computed in pairs, from a copy of the inputs of two rows by turns.
 */
#ifndef CONVPOOL_DIRECT_ROWS_H
#define CONVPOOL_DIRECT_ROWS_H

#include "direct_call.h"

/* Whether rows of pixels or windows may be computed, and whether they are where not in pairs. */
static bool direct_has_rows(const convpool_shape *s) {
    if (s->filter_width == 1 || s->stride_width > (s->pool ? 1 : product_row_strides)) return false;
    return s->pool ? convpool_windows_are_whole(s) && !s->late : s->out_width >= product_row_least;
}

static bool direct_is_by_row(const convpool_shape *s) {
    if (tune_few == 0 || !direct_has_rows(s) || s->stride_width > 1) return false;
    return s->out_channels <= vec_lanes || (s->pool && s->depth <= tune_few);
}

/* How many pixels of a row, or windows, have their sums in a block's place. */
static size_t direct_row_most(const direct_call *a) {
    return direct_slots_of_block(a->shape) * a->blocks.most / vec_lanes;
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
    product_row_run(p, s->pool, product_row_whole, pixels);
    if (!finish_is_plain(s))
        finish_activate(s, a->blocks, a->bias, o,
                        (activate_rows){p->to[0], pixels, p->to_pixel, .channels = vec_lanes});
    if (in_place) return;
    to.from = a->sums;
    to.pitch = vec_lanes;
    finish_write(&to);
}

/* Copies to[0 .. 2 * count) = a and b by turns; what is left of a vector is written, too. */
static void direct_by_turns(const float *a, const float *b, size_t count, float *to) {
    size_t n = 0;
    for (; n + vec_lanes <= count; n += vec_lanes)
        vec_store_2(to + 2 * n, vec_load(a + n), vec_load(b + n));
    if (n < count) vec_store_2(to + 2 * n, vec_load_part(a + n, count - n), vec_load_part(b + n, count - n));
}

/* How many inputs of one row fit in pairs, if there are so many of these rows. */
static size_t direct_fits_in_pairs(size_t rows) { return (direct_pairs / 2 - vec_lanes) / rows; }

/* The same of pixels or windows for two rows of the convolution, an even number; 0 where these would be few. */
static size_t direct_pairs_most(const direct_call *a) {
    const convpool_shape *s = a->shape;
    if (product_row_half == 0 || !direct_is_narrow(s) || !direct_has_rows(s)) return 0;
    size_t fit = direct_fits_in_pairs(s->filter_height * s->channels), window = s->pool ? 2 : 1;
    size_t pixels = fit < s->filter_width ? 0 : (fit - s->filter_width) / s->stride_width + 1;
    size_t most = size_min(direct_row_most(a), pixels / window) / 2 * 2;
    return most < (s->pool ? 4 : 2 * product_row_least) ? 0 : most;
}

/* Inputs of a row for so many pixels of the convolution, in as many channels as lie together. */
static size_t direct_row_inputs(const convpool_shape *s, size_t pixels, size_t channels) {
    return ((pixels - 1) * s->stride_width + s->filter_width) * channels;
}

/* Copies what a product reads for so many pixels of so many rows of the convolution, `down` rows of the source apart:
 * each row and the one so far below by turns, but if there is one alone, twice that one. The product then reads the
 * copy. */
static void direct_pair_rows(const direct_call *a, product_row *p, size_t rows, size_t down, size_t pixels) {
    const convpool_shape *s = a->shape;
    bool planes = p->step == 1; /* else of each pixel all channels */
    size_t count = direct_row_inputs(s, pixels, planes ? 1 : s->channels);
    size_t pairs = (size_max(rows, 2) - 2) * down + s->filter_height, below = rows > 1 ? down * p->row : 0;
    float *to = a->sums + direct_slots_of_block(s) * a->blocks.most;
    for (size_t c = 0; c < (planes ? s->channels : 1); c++)
        for (size_t i = 0; i < pairs; i++) {
            const float *from = p->rows[0] + c * p->channel + i * p->row;
            direct_by_turns(from, from + below, count, to + 2 * (c * pairs + i) * count);
        }
    p->rows[0] = p->rows[1] = to;
    p->step *= 2;
    p->row = 2 * count;
    p->channel = planes ? pairs * p->row : 2;
}

/* `pixels` pixels of a row or, unpooled, of two, in all output channels. */
static void direct_row_pairs(const direct_call *a, product_row *p, size_t first, size_t pixels, size_t rows,
                             float *output) {
    const convpool_shape *s = a->shape;
    const size_t half = product_row_half, even = size_round_up(pixels, 2);
    finish_pixels to = finish_to(s, output, first, pixels, 0, half);
    bool in_place = finish_is_plain(s) && s->output_hwc && s->out_channels == half;
    size_t row = in_place ? s->out_width * half : even * half; /* floats from a row's results to the next one's */
    p->to[0] = in_place ? to.to : a->sums;
    p->to[1] = p->to[0] + (rows - 1) * row;
    product_row_run(p, s->pool, s->stride_width == 2 ? product_row_apart : product_row_pairs, pixels);
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

/* What all products of rows have in common. */
static product_row direct_row_product(const direct_call *a) {
    const convpool_shape *s = a->shape;
    source_strides step = source_steps(s);
    return (product_row){.step = step.column,
                         .row = step.row,
                         .channel = step.channel,
                         .channels = s->channels,
                         .height = s->filter_height,
                         .taps = s->filter_width,
                         .floor = finish_floor(s)};
}

/* Rows of the output, in pieces whose results in a vector of channels fit the block's sums. */
static void direct_run_rows(const direct_call *a, size_t row, size_t end, float *output) {
    const convpool_shape *s = a->shape;
    size_t down = source_step(s, source_in_place(s)) * source_steps(s).row, window = s->pool ? 2 : 1;
    product_row p = direct_row_product(a);
    for (; row < end; row++)
        for (size_t column = 0, pixels; column < s->out_width; column += pixels) {
            pixels = size_even(s->out_width - column, direct_row_most(a));
            p.rows[0] = a->rows + (window * row - a->first_row) * down + window * column * p.step;
            p.rows[1] = p.rows[0] + (s->pool ? down : 0);
            for (size_t o = 0; o < s->out_channels; o += vec_lanes)
                direct_row_pixels(a, &p, row * s->out_width + column, pixels, o, output);
        }
}

/* The same in pairs, in pieces of as many rows as fit. */
static void direct_run_pairs(const direct_call *a, size_t row, size_t end, float *output) {
    const convpool_shape *s = a->shape;
    size_t window = s->pool ? 2 : 1, down = source_step(s, source_in_place(s)), many;
    for (size_t column = 0, pixels; column < s->out_width; column += pixels) {
        pixels = size_even(s->out_width - column, direct_pairs_most(a));
        size_t fit = direct_fits_in_pairs(direct_row_inputs(s, window * pixels, s->channels));
        for (size_t first = row; first < end; first += many) {
            many = size_min(((fit - s->filter_height) / (2 * down) + 1) * 2 / window, end - first);
            product_row p = direct_row_product(a);
            p.rows[0] =
                a->rows + (window * first - a->first_row) * down * p.row + window * column * s->stride_width * p.step;
            p.lanes = a->weights;
            p.lane_pitch = vec_lanes;
            p.bias = a->bias;
            p.to_pixel = product_row_half;
            direct_pair_rows(a, &p, window * many, down, window * pixels);
            const float *pairs = p.rows[0];
            size_t rows = size_min(2 / window, many); /* the last one of an odd number comes with the one before */
            for (size_t i = 0, at; i < many; i += rows) {
                at = size_min(i, many - rows);
                p.rows[0] = pairs + at * window * down * p.row;
                direct_row_pairs(a, &p, (first + at) * s->out_width + column, pixels, rows, output);
            }
        }
    }
}

#endif
