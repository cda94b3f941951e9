/* SPDX-License-Identifier: MIT */
/*
 * The matrix product of product.h whose rows are pixels that lie side by side, by one vector of output channels. The
 * weights of some neighbours in a row of the filter are in registers together, and an input meets all of them when it
 * is loaded. Sums are pooled and finished where they are. Where half a vector holds all output channels, its other half
 * has the pixels of the row below.
 */
#ifndef CONVPOOL_PRODUCT_ROW_H
#define CONVPOOL_PRODUCT_ROW_H

#include "packed.h"

enum {
    product_row_windows = VEC_REGISTERS < 32 ? 3 : 6,     /* of a group, at most; */
    product_row_halved = VEC_REGISTERS < 32 ? 4 : 6,      /* with two rows in a vector; */
    product_row_pixels = 12,                              /* or pixels, */
    product_row_least = 7,                                /* and of these so many at least */
    product_row_half = vec_lanes < 8 ? 0 : vec_lanes / 2, /* output channels that half a vector holds */
};

/* What is computed; constants after inlining. */
typedef struct product_row_kind {
    size_t taps; /* weights of a row of the filter; 0: any number */
    bool pool;
    bool halves; /* the second row's pixels are in the upper half of each vector */
} product_row_kind;

/* The convolution's outputs of one row or, pooled or halved, of two. Term v of the filter's row k is at
 * rows[i][(pixel + v) * step + terms[k * taps]]. */
typedef struct product_row {
    const float *rows[2];
    size_t step; /* floats from a pixel to the next */
    const size_t *terms;
    size_t filter_rows, taps; /* rows of the filter in all channels, and weights of each */
    const float *lanes;       /* [filter row][tap], lane_pitch floats apart */
    size_t lane_pitch;
    const float *bias;  /* [lane], to be added to each sum or maximum; */
    const float *floor; /* and then none is to be less than this */
    float *to[2];       /* the first result, halved and unpooled of each row, */
    size_t to_pixel;    /* and floats from a pixel's to the next one's: halved product_row_half */
} product_row;

/* Vectors of sums that a pixel has. */
VEC_INLINE size_t product_row_down(product_row_kind of) { return of.pool && !of.halves ? 2 : 1; }

/* Adds `taps` successive terms to the sums of `across` pixels. */
VEC_INLINE void product_row_step(product_row_kind of, size_t taps, size_t across, const product_row *p,
                                 const float *const at[2], const float *lanes, vec sum[2][product_row_pixels]) {
    vec of_lanes[5];
    VEC_UNROLL
    for (size_t v = 0; v < taps; v++) {
        const float *weights = lanes + v * p->lane_pitch;
        of_lanes[v] = of.halves ? vec_load_halves(weights) : vec_load_aligned(weights);
        VEC_LOAD_ONCE(of_lanes[v]);
    }
    VEC_UNROLL
    for (size_t i = 0; i < product_row_down(of); i++) {
        const float *from = at[i], *below = at[1];
        VEC_UNROLL
        for (size_t j = 0; j < across + taps - 1; j++) {
            size_t next = j % 3 * p->step;
            vec input = of.halves ? vec_splat_halves(from + next, below + next) : vec_splat(from + next);
            if (j % 3 == 2) from += 3 * p->step, below += 3 * p->step;
            VEC_UNROLL
            for (size_t v = 0; v < taps; v++) {
                if (j < v || j - v >= across) continue;
                sum[i][j - v] = vec_mul_add(input, of_lanes[v], sum[i][j - v]);
                VEC_KEEP(sum[i][j - v]); /* else GCC loads inputs ahead, and spills sums */
            }
        }
    }
}

/* The sums. */
VEC_INLINE void product_row_sum(product_row_kind of, size_t across, const product_row *p, size_t first,
                                vec sum[2][product_row_pixels]) {
    const size_t *term = p->terms;
    const float *lanes = p->lanes;
    const size_t step = of.taps == 5 ? 5 : 3; /* weights that are in registers together */
    VEC_UNROLL
    for (size_t i = 0; i < product_row_down(of); i++) {
        VEC_UNROLL
        for (size_t j = 0; j < across; j++)
            sum[i][j] = vec_zero();
    }
    for (size_t k = p->filter_rows; k > 0; k--, term += p->taps) {
        const float *at[2] = {p->rows[0] + first * p->step + *term, p->rows[1] + first * p->step + *term};
        size_t left = of.taps > 0 ? of.taps : p->taps;
        for (; left >= step; left -= step, lanes += step * p->lane_pitch) {
            product_row_step(of, step, across, p, at, lanes, sum);
            at[0] += step * p->step, at[1] += step * p->step;
        }
        if (left == 2)
            product_row_step(of, 2, across, p, at, lanes, sum);
        else if (left == 1)
            product_row_step(of, 1, across, p, at, lanes, sum);
        lanes += left * p->lane_pitch;
    }
}

/* A vector's results, finished: whole, or of halves the first one alone. */
VEC_INLINE void product_row_store(const product_row *p, vec y, bool whole, float *to) {
    y = vec_max(vec_splat(p->floor), y);
    if (whole)
        vec_store(to, y);
    else
        vec_store_part(to, y, product_row_half);
}

/* The results of a group with two rows in a vector, two by two; with an odd number one of them is stored twice. */
VEC_INLINE void product_row_store_halves(bool pool, size_t count, const product_row *p, size_t first, vec bias,
                                         const vec sum[product_row_pixels]) {
    size_t last = count < 2 ? 0 : count - 2, next = count < 2 ? 0 : 1;
    VEC_UNROLL
    for (size_t n = 0; n < count; n += 2) {
        size_t i = size_min(n, last), j = i + next, at = (first + i) * product_row_half;
        vec lower, upper;
        if (pool) {
            vec right, right_upper;
            lower = vec_halves(sum[2 * i], sum[2 * j], &upper);
            right = vec_halves(sum[2 * i + 1], sum[2 * j + 1], &right_upper);
            lower = vec_max4(lower, upper, right, right_upper);
        } else {
            lower = vec_halves(sum[i], sum[j], &upper);
            product_row_store(p, vec_add(upper, bias), count > 1, p->to[1] + at);
        }
        product_row_store(p, vec_add(lower, bias), count > 1, p->to[0] + at);
    }
}

/* `count` results from the first on: pixels, or the maxima of windows. */
VEC_INLINE void product_row_group(product_row_kind of, size_t count, const product_row *p, size_t first) {
    vec sum[2][product_row_pixels];
    product_row_sum(of, of.pool ? 2 * count : count, p, of.pool ? 2 * first : first, sum);
    const float *bias_at = p->bias;
    VEC_FORGET(bias_at); /* else it is loaded before, and sums spilled */
    if (of.halves) {
        product_row_store_halves(of.pool, count, p, first, vec_load_halves(bias_at), sum[0]);
        return;
    }
    vec bias = vec_load_aligned(bias_at);
    float *to = p->to[0] + first * p->to_pixel;
    VEC_UNROLL
    for (size_t n = 0; n < count; n++, to += p->to_pixel) {
        vec y = of.pool ? vec_max4(sum[0][2 * n], sum[0][2 * n + 1], sum[1][2 * n], sum[1][2 * n + 1]) : sum[0][n];
        product_row_store(p, vec_add(y, bias), true, to);
    }
}

/* All windows of a row, in groups about as large as one another: the sums of a small one are too few to hide how long
 * an addition takes. */
VEC_INLINE void product_row_all_windows(product_row_kind of, const product_row *p, size_t count) {
    size_t groups = (count + product_row_windows - 1) / product_row_windows, larger = count % groups, first = 0;
    VEC_UNROLL
    for (size_t windows = product_row_windows; windows > 0; windows--) {
        size_t left = windows == count / groups + 1 ? larger : windows == count / groups ? groups - larger : 0;
        for (; left > 0; left--, first += windows)
            product_row_group(of, windows, p, first);
    }
}

/* The same with two rows in a vector: the last ones may be computed twice. */
VEC_INLINE void product_row_all_halves(product_row_kind of, const product_row *p, size_t count) {
    size_t first = 0, most = product_row_halved;
    for (; first + most <= count; first += most)
        product_row_group(of, product_row_halved, p, first);
    for (; count > 1 && first < count; first += 2)
        product_row_group(of, 2, p, size_min(first, count - 2));
    if (first < count) product_row_group(of, 1, p, first);
}

/* All pixels of a row, `group` at a time: the last ones may be computed twice. */
VEC_INLINE void product_row_all_pixels(product_row_kind of, size_t group, const product_row *p, size_t count) {
    for (size_t first = 0; first < count; first += group)
        product_row_group(of, group, p, size_min(first, count - group));
}

/* Whether it is ever used: five weights take 32 registers beside the sums. */
VEC_INLINE bool product_row_is_used(product_row_kind of) {
    return (of.taps != 5 || VEC_REGISTERS >= 32) && (!of.halves || product_row_half > 0);
}

typedef void product_row_function(const product_row *p, size_t count);
#define PRODUCT_ROW_PIXELS(taps, halves, group) \
    static void product_row_##taps##_##halves##_##group(const product_row *p, size_t count) { \
        const product_row_kind of = {taps, false, halves}; \
        if (product_row_is_used(of)) product_row_all_pixels(of, group, p, count); \
    }
#define PRODUCT_ROW_POOLED(taps, halves) \
    static void product_row_##taps##_##halves##_pooled(const product_row *p, size_t count) { \
        const product_row_kind of = {taps, true, halves}; \
        if (product_row_is_used(of)) (halves ? product_row_all_halves : product_row_all_windows)(of, p, count); \
    }
#define PRODUCT_ROW_ALL(X, taps, halves) \
    X(taps, halves, 7) \
    X(taps, halves, 8) X(taps, halves, 9) X(taps, halves, 10) X(taps, halves, 11) X(taps, halves, 12)
#define PRODUCT_ROW(taps) \
    PRODUCT_ROW_POOLED(taps, 0) \
    PRODUCT_ROW_POOLED(taps, 1) \
    PRODUCT_ROW_ALL(PRODUCT_ROW_PIXELS, taps, 0) \
    PRODUCT_ROW_ALL(PRODUCT_ROW_PIXELS, taps, 1)
PRODUCT_ROW(0)
PRODUCT_ROW(2)
PRODUCT_ROW(3)
PRODUCT_ROW(5)
#define PRODUCT_ROW_NAME(taps, halves, group) product_row_##taps##_##halves##_##group,
#define PRODUCT_ROW_NAMES(taps, halves) \
    { product_row_##taps##_##halves##_pooled, PRODUCT_ROW_ALL(PRODUCT_ROW_NAME, taps, halves) }
static product_row_function *const product_row_functions[2][4][7] = {
    {PRODUCT_ROW_NAMES(0, 0), PRODUCT_ROW_NAMES(2, 0), PRODUCT_ROW_NAMES(3, 0), PRODUCT_ROW_NAMES(5, 0)},
    {PRODUCT_ROW_NAMES(0, 1), PRODUCT_ROW_NAMES(2, 1), PRODUCT_ROW_NAMES(3, 1), PRODUCT_ROW_NAMES(5, 1)}};

/* `count` pixels, product_row_least at least, or windows. */
static void product_row_run(const product_row *p, bool pool, bool halves, size_t count) {
    size_t taps = p->taps == 2 || p->taps == 3 ? p->taps - 1 : p->taps == 5 && VEC_REGISTERS >= 32 ? 3 : 0;
    size_t group = pool ? 0 : size_even(count, product_row_pixels) - product_row_least + 1;
    product_row_functions[halves][taps][group](p, count);
}

#endif
