/* SPDX-License-Identifier: MIT */
/* What the two ways of the algorithm `direct` have in common: packed weights and scratch. */
#ifndef CONVPOOL_DIRECT_CALL_H
#define CONVPOOL_DIRECT_CALL_H

#include "finish.h"
#include "packed.h"
#include "product_at.h"
#include "product_row.h"
#include "source.h"

enum {
    direct_slots = 96,       /* of a block, at most */
    direct_sums = 4 * 1024,  /* and sums */
    direct_pairs = 3 * 1024, /* inputs of two rows by turns */
};

/* Vectors of output channels that are computed together: more where there are few pixels, to keep as many sums. */
static packed_blocks direct_blocks(const convpool_shape *s) {
    size_t slots = size_min(s->conv_height * s->conv_width, product_at_many);
    size_t vecs = size_min(tune_sums / slots, product_at_vecs), all = (s->out_channels + vec_lanes - 1) / vec_lanes;
    return (packed_blocks){size_even(all, vecs) * vec_lanes, vec_lanes};
}

static size_t direct_slots_of_block(const convpool_shape *s) {
    size_t window = s->pool ? 4 : 1, most = size_min(direct_slots, direct_sums / direct_blocks(s).most);
    size_t pixels = size_min(most / window, s->out_height * s->out_width);
    return window * (pixels ? pixels : 1);
}

/* ---- Packed: bias, slopes and weights, and behind them the terms' distances ---- */

static size_t direct_terms(const convpool_shape *s) { /* in bytes: where they begin */
    return size_round_up(packed_blocks_size(s, direct_blocks(s)), CONVPOOL_ALIGNMENT);
}

static size_t direct_packed_size(const convpool_shape *s) { return direct_terms(s) + s->depth * sizeof(size_t); }

static void direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    packed_pack(s, direct_blocks(s), weights, bias, packed);
    size_t *term = (size_t *)(void *)((char *)packed + direct_terms(s));
    source_strides step = source_steps(s);
    for (size_t c = 0; c < s->channels; c++)
        for (size_t u = 0; u < s->filter_height; u++)
            for (size_t v = 0; v < s->filter_width; v++)
                *term++ = c * step.channel + u * step.row + v * step.column;
}

static inline double direct_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return packed_direct_bound(s, direct_blocks(s), packed, max_abs_input);
}

/* ---- Scratch: a band of the source, a block's sums, and inputs in pairs ---- */

static inline size_t direct_window_rows(const convpool_shape *s) { return s->pool ? 2 : 1; }

/* Whether half a vector holds all output channels: two rows may then be computed in pairs. */
static bool direct_is_narrow(const convpool_shape *s) { return s->out_channels <= product_row_half; }

static size_t direct_scratch_size(const convpool_shape *s) {
    size_t sums = direct_slots_of_block(s) * direct_blocks(s).most + (direct_is_narrow(s) ? direct_pairs : 0);
    return (source_floats(s, source_in_place(s), direct_window_rows(s)) + sums) * sizeof(float) + CONVPOOL_ALIGNMENT -
           1;
}

/* What all blocks of a call have in common. */
typedef struct direct_call {
    const convpool_shape *shape;
    packed_blocks blocks;
    const float *bias, *weights;
    const size_t *terms;
    const float *rows; /* of windows, */
    size_t first_row;  /* from this one on, in the source */
    float *sums;
} direct_call;

static direct_call direct_begin(const convpool_shape *s, const float *packed, void *scratch) {
    direct_call a = {.shape = s, .blocks = direct_blocks(s), .bias = packed};
    a.weights = packed + packed_weights(s, a.blocks);
    a.terms = (const size_t *)(const void *)((const char *)packed + direct_terms(s));
    a.sums = scratch_align(scratch) + source_floats(s, source_in_place(s), direct_window_rows(s));
    return a;
}

/* Whether pixels' results in these channels lie in the output as sums do. */
static bool direct_in_place(const convpool_shape *s, size_t o, size_t lanes) {
    bool side_by_side = s->output_hwc || s->out_height * s->out_width == 1;
    return side_by_side && o + lanes <= s->out_channels;
}

#endif
