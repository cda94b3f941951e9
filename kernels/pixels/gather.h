/* SPDX-License-Identifier: MIT */
/* What output pixels read, with lanes over pixels: these are numbered row by row through the whole output plane, so
 * that a vector may begin in one row and end in the next. A pixel reads as many inputs as a filter of 1x1 or 2x2 has
 * or, pooled, a window of one more row and column. A plane has what all pixels read at one position of theirs in one
 * channel. */
#ifndef CONVPOOL_PIXELS_GATHER_H
#define CONVPOOL_PIXELS_GATHER_H

#include "../packed.h"

VEC_INLINE size_t pixels_side(size_t filter, bool pool) { return pool ? filter + 1 : filter; }
VEC_INLINE size_t pixels_positions(size_t filter, bool pool) {
    return pixels_side(filter, pool) * pixels_side(filter, pool);
}

/* Pixels of a row from which on it is worth being read in parts, where there are zeros around the image. */
enum { pixels_long = 8 * vec_lanes };

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
    float *lines;             /* room for pixels_line_floats(), where there are zeros around the image */
    size_t step;              /* planes are filled up with zeros to a multiple of so many pixels */
} pixels_planes;

/* Floats of the rows that a row of pixels reads in one channel. */
static size_t pixels_line_floats(const convpool_shape *s) {
    return convpool_is_padded(s) ? size_round_up(3 * s->padded_width, CONVPOOL_ALIGNMENT / sizeof(float)) : 0;
}

/* Some pixels of one row in one channel: what the first one reads first, and where it goes in the first plane. */
typedef struct pixels_row {
    const float *from;
    float *to;
    size_t width, position; /* floats from one row to the next, and from one plane to the next */
    float *lines;           /* room for a copy, where there are zeros around the image */
} pixels_row;

/* Copies what n pixels from (row, column) on read of one channel of the padded image to [row][column], and reads them
 * there. */
static void pixels_copy_lines(const convpool_shape *s, const float *plane, size_t row, size_t column, size_t n,
                              pixels_row *of) {
    size_t stride = s->pool ? 2 : 1, columns = stride * n + s->filter_width - 1, right = s->pad_left + s->width;
    row *= stride, column *= stride;
    size_t left = column < s->pad_left ? size_min(s->pad_left - column, columns) : 0;
    size_t own = column + left < right ? size_min(right - column - left, columns - left) : 0;
    of->width = columns;
    float *to = of->lines;
    for (size_t end = row + stride + s->filter_height - 1; row < end; row++, to += columns) {
        bool inside = row >= s->pad_top && row - s->pad_top < s->height;
        if (!inside || own < columns) memset(to, 0, columns * sizeof *to);
        if (inside && own > 0)
            memcpy(to + left, plane + (row - s->pad_top) * s->width + column + left - s->pad_left, own * sizeof *to);
    }
    of->from = of->lines;
}

/* Finds up to n pixels from (row, column) of the plane on in one channel of the padded image: where it is, if the row
 * is long and they read nothing else, or in a copy. Returns how many. */
static __attribute__((noinline)) size_t pixels_find(const convpool_shape *s, const float *plane, size_t row,
                                                    size_t column, size_t n, pixels_row *of) {
    size_t stride = s->pool ? 2 : 1, side = pixels_side(s->filter_height, s->pool), bottom = s->pad_top + s->height,
           right = s->pad_left + s->width;
    size_t first = (s->pad_left + stride - 1) / stride, end = right < side ? 0 : (right - side) / stride + 1;
    bool rows = stride * row >= s->pad_top && stride * row + side <= bottom;
    if (rows && s->out_width >= pixels_long && first < end) {
        if (column >= first && column < end) {
            of->from = plane + (stride * row - s->pad_top) * s->width + stride * column - s->pad_left;
            of->width = s->width;
            return size_min(n, end - column);
        }
        if (column < first) n = size_min(n, first - column);
    }
    pixels_copy_lines(s, plane, row, column, n, of);
    return n;
}

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

/* The same of 1x1 filters: four planes. */
VEC_INLINE void pixels_gather_squares(bool whole, size_t n, pixels_row row) {
    VEC_UNROLL
    for (size_t i = 0; i < 2; i++, row.from += row.width, row.to += 2 * row.position) {
        vec odd, even = pixels_load_even_odd(row.from, whole, n, &odd);
        pixels_store(row.to, even, whole, n);
        pixels_store(row.to + row.position, odd, whole, n);
    }
}

/* Without pooling: a plane for each weight. */
VEC_INLINE void pixels_gather_filters(size_t filter, bool whole, size_t n, pixels_row row) {
    VEC_UNROLL
    for (size_t uv = 0; uv < filter * filter; uv++) {
        const float *from = row.from + uv / filter * row.width + uv % filter;
        pixels_store(row.to + uv * row.position, pixels_load(from, whole, n), whole, n);
    }
}

/* Which planes; constants after inlining. */
typedef struct pixels_kind {
    size_t filter;
    bool pool, padded;
    pixels_transform *transform;
} pixels_kind;

VEC_INLINE void pixels_gather_vector(pixels_kind of, bool whole, size_t n, pixels_row row) {
    if (!of.pool)
        pixels_gather_filters(of.filter, whole, n, row);
    else if (of.filter == 1)
        pixels_gather_squares(whole, n, row);
    else
        pixels_gather_windows(of.transform, whole, n, row);
}

/* A row's pixels. */
VEC_INLINE void pixels_gather_row(pixels_kind of, size_t n, pixels_row row) {
    size_t stride = of.pool ? 2 : 1;
    if (n < vec_lanes) pixels_gather_vector(of, false, n, row);
    for (size_t i = 0; n >= vec_lanes && i < n; i += vec_lanes) {
        size_t at = size_min(i, n - vec_lanes); /* the last vector overlaps the one before */
        pixels_row of_vector = {row.from + stride * at, row.to + at, row.width, row.position, NULL};
        pixels_gather_vector(of, true, vec_lanes, of_vector);
    }
}

/* Fills the planes of a channel: of an image without zeros around it, and of one with them. */
VEC_INLINE void pixels_gather_image(const convpool_shape *s, pixels_kind of, const float *input, pixels_planes planes) {
    size_t stride = of.pool ? 2 : 1, out_width = s->out_width;
    const float *line = input + stride * (planes.first / out_width * s->width);
    for (size_t done = 0, column = planes.first % out_width, n; done < planes.count;
         done += n, line += stride * s->width, column = 0) {
        n = size_min(planes.count - done, out_width - column);
        pixels_row row = {line + stride * column, planes.to + done, s->width, planes.position, NULL};
        pixels_gather_row(of, n, row);
    }
}
VEC_INLINE void pixels_gather_padded(const convpool_shape *s, pixels_kind of, const float *input,
                                     pixels_planes planes) {
    for (size_t done = 0, n; done < planes.count; done += n) {
        size_t row = (planes.first + done) / s->out_width, column = (planes.first + done) % s->out_width;
        pixels_row at = {input, planes.to + done, s->width, planes.position, planes.lines};
        n = pixels_find(s, input, row, column, size_min(planes.count - done, s->out_width - column), &at);
        pixels_gather_row(of, n, at);
    }
}

/* Fills the planes. */
VEC_INLINE void pixels_gather(const convpool_shape *s, pixels_kind of, const float *input, pixels_planes planes) {
    size_t end = size_round_up(planes.count, planes.step);
    for (size_t c = s->channels; c > 0; c--, input += s->height * s->width, planes.to += planes.channel) {
        if (of.padded)
            pixels_gather_padded(s, of, input, planes);
        else
            pixels_gather_image(s, of, input, planes);
        for (size_t plane = 0; plane < pixels_positions(of.filter, of.pool); plane++)
            for (size_t i = planes.count; i < end; i++)
                planes.to[plane * planes.position + i] = 0;
    }
}

#endif
