/* SPDX-License-Identifier: MIT */
/* Which tiles a block has, and where they are. */
#ifndef CONVPOOL_WINOGRAD_TILES_H
#define CONVPOOL_WINOGRAD_TILES_H

#include "plan.h"

#include <string.h>

/* Pixels of a block that lie side by side in each row of its units. */
typedef struct winograd_run {
    size_t first, count; /* the first one, those of the block's units being counted on; how many */
    size_t row, column;  /* where the first one goes */
} winograd_run;

/* Some units, and their tiles' slots. */
typedef struct winograd_block {
    size_t units, slots, tiles;            /* of each unit: all, or where all lack the lower ones, the upper ones */
    const float *image;                    /* what its inputs are read from, */
    size_t origin;                         /* and the row of windows that this begins with; */
    const float *zeros;                    /* what stands for those that do not count, lanes being input channels */
    size_t from[winograd_slots];           /* the tile's first input in its channel, or where it would be */
    unsigned char above[winograd_slots];   /* lanes being input channels, how many rows of it are above the image, */
    unsigned char before[winograd_slots];  /* and how many columns to its left */
    unsigned char rows[winograd_slots];    /* how many of its inputs count, down, those included, */
    unsigned char columns[winograd_slots]; /* and across; or, lanes not being input channels, winograd_whole where four
                                            * can be loaded of each of these rows */
    bool at_end[winograd_slots];           /* but not in the last channel, if there are only three that count */
    bool forbidden;                        /* some tile has none that counts */
    size_t first[winograd_slots];          /* by unit: the slot of its first tile, */
    size_t across[winograd_slots];         /* how many tiles it has side by side, where lanes are output channels, */
    size_t unit_rows[winograd_slots];      /* the rows of pixels that it has in the image, */
    size_t to[winograd_slots];             /* and where its pixels begin in a plane of the output */
    winograd_run runs[winograd_slots];
    size_t run_count;
} winograd_block;

enum {
    winograd_whole = 4,
    winograd_nowhere = 255, /* of a slot that has to be filled up, but what comes of it does not matter */
};

static void winograd_begin_block(const winograd_plan *p, bool upper, winograd_block *b) {
    b->units = b->slots = b->run_count = 0;
    b->tiles = upper ? p->across : p->tiles;
    b->forbidden = false;
    memset(b->columns, winograd_nowhere, sizeof b->columns);
}

/* Its slots are filled up to whole vectors. */
static void winograd_end_block(const winograd_plan *p, winograd_block *b) {
    if (winograd_by_pixel(p)) b->slots = size_round_up(b->units, vec_lanes) * b->tiles;
    for (size_t slot = 0; slot < size_round_up(b->slots, vec_lanes); slot++)
        if (b->columns[slot] == winograd_nowhere) { /* whatever does no harm */
            b->from[slot] = b->from[0];
            b->rows[slot] = b->rows[0];
            b->columns[slot] = b->columns[0];
            b->at_end[slot] = b->at_end[0];
        }
}

/* Adds pixels: to the run before, if they continue it. */
static void winograd_add_pixels(winograd_block *b, winograd_run pixels) {
    winograd_run *next = b->runs + b->run_count;
    if (b->run_count > 0 && next[-1].row == pixels.row && next[-1].first + next[-1].count == pixels.first) {
        next[-1].count += pixels.count;
    } else {
        *next = pixels;
        b->run_count++;
    }
}

/* The slot of a unit's first tile, and how far the next ones are. */
VEC_INLINE size_t winograd_slot(const winograd_plan *p, const winograd_block *b, size_t unit) {
    return winograd_by_pixel(p) ? unit / vec_lanes * vec_lanes * b->tiles + unit % vec_lanes : b->slots;
}
VEC_INLINE size_t winograd_slot_step(const winograd_plan *p) { return winograd_by_pixel(p) ? vec_lanes : 1; }

/* Where a tile's first input is. Of an image that is read where it is, what lies in the zeros around it does not count.
 */
static void winograd_place_tile(const convpool_shape *s, const winograd_plan *p, winograd_block *b, size_t slot,
                                size_t y, size_t x) {
    b->above[slot] = b->before[slot] = 0;
    if (!p->in_place) {
        b->from[slot] = (y - b->origin) * s->padded_width + x;
        return;
    }
    size_t end = s->pad_top + s->height, rows = y < end ? size_min(b->rows[slot], end - y) : 0;
    size_t side = s->pad_left + s->width, columns = x < side ? size_min(b->columns[slot], side - x) : 0;
    b->from[slot] = (y - s->pad_top) * s->width + x - s->pad_left; /* may be below 0, and wrap */
    b->rows[slot] = (unsigned char)rows;
    b->columns[slot] = (unsigned char)columns;
    b->above[slot] = (unsigned char)size_min(rows, y < s->pad_top ? s->pad_top - y : 0);
    b->before[slot] = (unsigned char)size_min(columns, x < s->pad_left ? s->pad_left - x : 0);
}

/* Adds a unit, without those rows of its tiles that `large` has a bit of: no input of theirs counts. */
static void winograd_add_unit(const convpool_shape *s, const winograd_plan *p, winograd_block *b, size_t unit_row,
                              size_t unit_column, unsigned large) {
    size_t stride = s->pool ? 2 : 1, row = unit_row * p->pixels, column = unit_column * p->pixels, known = 0;
    if (unit_column > 0 && column + p->pixels > s->out_width) known = column + p->pixels - s->out_width;
    column -= known; /* pixels of the unit before */
    size_t unit = b->units++, slot = winograd_slot(p, b, unit), step = winograd_slot_step(p);
    b->first[unit] = slot;
    b->unit_rows[unit] = size_min(p->pixels, s->out_height - row);
    b->to[unit] = row * s->out_width + column;
    size_t count = size_min(p->pixels, s->out_width - column) - known;
    winograd_add_pixels(b, (winograd_run){unit * p->pixels + known, count, row, column + known});
    size_t tile = p->tile, across = p->across, conv_height = p->conv_height, conv_width = p->conv_width;
    size_t first = 0, end = across; /* columns of tiles: of output channels, those some output of which is new */
    if (!winograd_by_pixel(p) && unit_column + 1 == p->unit_columns) {
        first = stride * known / tile;
        end = size_min(across, (conv_width - stride * column + tile - 1) / tile);
    }
    b->across[unit] = end - first;
    size_t height = s->padded_height, width = s->padded_width, slots = b->slots, more = s->filter_height - 1;
    for (size_t i = 0, y = stride * row; i < across && y < conv_height; i++, y += tile) {
        size_t rows = size_min(tile, conv_height - y) + more;
        bool forbidden = large >> i & 1, above_end = y + rows < height;
        b->forbidden |= forbidden;
        for (size_t j = first; j < end; j++, slot += step, slots++) {
            size_t x = stride * column + j * tile;
            size_t left = x < conv_width ? conv_width - x : 0;
            size_t columns = left == 0 ? 0 : size_min(left, tile) + more;
            if (left >= tile && !p->from_pixels) columns = winograd_whole;
            b->rows[slot] = forbidden ? 0 : (unsigned char)rows;
            b->columns[slot] = forbidden ? 0 : (unsigned char)columns;
            b->at_end[slot] = !above_end && x + 4 > width;
            winograd_place_tile(s, p, b, slot, y, left == 0 ? 0 : x);
        }
    }
    b->slots = slots;
}

/* Adds the unit to the right of the last one, which is like it in all but where it is. */
static void winograd_add_next(const convpool_shape *s, const winograd_plan *p, winograd_block *b) {
    size_t unit = b->units++, step = winograd_slot_step(p), from = b->first[unit - 1], to = winograd_slot(p, b, unit);
    size_t right = p->pixels * (s->pool ? 2 : 1), tiles = winograd_by_pixel(p) ? b->tiles : to - from;
    b->first[unit] = to;
    b->across[unit] = b->across[unit - 1];
    b->unit_rows[unit] = b->unit_rows[unit - 1];
    b->to[unit] = b->to[unit - 1] + p->pixels;
    b->runs[b->run_count - 1].count += p->pixels;
    b->slots += tiles;
    for (; tiles > 0; tiles--, from += step, to += step) {
        if (b->columns[from] == winograd_nowhere) continue; /* in lower tiles that are not there */
        b->from[to] = b->from[from] + right;
        b->rows[to] = b->rows[from];
        b->columns[to] = b->columns[from];
        b->above[to] = b->above[from];
        b->before[to] = b->before[from];
        b->at_end[to] = b->at_end[from];
    }
}

/* Makes a block of units that are pixels, of one tile each, without saying where each tile is: they are gathered. */
static void winograd_add_all(const convpool_shape *s, const winograd_plan *p, winograd_block *b, size_t row,
                             size_t column, size_t count) {
    size_t first = row * s->out_width + column;
    b->units = count;
    b->slots = size_round_up(count, vec_lanes);
    b->runs[b->run_count++] = (winograd_run){0, count, row, column};
    for (size_t unit = 0; unit < count && unit < p->slots; unit++)
        b->to[unit] = first + unit;
}

#endif
