/* SPDX-License-Identifier: MIT */
/*
 * The algorithms `winograd22` and `winograd32`: Winograd's minimal filtering F(2x2, 2x2) and F(3x3, 2x2), over the
 * vocabulary of vector.h (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast
 * Algorithms for Convolutional Neural Networks, 2016). doc/algorithms.md explains them from the beginning. In one
 * dimension, of inputs d, a filter g and outputs y:
 *
 *   F(2, 2)   v = d0 - d1, d1, d2 - d1             u = g0, g0 + g1, g1
 *             m = u v                              y = m0 + m1, m1 + m2
 *   F(3, 2)   v = d0 - d2, d1 + d2, d2 - d1, d3 - d1
 *             u = g0, (g0 + g1) / 2, (g0 - g1) / 2, g1
 *             m = u v                              y = m0 + (m1 + m2), m1 - m2, (m1 + m2) + m3
 *
 * Order of evaluation, the same on every ISA. Inputs: down the columns of a tile, then across, without fused
 * multiply-add. Weights: across, then down, in double, rounded once. Products: from +0, over c ascending, one chain of
 * multiply-adds for each position. Outputs: down, then across; then the maximum, then bias, then ReLU. Rows of tiles
 * lie on a grid from row 0 on. So do their columns, but that the last tiles of a row, together one whole output pixel
 * or more, are moved left until they end with the image; where two tiles have the same output, the right one's counts.
 * Inputs that no output reads count as 0.
 *
 * With S the largest sum of |w| for one output channel, T = 2^(121 - max(0, ceil(log2 S))). Everything is computed as
 * `direct` computes it where S >= 2^120 or is not a number, or a bias has |b| >= 2^126 or is none; and so is a row of
 * tiles some output of which reads an input that is not below T in magnitude. Else no intermediate overflows: none
 * exceeds 36 T S.
 *
 * Error (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1; Barabasz et al., Error Analysis
 * and Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2018): with u = 2^-24,
 * |y - exact| <= k u (|b| + sum over c of max |x[c]| sum |w[c]|) + k 2^-149 (1 + sum |x|), the maximum and the sum of
 * |x| over the tile, k = G (C + 8) / (1 - (C + 8) u), G = 9 for F(2x2, 2x2) and 16 for F(3x3, 2x2). For no product
 * meets more than two roundings of its input, one of its weight, C in its chain, four on the way to an output and the
 * bias's; and the magnitudes that lead to an output sum to no more than 3 max |d| (|g0| + |g1|) in one dimension of
 * F(2, 2), and 4 of F(3, 2).
 */
#ifndef CONVPOOL_PIXELS_WINOGRAD_H
#define CONVPOOL_PIXELS_WINOGRAD_H

#include "../winograd/scheme.h"
#include "direct.h"

#include <math.h>
#include <string.h>

#if CONVPOOL_WINOGRAD22 || CONVPOOL_WINOGRAD32

enum {
    /* tiles a block at most */
    pixel_winograd_slots_most = VEC_BLOCK_SLOTS > VEC_BLOCK_SLOTS_LONG ? VEC_BLOCK_SLOTS : VEC_BLOCK_SLOTS_LONG,
    pixel_winograd_chunk_most = 12,     /* output channels whose products are kept at a time */
    pixel_winograd_copied_pairs = 8192, /* pairs of channels up to which there are VEC_WEIGHT_COPIES of each weight */
    pixel_winograd_long = 48,           /* input channels from which on a sum counts as long */
    pixel_winograd_inputs =
        16 * 1024, /* bytes of transformed inputs that are multiplied with all of a chunk's weights */
    pixel_winograd_windows = 18 * 1024, /* bytes of transformed windows, where their products are fused */
    pixel_winograd_pad = 16,            /* floats between planes, so that they do not all meet in one set of a cache */
    pixel_winograd_m_plane =
        pixel_winograd_chunk_most * pixel_winograd_slots_most + pixel_winograd_pad, /* a position's products */
    pixel_winograd_quad = vec_lanes < 4 ? vec_lanes : 4, /* lanes whose outputs vec_store_3 keeps together */
    pixel_winograd_pixels_most = 3 * (pixel_winograd_slots_most + vec_lanes), /* of a block, in one row of its units */
    /* Output channels and vectors of windows whose products are fused, three sums for each two. */
    pixel_winograd_fused_vecs = VEC_REGISTERS >= 16 ? 2 : 1,
    pixel_winograd_fused_rows = VEC_REGISTERS >= 32 ? 4 : pixel_winograd_fused_vecs,
};

/* What a vocabulary may say of block sizes. */
_Static_assert(VEC_BLOCK_VECS == 2 || VEC_BLOCK_VECS == 4 || VEC_BLOCK_VECS == 6, "there are panels of these");
_Static_assert(VEC_BLOCK_ROWS_LONG == 2 || VEC_BLOCK_ROWS_LONG == 6, "there are panels of these");
_Static_assert(VEC_BLOCK_ROWS >= 1 && VEC_BLOCK_ROWS <= VEC_BLOCK_ROWS_LONG, "and of no more rows");
_Static_assert(2 * VEC_BLOCK_ROWS_LONG <= pixel_winograd_chunk_most, "a chunk holds two blocks");
_Static_assert(VEC_BLOCK_SLOTS > 0 && VEC_BLOCK_SLOTS % (vec_lanes < 4 ? 4 : vec_lanes) == 0 &&
                   VEC_BLOCK_SLOTS_LONG > 0 && VEC_BLOCK_SLOTS_LONG % (vec_lanes < 4 ? 4 : vec_lanes) == 0,
               "a block is whole units of four tiles, and whole vectors");
_Static_assert(pixel_winograd_slots_most <= 64,
               "scratch stays within CONVPOOL_LAYER_SCRATCH_MAX, the stack within 16 KiB");
_Static_assert((int)pixel_winograd_pad >= (int)vec_lanes, "a vector may be stored behind a position's last products");
_Static_assert(VEC_FUSE_CHANNELS <= pixel_winograd_windows / (9 * (int)sizeof(float)), "a block has a window at least");
_Static_assert(VEC_WEIGHT_COPIES == 1 || (VEC_WEIGHT_COPIES == vec_lanes && vec_lanes <= 4),
               "packed weights stay within CONVPOOL_LAYER_MEMORY_MAX");

/* How a layer is cut up. A unit is what a lane of the output stage has: the tile or tiles whose outputs are a square of
 * whole output pixels. Units are numbered row by row through the image; a block is some of them, in order. Rows of
 * tiles lie on a grid from row 0 on; of their columns the last unit's are moved left until it ends with the image. */
typedef struct pixel_winograd_plan {
    size_t tile, side, positions;   /* convolution outputs across a tile; inputs across it; inputs of it */
    size_t across;                  /* tiles across a unit, and down */
    size_t pixels;                  /* output pixels across a unit, and down */
    size_t conv_height, conv_width; /* the convolution's outputs that count */
    size_t unit_rows, unit_columns; /* in the image */
    size_t units, slots;            /* in a block, at most: tiles, in whole vectors */
    bool fused;                     /* products are turned into outputs while they are in registers */
    size_t copies;                  /* of each weight, side by side */
    size_t rows, chunk;             /* output channels a block of the matrix product, at most, and a chunk */
    pixel_direct_pitch pitch;       /* of transformed inputs, whose planes are positions */
    bool by_pixel; /* tiles are pooling windows that can be loaded a vector at a time: a block is a run of pixels */
} pixel_winograd_plan;

/* The least number that is at most `most` and cuts `all` into as few parts. */
VEC_INLINE size_t pixel_winograd_even(size_t all, size_t most) {
    size_t parts = (all + most - 1) / most;
    return (all + parts - 1) / parts;
}

VEC_INLINE pixel_winograd_plan pixel_winograd_make_plan(const convpool_shape *s, size_t tile) {
    pixel_winograd_plan p = {.tile = tile, .side = tile + 1, .positions = (tile + 1) * (tile + 1)};
    p.across = s->pool && tile == 3 ? 2 : 1;
    p.pixels = s->pool && tile == 2 ? 1 : tile;
    p.conv_height = s->pool ? 2 * s->out_height : s->out_height;
    p.conv_width = s->pool ? 2 * s->out_width : s->out_width;
    p.unit_rows = (s->out_height + p.pixels - 1) / p.pixels;
    p.unit_columns = (s->out_width + p.pixels - 1) / p.pixels;
    p.copies = s->channels * s->out_channels <= pixel_winograd_copied_pairs ? VEC_WEIGHT_COPIES : 1;
    bool is_long = s->channels >= pixel_winograd_long;
    size_t tiles = p.across * p.across, slots_most = is_long ? VEC_BLOCK_SLOTS_LONG : VEC_BLOCK_SLOTS;
    p.fused = tile == 2 && s->pool && s->channels <= VEC_FUSE_CHANNELS;
    p.rows = p.fused ? pixel_winograd_fused_rows : is_long ? VEC_BLOCK_ROWS_LONG : VEC_BLOCK_ROWS;
    if (p.fused) { /* in whole groups of vectors */
        size_t group = pixel_winograd_fused_vecs * vec_lanes;
        size_t fit = pixel_winograd_windows / (9 * sizeof(float)) / s->channels;
        slots_most = fit < group ? group : packed_min(slots_most, fit / group * group);
    }
    size_t even = pixel_winograd_even(p.unit_rows * p.unit_columns, slots_most / tiles);
    p.units = packed_round_up(even, vec_lanes > tiles ? vec_lanes / tiles : 1);
    p.slots = packed_round_up(p.units * tiles, vec_lanes);
    size_t pair = 2 * p.rows; /* of blocks */
    p.chunk = packed_min(s->out_channels, pixel_winograd_chunk_most / pair * pair);
    p.pitch = p.fused ? (pixel_direct_pitch){p.slots, p.positions * p.slots}
                      : (pixel_direct_pitch){s->channels * p.slots + pixel_winograd_pad, p.slots};
    p.by_pixel = tile == 2 && s->pool && s->out_width >= vec_lanes;
    return p;
}

/* How a chunk's output channels are cut into blocks of the matrix product: so many of `rows`, and what is left. */
typedef struct pixel_winograd_split {
    size_t rows, blocks, left;
} pixel_winograd_split;

VEC_INLINE pixel_winograd_split pixel_winograd_split_rows(const pixel_winograd_plan *p, size_t rows) {
    size_t most = pixel_winograd_even(rows, p->rows);
    return (pixel_winograd_split){most, rows / most, rows % most};
}

/* ---- Packed: the limit, then what `direct` packs, then the transformed weights: per chunk of output channels
 * [position][block of the matrix product][c][channel of the block] or, where products are fused with what follows,
 * [block][column of positions][c][row of positions][channel of the block]. Each weight is there p.copies times. ---- */

static size_t pixel_winograd_packed_direct(const convpool_shape *s) { /* in floats */
    return packed_round_up(pixel_direct_packed_size(s), CONVPOOL_ALIGNMENT) / sizeof(float);
}

VEC_INLINE size_t pixel_winograd_packed_size(const convpool_shape *s, size_t tile) {
    pixel_winograd_plan p = pixel_winograd_make_plan(s, tile);
    size_t weights = p.copies * p.positions * s->channels * s->out_channels;
    return (packed_limit + pixel_winograd_packed_direct(s) + weights) * sizeof(float);
}

VEC_INLINE void pixel_winograd_pack(const convpool_shape *s, size_t tile, const float *weights, const float *bias,
                                    void *packed) {
    float *to = packed, limit = convpool_winograd_limit(s, weights, bias), filter[16];
    *to = limit;
    pixel_direct_pack(s, weights, bias, to + packed_limit);
    to += packed_limit + pixel_winograd_packed_direct(s);
    if (limit == 0) return; /* the transformed weights might not be finite, and are not used */
    pixel_winograd_plan p = pixel_winograd_make_plan(s, tile);
    for (size_t o = 0, rows; o < s->out_channels; o += rows, to += p.copies * p.positions * s->channels * rows) {
        rows = packed_min(p.chunk, s->out_channels - o);
        pixel_winograd_split split = pixel_winograd_split_rows(&p, rows);
        for (size_t row = 0; row < rows; row++) {
            size_t done = row / split.rows * split.rows, block = packed_min(split.rows, rows - done);
            for (size_t c = 0; c < s->channels; c++) {
                convpool_winograd_filter(tile, weights + ((o + row) * s->channels + c) * 4, s->flip, filter);
                for (size_t t = 0; t < p.positions; t++) {
                    size_t of_block = p.fused ? ((t % 3 * s->channels + c) * 3 + t / 3) * block : c * block;
                    size_t before = p.fused ? done * s->channels * 9 : (t * rows + done) * s->channels;
                    for (size_t copy = 0; copy < p.copies; copy++)
                        to[p.copies * (before + of_block + row - done) + copy] = filter[t];
                }
            }
        }
    }
}

VEC_INLINE double pixel_winograd_error_bound(const convpool_shape *s, size_t tile, const void *packed,
                                             double max_abs_input) {
    return packed_winograd_bound(s, pixel_direct_packed, tile, packed, max_abs_input);
}

/* ---- Scratch: the transformed inputs of a block, [position][c][slot] (fused: [c][position][slot]), and its products
 * with a chunk of output channels, [position][channel][slot]; or what `direct` needs for a row of tiles. ---- */

static size_t pixel_winograd_v_floats(const convpool_shape *s, const pixel_winograd_plan *p) {
    size_t floats = p->fused ? s->channels * p->pitch.channel : p->positions * p->pitch.plane;
    return packed_round_up(floats, CONVPOOL_ALIGNMENT / sizeof(float));
}

enum { pixel_winograd_pixels_floats = 3 * pixel_winograd_pixels_most * pixel_winograd_chunk_most };

VEC_INLINE size_t pixel_winograd_scratch_size(const convpool_shape *s, size_t tile) {
    pixel_winograd_plan p = pixel_winograd_make_plan(s, tile);
    convpool_shape u = packed_unpooled(s);
    size_t own =
        (pixel_winograd_v_floats(s, &p) + p.positions * pixel_winograd_m_plane + pixel_winograd_pixels_floats) *
            sizeof(float) +
        CONVPOOL_ALIGNMENT - 1;
    size_t row = pixel_direct_scratch_size(&u) + pixel_direct_rows * pixel_direct_tile_pixels(&u) * sizeof(float) +
                 CONVPOOL_ALIGNMENT;
    size_t direct = pixel_direct_scratch_size(s), most = own > row ? own : row;
    return most > direct ? most : direct;
}

/* ---- Blocks ---- */

/* Pixels of a block that lie side by side in each row of its units, from one of its units on. */
typedef struct pixel_winograd_run {
    size_t unit, count;        /* from where; how many pixels */
    size_t first_row, end_row; /* rows of the unit that are wanted */
    size_t to;                 /* where its row 0 goes in the output plane */
} pixel_winograd_run;

/* Some units, and their tiles' slots: first the first tile of every unit, then the second... */
typedef struct pixel_winograd_block {
    size_t units, tiles, slots;
    size_t from[pixel_winograd_slots_most];           /* the tile's first input in its channel */
    unsigned char rows[pixel_winograd_slots_most];    /* how many of its inputs count, down and across, or */
    unsigned char columns[pixel_winograd_slots_most]; /* pixel_winograd_whole twice where four columns can be loaded of
                                                         each row */
    bool careful; /* some inputs may be too large: nothing is loaded but what counts */
    bool direct;  /* some rows of tiles are to be computed directly */
    pixel_winograd_run runs[pixel_winograd_slots_most];
    size_t run_count;
    bool in_place;                        /* every quad of units has its pixels side by side, all wanted, and */
    size_t to[pixel_winograd_slots_most]; /* that is where */
} pixel_winograd_block;

enum { pixel_winograd_whole = 255 };

/* ---- Which rows of tiles must be computed directly ---- */

/* Whether a number's magnitude is below the limit, a power of two: by their bits, so that NaN raises no exception. */
static bool pixel_winograd_is_below(float x, float limit) {
    uint32_t bits, limit_bits;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&limit_bits, &limit, sizeof limit_bits);
    return (bits & 0x7fffffff) < limit_bits;
}

/* Whether some input that row `row` of tiles reads is not below the limit. */
static bool pixel_winograd_row_is_large(const convpool_shape *s, const pixel_winograd_plan *p, const float *input,
                                        float limit, size_t row) {
    size_t first = row * p->tile;
    if (first >= p->conv_height) return false;
    size_t last = packed_min(first + p->tile, p->conv_height);
    for (size_t c = 0; c < s->channels; c++)
        for (size_t i = first; i <= last; i++)
            for (size_t j = 0; j <= p->conv_width; j++)
                if (!pixel_winograd_is_below(input[(c * s->height + i) * s->width + j], limit)) return true;
    return false;
}

/* The same of a row of units, as a bit for each row of its tiles. */
static unsigned pixel_winograd_large_rows(const convpool_shape *s, const pixel_winograd_plan *p, const float *input,
                                          float limit, size_t unit_row) {
    unsigned large = 0;
    for (size_t i = 0; i < p->across; i++)
        if (pixel_winograd_row_is_large(s, p, input, limit, unit_row * p->across + i)) large |= 1U << i;
    return large;
}

/* Whether every row of tiles of these rows of units does. */
static bool pixel_winograd_all_large(const convpool_shape *s, const pixel_winograd_plan *p, const float *input,
                                     float limit, size_t first_row, size_t end_row) {
    for (size_t row = first_row * p->across; row < end_row * p->across; row++)
        if (row * p->tile < p->conv_height && !pixel_winograd_row_is_large(s, p, input, limit, row)) return false;
    return true;
}

/* Whether rows of units may have such inputs. That all is well, as it nearly always is, is shown quickly: by the
 * largest magnitude of all that a vector may load of them: in rows and columns that are dropped, too, and one float
 * behind the last row. */
static bool pixel_winograd_may_be_large(const convpool_shape *s, const pixel_winograd_plan *p, const float *input,
                                        float limit, size_t first_row, size_t end_row) {
    size_t first = first_row * p->across * p->tile, last = packed_min(end_row * p->across * p->tile, p->conv_height);
    size_t count = (last + 1 - first) * s->width + (last + 1 < s->height);
    vec most[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    for (size_t c = 0; c < s->channels; c++) {
        const float *x = input + (c * s->height + first) * s->width;
        size_t i = 0;
        for (; i + 4 * vec_lanes <= count; i += 4 * vec_lanes) {
            VEC_UNROLL
            for (size_t n = 0; n < 4; n++) {
                most[n] = vec_max_magnitude(most[n], vec_load(x + i + n * vec_lanes));
            }
        }
        for (; i < count; i += vec_lanes) {
            /* What the last vector has twice does not matter. */
            vec a = count < vec_lanes ? vec_load_part(x, count) : vec_load(x + packed_min(i, count - vec_lanes));
            most[0] = vec_max_magnitude(most[0], a);
        }
    }
    float lanes[vec_lanes];
    vec_store(lanes, vec_max_magnitude(vec_max_magnitude(most[0], most[1]), vec_max_magnitude(most[2], most[3])));
    for (size_t n = 0; n < vec_lanes; n++)
        if (!pixel_winograd_is_below(lanes[n], limit)) return true;
    return false;
}

/* ---- Input ---- */

/* The transformed inputs of a vector of tiles in one channel: to[position * stride]. Down first, four columns of some
 * tiles at a time, then across. */
VEC_INLINE void pixel_winograd_transform(size_t tile, const float *from, const size_t *offset, size_t row_stride,
                                         float *to, size_t stride) {
    vec e[4][4];
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++) {
        vec d[4], column[4];
        const size_t *offsets = vec_lanes == 1 ? offset : offset + k;
        const float *x = vec_lanes == 1 ? from + k : from;
        VEC_UNROLL
        for (size_t i = 0; i <= tile; i++)
            d[i] = vec_load_quads(x + i * row_stride, offsets);
        winograd_forward(tile, d, column);
        VEC_UNROLL
        for (size_t i = 0; i <= tile; i++)
            e[i][k] = column[i];
    }
    VEC_UNROLL
    for (size_t i = 0; i <= tile; i++) {
        vec row[4];
        vec_transpose_quads(e[i]);
        winograd_forward(tile, e[i], row);
        VEC_UNROLL
        for (size_t j = 0; j <= tile; j++)
            vec_store(to + j * stride, row[j]);
        to += (tile + 1) * stride;
        VEC_FORGET(to); /* else GCC keeps all the addresses, on the stack */
    }
}

/* The same of a vector of windows, by position: pooled, a tile of F(2, 2) is a pooling window. */
VEC_INLINE void pixel_winograd_transform_windows(vec window[9]) {
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++) {
        vec column[3];
        winograd_forward(2, (vec[]){window[j], window[3 + j], window[6 + j]}, column);
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++)
            window[3 * i + j] = column[i];
    }
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        vec row[3];
        winograd_forward(2, window + 3 * i, row);
        VEC_UNROLL
        for (size_t j = 0; j < 3; j++)
            window[3 * i + j] = row[j];
    }
}

/* Copies the inputs that count of a vector of tiles to patches[slot][row][column], and zeros for the others. */
static void pixel_winograd_copy_patches(size_t side, const float *from, size_t row_stride, const size_t *offset,
                                        const unsigned char *rows, const unsigned char *columns, float *patches) {
    for (size_t slot = 0; slot < vec_lanes; slot++, patches += 16) {
        const float *x = from + offset[slot];
        if (rows[slot] == pixel_winograd_whole) {
            for (size_t i = 0; i < 4; i++)
                memcpy(patches + 4 * i, x + (i < side ? i : 0) * row_stride, 4 * sizeof(float));
        } else {
            memset(patches, 0, 16 * sizeof(float));
            for (size_t i = 0; i < rows[slot]; i++)
                for (size_t j = 0; j < columns[slot]; j++)
                    patches[4 * i + j] = x[i * row_stride + j];
        }
    }
}

VEC_INLINE void pixel_winograd_transform_block(const convpool_shape *s, const pixel_winograd_plan *p, size_t tile,
                                               const pixel_winograd_block *b, const float *input, float *v) {
    float patches[16 * vec_lanes];
    size_t patch_offset[vec_lanes];
    for (size_t i = 0; i < vec_lanes; i++)
        patch_offset[i] = 16 * i;
    bool whole[pixel_winograd_slots_most / vec_lanes + 1];
    size_t width = s->width, in_plane = s->height * width, slots = b->slots;
    pixel_direct_pitch pitch = p->pitch;
    for (size_t n = 0; n * vec_lanes < slots; n++) {
        whole[n] = true;
        for (size_t i = 0; i < vec_lanes; i++)
            whole[n] = whole[n] && b->rows[n * vec_lanes + i] == pixel_winograd_whole;
    }
    for (size_t c = s->channels; c > 0; c--, input += in_plane, v += pitch.channel)
        for (size_t n = 0, slot = 0; slot < slots; n++, slot += vec_lanes)
            if (whole[n]) {
                pixel_winograd_transform(tile, input, b->from + slot, width, v + slot, pitch.plane);
            } else {
                pixel_winograd_copy_patches(tile + 1, input, width, b->from + slot, b->rows + slot, b->columns + slot,
                                            patches);
                pixel_winograd_transform(tile, patches, patch_offset, 4, v + slot, pitch.plane);
            }
}

/* As functions of their own, for the sake of their registers. */
#define PIXEL_WINOGRAD_TRANSFORM(tile) \
    static __attribute__((noinline)) void pixel_winograd_transform_block_##tile( \
        const convpool_shape *s, const pixel_winograd_plan *p, const pixel_winograd_block *b, const float *input, \
        float *v) { \
        pixel_winograd_transform_block(s, p, tile, b, input, v); \
    }
PIXEL_WINOGRAD_TRANSFORM(2)
PIXEL_WINOGRAD_TRANSFORM(3)

/* The windows of a run of pixels. Not inlined, for the sake of its registers. */
static __attribute__((noinline)) void pixel_winograd_transform_pixels(const convpool_shape *s,
                                                                      const pixel_winograd_plan *p, size_t first,
                                                                      size_t count, const float *input, float *v) {
    pixel_direct_gather(s, true, pixel_winograd_transform_windows, input, first, count, v, p->pitch);
}

/* ---- Products ---- */

/* m[position][row][slot] = sum over c of u[position][c][row] v[position][c][slot], for blocks of rows and groups of
 * vectors of slots, each of one size; added to what m holds where these are not the first channels. */
typedef struct pixel_winograd_operands {
    const float *u, *v;
    float *m;
    size_t positions, groups, blocks, channels;
    size_t u_position, u_block, v_position, v_channel; /* floats from one to the next */
    bool copied, first;                                /* whether each weight is a vector in u */
} pixel_winograd_operands;

/* The weight at u[at], in all lanes; where it is `copied`, at u[at * vec_lanes]. There, u[0 .. 4) can be loaded where
 * `of_4`, and `at` is below 4. */
VEC_INLINE vec pixel_winograd_weight(bool copied, bool of_4, const float *u, size_t at) {
    if (copied) return vec_load_aligned(u + at * vec_lanes);
    return of_4 ? vec_splat_of_4(u, at) : vec_splat(u + at);
}

/* Adds one channel's products to the sums. Its weights are those from `at` on. */
VEC_INLINE void pixel_winograd_step(size_t rows, size_t vecs, bool copied, bool of_4, const float *u, size_t at,
                                    const float *v, vec sum[VEC_BLOCK_ROWS_LONG][VEC_BLOCK_VECS]) {
    if (rows <= vecs) {
        vec weight[VEC_BLOCK_VECS];
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++)
            weight[row] = pixel_winograd_weight(copied, of_4, u, at + row);
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++) {
            vec input = vec_load_aligned(v + n * vec_lanes);
            VEC_LOAD_ONCE(input);
            VEC_UNROLL
            for (size_t row = 0; row < rows; row++)
                sum[row][n] = vec_mul_add(input, weight[row], sum[row][n]);
        }
    } else {
        vec input[VEC_BLOCK_VECS];
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            input[n] = vec_load_aligned(v + n * vec_lanes);
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++) {
            vec weight = pixel_winograd_weight(copied, of_4, u, at + row);
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++)
                sum[row][n] = vec_mul_add(input[n], weight, sum[row][n]);
        }
    }
}

/* One block of rows with one group of vectors. */
VEC_INLINE void pixel_winograd_block_products(size_t rows, size_t vecs, bool copied, const float *u, const float *v,
                                              size_t v_channel, size_t channels, bool first, float *m) {
    /* Channels whose weights are loaded together, where all blocks have few rows. */
    const size_t together = VEC_BLOCK_ROWS_LONG <= 2 ? 4 / rows : 1, copies = copied ? vec_lanes : 1;
    vec sum[VEC_BLOCK_ROWS_LONG][VEC_BLOCK_VECS];
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            sum[row][n] = vec_zero();
    }
    if (!first) {
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++) {
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++)
                sum[row][n] = vec_load_aligned(m + row * pixel_winograd_slots_most + n * vec_lanes);
        }
    }
    for (; channels >= together; channels -= together, u += together * rows * copies) {
        VEC_UNROLL
        for (size_t i = 0; i < together; i++, v += v_channel)
            pixel_winograd_step(rows, vecs, copied, together * rows == 4, u, i * rows, v, sum);
    }
    for (; together > 1 && channels > 0; channels--, u += rows * copies, v += v_channel)
        pixel_winograd_step(rows, vecs, copied, false, u, 0, v, sum);
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++) {
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            vec_store(m + row * pixel_winograd_slots_most + n * vec_lanes, sum[row][n]);
    }
}

VEC_INLINE void pixel_winograd_panel(size_t rows, size_t vecs, bool copied, const pixel_winograd_operands *a) {
    size_t channels = a->channels, v_channel = a->v_channel;
    for (size_t position = 0; position < a->positions; position++)
        for (size_t group = 0; group < a->groups; group++) {
            const float *u = a->u + position * a->u_position;
            const float *v = a->v + position * a->v_position + group * vecs * vec_lanes;
            float *m = a->m + position * pixel_winograd_m_plane + group * vecs * vec_lanes;
            for (size_t blocks = a->blocks; blocks > 0;
                 blocks--, u += a->u_block, m += rows * pixel_winograd_slots_most)
                pixel_winograd_block_products(rows, vecs, copied, u, v, v_channel, channels, a->first, m);
        }
}

/* pixel_winograd_panel() for each number of rows and vectors, as functions of their own, for the sake of their
 * registers. */
typedef void pixel_winograd_panel_function(const pixel_winograd_operands *a);
#if VEC_BLOCK_VECS == 6
#define PIXEL_WINOGRAD_VECS(X, rows) X(rows, 1) X(rows, 2) X(rows, 3) X(rows, 4) X(rows, 5) X(rows, 6)
#elif VEC_BLOCK_VECS == 4
#define PIXEL_WINOGRAD_VECS(X, rows) X(rows, 1) X(rows, 2) X(rows, 3) X(rows, 4)
#else
#define PIXEL_WINOGRAD_VECS(X, rows) X(rows, 1) X(rows, 2)
#endif
#if VEC_BLOCK_ROWS_LONG == 6
#define PIXEL_WINOGRAD_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define PIXEL_WINOGRAD_ROWS(X) X(1) X(2)
#endif
#define PIXEL_WINOGRAD_PANEL(rows, vecs) \
    static void pixel_winograd_panel_##rows##_##vecs(const pixel_winograd_operands *a) { \
        if (VEC_WEIGHT_COPIES > 1 && a->copied) \
            pixel_winograd_panel(rows, vecs, true, a); \
        else \
            pixel_winograd_panel(rows, vecs, false, a); \
    }
#define PIXEL_WINOGRAD_PANELS(rows) PIXEL_WINOGRAD_VECS(PIXEL_WINOGRAD_PANEL, rows)
PIXEL_WINOGRAD_ROWS(PIXEL_WINOGRAD_PANELS)
#define PIXEL_WINOGRAD_NAME(rows, vecs) pixel_winograd_panel_##rows##_##vecs,
#define PIXEL_WINOGRAD_NAMES(rows) {PIXEL_WINOGRAD_VECS(PIXEL_WINOGRAD_NAME, rows)},
static pixel_winograd_panel_function *const pixel_winograd_panels[VEC_BLOCK_ROWS_LONG][VEC_BLOCK_VECS] = {
    PIXEL_WINOGRAD_ROWS(PIXEL_WINOGRAD_NAMES)};

/* The products of a block of slots with a chunk of output channels, whose weights are u[position][block][c][row]. */
static void pixel_winograd_products(const convpool_shape *s, const pixel_winograd_plan *p, const float *v, size_t slots,
                                    const float *weights, size_t rows, float *m) {
    pixel_winograd_split split = pixel_winograd_split_rows(p, rows);
    size_t channels_most =
        pixel_winograd_even(s->channels, packed_min(s->channels, pixel_winograd_inputs / sizeof(float) / p->slots));
    size_t all = slots / vec_lanes, vecs_most = pixel_winograd_even(all, VEC_BLOCK_VECS), vecs_left = all % vecs_most;
    pixel_winograd_operands a = {
        .positions = p->positions, .v_position = p->pitch.plane, .v_channel = p->pitch.channel};
    a.copied = p->copies > 1;
    a.u_position = p->copies * s->channels * rows;
    for (size_t c = 0; c < s->channels; c += a.channels) {
        a.channels = packed_min(channels_most, s->channels - c);
        a.first = c == 0;
        for (int part = 0; part < 4; part++) { /* whole blocks and the rest, of whole groups and the rest */
            bool rest_rows = part & 1, rest_vecs = part & 2;
            size_t part_rows = rest_rows ? split.left : split.rows, row = rest_rows ? split.blocks * split.rows : 0;
            size_t vecs = rest_vecs ? vecs_left : vecs_most;
            size_t slot = rest_vecs ? (all - vecs_left) * vec_lanes : 0;
            if (part_rows == 0 || vecs == 0) continue;
            a.blocks = rest_rows ? 1 : split.blocks;
            a.groups = rest_vecs ? 1 : all / vecs_most;
            a.u = weights + p->copies * (row * s->channels + c * part_rows);
            a.u_block = p->copies * s->channels * part_rows;
            a.v = v + c * p->slots + slot;
            a.m = m + row * pixel_winograd_slots_most + slot;
            pixel_winograd_panels[part_rows - 1][vecs - 1](&a);
        }
    }
}

/* Makes the outputs of tiles of which no input counts -infinity, by -infinity at their centre: their other products are
 * 0. */
static void pixel_winograd_forbid(const pixel_winograd_plan *p, const pixel_winograd_block *b, size_t rows, float *m) {
    for (size_t slot = 0; slot < b->slots; slot++)
        for (size_t row = 0; row < rows && b->rows[slot] == 0; row++)
            m[(p->side + 1) * pixel_winograd_m_plane + row * pixel_winograd_slots_most + slot] = -INFINITY;
}

/* Where a block's units fill no whole vectors, pixel_winograd_output() reads lanes behind the products of its last
 * tiles. What comes of them goes nowhere, but they must hold numbers that raise no exception. */
static void pixel_winograd_clear_behind(const pixel_winograd_plan *p, const pixel_winograd_block *b, float *m) {
    for (size_t position = 0; position < p->positions; position++)
        for (size_t row = 0; row < p->chunk; row++)
            vec_store(m + position * pixel_winograd_m_plane + row * pixel_winograd_slots_most + b->slots, vec_zero());
}

/* ---- Output ---- */

/* Row i of the convolution outputs of a vector of tiles from their products m[position][slot]. Down first, then
 * across. The rows are asked for in ascending order; `middle` keeps what the first and the last of F(3, 2) share. */
VEC_INLINE void pixel_winograd_inverse(size_t tile, size_t i, const float *m, vec middle[4], vec y[3]) {
    vec z[4];
    VEC_UNROLL
    for (size_t j = 0; j <= tile; j++) {
        const float *column = m + j * pixel_winograd_m_plane;
        size_t down = (tile + 1) * pixel_winograd_m_plane;
        if (tile == 2) {
            z[j] = vec_add(vec_load(column + i * down), vec_load(column + (i + 1) * down));
        } else if (i == 0) {
            middle[j] = vec_add(vec_load(column + down), vec_load(column + 2 * down));
            z[j] = vec_add(vec_load(column), middle[j]);
        } else if (i == 1) {
            z[j] = vec_sub(vec_load(column + down), vec_load(column + 2 * down));
        } else {
            z[j] = vec_add(middle[j], vec_load(column + 3 * down));
        }
    }
    if (tile == 2) {
        y[0] = vec_add(z[0], z[1]);
        y[1] = vec_add(z[1], z[2]);
    } else {
        vec both = vec_add(z[1], z[2]);
        y[0] = vec_add(z[0], both);
        y[1] = vec_sub(z[1], z[2]);
        y[2] = vec_add(both, z[3]);
    }
}

VEC_INLINE vec pixel_winograd_finish(vec sum, vec bias, bool relu) {
    vec y = vec_add(sum, bias);
    return relu ? vec_relu(y) : y;
}

static void pixel_winograd_copy(float *to, const float *from, size_t count) {
    if (count < vec_lanes) {
        vec_store_part(to, vec_load_part(from, count), count);
        return;
    }
    for (size_t i = 0; i < count; i += vec_lanes) {
        size_t at = packed_min(i, count - vec_lanes); /* the last vector overlaps the one before */
        vec_store(to + at, vec_load(from + at));
    }
}

/* Copies the pixels of a block in a chunk of output channels, [channel][row of a unit][pixel], to their places. */
static void pixel_winograd_place(const convpool_shape *s, const pixel_winograd_plan *p, const pixel_winograd_block *b,
                                 const float *pixels, float *output, size_t channels) {
    for (const pixel_winograd_run *run = b->runs; run < b->runs + b->run_count; run++) {
        const float *from = pixels + p->pixels * run->unit;
        float *to = output + run->to;
        for (size_t k = channels; k > 0;
             k--, from += 3 * pixel_winograd_pixels_most, to += s->out_height * s->out_width)
            for (size_t i = run->first_row; i < run->end_row; i++)
                pixel_winograd_copy(to + i * s->out_width, from + i * pixel_winograd_pixels_most, run->count);
    }
}

/* The outputs of a block in one output channel, whose plane they are in, from its products m. */
VEC_INLINE void pixel_winograd_output(size_t tile, bool pool, const convpool_shape *s, const pixel_winograd_block *b,
                                      const float *m, const float *bias, float *pixels, float *output) {
    static const size_t side_by_side[16] = {0, 0, 0, 0, 12, 0, 0, 0, 24, 0, 0, 0, 36};
    size_t units = b->units, out_width = s->out_width;
    bool relu = s->relu, in_place = b->in_place;
    vec c = vec_splat(bias);
    for (size_t i = 0; i < units; i += vec_lanes) {
        if (tile == 2 && pool) {
            vec upper[3], lower[3];
            pixel_winograd_inverse(2, 0, m + i, NULL, upper);
            pixel_winograd_inverse(2, 1, m + i, NULL, lower);
            vec largest = vec_max(vec_max(upper[0], upper[1]), vec_max(lower[0], lower[1]));
            /* Units are pixels, so all a block's are side by side. */
            pixel_direct_store(output + b->to[0] + i, pixel_winograd_finish(largest, c, relu), units - i >= vec_lanes,
                               units - i);
        } else if (tile == 2) {
            VEC_UNROLL
            for (size_t row = 0; row < 2; row++) {
                vec y[3];
                pixel_winograd_inverse(2, row, m + i, NULL, y);
                vec_store_2(pixels + row * pixel_winograd_pixels_most + 2 * i, pixel_winograd_finish(y[0], c, relu),
                            pixel_winograd_finish(y[1], c, relu));
            }
        } else {
            /* Where a row of pixels goes, by the first units of quads. */
            float *to = in_place ? output : pixels + 3 * i;
            const size_t *offset = in_place ? b->to + i : side_by_side;
            size_t next = in_place ? out_width : pixel_winograd_pixels_most;
            vec left_middle[4], right_middle[4], largest[3];
            VEC_UNROLL
            for (size_t row = 0; row < 6; row++) {
                if (row >= 3 && (!pool || b->tiles < 4)) break; /* there are no lower tiles */
                const float *from = m + (row < 3 ? 0 : 2 * units) + i;
                vec left[3], right[3], y[3];
                pixel_winograd_inverse(3, row % 3, from, left_middle, left);
                if (pool) { /* two tiles' outputs, pooled across, and every second row down as well */
                    pixel_winograd_inverse(3, row % 3, from + units, right_middle, right);
                    y[0] = vec_max(left[0], left[1]);
                    y[1] = vec_max(left[2], right[0]);
                    y[2] = vec_max(right[1], right[2]);
                }
                VEC_UNROLL
                for (size_t j = 0; j < 3; j++)
                    largest[j] = !pool ? left[j] : row % 2 == 0 ? y[j] : vec_max(largest[j], y[j]);
                if (!pool || row % 2 == 1) {
                    vec_store_3(to, offset, pixel_winograd_finish(largest[0], c, relu),
                                pixel_winograd_finish(largest[1], c, relu), pixel_winograd_finish(largest[2], c, relu));
                    to += next;
                }
            }
        }
    }
}

typedef void pixel_winograd_output_function(const convpool_shape *s, const pixel_winograd_block *b, const float *m,
                                            const float *bias, float *pixels, float *output);
#define PIXEL_WINOGRAD_OUTPUT(tile, pool) \
    static void pixel_winograd_output_##tile##_##pool(const convpool_shape *s, const pixel_winograd_block *b, \
                                                      const float *m, const float *bias, float *pixels, \
                                                      float *output) { \
        pixel_winograd_output(tile, pool, s, b, m, bias, pixels, output); \
    }
PIXEL_WINOGRAD_OUTPUT(2, 0)
PIXEL_WINOGRAD_OUTPUT(2, 1)
PIXEL_WINOGRAD_OUTPUT(3, 0)
PIXEL_WINOGRAD_OUTPUT(3, 1)

/* ---- Windows whose products are turned into pooled outputs while they are in registers, a column of positions at a
 * time: for sums so short that products could not be kept as quickly as they come ---- */

typedef struct pixel_winograd_fusion {
    const float *u, *v, *bias;
    float *output; /* of the first window, in the first output channel */
    size_t count, blocks, channels;
    size_t pitch, out_plane; /* floats from one position's transformed inputs to the next's, and between channels */
    bool copied, relu;
} pixel_winograd_fusion;

/* `rows` output channels of `vecs` vectors of windows. */
VEC_INLINE void pixel_winograd_fuse_block(size_t rows, size_t vecs, bool copied, const pixel_winograd_fusion *a,
                                          const float *u, const float *inputs, const float *bias, float *output,
                                          size_t count) {
    const size_t copies = copied ? vec_lanes : 1;
    vec z[2][pixel_winograd_fused_rows][pixel_winograd_fused_vecs],
        largest[pixel_winograd_fused_rows][pixel_winograd_fused_vecs];
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++) {
        vec sum[3][pixel_winograd_fused_rows][pixel_winograd_fused_vecs];
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++) {
            VEC_UNROLL
            for (size_t row = 0; row < rows; row++) {
                VEC_UNROLL
                for (size_t n = 0; n < vecs; n++)
                    sum[i][row][n] = vec_zero();
            }
        }
        size_t down = 3 * a->pitch;
        const float *v = inputs + j * a->pitch;
        for (size_t c = a->channels; c > 0; c--, u += 3 * rows * copies, v += 3 * down) {
            VEC_UNROLL
            for (size_t i = 0; i < 3; i++) {
                vec weight[pixel_winograd_fused_rows];
                VEC_UNROLL
                for (size_t row = 0; row < rows; row++)
                    weight[row] = pixel_winograd_weight(copied, rows == 4, u + i * rows * copies, row);
                VEC_UNROLL
                for (size_t n = 0; n < vecs; n++) {
                    vec input = vec_load_aligned(v + i * down + n * vec_lanes);
                    VEC_LOAD_ONCE(input);
                    VEC_UNROLL
                    for (size_t row = 0; row < rows; row++)
                        sum[i][row][n] = vec_mul_add(input, weight[row], sum[i][row][n]);
                }
            }
        }
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++) {
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++) {
                vec upper = vec_add(sum[0][row][n], sum[1][row][n]), lower = vec_add(sum[1][row][n], sum[2][row][n]);
                if (j > 0) {
                    vec y = vec_max(vec_add(z[0][row][n], upper), vec_add(z[1][row][n], lower));
                    largest[row][n] = j == 1 ? y : vec_max(largest[row][n], y);
                }
                z[0][row][n] = upper;
                z[1][row][n] = lower;
            }
        }
    }
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++, output += a->out_plane) {
        vec b = vec_splat(bias + row);
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            if (n * vec_lanes < count)
                pixel_direct_store(output + n * vec_lanes, pixel_winograd_finish(largest[row][n], b, a->relu),
                                   count - n * vec_lanes >= vec_lanes, count - n * vec_lanes);
    }
}

VEC_INLINE void pixel_winograd_fuse(size_t rows, bool copied, const pixel_winograd_fusion *a) {
    const size_t copies = copied ? vec_lanes : 1;
    const float *u = a->u, *bias = a->bias;
    float *output = a->output;
    for (size_t blocks = a->blocks; blocks > 0;
         blocks--, u += 9 * a->channels * rows * copies, bias += rows, output += rows * a->out_plane) {
        size_t i = 0;
        for (; i + vec_lanes < a->count; i += pixel_winograd_fused_vecs * vec_lanes)
            pixel_winograd_fuse_block(rows, pixel_winograd_fused_vecs, copied, a, u, a->v + i, bias, output + i,
                                      a->count - i);
        if (i < a->count) pixel_winograd_fuse_block(rows, 1, copied, a, u, a->v + i, bias, output + i, a->count - i);
    }
}

typedef void pixel_winograd_fuse_function(const pixel_winograd_fusion *a);
#define PIXEL_WINOGRAD_FUSE(rows) \
    static void pixel_winograd_fuse_##rows(const pixel_winograd_fusion *a) { \
        if (VEC_WEIGHT_COPIES > 1 && a->copied) \
            pixel_winograd_fuse(rows, true, a); \
        else \
            pixel_winograd_fuse(rows, false, a); \
    }
PIXEL_WINOGRAD_FUSE(1)
#if VEC_REGISTERS >= 16
PIXEL_WINOGRAD_FUSE(2)
#endif
#if VEC_REGISTERS >= 32
PIXEL_WINOGRAD_FUSE(3)
PIXEL_WINOGRAD_FUSE(4)
#endif
static pixel_winograd_fuse_function *const pixel_winograd_fuses[pixel_winograd_fused_rows] = {
    pixel_winograd_fuse_1,
#if VEC_REGISTERS >= 16
    pixel_winograd_fuse_2,
#endif
#if VEC_REGISTERS >= 32
    pixel_winograd_fuse_3,
    pixel_winograd_fuse_4,
#endif
};

/* The outputs of a block in a chunk of output channels. */
static void pixel_winograd_fuse_chunk(const convpool_shape *s, const pixel_winograd_plan *p,
                                      const pixel_winograd_block *b, const float *v, const float *weights,
                                      const float *bias, size_t rows, float *output) {
    pixel_winograd_split split = pixel_winograd_split_rows(p, rows);
    size_t out_plane = s->out_height * s->out_width, done = split.blocks * split.rows;
    pixel_winograd_fusion a = {
        .u = weights,
        .v = v,
        .bias = bias,
        .output = output + b->to[0],
        .count = b->units,
        .blocks = split.blocks,
        .channels = s->channels,
        .pitch = p->pitch.plane,
        .out_plane = out_plane,
        .copied = p->copies > 1,
        .relu = s->relu,
    };
    pixel_winograd_fuses[split.rows - 1](&a);
    if (split.left > 0) {
        a.u += p->copies * 9 * s->channels * done;
        a.bias += done;
        a.output += done * out_plane;
        a.blocks = 1;
        pixel_winograd_fuses[split.left - 1](&a);
    }
    for (size_t i = 0; b->direct && i < b->units; i++)
        for (size_t row = 0; row < rows && b->rows[i] == 0; row++)
            output[row * out_plane + b->to[0] + i] = s->relu ? 0 : -INFINITY;
}

/* ---- A row of tiles computed directly: its outputs are -infinity, or ReLU of it, until then ---- */

static void pixel_winograd_direct_row(const convpool_shape *s, const pixel_winograd_plan *p, const float *packed,
                                      const float *input, float *output, float *scratch, size_t tile_row,
                                      size_t first_row, size_t end_row) {
    static const float no_bias[pixel_direct_rows];
    convpool_shape u = packed_unpooled(s);
    size_t most = pixel_direct_tile_pixels(&u), stride = s->pool ? 2 : 1;
    float *sums = scratch,
          *planes = scratch + packed_round_up(pixel_direct_rows * most, CONVPOOL_ALIGNMENT / sizeof(float));
    const float *weights = packed + packed_bias(s, pixel_direct_packed);
    size_t last = packed_min((tile_row + 1) * p->tile, p->conv_height);
    for (size_t row = tile_row * p->tile; row < last; row++) {
        if (row / stride < first_row || row / stride >= end_row) continue;
        for (size_t column = 0, count; column < p->conv_width; column += count) {
            count = packed_min(most, p->conv_width - column);
            pixel_direct_gather(&u, false, NULL, input, row * u.out_width + column, count, planes,
                                (pixel_direct_pitch){most, pixel_direct_plane_count(false) * most});
            pixel_direct_tile t = {.planes = planes,
                                   .output = sums,
                                   .channels = s->channels,
                                   .pitch = most,
                                   .count = count,
                                   .out_plane = most};
            for (size_t o = 0, rows; o < s->out_channels; o += rows) {
                rows = packed_min(pixel_direct_rows, s->out_channels - o);
                pixel_direct_blocks[rows - 1](&t, weights + o * s->channels * 4, no_bias, sums);
                for (size_t k = 0; k < rows; k++) {
                    const float *from = sums + k * most;
                    float *to = output + ((o + k) * s->out_height + row / stride) * s->out_width + column / stride;
                    for (size_t i = 0, n; i < count / stride; i += vec_lanes) {
                        n = packed_min(vec_lanes, count / stride - i);
                        vec a, b, old = vec_load_part(to + i, n), bias = vec_splat(packed + o + k);
                        if (s->pool)
                            a = vec_load_even_odd_part(from + 2 * i, n, &b);
                        else
                            a = b = vec_load_part(from + i, n);
                        vec y = pixel_winograd_finish(vec_max4(a, a, b, b), bias, s->relu);
                        vec_store_part(to + i, vec_max4(old, old, y, y), n);
                    }
                }
            }
        }
    }
}

/* ---- The whole ---- */

/* Adds the slots of a row of tiles of some units, from column x of the convolution on: row is that of its first
 * convolution output. */
static void pixel_winograd_add_slots(const convpool_shape *s, const pixel_winograd_plan *p, pixel_winograd_block *b,
                                     size_t slot, size_t units, size_t row, size_t x, bool direct) {
    size_t rows = row < p->conv_height && !direct ? packed_min(p->tile, p->conv_height - row) + 1 : 0;
    size_t last = s->pool ? 2 * (s->out_width - packed_min(p->pixels, s->out_width))
                          : s->out_width - packed_min(p->pixels, s->out_width);
    size_t step = p->tile * p->across;
    for (size_t j = 0; j < p->across; j++, slot += b->units)
        for (size_t unit = 0; unit < units; unit++) {
            size_t column = packed_min(x + unit * step, last) + j * p->tile;
            size_t columns = column + p->tile <= p->conv_width ? p->side
                             : column < p->conv_width          ? p->conv_width - column + 1
                                                               : 0;
            /* Four columns of the last row end within the input. */
            bool whole = rows == p->side && columns == p->side && (p->side == 4 || !b->careful) &&
                         (row + p->side < s->height || column + 4 <= s->width);
            b->from[slot + unit] = rows == 0 || columns == 0 ? 0 : row * s->width + column;
            b->rows[slot + unit] = (unsigned char)(whole ? pixel_winograd_whole : rows);
            b->columns[slot + unit] = (unsigned char)(whole ? pixel_winograd_whole : columns);
        }
}

/* Adds a run of pixels: `count` of them from column on, of units from `unit` on. */
static void pixel_winograd_add_run(const convpool_shape *s, const pixel_winograd_plan *p, pixel_winograd_block *b,
                                   size_t unit, size_t row, size_t column, size_t count, size_t first_row,
                                   size_t end_row) {
    pixel_winograd_run *run = &b->runs[b->run_count++];
    run->unit = unit;
    run->count = count;
    run->first_row = row < first_row ? first_row - row : 0;
    run->end_row = packed_min(p->pixels, end_row - row);
    run->to = row * s->out_width + column;
    b->in_place = p->pixels == 1
                      ? true
                      : b->in_place && p->pixels == 3 && run->end_row - run->first_row == p->pixels &&
                            unit % pixel_winograd_quad == 0 && count % (p->pixels * pixel_winograd_quad) == 0;
}

/* Adds the pixels of some units of one row: row and column are those of the first. The last unit of a row may have been
 * moved left, and is then a run of its own. */
static void pixel_winograd_add_pixels(const convpool_shape *s, const pixel_winograd_plan *p, pixel_winograd_block *b,
                                      size_t unit, size_t units, size_t row, size_t column, size_t first_row,
                                      size_t end_row) {
    for (size_t i = 0; i < units; i++)
        b->to[unit + i] = row * s->out_width + column + p->pixels * i;
    size_t left = s->out_width - column;
    bool moved = left < p->pixels * units && s->out_width >= p->pixels;
    size_t count = packed_min(left, p->pixels * (units - moved));
    if (count > 0) pixel_winograd_add_run(s, p, b, unit, row, column, count, first_row, end_row);
    if (moved) {
        size_t moved_to = s->out_width - p->pixels;
        b->to[unit + units - 1] = row * s->out_width + moved_to;
        pixel_winograd_add_run(s, p, b, unit + units - 1, row, moved_to, p->pixels, first_row, end_row);
    }
}

VEC_INLINE void pixel_winograd_run_layer(const convpool_job *job, size_t tile) {
    const convpool_shape *s = job->shape;
    const void *packed = job->packed;
    const float *input = job->input;
    float *output = job->output;
    void *scratch = job->scratch;
    size_t first_row = job->first_row, row_count = job->row_count;
    const float *header = packed, limit = *header, *direct_packed = header + packed_limit;
    const float *weights = direct_packed + pixel_winograd_packed_direct(s);
    if (limit == 0) {
        pixel_direct_run(&(convpool_job){s, direct_packed, input, output, scratch, first_row, row_count});
        return;
    }
    pixel_winograd_plan p = pixel_winograd_make_plan(s, tile);
    uintptr_t misaligned = (uintptr_t)scratch % CONVPOOL_ALIGNMENT;
    float *v = (float *)((char *)scratch + (misaligned ? CONVPOOL_ALIGNMENT - misaligned : 0));
    float *m = v + pixel_winograd_v_floats(s, &p), *pixels = m + p.positions * pixel_winograd_m_plane;
    size_t stride = s->pool ? 2 : 1, out_plane = s->out_height * s->out_width, end_row = first_row + row_count;
    size_t seen_rows = first_row / p.pixels, end = (end_row + p.pixels - 1) / p.pixels * p.unit_columns;
    /* The last units' lower tiles may lie below the image: then such units make blocks of their own. */
    size_t last_row = (p.unit_rows - 1) * p.unit_columns;
    bool last_differs = p.across > 1 && (p.unit_rows - 1) * 2 * tile + tile >= p.conv_height;
    size_t filled = 0; /* slots of m that hold numbers: products, or zeros */
    bool suspect = false;
    unsigned large = 0;
    pixel_winograd_block b = {.direct = false};
    size_t start = seen_rows * p.unit_columns;
    for (size_t first = start; first < end; first += b.units) {
        b.units = packed_min(p.units, end - first);
        b.tiles = p.across * p.across;
        if (last_differs && first < last_row)
            b.units = packed_min(b.units, last_row - first);
        else if (last_differs)
            b.tiles = 2;
        b.slots = packed_round_up(b.tiles * b.units, vec_lanes);
        b.run_count = 0;
        b.in_place = p.pixels == 1 || b.units % vec_lanes == 0;
        size_t first_unit_row = first / p.unit_columns, row = first_unit_row, column = first % p.unit_columns;
        size_t new_rows = (first + b.units - 1) / p.unit_columns + 1;
        b.careful = suspect && column > 0; /* for the row that the block before began */
        if (new_rows > seen_rows) suspect = pixel_winograd_may_be_large(s, &p, input, limit, seen_rows, new_rows);
        if (suspect && first == start &&
            pixel_winograd_all_large(s, &p, input, limit, seen_rows, end / p.unit_columns)) {
            pixel_direct_run(&(convpool_job){s, direct_packed, input, output, scratch, first_row, row_count});
            return;
        }
        b.careful |= suspect;
        bool by_pixel = p.by_pixel && !b.careful;
        for (size_t unit = 0, units; unit < b.units; unit += units) { /* row by row */
            units = packed_min(b.units - unit, p.unit_columns - column);
            if (row >= seen_rows) {
                large = suspect ? pixel_winograd_large_rows(s, &p, input, limit, row) : 0;
                b.direct |= large != 0;
                seen_rows = row + 1;
            }
            if (by_pixel)
                memset(b.rows + unit, pixel_winograd_whole, units);
            else
                pixel_winograd_add_pixels(s, &p, &b, unit, units, p.pixels * row, p.pixels * column, first_row,
                                          end_row);
            for (size_t i = 0; !by_pixel && i * p.across < b.tiles; i++)
                pixel_winograd_add_slots(s, &p, &b, unit + i * p.across * b.units, units,
                                         stride * p.pixels * row + i * tile, stride * p.pixels * column,
                                         large >> i & 1);
            column += units;
            if (column == p.unit_columns) {
                column = 0;
                row++;
            }
        }
        if (by_pixel) b.to[0] = first;
        for (size_t slot = b.tiles * b.units; !by_pixel && slot < b.slots; slot++) { /* whatever does no harm */
            b.from[slot] = b.from[0];
            b.rows[slot] = b.rows[0];
            b.columns[slot] = b.columns[0];
        }
        if (by_pixel)
            pixel_winograd_transform_pixels(s, &p, first, b.units, input, v);
        else if (tile == 2)
            pixel_winograd_transform_block_2(s, &p, &b, input, v);
        else
            pixel_winograd_transform_block_3(s, &p, &b, input, v);
        if (tile == 3 && s->pool && b.units % vec_lanes != 0 && b.slots + vec_lanes > filled) {
            pixel_winograd_clear_behind(&p, &b, m);
            filled = b.slots + vec_lanes;
        }
        if (b.slots > filled) filled = b.slots;
        pixel_winograd_output_function *out = tile == 2
                                                  ? s->pool ? pixel_winograd_output_2_1 : pixel_winograd_output_2_0
                                              : s->pool ? pixel_winograd_output_3_1
                                                        : pixel_winograd_output_3_0;
        const float *u = weights;
        for (size_t o = 0, rows; o < s->out_channels; o += rows, u += p.copies * p.positions * s->channels * rows) {
            rows = packed_min(p.chunk, s->out_channels - o);
            if (p.fused) {
                pixel_winograd_fuse_chunk(s, &p, &b, v, u, direct_packed + o, rows, output + o * out_plane);
                continue;
            }
            pixel_winograd_products(s, &p, v, b.slots, u, rows, m);
            if (b.direct) pixel_winograd_forbid(&p, &b, rows, m);
            for (size_t k = 0; k < rows; k++)
                out(s, &b, m + k * pixel_winograd_slots_most, direct_packed + o + k,
                    pixels + k * 3 * pixel_winograd_pixels_most, output + (o + k) * out_plane);
            /* All at once: what has just been stored cannot be loaded quickly. */
            if (!b.in_place) pixel_winograd_place(s, &p, &b, pixels, output + o * out_plane, rows);
        }
        if (b.direct) filled = 0; /* pixel_winograd_direct_row() uses the same scratch */
        for (size_t done = first_unit_row; b.direct && done < row; done++) { /* rows of units that end in this block */
            unsigned bits = pixel_winograd_large_rows(s, &p, input, limit, done);
            for (size_t i = 0; i < p.across; i++)
                if (bits >> i & 1)
                    pixel_winograd_direct_row(s, &p, direct_packed, input, output, v, done * p.across + i, first_row,
                                              end_row);
        }
    }
    vec_end();
}

#endif

#endif
