/* SPDX-License-Identifier: MIT */
/* What a kernel is. One constant table per ISA, in isa/<isa>.c, is all that the rest of the library, the
 * tests and the bench suite know of it. */
#ifndef CONVPOOL_KERNEL_H
#define CONVPOOL_KERNEL_H

#include "../include/convpool.h"

#include <float.h>
#include <stdbool.h>
#include <stddef.h>

/* Results are defined to the last bit. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "convpool cannot be compiled with -ffast-math, -Ofast or -ffinite-math-only: they change its results"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16 /* which is 0 for these types */
#error "convpool needs float computed as float, double as double: on 32-bit x86 compile it with -msse2 -mfpmath=sse"
#endif

/* A layer, checked, and what follows from it: no extent is 0 and no size overflows. dispatch/shape.c makes it. */
typedef struct convpool_shape {
    size_t channels, height, width;     /* the input */
    size_t pad_top, pad_left;           /* rows and columns of zeros before it, */
    size_t padded_height, padded_width; /* and its extents with those around it */
    size_t filter_height, filter_width, stride_height, stride_width;
    size_t depth;                                  /* terms of a sum: one for each weight of an output channel */
    size_t conv_height, conv_width;                /* the convolution's outputs, per channel */
    size_t out_channels, out_height, out_width;    /* the output, after pooling */
    size_t weight_o, weight_c, weight_u, weight_v; /* floats from one weight to the next, in each of its dimensions */
    bool pool; /* in 2x2 windows; where the output has more rows or columns than they fill, the last are smaller */
    bool flip; /* a true convolution: w[u][v] lies at position [filter_height - 1 - u][filter_width - 1 - v] */
    bool input_hwc, output_hwc; /* [height][width][channels], else [channels][height][width] */
    bool late; /* pooling comes after the activation; with PReLU it is taken to, until the slopes are read */
    convpool_activation activation;
    float parameter;     /* of the activation: a slope of all channels, or ELU's alpha */
    const float *slopes; /* PReLU's, while the layer is made */
} convpool_shape;

/* Where the weight lies that meets input (u, v) of channel c under the filter. */
static inline size_t convpool_weight(const convpool_shape *s, size_t o, size_t c, size_t u, size_t v) {
    if (s->flip) u = s->filter_height - 1 - u, v = s->filter_width - 1 - v;
    return o * s->weight_o + c * s->weight_c + u * s->weight_u + v * s->weight_v;
}

/* Whether there are zeros around the image. */
static inline bool convpool_is_padded(const convpool_shape *s) {
    return s->padded_height != s->height || s->padded_width != s->width;
}

/* Whether the filter has side x side weights and moves by 1. */
static inline bool convpool_has_filter(const convpool_shape *s, size_t side) {
    return s->filter_height == side && s->filter_width == side && s->stride_height == 1 && s->stride_width == 1;
}

/* Whether no pooling window is cut off at the edge. */
static inline bool convpool_windows_are_whole(const convpool_shape *s) {
    return !s->pool || (2 * s->out_height <= s->conv_height && 2 * s->out_width <= s->conv_width);
}

/* What a CPU may lack, as bits of convpool_isa.needs; dispatch/cpu.c finds out. */
enum {
    CONVPOOL_NEEDS_SSE2 = 1 << 0,
    CONVPOOL_NEEDS_AVX2 = 1 << 1,
    CONVPOOL_NEEDS_FMA3 = 1 << 2,
    CONVPOOL_NEEDS_AVX512F = 1 << 3,
    CONVPOOL_NEEDS_AVX512BW = 1 << 4,
    CONVPOOL_NEEDS_AVX512DQ = 1 << 5,
    CONVPOOL_NEEDS_AVX512VL = 1 << 6,
    CONVPOOL_NEEDS_END /* above the last bit, which may not be bit 31 */
};

/* What an algorithm can compute, and what that is expected to take, in direct multiplications: of each tile of tile x
 * tile convolution outputs, for each pair of an input and an output channel, each input channel (without padding; with
 * it; and in both parts of a wide filter: in these two cases they are counted by eights), and each output channel,
 * without and with pooling; for each packed weight, which is read from beyond the nearest cache; and once. Weights
 * beyond CONVPOOL_NEAR_WEIGHTS are read from memory, beside the products: what takes longer counts. By one rule for all
 * ISAs of a family, so that they choose the same algorithm and their results agree. Data, as it is read on CPUs that
 * cannot run the kernel. */
typedef struct convpool_cost {
    size_t tile, filter; /* filter x filter weights, moved by 1; 0: any layer, of which `pair` is for each weight */
    size_t wide;         /* or so many, in two parts of at most `filter` across and down; 0: no more */
    double least; /* tiles that a layer is counted as at least: of fewer, sums do not hide what an addition takes */
    double pair, input[3], output[2], weight, far, once;
} convpool_cost;

enum { CONVPOOL_NEAR_WEIGHTS = 1 << 18 }; /* as many as a CPU's second cache holds, 1 MiB of them */

/* One call: the whole input and output are given, output rows [first_row, first_row + row_count) are computed. */
typedef struct convpool_job {
    const convpool_shape *shape;
    const void *packed;
    const float *input;
    float *output;
    void *scratch;
    size_t first_row, row_count;
} convpool_job;

/* One algorithm for the fused layer on one ISA. Sizes are in bytes. */
typedef struct convpool_kernel {
    const char *name;      /* "avx2-direct" */
    const char *algorithm; /* "direct" */
    convpool_cost cost;

    /* Bias and weights in the order in which `run` reads them: `packed` is aligned to CONVPOOL_ALIGNMENT,
     * bias may be NULL for none. */
    size_t (*packed_size)(const convpool_shape *shape);
    void (*pack)(const convpool_shape *shape, const float *weights, const float *bias, void *packed);

    size_t (*scratch_size)(const convpool_shape *shape); /* for scratch at any alignment */
    size_t (*row_step)(const convpool_shape *shape);     /* output rows that share arithmetic */

    /* The bound of convpool_layer_error_bound(), for inputs of at most this magnitude, which is finite. */
    double (*error_bound)(const convpool_shape *shape, const void *packed, double max_abs_input);

    void (*run)(const convpool_job *job);
} convpool_kernel;

enum { CONVPOOL_ALIGNMENT = 64 };

/* A stage of a network that is no layer, checked: on images [height][width][channels], the window and stride a pool's
 * or a depthwise convolution's.
 * dispatch/network.c makes it. */
typedef struct convpool_between {
    convpool_stage_kind kind;
    size_t channels, height, width, out_height, out_width;
    size_t window_height, window_width, stride_height, stride_width, pad_top, pad_left;
    convpool_activation activation;
    float parameter;
    /* A scale's weights and bias, or PReLU's slopes; of a depthwise convolution [filter height][filter width] weights,
     * and bias and slopes. See CONVPOOL_REPEATED; NULL where there is none. */
    const float *per_channel[3];
} convpool_between;

/* What each channel has is repeated in order, so that a vector of any successive ones can be loaded: so many more than
 * there are channels, the longest vector. */
enum { CONVPOOL_REPEATED = 16 };

/* winograd/weights.c. The T of winograd/scheme.h: every input of smaller magnitude can be transformed; 0 where weights
 * or bias forbid it to any. bias may be NULL. */
float convpool_winograd_limit(const convpool_shape *shape, const float *weights, const float *bias);

/* The side^2 transformed weights of the filter of channels o and c, each computed in double and rounded once; side is
 * the tile's, 3 or 4. */
void convpool_winograd_filter(const convpool_shape *shape, size_t side, const float *weights, size_t o, size_t c,
                              float *to);

/* |x|, without libm, which fabs() may need. */
static inline double convpool_magnitude(double x) { return x < 0 ? -x : x; }

/* One instruction set: its kernels, best first, and the stages on their own. */
typedef struct convpool_isa {
    const char *name;
    unsigned needs; /* CONVPOOL_NEEDS_...; 0 where every CPU of the architecture will do */
    bool fused;     /* its family: a multiply-add rounds once, or twice */
    const convpool_kernel *kernels;
    size_t kernel_count;
    void (*max_pool_2x2)(const float *input, size_t channels, size_t height, size_t width, float *output);
    void (*relu)(const float *input, size_t count, float *output);
    void (*global_average)(const float *input, size_t channels, size_t pixels, float *output);
    void (*softmax)(const float *input, size_t count, float *output);                  /* at least one */
    void (*between)(const convpool_between *stage, const float *input, float *output); /* activations, scales and
                                                                                           softmax also in place */
} convpool_isa;

#endif
