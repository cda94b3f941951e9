/* SPDX-License-Identifier: MIT */
/*
 * The matrix product that every algorithm comes down to, lanes over output channels: for each position of a tile
 * (`direct` has one)
 *
 *     sums[slot][position][channel] = sum over k of inputs[position][k][slot] weights[position][k][channel]
 *
 * from +0, over k ascending, one chain of multiply-adds. A group of slots by a block of vectors of channels stays in
 * registers while k goes by: an input is splatted, weights are loaded.
 */
#ifndef CONVPOOL_PRODUCT_H
#define CONVPOOL_PRODUCT_H

#include "packed.h"

enum {
    product_slots_most = 14, /* slots of a group */
    product_vecs_most = 4,   /* vectors of channels of a block */
    product_lanes = tune_vecs * vec_lanes,
};
_Static_assert(tune_vecs >= 1 && (int)tune_vecs <= (int)product_vecs_most, "there are groups of these");
_Static_assert(tune_sums >= 2 * tune_vecs && (int)tune_sums <= VEC_REGISTERS, "sums stay in registers");
_Static_assert(tune_least_sums >= 1 && (int)tune_least_sums <= (int)tune_sums, "some groups have so many");
_Static_assert(tune_hold == 0 || tune_hold == 1, "weights are held or not");

typedef struct product {
    const float *inputs, *weights;
    float *sums;
    size_t depth;                           /* how many terms a sum has */
    size_t positions;                       /* at least 1 */
    size_t input_pitch;                     /* floats from one k to the next */
    size_t input_position, weight_position; /* floats from one position to the next */
    size_t sum_slot; /* floats from one slot's sums to the next's; positions' are product_lanes apart */
} product;

/* `slots` by `vecs`, constants after inlining. An input of a group that ends before a multiple of four slots
 * may be loaded with up to three behind it. */
VEC_INLINE void product_group(size_t slots, size_t vecs, size_t depth, const float *inputs, size_t pitch,
                              const float *weights, float *sums, size_t sum_slot) {
    vec sum[product_slots_most][product_vecs_most];
    VEC_UNROLL
    for (size_t slot = 0; slot < slots; slot++) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            sum[slot][n] = vec_zero();
    }
    for (size_t k = depth; k > 0; k--, inputs += pitch, weights += vecs * vec_lanes) {
        vec weight[product_vecs_most];
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            weight[n] = vec_load_aligned(weights + n * vec_lanes);
        VEC_UNROLL
        for (size_t slot = 0; slot < slots; slot++) {
            vec input = vec_splat_of_4(inputs + slot / 4 * 4, slot % 4);
            if (!tune_hold && slot > 0) { /* where registers are too few, weights are loaded for each slot */
                VEC_FORGET(weights);
                VEC_UNROLL
                for (size_t n = 0; n < vecs; n++)
                    weight[n] = vec_load_aligned(weights + n * vec_lanes);
            }
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++)
                sum[slot][n] = vec_mul_add(input, weight[n], sum[slot][n]);
        }
    }
    VEC_UNROLL
    for (size_t slot = 0; slot < slots; slot++, sums += sum_slot) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            vec_store(sums + n * vec_lanes, sum[slot][n]);
    }
}

VEC_INLINE void product_groups(size_t slots, size_t vecs, const product *p, size_t slot, size_t groups) {
    const float *inputs = p->inputs + slot, *weights = p->weights;
    float *sums = p->sums + slot * p->sum_slot;
    size_t depth = p->depth, pitch = p->input_pitch, input_position = p->input_position;
    size_t weight_position = p->weight_position, sum_slot = p->sum_slot;
    for (size_t position = p->positions; position > 0; position--) {
        for (size_t group = 0; group < groups; group++)
            product_group(slots, vecs, depth, inputs + group * slots, pitch, weights, sums + group * slots * sum_slot,
                          sum_slot);
        inputs += input_position;
        weights += weight_position;
        sums += product_lanes;
    }
}

/* Some groups of one size, from a slot on. Functions of their own, for the sake of their registers. */
typedef void product_function(const product *p, size_t slot, size_t groups);
#define PRODUCT(slots, vecs) \
    static void product_##slots##_##vecs(const product *p, size_t slot, size_t groups) { \
        if ((slots) * (vecs) <= tune_sums && (vecs) <= tune_vecs) /* else there are no such groups */ \
            product_groups(slots, vecs, p, slot, groups); \
    }
#define PRODUCT_VECS(X, slots) X(slots, 1) X(slots, 2) X(slots, 3) X(slots, 4)
#define PRODUCT_ALL(slots) PRODUCT_VECS(PRODUCT, slots)
#define PRODUCT_SLOTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
PRODUCT_SLOTS(PRODUCT_ALL)
#define PRODUCT_NAME(slots, vecs) product_##slots##_##vecs,
#define PRODUCT_NAMES(slots) {PRODUCT_VECS(PRODUCT_NAME, slots)},
static product_function *const product_functions[product_slots_most][product_vecs_most] = {
    PRODUCT_SLOTS(PRODUCT_NAMES)};

/* All of `slots` slots by one block of `vecs` vectors: in groups of one size, if there is one that leaves none over and
 * has sums enough to hide how long an addition takes; else as few groups as can be, position by position, so that
 * weights are still in the cache for the last group. */
static void product_run(const product *p, size_t slots, size_t vecs) {
    size_t most = packed_min(tune_sums / vecs, product_slots_most), size = most;
    while (size * vecs >= tune_least_sums && slots % size != 0)
        size--;
    if (size * vecs >= tune_least_sums) {
        product_functions[size - 1][vecs - 1](p, 0, slots / size);
        return;
    }
    size_t groups = (slots + most - 1) / most;
    size = (slots + groups - 1) / groups;
    size_t whole = slots / size, rest = slots % size;
    product one = *p;
    one.positions = 1;
    for (size_t position = p->positions; position > 0; position--) {
        product_functions[size - 1][vecs - 1](&one, 0, whole);
        if (rest > 0) product_functions[rest - 1][vecs - 1](&one, whole * size, 1);
        one.inputs += p->input_position;
        one.weights += p->weight_position;
        one.sums += product_lanes;
    }
}

#endif
