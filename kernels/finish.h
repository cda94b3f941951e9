/* SPDX-License-Identifier: MIT */
/* Writing the result: bias, activation, layout. */
#ifndef CONVPOOL_FINISH_H
#define CONVPOOL_FINISH_H

#include "packed.h"

/* A packed bias is not -0, and so no sum with one is: its maximum with +0 is its ReLU. */
VEC_INLINE vec finish(vec sum, vec bias, bool relu) {
    vec y = vec_add(sum, bias);
    return relu ? vec_max(vec_zero(), y) : y;
}

/* Pixels that lie side by side in their planes: from[pixel][channel], `pitch` floats from one to the next. */
typedef struct finish_pixels {
    const float *from;
    size_t pitch, count;
    size_t channels;
    float *to;    /* the first pixel's place in the first channel */
    size_t plane; /* floats from one channel to the next */
} finish_pixels;

VEC_INLINE void finish_four(const finish_pixels *p, size_t pixel, size_t count, size_t channel) {
    const float *from = p->from + pixel * p->pitch + channel;
    float *to = p->to + channel * p->plane + pixel;
    vec four[4];
    VEC_UNROLL
    for (size_t i = 0; i < 4; i++)
        four[i] = vec_load(from + (i < count ? i : 0) * p->pitch);
    vec_store_4(to, p->plane, four, count);
}

static void finish_write(const finish_pixels *p) {
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

#endif
