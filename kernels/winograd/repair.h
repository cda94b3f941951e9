/* SPDX-License-Identifier: MIT */
/* Rows of tiles that are computed directly, for an input that some output reads there may be too large. */
#ifndef CONVPOOL_WINOGRAD_REPAIR_H
#define CONVPOOL_WINOGRAD_REPAIR_H

#include "output.h"

/* Whether all magnitudes are below the limit, a power of two: by their bits, so that NaN raises no exception. */
VEC_INLINE bool winograd_is_below(vec most, float limit) {
    float lanes[vec_lanes];
    uint32_t bits[vec_lanes], limit_bits;
    vec_store(lanes, most);
    memcpy(bits, lanes, sizeof bits);
    memcpy(&limit_bits, &limit, sizeof limit_bits);
    for (size_t n = 0; n < vec_lanes; n++)
        if (bits[n] >= limit_bits) return false;
    return true;
}

/* Whether that holds for `rows` times n floats, `row` floats apart; the same float may be looked at twice. A function
 * of its own, for the sake of its registers. */
static __attribute__((noinline)) bool winograd_are_below(const float *x, size_t n, size_t rows, size_t row,
                                                         float limit) {
    vec four[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    for (; rows > 0; rows--, x += row) {
        size_t i = 0;
        if (n >= 4 * vec_lanes) { /* from here on vectors lie in one line of a cache each */
            four[0] = vec_max_magnitude(four[0], vec_load(x));
            i = vec_lanes - (uintptr_t)x / sizeof(float) % vec_lanes;
        }
        for (; i + 4 * vec_lanes <= n; i += 4 * vec_lanes) {
            VEC_UNROLL
            for (size_t k = 0; k < 4; k++)
                four[k] = vec_max_magnitude(four[k], vec_load(x + i + k * vec_lanes));
        }
        for (; i < n; i += vec_lanes) {
            vec last = n < vec_lanes ? vec_load_part(x, n) : vec_load(x + size_min(i, n - vec_lanes));
            four[0] = vec_max_magnitude(four[0], last);
        }
    }
    vec most = vec_max_magnitude(vec_max_magnitude(four[0], four[1]), vec_max_magnitude(four[2], four[3]));
    return winograd_is_below(most, limit);
}

/* Whether that holds for what lies in some rows and the first columns of the padded image. */
static bool winograd_rows_are_below(const convpool_shape *s, const float *input, float limit, size_t first, size_t end,
                                    size_t columns) {
    size_t bottom = s->pad_top + s->height,
           width = columns < s->pad_left ? 0 : size_min(columns - s->pad_left, s->width);
    first = first < s->pad_top ? s->pad_top : first;
    end = size_min(end, bottom);
    if (first >= end || width == 0) return true;
    size_t rows = end - first, row = s->input_hwc ? s->width * s->channels : s->width;
    size_t count = s->input_hwc ? width * s->channels : width, planes = s->input_hwc ? 1 : s->channels;
    input += (first - s->pad_top) * row;
    if (count == row) return winograd_are_below(input, rows * row, planes, s->height * row, limit);
    for (; planes > 0; planes--, input += s->height * row)
        if (!winograd_are_below(input, count, rows, row, limit)) return false;
    return true;
}

/* Whether rows of units may read such an input. That all is well, as it nearly always is, is shown quickly: by all
 * that lies in their rows, dropped columns, too. */
static bool winograd_may_be_large(const convpool_shape *s, const winograd_plan *p, const float *input, float limit,
                                  size_t first_row, size_t end_row) {
    size_t step = p->across * p->tile, last = size_min(end_row * step, p->conv_height) + s->filter_height - 1;
    return !winograd_rows_are_below(s, input, limit, first_row * step, last, s->padded_width);
}

/* Whether some output of row `row` of tiles does. */
static bool winograd_row_is_large(const convpool_shape *s, const winograd_plan *p, const float *input, float limit,
                                  size_t row) {
    size_t first = row * p->tile, last = size_min(first + p->tile, p->conv_height) + s->filter_height - 1;
    return !winograd_rows_are_below(s, input, limit, first, last, p->conv_width + s->filter_width - 1);
}

/* Makes the outputs of tiles of which no input counts -infinity, by -infinity at their centre: their other products are
 * 0. Of vector `first` of tiles on, where lanes are tiles. */
static void winograd_forbid(const winograd_plan *p, const winograd_block *b, size_t first, size_t channels, float *m) {
    size_t centre = (p->side + 1) * winograd_lanes(winograd_by_pixel(p)),
           end = winograd_by_pixel(p) ? (first + p->set) * vec_lanes : b->slots;
    for (size_t slot = first * vec_lanes; slot < end && slot < b->slots; slot++) {
        size_t n = slot / vec_lanes - first;
        float *at = winograd_by_pixel(p)
                        ? m + n / tune_tile_vecs * p->m_vecs + n % tune_tile_vecs * vec_lanes + slot % vec_lanes
                        : m + slot * p->m_row;
        for (size_t i = 0; i < channels && b->rows[slot] == 0; i++)
            at[centre + i * (winograd_by_pixel(p) ? p->m_row : 1)] = -INFINITY;
    }
}

/* A block's sums, [slot][channel], in the output channels from o on that are computed together: how many these are. */
static size_t winograd_direct_sum(const direct_call *a, const direct_block *b, size_t o) {
    size_t lanes = packed_block(a->shape, a->blocks, o);
    product_at p = direct_product(a, o);
    p.sums = a->sums;
    p.sum_row = lanes;
    product_at_groups groups = product_at_cut(b->slots, lanes / vec_lanes);
    product_at_run(&p, b->at, &groups);
    return lanes;
}

/* Turns sums of a row of convolution outputs, [column][channel], into the maxima of pairs of them, finished, in the
 * same place. */
static void winograd_pair_sums(const direct_call *a, size_t pairs, size_t o, size_t lanes) {
    for (size_t n = 0; n < lanes; n += vec_lanes) {
        vec bias = vec_load(a->bias + o + n);
        for (size_t i = 0; i < pairs; i++) {
            vec left = vec_load(a->sums + 2 * i * lanes + n), right = vec_load(a->sums + (2 * i + 1) * lanes + n);
            vec both = finish(vec_max4(left, left, right, right), bias, finish_is_relu(a->shape));
            vec_store(a->sums + i * lanes + n, both);
        }
    }
    if (!finish_is_plain(a->shape))
        finish_activate(a->shape, a->blocks, a->bias, o, (activate_rows){a->sums, pairs, lanes, .channels = lanes});
}

/* Takes a row of convolution outputs into a row of pixels that has the maxima of the other row of their windows. */
static void winograd_merge_row(const convpool_job *job, const float *packed, size_t conv_row) {
    const convpool_shape *s = job->shape;
    convpool_shape row = packed_unpooled(s);
    direct_call a = direct_begin(&row, packed, job->scratch);
    size_t most = direct_slots_of_block(&row) / 2 * 2;
    a.first_row = conv_row;
    a.rows = source_rows(&row, source_in_place(&row), job->input, conv_row, 1, scratch_align(job->scratch));
    for (size_t column = 0, count; column < 2 * s->out_width; column += count) {
        direct_block b;
        count = size_min(most, 2 * s->out_width - column);
        direct_make_block(&a, conv_row * row.out_width + column, count, &b);
        for (size_t o = 0, lanes; o < s->out_channels; o += lanes) {
            lanes = winograd_direct_sum(&a, &b, o);
            winograd_pair_sums(&a, count / 2, o, lanes);
            finish_pixels p = finish_to(s, job->output, conv_row / 2 * s->out_width + column / 2, count / 2, o, lanes);
            for (size_t lane = 0; lane < p.channels; lane++)
                for (size_t i = 0; i < p.count; i++) {
                    float *y = p.to + lane * p.plane + i * p.pixel;
                    vec old = vec_load_part(y, 1), own = vec_load_part(a.sums + i * lanes + lane, 1);
                    vec_store_part(y, vec_max4(old, old, own, own), 1);
                }
        }
    }
}

#endif
