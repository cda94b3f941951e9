/* SPDX-License-Identifier: MIT */
/* From products to pixels: the transform of the outputs, the maximum, bias and ReLU. */
#ifndef CONVPOOL_WINOGRAD_OUTPUT_H
#define CONVPOOL_WINOGRAD_OUTPUT_H

#include "../finish.h"
#include "input.h"

/* What turning products into pixels takes: m[slot][position][channel] in, pixels[row of a unit][pixel][channel] out. */
typedef struct winograd_output {
    const winograd_block *block;
    const float *m, *bias;
    float *pixels;
    size_t lanes;      /* channels */
    size_t m_slot;     /* floats from one slot to the next */
    size_t row_floats; /* from one row of pixels to the next */
    bool relu;
} winograd_output;

/* The convolution outputs of a tile in a vector of channels, row by row. Down first, then across. */
VEC_INLINE void winograd_outputs_of(size_t tile, const float *m, vec y[3][3]) {
    vec z[3][4];
    VEC_UNROLL
    for (size_t j = 0; j <= tile; j++) {
        vec column[4], down[3];
        VEC_UNROLL
        for (size_t i = 0; i <= tile; i++)
            column[i] = vec_load(m + (i * (tile + 1) + j) * product_lanes);
        winograd_inverse(tile, column, down);
        VEC_UNROLL
        for (size_t i = 0; i < tile; i++)
            z[i][j] = down[i];
    }
    VEC_UNROLL
    for (size_t i = 0; i < tile; i++)
        winograd_inverse(tile, z[i], y[i]);
}

/* One unit without pooling: a tile, whose outputs are the pixels. */
VEC_INLINE void winograd_output_tile(size_t tile, const winograd_output *a, const float *m, vec bias, vec floor,
                                     float *to) {
    vec y[3][3];
    winograd_outputs_of(tile, m, y);
    VEC_UNROLL
    for (size_t i = 0; i < tile; i++) {
        VEC_UNROLL
        for (size_t j = 0; j < tile; j++)
            vec_store(to + i * a->row_floats + j * product_lanes, vec_max(floor, vec_add(y[i][j], bias)));
    }
}

/* One unit with pooling of F(2x2, 2x2): a tile is a pooling window. */
VEC_INLINE void winograd_output_window(const float *m, vec bias, vec floor, float *to) {
    vec y[3][3];
    winograd_outputs_of(2, m, y);
    vec largest = vec_max(vec_max(y[0][0], y[0][1]), vec_max(y[1][0], y[1][1]));
    vec_store(to, vec_max(floor, vec_add(largest, bias)));
}

/* The outputs of two tiles of F(3x3, 2x2) side by side, pooled across. */
VEC_INLINE void winograd_output_pair(const winograd_output *a, const float *m, vec to[3][3]) {
    vec y[3][3];
    winograd_outputs_of(3, m, y);
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        to[i][0] = vec_max(y[i][0], y[i][1]);
        to[i][1] = y[i][2];
    }
    winograd_outputs_of(3, m + a->m_slot, y);
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        to[i][1] = vec_max(to[i][1], y[i][0]);
        to[i][2] = vec_max(y[i][1], y[i][2]);
    }
}

/* One unit with pooling of F(3x3, 2x2): 2x2 tiles are 3x3 pooling windows. Its lower tiles are there where it has more
 * than one row of pixels. */
VEC_INLINE void winograd_output_windows(const winograd_output *a, const float *m, size_t rows, vec bias, vec floor,
                                        float *to) {
    vec upper[3][3], lower[3][3];
    winograd_output_pair(a, m, upper);
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++)
        vec_store(to + j * product_lanes, vec_max(floor, vec_add(vec_max(upper[0][j], upper[1][j]), bias)));
    if (rows == 1) return;
    winograd_output_pair(a, m + 2 * a->m_slot, lower);
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++) {
        vec_store(to + a->row_floats + j * product_lanes,
                  vec_max(floor, vec_add(vec_max(upper[2][j], lower[0][j]), bias)));
        vec_store(to + 2 * a->row_floats + j * product_lanes,
                  vec_max(floor, vec_add(vec_max(lower[1][j], lower[2][j]), bias)));
    }
}

VEC_INLINE void winograd_output_block(size_t tile, bool pool, const winograd_output *a) {
    static const float lowest = -INFINITY; /* all that comes here are numbers, or -infinity */
    size_t pixels = pool && tile == 2 ? 1 : tile;
    vec floor = a->relu ? vec_zero() : vec_splat(&lowest);
    for (size_t n = 0; n < a->lanes; n += vec_lanes) {
        vec bias = vec_load(a->bias + n);
        for (size_t unit = 0; unit < a->block->units; unit++) {
            const float *m = a->m + a->block->unit[unit].slot * a->m_slot + n;
            float *to = a->pixels + pixels * unit * product_lanes + n;
            if (!pool)
                winograd_output_tile(tile, a, m, bias, floor, to);
            else if (tile == 2)
                winograd_output_window(m, bias, floor, to);
            else
                winograd_output_windows(a, m, a->block->unit[unit].rows, bias, floor, to);
        }
    }
}

/* As functions of their own, for the sake of their registers. */
typedef void winograd_output_function(const winograd_output *a);
#define WINOGRAD_OUTPUT(tile, pool) \
    static void winograd_output_##tile##_##pool(const winograd_output *a) { winograd_output_block(tile, pool, a); }
WINOGRAD_OUTPUT(2, 0)
WINOGRAD_OUTPUT(2, 1)
WINOGRAD_OUTPUT(3, 0)
WINOGRAD_OUTPUT(3, 1)
static winograd_output_function *const winograd_outputs[2][2] = {{winograd_output_2_0, winograd_output_2_1},
                                                                 {winograd_output_3_0, winograd_output_3_1}};

#endif
