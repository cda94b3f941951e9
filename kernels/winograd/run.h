/* SPDX-License-Identifier: MIT */
/* The algorithms `winograd22` and `winograd32`. */
#ifndef CONVPOOL_WINOGRAD_RUN_H
#define CONVPOOL_WINOGRAD_RUN_H

#include "repair.h"

/* What all blocks of a call have in common. */
typedef struct winograd_call {
    const convpool_job *job;
    winograd_plan plan;
    float limit;
    const float *bias, *weights; /* what `direct` has packed, and the transformed weights */
    float *v, *m, *pixels;
    size_t end_row;
} winograd_call;

/* Writes a block's pixels in `lanes` output channels from o on. */
static void winograd_write(const winograd_call *a, const winograd_block *b, size_t o, size_t lanes) {
    const convpool_shape *s = a->job->shape;
    size_t pixels = a->plan.pixels, row_floats = pixels * b->units * product_lanes;
    size_t plane = s->out_height * s->out_width;
    for (const winograd_run *run = b->runs; run < b->runs + b->run_count; run++)
        for (size_t i = 0; i < pixels; i++) {
            size_t row = run->row + i;
            if (row < a->job->first_row || row >= a->end_row) continue;
            finish_write(&(finish_pixels){.from = a->pixels + i * row_floats + pixels * run->unit * product_lanes,
                                          .pitch = product_lanes,
                                          .count = run->count,
                                          .channels = packed_min(lanes, s->out_channels - o),
                                          .to = a->job->output + o * plane + row * s->out_width + run->column,
                                          .plane = plane});
        }
}

/* The products of a block with a chunk of blocks of output channels, from vector `first` on. */
static void winograd_products(const winograd_call *a, const winograd_block *b, size_t first, size_t chunk) {
    size_t channels = a->job->shape->channels, positions = a->plan.positions;
    size_t step = chunk > 1 ? 1 : positions; /* one at a time, their inputs stay in the cache for all blocks */
    for (size_t position = 0; position < positions; position += step)
        for (size_t i = 0; i < chunk; i++) {
            size_t vector = first + i * tune_vecs, vecs = packed_min(tune_vecs, a->plan.vecs - vector);
            size_t weight_position = channels * vecs * vec_lanes;
            product p = {
                .inputs = a->v + position * a->plan.v_position,
                .weights = a->weights + positions * channels * vector * vec_lanes + position * weight_position,
                .sums = a->m + i * a->plan.slots * a->plan.m_slot + position * product_lanes,
                .depth = channels,
                .positions = step,
                .input_pitch = a->plan.slots,
                .input_position = a->plan.v_position,
                .weight_position = weight_position,
                .sum_slot = a->plan.m_slot,
            };
            product_run(&p, b->slots, vecs);
        }
}

/* A block whose tiles are known, in all output channels. */
static void winograd_run_block(const winograd_call *a, size_t tile, winograd_block *b) {
    const convpool_shape *s = a->job->shape;
    const winograd_plan *p = &a->plan;
    for (size_t slot = b->slots; slot % vec_lanes != 0; slot++) { /* whatever does no harm */
        b->from[slot] = b->from[0];
        b->rows[slot] = b->rows[0];
        b->columns[slot] = b->columns[0];
    }
    (tile == 2 ? winograd_transform_block_2 : winograd_transform_block_3)(s, p, b, a->job->input, a->v);
    bool forbid = false;
    for (size_t slot = 0; slot < b->slots; slot++)
        forbid |= b->rows[slot] == 0;
    for (size_t first = 0, chunk; first < p->vecs; first += chunk * tune_vecs) {
        chunk = packed_min(p->chunk, (p->vecs - first + tune_vecs - 1) / tune_vecs);
        winograd_products(a, b, first, chunk);
        for (size_t i = 0; i < chunk; i++) {
            size_t vector = first + i * tune_vecs, o = vector * vec_lanes;
            size_t lanes = packed_min(tune_vecs, p->vecs - vector) * vec_lanes;
            float *m = a->m + i * p->slots * p->m_slot;
            if (forbid) winograd_forbid(p, b, lanes, m);
            winograd_outputs[tile - 2][s->pool](&(winograd_output){.block = b,
                                                                   .m = m,
                                                                   .bias = a->bias + o,
                                                                   .pixels = a->pixels,
                                                                   .lanes = lanes,
                                                                   .m_slot = p->m_slot,
                                                                   .row_floats = p->pixels * b->units * product_lanes,
                                                                   .relu = s->relu});
            winograd_write(a, b, o, lanes);
        }
    }
}

/* Rows of units, block by block, as far as no input in them may be too large: returns the row before which it ends. */
static size_t winograd_run_units(const winograd_call *a, size_t tile, size_t row, size_t end_row) {
    const winograd_plan *p = &a->plan;
    size_t column = 0, seen = row, last_row = p->unit_rows - 1;
    size_t rows_left = p->conv_height - last_row * p->across * tile;
    while (row < end_row) {
        /* The last row of units, where it hangs over the image, makes blocks of its own, if there is more than one
         * block. */
        bool hangs = rows_left < p->across * tile && p->unit_rows * p->unit_columns > p->units, last = row == last_row;
        size_t edge = hangs && !last ? packed_min(end_row, last_row) : end_row;
        size_t most = p->slots / p->across / (last && rows_left <= tile ? 1 : p->across);
        size_t left = (edge - row) * p->unit_columns - column, count = packed_min(left, most);
        if (left > count && left < 2 * count) count = (left + 1) / 2;
        for (size_t end = row + (column + count - 1) / p->unit_columns; seen <= end && seen < end_row; seen++)
            if (winograd_may_be_large(a->job->shape, p, a->job->input, a->limit, seen)) end_row = seen;
        count = packed_min(count, (end_row - row) * p->unit_columns - column);
        winograd_block b;
        b.units = b.slots = b.run_count = 0;
        for (; count > 0; count--) {
            winograd_add_unit(a->job->shape, p, &b, row, column);
            if (++column == p->unit_columns) column = 0, row++;
        }
        if (b.units > 0) winograd_run_block(a, tile, &b);
    }
    return row;
}

/* A row of units without those rows of its tiles that `large` has a bit of. */
static void winograd_run_some(const winograd_call *a, size_t tile, size_t row, unsigned large) {
    const winograd_plan *p = &a->plan;
    for (size_t column = 0; column < p->unit_columns;) {
        winograd_block b;
        b.units = b.slots = b.run_count = 0;
        for (; b.units < p->units && column < p->unit_columns; column++)
            winograd_add_unit(a->job->shape, p, &b, row, column);
        for (size_t slot = 0; large != 0 && slot < b.slots; slot++) /* there are two rows of tiles, or none is left */
            if (large >> slot % 4 / 2 & 1) b.rows[slot] = b.columns[slot] = 0;
        winograd_run_block(a, tile, &b);
    }
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

/* A row of units with inputs that may be too large: each row of its tiles by itself. */
static void winograd_run_suspect(const winograd_call *a, size_t tile, size_t unit_row) {
    const convpool_job *job = a->job;
    const winograd_plan *p = &a->plan;
    size_t first = unit_row * p->pixels, middle = first + 1;
    unsigned large = 0, all = 0;
    for (size_t i = 0; i < p->across; i++) {
        size_t row = unit_row * p->across + i;
        if (row * tile >= p->conv_height) continue;
        all |= 1U << i;
        if (winograd_row_is_large(job->shape, p, job->input, a->limit, row)) large |= 1U << i;
    }
    if (large != all) winograd_run_some(a, tile, unit_row, large);
    if (large == 0) return;
    if (large == all) {
        winograd_run_directly(a, first, first + p->pixels);
        return;
    }
    /* Pooled, two rows of tiles are three rows of pixels: one of each, and one that mixes them. */
    size_t own = large == 1 ? first : first + 2;
    winograd_run_directly(a, own, own + 1);
    if (middle >= job->first_row && middle < a->end_row && middle < job->shape->out_height)
        winograd_merge_row(job, a->bias, 2 * middle + (large != 1));
}

static void winograd_run_layer(const convpool_job *job, size_t tile) {
    const convpool_shape *s = job->shape;
    const float *header = job->packed;
    winograd_call a = {
        .job = job, .plan = winograd_make_plan(s, tile), .limit = *header, .end_row = job->first_row + job->row_count};
    const winograd_plan *p = &a.plan;
    a.bias = header + packed_limit;
    a.weights = a.bias + winograd_packed_direct(s);
    a.v = direct_align(job->scratch);
    a.m = a.v + winograd_v_floats(p);
    a.pixels = a.m + p->chunk * p->slots * p->m_slot;
    if (a.limit == 0) {
        winograd_run_directly(&a, job->first_row, a.end_row);
        return;
    }
    size_t row = job->first_row / p->pixels, end = (a.end_row + p->pixels - 1) / p->pixels;
    for (; row < end; row++) {
        row = winograd_run_units(&a, tile, row, end);
        if (row < end) winograd_run_suspect(&a, tile, row);
    }
    vec_end();
}

#endif
