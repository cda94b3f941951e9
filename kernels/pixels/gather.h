/* SPDX-License-Identifier: MIT */
/* What output pixels read, with lanes over pixels: these are numbered row by row through the whole output plane, so
 * that a vector may begin in one row and end in the next. Pooled, a pixel reads a window of 3x3 inputs, else one of
 * 2x2. A plane has what all pixels read at one position of theirs in one channel. */
#ifndef CONVPOOL_PIXELS_GATHER_H
#define CONVPOOL_PIXELS_GATHER_H

#include "../packed.h"

VEC_INLINE size_t pixels_positions(bool pool) { return pool ? 9 : 4; }

/* Loads and stores of n <= vec_lanes floats or pairs; where `whole`, a constant after inlining, n is vec_lanes. */
VEC_INLINE vec pixels_load(const float *p, bool whole, size_t n) { return whole ? vec_load(p) : vec_load_part(p, n); }
VEC_INLINE vec pixels_load_even_odd(const float *p, bool whole, size_t n, vec *odd) {
    return whole ? vec_load_even_odd(p, odd) : vec_load_even_odd_part(p, n, odd);
}
VEC_INLINE void pixels_store(float *p, vec a, bool whole, size_t n) {
    if (whole)
        vec_store(p, a);
    else
        vec_store_part(p, a, n);
}

/* What may be done with the values of a vector of windows, by position, before they are stored. */
typedef void pixels_transform(vec window[9]);

typedef struct pixels_planes {
    float *to;
    size_t position, channel; /* floats from one plane of a channel to the next, and from one channel to the next */
} pixels_planes;

/* The windows of n pixels of one row in one channel; `from` is what the first one reads first. */
VEC_INLINE void pixels_load_windows(bool pool, bool whole, size_t n, const float *from, size_t width, vec window[9]) {
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++, from += width)
        if (pool) {
            window[3 * i] = pixels_load_even_odd(from, whole, n, &window[3 * i + 1]);
            if (whole)
                window[3 * i + 2] = vec_shift_in(window[3 * i], from + 2 * vec_lanes);
            else /* the even ones from 2 on would reach too far */
                vec_load_even_odd_part(from + 1, n, &window[3 * i + 2]);
        } else if (i < 2) {
            window[2 * i] = pixels_load(from, whole, n);
            window[2 * i + 1] = pixels_load(from + 1, whole, n);
        }
}

VEC_INLINE void pixels_store_windows(bool pool, pixels_transform *transform, bool whole, size_t n, vec window[9],
                                     float *to, size_t position) {
    if (transform != NULL) transform(window);
    VEC_UNROLL
    for (size_t i = 0; i < pixels_positions(pool); i++)
        pixels_store(to + i * position, window[i], whole, n);
}

/* Fills the planes of output pixels [first, first + count), and with zeros up to a multiple of the step. */
VEC_INLINE void pixels_gather(const convpool_shape *s, bool pool, pixels_transform *transform, const float *input,
                              size_t first, size_t count, size_t step, pixels_planes planes) {
    size_t stride = pool ? 2 : 1, width = s->width, padded = packed_round_up(count, step);
    input += stride * (first / s->out_width * width);
    for (size_t c = s->channels; c > 0; c--, input += s->height * width, planes.to += planes.channel) {
        const float *row = input;
        for (size_t done = 0, column = first % s->out_width, n; done < count;
             done += n, row += stride * width, column = 0) {
            n = packed_min(count - done, s->out_width - column);
            const float *from = row + stride * column;
            float *to = planes.to + done;
            vec window[9];
            if (n < vec_lanes) {
                pixels_load_windows(pool, false, n, from, width, window);
                pixels_store_windows(pool, transform, false, n, window, to, planes.position);
            }
            for (size_t i = 0; n >= vec_lanes && i < n; i += vec_lanes) {
                size_t at = packed_min(i, n - vec_lanes); /* the last vector overlaps the one before */
                pixels_load_windows(pool, true, vec_lanes, from + stride * at, width, window);
                pixels_store_windows(pool, transform, true, vec_lanes, window, to + at, planes.position);
            }
        }
        for (size_t plane = 0; plane < pixels_positions(pool); plane++)
            for (size_t i = count; i < padded; i++)
                planes.to[plane * planes.position + i] = 0;
    }
}

#endif
