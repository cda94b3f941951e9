/* SPDX-License-Identifier: MIT */
/* A spec, checked, and what follows from it. */
#include "dispatch.h"

#include <stdint.h>

/* Sums and products that stay at SIZE_MAX once they overflow. */
static size_t plus(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }
static size_t times(size_t a, size_t b) { return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b; }

bool convpool_fits(size_t bytes) { return bytes <= PTRDIFF_MAX; }

size_t convpool_tensor_bytes(size_t a, size_t b, size_t c) { return times(times(times(a, b), c), sizeof(float)); }

bool convpool_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    if (a_bytes == 0 || b_bytes == 0) return false;
    return first < second ? second - first < a_bytes : first - second < b_bytes;
}

bool convpool_enums_valid(const convpool_layer_spec *spec) {
    /* As unsigned: an enum read from a wrong spec may hold anything, and its type may have a sign or none. */
    return (unsigned)spec->filter <= CONVPOOL_CONVOLUTION && (unsigned)spec->pool <= CONVPOOL_POOL_MAX_2X2_CEIL &&
           (unsigned)spec->activation <= CONVPOOL_ACTIVATION_ELU &&
           (unsigned)spec->weights_layout <= CONVPOOL_WEIGHTS_OHWI &&
           (unsigned)spec->input_layout <= CONVPOOL_IMAGE_HWC && (unsigned)spec->output_layout <= CONVPOOL_IMAGE_HWC;
}

static void set_weights_layout(convpool_weights_layout layout, convpool_shape *s) {
    size_t filter = s->filter_height * s->filter_width;
    s->weight_c = layout == CONVPOOL_WEIGHTS_OIHW ? filter : layout == CONVPOOL_WEIGHTS_HWIO ? s->out_channels : 1;
    s->weight_v = layout == CONVPOOL_WEIGHTS_OIHW   ? 1
                  : layout == CONVPOOL_WEIGHTS_HWIO ? s->channels * s->out_channels
                                                    : s->channels;
    s->weight_u = s->weight_v * s->filter_width;
    s->weight_o = layout == CONVPOOL_WEIGHTS_HWIO ? 1 : s->depth;
}

/* Whether the activation may fall where its argument rises, or a slope of 0 makes NaN of -infinity: then maxima are not
 * to be taken before it. PReLU's slopes are not read yet. */
static bool may_fall(convpool_activation activation, float parameter) {
    switch (activation) {
    case CONVPOOL_ACTIVATION_LEAKY_RELU: return !(parameter > 0);
    case CONVPOOL_ACTIVATION_ELU: return !(parameter >= 0);
    case CONVPOOL_ACTIVATION_PRELU:
    case CONVPOOL_ACTIVATION_SIGMOID: return true; /* the sigmoid by a bit, now and then */
    default: return false;
    }
}

/* Whether the tensors fit, the padded input, the step from one window to the next, and what a layer needs at most: no
 * kernel's own sizes can then overflow. The bounds are convpool.h's, which count four times the rows that a row of
 * windows reads. What they add to that or the padded input's size is below `coarse`, so they do not overflow where all
 * of these fit. */
static bool sizes_fit(const convpool_shape *s) {
    size_t c = s->channels, o = s->out_channels, h = s->padded_height, w = s->padded_width;
    size_t weights = times(times(c, s->filter_height), s->filter_width);
    size_t coarse = plus(times(times(plus(weights, 1), plus(o, 16)), 80), times(plus(weights, 512), 4608));
    return convpool_fits(coarse) && convpool_fits(convpool_tensor_bytes(c, h, w)) &&
           convpool_fits(times(convpool_tensor_bytes(c, s->filter_height, w), 4)) &&
           convpool_fits(convpool_tensor_bytes(o, s->conv_height, s->conv_width)) &&
           convpool_fits(convpool_tensor_bytes(s->stride_height, w, c)) &&
           convpool_fits(convpool_tensor_bytes(s->stride_width, c, 1)) &&
           convpool_fits(CONVPOOL_LAYER_MEMORY_MAX_FILTER(c, o, s->filter_height, s->filter_width)) &&
           convpool_fits(CONVPOOL_LAYER_SCRATCH_MAX_FILTER(c, h, w, o, s->filter_height, s->filter_width));
}

convpool_status convpool_make_shape(const convpool_layer_spec *spec, convpool_shape *shape) {
    if (!convpool_enums_valid(spec) || (spec->activation == CONVPOOL_ACTIVATION_PRELU && spec->slopes == NULL))
        return CONVPOOL_INVALID_ARGUMENT;
    convpool_shape s = {
        .channels = spec->in_channels,
        .height = spec->in_height,
        .width = spec->in_width,
        .pad_top = spec->pad_top,
        .pad_left = spec->pad_left,
        .padded_height = plus(plus(spec->in_height, spec->pad_top), spec->pad_bottom),
        .padded_width = plus(plus(spec->in_width, spec->pad_left), spec->pad_right),
        .filter_height = spec->filter_height ? spec->filter_height : 2,
        .filter_width = spec->filter_width ? spec->filter_width : 2,
        .stride_height = spec->stride_height ? spec->stride_height : 1,
        .stride_width = spec->stride_width ? spec->stride_width : 1,
        .out_channels = spec->out_channels,
        .pool = spec->pool != CONVPOOL_POOL_NONE,
        .flip = spec->filter == CONVPOOL_CONVOLUTION,
        .input_hwc = spec->input_layout == CONVPOOL_IMAGE_HWC,
        .output_hwc = spec->output_layout == CONVPOOL_IMAGE_HWC,
        .activation = spec->activation,
        .parameter = spec->activation_parameter,
        .slopes = spec->slopes,
    };
    if (s.channels == 0 || s.out_channels == 0 || s.height == 0 || s.width == 0 || s.filter_height > s.padded_height ||
        s.filter_width > s.padded_width)
        return CONVPOOL_INVALID_SHAPE;
    s.conv_height = (s.padded_height - s.filter_height) / s.stride_height + 1;
    s.conv_width = (s.padded_width - s.filter_width) / s.stride_width + 1;
    size_t up = spec->pool == CONVPOOL_POOL_MAX_2X2_CEIL;
    s.out_height = s.pool ? s.conv_height / 2 + (up & s.conv_height) : s.conv_height;
    s.out_width = s.pool ? s.conv_width / 2 + (up & s.conv_width) : s.conv_width;
    if (s.out_height == 0 || s.out_width == 0 || !sizes_fit(&s)) return CONVPOOL_INVALID_SHAPE;
    s.depth = s.channels * s.filter_height * s.filter_width;
    s.late = s.pool && may_fall(s.activation, s.parameter);
    set_weights_layout(spec->weights_layout, &s);
    *shape = s;
    return CONVPOOL_OK;
}
