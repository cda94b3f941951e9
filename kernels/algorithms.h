/* SPDX-License-Identifier: MIT */
/* The algorithms as kernels: each in the arrangement that suits a layer, lanes over output channels or over pixels.
 * Both evaluate in one order, so no bit depends on which it is. */
#ifndef CONVPOOL_ALGORITHMS_H
#define CONVPOOL_ALGORITHMS_H

#include "arrange.h"
#include "direct.h"
#include "list.h"
#if CONVPOOL_DIRECT
#include "pixels/direct.h"
#endif
#if CONVPOOL_WINOGRAD22 || CONVPOOL_WINOGRAD32
#include "winograd/run.h"
#endif

/* Costs were fitted to measured times of some 280 layers on the ISAs of each family. */
#define OF_FAMILY(fused, separate) (VEC_FUSED ? (fused) : (separate))

/* Whether it is a layer of 2x2 filters over an image without padding, in planes, to planes, as those arrangements and
 * algorithms need it that do not know source.h. */
static bool is_plain(const convpool_shape *s) {
    bool filter = s->filter_height == 2 && s->filter_width == 2 && s->stride_height == 1 && s->stride_width == 1;
    bool padded = s->padded_height != s->height || s->padded_width != s->width;
    bool ceil = s->pool && (2 * s->out_height > s->conv_height || 2 * s->out_width > s->conv_width);
    return filter && !padded && !ceil && !s->input_hwc && !s->output_hwc && finish_is_plain(s);
}

#if CONVPOOL_DIRECT
static bool direct_is_by_pixel(const convpool_shape *s) {
    if (!is_plain(s)) return false;
    size_t pixels = s->out_height * s->out_width;
    if (s->channels < 8) return true;
    return arrange_by_pixel(s, arrange_direct, s->pool ? 4 * pixels : pixels, pixels, pixel_direct_step(s->pool));
}

static size_t direct_kernel_packed_size(const convpool_shape *s) {
    return direct_is_by_pixel(s) ? pixel_direct_packed_size(s) : direct_packed_size(s);
}

static void direct_kernel_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    if (direct_is_by_pixel(s))
        pixel_direct_pack(s, weights, bias, packed);
    else
        direct_pack(s, weights, bias, packed);
}

static size_t direct_kernel_scratch_size(const convpool_shape *s) {
    return direct_is_by_pixel(s) ? pixel_direct_scratch_size(s) : direct_scratch_size(s);
}

static double direct_kernel_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    return direct_is_by_pixel(s) ? pixel_direct_error_bound(s, packed, max_abs_input)
                                 : direct_error_bound(s, packed, max_abs_input);
}

static bool direct_can(const convpool_shape *s) {
    (void)s;
    return true;
}

static inline size_t direct_row_step(const convpool_shape *s) {
    (void)s;
    return 1;
}

static void direct_kernel_run(const convpool_job *job) {
    if (direct_is_by_pixel(job->shape))
        pixel_direct_run(job);
    else
        direct_run(job);
}
#endif

#define DIRECT_KERNEL(isa) \
    { \
        isa "-direct", "direct", {1, 4, OF_FAMILY(6, 5.2), {2, 2}, OF_FAMILY(1.5, 0.85)}, direct_can, direct_kernel_packed_size, \
            direct_kernel_pack, direct_kernel_scratch_size, direct_row_step, direct_kernel_error_bound, \
            direct_kernel_run \
    }

#define WINOGRAD_ALGORITHM(tile) \
    static size_t winograd_##tile##_packed_size(const convpool_shape *s) { return winograd_packed_size(s, tile); } \
    static void winograd_##tile##_pack(const convpool_shape *s, const float *weights, const float *bias, \
                                       void *packed) { \
        winograd_pack(s, tile, weights, bias, packed); \
    } \
    static size_t winograd_##tile##_scratch_size(const convpool_shape *s) { return winograd_scratch_size(s, tile); } \
    static size_t winograd_##tile##_row_step(const convpool_shape *s) { return s->pool && tile == 2 ? 1 : tile; } \
    static double winograd_##tile##_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) { \
        return winograd_error_bound(s, tile, packed, max_abs_input); \
    } \
    static void winograd_##tile##_run(const convpool_job *job) { winograd_run_layer(job, tile); }
#if CONVPOOL_WINOGRAD22
WINOGRAD_ALGORITHM(2)
#endif
#if CONVPOOL_WINOGRAD32
WINOGRAD_ALGORITHM(3)
#endif

#define WINOGRAD_COST_2 \
    { 2, OF_FAMILY(9.7, 9.4), OF_FAMILY(55, 68), {OF_FAMILY(46, 28), OF_FAMILY(22, 8.4)}, OF_FAMILY(1.5, 0.85) }
#define WINOGRAD_COST_3 \
    { 3, OF_FAMILY(17.8, 17.9), OF_FAMILY(117, 89), {OF_FAMILY(121, 52), OF_FAMILY(65, 55)}, OF_FAMILY(1.5, 0.85) }
#define WINOGRAD_KERNEL(isa, tile) \
    { \
        isa "-winograd" #tile "2", "winograd" #tile "2", WINOGRAD_COST_##tile, is_plain, winograd_##tile##_packed_size, \
            winograd_##tile##_pack, winograd_##tile##_scratch_size, winograd_##tile##_row_step, \
            winograd_##tile##_error_bound, winograd_##tile##_run \
    }

/* The rows of an ISA's table, best first, of what is built. */
#if CONVPOOL_WINOGRAD32
#define WINOGRAD32_ROW(isa) WINOGRAD_KERNEL(isa, 3),
#else
#define WINOGRAD32_ROW(isa)
#endif
#if CONVPOOL_WINOGRAD22
#define WINOGRAD22_ROW(isa) WINOGRAD_KERNEL(isa, 2),
#else
#define WINOGRAD22_ROW(isa)
#endif
#if CONVPOOL_DIRECT
#define DIRECT_ROW(isa) DIRECT_KERNEL(isa),
#else
#define DIRECT_ROW(isa)
#endif
#define CONVPOOL_KERNELS(isa) WINOGRAD32_ROW(isa) WINOGRAD22_ROW(isa) DIRECT_ROW(isa)

#endif
