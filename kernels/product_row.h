/* SPDX-License-Identifier: MIT */
/*
 * The matrix product of product.h whose rows are pixels that lie side by side, by one vector of output channels. The
 * weights of some neighbours in a row of the filter are in registers together, and an input meets all of them when it
 * is loaded. Sums are pooled and finished where they are. Where half a vector holds all output channels, its odd lanes
 * have the pixels of the row below: inputs of the two rows then come by turns.
 */
#ifndef CONVPOOL_PRODUCT_ROW_H
#define CONVPOOL_PRODUCT_ROW_H

#include "packed.h"

enum {
    product_row_sums = VEC_REGISTERS < 32 ? 12 : 24,      /* vectors in registers, at most: of windows; */
    product_row_pixels = 12,                              /* of unpooled pixels, */
    product_row_least = 7,                                /* and of these so many at least */
    product_row_half = vec_lanes < 8 ? 0 : vec_lanes / 2, /* output channels that half a vector holds; */
    product_row_strides = VEC_REGISTERS < 32 ? 1 : 2,     /* in pairs and unpooled, strides up to this one */
};

/* What is computed; constants after inlining. */
typedef struct product_row_kind {
    size_t taps; /* weights of a row of the filter; 0: any number */
    bool pool;
    bool pairs;    /* two rows in a vector, in its even and its odd lanes */
    size_t stride; /* 1 or, in pairs and unpooled, 2 */
} product_row_kind;

/* The convolution's outputs of one row or, pooled or in pairs, of two. Term v of the filter's row u in channel c is at
 * rows[i][(pixel * stride + v) * step + u * row + c * channel], or in pairs in rows[0], and the second row's behind it.
 */
typedef struct product_row {
    const float *rows[2];
    size_t step, row, channel;
    size_t channels, height, taps; /* the filter's */
    const float *lanes;            /* [channel][filter row][tap], lane_pitch floats apart */
    size_t lane_pitch;
    const float *bias;  /* [lane], to be added to each sum or maximum; */
    const float *floor; /* and then none is to be less than this */
    float *to[2];       /* the first result, in pairs and unpooled of each row, */
    size_t to_pixel;    /* and floats from a pixel's to the next one's: in pairs product_row_half */
} product_row;

/* Vectors of sums that a pixel has. */
VEC_INLINE size_t product_row_down(product_row_kind of) { return of.pool && !of.pairs ? 2 : 1; }

/* Adds `taps` successive terms to the sums of `across` pixels. */
VEC_INLINE void product_row_step(product_row_kind of, size_t taps, size_t across, const product_row *p,
                                 const float *const at[2], const float *lanes, vec sum[2][product_row_sums]) {
    vec of_lanes[5];
    VEC_UNROLL
    for (size_t v = 0; v < taps; v++) {
        const float *weights = lanes + v * p->lane_pitch;
        of_lanes[v] = of.pairs ? vec_load_twice(weights) : vec_load_aligned(weights);
        VEC_LOAD_ONCE(of_lanes[v]);
    }
    VEC_UNROLL
    for (size_t i = 0; i < product_row_down(of); i++) {
        const float *from = at[i];
        VEC_UNROLL
        for (size_t j = 0; j < (across - 1) * of.stride + taps; j++) {
            size_t next = j % 3 * p->step;
            vec input = of.pairs ? vec_splat_pair(from + next) : vec_splat(from + next);
            if (j % 3 == 2) from += 3 * p->step;
            VEC_UNROLL
            for (size_t v = 0; v < taps; v++) {
                size_t pixel = (j - v) / of.stride;
                if (j < v || (j - v) % of.stride > 0 || pixel >= across) continue;
                sum[i][pixel] = vec_mul_add(input, of_lanes[v], sum[i][pixel]);
                VEC_KEEP(sum[i][pixel]); /* else GCC loads inputs ahead, and spills sums */
            }
        }
    }
}

/* Adds all terms in a row of the filter, and leaves the weights behind them. */
VEC_INLINE const float *product_row_taps(product_row_kind of, size_t across, const product_row *p,
                                         const float *const rows[2], const float *lanes, vec sum[2][product_row_sums]) {
    const float *at[2] = {rows[0], rows[1]};
    const size_t step = of.taps == 5 ? 5 : 3; /* weights that are in registers together */
    size_t left = of.taps > 0 ? of.taps : p->taps;
    for (; left >= step; left -= step, lanes += step * p->lane_pitch) {
        product_row_step(of, step, across, p, at, lanes, sum);
        at[0] += step * p->step, at[1] += step * p->step;
    }
    if (left == 2)
        product_row_step(of, 2, across, p, at, lanes, sum);
    else if (left == 1)
        product_row_step(of, 1, across, p, at, lanes, sum);
    return lanes + left * p->lane_pitch;
}

/* The sums. */
VEC_INLINE void product_row_sum(product_row_kind of, size_t across, const product_row *p, size_t first,
                                vec sum[2][product_row_sums]) {
    const size_t from = first * of.stride * p->step;
    const float *at[2] = {p->rows[0] + from, p->rows[1] + from}, *lanes = p->lanes;
    VEC_UNROLL
    for (size_t i = 0; i < product_row_down(of); i++) {
        VEC_UNROLL
        for (size_t j = 0; j < across; j++)
            sum[i][j] = vec_zero();
    }
    const size_t back = p->channel - p->height * p->row; /* to the next channel */
    for (size_t c = p->channels; c > 0; c--, at[0] += back, at[1] += back)
        for (size_t u = p->height; u > 0; u--, at[0] += p->row, at[1] += p->row)
            lanes = product_row_taps(of, across, p, at, lanes, sum);
}

/* A vector's results, finished: whole, or its first half alone. */
VEC_INLINE void product_row_store(const product_row *p, vec y, bool whole, float *to) {
    y = vec_max(vec_splat(p->floor), y);
    if (whole)
        vec_store(to, y);
    else
        vec_store_part(to, y, product_row_half);
}

/* The results of a group with two rows in a vector, two by two; with an odd number one of them is stored twice. */
VEC_INLINE void product_row_store_pairs(bool pool, size_t count, const product_row *p, size_t first, vec bias,
                                        const vec sum[product_row_sums]) {
    size_t last = count < 2 ? 0 : count - 2, next = count < 2 ? 0 : 1;
    VEC_UNROLL
    for (size_t n = 0; n < count; n += 2) {
        size_t i = size_min(n, last), j = i + next, at = (first + i) * product_row_half;
        vec upper, lower;
        if (pool) {
            vec lower_right, upper_left, upper_right;
            upper_left = vec_even_odd(sum[2 * i], sum[2 * j], &lower);
            upper_right = vec_even_odd(sum[2 * i + 1], sum[2 * j + 1], &lower_right);
            upper = vec_max4(upper_left, upper_right, lower, lower_right);
        } else {
            upper = vec_even_odd(sum[i], sum[j], &lower);
            product_row_store(p, vec_add(lower, bias), count > 1, p->to[1] + at);
        }
        product_row_store(p, vec_add(upper, bias), count > 1, p->to[0] + at);
    }
}

/* `count` results from the first on: pixels, or the maxima of windows. */
VEC_INLINE void product_row_group(product_row_kind of, size_t count, const product_row *p, size_t first) {
    vec sum[2][product_row_sums];
    product_row_sum(of, of.pool ? 2 * count : count, p, of.pool ? 2 * first : first, sum);
    const float *bias_at = p->bias;
    VEC_FORGET(bias_at); /* else it is loaded before, and sums spilled */
    if (of.pairs) {
        product_row_store_pairs(of.pool, count, p, first, vec_load_halves(bias_at), sum[0]);
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
 * an addition takes. In pairs windows are computed two by two, the last of an odd number with the one before again. */
VEC_INLINE void product_row_all_windows(product_row_kind of, const product_row *p, size_t count) {
    const size_t unit = of.pairs ? 2 : 1, most = product_row_sums / 4;
    size_t units = count / unit, groups = size_max((units + most - 1) / most, 1), larger = units % groups, first = 0;
    VEC_UNROLL
    for (size_t n = most; n > 0; n--) {
        size_t left = n == units / groups + 1 ? larger : n == units / groups ? groups - larger : 0;
        for (; left > 0; left--, first += n * unit)
            product_row_group(of, n * unit, p, first);
    }
    if (of.pairs && count > 1 && count % 2 == 1)
        product_row_group(of, 2, p, count - 2);
    else if (of.pairs && count == 1)
        product_row_group(of, 1, p, 0);
}

/* All pixels of a row, `group` at a time: the last ones may be computed twice. */
VEC_INLINE void product_row_all_pixels(product_row_kind of, size_t group, const product_row *p, size_t count) {
    for (size_t first = 0; first < count; first += group)
        product_row_group(of, group, p, size_min(first, count - group));
}

/* How pixels lie in vectors, and in the row. */
enum { product_row_whole, product_row_pairs, product_row_apart, product_row_ways };

VEC_INLINE product_row_kind product_row_kind_of(size_t taps, int way, bool pool) {
    return (product_row_kind){taps, pool, way != product_row_whole, way == product_row_apart ? 2 : 1};
}

/* Whether it is ever used: five weights take 32 registers beside the sums; stride 2 has three, or any number. */
VEC_INLINE bool product_row_is_used(product_row_kind of) {
    if (of.pairs && product_row_half == 0) return false;
    if (of.stride > 1) return of.stride <= product_row_strides && !of.pool && (of.taps == 0 || of.taps == 3);
    return of.taps != 5 || VEC_REGISTERS >= 32;
}

typedef void product_row_function(const product_row *p, size_t count);
#define PRODUCT_ROW_PIXELS(taps, way, group) \
    static void product_row_##taps##_##way##_##group(const product_row *p, size_t count) { \
        const product_row_kind of = product_row_kind_of(taps, product_row_##way, false); \
        if (product_row_is_used(of)) product_row_all_pixels(of, group, p, count); \
    }
#define PRODUCT_ROW_POOLED(taps, way) \
    static void product_row_##taps##_##way##_pooled(const product_row *p, size_t count) { \
        const product_row_kind of = product_row_kind_of(taps, product_row_##way, true); \
        if (product_row_is_used(of)) product_row_all_windows(of, p, count); \
    }
#define PRODUCT_ROW_ALL(X, taps, way) \
    X(taps, way, 7) \
    X(taps, way, 8) X(taps, way, 9) X(taps, way, 10) X(taps, way, 11) X(taps, way, 12)
#define PRODUCT_ROW_WAY(taps, way) \
    PRODUCT_ROW_POOLED(taps, way) \
    PRODUCT_ROW_ALL(PRODUCT_ROW_PIXELS, taps, way)
#define PRODUCT_ROW(taps) \
    PRODUCT_ROW_WAY(taps, whole) \
    PRODUCT_ROW_WAY(taps, pairs) \
    PRODUCT_ROW_WAY(taps, apart)
PRODUCT_ROW(0)
PRODUCT_ROW(2)
PRODUCT_ROW(3)
PRODUCT_ROW(5)
#define PRODUCT_ROW_NAME(taps, way, group) product_row_##taps##_##way##_##group,
#define PRODUCT_ROW_NAMES(taps, way) \
    { product_row_##taps##_##way##_pooled, PRODUCT_ROW_ALL(PRODUCT_ROW_NAME, taps, way) }
#define PRODUCT_ROW_TABLE(way) \
    { PRODUCT_ROW_NAMES(0, way), PRODUCT_ROW_NAMES(2, way), PRODUCT_ROW_NAMES(3, way), PRODUCT_ROW_NAMES(5, way) }
static product_row_function *const product_row_functions[product_row_ways][4][7] = {
    PRODUCT_ROW_TABLE(whole), PRODUCT_ROW_TABLE(pairs), PRODUCT_ROW_TABLE(apart)};

/* `count` pixels, product_row_least at least, or windows. */
static void product_row_run(const product_row *p, bool pool, int way, size_t count) {
    size_t taps = p->taps == 2 || p->taps == 3 ? p->taps - 1 : p->taps == 5 && VEC_REGISTERS >= 32 ? 3 : 0;
    size_t group = pool ? 0 : size_even(count, product_row_pixels) - product_row_least + 1;
    if (way == product_row_apart && taps != 2) taps = 0;
    product_row_functions[way][taps][group](p, count);
}

#endif
