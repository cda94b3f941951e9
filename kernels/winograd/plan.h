/* SPDX-License-Identifier: MIT */
/* How Winograd's algorithms cut a layer up, and what they keep in packed weights and in scratch. */
#ifndef CONVPOOL_WINOGRAD_PLAN_H
#define CONVPOOL_WINOGRAD_PLAN_H

#include "../direct.h"

enum {
    winograd_slots = tune_slots, /* tiles of a block, at most */
    winograd_pad = 16,           /* floats between positions, so that they do not all meet in one set of a cache */
    winograd_kept = 256 * 1024,  /* bytes of products that are kept at a time, where transformed inputs are many */
    winograd_many = 192 * 1024,  /* bytes of these */
};
_Static_assert(tune_slots > 0 && tune_slots % 4 == 0 && tune_slots % (int)vec_lanes == 0,
               "a block is whole units of four tiles, and whole vectors");
_Static_assert(tune_slots_short > 0 && tune_slots_short % 4 == 0 && tune_slots_short % (int)vec_lanes == 0 &&
                   (int)tune_slots_short <= (int)tune_slots,
               "and so is one of short sums");
_Static_assert(tune_slots <= 64 && tune_slots * (25 * product_lanes + winograd_pad) + 4096 <= 32768,
               "scratch stays within CONVPOOL_LAYER_SCRATCH_MAX");

/* A unit is the tile or tiles whose outputs are a square of whole output pixels. Units are numbered row by row through
 * the image; a block is some of them, in order. Rows of tiles lie on a grid from row 0 on; of their columns the last
 * unit's are moved left until it ends with the image. */
typedef struct winograd_plan {
    size_t tile, side, positions;   /* convolution outputs across a tile; inputs across it; inputs of it */
    size_t across;                  /* tiles across a unit, and down */
    size_t pixels;                  /* output pixels across a unit, and down */
    size_t conv_height, conv_width; /* the convolution's outputs that count */
    size_t unit_rows, unit_columns; /* in the image */
    size_t slots, units;            /* of a block, at most: tiles, and units */
    size_t vecs;                    /* vectors of output channels */
    size_t v_position;              /* floats of transformed inputs between positions */
    size_t m_slot;                  /* floats of products between slots */
    size_t chunk;                   /* blocks of output channels whose products are kept at a time */
} winograd_plan;

static winograd_plan winograd_make_plan(const convpool_shape *s, size_t tile) {
    winograd_plan p = {.tile = tile, .side = tile + 1, .positions = (tile + 1) * (tile + 1)};
    p.across = s->pool && tile == 3 ? 2 : 1;
    p.pixels = s->pool && tile == 2 ? 1 : tile;
    p.conv_height = s->pool ? 2 * s->out_height : s->out_height;
    p.conv_width = s->pool ? 2 * s->out_width : s->out_width;
    p.unit_rows = (s->out_height + p.pixels - 1) / p.pixels;
    p.unit_columns = (s->out_width + p.pixels - 1) / p.pixels;
    size_t all = p.unit_rows * p.unit_columns * p.across * p.across;
    p.slots = packed_min(s->channels > tune_short ? winograd_slots : tune_slots_short,
                         packed_round_up(all, vec_lanes > 4 ? vec_lanes : 4));
    p.units = p.slots / (p.across * p.across);
    p.vecs = (s->out_channels + vec_lanes - 1) / vec_lanes;
    p.v_position = s->channels * p.slots + winograd_pad;
    p.m_slot = p.positions * product_lanes + winograd_pad;
    size_t kept = winograd_kept / sizeof(float) / (p.slots * p.m_slot);
    bool many = p.positions * p.v_position * sizeof(float) > winograd_many;
    p.chunk = many && kept > 1 ? packed_min(kept, (p.vecs + tune_vecs - 1) / tune_vecs) : 1;
    return p;
}

/* ---- Packed: the limit, then what `direct` packs, then the transformed weights: per block of output channels
 * [position][c][channel of the block], the last vector filled up with copies of the last channel. ---- */

static size_t winograd_packed_direct(const convpool_shape *s) { /* in floats */
    return packed_round_up(direct_packed_size(s), CONVPOOL_ALIGNMENT) / sizeof(float);
}

static size_t winograd_packed_size(const convpool_shape *s, size_t tile) {
    winograd_plan p = winograd_make_plan(s, tile);
    size_t weights = p.positions * s->channels * p.vecs * vec_lanes;
    return (packed_limit + winograd_packed_direct(s) + weights) * sizeof(float);
}

static void winograd_pack(const convpool_shape *s, size_t tile, const float *weights, const float *bias, void *packed) {
    float *to = packed, limit = convpool_winograd_limit(s, weights, bias), filter[16];
    *to = limit;
    direct_pack(s, weights, bias, to + packed_limit);
    to += packed_limit + winograd_packed_direct(s);
    if (limit == 0) return; /* the transformed weights might not be finite, and are not used */
    winograd_plan p = winograd_make_plan(s, tile);
    for (size_t vector = 0, vecs; vector < p.vecs; vector += vecs) {
        vecs = packed_min(tune_vecs, p.vecs - vector);
        size_t lanes = vecs * vec_lanes;
        for (size_t lane = 0; lane < lanes; lane++) {
            size_t o = packed_min(vector * vec_lanes + lane, s->out_channels - 1);
            for (size_t c = 0; c < s->channels; c++) {
                convpool_winograd_filter(tile, weights + (o * s->channels + c) * 4, s->flip, filter);
                for (size_t t = 0; t < p.positions; t++)
                    to[(t * s->channels + c) * lanes + lane] = filter[t];
            }
        }
        to += p.positions * s->channels * lanes;
    }
}

static double winograd_error_bound(const convpool_shape *s, size_t tile, const void *packed, double max_abs_input) {
    return packed_winograd_bound(s, direct_blocks, tile, packed, max_abs_input);
}

/* ---- Scratch: the transformed inputs of a block, [position][c][slot]; its products with a chunk of blocks of output
 * channels, [block][slot][position][channel]; and its pixels in one such block, [row of a unit][pixel][channel]. Or
 * what `direct` needs. ---- */

static size_t winograd_v_floats(const winograd_plan *p) {
    return packed_round_up(p->positions * p->v_position + vec_lanes, CONVPOOL_ALIGNMENT / sizeof(float));
}

static size_t winograd_scratch_size(const convpool_shape *s, size_t tile) {
    winograd_plan p = winograd_make_plan(s, tile);
    size_t m = p.chunk * p.slots * p.m_slot, pixels = p.pixels * p.pixels * p.units * product_lanes;
    size_t own = (winograd_v_floats(&p) + m + pixels) * sizeof(float) + CONVPOOL_ALIGNMENT - 1;
    convpool_shape unpooled = packed_unpooled(s);
    size_t direct = direct_scratch_size(s), row = direct_scratch_size(&unpooled);
    if (row > direct) direct = row;
    return own > direct ? own : direct;
}

#endif
