/* SPDX-License-Identifier: MIT */
/*
 * The algorithm `direct`: the sum as it is written, over the vocabulary of vector.h.
 *
 * Lanes run over output pixels, numbered row by row through the whole output plane, so that a vector may
 * begin in one row and end in the next, and is stored in one piece. A tile of consecutive pixels is
 * gathered into scratch as planes, one per input channel and position that a pixel reads: with
 * pooling the 3x3 input pixels of its window, without it the 2x2 of its filter. A block of output
 * channels then multiplies the planes of four vectors (pooled: the four convolution outputs of one vector of
 * windows; else four vectors of pixels) by broadcast weights, and only its results are stored.
 *
 * Order of evaluation, the same on every ISA: from +0, over c, then u, then v ascending (positions in x),
 * one chain of multiply-adds; then the maximum, then bias, then ReLU.
 *
 * Error (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1): with n = 4C and
 * u = 2^-24, |y - exact| <= k u (|b| + sum |x||w|) + k 2^-149 (1 + sum |x|), k = (n + 1) / (1 - (n + 1) u):
 * no term meets more than one multiplication's rounding, n - 1 additions' (the first adds to zero), and the
 * bias's.
 *
 * Memory: packed weights are bias[O], padded to CONVPOOL_ALIGNMENT, then per block of direct_rows output
 * channels (the last may have fewer) [c][u][v][channel of the block].
 */
#ifndef CONVPOOL_DIRECT_H
#define CONVPOOL_DIRECT_H

#include "kernel.h"

#include <stdint.h>

/* Output channels a block: with four accumulators each, and their weights and an input vector beside
 * them, as many as the registers hold. */
enum { direct_rows = VEC_REGISTERS >= 32 ? 4 : VEC_REGISTERS >= 16 ? 3 : 1 };

/* The planes of a tile fit the smallest L1 data cache in use, 32 KiB, beside a block's weights, if not even
 * one step of pixels needs more. */
enum { direct_tile_bytes = 24 * 1024 };

VEC_INLINE size_t direct_min(size_t a, size_t b) { return a < b ? a : b; }
VEC_INLINE size_t direct_round_up(size_t a, size_t multiple) { return (a + multiple - 1) / multiple * multiple; }

VEC_INLINE size_t direct_plane_count(bool pool) { return pool ? 9 : 4; }

/* Pixels that one pass of the inner loop computes. */
VEC_INLINE size_t direct_step(bool pool) { return pool ? vec_lanes : 4 * vec_lanes; }

/* Pixels a tile: a multiple of the step. */
static size_t direct_tile(const convpool_shape *s) {
    size_t step = direct_step(s->pool);
    size_t fit = direct_tile_bytes / sizeof(float) / direct_plane_count(s->pool) / step / s->channels;
    size_t all = direct_round_up(s->out_height * s->out_width, step) / step;
    return step * (fit == 0 ? 1 : direct_min(fit, all));
}

static size_t direct_packed_bias(const convpool_shape *s) { /* in floats */
    return direct_round_up(s->out_channels, CONVPOOL_ALIGNMENT / sizeof(float));
}

static size_t direct_packed_size(const convpool_shape *s) {
    return (direct_packed_bias(s) + s->out_channels * s->channels * 4) * sizeof(float);
}

static void direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    float *to = packed;
    for (size_t o = 0; o < s->out_channels; o++)
        to[o] = bias == NULL ? 0 : bias[o];
    to += direct_packed_bias(s);
    size_t flip = s->flip ? 3 : 0;
    for (size_t o = 0; o < s->out_channels; o += direct_rows) {
        size_t rows = direct_min(direct_rows, s->out_channels - o);
        for (size_t c = 0; c < s->channels; c++)
            for (size_t uv = 0; uv < 4; uv++)
                for (size_t row = 0; row < rows; row++)
                    *to++ = weights[((o + row) * s->channels + c) * 4 + (uv ^ flip)];
    }
}

static size_t direct_scratch_size(const convpool_shape *s) {
    return direct_plane_count(s->pool) * s->channels * direct_tile(s) * sizeof(float) + CONVPOOL_ALIGNMENT - 1;
}

static size_t direct_row_step(const convpool_shape *s) {
    (void)s;
    return 1;
}

/* n pixels of one row: to[i] = from[i]. */
VEC_INLINE void direct_gather_copy(const float *from, float *to, size_t n) {
    if (n < vec_lanes) {
        vec_store_part(to, vec_load_part(from, n), n);
        return;
    }
    for (size_t i = 0; i < n; i += vec_lanes) {
        size_t at = direct_min(i, n - vec_lanes); /* the last vector overlaps the one before */
        vec_store(to + at, vec_load(from + at));
    }
}

/* n pooled pixels of one row: to[j * pitch + i] = from[2 * i + j] for the three columns j of a window. */
VEC_INLINE void direct_gather_split(const float *from, float *to, size_t pitch, size_t n) {
    vec middle, right;
    if (n < vec_lanes) {
        vec left = vec_load_even_odd_part(from, n, &middle);
        vec_load_even_odd_part(from + 1, n, &right);
        vec_store_part(to, left, n);
        vec_store_part(to + pitch, middle, n);
        vec_store_part(to + 2 * pitch, right, n);
        return;
    }
    for (size_t i = 0; i < n; i += vec_lanes) {
        size_t at = direct_min(i, n - vec_lanes);
        vec left = vec_load_even_odd(from + 2 * at, &middle);
        vec_load_even_odd(from + 2 * at + 1, &right); /* the even ones from + 2 on would read too far */
        vec_store(to + at, left);
        vec_store(to + pitch + at, middle);
        vec_store(to + 2 * pitch + at, right);
    }
}

/* Fills planes[c][position][pitch] for output pixels [first, first + count), and with zeros up to a
 * multiple of the step. */
static void direct_gather(const convpool_shape *s, const float *input, size_t first, size_t count,
                          float *planes, size_t pitch) {
    size_t plane_count = direct_plane_count(s->pool), padded = direct_round_up(count, direct_step(s->pool));
    size_t first_row = first / s->out_width, first_column = first % s->out_width;
    for (size_t c = 0; c < s->channels; c++, input += s->height * s->width, planes += plane_count * pitch) {
        size_t row = first_row, column = first_column;
        for (size_t done = 0, n; done < count; done += n, row++, column = 0) {
            n = direct_min(count - done, s->out_width - column);
            if (s->pool) {
                const float *x = input + 2 * row * s->width + 2 * column;
                for (size_t i = 0; i < 3; i++)
                    direct_gather_split(x + i * s->width, planes + 3 * i * pitch + done, pitch, n);
            } else {
                const float *x = input + row * s->width + column;
                for (size_t uv = 0; uv < 4; uv++)
                    direct_gather_copy(x + uv / 2 * s->width + uv % 2, planes + uv * pitch + done, n);
            }
        }
        for (size_t plane = 0; plane < plane_count; plane++)
            for (size_t i = count; i < padded; i++)
                planes[plane * pitch + i] = 0;
    }
}

/* Where a block's results go: `count` pixels from `output` on, in each of its channels. */
typedef struct direct_target {
    float *output;
    size_t plane; /* floats from one channel to the next */
    size_t count;
} direct_target;

VEC_INLINE void direct_finish(const convpool_shape *s, vec y, const float *bias, float *to, size_t count) {
    y = vec_add(y, vec_splat(bias));
    if (s->relu) y = vec_relu(y);
    if (count < vec_lanes)
        vec_store_part(to, y, count);
    else
        vec_store(to, y);
}

/* `rows` output channels of one step of pixels; rows and pool are constants where this is inlined. */
VEC_INLINE void direct_block(const convpool_shape *s, int rows, bool pool, const float *planes, size_t pitch,
                             const float *weights, const float *bias, direct_target target) {
    vec sum[direct_rows][4];
    VEC_UNROLL for (int row = 0; row < rows; row++)
        VEC_UNROLL for (int n = 0; n < 4; n++) sum[row][n] = vec_zero();

    const float *corner = planes; /* what the filter's position u, v meets in the first of the four */
    for (size_t c = 0; c < s->channels; c++) {
        VEC_UNROLL for (size_t uv = 0; uv < 4; uv++) {
            vec weight[direct_rows];
            VEC_UNROLL for (int row = 0; row < rows; row++) weight[row] = vec_splat(weights++);
            VEC_FORGET(weights);
            VEC_FORGET(corner); /* else GCC keeps planes in registers across positions, and spills the sums */
            VEC_UNROLL for (size_t n = 0; n < 4; n++) {
                vec input = vec_load_aligned(corner + (pool ? n / 2 * 3 * pitch + n % 2 * pitch : n * vec_lanes));
                VEC_UNROLL for (int row = 0; row < rows; row++)
                    sum[row][n] = vec_mul_add(input, weight[row], sum[row][n]);
            }
            corner += pool ? (uv % 2 == 0 ? 1 : uv == 1 ? 2 : 5) * pitch : pitch;
        }
    }

    VEC_UNROLL for (int row = 0; row < rows; row++) {
        float *to = target.output + (size_t)row * target.plane;
        if (pool) {
            vec largest = vec_max4(sum[row][0], sum[row][1], sum[row][2], sum[row][3]);
            direct_finish(s, largest, bias + row, to, target.count);
        } else {
            VEC_UNROLL for (size_t n = 0; n < 4; n++) {
                size_t before = n * vec_lanes;
                if (before < target.count)
                    direct_finish(s, sum[row][n], bias + row, to + before, target.count - before);
            }
        }
    }
}

/* All output channels of one step of pixels. */
VEC_INLINE void direct_blocks(const convpool_shape *s, bool pool, const float *packed, const float *planes,
                              size_t pitch, direct_target target) {
    const float *bias = packed, *weights = packed + direct_packed_bias(s);
    for (size_t left = s->out_channels; left > 0;) {
        size_t rows = direct_min(left, direct_rows);
        switch (rows) { /* a constant in each call, so that the sums live in registers */
        case 1: direct_block(s, 1, pool, planes, pitch, weights, bias, target); break;
#if VEC_REGISTERS >= 16
        case 2: direct_block(s, 2, pool, planes, pitch, weights, bias, target); break;
        case 3: direct_block(s, 3, pool, planes, pitch, weights, bias, target); break;
#endif
#if VEC_REGISTERS >= 32
        case 4: direct_block(s, 4, pool, planes, pitch, weights, bias, target); break;
#endif
        }
        left -= rows;
        bias += rows;
        weights += rows * s->channels * 4;
        target.output += rows * target.plane;
    }
}

static void direct_run(const convpool_shape *s, const void *packed, const float *input, float *output,
                       void *scratch, size_t first_row, size_t row_count) {
    uintptr_t address = (uintptr_t)scratch;
    float *planes = (float *)((char *)scratch + (-address & (CONVPOOL_ALIGNMENT - 1)));
    size_t tile = direct_tile(s), step = direct_step(s->pool);
    size_t end = (first_row + row_count) * s->out_width;
    for (size_t first = first_row * s->out_width; first < end; first += tile) {
        size_t count = direct_min(tile, end - first);
        direct_gather(s, input, first, count, planes, tile);
        for (size_t at = 0; at < count; at += step) {
            direct_target target = {output + first + at, s->out_height * s->out_width, count - at};
            if (s->pool)
                direct_blocks(s, true, packed, planes + at, tile, target);
            else
                direct_blocks(s, false, packed, planes + at, tile, target);
        }
    }
}

#define DIRECT_KERNEL(isa)                                                                                  \
    { isa "-direct", "direct", direct_packed_size, direct_pack, direct_scratch_size, direct_row_step, direct_run }

#endif
