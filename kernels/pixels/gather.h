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

/* Output pixels, and where their planes go. */
typedef struct pixels_planes {
    size_t first, count;
    float *to;
    size_t position, channel; /* floats from one plane of a channel to the next, and from one channel to the next */
} pixels_planes;

/* Some pixels of one row in one channel: what the first one reads first, and where it goes in the first plane. */
typedef struct pixels_row {
    const float *from;
    float *to;
    size_t width, position; /* floats from one row to the next, and from one plane to the next */
} pixels_row;

/* n pixels: nine planes of windows. */
VEC_INLINE void pixels_gather_windows(pixels_transform *transform, bool whole, size_t n, pixels_row row) {
    vec window[9];
    VEC_UNROLL
    for (size_t i = 0; i < 3; i++, row.from += row.width) {
        window[3 * i] = pixels_load_even_odd(row.from, whole, n, &window[3 * i + 1]);
        if (whole)
            window[3 * i + 2] = vec_shift_in(window[3 * i], row.from + 2 * vec_lanes);
        else /* the even ones from 2 on would reach too far */
            vec_load_even_odd_part(row.from + 1, n, &window[3 * i + 2]);
    }
    if (transform != NULL) transform(window);
    VEC_UNROLL
    for (size_t i = 0; i < 9; i++)
        pixels_store(row.to + i * row.position, window[i], whole, n);
}

/* The same without pooling: four planes. */
VEC_INLINE void pixels_gather_filters(bool whole, size_t n, pixels_row row) {
    VEC_UNROLL
    for (size_t uv = 0; uv < 4; uv++)
        pixels_store(row.to + uv * row.position, pixels_load(row.from + uv / 2 * row.width + uv % 2, whole, n), whole,
                     n);
}

VEC_INLINE void pixels_gather_row(bool pool, pixels_transform *transform, bool whole, size_t n, pixels_row row) {
    if (pool)
        pixels_gather_windows(transform, whole, n, row);
    else
        pixels_gather_filters(whole, n, row);
}

/* Fills the planes, and with zeros up to a multiple of `step` pixels. */
VEC_INLINE void pixels_gather(const convpool_shape *s, bool pool, pixels_transform *transform, const float *input,
                              size_t step, pixels_planes planes) {
    size_t stride = pool ? 2 : 1, out_width = s->out_width, end = packed_round_up(planes.count, step);
    input += stride * (planes.first / out_width * s->width);
    for (size_t c = s->channels; c > 0; c--, input += s->height * s->width, planes.to += planes.channel) {
        const float *line = input;
        for (size_t done = 0, column = planes.first % out_width, n; done < planes.count;
             done += n, line += stride * s->width, column = 0) {
            n = packed_min(planes.count - done, out_width - column);
            pixels_row row = {line + stride * column, planes.to + done, s->width, planes.position};
            if (n < vec_lanes) pixels_gather_row(pool, transform, false, n, row);
            for (size_t i = 0; n >= vec_lanes && i < n; i += vec_lanes) {
                size_t at = packed_min(i, n - vec_lanes); /* the last vector overlaps the one before */
                pixels_row of_vector = {row.from + stride * at, row.to + at, row.width, row.position};
                pixels_gather_row(pool, transform, true, vec_lanes, of_vector);
            }
        }
        for (size_t plane = 0; plane < pixels_positions(pool); plane++)
            for (size_t i = planes.count; i < end; i++)
                planes.to[plane * planes.position + i] = 0;
    }
}

#endif
