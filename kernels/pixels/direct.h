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
 * Memory: packed weights are bias[O], padded to CONVPOOL_ALIGNMENT, then per block of pixel_direct_rows output
 * channels (the last may have fewer) [c][u][v][channel of the block].
 */
#ifndef CONVPOOL_PIXELS_DIRECT_H
#define CONVPOOL_PIXELS_DIRECT_H

#include "../packed.h"

#include <float.h>
#include <math.h>
#include <stdint.h>

/* Output channels a block: with four accumulators each, and their weights and an input vector beside
 * them, as many as the registers hold. */
_Static_assert(VEC_REGISTERS == 8 || VEC_REGISTERS == 16 || VEC_REGISTERS == 32, "blocks are written for these");
_Static_assert(vec_lanes == 1 || vec_lanes == 4 || vec_lanes == 8 || vec_lanes == 16, "steps are measured in these");
enum { pixel_direct_rows = VEC_REGISTERS >= 32 ? 4 : VEC_REGISTERS >= 16 ? 3 : 1 };

/* The planes of a tile fit the smallest L1 data cache in use, 32 KiB, beside a block's weights, if not even
 * one step of pixels needs more. */
enum { pixel_direct_tile_bytes = 24 * 1024 };

VEC_INLINE size_t pixel_direct_plane_count(bool pool) { return pool ? 9 : 4; }

/* Pixels that one pass of the inner loop computes. */
VEC_INLINE size_t pixel_direct_step(bool pool) { return pool ? vec_lanes : 4 * vec_lanes; }

/* Pixels a tile: a multiple of the step. */
static size_t pixel_direct_tile_pixels(const convpool_shape *s) {
    size_t step = pixel_direct_step(s->pool);
    size_t fit = pixel_direct_tile_bytes / sizeof(float) / pixel_direct_plane_count(s->pool) / step / s->channels;
    size_t all = packed_round_up(s->out_height * s->out_width, step) / step;
    return step * (fit == 0 ? 1 : packed_min(fit, all));
}

static const packed_blocks pixel_direct_packed = {pixel_direct_rows, 1};

static size_t pixel_direct_packed_size(const convpool_shape *s) { return packed_size(s, pixel_direct_packed); }

static void pixel_direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    packed_pack(s, pixel_direct_packed, weights, bias, packed);
}

static inline double pixel_direct_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return packed_direct_bound(s, pixel_direct_packed, packed, max_abs_input);
}

static size_t pixel_direct_scratch_size(const convpool_shape *s) {
    return pixel_direct_plane_count(s->pool) * s->channels * pixel_direct_tile_pixels(s) * sizeof(float) +
           CONVPOOL_ALIGNMENT - 1;
}

/* Loads and stores of n <= vec_lanes floats or pairs; where `whole`, a constant after inlining, n is vec_lanes. */
VEC_INLINE vec pixel_direct_load(const float *p, bool whole, size_t n) {
    return whole ? vec_load(p) : vec_load_part(p, n);
}
VEC_INLINE vec pixel_direct_load_even_odd(const float *p, bool whole, size_t n, vec *odd) {
    return whole ? vec_load_even_odd(p, odd) : vec_load_even_odd_part(p, n, odd);
}
VEC_INLINE void pixel_direct_store(float *p, vec a, bool whole, size_t n) {
    if (whole)
        vec_store(p, a);
    else
        vec_store_part(p, a, n);
}

/* What may be done with the values of a vector of windows, by position, before they are stored as planes. */
typedef void pixel_direct_transform(vec window[9]);

/* Where planes go: floats from one plane of a channel to the next, and from one channel to the next. */
typedef struct pixel_direct_pitch {
    size_t plane, channel;
} pixel_direct_pitch;

/* The planes of n pixels of one row in one channel; `from` is what the first pixel reads first. */
VEC_INLINE void pixel_direct_gather_pixels(bool pool, pixel_direct_transform *transform, bool whole, size_t n,
                                           const float *from, size_t width, float *to, size_t pitch) {
    vec window[9];
    if (pool) {
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++) {
            const float *x = from + i * width;
            window[3 * i] = pixel_direct_load_even_odd(x, whole, n, &window[3 * i + 1]);
            if (whole)
                window[3 * i + 2] = vec_shift_in(window[3 * i], x + 2 * vec_lanes);
            else /* the even ones from x + 2 on would reach too far */
                vec_load_even_odd_part(x + 1, n, &window[3 * i + 2]);
        }
        if (transform != NULL) transform(window);
    } else {
        VEC_UNROLL
        for (size_t uv = 0; uv < 4; uv++)
            window[uv] = pixel_direct_load(from + uv / 2 * width + uv % 2, whole, n);
    }
    VEC_UNROLL
    for (size_t i = 0; i < pixel_direct_plane_count(pool); i++)
        pixel_direct_store(to + i * pitch, window[i], whole, n);
}

/* Fills the planes of output pixels [first, first + count), and with zeros up to a multiple of the step. */
VEC_INLINE void pixel_direct_gather(const convpool_shape *s, bool pool, pixel_direct_transform *transform,
                                    const float *input, size_t first, size_t count, float *planes,
                                    pixel_direct_pitch pitch) {
    size_t first_row = first / s->out_width, first_column = first % s->out_width, stride = pool ? 2 : 1;
    size_t padded = packed_round_up(count, pixel_direct_step(pool)), width = s->width, out_width = s->out_width;
    size_t in_plane = s->height * width;
    input += stride * (first_row * width);
    for (size_t c = s->channels; c > 0; c--, input += in_plane, planes += pitch.channel) {
        const float *row = input;
        for (size_t done = 0, column = first_column, n; done < count; done += n, row += stride * width, column = 0) {
            n = packed_min(count - done, out_width - column);
            const float *from = row + stride * column;
            float *to = planes + done;
            if (n < vec_lanes)
                pixel_direct_gather_pixels(pool, transform, false, n, from, width, to, pitch.plane);
            else
                for (size_t i = 0; i < n; i += vec_lanes) {
                    size_t at = packed_min(i, n - vec_lanes); /* the last vector overlaps the one before */
                    pixel_direct_gather_pixels(pool, transform, true, vec_lanes, from + stride * at, width, to + at,
                                               pitch.plane);
                }
        }
        for (size_t plane = 0; plane < pixel_direct_plane_count(pool); plane++)
            for (size_t i = count; i < padded; i++)
                planes[plane * pitch.plane + i] = 0;
    }
}

/* A tile of output pixels: its planes, and where its results go. */
typedef struct pixel_direct_tile {
    const float *planes;
    float *output;                            /* of the first pixel in the first channel */
    size_t channels, pitch, count, out_plane; /* planes have pitch floats, the output's channels out_plane */
    bool pool, relu;
} pixel_direct_tile;

VEC_INLINE void pixel_direct_finish(const pixel_direct_tile *t, vec sum, vec bias, float *to, size_t count) {
    vec y = vec_add(sum, bias);
    if (t->relu) y = vec_relu(y);
    pixel_direct_store(to, y, count >= vec_lanes, count);
}

/* `rows` output channels of every pixel of a tile; rows and pool are constants where this is inlined. */
VEC_INLINE void pixel_direct_block(int rows, bool pool, const pixel_direct_tile *t, const float *block_weights,
                                   const float *bias, float *output) {
    size_t pitch = t->pitch, side = pool ? 3 : 2;
    for (size_t at = 0; at < t->count; at += pixel_direct_step(pool)) {
        vec sum[pixel_direct_rows][4];
        VEC_UNROLL
        for (int row = 0; row < rows; row++) {
            VEC_UNROLL
            for (size_t n = 0; n < 4; n++)
                sum[row][n] = vec_zero();
        }

        const float *weights = block_weights;
        const float *row_of_planes[3]; /* the planes of each row of positions */
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++)
            row_of_planes[i] = t->planes + at + i * side * pitch;
        for (size_t c = t->channels; c > 0; c--) {
            VEC_UNROLL
            for (size_t uv = 0; uv < 4; uv++) {
                vec weight[pixel_direct_rows];
                VEC_UNROLL
                for (int row = 0; row < rows; row++)
                    weight[row] = rows == 4 ? vec_splat_of_4(weights, (size_t)row) : vec_splat(weights + row);
                weights += rows;
                /* Else GCC keeps inputs from one position to the next, and spills sums. */
                VEC_UNROLL
                for (size_t i = 0; i < 3; i++)
                    VEC_FORGET(row_of_planes[i]);
                VEC_UNROLL
                for (size_t n = 0; n < 4; n++) {
                    size_t i = uv / 2 + (pool ? n / 2 : 0), j = uv % 2 + (pool ? n % 2 : 0);
                    vec input = vec_load_aligned(row_of_planes[i] + j * pitch + (pool ? 0 : n * vec_lanes));
                    VEC_UNROLL
                    for (int row = 0; row < rows; row++)
                        sum[row][n] = vec_mul_add(input, weight[row], sum[row][n]);
                }
            }
            VEC_UNROLL
            for (size_t i = 0; i < 3; i++)
                row_of_planes[i] += pixel_direct_plane_count(pool) * pitch;
        }

        float *to = output + at;
        size_t count = t->count - at;
        VEC_UNROLL
        for (int row = 0; row < rows; row++, to += t->out_plane) {
            vec b = vec_splat(bias + row);
            if (pool) {
                pixel_direct_finish(t, vec_max4(sum[row][0], sum[row][1], sum[row][2], sum[row][3]), b, to, count);
            } else {
                VEC_UNROLL
                for (size_t n = 0; n < 4; n++)
                    if (n * vec_lanes < count)
                        pixel_direct_finish(t, sum[row][n], b, to + n * vec_lanes, count - n * vec_lanes);
            }
        }
    }
}

/* pixel_direct_block() for each number of rows, as functions of their own: GCC then keeps all sums in registers. */
typedef void pixel_direct_block_function(const pixel_direct_tile *t, const float *weights, const float *bias,
                                         float *output);
#define PIXEL_DIRECT_BLOCK(rows) \
    static void pixel_direct_block_##rows(const pixel_direct_tile *t, const float *weights, const float *bias, \
                                          float *output) { \
        if (t->pool) \
            pixel_direct_block(rows, true, t, weights, bias, output); \
        else \
            pixel_direct_block(rows, false, t, weights, bias, output); \
    }
PIXEL_DIRECT_BLOCK(1)
#if VEC_REGISTERS >= 16
PIXEL_DIRECT_BLOCK(2)
PIXEL_DIRECT_BLOCK(3)
#endif
#if VEC_REGISTERS >= 32
PIXEL_DIRECT_BLOCK(4)
#endif

static pixel_direct_block_function *const pixel_direct_blocks[pixel_direct_rows] = {
    pixel_direct_block_1,
#if VEC_REGISTERS >= 16
    pixel_direct_block_2,
    pixel_direct_block_3,
#endif
#if VEC_REGISTERS >= 32
    pixel_direct_block_4,
#endif
};

static void pixel_direct_run(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    const void *packed = job->packed;
    const float *input = job->input;
    float *output = job->output;
    void *scratch = job->scratch;
    size_t first_row = job->first_row, row_count = job->row_count;
    uintptr_t misaligned = (uintptr_t)scratch % CONVPOOL_ALIGNMENT;
    float *planes = (float *)((char *)scratch + (misaligned ? CONVPOOL_ALIGNMENT - misaligned : 0));
    const float *bias = packed, *weights = bias + packed_bias(s, pixel_direct_packed);
    size_t first = first_row * s->out_width, end = first + row_count * s->out_width, most = pixel_direct_tile_pixels(s);
    for (; first < end; first += most) {
        pixel_direct_tile t = {
            .planes = planes,
            .output = output + first,
            .channels = s->channels,
            .pitch = most,
            .count = packed_min(most, end - first),
            .out_plane = s->out_height * s->out_width,
            .pool = s->pool,
            .relu = s->relu,
        };
        pixel_direct_pitch pitch = {most, pixel_direct_plane_count(s->pool) * most};
        if (s->pool)
            pixel_direct_gather(s, true, NULL, input, first, t.count, planes, pitch);
        else
            pixel_direct_gather(s, false, NULL, input, first, t.count, planes, pitch);
        for (size_t o = 0, rows; o < s->out_channels; o += rows) {
            rows = packed_min(pixel_direct_rows, s->out_channels - o);
            pixel_direct_blocks[rows - 1](&t, weights + o * s->channels * 4, bias + o, t.output + o * t.out_plane);
        }
    }
    vec_end();
}

#endif
