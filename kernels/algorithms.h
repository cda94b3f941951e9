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
#if CONVPOOL_WINOGRAD22 || CONVPOOL_WINOGRAD32 || CONVPOOL_WINOGRAD23
#include "winograd/run.h"
#endif

/* Costs were fitted to measured times of some 300 layers on the ISAs of each family. */
#define OF_FAMILY(fused, separate) (VEC_FUSED ? (fused) : (separate))

#if CONVPOOL_DIRECT
static bool direct_is_by_pixel(const convpool_shape *s) {
    if (!arrange_pixels) return false;
    bool point = convpool_has_filter(s, 1);
    if (!(point || convpool_has_filter(s, 2)) || !convpool_windows_are_whole(s)) return false;
    if (s->input_hwc || s->output_hwc || !finish_is_plain(s)) return false;
    size_t pixels = s->out_height * s->out_width;
    if (!point && s->channels < 8) return true;
    if (point && pixel_direct_fits(s) == 0) return false;
    return arrange_by_pixel(s, point ? tune_point : tune_direct, s->pool ? 4 * pixels : pixels, pixels,
                            pixel_direct_step(s->pool));
}

/* Every function of a kernel that may use vectors ends with vec_end(), those that only plan among them: compilers copy
 * structs in vectors. */
static size_t direct_kernel_packed_size(const convpool_shape *s) {
    size_t size = direct_is_by_pixel(s) ? pixel_direct_packed_size(s) : direct_packed_size(s);
    vec_end();
    return size;
}

static void direct_kernel_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) {
    if (direct_is_by_pixel(s))
        pixel_direct_pack(s, weights, bias, packed);
    else
        direct_pack(s, weights, bias, packed);
    vec_end();
}

static size_t direct_kernel_scratch_size(const convpool_shape *s) {
    size_t size = direct_is_by_pixel(s) ? pixel_direct_scratch_size(s) : direct_scratch_size(s);
    vec_end();
    return size;
}

static double direct_kernel_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    double bound = direct_is_by_pixel(s) ? pixel_direct_error_bound(s, packed, max_abs_input)
                                         : direct_error_bound(s, packed, max_abs_input);
    vec_end();
    return bound;
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
    vec_end();
}
#endif

/* A weight from memory. */
#define COST_FAR OF_FAMILY(5.3, 1)

/* Tiles that a layer is counted as at least, with Winograd's. */
#define COST_LEAST OF_FAMILY(2, 1)

#define DIRECT_COST \
    { \
        .tile = 1, .least = 1, .pair = OF_FAMILY(1.025, 0.968), \
        .input = {OF_FAMILY(13.67, 4.2), OF_FAMILY(30.88, 0.95)}, \
        .output = {OF_FAMILY(3.584, 3.32), OF_FAMILY(2.347, 3.3)}, .weight = OF_FAMILY(1.131, 0.447), .far = COST_FAR, \
        .once = OF_FAMILY(7032, 822), \
    }
#define DIRECT_KERNEL(isa) \
    { \
        .name = isa "-direct", .algorithm = "direct", .cost = DIRECT_COST, .packed_size = direct_kernel_packed_size, \
        .pack = direct_kernel_pack, .scratch_size = direct_kernel_scratch_size, .row_step = direct_row_step, \
        .error_bound = direct_kernel_error_bound, .run = direct_kernel_run, \
    }

#if CONVPOOL_WINOGRAD22 || CONVPOOL_WINOGRAD32 || CONVPOOL_WINOGRAD23
static double winograd_kernel_error_bound(const convpool_shape *s, const void *packed, double max_abs_input) {
    double bound = winograd_error_bound(s, packed, max_abs_input);
    vec_end();
    return bound;
}

static void winograd_kernel_run(const convpool_job *job) {
    winograd_run_layer(job);
    vec_end();
}
#endif

#define WINOGRAD_ALGORITHM(of) \
    static size_t winograd_##of##_packed_size(const convpool_shape *s) { \
        size_t size = winograd_packed_size(s, winograd_##of); \
        vec_end(); \
        return size; \
    } \
    static void winograd_##of##_pack(const convpool_shape *s, const float *weights, const float *bias, void *packed) { \
        winograd_pack(s, winograd_##of, weights, bias, packed); \
        vec_end(); \
    } \
    static size_t winograd_##of##_scratch_size(const convpool_shape *s) { \
        size_t size = winograd_scratch_size(s, winograd_##of); \
        vec_end(); \
        return size; \
    } \
    static size_t winograd_##of##_row_step(const convpool_shape *s) { \
        size_t step = winograd_row_step(s, winograd_##of); \
        vec_end(); \
        return step; \
    }
#if CONVPOOL_WINOGRAD22
WINOGRAD_ALGORITHM(22)
#endif
#if CONVPOOL_WINOGRAD32
WINOGRAD_ALGORITHM(32)
#endif
#if CONVPOOL_WINOGRAD23
WINOGRAD_ALGORITHM(23)
#endif

#define WINOGRAD_COST_22 \
    { \
        .tile = 2, .filter = 2, .least = COST_LEAST, .pair = OF_FAMILY(8.911, 9.42), \
        .input = {OF_FAMILY(99.4, 31.7), OF_FAMILY(81.44, 28.3)}, \
        .output = {OF_FAMILY(64.42, 44), OF_FAMILY(21.59, 17.5)}, .weight = OF_FAMILY(1.951, 0.457), .far = COST_FAR, \
        .once = OF_FAMILY(19580, 3900), \
    }
#define WINOGRAD_COST_32 \
    { \
        .tile = 3, .filter = 2, .least = COST_LEAST, .pair = OF_FAMILY(14.91, 17.2), \
        .input = {OF_FAMILY(185.4, 72.7), OF_FAMILY(178.6, 79.3)}, \
        .output = {OF_FAMILY(158.9, 77.7), OF_FAMILY(97.77, 78.8)}, .weight = OF_FAMILY(2.224, 0.456), \
        .far = COST_FAR, .once = OF_FAMILY(9376, 2890), \
    }
#define WINOGRAD_COST_23 \
    { \
        .tile = 2, .filter = 3, .wide = 5, .least = COST_LEAST, .pair = OF_FAMILY(6.966, 18.9), \
        .input = {OF_FAMILY(258.6, 23.6), OF_FAMILY(212.4, 41.9), OF_FAMILY(876.7, 128)}, \
        .output = {OF_FAMILY(129, 53.2), OF_FAMILY(110.5, 50.6)}, .weight = OF_FAMILY(1.811, 0.45), .far = COST_FAR, \
        .once = OF_FAMILY(18900, 6700), \
    }
#define WINOGRAD_KERNEL(isa, of) \
    { \
        .name = isa "-winograd" #of, .algorithm = "winograd" #of, .cost = WINOGRAD_COST_##of, \
        .packed_size = winograd_##of##_packed_size, .pack = winograd_##of##_pack, \
        .scratch_size = winograd_##of##_scratch_size, .row_step = winograd_##of##_row_step, \
        .error_bound = winograd_kernel_error_bound, .run = winograd_kernel_run, \
    }

/* The rows of an ISA's table, best first, of what is built. */
#if CONVPOOL_WINOGRAD32
#define WINOGRAD32_ROW(isa) WINOGRAD_KERNEL(isa, 32),
#else
#define WINOGRAD32_ROW(isa)
#endif
#if CONVPOOL_WINOGRAD22
#define WINOGRAD22_ROW(isa) WINOGRAD_KERNEL(isa, 22),
#else
#define WINOGRAD22_ROW(isa)
#endif
#if CONVPOOL_WINOGRAD23
#define WINOGRAD23_ROW(isa) WINOGRAD_KERNEL(isa, 23),
#else
#define WINOGRAD23_ROW(isa)
#endif
#if CONVPOOL_DIRECT
#define DIRECT_ROW(isa) DIRECT_KERNEL(isa),
#else
#define DIRECT_ROW(isa)
#endif
#define CONVPOOL_KERNELS(isa) WINOGRAD32_ROW(isa) WINOGRAD22_ROW(isa) WINOGRAD23_ROW(isa) DIRECT_ROW(isa)

#endif
