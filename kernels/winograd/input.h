/* SPDX-License-Identifier: MIT */
/* Blocks of tiles, and the transform of their inputs. */
#ifndef CONVPOOL_WINOGRAD_INPUT_H
#define CONVPOOL_WINOGRAD_INPUT_H

#include "plan.h"
#include "scheme.h"

#include <string.h>

/* Pixels of a block that lie side by side in each row of its units, from one of its units on. */
typedef struct winograd_run {
    size_t unit, count; /* from where; how many pixels */
    size_t row, column; /* where its first pixel goes */
} winograd_run;

/* Some units, and their tiles' slots: those of a unit side by side, the upper ones first. */
typedef struct winograd_block {
    size_t units, slots;
    struct {
        size_t slot, rows; /* of its first tile; rows of pixels that it has in the image */
    } unit[winograd_slots];
    size_t from[winograd_slots];           /* the tile's first input in its channel */
    unsigned char rows[winograd_slots];    /* how many of its inputs count, down */
    unsigned char columns[winograd_slots]; /* and across; 4 where so many can be loaded of each of these rows */
    winograd_run runs[winograd_slots];
    size_t run_count;
} winograd_block;

/* ---- Which tiles ---- */

static void winograd_add_tile(const convpool_shape *s, const winograd_plan *p, winograd_block *b, size_t row,
                              size_t column) {
    size_t slot = b->slots++;
    size_t rows = packed_min(p->tile, p->conv_height - row) + 1;
    size_t columns = column < p->conv_width ? packed_min(p->tile, p->conv_width - column) + 1 : 0;
    if (columns == p->side && (row + rows < s->height || column + 4 <= s->width)) columns = 4;
    b->from[slot] = columns == 0 ? 0 : row * s->width + column;
    b->rows[slot] = (unsigned char)rows;
    b->columns[slot] = (unsigned char)columns;
}

/* Adds the pixels of the last unit: to the run before, if they continue it. */
static void winograd_add_pixels(winograd_block *b, size_t row, size_t column, size_t count) {
    winograd_run *last = b->runs + b->run_count; /* one behind it */
    if (b->run_count > 0 && last[-1].row == row && last[-1].column + last[-1].count == column) {
        last[-1].count += count;
    } else {
        *last = (winograd_run){b->units - 1, count, row, column};
        b->run_count++;
    }
}

static void winograd_add_unit(const convpool_shape *s, const winograd_plan *p, winograd_block *b, size_t unit_row,
                              size_t unit_column) {
    size_t stride = s->pool ? 2 : 1, row = unit_row * p->pixels, column = unit_column * p->pixels;
    if (s->out_width >= p->pixels) column = packed_min(column, s->out_width - p->pixels); /* moved left */
    size_t count = packed_min(p->pixels, s->out_width - column);
    b->unit[b->units].slot = b->slots;
    b->unit[b->units++].rows = packed_min(p->pixels, s->out_height - row);
    winograd_add_pixels(b, row, column, count);
    for (size_t i = 0; i < p->across; i++) {
        size_t conv_row = stride * row + i * p->tile;
        for (size_t j = 0; j < p->across && conv_row < p->conv_height; j++)
            winograd_add_tile(s, p, b, conv_row, stride * column + j * p->tile);
    }
}

/* ---- Their inputs ---- */

/* Four floats at each of the lanes' offsets: to[k] has in every lane n what is at from[offset[n] + k]. */
VEC_INLINE void winograd_load_4(const float *from, const size_t *offset, vec to[4]) {
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++)
        to[k] = vec_lanes == 1 ? vec_load(from + *offset + k) : vec_load_quads(from, offset + k);
    vec_transpose_quads(to);
}

/* A vector of tiles in one channel. */
typedef struct winograd_tiles {
    const float *from;
    const size_t *offset; /* of each tile */
    size_t row_stride;
    size_t rows; /* that count, the others being 0 */
} winograd_tiles;

/* Their transformed inputs: to[position * stride]. Down first, then across. The rows
 * in the middle, which the others need, come first: all of them at once would not fit the registers. */
VEC_INLINE void winograd_transform(size_t tile, winograd_tiles t, float *to, size_t stride) {
    static const unsigned char orders[2][4] = {{1, 0, 2}, {1, 2, 0, 3}};
    vec d[4][4];
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++)
            d[i][j] = vec_zero();
    VEC_UNROLL
    for (size_t n = 0; n <= tile; n++) {
        size_t i = orders[tile - 2][n];
        vec row[4];
        float *line = to + i * (tile + 1) * stride;
        VEC_FORGET(line); /* else GCC keeps all the addresses, on the stack */
        if ((n != 1 || tile == 2) && i < t.rows) winograd_load_4(t.from + i * t.row_stride, t.offset, d[i]);
        if (n == 0 && tile == 3 && 2 < t.rows) winograd_load_4(t.from + 2 * t.row_stride, t.offset, d[2]);
        VEC_UNROLL
        for (size_t j = 0; j <= tile; j++) {
            vec column[4];
            winograd_forward(tile, (vec[]){d[0][j], d[1][j], d[2][j], d[3][j]}, column);
            row[j] = column[i];
        }
        vec across[4];
        winograd_forward(tile, row, across);
        VEC_UNROLL
        for (size_t j = 0; j <= tile; j++)
            vec_store(line + j * stride, across[j]);
        VEC_FORGET(t.from);
    }
}

/* Copies the inputs that count of a vector of tiles to patches[slot][row][column], and zeros for the others. */
static void winograd_copy_patches(const winograd_block *b, size_t slot, const float *input, size_t row_stride,
                                  float *patches) {
    memset(patches, 0, 16 * vec_lanes * sizeof(float));
    for (size_t end = slot + vec_lanes; slot < end; slot++, patches += 16) {
        const float *x = input + b->from[slot];
        size_t columns = b->columns[slot];
        for (size_t i = 0; i < b->rows[slot]; i++)
            if (columns == 4)
                memcpy(patches + 4 * i, x + i * row_stride, 4 * sizeof(float));
            else
                for (size_t j = 0; j < columns; j++)
                    patches[4 * i + j] = x[i * row_stride + j];
    }
}

VEC_INLINE void winograd_transform_block(const convpool_shape *s, const winograd_plan *p, size_t tile,
                                         const winograd_block *b, const float *input, float *v) {
    float patches[16 * vec_lanes];
    size_t patch_offset[vec_lanes];
    for (size_t i = 0; i < vec_lanes; i++)
        patch_offset[i] = 16 * i;
    size_t rows[winograd_slots / vec_lanes]; /* of all of a vector's tiles; 0 where they differ, or miss a column */
    for (size_t slot = 0; slot < b->slots; slot += vec_lanes) {
        rows[slot / vec_lanes] = b->rows[slot];
        for (size_t i = slot; i < slot + vec_lanes; i++)
            if (b->rows[i] != b->rows[slot] || b->columns[i] != 4) rows[slot / vec_lanes] = 0;
    }
    size_t width = s->width, in_plane = s->height * width, slots = b->slots, stride = p->v_position;
    for (size_t c = s->channels; c > 0; c--, input += in_plane, v += p->slots)
        for (size_t slot = 0; slot < slots; slot += vec_lanes) {
            winograd_tiles t = {input, b->from + slot, width, rows[slot / vec_lanes]};
            if (t.rows == 0) {
                winograd_copy_patches(b, slot, input, width, patches);
                t = (winograd_tiles){patches, patch_offset, 4, tile + 1};
            }
            winograd_transform(tile, t, v + slot, stride);
        }
}

/* As functions of their own, for the sake of their registers. */
#define WINOGRAD_TRANSFORM(tile) \
    static __attribute__((noinline)) void winograd_transform_block_##tile( \
        const convpool_shape *s, const winograd_plan *p, const winograd_block *b, const float *input, float *v) { \
        winograd_transform_block(s, p, tile, b, input, v); \
    }
WINOGRAD_TRANSFORM(2)
WINOGRAD_TRANSFORM(3)

#endif
