/* SPDX-License-Identifier: MIT */
/* Writing the result: bias, activation, maximum, layout. */
#ifndef CONVPOOL_FINISH_H
#define CONVPOOL_FINISH_H

#include "activate.h"
#include "packed.h"

/* A packed bias is not -0, and so no sum with one is: its maximum with +0 is its ReLU. */
VEC_INLINE vec finish(vec sum, vec bias, bool relu) {
    vec y = vec_add(sum, bias);
    return relu ? vec_max(vec_zero(), y) : y;
}

static const float finish_zero = 0, finish_lowest = -INFINITY; /* below which such results are not */

/* Activations that finish() does not know are applied afterwards. */
VEC_INLINE bool finish_is_relu(const convpool_shape *s) { return s->activation == CONVPOOL_ACTIVATION_RELU; }
VEC_INLINE bool finish_is_plain(const convpool_shape *s) {
    return s->activation == CONVPOOL_ACTIVATION_RELU || s->activation == CONVPOOL_ACTIVATION_NONE;
}

/* Which of the two. */
VEC_INLINE const float *finish_floor(const convpool_shape *s) {
    return finish_is_relu(s) ? &finish_zero : &finish_lowest;
}

/* Applies such an activation to rows of sums with their bias, [row][channel], from channel o on; `bias` is where packed
 * ones begin. */
static void finish_activate(const convpool_shape *s, packed_blocks b, const float *bias, size_t o, activate_rows a) {
    if (packed_has_slopes(s)) a.slopes = bias + packed_row(s, b) + o;
    a.parameter = s->parameter;
    activate_rows_of(s->activation, &a);
}

/* Pixels that are numbered one after the other, row by row: from[pixel][channel], `pitch` floats from one to the next,
 * whole vectors of channels. `to` is the place of the first one, in the first of these channels. */
typedef struct finish_pixels {
    const float *from;
    size_t pitch, count, channels;
    float *to;
    size_t plane, pixel; /* floats from one channel to the next, and from one pixel to the next: one of them is 1 */
} finish_pixels;

/* Where `count` pixels from `first` on go, in `channels` channels from o on. */
VEC_INLINE finish_pixels finish_to(const convpool_shape *s, float *output, size_t first, size_t count, size_t o,
                                   size_t channels) {
    size_t plane = s->out_height * s->out_width;
    finish_pixels p = {.count = count, .channels = size_min(channels, s->out_channels - o), .plane = 1, .pixel = 1};
    if (s->output_hwc)
        p.pixel = s->out_channels;
    else
        p.plane = plane;
    p.to = output + o * p.plane + first * p.pixel;
    return p;
}

VEC_INLINE void finish_four(const finish_pixels *p, size_t pixel, size_t count, size_t channel) {
    const float *from = p->from + pixel * p->pitch + channel;
    float *to = p->to + channel * p->plane + pixel;
    vec four[4];
    VEC_UNROLL
    for (size_t i = 0; i < 4; i++)
        four[i] = vec_load(from + (i < count ? i : 0) * p->pitch);
    vec_store_4(to, p->plane, four, count);
}

static void finish_write_planes(const finish_pixels *p) {
    size_t channel = 0;
    for (; channel + vec_lanes <= p->channels; channel += vec_lanes) {
        if (p->count < 4)
            finish_four(p, 0, p->count, channel);
        else
            for (size_t i = 0; i < p->count; i += 4)
                finish_four(p, i + 4 <= p->count ? i : p->count - 4, 4, channel);
    }
    for (; channel < p->channels; channel++)
        for (size_t i = 0; i < p->count; i++)
            p->to[channel * p->plane + i] = p->from[i * p->pitch + channel];
}

static void finish_write_pixels(const finish_pixels *p) {
    const float *from = p->from;
    float *to = p->to;
    for (size_t i = p->count; i > 0; i--, from += p->pitch, to += p->pixel) {
        size_t channel = 0;
        for (; channel + vec_lanes <= p->channels; channel += vec_lanes)
            vec_store(to + channel, vec_load(from + channel));
        if (channel < p->channels) vec_store_part(to + channel, vec_load(from + channel), p->channels - channel);
    }
}

static void finish_write(const finish_pixels *p) {
    if (p->plane != 1)
        finish_write_planes(p);
    else
        finish_write_pixels(p);
}

#endif
