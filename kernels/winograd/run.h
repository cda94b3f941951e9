/* SPDX-License-Identifier: MIT */
/* A call of one of Winograd's algorithms, cut into blocks. */
#ifndef CONVPOOL_WINOGRAD_RUN_H
#define CONVPOOL_WINOGRAD_RUN_H

#include "block.h"
#include "input.h"
#include "pack.h"

/* `count` units from column `column` of row `row` on, without those rows of tiles that `large` has a bit of; `upper`
 * where all of them lack their lower tiles. */
static void winograd_run_from(const winograd_call *a, size_t row, size_t column, size_t count, bool upper,
                              unsigned large) {
    const winograd_plan *p = a->plan;
    const convpool_shape *s = a->job->shape;
    winograd_block b;
    winograd_begin_block(p, upper, &b);
    b.image = a->image, b.origin = a->first_row, b.zeros = a->zeros;
    if (winograd_by_pixel(p) && p->gathered) {
        winograd_add_all(s, p, &b, row, column, count);
        windows_gather(s, p, a->job->input,
                       (pixels_planes){.first = b.to[0], .count = count, .to = a->v, .lines = a->band});
    } else {
        for (size_t n = 0, in_row = 0; n < count; n++) {
            if (in_row++ > 0 && column > p->inner && column < p->inner_end)
                winograd_add_next(s, p, &b);
            else
                winograd_add_unit(s, p, &b, row, column, large);
            if (++column == p->unit_columns) column = in_row = 0, row++;
        }
        winograd_end_block(p, &b);
        winograd_transform_inputs(s, p, &b, a->v);
    }
    winograd_run_block(a, &b);
}

/* How many units from a place on are a block, before row end_row; `upper` where all of them lack their lower tiles. The
 * last row of units, where it hangs over the image, makes blocks of its own, if there is more than one block. What is
 * left for two blocks is halved. */
static size_t winograd_next_block(const winograd_plan *p, size_t row, size_t column, size_t end_row, bool *upper) {
    size_t last_row = p->unit_rows - 1, step = winograd_unit_windows(p), rows_left = p->conv_height - last_row * step;
    bool hangs = rows_left < step && p->unit_rows * p->unit_columns > p->units, last = row == last_row;
    *upper = last && rows_left <= p->tile && (hangs || p->unit_rows == 1);
    size_t most = p->slots / p->across / (*upper ? 1 : p->across),
           end = hangs && !last ? size_min(end_row, last_row) : end_row;
    size_t left = (end - row) * p->unit_columns - column, half = (left + 1) / 2;
    if (left <= most) return left;
    return left < 2 * most ? size_round_up(half, winograd_by_pixel(p) ? vec_lanes : 1) : most;
}

/* The first of some rows of units an input of which may be too large; `end` where there is none. */
static size_t winograd_first_large(const winograd_call *a, size_t row, size_t end) {
    const convpool_shape *s = a->job->shape;
    if (row >= end || !winograd_may_be_large(s, a->plan, a->job->input, a->limit, row, end)) return end;
    while (row < end && !winograd_may_be_large(s, a->plan, a->job->input, a->limit, row, row + 1))
        row++;
    return row;
}

/* Rows of units, block by block, as far as no input in them may be too large: returns the row before which it ends. */
static size_t winograd_run_units(const winograd_call *a, size_t row, size_t end_row) {
    const winograd_plan *p = a->plan;
    size_t column = 0, seen = row; /* rows before `seen` are known to be small enough */
    while (row < end_row) {
        bool upper;
        size_t count = winograd_next_block(p, row, column, end_row, &upper);
        size_t end = size_min(row + (column + count - 1) / p->unit_columns + 1, end_row);
        seen = winograd_first_large(a, seen, end);
        if (seen < end) end_row = seen;
        count = size_min(count, (end_row - row) * p->unit_columns - column);
        if (count == 0) break;
        winograd_run_from(a, row, column, count, p->across > 1 && upper, 0);
        column += count;
        row += column / p->unit_columns;
        column %= p->unit_columns;
    }
    return row;
}

/* Output rows computed directly. */
static void winograd_run_directly(const winograd_call *a, size_t first, size_t end) {
    convpool_job job = *a->job;
    if (first < job.first_row) first = job.first_row;
    if (end > a->end_row) end = a->end_row;
    if (first >= end) return;
    job.packed = a->bias;
    job.first_row = first;
    job.row_count = end - first;
    direct_run(&job);
}

/* A bit for each row of tiles, of a row of units, some output of which reads too large an input; whether all have one.
 */
static unsigned winograd_large_rows(const winograd_call *a, size_t unit_row, bool *all) {
    const winograd_plan *p = a->plan;
    unsigned large = 0;
    *all = true;
    for (size_t i = 0; i < p->across && (unit_row * p->across + i) * p->tile < p->conv_height; i++) {
        if (winograd_row_is_large(a->job->shape, p, a->job->input, a->limit, unit_row * p->across + i))
            large |= 1U << i;
        else
            *all = false;
    }
    return large;
}

/* A row of units in which some row of tiles reads no such input. */
static void winograd_run_mixed(const winograd_call *a, size_t unit_row, unsigned large) {
    const winograd_plan *p = a->plan;
    for (size_t column = 0, count; column < p->unit_columns; column += count) {
        count = size_min(p->units, p->unit_columns - column);
        winograd_run_from(a, unit_row, column, count, false, large);
    }
    if (large == 0) return;
    /* Pooled, two rows of tiles are three rows of pixels: one of each, and one that mixes them. */
    size_t first = unit_row * p->pixels, middle = first + 1, own = large == 1 ? first : first + 2;
    winograd_run_directly(a, own, own + 1);
    if (middle >= a->job->first_row && middle < a->end_row)
        winograd_merge_row(a->job, a->bias, 2 * middle + (large != 1));
}

/* Rows of units whose inputs are at hand. */
static void winograd_run_rows(const winograd_call *a, size_t row, size_t end) {
    while (row < end) {
        row = winograd_run_units(a, row, end);
        size_t first = row; /* of those that may be large */
        unsigned large = 0;
        for (bool all = true; row < end; row++) {
            large = winograd_large_rows(a, row, &all);
            if (!all) break;
        }
        if (row > first)
            winograd_run_directly(a, first * a->plan->pixels, row * a->plan->pixels);
        else if (row < end)
            winograd_run_mixed(a, row++, large);
    }
}

static size_t winograd_row_step(const convpool_shape *s, winograd_scheme of) {
    return s->pool && of.tile == 2 ? 1 : of.tile;
}

/* Puts everything that a call needs in its place. */
static winograd_call winograd_begin(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    const winograd_header *header = job->packed;
    winograd_call a = {.job = job,
                       .plan = &header->plan,
                       .limit = header->limit,
                       .bias = (const float *)job->packed + winograd_header_floats,
                       .end_row = job->first_row + job->row_count,
                       .image = job->input};
    a.weights = a.bias + winograd_packed_direct(s);
    a.v = scratch_align(job->scratch);
    a.m = a.v + header->scratch.m;
    a.pixels = a.v + header->scratch.pixels;
    a.band = a.v + header->scratch.band;
    if (!a.plan->from_pixels) return a;
    a.zeros = memset(a.v + header->scratch.zeros, 0, s->channels * sizeof *a.v);
    size_t *terms = (size_t *)(void *)(a.v + header->scratch.terms);
    for (size_t c = 0; c < a.plan->parts * a.plan->parts * s->channels; c++)
        terms[c] = c;
    a.terms = terms;
    return a;
}

static void winograd_run_layer(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    winograd_call a = winograd_begin(job);
    const winograd_plan *p = a.plan;
    if (a.limit == 0) {
        winograd_run_directly(&a, job->first_row, a.end_row);
        return;
    }
    size_t row = job->first_row / p->pixels, end = (a.end_row + p->pixels - 1) / p->pixels;
    for (size_t count; row < end; row += count) {
        count = size_min(p->band, end - row);
        if (p->from_pixels && !p->in_place) {
            size_t step = winograd_unit_windows(p), first = row * step;
            a.first_row = first;
            a.image = source_rows(s, false, job->input, first, size_min(count * step, s->conv_height - first), a.band);
        }
        winograd_run_rows(&a, row, row + count);
    }
}

#endif
