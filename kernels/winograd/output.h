/* SPDX-License-Identifier: MIT */
/* From products to pixels: the transform of the outputs, the maximum, bias and ReLU. */
#ifndef CONVPOOL_WINOGRAD_OUTPUT_H
#define CONVPOOL_WINOGRAD_OUTPUT_H

#include "../finish.h"
#include "tiles.h"

/* What turning products into pixels takes: m[block of lanes][row][position][lane] in. */
typedef struct winograd_output {
    const winograd_block *block;
    const float *m, *bias;
    size_t m_row, m_vecs; /* floats from one row to the next, and from one block of vectors to the next */
    size_t channels;      /* whole vectors of them, where they are lanes */
    size_t first, end;    /* units, */
    size_t m_first;       /* and, where lanes are tiles, the one whose products come first */
    float *to;            /* [row of a unit][pixel][channel] or [channel][row of a unit][pixel] */
    size_t to_row, to_pixel, to_channel;
    bool in_place; /* `to` is the output itself: of all units or, where lanes are tiles, whole vectors of them */
    bool relu;
} winograd_output;

/* The products of a unit's, or a vector of units', tiles; and what becomes of them. */
typedef struct winograd_unit {
    const float *m[4];
    bool upper; /* there are no lower tiles */
    vec bias, floor;
    float *to; /* the first row of pixels */
    size_t to_row, to_pixel;
    const size_t *offsets;
} winograd_unit;

/* Row i of the convolution outputs of a tile, for i ascending, from products `lanes` floats apart. Down first, then
 * across. */
VEC_INLINE void winograd_outputs_row(winograd_scheme of, size_t lanes, size_t i, const float *m, vec middle[4],
                                     vec y[3]) {
    vec z[4], both = vec_zero();
    VEC_UNROLL
    for (size_t j = 0; j < of.side; j++) {
        vec column[4];
        VEC_UNROLL
        for (size_t k = 0; k < of.side; k++) /* those that it does not need are not loaded */
            column[k] = vec_load(m + (k * of.side + j) * lanes);
        z[j] = winograd_inverse(of, i, column, &middle[j]);
    }
    VEC_UNROLL
    for (size_t j = 0; j < of.tile; j++)
        y[j] = winograd_inverse(of, j, z, &both);
}

/* Finishes and stores `count` pixels, row i of a unit: side by side, lanes being channels, or by turns. */
VEC_INLINE void winograd_put(bool by_pixel, size_t count, const winograd_unit *u, size_t i, const vec *row) {
    float *to = u->to + i * u->to_row;
    vec y[3];
    VEC_UNROLL
    for (size_t j = 0; j < count; j++)
        y[j] = vec_max(u->floor, vec_add(row[j], u->bias));
    if (by_pixel && count == 3) {
        vec_store_3(to, u->offsets, y[0], y[1], y[2]);
    } else if (by_pixel && count == 2) {
        vec_store_2(to, y[0], y[1]);
    } else {
        VEC_UNROLL
        for (size_t j = 0; j < count; j++)
            vec_store(to + j * u->to_pixel, y[j]);
    }
}

/* Row i of the outputs of two tiles of F(3x3, 2x2) side by side, pooled across. */
VEC_INLINE void winograd_pair_row(size_t lanes, size_t i, const float *left, const float *right, vec middle[2][4],
                                  vec y[3]) {
    vec a[3], b[3];
    winograd_outputs_row(winograd_32, lanes, i, left, middle[0], a);
    winograd_outputs_row(winograd_32, lanes, i, right, middle[1], b);
    y[0] = vec_max(a[0], a[1]);
    y[1] = vec_max(a[2], b[0]);
    y[2] = vec_max(b[1], b[2]);
}

/* Three rows of two tiles, the upper or the lower ones of four, into the largest of each window's rows so far. */
VEC_INLINE void winograd_output_half(bool by_pixel, const winograd_unit *u, size_t half, vec largest[3]) {
    vec middle[2][4], y[3];
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        size_t row = 3 * half + i;
        winograd_pair_row(winograd_lanes(by_pixel), i, u->m[2 * half], u->m[2 * half + 1], middle, y);
        VEC_UNROLL
        for (size_t j = 0; j < 3; j++)
            largest[j] = row % 2 == 0 ? y[j] : vec_max(largest[j], y[j]);
        if (row % 2 == 1) winograd_put(by_pixel, 3, u, row / 2, largest);
    }
}

/* Pooled, 2x2 tiles of F(3x3, 2x2), which are 3x3 windows. */
VEC_INLINE void winograd_output_windows(bool by_pixel, const winograd_unit *u) {
    vec largest[3];
    winograd_output_half(by_pixel, u, 0, largest);
    if (!u->upper) winograd_output_half(by_pixel, u, 1, largest);
}

/* A tile, whose outputs are the pixels; or, pooled, a tile of 2x2 outputs, which are a window. */
VEC_INLINE void winograd_output_tile(bool by_pixel, winograd_scheme of, bool pool, const winograd_unit *u) {
    vec middle[4], y[3], largest[1];
    VEC_UNROLL
    for (size_t i = 0; i < of.tile; i++) {
        winograd_outputs_row(of, winograd_lanes(by_pixel), i, u->m[0], middle, y);
        if (!pool) {
            winograd_put(by_pixel, of.tile, u, i, y);
        } else {
            vec larger = vec_max(y[0], y[1]);
            largest[0] = i == 0 ? larger : vec_max(largest[0], larger);
        }
    }
    if (pool) winograd_put(by_pixel, 1, u, 0, largest);
}

VEC_INLINE void winograd_output_unit(bool by_pixel, winograd_scheme of, bool pool, const winograd_unit *u) {
    if (pool && of.tile == 3)
        winograd_output_windows(by_pixel, u);
    else
        winograd_output_tile(by_pixel, of, pool, u);
}

/* Lanes being output channels, all of some units. */
VEC_INLINE void winograd_output_channels(winograd_scheme of, bool pool, const winograd_output *a) {
    size_t pixels = pool && of.tile == 2 ? 1 : of.tile;
    winograd_unit u = {
        .floor = a->relu ? vec_zero() : vec_splat(&finish_lowest), .to_row = a->to_row, .to_pixel = a->to_pixel};
    for (size_t n = 0; n < a->channels; n += vec_lanes) {
        u.bias = vec_load(a->bias + n);
        for (size_t unit = a->first; unit < a->end; unit++) {
            size_t first = a->block->first[unit], across = a->block->across[unit]; /* a single tile counts as both */
            VEC_UNROLL
            for (size_t k = 0; k < 4; k++)
                u.m[k] = a->m + (first + k / 2 * across + k % 2 * (across - 1)) * a->m_row + n;
            u.upper = a->block->unit_rows[unit] == 1;
            u.to = a->to + (a->in_place ? a->block->to[unit] : pixels * unit) * a->to_pixel + n;
            winograd_output_unit(false, of, pool, &u);
        }
    }
}

/* Lanes being tiles, some vectors of units in output channels one by one. */
VEC_INLINE void winograd_output_pixels(winograd_scheme of, bool pool, const winograd_output *a) {
    static const size_t side_by_side[16] = {0, 0, 0, 0, 12, 0, 0, 0, 24, 0, 0, 0, 36};
    size_t pixels = pool && of.tile == 2 ? 1 : of.tile, tiles = a->block->tiles;
    winograd_unit u = {.floor = a->relu ? vec_zero() : vec_splat(&finish_lowest), .to_row = a->to_row};
    u.upper = tiles < 4;
    for (size_t unit = a->first; unit < a->end; unit += vec_lanes) {
        size_t n = (unit - a->m_first) / vec_lanes * tiles;
        u.to = a->to + (!a->in_place ? pixels * unit : pixels == 1 ? a->block->to[unit] : 0);
        u.offsets = a->in_place ? a->block->to + unit : side_by_side;
        VEC_UNROLL
        for (size_t k = 0; k < 4; k++) /* what is not there is not read */
            u.m[k] = a->m + (n + k) / tune_tile_vecs * a->m_vecs + (n + k) % tune_tile_vecs * vec_lanes;
        for (size_t row = 0; row < a->channels; row++, u.to += a->to_channel) {
            u.bias = vec_splat(a->bias + row);
            winograd_output_unit(true, of, pool, &u);
            VEC_UNROLL
            for (size_t k = 0; k < 4; k++)
                u.m[k] += a->m_row;
        }
    }
}

/* As functions of their own, for the sake of their registers. */
typedef void winograd_output_function(const winograd_output *a);
#define WINOGRAD_OUTPUT(lanes, of, pool) \
    static void winograd_output_##lanes##_##of##_##pool(const winograd_output *a) { \
        winograd_output_##lanes(winograd_##of, pool, a); \
    }
#define WINOGRAD_OUTPUTS(X, lanes) \
    X(lanes, 22, 0) X(lanes, 22, 1) X(lanes, 32, 0) X(lanes, 32, 1) X(lanes, 23, 0) X(lanes, 23, 1)
WINOGRAD_OUTPUTS(WINOGRAD_OUTPUT, channels)
WINOGRAD_OUTPUTS(WINOGRAD_OUTPUT, pixels)
#define WINOGRAD_OUTPUT_NAME(lanes, of, pool) winograd_output_##lanes##_##of##_##pool,
#define WINOGRAD_OUTPUT_TABLE(lanes) \
    static winograd_output_function *const winograd_outputs_##lanes[2 * WINOGRAD_SCHEMES] = { \
        WINOGRAD_OUTPUTS(WINOGRAD_OUTPUT_NAME, lanes)}
WINOGRAD_OUTPUT_TABLE(channels);
WINOGRAD_OUTPUT_TABLE(pixels);

/* The function for a plan. */
VEC_INLINE winograd_output_function *winograd_output_of(const winograd_plan *p, bool pool) {
    return (winograd_by_pixel(p) ? winograd_outputs_pixels : winograd_outputs_channels)[2 * p->of.index + pool];
}

#endif
