/* SPDX-License-Identifier: MIT */
/*
 * The algorithm `direct`: the sum as it is written.
 *
 * Order of evaluation, the same on every ISA: from +0, over c, then u, then v ascending (positions in x), one chain of
 * multiply-adds; then the maximum, then bias, then ReLU.
 *
 * Error (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1): with n = 4C and u = 2^-24,
 * |y - exact| <= k u (|b| + sum |x||w|) + k 2^-149 (1 + sum |x|), k = (n + 1) / (1 - (n + 1) u): no term meets more
 * than one multiplication's rounding, n - 1 additions' (the first adds to zero), and the bias's.
 *
 * Lanes run over output channels. A block of output pixels has a slot for each convolution output that it takes: row by
 * row of pixels, the upper convolution row of these, then the lower. What slot and filter position meet in the input is
 * gathered, [c][u][v][slot], and the rest is a matrix product. Where there are few input channels lanes run over pixels
 * instead (pixels/direct.h).
 */
#ifndef CONVPOOL_DIRECT_H
#define CONVPOOL_DIRECT_H

#include "finish.h"
#include "packed.h"
#include "product.h"

enum {
    direct_slots = 96,           /* of a block, at most */
    direct_few_slots = 24,       /* and at least, however many input channels there are */
    direct_gathered = 24 * 1024, /* bytes of gathered inputs, else */
};

static const packed_blocks direct_blocks = {product_lanes, vec_lanes};

static inline size_t direct_slots_of_block(const convpool_shape *s) {
    size_t fit = direct_gathered / sizeof(float) / 4 / s->channels / 4 * 4;
    size_t all = packed_round_up(s->out_height * s->out_width * (s->pool ? 4 : 1), 4);
    return packed_min(all, fit < direct_few_slots ? direct_few_slots : packed_min(fit, direct_slots));
}

static size_t direct_packed_size(const convpool_shape *s) { return packed_size(s, direct_blocks); }

static void direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    packed_pack(s, direct_blocks, weights, bias, packed);
}

static inline double direct_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return packed_direct_bound(s, direct_blocks, packed, max_abs_input);
}

/* Scratch: gathered inputs, and behind them a block's sums. */
static size_t direct_pitch(const convpool_shape *s) { return packed_round_up(direct_slots_of_block(s), vec_lanes); }
static size_t direct_gathered_floats(const convpool_shape *s) { /* a vector may be stored behind the last slot */
    return packed_round_up(4 * s->channels * direct_pitch(s) + vec_lanes, CONVPOOL_ALIGNMENT / sizeof(float));
}
static size_t direct_scratch_size(const convpool_shape *s) {
    size_t sums = direct_slots_of_block(s) * product_lanes;
    return (direct_gathered_floats(s) + sums) * sizeof(float) + CONVPOOL_ALIGNMENT - 1;
}

/* Slots that lie side by side in the input. */
typedef struct direct_piece {
    size_t from, slot, count;
} direct_piece;

typedef struct direct_block {
    size_t slots, piece_count;
    direct_piece pieces[direct_slots]; /* pooled, by turns upper ones and their lower ones */
} direct_block;

/* Makes the block of so many pixels of the output plane. */
static void direct_make_block(const convpool_shape *s, size_t first, size_t pixels, direct_block *b) {
    size_t row = first / s->out_width, column = first % s->out_width, stride = s->pool ? 2 : 1;
    b->slots = b->piece_count = 0;
    for (size_t left = pixels, n; left > 0; left -= n, row++, column = 0) {
        n = packed_min(left, s->out_width - column);
        for (size_t i = 0; i < stride; i++) {
            size_t from = (stride * row + i) * s->width + stride * column;
            b->pieces[b->piece_count++] = (direct_piece){from, b->slots, stride * n};
            b->slots += stride * n;
        }
    }
}

/* What is stored behind the last of a piece is written again: by the next piece, or the next plane's first. */
static void direct_gather(const convpool_shape *s, const direct_block *b, const float *input, float *to) {
    size_t in_plane = s->height * s->width, pitch = direct_pitch(s);
    for (size_t c = s->channels; c > 0; c--, input += in_plane)
        for (size_t uv = 0; uv < 4; uv++, to += pitch) {
            const float *x = input + uv / 2 * s->width + uv % 2;
            for (const direct_piece *p = b->pieces; p < b->pieces + b->piece_count; p++) {
                size_t i = 0;
                for (; i + vec_lanes <= p->count; i += vec_lanes)
                    vec_store(to + p->slot + i, vec_load(x + p->from + i));
                if (i < p->count) vec_store(to + p->slot + i, vec_load_part(x + p->from + i, p->count - i));
            }
        }
}

/* A block's sums, [slot][channel], in the output channels from o on that are computed together: how many these are. */
static size_t direct_sum(const convpool_shape *s, const direct_block *b, const float *gathered, const float *packed,
                         size_t o, float *sums) {
    size_t lanes = packed_block(s, direct_blocks, o);
    product p = {.rows = gathered,
                 .lanes = packed + packed_bias(s, direct_blocks) + o * s->channels * 4,
                 .sums = sums,
                 .depth = s->channels * 4,
                 .positions = 1,
                 .row_pitch = direct_pitch(s),
                 .lane_pitch = lanes,
                 .sum_row = lanes};
    product_run(p, b->slots, lanes / vec_lanes);
    return lanes;
}

/* Turns a block's sums, [slot][channel], into its pixels, in the same place. */
static void direct_finish(const convpool_shape *s, const direct_block *b, const float *bias, size_t lanes,
                          float *sums) {
    for (size_t n = 0; n < lanes; n += vec_lanes) {
        vec biases = vec_load(bias + n);
        float *to = sums + n;
        if (!s->pool)
            for (size_t slot = 0; slot < b->slots; slot++, to += lanes)
                vec_store(to, finish(vec_load(to), biases, s->relu));
        for (size_t i = 0; s->pool && i < b->piece_count; i += 2) {
            const float *upper = sums + n + b->pieces[i].slot * lanes, *lower = upper + b->pieces[i].count * lanes;
            for (size_t left = b->pieces[i].count; left > 0; left -= 2, upper += 2 * lanes, lower += 2 * lanes) {
                vec largest =
                    vec_max4(vec_load(upper), vec_load(upper + lanes), vec_load(lower), vec_load(lower + lanes));
                vec_store(to, finish(largest, biases, s->relu));
                to += lanes;
            }
        }
    }
}

static void direct_run(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    const float *packed = job->packed;
    float *gathered = packed_align(job->scratch), *sums = gathered + direct_gathered_floats(s);
    size_t first = job->first_row * s->out_width, end = first + job->row_count * s->out_width;
    size_t most = direct_slots_of_block(s) / (s->pool ? 4 : 1), plane = s->out_height * s->out_width;
    for (size_t pixels; first < end; first += pixels) {
        direct_block b;
        pixels = packed_min(most, end - first);
        direct_make_block(s, first, pixels, &b);
        direct_gather(s, &b, job->input, gathered);
        for (size_t o = 0, lanes; o < s->out_channels; o += lanes) {
            lanes = direct_sum(s, &b, gathered, packed, o, sums);
            direct_finish(s, &b, packed + o, lanes, sums);
            finish_write(&(finish_pixels){.from = sums,
                                          .pitch = lanes,
                                          .count = pixels,
                                          .channels = packed_min(lanes, s->out_channels - o),
                                          .to = job->output + o * plane + first,
                                          .plane = plane});
        }
    }
    vec_end();
}

#endif
