/* SPDX-License-Identifier: MIT */
/*
 * Reading the image: its layout, its padding, its edges. Algorithms read windows of the padded image at strides that
 * are the layer's. Where the image itself can be read so, it is read where it is; of others a band of rows is copied to
 * [row][column][channel], with the zeros around it. Rows between two windows, which none reads, are left out.
 */
#ifndef CONVPOOL_SOURCE_H
#define CONVPOOL_SOURCE_H

#include "packed.h"

enum {
    source_band = 192 * 1024, /* bytes of a band, unless one row of windows takes more */
    source_planes = 4,        /* as few channels as this are read where they are, plane by plane */
};

/* Whether the image is read where it is: there are no zeros around it, and numbers that are read together lie together,
 * or are few, or read once. */
static inline bool source_in_place(const convpool_shape *s) {
    if (convpool_is_padded(s)) return false;
    return s->input_hwc || s->channels <= source_planes || s->conv_height * s->conv_width == 1;
}

/* Floats from one number to the next, down, across and from channel to channel. */
typedef struct source_strides {
    size_t row, column, channel;
} source_strides;

static inline source_strides source_steps(const convpool_shape *s) {
    if (source_in_place(s) && !s->input_hwc) return (source_strides){s->width, 1, s->height * s->width};
    return (source_strides){s->padded_width * s->channels, s->channels, 1};
}

/* Rows from one row of windows to the next, in a band. */
static inline size_t source_step(const convpool_shape *s, bool in_place) {
    return in_place ? s->stride_height : size_min(s->stride_height, s->filter_height);
}

/* How many rows of windows a band has: a multiple of `least`, at least one of these, or all. As with the two functions
 * below, `in_place` says that the image is read where it is. It may be if source_in_place() says so; it need not. */
static inline size_t source_window_rows(const convpool_shape *s, bool in_place, size_t least) {
    if (in_place) return s->conv_height;
    size_t fit = source_band / sizeof(float) / (s->padded_width * s->channels), step = source_step(s, false);
    size_t rows = fit < s->filter_height ? 0 : (fit - s->filter_height) / step + 1;
    return size_min(rows < least ? least : rows / least * least, s->conv_height);
}

static inline size_t source_floats(const convpool_shape *s, bool in_place, size_t least) {
    if (in_place) return 0;
    size_t rows = (source_window_rows(s, false, least) - 1) * source_step(s, false) + s->filter_height;
    return size_round_up(rows * s->padded_width * s->channels + vec_lanes, CONVPOOL_ALIGNMENT / sizeof(float));
}

/* `count` pixels that lie side by side, `plane` floats from channel to channel, to [pixel][channel]. */
static void source_transpose(const float *from, size_t plane, size_t count, size_t channels, float *to) {
    for (size_t c = 0; c < channels; c += 4, from += 4 * plane, to += 4) {
        size_t n = size_min(4, channels - c), x = 0;
        for (; count >= vec_lanes && x < count; x += vec_lanes) {
            size_t at = size_min(x, count - vec_lanes); /* the last vector overlaps the one before */
            vec four[4];
            VEC_UNROLL
            for (size_t k = 0; k < 4; k++)
                four[k] = vec_load(from + (k < n ? k : 0) * plane + at);
            vec_store_4(to + at * channels, channels, four, n);
        }
        for (; x < count; x++)
            for (size_t k = 0; k < n; k++)
                to[x * channels + k] = from[k * plane + x];
    }
}

static void source_copy_row(const convpool_shape *s, const float *input, size_t padded_row, float *to) {
    size_t floats = s->padded_width * s->channels, left = s->pad_left * s->channels, own = s->width * s->channels;
    if (padded_row < s->pad_top || padded_row - s->pad_top >= s->height) {
        memset(to, 0, floats * sizeof *to);
        return;
    }
    size_t row = padded_row - s->pad_top;
    memset(to, 0, left * sizeof *to);
    memset(to + left + own, 0, (floats - left - own) * sizeof *to);
    if (s->input_hwc || s->channels == 1)
        memcpy(to + left, input + row * own, own * sizeof *to);
    else
        source_transpose(input + row * s->width, s->height * s->width, s->width, s->channels, to + left);
}

/* Some rows of windows, where the first one's first number is. */
static const float *source_rows(const convpool_shape *s, bool in_place, const float *input, size_t first, size_t count,
                                float *band) {
    if (in_place) return input + first * s->stride_height * source_steps(s).row;
    size_t step = source_step(s, false), rows = (count - 1) * step + s->filter_height;
    for (size_t row = 0; row < rows; row++) {
        size_t window = size_min(row / step, count - 1);
        source_copy_row(s, input, (first + window) * s->stride_height + row - window * step,
                        band + row * s->padded_width * s->channels);
    }
    return band;
}

#endif
