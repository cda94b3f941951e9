/* SPDX-License-Identifier: MIT */
/*
 * convpool: the layers of a small convolutional neural network, each fused into one pass, for one image at a time.
 *
 *     y[o, p, q] = max over i, j in {0, 1} of  f( b[o] + sum over c, u, v of
 *                               x[c, s (2p+i) + u - pt, t (2q+j) + v - pl] * w[o, c, u, v] )
 *
 * That is a convolution with bias, an activation f, and 2x2 max-pooling with stride 2. The filter may have any size and
 * strides s, t. x is 0 in the padding: pt rows above the image, pl columns to its left, and others of their own number
 * below and to its right. Without pooling y[o, p, q] is one such f(). A dense layer is one whose filter is as large as
 * its image.
 *
 * Letters: C input channels, H x W input height and width, O output channels. Padded, the image has H' x W', and the
 * convolution has (H' - filter height) / s + 1 rows a channel, rounded down, and columns likewise; pooling halves both
 * and drops an odd last row or column, or with CONVPOOL_POOL_MAX_2X2_CEIL makes windows of it.
 *
 * Tensors are dense float32 in row-major order. Images are [channels][height][width] unless a layout says otherwise,
 * weights [O][C][filter height][filter width], bias [O]. They need the alignment of float. Memory and scratch need
 * none.
 *
 *     coming from            filter                       weights_layout   images  dense weights after Flatten
 *     PyTorch, ONNX          CONVPOOL_CROSS_CORRELATION   OIHW             CHW     Linear's, OIHW
 *     Keras, TensorFlow      CONVPOOL_CROSS_CORRELATION   HWIO             HWC     Dense's, HWIO
 *     TensorFlow Lite        CONVPOOL_CROSS_CORRELATION   OHWI             HWC     FullyConnected's, OHWI
 *     Theano, SciPy          CONVPOOL_CONVOLUTION         OIHW             CHW     OIHW, but CONVPOOL_CROSS_CORRELATION
 *
 * Threads: every function may be called from any number of threads at once. A layer is immutable once made, so
 * threads may share it, each with scratch of its own, and an output, or rows of one, of its own. The library starts
 * no thread, takes no lock and has no set-up call. The first call that needs to know asks the CPU what it can do
 * (some microseconds, up to about a millisecond under a hypervisor) and, where no kernel is named, reads the
 * environment variable CONVPOOL_KERNEL; both answers are kept for the life of the process. Where CONVPOOL_KERNEL
 * names no kernel that can run here, that call says so in one line on stderr. It is refused, and so are all later ones
 * that name no kernel. The library prints nothing else. Running a layer or a network makes no system call, and takes
 * less than 16 KiB of stack in an optimized build.
 *
 * Errors: a call that is refused writes to no memory of the caller's, except that one that creates a layer or network
 * sets *layer or *network to NULL. What is wrong is looked for in this order: pointers and enums, shape, kernel, memory
 * size, overlap.
 *
 * Numbers, in the default floating-point environment, rounding to nearest without flush-to-zero, which the library
 * leaves as it finds it:
 *   - For one algorithm, the results of all kernels with fused multiply-add (avx2, avx512, neon) are identical bit
 *     for bit, and so are those of all without (scalar, sse2, wasm128): on every CPU, from every compiler, however
 *     run_rows splits an image, whatever the alignment; but for the sign of a zero where there is no activation, and
 *     the payload of a NaN. The automatic choice of an algorithm depends on the layer's shape alone: its extents,
 *     filter, strides, padding and pooling, and whether an algorithm can compute it; not on layouts.
 *   - An output is NaN when an input or weight under its window, or its bias, is NaN. Max-pooling and activations pass
 *     NaN on. Padding is computed with like any other 0: infinity times zero is NaN.
 *   - Sigmoid, tanh and ELU are within 4 units of 2^-24, and 2^-149, of the exact function of the sum before them.
 *   - Infinities, and results that overflow to one, come out as IEEE 754 arithmetic has them in the direct sum:
 *     infinity less infinity and infinity times zero are NaN.
 *   - ReLU and ReLU6 give +0 for every negative number and for -0.
 *   - The maximum is taken first, then bias and activation follow; only with an infinite bias does that differ from the
 *     formula above. Bias and activation come before the maximum where the activation may fall as its argument rises:
 *     where a slope is zero, negative or NaN, where alpha is negative or NaN, and for the sigmoid.
 *   - Denormal numbers, in and out, are computed, not flushed to zero.
 *   - All of this is the same in every lane of a vector, and for the last pixels that do not fill one.
 *   - Every finite result is within a proven bound of the exact one: convpool_layer_error_bound().
 *   - Of the floating-point exceptions invalid, overflow and division by zero, a call raises only what its numbers have
 *     earned: invalid only if an input, a weight or a bias is NaN or infinite, or a sum becomes so, or such a slope or
 *     alpha is multiplied by; overflow only if the direct sum of an output overflows, or what a slope or alpha makes of
 *     it; division by zero never. So a program may run with them unmasked.
 *
 * A compiler that computes float in another precision, as for x87, cannot build the library.
 *
 * Algorithms: "direct" sums as the formula is written, from +0, over c, then u, then v ascending, and computes any
 * layer. "winograd22" and "winograd32" (S. Winograd, 1980; A. Lavin and S. Gray, 2016) take fewer multiplications for
 * 2x2 filters, in tiles of 2x2 and 3x3 convolution outputs, and "winograd23" for 3x3 and 5x5 filters, in tiles of 2x2:
 * all with strides of 1, and pooled only where the maximum is taken first, of whole windows, and not with PReLU, whose
 * slopes are known too late. On data of even magnitude all are as accurate. Where magnitudes differ widely, Winograd's
 * are less so, element by element: with u = 2^-24 and N weights of each output channel, the error of direct is at most
 * about (N + 1) u (|b| + sum |x||w|), that of the others about G (C + 8) u (|b| + sum over c of max |x[c]| over the
 * output's tile times sum |w[o, c]|), with G = 9 for winograd22, else 16, and 4 C for C with a 5x5 filter. NaN,
 * infinities and values too large for Winograd's differences come out as of direct: rows of tiles that read such an
 * input, or the whole layer where such a weight or bias is in it, are computed directly.
 */
#ifndef CONVPOOL_H
#define CONVPOOL_H

#include <stdbool.h>
#include <stddef.h>

/* What the shared library exports. A static library's functions stay inside the program or shared library that links
 * it, so that two plugins can each have a version of their own. */
#if defined(CONVPOOL_BUILDS_SHARED_LIBRARY) && !defined(_WIN32)
#define CONVPOOL_API __attribute__((visibility("default")))
#else
#define CONVPOOL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CONVPOOL_VERSION_MAJOR 0
#define CONVPOOL_VERSION_MINOR 2
#define CONVPOOL_VERSION_PATCH 0

/* The version of the library in use, such as "0.2.0". */
CONVPOOL_API const char *convpool_version(void);

/* What a call that can fail returns. */
typedef enum convpool_status {
    CONVPOOL_OK = 0,
    CONVPOOL_INVALID_ARGUMENT,  /* a NULL pointer, a value outside an enum, PReLU without slopes, rows beyond
                                   the output, tensors that overlap */
    CONVPOOL_INVALID_SHAPE,     /* a zero extent, a filter or window larger than the padded image or in padding alone,
                                   an empty output, softmax of an image, extents that do not follow from the stage
                                   before, a size that overflows */
    CONVPOOL_OUT_OF_MEMORY,     /* allocation failed, or too little memory was given */
    CONVPOOL_KERNEL_UNKNOWN,    /* no kernel of that name is built into this library */
    CONVPOOL_KERNEL_UNSUPPORTED /* it is built in, but this CPU or operating system cannot run it, or it cannot
                                   compute this layer */
} convpool_status;

/* A sentence without a final stop that explains `status`; never NULL. The string is static. */
CONVPOOL_API const char *convpool_status_string(convpool_status status);

/* How weights are laid over the input. */
typedef enum convpool_filter {
    CONVPOOL_CROSS_CORRELATION = 0, /* w[u][v] meets input (u, v) under the filter: PyTorch, ONNX, TensorFlow */
    CONVPOOL_CONVOLUTION            /* the filter is flipped, down and across: SciPy, Theano */
} convpool_filter;

typedef enum convpool_pool {
    CONVPOOL_POOL_MAX_2X2 = 0, /* the maximum of each 2x2 window, stride 2; an odd last row or column is dropped */
    CONVPOOL_POOL_NONE,
    CONVPOOL_POOL_MAX_2X2_CEIL /* the same, but an odd last row or column makes windows of its own (Keras' 'same') */
} convpool_pool;

/* With a = activation_parameter, or for PReLU slopes[o]. NaN stays NaN. */
typedef enum convpool_activation {
    CONVPOOL_ACTIVATION_RELU = 0,   /* max(y, 0) */
    CONVPOOL_ACTIVATION_NONE,       /* y */
    CONVPOOL_ACTIVATION_RELU6,      /* min(max(y, 0), 6) */
    CONVPOOL_ACTIVATION_LEAKY_RELU, /* y where y >= 0, else a y */
    CONVPOOL_ACTIVATION_PRELU,      /* the same, with a slope for each output channel */
    CONVPOOL_ACTIVATION_SIGMOID,    /* 1 / (1 + exp(-y)) */
    CONVPOOL_ACTIVATION_TANH,       /* tanh(y) */
    CONVPOOL_ACTIVATION_ELU         /* y where y >= 0, else a (exp(y) - 1) */
} convpool_activation;

/* How weights lie in memory: O output channels, I input channels, H and W the filter's height and width. */
typedef enum convpool_weights_layout {
    CONVPOOL_WEIGHTS_OIHW = 0, /* PyTorch, ONNX, Theano */
    CONVPOOL_WEIGHTS_HWIO,     /* Keras, TensorFlow */
    CONVPOOL_WEIGHTS_OHWI      /* TensorFlow Lite */
} convpool_weights_layout;

/* How an image lies in memory. */
typedef enum convpool_image_layout {
    CONVPOOL_IMAGE_CHW = 0, /* [channels][height][width]: PyTorch, ONNX, Theano */
    CONVPOOL_IMAGE_HWC      /* [height][width][channels]: Keras, TensorFlow, most image files */
} convpool_image_layout;

/* What a layer is. Zero-initialise, then set what you need; in C++ by {} in place of {0}:
 *     convpool_layer_spec spec = {0};
 *     spec.in_channels = 16, spec.in_height = 25, spec.in_width = 25, spec.out_channels = 32;
 * A dense (fully connected) layer is one whose filter is as large as its image, without pooling. */
typedef struct convpool_layer_spec {
    size_t in_channels, in_height, in_width, out_channels; /* C, H, W, O */
    convpool_filter filter;
    convpool_pool pool;
    convpool_activation activation;
    const char *kernel; /* NULL or "": choose automatically, or as CONVPOOL_KERNEL says; else an ISA ("avx2"),
                           an algorithm ("direct") or both ("avx2-winograd32"), in lower case, and CONVPOOL_KERNEL
                           does not count. Read during the call only. */
    size_t filter_height, filter_width;              /* at most the padded input's; 0: 2, each by itself */
    size_t stride_height, stride_width;              /* of the convolution; 0: 1. A step beyond any image is refused */
    size_t pad_top, pad_left, pad_bottom, pad_right; /* rows and columns of zeros around the input */
    convpool_weights_layout weights_layout;
    convpool_image_layout input_layout, output_layout;
    float activation_parameter; /* leaky ReLU's slope, ELU's alpha; any number, and not read for the others */
    const float *slopes;        /* PReLU's, [O], any numbers; read by create only, and not for the others */
} convpool_layer_spec;

/* A layer: the spec, the chosen kernel, and the weights packed for it. */
typedef struct convpool_layer convpool_layer;

/* Upper bounds in bytes, for any kernel of this version, as constant expressions for static arrays: of
 * convpool_layer_memory_size() and of convpool_layer_scratch_size(). They hold for every layer that
 * convpool_layer_create() accepts, whatever its strides, pooling, activation and layouts, and never shrink where an
 * argument grows. in_height and in_width include the padding. Arguments may be evaluated several times. */
#define CONVPOOL_LAYER_MEMORY_MAX_FILTER(in_channels, out_channels, filter_height, filter_width) \
    (1024 + \
     (CONVPOOL_SIZE(out_channels) + 15) * \
         (CONVPOOL_SIZE(in_channels) * CONVPOOL_MORE(CONVPOOL_IF_WIDE(filter_height, filter_width, 5, 296), \
                                                     4 * CONVPOOL_SIZE(filter_height) * CONVPOOL_SIZE(filter_width) + \
                                                         CONVPOOL_IF_WIDE(filter_height, filter_width, 2, 64)) + \
          8) + \
     8 * CONVPOOL_SIZE(in_channels) * CONVPOOL_SIZE(filter_height) * CONVPOOL_SIZE(filter_width) + \
     CONVPOOL_IF_WIDE(filter_height, filter_width, 2, 192) * \
         CONVPOOL_LESS(CONVPOOL_SIZE(in_channels) * CONVPOOL_SIZE(out_channels), 8192))
#define CONVPOOL_LAYER_SCRATCH_MAX_FILTER(in_channels, in_height, in_width, out_channels, filter_height, filter_width) \
    (CONVPOOL_BAND_MAX(in_channels, in_height, in_width, filter_height) + \
     CONVPOOL_MORE( \
         20480, CONVPOOL_IF_WIDE(filter_height, filter_width, 2, \
                                 CONVPOOL_TILES_MAX(in_channels, in_height, in_width, out_channels, filter_height))))

/* The same for 2x2 filters. */
#define CONVPOOL_LAYER_MEMORY_MAX(in_channels, out_channels) \
    CONVPOOL_LAYER_MEMORY_MAX_FILTER(in_channels, out_channels, 2, 2)
#define CONVPOOL_LAYER_SCRATCH_MAX(in_channels, in_height, in_width, out_channels) \
    CONVPOOL_LAYER_SCRATCH_MAX_FILTER(in_channels, in_height, in_width, out_channels, 2, 2)

/* What these are written in: the rows of the image that are copied at a time, what tiles take, and sizes. */
#define CONVPOOL_BAND_MAX(in_channels, in_height, in_width, filter_height) \
    CONVPOOL_LESS(4 * CONVPOOL_SIZE(in_channels) * CONVPOOL_SIZE(in_height) * CONVPOOL_SIZE(in_width), \
                  CONVPOOL_MORE(196608, 16 * CONVPOOL_SIZE(in_channels) * CONVPOOL_SIZE(filter_height) * \
                                            CONVPOOL_SIZE(in_width)))
#define CONVPOOL_TILES_MAX(in_channels, in_height, in_width, out_channels, filter_height) \
    (((filter_height) > 4 ? 32 : 8) * CONVPOOL_SIZE(in_channels) + \
     CONVPOOL_MORE(180224 + CONVPOOL_INPUTS_MAX(in_channels, out_channels, filter_height) + \
                       2560 * CONVPOOL_LESS(CONVPOOL_SIZE(in_channels), 96), \
                   20480 + CONVPOOL_BAND_MAX(in_channels, in_height, in_width, filter_height)))
#define CONVPOOL_INPUTS_MAX(in_channels, out_channels, filter_height) \
    ((filter_height) > 4 ? 4352 * CONVPOOL_SIZE(in_channels) \
                         : CONVPOOL_MORE(2304 * CONVPOOL_SIZE(in_channels), \
                                         CONVPOOL_SIZE(in_channels) * CONVPOOL_SIZE(out_channels) > 16384 \
                                             ? CONVPOOL_LESS(4352 * CONVPOOL_SIZE(in_channels), 1179648) \
                                             : CONVPOOL_SIZE(0)))
#define CONVPOOL_LESS(a, b) ((a) < CONVPOOL_SIZE(b) ? (a) : CONVPOOL_SIZE(b))
#define CONVPOOL_MORE(a, b) (CONVPOOL_SIZE(a) < (b) ? (b) : CONVPOOL_SIZE(a))
#define CONVPOOL_IF_WIDE(filter_height, filter_width, least, size) \
    (CONVPOOL_SIZE(filter_height) >= least && CONVPOOL_SIZE(filter_width) >= least ? CONVPOOL_SIZE(size) \
                                                                                   : CONVPOOL_SIZE(0))
#ifdef __cplusplus
#define CONVPOOL_SIZE(number) (sizeof(char) * (number)) /* C++ compilers may warn about C's casts */
#else
#define CONVPOOL_SIZE(number) ((size_t)(number))
#endif

/* The bytes that convpool_layer_create_in() needs for this spec; 0 where it would refuse the spec. */
CONVPOOL_API size_t convpool_layer_memory_size(const convpool_layer_spec *spec);

/* Makes a layer and stores it in *layer; the caller owns it and ends it with convpool_layer_destroy().
 *   weights  one for each output channel, input channel and position of the filter, as spec->weights_layout says
 *   bias     [O], or NULL for none
 * Both, and slopes, are copied and may be freed afterwards. Costs one allocation and up to three passes over the
 * weights. Returns CONVPOOL_OK, CONVPOOL_INVALID_ARGUMENT (spec, weights or layer is NULL; a bad enum value; PReLU
 * without slopes), CONVPOOL_INVALID_SHAPE, CONVPOOL_KERNEL_UNKNOWN, CONVPOOL_KERNEL_UNSUPPORTED or
 * CONVPOOL_OUT_OF_MEMORY. */
CONVPOOL_API convpool_status convpool_layer_create(const convpool_layer_spec *spec, const float *weights,
                                                   const float *bias, convpool_layer **layer);

/* The same in memory of the caller's: allocates nothing. `memory`, at any alignment, must outlive the
 * layer and may not be moved. Returns also CONVPOOL_OUT_OF_MEMORY where memory_size is less than
 * convpool_layer_memory_size(), and CONVPOOL_INVALID_ARGUMENT where memory is NULL, or where the part of it
 * that is needed overlaps weights, bias or slopes. */
CONVPOOL_API convpool_status convpool_layer_create_in(const convpool_layer_spec *spec, const float *weights,
                                                      const float *bias, void *memory, size_t memory_size,
                                                      convpool_layer **layer);

/* Frees what convpool_layer_create() allocated; nothing for one made by convpool_layer_create_in(). NULL is
 * fine. No other thread may be using the layer. */
CONVPOOL_API void convpool_layer_destroy(convpool_layer *layer);

/* Stores the output's extents: channels O, height and width. A pointer may be NULL where its value is not
 * wanted; where layer is NULL nothing is stored. */
CONVPOOL_API void convpool_layer_output_shape(const convpool_layer *layer, size_t *channels, size_t *height,
                                              size_t *width);

/* Bytes of scratch memory that one running call needs, at any alignment; may be 0. 0 for NULL. */
CONVPOOL_API size_t convpool_layer_scratch_size(const convpool_layer *layer);

/* Bands that start at multiples of this many output rows repeat no arithmetic, see
 * convpool_layer_run_rows(). At least 1; 0 for NULL. */
CONVPOOL_API size_t convpool_layer_row_step(const convpool_layer *layer);

/* The name of the kernel that was chosen, such as "avx2-winograd32", whatever the layer's weights make it do. The
 * string is static; "" for NULL. */
CONVPOOL_API const char *convpool_layer_kernel(const convpool_layer *layer);

/* A bound on |y - exact| that holds for every output y of this layer and all finite inputs of magnitude at most
 * max_abs_input; exact is the result of the formula above in real numbers. With u = 2^-24 and X = max_abs_input it is
 * the largest over o of
 *     k u (|b[o]| + X sum |w[o]|) + k 2^-149 (1 + N X)        k = G R / (1 - R u)
 * where, of K weights of an output channel, G = 1, R = K + 1, N = K for direct; G = 9, R = C + 8, N = 9C for
 * winograd22; G = 16, R = C + 8, N = 16C for winograd32 and winograd23; and of that what the activation makes: times
 * its slope or alpha where one is above 1, and for its own rounding u times what it may come to, or 4 u for sigmoid,
 * tanh and alpha, and 2^-149. Where weights or bias are so large that Winograd's compute everything directly
 * (doc/numbers.md says when), it is direct's; where X is, so that rows may be, it is the larger of direct's and of
 * theirs for the largest X for which they are not. It is proven, for the worst of inputs (N. Higham, Accuracy and
 * Stability of Numerical Algorithms, 2nd ed., section 3.1; Barabasz et al., Error Analysis and Improving the Accuracy
 * of Winograd Convolution for Deep Neural Networks, 2018; doc/numbers.md has the derivation); what even data's
 * roundings add up to is often a hundredth of it. Infinity where a sum may overflow: where some |b[o]| + X sum |w[o]|
 * and the bound together reach the largest float; where weights, bias or slopes are not finite; and where R u >= 1,
 * from 2^24 weights on for direct. NaN where layer is NULL, or max_abs_input negative or NaN. Takes one pass over the
 * weights. */
CONVPOOL_API double convpool_layer_error_bound(const convpool_layer *layer, double max_abs_input);

/* Applies the layer to one image.
 *   input    [C][H][W], or as spec.input_layout said
 *   output   [O][height][width], see convpool_layer_output_shape(), or as spec.output_layout said
 *   scratch  convpool_layer_scratch_size() bytes; NULL is fine where that is 0. Its contents need not be
 *            initialised and mean nothing afterwards.
 * Allocates nothing, locks nothing, prints nothing. Returns CONVPOOL_OK, or CONVPOOL_INVALID_ARGUMENT for
 * NULL, or where input, output and scratch are not disjoint. */
CONVPOOL_API convpool_status convpool_layer_run(const convpool_layer *layer, const float *input, float *output,
                                                void *scratch);

/* Computes output rows [first_row, first_row + row_count) of every output channel and nothing else, so that
 * a caller can split one image over threads, each with scratch of its own. input and output are the whole
 * tensors, and overlap is judged on the whole. However an image is split, the result is the same, as the numeric
 * contract above says. Zero rows are fine. Returns CONVPOOL_OK, or CONVPOOL_INVALID_ARGUMENT for NULL, rows beyond the
 * output, or overlap. */
CONVPOOL_API convpool_status convpool_layer_run_rows(const convpool_layer *layer, const float *input, float *output,
                                                     void *scratch, size_t first_row, size_t row_count);

/* 2x2 max-pooling with stride 2 alone: input [channels][height][width], output [channels][height / 2]
 * [width / 2]; an odd last row or column is dropped. Runs on the best ISA, or the one that CONVPOOL_KERNEL names.
 * Returns CONVPOOL_OK, CONVPOOL_INVALID_ARGUMENT (NULL, or overlap), CONVPOOL_INVALID_SHAPE (no channels, a side below
 * 2, a size that overflows), or where there is no such ISA, or none in this build that can run here,
 * CONVPOOL_KERNEL_UNKNOWN or CONVPOOL_KERNEL_UNSUPPORTED. */
CONVPOOL_API convpool_status convpool_max_pool_2x2(const float *input, size_t channels, size_t height, size_t width,
                                                   float *output);

/* ReLU alone: output[i] = max(input[i], 0) for i < count; NaN stays NaN. output may equal input, but not
 * overlap it otherwise. A count of 0 is fine, even with NULL. Returns CONVPOOL_OK, CONVPOOL_INVALID_ARGUMENT
 * (NULL, or overlap), CONVPOOL_INVALID_SHAPE (the bytes overflow), or a kernel status as
 * convpool_max_pool_2x2(). */
CONVPOOL_API convpool_status convpool_relu(const float *input, size_t count, float *output);

/* The average of each channel: input [channels][height][width], output [channels]. Runs on the ISA that
 * convpool_max_pool_2x2() would. It is the same on each: pixels are numbered row by row, and sixteen sums take every
 * sixteenth of them, sum i from +0 and pixel i on, in order; then sums k and k + 8 are added, k + 4, k + 2, k + 1; then
 * the whole is divided by the number of pixels. Of more than 2^28 pixels a sum may no longer grow by one of them.
 * Returns CONVPOOL_OK, CONVPOOL_INVALID_ARGUMENT (NULL, or any overlap), CONVPOOL_INVALID_SHAPE (a zero extent, a size
 * that overflows), or a kernel status as convpool_max_pool_2x2(). */
CONVPOOL_API convpool_status convpool_global_average(const float *input, size_t channels, size_t height, size_t width,
                                                     float *output);

/* Softmax: output[i] = exp(input[i]) / sum over k of exp(input[k]), for i < count. Each is from 0 to 1 and within 4 u
 * and 2^-149 of the exact one, for any finite input. Where an input is NaN or the largest is infinite, all are NaN.
 * output may equal input, but not overlap it otherwise. A count of 0 is fine, even with NULL. Returns what
 * convpool_relu() does. */
CONVPOOL_API convpool_status convpool_softmax(const float *input, size_t count, float *output);

/* What a stage of a network is. An image goes in and an image comes out; [C][H][W] are the former's extents. */
typedef enum convpool_stage_kind {
    CONVPOOL_STAGE_LAYER = 0,      /* a convolution or dense layer: spec, weights and bias as convpool_layer_create()
                                      takes them */
    CONVPOOL_STAGE_MAX_POOL,       /* the largest of each window of spec.filter_height x spec.filter_width pixels (each
                                      2 where 0), spec.stride_... apart (the window's own extent where 0). spec.pad_...
                                      surround the image and count for nothing: */
    CONVPOOL_STAGE_AVERAGE_POOL,   /* an average is over the pixels that are there. Windows that do not fit the padded
                                      image are dropped; what other libraries call ceil mode is more padding */
    CONVPOOL_STAGE_GLOBAL_MAX,     /* the largest of each channel: C x 1 x 1 */
    CONVPOOL_STAGE_GLOBAL_AVERAGE, /* as convpool_global_average(): C x 1 x 1 */
    CONVPOOL_STAGE_SCALE,          /* weights[c] x + bias[c]: batch normalization that no layer can take in */
    CONVPOOL_STAGE_ACTIVATION,     /* spec.activation, with spec.activation_parameter and spec.slopes [C]. From the
                                      second stage on these two may say that in_channels is C H W, in_height and
                                      in_width 1: weights, bias and slopes are [H][W][C] then, one for each number;
                                      the image stays C x H x W */
    CONVPOOL_STAGE_SOFTMAX,        /* as convpool_softmax(), over the channels of a 1x1 image */
    CONVPOOL_STAGE_LOG_SOFTMAX,    /* its natural logarithm, within 4 u of the exact one or of 1, whichever is more */
    CONVPOOL_STAGE_DEPTHWISE = 16  /* each channel by a filter of its own, summed as direct sums: the spec as a layer's,
                                      but for out_channels and pool. Weights as if in_channels were 1 and out_channels
                                      C: [C][1][filter height][filter width], or, as Keras has them, [filter height]
                                      [filter width][1][C], or as OHWI; bias and slopes [C]. The numbers between are
                                      reserved, and refused */
} convpool_stage_kind;

/* One stage. Zero-initialise, then set what you need. From the second stage on spec.in_channels, in_height and in_width
 * may be 0: what comes in; else they must be that, or what the kind says. The first stage's say what the image is,
 * whatever its kind, and its spec.input_layout how that lies; the last stage's spec.output_layout says how the result
 * does. Other layouts do not count, nor do spec.pool, spec.activation and spec.out_channels where the kind has no use
 * for them. spec.kernel counts for each stage as for a layer; of a stage that is none, an algorithm's name says
 * nothing. */
typedef struct convpool_stage {
    convpool_stage_kind kind;
    convpool_layer_spec spec;
    const float *weights, *bias; /* a layer's, scale's or depthwise stage's; bias may be NULL: zeros. Else not read */
} convpool_stage;

/* Stages, one after the other, with all that they need: immutable, so that threads may share it. */
typedef struct convpool_network convpool_network;

/* Upper bounds in bytes for static arrays, of convpool_network_memory_size() and convpool_network_scratch_size().
 *   layers         the sum of CONVPOOL_LAYER_MEMORY_MAX_FILTER() of all layers, of depthwise stages as if in_channels
 *                  were 1 and out_channels C, and of 8 times the in_channels of each scale and PReLU
 *   image          bytes of the largest image: the input, the output, or between two stages
 *   layer_scratch  the largest CONVPOOL_LAYER_SCRATCH_MAX_FILTER() of a layer */
#define CONVPOOL_NETWORK_MEMORY_MAX(stage_count, layers) \
    (1024 + 640 * CONVPOOL_SIZE(stage_count) + CONVPOOL_SIZE(layers))
#define CONVPOOL_NETWORK_SCRATCH_MAX(image, layer_scratch) \
    (192 + 2 * CONVPOOL_SIZE(image) + CONVPOOL_SIZE(layer_scratch))

/* The bytes that convpool_network_create_in() needs; 0 where it would refuse these stages. */
CONVPOOL_API size_t convpool_network_memory_size(const convpool_stage *stages, size_t stage_count);

/* Makes a network and stores it in *network; the caller owns it and ends it with convpool_network_destroy(). All that
 * the stages point to, and they themselves, may be freed or overwritten afterwards. Costs one allocation. Returns
 * CONVPOOL_OK, CONVPOOL_OUT_OF_MEMORY, or what is wrong with the first stage that is: CONVPOOL_INVALID_ARGUMENT (stages
 * or network is NULL; no stages; a bad enum value; a layer, scale or depthwise stage without weights; PReLU without
 * slopes), CONVPOOL_INVALID_SHAPE (as for a layer; extents that are not what comes in, or none of the first stage; a
 * window larger than the padded image, or a pool's in padding alone; softmax of more than one pixel),
 * CONVPOOL_KERNEL_UNKNOWN or CONVPOOL_KERNEL_UNSUPPORTED. */
CONVPOOL_API convpool_status convpool_network_create(const convpool_stage *stages, size_t stage_count,
                                                     convpool_network **network);

/* The same in memory of the caller's, as convpool_layer_create_in(): it may overlap neither the stages nor what they
 * point to. */
CONVPOOL_API convpool_status convpool_network_create_in(const convpool_stage *stages, size_t stage_count, void *memory,
                                                        size_t memory_size, convpool_network **network);

/* Frees what convpool_network_create() allocated; nothing for one made by convpool_network_create_in(). NULL is fine.
 * No other thread may be using the network. */
CONVPOOL_API void convpool_network_destroy(convpool_network *network);

/* Stores the extents of the first stage's input, and of the last one's output, as convpool_layer_output_shape() does.
 */
CONVPOOL_API void convpool_network_input_shape(const convpool_network *network, size_t *channels, size_t *height,
                                               size_t *width);
CONVPOOL_API void convpool_network_output_shape(const convpool_network *network, size_t *channels, size_t *height,
                                                size_t *width);

/* Bytes of scratch memory that one running call needs, at any alignment: the images between stages, two at a time, and
 * what the layers need. May be 0. 0 for NULL. */
CONVPOOL_API size_t convpool_network_scratch_size(const convpool_network *network);

/* Applies the network to one image; everything else as convpool_layer_run(). */
CONVPOOL_API convpool_status convpool_network_run(const convpool_network *network, const float *input, float *output,
                                                  void *scratch);

/* The layer of a stage, to be asked for its kernel, its shape, its bound; not to be run, as it has layouts of the
 * network's choice. It lives as long as the network. NULL where the stage is no layer or there is none, or of NULL. */
CONVPOOL_API const convpool_layer *convpool_network_layer(const convpool_network *network, size_t stage);

/* One kernel of this build. The strings are static. */
typedef struct convpool_kernel_info {
    const char *name;      /* "avx2-winograd32" */
    const char *isa;       /* "avx2" */
    const char *algorithm; /* "winograd32" */
    bool supported;        /* on this CPU, under this operating system */
    const char *reason;    /* why not, in words: "the CPU has no FMA3"; "" where supported */
} convpool_kernel_info;

/* How many kernels are built in, whether this CPU can run them or not. Other architectures' are not. */
CONVPOOL_API size_t convpool_kernel_count(void);

/* Describes kernel `index`, best first: by ISA, then by algorithm. Returns false, and writes nothing,
 * where info is NULL or index is not below convpool_kernel_count(). Never reads CONVPOOL_KERNEL. */
CONVPOOL_API bool convpool_kernel_get(size_t index, convpool_kernel_info *info);

#ifdef __cplusplus
}
#endif

#endif
