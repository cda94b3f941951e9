/* SPDX-License-Identifier: MIT */
/* What Winograd's algorithms pack, and the bound on their errors, which is read from it. */
#ifndef CONVPOOL_WINOGRAD_PACK_H
#define CONVPOOL_WINOGRAD_PACK_H

#include "plan.h"

/* A header, then what `direct` packs, then the transformed weights, per block of output channels: those that are
 * computed together. Where lanes run over channels it is [position][part of the filter][c][channel], and the last
 * vector is filled up with copies of the last channel. Where they run over tiles it is [position][group][c][channel of
 * the group], or fused [column of positions][c][row of positions][channel], and each weight is there p.copies times. */

typedef struct winograd_header {
    float limit; /* convpool_winograd_limit()'s */
    winograd_plan plan;
    winograd_scratch scratch;
} winograd_header;
enum {
    winograd_header_floats =
        (sizeof(winograd_header) + CONVPOOL_ALIGNMENT - 1) / CONVPOOL_ALIGNMENT * (CONVPOOL_ALIGNMENT / sizeof(float))
};

static size_t winograd_packed_direct(const convpool_shape *s) { /* in floats */
    return size_round_up(direct_packed_size(s), CONVPOOL_ALIGNMENT) / sizeof(float);
}

static packed_blocks winograd_blocks(const winograd_plan *p) {
    return winograd_by_pixel(p) ? (packed_blocks){p->rows, 1} : (packed_blocks){product_lanes, vec_lanes};
}

static size_t winograd_packed_size(const convpool_shape *s, winograd_scheme of) {
    winograd_plan p = winograd_make_plan(s, of);
    size_t channels = packed_channels(s, winograd_blocks(&p)), behind = 4; /* may be loaded with the last of them */
    size_t weights = p.terms * s->channels * channels * p.copies + behind;
    return (winograd_header_floats + winograd_packed_direct(s) + weights) * sizeof(float);
}

/* One block, of `count` output channels from `first` on, lanes being tiles. */
static void winograd_pack_rows(const convpool_shape *s, const winograd_plan *p, const float *weights, size_t first,
                               size_t count, float *to) {
    size_t size = p->fused ? count : winograd_group(p, count);
    for (size_t i = 0; i < count; i++) {
        size_t group = i / size * size;
        size_t at = group * s->channels + i - group, step = p->fused ? 3 * count : size_min(size, count - group);
        for (size_t c = 0; c < s->channels; c++, at += step) {
            float filter[16];
            convpool_winograd_filter(s, p->side, weights, first + i, c, filter);
            for (size_t t = 0; t < p->positions; t++) {
                size_t position = (p->fused ? t % 3 * 3 * s->channels + t / 3 : t * s->channels) * count;
                for (size_t copy = 0; copy < p->copies; copy++)
                    to[(at + position) * p->copies + copy] = filter[t];
            }
        }
    }
}

/* Row `down` and column `across` of the filter's parts, as a filter of its own; moves `weights` to where it lies. */
static convpool_shape winograd_part_of(const convpool_shape *s, const winograd_plan *p, size_t down, size_t across,
                                       const float **weights) {
    convpool_shape part = *s;
    size_t row = down * p->of.filter, column = across * p->of.filter;
    part.filter_height = size_min(p->of.filter, s->filter_height - row);
    part.filter_width = size_min(p->of.filter, s->filter_width - column);
    if (s->flip)
        row = s->filter_height - part.filter_height - row, column = s->filter_width - part.filter_width - column;
    *weights += row * s->weight_u + column * s->weight_v;
    return part;
}

/* One block, of `count` output channels from `first` on, lanes being these. */
static void winograd_pack_lanes(const convpool_shape *s, const winograd_plan *p, const float *weights, size_t first,
                                size_t count, float *to) {
    for (size_t n = 0; n < p->parts * p->parts; n++) {
        size_t down = n / p->parts, across = n % p->parts, at[16]; /* where a position has the part, or SIZE_MAX */
        for (size_t t = 0; t < p->positions; t++) {
            size_t columns = winograd_parts(p, t % p->side),
                   term = winograd_terms_before(p, t) + down * columns + across;
            bool met = down < winograd_parts(p, t / p->side) && across < columns;
            at[t] = met ? term * s->channels * count : SIZE_MAX;
        }
        const float *of_part = weights;
        convpool_shape part = winograd_part_of(s, p, down, across, &of_part);
        for (size_t lane = 0; lane < count; lane++)
            for (size_t c = 0; c < s->channels; c++) {
                float filter[16];
                convpool_winograd_filter(&part, p->side, of_part, size_min(first + lane, s->out_channels - 1), c,
                                         filter);
                for (size_t t = 0; t < p->positions; t++)
                    if (at[t] != SIZE_MAX) to[at[t] + c * count + lane] = filter[t];
            }
    }
}

static void winograd_pack(const convpool_shape *s, winograd_scheme of, const float *weights, const float *bias,
                          void *packed) {
    winograd_plan p = winograd_make_plan(s, of);
    float *to = (float *)packed + winograd_header_floats, limit = convpool_winograd_limit(s, weights, bias);
    *(winograd_header *)packed = (winograd_header){limit, p, winograd_lay_out(s, &p)};
    direct_pack(s, weights, bias, to);
    to += winograd_packed_direct(s);
    if (limit == 0) return; /* the transformed weights might not be finite, and are not used */
    packed_blocks blocks = winograd_blocks(&p);
    for (size_t first = 0, count; first < packed_channels(s, blocks); first += count) {
        count = packed_block(s, blocks, first);
        (winograd_by_pixel(&p) ? winograd_pack_rows : winograd_pack_lanes)(s, &p, weights, first, count, to);
        to += p.terms * s->channels * count * p.copies;
    }
    for (size_t i = 0; i < 4; i++)
        to[i] = 0;
}

static double winograd_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    const winograd_header *header = packed;
    const winograd_plan *p = &header->plan;
    double terms = (double)(p->parts * p->parts * s->channels), growth = p->side == 3 ? 9 : 16;
    packed_error tiled = {growth, terms + 8, (double)p->positions * terms};
    return packed_winograd_bound(s, direct_blocks(s), tiled, (double)header->limit,
                                 (const float *)packed + winograd_header_floats, max_abs_input);
}

#endif
