/* SPDX-License-Identifier: MIT */
/*
 * The algorithm `direct` with filters of 2x2, if input channels are few, or 1x1; ../direct.h has its order of
 * evaluation and its error.
 *
 * Lanes run over output pixels, numbered row by row through the whole output plane, so that a vector may
 * begin in one row and end in the next, and is stored in one piece. A tile of consecutive pixels is
 * gathered into scratch as planes, one per input channel and position that a pixel reads (gather.h). A block of output
 * channels then multiplies the planes of four vectors (pooled: the four convolution outputs of one vector of
 * windows; else four vectors of pixels) by broadcast weights, and only its results are stored.
 *
 * Memory: packed weights are bias[O], padded to CONVPOOL_ALIGNMENT, then per block of pixel_direct_rows output
 * channels (the last may have fewer) [c][u][v][channel of the block].
 */
#ifndef CONVPOOL_PIXELS_DIRECT_H
#define CONVPOOL_PIXELS_DIRECT_H

#include "../finish.h"
#include "gather.h"

/* Output channels a block: with four sums each they fit the registers. */
_Static_assert(VEC_REGISTERS == 8 || VEC_REGISTERS == 16 || VEC_REGISTERS == 32, "blocks are written for these");
_Static_assert(tune_pixel_rows >= 1 && tune_pixel_rows <= 4 && 4 * tune_pixel_rows <= VEC_REGISTERS,
               "and as many sums fit them");
_Static_assert(vec_lanes == 1 || vec_lanes == 4 || vec_lanes == 8 || vec_lanes == 16, "steps are measured in these");
enum { pixel_direct_rows = tune_pixel_rows };

/* The planes of a tile fit the smallest L1 data cache in use, 32 KiB, beside a block's weights, unless one step of
 * pixels alone needs more. */
enum { pixel_direct_tile_bytes = 24 * 1024 };

/* Pixels that one pass of the inner loop computes. */
VEC_INLINE size_t pixel_direct_step(bool pool) { return pool ? vec_lanes : 4 * vec_lanes; }

static size_t pixel_direct_positions(const convpool_shape *s) { return pixels_positions(s->filter_height, s->pool); }

/* Steps whose planes fit a tile. */
static size_t pixel_direct_fits(const convpool_shape *s) {
    return pixel_direct_tile_bytes / sizeof(float) / pixel_direct_positions(s) / pixel_direct_step(s->pool) /
           s->channels;
}

/* Pixels a tile: a multiple of the step. */
static size_t pixel_direct_tile_pixels(const convpool_shape *s) {
    size_t step = pixel_direct_step(s->pool), fit = pixel_direct_fits(s);
    size_t all = size_round_up(s->out_height * s->out_width, step) / step;
    return step * (fit == 0 ? 1 : size_min(fit, all));
}

static const packed_blocks pixel_direct_packed = {pixel_direct_rows, 1};

static size_t pixel_direct_packed_size(const convpool_shape *s) { return packed_blocks_size(s, pixel_direct_packed); }

static void pixel_direct_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    packed_pack(s, pixel_direct_packed, weights, bias, packed);
}

static inline double pixel_direct_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return packed_direct_bound(s, pixel_direct_packed, packed, max_abs_input);
}

static size_t pixel_direct_scratch_size(const convpool_shape *s) {
    size_t planes = pixel_direct_positions(s) * s->channels * pixel_direct_tile_pixels(s);
    return (planes + pixels_line_floats(s)) * sizeof(float) + CONVPOOL_ALIGNMENT - 1;
}

/* A tile of output pixels: its planes, and where its results go. */
typedef struct pixel_direct_tile {
    const float *planes;
    float *output;                            /* of the first pixel in the first channel */
    size_t channels, pitch, count, out_plane; /* planes have pitch floats, the output's channels out_plane */
    bool relu;
} pixel_direct_tile;

VEC_INLINE void pixel_direct_finish(const pixel_direct_tile *t, vec sum, vec bias, float *to, size_t count) {
    pixels_store(to, finish(sum, bias, t->relu), count >= vec_lanes, count);
}

/* The sums of `rows` output channels for four vectors: pooled, the four convolution outputs of one vector of windows,
 * else four vectors of pixels. */
VEC_INLINE void pixel_direct_sum(int rows, pixels_kind of, const pixel_direct_tile *t, const float *planes,
                                 const float *weights, vec sum[pixel_direct_rows][4]) {
    size_t pitch = t->pitch, side = pixels_side(of.filter, of.pool);
    VEC_UNROLL
    for (int row = 0; row < rows; row++) {
        VEC_UNROLL
        for (size_t n = 0; n < 4; n++)
            sum[row][n] = vec_zero();
    }
    const float *row_of_planes[3]; /* the planes of each row of positions */
    VEC_UNROLL
    for (size_t i = 0; i < side; i++)
        row_of_planes[i] = planes + i * side * pitch;
    for (size_t c = t->channels; c > 0; c--) {
        VEC_UNROLL
        for (size_t uv = 0; uv < of.filter * of.filter; uv++, weights += rows) {
            vec weight[pixel_direct_rows];
            VEC_UNROLL
            for (int row = 0; row < rows; row++)
                weight[row] = rows == 4 ? vec_splat_of_4(weights, (size_t)row) : vec_splat(weights + row);
            /* Else GCC keeps inputs from one position to the next, and spills sums. */
            VEC_UNROLL
            for (size_t i = 0; i < side; i++)
                VEC_FORGET(row_of_planes[i]);
            VEC_UNROLL
            for (size_t n = 0; n < 4; n++) {
                size_t i = uv / of.filter + (of.pool ? n / 2 : 0), j = uv % of.filter + (of.pool ? n % 2 : 0);
                vec input = vec_load_aligned(row_of_planes[i] + j * pitch + (of.pool ? 0 : n * vec_lanes));
                VEC_UNROLL
                for (int row = 0; row < rows; row++)
                    sum[row][n] = vec_mul_add(input, weight[row], sum[row][n]);
            }
        }
        VEC_UNROLL
        for (size_t i = 0; i < side; i++)
            row_of_planes[i] += pixels_positions(of.filter, of.pool) * pitch;
    }
}

/* `rows` output channels of every pixel of a tile; rows and the kind are constants where this is inlined. */
VEC_INLINE void pixel_direct_block(int rows, pixels_kind of, const pixel_direct_tile *t, const float *weights,
                                   const float *bias, float *output) {
    for (size_t at = 0; at < t->count; at += pixel_direct_step(of.pool)) {
        vec sum[pixel_direct_rows][4];
        pixel_direct_sum(rows, of, t, t->planes + at, weights, sum);
        float *to = output + at;
        size_t count = t->count - at;
        VEC_UNROLL
        for (int row = 0; row < rows; row++, to += t->out_plane) {
            vec b = vec_splat(bias + row);
            if (of.pool) {
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

/* pixel_direct_block() for each number of rows, and the filling of planes, as functions of their own: GCC then keeps
 * all sums in registers. */
typedef void pixel_direct_block_function(const pixel_direct_tile *t, const float *weights, const float *bias,
                                         float *output);
typedef void pixel_direct_gather_function(const convpool_shape *s, const float *input, pixels_planes planes);
#define PIXEL_DIRECT_BLOCK(name, rows, filter, pool) \
    static void pixel_direct_##name##_##rows(const pixel_direct_tile *t, const float *weights, const float *bias, \
                                             float *output) { \
        if ((rows) <= (int)pixel_direct_rows) /* there are no others */ \
            pixel_direct_block(rows, (pixels_kind){filter, pool, false, NULL}, t, weights, bias, output); \
    }
#define PIXEL_DIRECT_GATHER(name, filter, pool, padded) \
    static void pixel_direct_##name(const convpool_shape *s, const float *input, pixels_planes planes) { \
        pixels_gather(s, (pixels_kind){filter, pool, padded, NULL}, input, planes); \
    }
#define PIXEL_DIRECT(name, filter, pool) \
    PIXEL_DIRECT_BLOCK(name, 1, filter, pool) \
    PIXEL_DIRECT_BLOCK(name, 2, filter, pool) \
    PIXEL_DIRECT_BLOCK(name, 3, filter, pool) \
    PIXEL_DIRECT_BLOCK(name, 4, filter, pool) \
    PIXEL_DIRECT_GATHER(name##_image, filter, pool, false) \
    PIXEL_DIRECT_GATHER(name##_padded, filter, pool, true)
PIXEL_DIRECT(points, 1, false)
PIXEL_DIRECT(squares, 1, true)
PIXEL_DIRECT(filters, 2, false)
PIXEL_DIRECT(pooled, 2, true)

/* Of a filter of 1x1 or 2x2, without pooling and with it. */
#define PIXEL_DIRECT_NAMES(name) \
    { \
        {pixel_direct_##name##_1, pixel_direct_##name##_2, pixel_direct_##name##_3, pixel_direct_##name##_4}, \
            {pixel_direct_##name##_image, pixel_direct_##name##_padded}, \
    }
static const struct {
    pixel_direct_block_function *block[4]; /* by rows - 1 */
    pixel_direct_gather_function *fill[2]; /* of an image with zeros around it: [1] */
} pixel_direct_functions[2][2] = {{PIXEL_DIRECT_NAMES(points), PIXEL_DIRECT_NAMES(squares)},
                                  {PIXEL_DIRECT_NAMES(filters), PIXEL_DIRECT_NAMES(pooled)}};

static void pixel_direct_run(const convpool_job *job) {
    const convpool_shape *s = job->shape;
    float *planes = scratch_align(job->scratch);
    const float *bias = job->packed, *weights = bias + packed_weights(s, pixel_direct_packed);
    size_t first = job->first_row * s->out_width, end = first + job->row_count * s->out_width;
    size_t most = pixel_direct_tile_pixels(s), positions = pixel_direct_positions(s), filter = s->filter_height;
    for (; first < end; first += most) {
        pixel_direct_tile t = {
            .planes = planes,
            .output = job->output + first,
            .channels = s->channels,
            .pitch = most,
            .count = size_min(most, end - first),
            .out_plane = s->out_height * s->out_width,
            .relu = finish_is_relu(s),
        };
        pixels_planes to = {first,
                            t.count,
                            planes,
                            most,
                            positions * most,
                            planes + positions * s->channels * most,
                            pixel_direct_step(s->pool)};
        pixel_direct_functions[filter - 1][s->pool].fill[convpool_is_padded(s)](s, job->input, to);
        for (size_t o = 0, rows; o < s->out_channels; o += rows) {
            rows = size_min(pixel_direct_rows, s->out_channels - o);
            pixel_direct_functions[filter - 1][s->pool].block[rows - 1](&t, weights + o * s->depth, bias + o,
                                                                        t.output + o * t.out_plane);
        }
    }
}

#endif
