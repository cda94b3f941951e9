/* SPDX-License-Identifier: MIT */
/*
 * The matrix product that every algorithm comes down to: for each position of a tile (`direct` has one)
 *
 *     sums[row][position][lane] = sum over k of rows[position][k][row] lanes[position][k][lane]
 *
 * over k ascending, one chain of multiply-adds. The sums of a group of rows by a block of vectors of lanes stay in
 * registers while k goes by: what a row has is splatted, what lanes have is loaded. Where lanes are output channels,
 * rows are tiles or pixels; where lanes are tiles, rows are output channels.
 */
#ifndef CONVPOOL_PRODUCT_H
#define CONVPOOL_PRODUCT_H

#include "product_at.h"

enum {
    product_rows_most = 14, /* of a group */
    product_vecs_most = 6,  /* of a block */
    product_lanes = tune_vecs * vec_lanes,
};
_Static_assert(tune_vecs >= 1 && (int)tune_vecs <= (int)product_vecs_most, "there are groups of these");
_Static_assert(tune_tile_vecs >= 1 && (int)tune_tile_vecs <= (int)product_vecs_most, "and of these");
_Static_assert(tune_sums >= 2 * tune_vecs && tune_sums >= 2 * tune_tile_vecs && (int)tune_sums <= VEC_REGISTERS,
               "sums stay in registers");
_Static_assert(tune_least_sums >= 1 && (int)tune_least_sums <= (int)tune_sums, "some groups have so many");
_Static_assert(tune_hold == 0 || tune_hold == 1, "vectors of lanes are held or not");
_Static_assert(tune_copies == 1 || ((int)tune_copies == (int)vec_lanes && vec_lanes <= 4),
               "packed weights stay within CONVPOOL_LAYER_MEMORY_MAX");

typedef struct product {
    const float *rows, *lanes;
    float *sums;
    size_t depth;                                     /* how many terms a sum has, at least 1 */
    size_t positions;                                 /* at least 1 */
    size_t row_pitch, lane_pitch;                     /* floats from one k to the next */
    size_t row_group;                                 /* floats from the numbers of one group of rows to the next's */
    size_t row_position, lane_position, sum_position; /* floats from one position to the next */
    size_t sum_row;                                   /* floats from one row's sums to the next's */
    bool copied;                                      /* each number of rows is there tune_copies times, side by side */
    bool far;                                         /* what lanes have comes from memory */
} product;

/* The number of a row in all lanes. */
VEC_INLINE vec product_splat(bool copied, const float *numbers, size_t row) {
    return copied ? vec_load_aligned(numbers + row * vec_lanes) : vec_splat_of_4(numbers + row / 4 * 4, row % 4);
}

/* Calls to the cache what lanes will have tune_ahead bytes later, line by line: CPUs do not look beyond the page that
 * is read. */
VEC_INLINE void product_prefetch(size_t vecs, const float *lanes) {
    VEC_UNROLL
    for (size_t at = 0; at < vecs * vec_lanes; at += CONVPOOL_ALIGNMENT / sizeof(float))
        VEC_PREFETCH(lanes + at, tune_ahead);
}

/* Adds one term to the sums of `rows` by `vecs`, constants after inlining; the first one begins them. */
VEC_INLINE void product_step(size_t rows, size_t vecs, bool copied, bool first, const float *row_numbers,
                             const float *lanes, vec sum[product_rows_most][product_vecs_most]) {
    if (rows <= vecs && rows * (vecs + 1) + 2 <= VEC_REGISTERS) {
        vec of_row[product_rows_most];
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++)
            of_row[row] = product_splat(copied, row_numbers, row);
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++) {
            vec of_lanes = vec_load_aligned(lanes + n * vec_lanes);
            VEC_LOAD_ONCE(of_lanes);
            VEC_UNROLL
            for (size_t row = 0; row < rows; row++)
                sum[row][n] = product_add(first, of_lanes, of_row[row], sum[row][n]);
        }
        return;
    }
    vec of_lanes[product_vecs_most];
    VEC_UNROLL
    for (size_t n = 0; n < vecs; n++)
        of_lanes[n] = vec_load_aligned(lanes + n * vec_lanes);
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++) {
        vec of_row = product_splat(copied, row_numbers, row);
        if (!tune_hold && row > 0) { /* where registers are too few, vectors are loaded for each row */
            VEC_FORGET(lanes);
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++)
                of_lanes[n] = vec_load_aligned(lanes + n * vec_lanes);
        }
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            sum[row][n] = product_add(first, of_row, of_lanes[n], sum[row][n]);
    }
}

/* The first group of p's rows, at its first position. Numbers of a group that ends before a multiple of four rows may
 * be loaded with up to three behind them. */
VEC_INLINE void product_group(size_t rows, size_t vecs, bool copied, product p) {
    vec sum[product_rows_most][product_vecs_most];
    product_step(rows, vecs, copied, true, p.rows, p.lanes, sum);
    p.depth--, p.rows += p.row_pitch, p.lanes += p.lane_pitch;
    for (; rows <= 2 && p.depth >= 2; p.depth -= 2, p.rows += 2 * p.row_pitch, p.lanes += 2 * p.lane_pitch) {
        product_step(rows, vecs, copied, false, p.rows, p.lanes, sum);
        product_step(rows, vecs, copied, false, p.rows + p.row_pitch, p.lanes + p.lane_pitch, sum);
    }
    bool calls = tune_ahead > 0 && vecs == tune_vecs && p.far;
    for (; calls && p.depth > 0; p.depth--, p.rows += p.row_pitch, p.lanes += p.lane_pitch) {
        product_prefetch(vecs, p.lanes);
        product_step(rows, vecs, copied, false, p.rows, p.lanes, sum);
    }
    for (; p.depth > 0; p.depth--, p.rows += p.row_pitch, p.lanes += p.lane_pitch)
        product_step(rows, vecs, copied, false, p.rows, p.lanes, sum);
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++, p.sums += p.sum_row) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            vec_store(p.sums + n * vec_lanes, sum[row][n]);
    }
}

VEC_INLINE void product_groups(size_t rows, size_t vecs, bool copied, const product *p, size_t groups) {
    product at = *p;
    for (size_t position = p->positions; position > 0; position--) {
        product of_group = at;
        for (size_t group = groups; group > 0; group--) {
            product_group(rows, vecs, copied, of_group);
            of_group.rows += at.row_group;
            of_group.sums += rows * at.sum_row;
        }
        at.rows += at.row_position;
        at.lanes += at.lane_position;
        at.sums += at.sum_position;
    }
}

/* Some groups of one size. Functions of their own, for the sake of their registers. */
typedef void product_function(const product *p, size_t groups);
#define PRODUCT(rows, vecs) \
    static void product_##rows##_##vecs(const product *p, size_t groups) { \
        if ((rows) * (vecs) > tune_sums || ((vecs) > tune_vecs && (vecs) > tune_tile_vecs)) \
            return; /* there are no such groups */ \
        if (tune_copies > 1 && p->copied) \
            product_groups(rows, vecs, true, p, groups); \
        else \
            product_groups(rows, vecs, false, p, groups); \
    }
#define PRODUCT_VECS(X, rows) X(rows, 1) X(rows, 2) X(rows, 3) X(rows, 4) X(rows, 5) X(rows, 6)
#define PRODUCT_ALL(rows) PRODUCT_VECS(PRODUCT, rows)
#define PRODUCT_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
PRODUCT_ROWS(PRODUCT_ALL)
#define PRODUCT_NAME(rows, vecs) product_##rows##_##vecs,
#define PRODUCT_NAMES(rows) {PRODUCT_VECS(PRODUCT_NAME, rows)},
static product_function *const product_functions[product_rows_most][product_vecs_most] = {PRODUCT_ROWS(PRODUCT_NAMES)};

/* Groups of `size` rows, and one of `rest`, by one block of `vecs` vectors: position by position if there is a rest, so
 * that what lanes have is still in the cache for it. The rest's numbers lie behind the others', with a pitch of its own
 * and as many floats from one position to the next. */
static void product_run_groups(const product *p, size_t size, size_t groups, size_t rest, size_t rest_pitch,
                               size_t vecs) {
    product_function *function = product_functions[size - 1][vecs - 1];
    if (rest == 0) {
        function(p, groups);
        return;
    }
    product one = *p, last = *p;
    one.positions = last.positions = 1;
    last.rows += groups * p->row_group;
    last.sums += groups * size * p->sum_row;
    last.row_pitch = rest_pitch;
    for (size_t position = p->positions; position > 0; position--) {
        function(&one, groups);
        product_functions[rest - 1][vecs - 1](&last, 1);
        one.rows += p->row_position, last.rows += p->row_position;
        one.lanes += p->lane_position, last.lanes += p->lane_position;
        one.sums += p->sum_position, last.sums += p->sum_position;
    }
}

/* All of `rows` rows, which lie side by side, by one block of `vecs` vectors: in groups of one size, if there is one
 * that leaves none over and has sums enough to hide how long an addition takes; else as few groups as can be. */
static void product_run(product p, size_t rows, size_t vecs) {
    size_t most = size_min(tune_sums / vecs, product_rows_most), size = most;
    while (size * vecs >= tune_least_sums && rows % size != 0)
        size--;
    if (size * vecs < tune_least_sums) size = size_even(rows, most);
    p.row_group = size;
    product_run_groups(&p, size, rows / size, rows % size, p.row_pitch, vecs);
}

#endif
