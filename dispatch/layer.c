/* SPDX-License-Identifier: MIT */
/* The public calls: check, pack, run. */
#include "dispatch.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

struct convpool_layer {
    convpool_shape shape;
    const convpool_kernel *kernel;
    const void *packed;
    void *allocation; /* to be freed; NULL where the memory is the caller's */
};

/* Sums and products that stay at SIZE_MAX once they overflow; no factor is 0. */
static size_t plus(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }
static size_t times(size_t a, size_t b) { return a > SIZE_MAX / b ? SIZE_MAX : a * b; }
static bool fits(size_t bytes) { return bytes <= PTRDIFF_MAX; }

static size_t tensor_bytes(size_t a, size_t b, size_t c) { return times(times(times(a, b), c), sizeof(float)); }

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    return first < second ? second - first < a_bytes : first - second < b_bytes;
}

static bool enums_valid(const convpool_layer_spec *spec) {
    /* As unsigned: an enum read from a wrong spec may hold anything, and its type may have a sign or none. */
    return (unsigned)spec->filter <= CONVPOOL_CONVOLUTION && (unsigned)spec->pool <= CONVPOOL_POOL_NONE &&
           (unsigned)spec->activation <= CONVPOOL_ACTIVATION_NONE;
}

/* Whether what a layer needs at most fits: no kernel's own sizes can then overflow. The bounds are convpool.h's, and
 * are below `coarse` bytes each, so they do not overflow where that fits. */
static bool bounds_fit(const convpool_layer_spec *spec) {
    size_t c = spec->in_channels, o = spec->out_channels;
    size_t coarse = plus(times(times(plus(c, 1), plus(o, 16)), 80), times(plus(c, 512), 4608));
    return fits(coarse) && fits(CONVPOOL_LAYER_MEMORY_MAX(c, o)) &&
           fits(CONVPOOL_LAYER_SCRATCH_MAX(c, spec->in_height, spec->in_width, o));
}

static convpool_status check_shape(const convpool_layer_spec *spec, convpool_shape *shape) {
    size_t c = spec->in_channels, h = spec->in_height, w = spec->in_width, o = spec->out_channels;
    bool pool = spec->pool == CONVPOOL_POOL_MAX_2X2;
    size_t least = pool ? 3 : 2;
    if (c == 0 || o == 0 || h < least || w < least) return CONVPOOL_INVALID_SHAPE;
    *shape = (convpool_shape){
        .channels = c,
        .height = h,
        .width = w,
        .out_channels = o,
        .out_height = pool ? (h - 1) / 2 : h - 1,
        .out_width = pool ? (w - 1) / 2 : w - 1,
        .pool = pool,
        .relu = spec->activation == CONVPOOL_ACTIVATION_RELU,
        .flip = spec->filter == CONVPOOL_CONVOLUTION,
    };
    bool all_fit =
        fits(tensor_bytes(c, h, w)) && fits(tensor_bytes(o, shape->out_height, shape->out_width)) && bounds_fit(spec);
    return all_fit ? CONVPOOL_OK : CONVPOOL_INVALID_SHAPE;
}

/* Checks the spec from its enums on and chooses its kernel. */
static convpool_status prepare(const convpool_layer_spec *spec, convpool_shape *shape, convpool_choice *choice) {
    if (!enums_valid(spec)) return CONVPOOL_INVALID_ARGUMENT;
    convpool_status status = check_shape(spec, shape);
    return status != CONVPOOL_OK ? status : convpool_resolve(spec->kernel, shape, choice);
}

static size_t align_up(size_t n) { return (n + CONVPOOL_ALIGNMENT - 1) / CONVPOOL_ALIGNMENT * CONVPOOL_ALIGNMENT; }

static size_t memory_size(const convpool_shape *shape, const convpool_kernel *kernel) {
    return CONVPOOL_ALIGNMENT - 1 + align_up(sizeof(convpool_layer)) + kernel->packed_size(shape);
}

static convpool_layer *place(const convpool_shape *shape, const convpool_kernel *kernel, const float *weights,
                             const float *bias, void *memory, void *allocation) {
    convpool_layer *layer = (void *)((char *)memory + (align_up((uintptr_t)memory) - (uintptr_t)memory));
    void *packed = (char *)layer + align_up(sizeof *layer);
    kernel->pack(shape, weights, bias, packed);
    *layer = (convpool_layer){*shape, kernel, packed, allocation};
    return layer;
}

size_t convpool_layer_memory_size(const convpool_layer_spec *spec) {
    convpool_shape shape;
    convpool_choice choice;
    if (spec == NULL || prepare(spec, &shape, &choice) != CONVPOOL_OK) return 0;
    return memory_size(&shape, choice.kernel);
}

convpool_status convpool_layer_create(const convpool_layer_spec *spec, const float *weights, const float *bias,
                                      convpool_layer **layer) {
    if (layer == NULL) return CONVPOOL_INVALID_ARGUMENT;
    *layer = NULL;
    if (spec == NULL || weights == NULL) return CONVPOOL_INVALID_ARGUMENT;
    convpool_shape shape;
    convpool_choice choice;
    convpool_status status = prepare(spec, &shape, &choice);
    if (status != CONVPOOL_OK) return status;
    void *memory = malloc(memory_size(&shape, choice.kernel));
    if (memory == NULL) return CONVPOOL_OUT_OF_MEMORY;
    *layer = place(&shape, choice.kernel, weights, bias, memory, memory);
    return CONVPOOL_OK;
}

convpool_status convpool_layer_create_in(const convpool_layer_spec *spec, const float *weights, const float *bias,
                                         void *memory, size_t memory_bytes, convpool_layer **layer) {
    if (layer == NULL) return CONVPOOL_INVALID_ARGUMENT;
    *layer = NULL;
    if (spec == NULL || weights == NULL || memory == NULL) return CONVPOOL_INVALID_ARGUMENT;
    convpool_shape shape;
    convpool_choice choice;
    convpool_status status = prepare(spec, &shape, &choice);
    if (status != CONVPOOL_OK) return status;
    size_t needed = memory_size(&shape, choice.kernel);
    if (memory_bytes < needed) return CONVPOOL_OUT_OF_MEMORY;
    if (overlap(memory, needed, weights, tensor_bytes(shape.out_channels, shape.channels, 4)) ||
        (bias != NULL && overlap(memory, needed, bias, tensor_bytes(shape.out_channels, 1, 1))))
        return CONVPOOL_INVALID_ARGUMENT;
    *layer = place(&shape, choice.kernel, weights, bias, memory, NULL);
    return CONVPOOL_OK;
}

void convpool_layer_destroy(convpool_layer *layer) {
    if (layer != NULL) free(layer->allocation);
}

void convpool_layer_output_shape(const convpool_layer *layer, size_t *channels, size_t *height, size_t *width) {
    if (layer == NULL) return;
    if (channels != NULL) *channels = layer->shape.out_channels;
    if (height != NULL) *height = layer->shape.out_height;
    if (width != NULL) *width = layer->shape.out_width;
}

size_t convpool_layer_scratch_size(const convpool_layer *layer) {
    return layer == NULL ? 0 : layer->kernel->scratch_size(&layer->shape);
}

size_t convpool_layer_row_step(const convpool_layer *layer) {
    return layer == NULL ? 0 : layer->kernel->row_step(&layer->shape);
}

const char *convpool_layer_kernel(const convpool_layer *layer) { return layer == NULL ? "" : layer->kernel->name; }

double convpool_layer_error_bound(const convpool_layer *layer, double max_abs_input) {
    if (layer == NULL || !(max_abs_input >= 0)) return (double)NAN;
    double finite = max_abs_input < (double)FLT_MAX ? max_abs_input : (double)FLT_MAX; /* as inputs are */
    return layer->kernel->error_bound(&layer->shape, layer->packed, finite);
}

convpool_status convpool_layer_run(const convpool_layer *layer, const float *input, float *output, void *scratch) {
    return convpool_layer_run_rows(layer, input, output, scratch, 0, layer == NULL ? 0 : layer->shape.out_height);
}

convpool_status convpool_layer_run_rows(const convpool_layer *layer, const float *input, float *output, void *scratch,
                                        size_t first_row, size_t row_count) {
    if (layer == NULL || input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    const convpool_shape *s = &layer->shape;
    size_t scratch_bytes = layer->kernel->scratch_size(s);
    if (scratch == NULL && scratch_bytes > 0) return CONVPOOL_INVALID_ARGUMENT;
    if (first_row > s->out_height || row_count > s->out_height - first_row) return CONVPOOL_INVALID_ARGUMENT;
    size_t input_bytes = tensor_bytes(s->channels, s->height, s->width);
    size_t output_bytes = tensor_bytes(s->out_channels, s->out_height, s->out_width);
    if (overlap(input, input_bytes, output, output_bytes) || overlap(input, input_bytes, scratch, scratch_bytes) ||
        overlap(output, output_bytes, scratch, scratch_bytes))
        return CONVPOOL_INVALID_ARGUMENT;
    layer->kernel->run(&(convpool_job){s, layer->packed, input, output, scratch, first_row, row_count});
    return CONVPOOL_OK;
}

convpool_status convpool_max_pool_2x2(const float *input, size_t channels, size_t height, size_t width, float *output) {
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    if (channels == 0 || height < 2 || width < 2) return CONVPOOL_INVALID_SHAPE;
    size_t input_bytes = tensor_bytes(channels, height, width);
    if (!fits(input_bytes)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    if (overlap(input, input_bytes, output, tensor_bytes(channels, height / 2, width / 2)))
        return CONVPOOL_INVALID_ARGUMENT;
    choice.isa->max_pool_2x2(input, channels, height, width, output);
    return CONVPOOL_OK;
}

convpool_status convpool_relu(const float *input, size_t count, float *output) {
    if (count == 0) return CONVPOOL_OK;
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    size_t bytes = tensor_bytes(count, 1, 1);
    if (!fits(bytes)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    if (input != output && overlap(input, bytes, output, bytes)) return CONVPOOL_INVALID_ARGUMENT;
    choice.isa->relu(input, count, output);
    return CONVPOOL_OK;
}
