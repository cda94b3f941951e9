/* SPDX-License-Identifier: MIT */
/* A block whose transformed inputs are known: its products, its pixels, and where these go. */
#ifndef CONVPOOL_WINOGRAD_BLOCK_H
#define CONVPOOL_WINOGRAD_BLOCK_H

#include "../pixels/windows.h"
#include "repair.h"

/* What all blocks of a call have in common. */
typedef struct winograd_call {
    const convpool_job *job;
    const winograd_plan *plan;
    float limit;
    const float *bias, *weights; /* what `direct` has packed, and the transformed weights */
    float *v, *m, *pixels;
    float *band;         /* of the source, or lines of what is gathered */
    const float *image;  /* what tiles are read from: the input, or the band, */
    size_t first_row;    /* which begins with this row of windows; */
    const float *zeros;  /* and what stands for inputs that do not count */
    const size_t *terms; /* the distances of channels */
    size_t end_row;
} winograd_call;

/* Whether all rows of a run's units are wanted, and its pixels in each are those of whole groups of so many units. */
static bool winograd_is_whole(const winograd_call *a, const winograd_run *run, size_t units) {
    size_t pixels = a->plan->pixels, group = pixels * units;
    return run->row >= a->job->first_row && run->row + pixels <= a->end_row && run->first % group == 0 &&
           run->count % group == 0;
}

/* ---- Lanes over output channels ---- */

/* Whether a block's pixels can be stored where they belong, in whole vectors of output channels: these lie side by
 * side, and all pixels are wanted as they are. */
static bool winograd_stores(const winograd_call *a, const winograd_block *b) {
    const convpool_shape *s = a->job->shape;
    if (!s->output_hwc || !finish_is_plain(s)) return false;
    for (const winograd_run *run = b->runs; run < b->runs + b->run_count; run++)
        if (!winograd_is_whole(a, run, 1)) return false;
    return true;
}

/* Writes a block's pixels in `lanes` output channels from o on. */
static void winograd_write(const winograd_call *a, const winograd_block *b, size_t o, size_t lanes) {
    const convpool_shape *s = a->job->shape;
    size_t pixels = a->plan->pixels, row_floats = pixels * b->units * product_lanes;
    for (const winograd_run *run = b->runs; run < b->runs + b->run_count; run++)
        for (size_t i = 0; i < pixels; i++) {
            size_t row = run->row + i;
            if (row < a->job->first_row || row >= a->end_row) continue;
            finish_pixels p = finish_to(s, a->job->output, row * s->out_width + run->column, run->count, o, lanes);
            float *from = a->pixels + i * row_floats + run->first * product_lanes;
            if (!finish_is_plain(s))
                finish_activate(s, direct_blocks(s), a->bias, o,
                                (activate_rows){from, run->count, product_lanes, .channels = lanes});
            p.from = from;
            p.pitch = product_lanes;
            finish_write(&p);
        }
}

/* The products of a block with a chunk of blocks of output channels, the transformed inputs of a tile lying side by
 * side. */
static void winograd_pixel_products(const winograd_call *a, const winograd_block *b, size_t first, size_t chunk) {
    const winograd_plan *plan = a->plan;
    size_t channels = a->job->shape->channels, at[winograd_slots];
    for (size_t slot = 0; slot < b->slots; slot++)
        at[slot] = slot * plan->v_row;
    size_t last = size_min(tune_vecs, plan->vecs - first - (chunk - 1) * tune_vecs); /* vectors of the last block */
    product_at_groups groups = product_at_cut(b->slots, tune_vecs), of_last = product_at_cut(b->slots, last);
    size_t block = plan->terms * channels * product_lanes; /* weights of a block, */
    size_t before = 0;                                     /* and those of a lane at the positions before */
    const float *weights = a->weights + plan->terms * channels * first * vec_lanes;
    product_at p = {.rows = a->v, .terms = a->terms, .sum_row = plan->m_row, .far = plan->far};
    float *sums = a->m;
    for (size_t row = 0; row < plan->side; row++)
        for (size_t column = 0; column < plan->side; column++, p.rows += plan->v_position, sums += product_lanes) {
            p.depth = winograd_parts(plan, row) * winograd_parts(plan, column) * channels;
            p.lanes = weights + before * product_lanes;
            p.sums = sums;
            for (size_t i = 1; i < chunk; i++, p.lanes += block, p.sums += plan->slots * plan->m_row)
                product_at_run(&p, at, &groups);
            p.lanes = weights + (chunk - 1) * block + before * last * vec_lanes;
            product_at_run(&p, at, &of_last);
            before += p.depth;
        }
}

/* The products of a block with a chunk of blocks of output channels, from vector `first` on. */
static void winograd_products(const winograd_call *a, const winograd_block *b, size_t first, size_t chunk) {
    if (winograd_from_pixels(a->plan)) {
        winograd_pixel_products(a, b, first, chunk);
        return;
    }
    size_t channels = a->job->shape->channels, positions = a->plan->positions;
    size_t step = chunk > 1 ? 1 : positions; /* one at a time, their inputs stay in the cache for all blocks */
    for (size_t position = 0; position < positions; position += step)
        for (size_t i = 0; i < chunk; i++) {
            size_t vector = first + i * tune_vecs, vecs = size_min(tune_vecs, a->plan->vecs - vector);
            size_t lane_position = channels * vecs * vec_lanes;
            product p = {
                .rows = a->v + position * a->plan->v_position,
                .lanes = a->weights + positions * channels * vector * vec_lanes + position * lane_position,
                .sums = a->m + i * a->plan->slots * a->plan->m_row + position * product_lanes,
                .depth = channels,
                .positions = step,
                .row_pitch = a->plan->slots,
                .lane_pitch = vecs * vec_lanes,
                .row_position = a->plan->v_position,
                .lane_position = lane_position,
                .sum_position = product_lanes,
                .sum_row = a->plan->m_row,
                .far = a->plan->far,
            };
            product_run(p, b->slots, vecs);
        }
}

static void winograd_run_channels(const winograd_call *a, const winograd_block *b) {
    const convpool_shape *s = a->job->shape;
    const winograd_plan *p = a->plan;
    bool stores = winograd_stores(a, b);
    for (size_t first = 0, chunk; first < p->vecs; first += chunk * tune_vecs) {
        chunk = size_min(p->chunk, (p->vecs - first + tune_vecs - 1) / tune_vecs);
        winograd_products(a, b, first, chunk);
        for (size_t i = 0; i < chunk; i++) {
            size_t vector = first + i * tune_vecs, o = vector * vec_lanes;
            size_t lanes = size_min(tune_vecs, p->vecs - vector) * vec_lanes;
            float *m = a->m + i * p->slots * p->m_row;
            if (b->forbidden) winograd_forbid(p, b, 0, lanes, m);
            bool in_place = stores && o + lanes <= s->out_channels;
            size_t pixel = in_place ? s->out_channels : product_lanes;
            winograd_output_of(p, s->pool)(
                &(winograd_output){.block = b,
                                   .m = m,
                                   .bias = a->bias + o,
                                   .m_row = p->m_row,
                                   .channels = lanes,
                                   .end = b->units,
                                   .to = in_place ? a->job->output + o : a->pixels,
                                   .to_row = (in_place ? s->out_width : p->pixels * b->units) * pixel,
                                   .to_pixel = pixel,
                                   .in_place = in_place,
                                   .relu = finish_is_relu(s)});
            if (!in_place) winograd_write(a, b, o, lanes);
        }
    }
}

/* ---- Lanes over tiles ---- */

/* How many of a block's units, whole vectors of the first, have their pixels stored in the output itself: units of one
 * pixel, and of three where quads of them have theirs side by side, and all are wanted. */
static size_t winograd_in_place(const winograd_call *a, const winograd_block *b) {
    size_t pixels = a->plan->pixels, quad = vec_lanes < 4 ? vec_lanes : 4, whole = b->units / vec_lanes * vec_lanes;
    if (pixels == 1) return whole;
    if (pixels == 2) return 0;
    for (const winograd_run *run = b->runs; run < b->runs + b->run_count; run++)
        if (!winograd_is_whole(a, run, quad)) return size_min(whole, run->first / pixels / vec_lanes * vec_lanes);
    return whole;
}

/* Copies floats that lie side by side. */
static void winograd_copy(float *to, const float *from, size_t count) {
    if (count < vec_lanes) {
        vec_store_part(to, vec_load_part(from, count), count);
        return;
    }
    for (size_t i = 0; i < count; i += vec_lanes) {
        size_t at = size_min(i, count - vec_lanes); /* the last vector overlaps the one before */
        vec_store(to + at, vec_load(from + at));
    }
}

/* Copies pixels, from number `done` on, from [channel][row of a unit][pixel] to their places. */
static void winograd_place(const winograd_call *a, const winograd_block *b, size_t done, size_t o, size_t channels) {
    const convpool_shape *s = a->job->shape;
    size_t pixels = a->plan->pixels, from_row = pixels * a->plan->units, plane = s->out_height * s->out_width;
    for (const winograd_run *run = b->runs; run < b->runs + b->run_count; run++) {
        size_t skip = run->first < done ? size_min(done - run->first, run->count) : 0;
        for (size_t row = run->row; row < run->row + pixels && skip < run->count; row++) {
            if (row < a->job->first_row || row >= a->end_row) continue;
            const float *from = a->pixels + (row - run->row) * from_row + run->first + skip;
            float *to = a->job->output + o * plane + row * s->out_width + run->column + skip;
            for (size_t k = channels; k > 0; k--, from += pixels * from_row, to += plane)
                winograd_copy(to, from, run->count - skip);
        }
    }
}

/* The products of a set of vectors of tiles, from `first` on, with `rows` output channels from o on. */
static void winograd_set_products(const winograd_call *a, const winograd_block *b, size_t first, size_t o,
                                  size_t rows) {
    const winograd_plan *p = a->plan;
    size_t channels = a->job->shape->channels, end = size_min(first + p->set, b->slots / vec_lanes);
    size_t size = winograd_group(p, rows), rest = rows % size;
    for (size_t i = first, vecs; i < end; i += vecs) {
        vecs = size_min(tune_tile_vecs, end - i);
        product q = {
            .rows = a->weights + p->copies * p->positions * channels * o,
            .lanes = a->v + i / tune_tile_vecs * p->v_block,
            .sums = a->m + (i - first) / tune_tile_vecs * p->m_vecs,
            .depth = channels,
            .positions = p->positions,
            .row_pitch = p->copies * size,
            .row_group = p->copies * size * channels,
            .lane_pitch = p->v_channel,
            .row_position = p->copies * channels * rows,
            .lane_position = p->v_position,
            .sum_position = winograd_lanes(true),
            .sum_row = p->m_row,
            .copied = p->copies > 1,
        };
        product_run_groups(&q, size, rows / size, rest, p->copies * rest, vecs);
    }
}

static void winograd_run_pixels(const winograd_call *a, const winograd_block *b) {
    const convpool_shape *s = a->job->shape;
    const winograd_plan *p = a->plan;
    size_t plane = s->out_height * s->out_width, in_place = winograd_in_place(a, b);
    winograd_output_function *outputs = winograd_output_of(p, s->pool);
    winograd_output output = {.block = b, .m = a->m, .m_row = p->m_row, .m_vecs = p->m_vecs, .relu = finish_is_relu(s)};
    for (size_t o = 0, rows; o < s->out_channels; o += rows) {
        rows = size_min(p->rows, s->out_channels - o);
        output.bias = a->bias + o;
        output.channels = rows;
        for (size_t first = 0; first < b->slots / vec_lanes; first += p->set) {
            winograd_set_products(a, b, first, o, rows);
            if (b->forbidden) winograd_forbid(p, b, first, rows, a->m);
            size_t unit = first / b->tiles * vec_lanes, end = size_min(unit + p->set / b->tiles * vec_lanes, b->units);
            output.m_first = output.first = unit;
            output.end = size_min(in_place, end);
            if (unit < output.end) {
                output.in_place = true;
                output.to = a->job->output + o * plane;
                output.to_row = s->out_width;
                output.to_channel = plane;
                outputs(&output);
                output.first = output.end;
            }
            output.end = end;
            if (output.first < end) {
                output.in_place = false;
                output.to = a->pixels;
                output.to_row = p->pixels * p->units;
                output.to_channel = p->pixels * output.to_row;
                outputs(&output);
            }
        }
        if (in_place < b->units) winograd_place(a, b, in_place * p->pixels, o, rows);
    }
}

/* Units from `first` on, which are pixels, their inputs having been transformed. */
static void winograd_run_windows(const winograd_call *a, size_t first, size_t count) {
    windows w = {.v = a->v, .weights = a->weights, .bias = a->bias, .output = a->job->output + first, .count = count};
    windows_run(a->job->shape, a->plan, w);
}

/* A block whose transformed inputs are known, in all output channels. */
static void winograd_run_block(const winograd_call *a, const winograd_block *b) {
    if (winograd_by_pixel(a->plan) && a->plan->fused)
        winograd_run_windows(a, b->to[0], b->units);
    else
        (winograd_by_pixel(a->plan) ? winograd_run_pixels : winograd_run_channels)(a, b);
}

#endif
