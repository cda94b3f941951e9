/* SPDX-License-Identifier: MIT */
/*
 * The matrix product of product.h whose rows are pixels that lie side by side, by one vector of output channels. The
 * weights of some neighbours in a row of the filter are in registers together, and an input meets all of them when it
 * is loaded. Sums are pooled and finished where they are.
 */
#ifndef CONVPOOL_PRODUCT_ROW_H
#define CONVPOOL_PRODUCT_ROW_H

#include "packed.h"

enum {
    product_row_windows = 3,                      /* of a group, at most; */
    product_row_pixels = 4 * product_row_windows, /* or pixels, */
    product_row_least = 7,                        /* and of these so many at least */
    product_row_taps = 3,                         /* weights that are in registers together */
};

/* The convolution's outputs of one row or, pooled, of two. Term v of the filter's row k is at rows[i][(pixel + v) *
 * step + terms[k * taps]]. */
typedef struct product_row {
    const float *rows[2];
    size_t step; /* floats from a pixel to the next */
    const size_t *terms;
    size_t filter_rows, taps; /* rows of the filter in all channels, and weights of each */
    const float *lanes;       /* [filter row][tap], lane_pitch floats apart */
    size_t lane_pitch;
    const float *bias;  /* [lane], to be added to each sum or maximum; */
    const float *floor; /* and then none is to be less than this */
    float *to;          /* the first result, */
    size_t to_pixel;    /* and floats from a pixel's to the next one's */
} product_row;

/* Adds `taps` successive terms to the sums of `down` by `across` pixels, all constants after inlining. */
VEC_INLINE void product_row_step(size_t taps, size_t down, size_t across, const product_row *p,
                                 const float *const at[2], const float *lanes, vec sum[2][product_row_pixels]) {
    vec of_lanes[product_row_taps];
    VEC_UNROLL
    for (size_t v = 0; v < taps; v++) {
        of_lanes[v] = vec_load_aligned(lanes + v * p->lane_pitch);
        VEC_LOAD_ONCE(of_lanes[v]);
    }
    VEC_UNROLL
    for (size_t i = 0; i < down; i++) {
        const float *from = at[i];
        VEC_UNROLL
        for (size_t j = 0; j < across + taps - 1; j++) {
            vec input = vec_splat(from + j % 3 * p->step);
            if (j % 3 == 2) from += 3 * p->step;
            VEC_UNROLL
            for (size_t v = 0; v < taps; v++) {
                if (j < v || j - v >= across) continue;
                sum[i][j - v] = vec_mul_add(input, of_lanes[v], sum[i][j - v]);
                VEC_KEEP(sum[i][j - v]); /* else GCC loads inputs ahead, and spills sums */
            }
        }
    }
}

/* The sums; `taps` is 0 where it is no constant. */
VEC_INLINE void product_row_sum(size_t taps, size_t down, size_t across, const product_row *p, size_t first,
                                vec sum[2][product_row_pixels]) {
    const size_t *term = p->terms;
    const float *lanes = p->lanes;
    VEC_UNROLL
    for (size_t i = 0; i < down; i++) {
        VEC_UNROLL
        for (size_t j = 0; j < across; j++)
            sum[i][j] = vec_zero();
    }
    for (size_t k = p->filter_rows; k > 0; k--, term += p->taps) {
        const float *at[2] = {p->rows[0] + first * p->step + *term, p->rows[1] + first * p->step + *term};
        size_t left = taps > 0 ? taps : p->taps;
        for (; left >= product_row_taps; left -= product_row_taps, lanes += product_row_taps * p->lane_pitch) {
            product_row_step(product_row_taps, down, across, p, at, lanes, sum);
            at[0] += product_row_taps * p->step, at[1] += product_row_taps * p->step;
        }
        if (left == 2)
            product_row_step(2, down, across, p, at, lanes, sum);
        else if (left == 1)
            product_row_step(1, down, across, p, at, lanes, sum);
        lanes += left * p->lane_pitch;
    }
}

/* `count` results from the first on: pixels, or the maxima of windows. */
VEC_INLINE void product_row_group(size_t taps, bool pool, size_t count, const product_row *p, size_t first) {
    vec sum[2][product_row_pixels];
    product_row_sum(taps, pool ? 2 : 1, pool ? 2 * count : count, p, pool ? 2 * first : first, sum);
    const float *bias_at = p->bias, *floor_at = p->floor;
    VEC_FORGET(bias_at); /* else they are loaded before, and sums spilled */
    VEC_FORGET(floor_at);
    vec bias = vec_load_aligned(bias_at), least = vec_splat(floor_at);
    float *to = p->to + first * p->to_pixel;
    VEC_UNROLL
    for (size_t n = 0; n < count; n++, to += p->to_pixel) {
        vec y = pool ? vec_max4(sum[0][2 * n], sum[0][2 * n + 1], sum[1][2 * n], sum[1][2 * n + 1]) : sum[0][n];
        vec_store(to, vec_max(least, vec_add(y, bias)));
    }
}

/* All windows of a row. One alone is what a row should not end with: its sums are too few to hide how long an addition
 * takes. */
VEC_INLINE void product_row_all_windows(size_t taps, const product_row *p, size_t count) {
    size_t first = 0, most = product_row_windows;
    for (; first + most <= count && first + most + 1 != count; first += most)
        product_row_group(taps, true, product_row_windows, p, first);
    for (; first + 2 <= count; first += 2)
        product_row_group(taps, true, 2, p, first);
    if (first < count) product_row_group(taps, true, 1, p, first);
}

/* All pixels of a row, `group` at a time: the last ones may be computed twice. */
VEC_INLINE void product_row_all_pixels(size_t taps, size_t group, const product_row *p, size_t count) {
    for (size_t first = 0; first < count; first += group)
        product_row_group(taps, false, group, p, packed_min(first, count - group));
}

typedef void product_row_function(const product_row *p, size_t count);
#define PRODUCT_ROW_PIXELS(taps, group) \
    static void product_row_##taps##_##group(const product_row *p, size_t count) { \
        product_row_all_pixels(taps, group, p, count); \
    }
#define PRODUCT_ROW_ALL(X, taps) X(taps, 7) X(taps, 8) X(taps, 9) X(taps, 10) X(taps, 11) X(taps, 12)
#define PRODUCT_ROW(taps) \
    static void product_row_##taps##_pooled(const product_row *p, size_t count) { \
        product_row_all_windows(taps, p, count); \
    } \
    PRODUCT_ROW_ALL(PRODUCT_ROW_PIXELS, taps)
PRODUCT_ROW(0)
PRODUCT_ROW(2)
PRODUCT_ROW(3)
#define PRODUCT_ROW_NAME(taps, group) product_row_##taps##_##group,
#define PRODUCT_ROW_NAMES(taps) \
    { product_row_##taps##_pooled, PRODUCT_ROW_ALL(PRODUCT_ROW_NAME, taps) }
static product_row_function *const product_row_functions[3][7] = {PRODUCT_ROW_NAMES(0), PRODUCT_ROW_NAMES(2),
                                                                  PRODUCT_ROW_NAMES(3)};

/* `count` pixels, product_row_least at least, or windows. */
static void product_row_run(const product_row *p, bool pool, size_t count) {
    size_t taps = p->taps == 2 || p->taps == 3 ? p->taps - 1 : 0;
    size_t group = pool ? 0 : packed_even(count, product_row_pixels) - product_row_least + 1;
    product_row_functions[taps][group](p, count);
}

#endif
