/* SPDX-License-Identifier: MIT */
/*
 * The matrix product of product.h of which each row lies where it lies: input pixels, read where the image has them, or
 * tiles whose channels lie side by side. Lanes are output channels.
 */
#ifndef CONVPOOL_PRODUCT_AT_H
#define CONVPOOL_PRODUCT_AT_H

#include "packed.h"

/* The same sums, but a row's number of term k is at rows[at[row] + terms[k]]. */
typedef struct product_at {
    const float *rows, *lanes; /* lanes[k][lane] */
    const size_t *terms;
    float *sums;        /* [row][lane], */
    size_t sum_row;     /* floats from one row's to the next's */
    size_t depth;       /* at least 1 */
    bool far;           /* what lanes have comes from memory */
    const float *bias;  /* [lane], to be added to each sum, or NULL; */
    const float *floor; /* and then no sum is to be less than this */
} product_at;

enum {
    product_at_rows = VEC_REGISTERS >= 16 ? 8 : 2,          /* of a group: each takes a pointer, */
    product_at_many = tune_sums < 12 ? tune_sums / 2 : 6,   /* and so many are enough, */
    product_at_vecs = tune_sums < 12 ? (int)tune_sums : 12, /* with vectors of lanes at most */
};

/* Whether so many weights are called to the cache ahead: what is multiplied by them takes the other half of it. */
VEC_INLINE bool product_at_is_far(size_t weights) { return weights > CONVPOOL_NEAR_WEIGHTS / 2; }

/* Adds the bias to sums, and lets none be less than the floor. */
VEC_INLINE void product_at_finish(size_t rows, size_t vecs, const product_at *p,
                                  vec sum[product_at_rows][product_at_vecs]) {
    vec least = vec_splat(p->floor);
    VEC_UNROLL
    for (size_t n = 0; n < vecs; n++) {
        vec bias = vec_load_aligned(p->bias + n * vec_lanes);
        VEC_UNROLL
        for (size_t i = 0; i < rows; i++)
            sum[i][n] = vec_max(least, vec_add(sum[i][n], bias));
    }
}

/* Calls to the cache what lanes will have tune_ahead bytes later: all of it where they come from memory, and where one
 * row alone reads them, once, some. */
VEC_INLINE void product_at_prefetch(size_t rows, size_t vecs, bool far, const float *lanes) {
    size_t line = CONVPOOL_ALIGNMENT / sizeof(float) / vec_lanes, step = rows > 1 ? (far ? line : 0) : tune_streamed;
    if (step == 0) return;
    VEC_UNROLL
    for (size_t n = step; n <= vecs; n += step)
        VEC_PREFETCH(lanes + (n - step) * vec_lanes, tune_ahead);
}

/* Adds a product to a sum, or begins one with it: begun with +0, sums would wait for the stores of those before, on Zen
 * 4 some 16 cycles a group. One that is -0 for it is not with its bias, see finish.h. */
VEC_INLINE vec product_add(bool first, vec a, vec b, vec sum) { return first ? vec_mul(a, b) : vec_mul_add(a, b, sum); }

/* Adds one term to each sum; the first one begins it. */
VEC_INLINE void product_at_term(size_t rows, size_t vecs, bool first, bool far, const float *const row[product_at_rows],
                                size_t to, const float *lanes, vec sum[product_at_rows][product_at_vecs]) {
    vec of_lanes[product_at_vecs];
    product_at_prefetch(rows, vecs, far, lanes);
    VEC_UNROLL
    for (size_t n = 0; n < vecs; n++)
        of_lanes[n] = vec_load_aligned(lanes + n * vec_lanes);
    VEC_UNROLL
    for (size_t i = 0; i < rows; i++) {
        vec of_row = vec_splat(row[i] + to);
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            sum[i][n] = product_add(first, of_row, of_lanes[n], sum[i][n]);
    }
}

VEC_INLINE void product_at_group(size_t rows, size_t vecs, const product_at *p, const size_t *at, float *sums) {
    vec sum[product_at_rows][product_at_vecs];
    const float *row[product_at_rows], *lanes = p->lanes;
    const size_t *term = p->terms;
    VEC_UNROLL
    for (size_t i = 0; i < rows; i++) {
        row[i] = p->rows + at[i];
        VEC_FORGET(row[i]); /* else GCC adds up each address anew */
    }
    product_at_term(rows, vecs, true, false, row, *term, lanes, sum);
    size_t k = p->depth - 1;
    for (bool far = tune_ahead > 0 && rows > 1 && p->far; far && k > 0; k--) {
        lanes += vecs * vec_lanes;
        product_at_term(rows, vecs, false, true, row, *++term, lanes, sum);
    }
    for (; k > 0; k--) {
        lanes += vecs * vec_lanes;
        product_at_term(rows, vecs, false, false, row, *++term, lanes, sum);
    }
    if (p->bias != NULL) product_at_finish(rows, vecs, p, sum);
    size_t sum_row = p->sum_row; /* which would be loaded again after each store */
    VEC_UNROLL
    for (size_t i = 0; i < rows; i++, sums += sum_row) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            vec_store(sums + n * vec_lanes, sum[i][n]);
    }
}

typedef void product_at_function(const product_at *p, const size_t *at, float *sums, size_t groups);
#define PRODUCT_AT(rows, vecs) \
    static void product_at_##rows##_##vecs(const product_at *p, const size_t *at, float *sums, size_t groups) { \
        if ((rows) * (vecs) > tune_sums || (rows) > product_at_rows || (vecs) > product_at_vecs) return; /* none */ \
        for (; groups > 0; groups--, at += rows, sums += (rows)*p->sum_row) \
            product_at_group(rows, vecs, p, at, sums); \
    }
#define PRODUCT_AT_VECS(X, rows) \
    X(rows, 1) \
    X(rows, 2) \
    X(rows, 3) X(rows, 4) X(rows, 5) X(rows, 6) X(rows, 7) X(rows, 8) X(rows, 9) X(rows, 10) X(rows, 11) X(rows, 12)
#define PRODUCT_AT_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define PRODUCT_AT_ALL(rows) PRODUCT_AT_VECS(PRODUCT_AT, rows)
PRODUCT_AT_ROWS(PRODUCT_AT_ALL)
#define PRODUCT_AT_NAME(rows, vecs) product_at_##rows##_##vecs,
#define PRODUCT_AT_NAMES(rows) {PRODUCT_AT_VECS(PRODUCT_AT_NAME, rows)},
static product_at_function *const product_at_functions[8][12] = {PRODUCT_AT_ROWS(PRODUCT_AT_NAMES)};

/* How many rows, by one block of how many vectors, are cut into groups: as few as can be, of one size but for the last.
 */
typedef struct product_at_groups {
    size_t rows, vecs, size, groups, rest;
} product_at_groups;

static product_at_groups product_at_cut(size_t rows, size_t vecs) {
    size_t size = size_even(rows, size_min(tune_sums / vecs, product_at_rows));
    return (product_at_groups){rows, vecs, size, rows / size, rows % size};
}

static void product_at_run(const product_at *p, const size_t *at, const product_at_groups *g) {
    product_at_functions[g->size - 1][g->vecs - 1](p, at, p->sums, g->groups);
    if (g->rest > 0)
        product_at_functions[g->rest - 1][g->vecs - 1](p, at + g->rows - g->rest,
                                                       p->sums + (g->rows - g->rest) * p->sum_row, 1);
}

#endif
