/* SPDX-License-Identifier: MIT */
/*
 * Bias and weights as sums read them: bias[channel], slopes[channel] where the activation has any, then per block of
 * output channels [c][u][v][channel of the block]. The last block ends with the last channel or, where lanes run over
 * channels, with a whole vector: what fills it up are copies of the last channel, for what comes of them goes nowhere,
 * but must raise no exception of its own.
 */
#ifndef CONVPOOL_PACKED_H
#define CONVPOOL_PACKED_H

#include "sizes.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The output channels of a block, and what the last block's are a multiple of. */
typedef struct packed_blocks {
    size_t most, multiple;
} packed_blocks;

static size_t packed_channels(const convpool_shape *s, packed_blocks b) {
    return size_round_up(s->out_channels, b.multiple);
}

/* Whether there are slopes: leaky ReLU's are all the same. */
static inline bool packed_has_slopes(const convpool_shape *s) {
    return s->activation == CONVPOOL_ACTIVATION_LEAKY_RELU || s->activation == CONVPOOL_ACTIVATION_PRELU;
}

/* In floats: what a number for each channel takes, and where the weights begin. */
static size_t packed_row(const convpool_shape *s, packed_blocks b) {
    return size_round_up(packed_channels(s, b), CONVPOOL_ALIGNMENT / sizeof(float));
}
static size_t packed_weights(const convpool_shape *s, packed_blocks b) {
    return packed_row(s, b) * (packed_has_slopes(s) ? 2 : 1);
}

static size_t packed_blocks_size(const convpool_shape *s, packed_blocks b) {
    return (packed_weights(s, b) + packed_channels(s, b) * s->depth) * sizeof(float);
}

/* How many channels the block has that begins with channel o. */
VEC_INLINE size_t packed_block(const convpool_shape *s, packed_blocks b, size_t o) {
    return size_min(b.most, packed_channels(s, b) - o);
}

/* A number for each channel; by its bits, for a signalling NaN is left alone. */
static void packed_copy(float *to, const float *from) { memcpy(to, from, sizeof *to); }

static void packed_pack(const convpool_shape *s, packed_blocks b, const float *weights, const float *bias, float *to) {
    size_t channels = packed_channels(s, b), last = s->out_channels - 1;
    for (size_t o = 0; o < channels; o++) {
        /* +0 for -0: then no sum with a bias is -0. */
        uint32_t bits = 0;
        if (bias != NULL) memcpy(&bits, &bias[size_min(o, last)], sizeof bits);
        if (bits == 0x80000000) bits = 0;
        memcpy(&to[o], &bits, sizeof bits);
    }
    for (size_t o = 0; o < channels && packed_has_slopes(s); o++)
        packed_copy(&to[packed_row(s, b) + o],
                    s->activation == CONVPOOL_ACTIVATION_PRELU ? &s->slopes[size_min(o, last)] : &s->parameter);
    to += packed_weights(s, b);
    for (size_t o = 0, lanes; o < channels; o += lanes) {
        lanes = packed_block(s, b, o);
        for (size_t c = 0; c < s->channels; c++)
            for (size_t u = 0; u < s->filter_height; u++)
                for (size_t v = 0; v < s->filter_width; v++)
                    for (size_t lane = 0; lane < lanes; lane++)
                        packed_copy(to++, &weights[convpool_weight(s, size_min(o + lane, last), c, u, v)]);
    }
}

/* What an algorithm does to errors: how much magnitudes grow on the way to an output, how many roundings a term meets,
 * and how many inputs an output reads. */
typedef struct packed_error {
    double growth, roundings, reads;
} packed_error;

/* How much slopes may raise a magnitude. */
static double packed_raise(double slope) { return convpool_magnitude(slope) > 1 ? convpool_magnitude(slope) : 1; }

/* What the activation makes of a bound on the errors of sums of at most this magnitude. */
static double packed_activated(const convpool_shape *s, double slope, double magnitude, double bound) {
    switch (s->activation) {
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
    case CONVPOOL_ACTIVATION_PRELU:
        return bound * packed_raise(slope) + 0x1p-24 * convpool_magnitude(slope) * (magnitude + bound) + 0x1p-149;
    case CONVPOOL_ACTIVATION_ELU:
        return bound * packed_raise(slope) + 4 * 0x1p-24 * convpool_magnitude(slope) + 0x1p-149;
    case CONVPOOL_ACTIVATION_SIGMOID:
    case CONVPOOL_ACTIVATION_TANH: return bound + 4 * 0x1p-24 + 0x1p-149;
    default: return bound;
    }
}

/* The largest over o of k u (|b| + x sum |w|) + k 2^-149 (1 + reads x), k = growth roundings / (1 - roundings u): what
 * the algorithms' bounds come to for inputs of at most x; and of that what the activation makes. Infinity where a sum
 * might overflow, or weights, bias or slopes are not finite. The double sum has n - 1 roundings of its own, for which
 * the result is raised. */
static double packed_bound(const convpool_shape *s, packed_blocks b, const float *packed, double x, packed_error of) {
    const float *weights = packed + packed_weights(s, b), *slopes = packed + packed_row(s, b);
    double n = (double)s->depth, raised = 1 + (n + 16) * 0x1p-52, largest = 0;
    if (of.roundings >= 0x1p24) return INFINITY;
    double k = of.growth * of.roundings / (1 - of.roundings * 0x1p-24);
    for (size_t o = 0; o < s->out_channels; o++) {
        size_t lane = o % b.most, lanes = packed_block(s, b, o - lane);
        const float *w = weights + (o - lane) * s->depth + lane;
        double sum = 0, slope = (double)(packed_has_slopes(s) ? slopes[o] : s->parameter);
        for (size_t i = 0; i < s->depth; i++)
            sum += convpool_magnitude((double)w[i * lanes]);
        double magnitude = (convpool_magnitude((double)packed[o]) + x * sum) * raised;
        double bound = (k * 0x1p-24 * magnitude + k * 0x1p-149 * (1 + of.reads * x)) * raised;
        double activated = packed_activated(s, slope, magnitude, bound) * raised;
        double scale = packed_has_slopes(s) ? packed_raise(slope) : 1;
        if (!(magnitude + bound < (double)FLT_MAX && magnitude * scale + activated < (double)FLT_MAX)) return INFINITY;
        largest = activated > largest ? activated : largest;
    }
    return largest;
}

/* The bound on the errors of `direct` (direct.h). */
static double packed_direct_bound(const convpool_shape *s, packed_blocks b, const float *packed, double x) {
    double n = (double)s->depth;
    return packed_bound(s, b, packed, x, (packed_error){1, n + 1, n});
}

/* The bound on the errors of Winograd's algorithms. Inputs of at least the limit are only in rows that are computed
 * directly: the larger of both bounds where there may be such, and of Winograd's no more than it comes to at the limit.
 */
static inline double packed_winograd_bound(const convpool_shape *s, packed_blocks b, packed_error of, double limit,
                                           const float *packed, double x) {
    double tiled = 0, summed = 0;
    if (limit > 0) tiled = packed_bound(s, b, packed, x < limit ? x : limit, of);
    if (!(x < limit)) summed = packed_direct_bound(s, b, packed, x);
    return tiled > summed ? tiled : summed;
}

/* The layer without pooling: its pixels are the convolution's outputs. What is packed is the same. */
static inline convpool_shape packed_unpooled(const convpool_shape *s) {
    convpool_shape u = *s;
    u.pool = u.late = false;
    u.out_height = s->conv_height;
    u.out_width = s->conv_width;
    return u;
}

#endif
