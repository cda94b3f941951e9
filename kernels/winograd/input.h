/* SPDX-License-Identifier: MIT */
/* The transform of a block's inputs. */
#ifndef CONVPOOL_WINOGRAD_INPUT_H
#define CONVPOOL_WINOGRAD_INPUT_H

#include "tiles.h"

/* A vector of tiles in one channel. */
typedef struct winograd_tiles {
    const float *from;
    const size_t *offset; /* of each tile */
    size_t row_stride;
    size_t rows; /* that count, the others being 0 */
} winograd_tiles;

/* Their transformed inputs: to[position * stride]. Down first, then across. `all` rows may be known to count. Four
 * columns of a tile are loaded at a time; where only three count they are told apart before anything is computed of
 * them, for what the fourth has might raise an exception. */
VEC_INLINE void winograd_transform(size_t side, bool all, winograd_tiles t, float *to, size_t stride) {
    vec d[4][4], column[4], row[4];
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++) {
        const float *from = vec_lanes == 1 ? t.from + *t.offset + k : t.from;
        VEC_UNROLL
        for (size_t i = 0; i < side; i++, from += t.row_stride)
            d[i][k] = !all && i >= t.rows ? vec_zero()
                      : vec_lanes == 1    ? vec_load(from)
                                          : vec_load_quads(from, t.offset + k);
        if (side == 3) continue;
        winograd_forward(side, (vec[]){d[0][k], d[1][k], d[2][k], d[3][k]}, column);
        VEC_UNROLL
        for (size_t i = 0; i < side; i++)
            d[i][k] = column[i];
    }
    if (side == 3) {
        vec_transpose_quads(d[0]);
        vec_transpose_quads(d[1]);
        vec_transpose_quads(d[2]);
        VEC_UNROLL
        for (size_t j = 0; j < 3; j++) {
            winograd_forward(side, (vec[]){d[0][j], d[1][j], d[2][j]}, column);
            VEC_UNROLL
            for (size_t i = 0; i < 3; i++)
                d[i][j] = column[i];
        }
    }
    VEC_UNROLL
    for (size_t i = 0; i < side; i++, to += side * stride) {
        if (side == 4) vec_transpose_quads(d[i]);
        winograd_forward(side, d[i], row);
        VEC_UNROLL
        for (size_t j = 0; j < side; j++)
            vec_store(to + j * stride, row[j]);
        VEC_FORGET(to); /* else GCC keeps all the addresses, on the stack */
    }
}

/* Copies the inputs that count of a vector of tiles to patches[slot][row][column], and zeros for the others. */
static void winograd_copy_patches(size_t side, const winograd_block *b, size_t slot, const float *input,
                                  size_t row_stride, float *patches) {
    memset(patches, 0, 16 * vec_lanes * sizeof(float));
    for (size_t end = slot + vec_lanes; slot < end; slot++, patches += 16) {
        const float *x = input + b->from[slot];
        size_t columns = b->columns[slot];
        bool at_end = b->at_end[slot];
        for (size_t i = 0; i < b->rows[slot]; i++)
            if (columns == winograd_whole && !at_end)
                memcpy(patches + 4 * i, x + i * row_stride, 4 * sizeof(float));
            else
                for (size_t j = 0; j < columns && j < side; j++)
                    patches[4 * i + j] = x[i * row_stride + j];
    }
}

/* Tiles some of whose rows do not count or, where t.rows is 0, of which each has its own that do. As functions of their
 * own, for the sake of the registers of what calls them. */
VEC_INLINE void winograd_transform_rest(size_t side, const winograd_block *b, size_t slot, winograd_tiles t, float *to,
                                        size_t stride) {
    float patches[16 * vec_lanes];
    size_t patch_offset[vec_lanes];
    if (t.rows > 0) {
        winograd_transform(side, false, t, to, stride);
        return;
    }
    for (size_t i = 0; i < vec_lanes; i++)
        patch_offset[i] = 16 * i;
    winograd_copy_patches(side, b, slot, t.from, t.row_stride, patches);
    winograd_transform(side, true, (winograd_tiles){patches, patch_offset, 4, side}, to, stride);
}
#define WINOGRAD_TRANSFORM_REST(side) \
    static __attribute__((noinline)) void winograd_transform_rest_##side(const winograd_block *b, size_t slot, \
                                                                         winograd_tiles t, float *to, size_t stride) { \
        winograd_transform_rest(side, b, slot, t, to, stride); \
    }
WINOGRAD_TRANSFORM_REST(3)
WINOGRAD_TRANSFORM_REST(4)

VEC_INLINE void winograd_transform_block(const convpool_shape *s, const winograd_plan *p, size_t side,
                                         const winograd_block *b, float *v) {
    size_t to[winograd_slots / vec_lanes];   /* where a vector of tiles goes */
    size_t rows[winograd_slots / vec_lanes]; /* of all of a vector's tiles; 0 where they differ, or miss a column */
    bool at_end[winograd_slots / vec_lanes]; /* for the last channel */
    for (size_t slot = 0; slot < b->slots; slot += vec_lanes) {
        to[slot / vec_lanes] = slot / p->v_slots * p->v_block + slot % p->v_slots;
        rows[slot / vec_lanes] = b->rows[slot];
        at_end[slot / vec_lanes] = false;
        for (size_t i = slot; i < slot + vec_lanes; i++) {
            if (b->rows[i] != b->rows[slot] || b->columns[i] != winograd_whole) rows[slot / vec_lanes] = 0;
            at_end[slot / vec_lanes] |= b->at_end[i];
        }
    }
    size_t width = s->width, in_plane = s->height * width, slots = b->slots, stride = p->v_position;
    const float *input = b->image;
    for (size_t c = s->channels; c > 0; c--, input += in_plane, v += p->v_channel)
        for (size_t slot = 0; slot < slots; slot += vec_lanes) {
            winograd_tiles t = {input, b->from + slot, width, rows[slot / vec_lanes]};
            if (c == 1 && at_end[slot / vec_lanes]) t.rows = 0;
            if (t.rows == side)
                winograd_transform(side, true, t, v + to[slot / vec_lanes], stride);
            else
                (side == 3 ? winograd_transform_rest_3 : winograd_transform_rest_4)(b, slot, t,
                                                                                    v + to[slot / vec_lanes], stride);
        }
}

/* A tile of an image whose channels lie side by side, under one part of the filter. */
typedef struct winograd_pixels {
    const float *image, *zeros;  /* what its inputs are read from, and those that do not count, of all channels */
    size_t from;                 /* its first input there; below 0 it wraps, but then that does not count */
    size_t above, before;        /* from which of its rows and columns on they count, */
    size_t rows, columns;        /* and up to which */
    size_t channels, row_stride; /* floats from one row to the next */
    float *to;                   /* its transformed inputs, at the first position, */
    size_t position;             /* and floats to the next */
    size_t term, last_term;      /* where they lie there, and in the last column of positions */
} winograd_pixels;

/* Its transformed inputs, with lanes that are input channels: of the first `tall` rows and `wide` columns of positions.
 * It may have `all` its inputs. */
VEC_INLINE void winograd_transform_pixel(size_t side, size_t tall, size_t wide, bool all, const winograd_pixels *p) {
    const float *x[4][4];
    VEC_UNROLL
    for (size_t i = 0; i < tall; i++) {
        VEC_UNROLL
        for (size_t j = 0; j < wide; j++) {
            bool counts = all || (i >= p->above && i < p->rows && j >= p->before && j < p->columns);
            x[i][j] = counts ? p->image + (p->from + i * p->row_stride + j * p->channels) : p->zeros;
        }
    }
    for (size_t c = 0; c < p->channels; c += vec_lanes) {
        size_t part = size_min(p->channels - c, vec_lanes);
        vec d[4][4], column[4], row[4];
        VEC_UNROLL
        for (size_t j = 0; j < wide; j++) {
            VEC_UNROLL
            for (size_t i = 0; i < side; i++) {
                column[i] = i >= tall          ? vec_zero()
                            : part < vec_lanes ? vec_load_part(x[i][j] + c, part)
                                               : vec_load(x[i][j] + c);
            }
            winograd_forward(side, column, row);
            VEC_UNROLL
            for (size_t i = 0; i < tall; i++)
                d[i][j] = row[i];
        }
        float *at = p->to + c;
        VEC_UNROLL
        for (size_t i = 0; i < tall; i++, at += side * p->position) {
            if (wide < side) d[i][3] = vec_zero();
            winograd_forward(side, d[i], row);
            VEC_UNROLL
            for (size_t j = 0; j < wide; j++)
                vec_store(at + j * p->position + (j < 3 ? p->term : p->last_term), row[j]);
            VEC_FORGET(at);
        }
    }
}

/* A part of the filter: where it stands, in parts, and how many inputs its tiles have across. Constants after inlining.
 */
typedef struct winograd_part {
    size_t side, down, across;
} winograd_part;

/* The same of a block of tiles, to v[position][slot][part][channel]. */
VEC_INLINE void winograd_transform_pixels(const convpool_shape *s, const winograd_plan *p, winograd_part part,
                                          const winograd_block *b, float *v) {
    size_t down = part.down * p->of.filter, across = part.across * p->of.filter;
    size_t tall = part.down > 0 ? 3 : part.side, wide = part.across > 0 ? 3 : part.side; /* positions of the part */
    winograd_pixels of = {.image = b->image,
                          .zeros = b->zeros,
                          .channels = s->channels,
                          .row_stride = (p->in_place ? s->width : s->padded_width) * s->channels,
                          .to = v,
                          .position = p->v_position,
                          .term = (part.down * p->parts + part.across) * s->channels,
                          .last_term = part.down * s->channels};
    for (size_t slot = 0; slot < b->slots; slot++, of.to += p->v_row) {
        of.from = (b->from[slot] + across) * s->channels + down * of.row_stride;
        of.above = b->above[slot] - size_min(b->above[slot], down);
        of.before = b->before[slot] - size_min(b->before[slot], across);
        of.rows = b->rows[slot] - size_min(b->rows[slot], down);
        of.columns = b->columns[slot] - size_min(b->columns[slot], across);
        if (of.above == 0 && of.before == 0 && of.rows >= tall && of.columns >= wide)
            winograd_transform_pixel(part.side, tall, wide, true, &of);
        else
            winograd_transform_pixel(part.side, tall, wide, false, &of);
    }
}

/* As functions of their own, for the sake of their registers. */
#define WINOGRAD_TRANSFORM(name, what, of) \
    static __attribute__((noinline)) void winograd_transform_##name(const convpool_shape *s, const winograd_plan *p, \
                                                                    const winograd_block *b, float *v) { \
        winograd_transform_##what(s, p, of, b, v); \
    }
#define WINOGRAD_PART(side, down, across) ((winograd_part){side, down, across})
WINOGRAD_TRANSFORM(block_3, block, 3)
WINOGRAD_TRANSFORM(block_4, block, 4)
WINOGRAD_TRANSFORM(pixels_3, pixels, WINOGRAD_PART(3, 0, 0))
WINOGRAD_TRANSFORM(pixels_4, pixels, WINOGRAD_PART(4, 0, 0))
WINOGRAD_TRANSFORM(pixels_4_right, pixels, WINOGRAD_PART(4, 0, 1))
WINOGRAD_TRANSFORM(pixels_4_below, pixels, WINOGRAD_PART(4, 1, 0))
WINOGRAD_TRANSFORM(pixels_4_both, pixels, WINOGRAD_PART(4, 1, 1))

/* A block's transformed inputs. */
static void winograd_transform_inputs(const convpool_shape *s, const winograd_plan *p, const winograd_block *b,
                                      float *v) {
    if (winograd_from_pixels(p))
        (p->side == 4 ? winograd_transform_pixels_4 : winograd_transform_pixels_3)(s, p, b, v);
    else
        (p->side == 4 ? winograd_transform_block_4 : winograd_transform_block_3)(s, p, b, v);
    if (p->parts == 1) return;
    winograd_transform_pixels_4_right(s, p, b, v);
    winograd_transform_pixels_4_below(s, p, b, v);
    winograd_transform_pixels_4_both(s, p, b, v);
}

#endif
