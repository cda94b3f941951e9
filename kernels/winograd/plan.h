/* SPDX-License-Identifier: MIT */
/* How Winograd's algorithms cut a layer up, and what they keep in scratch. */
#ifndef CONVPOOL_WINOGRAD_PLAN_H
#define CONVPOOL_WINOGRAD_PLAN_H

#include "../arrange.h"
#include "../direct.h"
#include "../finish.h"
#include "../pixels/gather.h"
#include "../product.h"
#include "scheme.h"

enum {
    winograd_slots = 64,       /* tiles of a block, at most */
    winograd_slots_parts = 16, /* where the filter has parts, lanes being output channels */
    winograd_pad = 16,         /* floats behind a position or a row, which are not all to meet in one set of a cache */
    winograd_padded = 64,      /* floats of a row from which on it is long enough for that */
    /* Lanes being output channels: */
    winograd_kept = 256 * 1024,    /* bytes of products that are kept at a time, where transformed inputs are many */
    winograd_many = 192 * 1024,    /* bytes of these */
    winograd_inputs = 1152 * 1024, /* bytes of them, at most, where weights come from memory */
    /* Lanes being tiles: */
    winograd_weights = 12 * 1024, /* bytes of a position's weights that are used together */
    winograd_long = 48,           /* input channels from which on blocks have half as many tiles */
    winograd_copied = 8192,       /* pairs of channels up to which weights are copied */
    /* Where products are fused with what follows: bytes of transformed inputs that are kept; vectors of pixels and
     * output channels of a block, of which each pair has three sums. */
    winograd_windows = 18 * 1024,
    winograd_fused_vecs = VEC_REGISTERS >= 16 ? 2 : 1,
    winograd_fused_rows = VEC_REGISTERS >= 32 ? 4 : winograd_fused_vecs,
};

/* Vectors of tiles that are whole blocks of the product and whole units of four tiles. */
enum {
    winograd_set = tune_tile_vecs % 4 == 0   ? tune_tile_vecs
                   : tune_tile_vecs % 2 == 0 ? 2 * tune_tile_vecs
                                             : 4 * tune_tile_vecs
};
_Static_assert(winograd_set *(int)vec_lanes <= (int)winograd_slots, "a block has a set at least");
_Static_assert(tune_rows >= 1 &&
                   tune_rows * (winograd_set / tune_tile_vecs * (16 * tune_tile_vecs * (int)vec_lanes + winograd_pad) +
                                9 * winograd_slots / 4) <=
                       32000 &&
                   tune_rows * (16 * tune_tile_vecs * (int)vec_lanes + winograd_pad + 9 * winograd_slots) <= 32000,
               "scratch stays within CONVPOOL_LAYER_SCRATCH_MAX");
_Static_assert(tune_fuse >= 0 && tune_fuse <= winograd_windows / (9 * (int)sizeof(float)),
               "a block has a window at least");
_Static_assert(tune_slots > 0 && tune_slots % 4 == 0 && tune_slots % (int)vec_lanes == 0,
               "a block is whole units of four tiles, and whole vectors");
_Static_assert((int)tune_slots <= (int)winograd_slots &&
                   tune_slots * (25 * product_lanes + winograd_pad) + 4096 <= 32768,
               "scratch stays within CONVPOOL_LAYER_SCRATCH_MAX");

/* Two arrangements. Lanes run over output channels, and rows of products are tiles; or lanes run over tiles, so that
 * outputs need not be transposed, and rows are output channels.
 *
 * A unit is the tile or tiles whose outputs are a square of whole output pixels. Units are numbered row by row through
 * the image; a block is some of them, in order. Rows of tiles lie on a grid from row 0 on; of their columns the last
 * unit's are moved left until it ends with the image. Each tile of a block has a slot: those of a unit side by side or,
 * where lanes are tiles, first the first tiles of a vector of units, then their second tiles... */
typedef struct winograd_plan {
    winograd_scheme of;
    size_t tile, side, positions;   /* convolution outputs across a tile; inputs across it; inputs of it */
    size_t parts, terms;            /* of the filter, across and down; and how many all positions meet of them */
    size_t across, tiles;           /* tiles across a unit, and down; tiles of a unit */
    size_t pixels;                  /* output pixels across a unit, and down */
    size_t conv_height, conv_width; /* the convolution's outputs that count */
    size_t unit_rows, unit_columns; /* units of the image */
    size_t slots, units;            /* tiles and units of a block, at most */

    /* What lanes are. */
    bool by_pixel;    /* tiles; else output channels */
    bool gathered;    /* by_pixel: tiles, of which each makes a pixel, are loaded as they lie, not one by one */
    bool fused;       /* by_pixel: products become outputs while they are in registers */
    bool from_pixels; /* the image is read with lanes that are input channels */

    /* The image, read so. */
    bool in_place;           /* where it is; else from a copy, as source.h makes it */
    size_t band;             /* rows of units that are copied at a time */
    size_t inner, inner_end; /* from which and to which column units differ in nothing but where they are */

    /* How far apart things lie, in floats. */
    size_t v_position, v_channel; /* transformed inputs of two positions, and of two channels */
    size_t v_slots, v_block;      /* so many tiles lie together; from these to the next ones */
    size_t v_row;                 /* transformed inputs of two tiles, of from_pixels */
    size_t m_row, m_vecs;         /* two rows of products; by_pixel: two blocks of vectors of them */

    /* What is computed together. */
    size_t rows;   /* by_pixel: output channels */
    size_t set;    /* by_pixel: vectors of tiles whose products are kept at a time */
    size_t copies; /* by_pixel: of each weight, side by side */
    size_t vecs;   /* else: vectors of output channels, */
    size_t chunk;  /* blocks of them whose products are kept at a time, */
    bool far;      /* and whether weights come from memory */
} winograd_plan;

/* What of them is a constant where lanes never run over pixels. */
VEC_INLINE bool winograd_by_pixel(const winograd_plan *p) { return arrange_pixels && p->by_pixel; }
VEC_INLINE bool winograd_from_pixels(const winograd_plan *p) { return !arrange_pixels || p->from_pixels; }

/* Floats from one position's products to the next's. */
VEC_INLINE size_t winograd_lanes(bool by_pixel) { return by_pixel ? tune_tile_vecs * vec_lanes : product_lanes; }

/* Whether tiles, which are pixels then, can be loaded as they lie. */
static bool winograd_is_gathered(const convpool_shape *s, const winograd_plan *p) {
    return s->pool && p->side == 3 && s->out_width >= vec_lanes;
}

/* Long vectors of tiles of 3x3 outputs are worth having only where outputs can be stored as they come, by quads of
 * units, or channels are very few. */
static bool winograd_is_by_pixel(const convpool_shape *s, const winograd_plan *p) {
    if (s->input_hwc || s->output_hwc || p->parts > 1 || !finish_is_plain(s)) return false;
    if (convpool_is_padded(s) && !winograd_is_gathered(s, p)) return false;
    size_t units = p->unit_rows * p->unit_columns, tiles = units * p->tiles;
    if (p->side == 3) return arrange_by_pixel(s, tune_winograd22, tiles, units, vec_lanes);
    if (p->tile == 2) return arrange_by_pixel(s, tune_winograd23, tiles, units, vec_lanes);
    bool in_place = s->out_width % (p->pixels * 4) == 0;
    if (vec_lanes > 4 && !in_place && s->channels > 8) return false;
    return arrange_by_pixel(s, tune_winograd32, tiles, units, vec_lanes);
}

static size_t winograd_weight_count(const convpool_shape *s, const winograd_plan *p) {
    return p->terms * s->channels * s->out_channels;
}

/* Tiles of a block, at most. */
static size_t winograd_block_slots(const convpool_shape *s, const winograd_plan *p) {
    size_t units = p->unit_rows * p->unit_columns;
    if (p->fused) { /* whole groups of vectors */
        size_t group = winograd_fused_vecs * vec_lanes, fit = winograd_windows / (9 * sizeof(float)) / s->channels;
        fit = fit < group ? group : size_min(winograd_slots, fit / group * group);
        return size_min(fit, size_round_up(units, vec_lanes));
    }
    if (winograd_by_pixel(p)) {
        size_t most =
            s->channels < winograd_long ? winograd_slots : size_round_up(winograd_slots / 2, p->set * vec_lanes);
        return size_min(most, size_round_up(units, vec_lanes) * p->tiles);
    }
    size_t most = p->parts > 1 ? winograd_slots_parts : tune_slots, group = vec_lanes > 4 ? vec_lanes : 4;
    /* Weights are read again for each block. */
    if (p->parts == 1 && winograd_weight_count(s, p) > CONVPOOL_NEAR_WEIGHTS) {
        size_t fit = winograd_inputs / sizeof(float) / p->positions / (s->channels + winograd_pad);
        most = size_max(most, size_min(fit / group * group, winograd_slots));
    }
    return size_min(most, size_round_up(units * p->tiles, group));
}

/* Output channels that are computed together where lanes are tiles: as a rule whole groups of rows. */
static size_t winograd_rows(const convpool_shape *s, const winograd_plan *p) {
    if (p->fused) return size_even(s->out_channels, winograd_fused_rows);
    size_t group = tune_sums / tune_tile_vecs, fit = winograd_weights / sizeof(float) / p->copies / s->channels;
    size_t most = fit < group ? group : size_min(tune_rows, fit);
    return size_min(size_round_up(size_even(s->out_channels, most), group), most);
}

/* How many parts of the filter a row or a column of positions meets: the last one no part but the first, for the second
 * has a weight less. */
VEC_INLINE size_t winograd_parts(const winograd_plan *p, size_t i) { return i < 3 ? p->parts : 1; }

/* How many those before it meet; and how many the positions before a position do, of all parts across and down. */
VEC_INLINE size_t winograd_parts_before(const winograd_plan *p, size_t i) {
    return size_min(i, 3) * p->parts + (i > 3);
}
static size_t winograd_terms_before(const winograd_plan *p, size_t position) {
    size_t row = position / p->side, column = position % p->side;
    return winograd_parts_before(p, row) * winograd_parts_before(p, p->side) +
           winograd_parts(p, row) * winograd_parts_before(p, column);
}

/* Rows of windows of a row of units. */
static size_t winograd_unit_windows(const winograd_plan *p) { return p->across * p->tile; }

/* The first column of units begins a row. The last one hangs over the image, maybe; and if the image is read where it
 * is, some reach out to the zeros around it. */
static void winograd_find_inner(const convpool_shape *s, winograd_plan *p) {
    size_t step = winograd_unit_windows(p), inputs = step + s->filter_width - 1, end = s->pad_left + s->width;
    p->inner = 0;
    p->inner_end = p->unit_columns - (s->out_width % p->pixels > 0 || !p->from_pixels);
    if (!p->in_place) return;
    p->inner = (s->pad_left + step - 1) / step;
    p->inner_end = end < inputs ? 0 : size_min(p->inner_end, (end - inputs) / step + 1);
}

/* How transformed inputs, weights and products lie, and how many are kept at a time. */
static void winograd_plan_products(const convpool_shape *s, winograd_plan *p) {
    p->v_slots = p->by_pixel && !p->fused ? size_min(winograd_lanes(true), p->slots) : p->slots;
    /* Whole vectors of channels are stored, part by part. */
    p->v_row = (p->parts * p->parts - 1) * s->channels + size_round_up(s->channels, vec_lanes);
    p->v_row = size_round_up(p->v_row, vec_lanes);
    if (p->v_row >= winograd_padded) p->v_row += winograd_pad;
    p->v_position = p->fused         ? p->slots
                    : p->from_pixels ? p->slots * p->v_row + winograd_pad
                                     : s->channels * p->v_slots + winograd_pad;
    p->v_channel = p->fused ? p->positions * p->slots : p->v_slots;
    p->v_block = p->fused ? s->channels * p->v_channel : p->positions * p->v_position;
    p->m_row = p->positions * winograd_lanes(p->by_pixel) + winograd_pad;
    p->copies = p->by_pixel && s->channels * s->out_channels <= winograd_copied ? tune_copies : 1;
    p->rows = winograd_rows(s, p);
    p->set = size_min(p->set, p->slots / vec_lanes);
    p->m_vecs = p->rows * p->m_row;
    p->vecs = (s->out_channels + vec_lanes - 1) / vec_lanes;
    size_t kept = winograd_kept / sizeof(float) / (p->slots * p->m_row);
    bool many = p->v_block * sizeof(float) > winograd_many;
    p->chunk = many && kept > 1 ? size_min(kept, (p->vecs + tune_vecs - 1) / tune_vecs) : 1;
}

static winograd_plan winograd_make_plan(const convpool_shape *s, winograd_scheme of) {
    size_t tile = of.tile;
    winograd_plan p = {.of = of, .tile = tile, .side = of.side, .positions = of.side * of.side};
    p.across = s->pool && tile == 3 ? 2 : 1;
    p.tiles = p.across * p.across;
    p.pixels = s->pool && tile == 2 ? 1 : tile;
    p.conv_height = s->pool ? 2 * s->out_height : s->out_height;
    p.conv_width = s->pool ? 2 * s->out_width : s->out_width;
    p.parts = s->filter_height > of.filter ? 2 : 1;
    p.terms = winograd_parts_before(&p, p.side) * winograd_parts_before(&p, p.side);
    p.unit_rows = (s->out_height + p.pixels - 1) / p.pixels;
    p.unit_columns = (s->out_width + p.pixels - 1) / p.pixels;
    p.by_pixel = winograd_is_by_pixel(s, &p);
    p.from_pixels = !p.by_pixel && (!arrange_pixels || s->input_hwc || convpool_is_padded(s) || p.parts > 1);
    p.in_place = s->input_hwc;
    winograd_find_inner(s, &p);
    size_t step = winograd_unit_windows(&p);
    p.band = p.from_pixels ? (source_window_rows(s, p.in_place, step) + step - 1) / step : SIZE_MAX;
    p.fused = p.by_pixel && s->pool && of.side == 3 && s->channels <= tune_fuse;
    p.set = p.tiles == 1 ? tune_tile_vecs : winograd_set;
    p.far = product_at_is_far(winograd_weight_count(s, &p));
    p.slots = winograd_block_slots(s, &p);
    p.units = p.slots / p.tiles;
    p.gathered = p.by_pixel && winograd_is_gathered(s, &p);
    winograd_plan_products(s, &p);
    return p;
}

/* How many of `rows` output channels are a group of the product: as many sums as there can be, in equal groups if some
 * have half of them at least. */
static size_t winograd_group(const winograd_plan *p, size_t rows) {
    size_t most = size_min(tune_sums / size_min(tune_tile_vecs, p->slots / vec_lanes), product_rows_most);
    size_t size = size_min(most, rows);
    while (2 * size > most && rows % size != 0)
        size--;
    return 2 * size > most ? size : size_even(rows, most);
}

/* ---- Scratch ---- */

/* Transformed inputs of a block: [position][c][slot]; fused [c][position][slot]; else, lanes being tiles, [block of
 * vectors][position][c][slot]. Products, [block of lanes][row][position][lane]: of all its tiles with a chunk of blocks
 * of output channels, or of a set of its tiles with the channels that are computed together. The pixels that come of
 * them: [row of a unit][pixel][channel], or [channel][row of a unit][pixel]. Where `direct` needs more, it has that. */

static size_t winograd_v_floats(const winograd_plan *p) {
    size_t blocks = (p->slots + p->v_slots - 1) / p->v_slots;
    return size_round_up(blocks * p->v_block + vec_lanes, CONVPOOL_ALIGNMENT / sizeof(float));
}
static size_t winograd_m_floats(const winograd_plan *p) {
    if (p->fused) return 0;
    return winograd_by_pixel(p) ? (p->set + tune_tile_vecs - 1) / tune_tile_vecs * p->m_vecs
                                : p->chunk * p->slots * p->m_row;
}

/* Where in scratch what begins, in floats: products and pixels behind transformed inputs; behind all of that, or what
 * `direct` needs, for rows that it computes, a band of the source, zeros for each input channel and the distances of a
 * tile's channels, or lines of what is gathered. */
typedef struct winograd_scratch {
    size_t m, pixels, band, zeros, terms, end;
} winograd_scratch;

static winograd_scratch winograd_lay_out(const convpool_shape *s, const winograd_plan *p) {
    size_t line = CONVPOOL_ALIGNMENT / sizeof(float);
    winograd_scratch at = {.m = winograd_v_floats(p)};
    at.pixels = at.m + winograd_m_floats(p);
    at.band = at.pixels + p->pixels * p->pixels * p->units * (winograd_by_pixel(p) ? p->rows : product_lanes);
    convpool_shape unpooled = packed_unpooled(s);
    size_t direct = direct_scratch_size(s), row = direct_scratch_size(&unpooled);
    at.band = size_round_up(at.band, line);
    at.band = size_max(at.band, size_round_up(size_max(direct, row), CONVPOOL_ALIGNMENT) / sizeof(float));
    if (!p->from_pixels) {
        at.zeros = at.terms = at.end = at.band + pixels_line_floats(s);
        return at;
    }
    at.zeros = at.band + source_floats(s, p->in_place, winograd_unit_windows(p));
    at.terms = at.zeros + size_round_up(s->channels, line);
    at.end = at.terms + p->parts * p->parts * s->channels * (sizeof(size_t) / sizeof(float));
    return at;
}

static size_t winograd_scratch_size(const convpool_shape *s, winograd_scheme of) {
    winograd_plan p = winograd_make_plan(s, of);
    return winograd_lay_out(s, &p).end * sizeof(float) + CONVPOOL_ALIGNMENT - 1;
}

#endif
