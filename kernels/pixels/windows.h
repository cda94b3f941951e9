/* SPDX-License-Identifier: MIT */
/* Pooling windows of F(2x2, 2x2) whose products become outputs while they are in registers, a column of positions at a
 * time: for sums so short that products could not be kept as quickly as they come. Lanes run over pixels. */
#ifndef CONVPOOL_PIXELS_WINDOWS_H
#define CONVPOOL_PIXELS_WINDOWS_H

#include "../winograd/plan.h"
#include "../winograd/scheme.h"
#include "gather.h"

/* A vector of windows, by position, transformed. */
VEC_INLINE void windows_transform(vec window[9]) {
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++) {
        vec column[3];
        winograd_forward(3, (vec[]){window[j], window[3 + j], window[6 + j]}, column);
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++)
            window[3 * i + j] = column[i];
    }
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        vec row[3];
        winograd_forward(3, window + 3 * i, row);
        VEC_UNROLL
        for (size_t j = 0; j < 3; j++)
            window[3 * i + j] = row[j];
    }
}

/* Pixels that lie side by side, their transformed windows and some output channels. */
typedef struct windows {
    const float *v;       /* [c][position][pixel] */
    const float *weights; /* [block of channels][column of positions][c][row of positions][channel] */
    const float *bias;
    float *output;           /* of the first pixel, in the first output channel */
    size_t count;            /* pixels */
    size_t channels, blocks; /* input channels; blocks of output channels */
    size_t position, plane;  /* floats from one position's windows to the next's; between output channels */
    bool copied, relu;
} windows;

/* The products of a column of positions, added up: `rows` output channels by `vecs` vectors of pixels. Goes on to the
 * next column. */
VEC_INLINE void windows_column(size_t rows, size_t vecs, bool copied, windows *a,
                               vec sum[3][winograd_fused_rows][winograd_fused_vecs]) {
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++) {
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++) {
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++)
                sum[i][row][n] = vec_zero();
        }
    }
    const size_t copies = copied ? vec_lanes : 1;
    const float *v = a->v;
    for (size_t c = a->channels; c > 0; c--, a->weights += 3 * rows * copies, v += 9 * a->position) {
        VEC_UNROLL
        for (size_t i = 0; i < 3; i++) {
            vec weight[winograd_fused_rows];
            VEC_UNROLL
            for (size_t row = 0; row < rows; row++) {
                const float *w = a->weights + (i * rows + row) * copies;
                weight[row] = copied ? vec_load_aligned(w) : rows == 4 ? vec_splat_of_4(w - row, row) : vec_splat(w);
            }
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++) {
                vec input = vec_load_aligned(v + 3 * i * a->position + n * vec_lanes);
                VEC_LOAD_ONCE(input);
                VEC_UNROLL
                for (size_t row = 0; row < rows; row++)
                    sum[i][row][n] = vec_mul_add(input, weight[row], sum[i][row][n]);
            }
        }
    }
    a->v += a->position;
}

/* The first `vecs` vectors of pixels in the first `rows` output channels. */
VEC_INLINE void windows_block(size_t rows, size_t vecs, bool copied, windows a) {
    vec z[2][winograd_fused_rows][winograd_fused_vecs], largest[winograd_fused_rows][winograd_fused_vecs];
    VEC_UNROLL
    for (size_t j = 0; j < 3; j++) {
        vec sum[3][winograd_fused_rows][winograd_fused_vecs];
        windows_column(rows, vecs, copied, &a, sum);
        VEC_UNROLL
        for (size_t row = 0; row < rows; row++) {
            VEC_UNROLL
            for (size_t n = 0; n < vecs; n++) {
                vec upper = vec_add(sum[0][row][n], sum[1][row][n]), lower = vec_add(sum[1][row][n], sum[2][row][n]);
                if (j > 0) {
                    vec y = vec_max(vec_add(z[0][row][n], upper), vec_add(z[1][row][n], lower));
                    largest[row][n] = j == 1 ? y : vec_max(largest[row][n], y);
                }
                z[0][row][n] = upper;
                z[1][row][n] = lower;
            }
        }
    }
    VEC_UNROLL
    for (size_t row = 0; row < rows; row++, a.output += a.plane) {
        vec bias = vec_splat(a.bias + row);
        VEC_UNROLL
        for (size_t n = 0; n < vecs; n++)
            if (n * vec_lanes < a.count)
                pixels_store(a.output + n * vec_lanes, finish(largest[row][n], bias, a.relu),
                             a.count - n * vec_lanes >= vec_lanes, a.count - n * vec_lanes);
    }
}

VEC_INLINE void windows_blocks(size_t rows, bool copied, const windows *all) {
    const size_t vecs = winograd_fused_vecs, step = 9 * all->channels * rows * (copied ? vec_lanes : 1);
    windows of_rows = *all;
    for (size_t block = all->blocks; block > 0; block--) {
        windows a = of_rows;
        for (; a.count > vec_lanes; a.count -= size_min(a.count, vecs * vec_lanes)) {
            windows_block(rows, vecs, copied, a);
            a.v += vecs * vec_lanes;
            a.output += vecs * vec_lanes;
        }
        if (a.count > 0) windows_block(rows, 1, copied, a);
        of_rows.weights += step;
        of_rows.bias += rows;
        of_rows.output += rows * of_rows.plane;
    }
}

/* For each number of rows, as functions of their own, for the sake of their registers. */
typedef void windows_function(const windows *a);
#define WINDOWS(rows) \
    static void windows_##rows(const windows *a) { \
        if ((rows) > winograd_fused_rows) return; /* there are no such blocks */ \
        if (tune_copies > 1 && a->copied) \
            windows_blocks(rows, true, a); \
        else \
            windows_blocks(rows, false, a); \
    }
WINDOWS(1)
WINDOWS(2)
WINDOWS(3)
WINDOWS(4)
static windows_function *const windows_functions[4] = {windows_1, windows_2, windows_3, windows_4};

/* The transformed windows of some pixels. Not inlined, for the sake of their registers. */
#define WINDOWS_GATHER(name, padded) \
    static __attribute__((noinline)) void windows_gather_##name(const convpool_shape *s, const float *input, \
                                                                pixels_planes planes) { \
        pixels_gather(s, (pixels_kind){2, true, padded, windows_transform}, input, planes); \
    }
WINDOWS_GATHER(image, false)
WINDOWS_GATHER(padded, true)
static void windows_gather(const convpool_shape *s, const winograd_plan *p, const float *input, pixels_planes planes) {
    size_t left = planes.count;
    planes.position = p->v_position;
    planes.channel = p->v_channel;
    planes.step = vec_lanes;
    for (; left > 0; left -= planes.count, planes.first += planes.count, planes.to += p->v_block) {
        planes.count = size_min(p->v_slots, left);
        (convpool_is_padded(s) ? windows_gather_padded : windows_gather_image)(s, input, planes);
    }
}

/* All output channels of pixels whose transformed windows are known. */
static void windows_run(const convpool_shape *s, const winograd_plan *p, windows a) {
    a.channels = s->channels;
    a.position = p->v_position;
    a.plane = s->out_height * s->out_width;
    a.copied = p->copies > 1;
    a.relu = finish_is_relu(s);
    a.blocks = s->out_channels / p->rows;
    windows_functions[p->rows - 1](&a);
    size_t done = a.blocks * p->rows, rest = s->out_channels - done;
    if (rest == 0) return;
    a.weights += p->copies * 9 * s->channels * done;
    a.bias += done;
    a.output += done * a.plane;
    a.blocks = 1;
    windows_functions[rest - 1](&a);
}

#endif
