/* SPDX-License-Identifier: MIT */
/* The public calls: check, pack, run. */
#include "dispatch.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct convpool_layer {
    convpool_shape shape;
    const convpool_kernel *kernel;
    const void *packed;
    size_t scratch_size;
    void *allocation; /* to be freed; NULL where the memory is the caller's */
};

convpool_status convpool_prepare(const convpool_layer_spec *spec, convpool_shape *shape, convpool_choice *choice) {
    convpool_status status = convpool_make_shape(spec, shape);
    return status != CONVPOOL_OK ? status : convpool_resolve(spec->kernel, shape, choice);
}

/* Of PReLU: whether every slope rises, so that maxima may be taken before it. */
static bool slopes_rise(const convpool_shape *s) {
    for (size_t o = 0; o < s->out_channels; o++)
        if (!(s->slopes[o] > 0)) return false;
    return true;
}

size_t convpool_layer_bytes(const convpool_shape *shape, const convpool_kernel *kernel) {
    return CONVPOOL_ALIGNMENT - 1 + convpool_align_up(sizeof(convpool_layer)) + kernel->packed_size(shape);
}

bool convpool_layer_overlaps(const convpool_shape *shape, const float *weights, const float *bias, const void *memory,
                             size_t bytes) {
    size_t of_channels = convpool_tensor_bytes(shape->out_channels, 1, 1);
    return convpool_overlap(memory, bytes, weights, convpool_tensor_bytes(shape->out_channels, shape->depth, 1)) ||
           (bias != NULL && convpool_overlap(memory, bytes, bias, of_channels)) ||
           (shape->activation == CONVPOOL_ACTIVATION_PRELU &&
            convpool_overlap(memory, bytes, shape->slopes, of_channels));
}

static convpool_layer *place(convpool_shape *shape, const convpool_kernel *kernel, const float *weights,
                             const float *bias, void *memory, void *allocation) {
    if (shape->late && shape->activation == CONVPOOL_ACTIVATION_PRELU) shape->late = !slopes_rise(shape);
    convpool_layer *layer = convpool_aligned(memory);
    void *packed = (char *)layer + convpool_align_up(sizeof *layer);
    kernel->pack(shape, weights, bias, packed);
    shape->slopes = NULL; /* they are packed */
    *layer = (convpool_layer){*shape, kernel, packed, kernel->scratch_size(shape), allocation};
    return layer;
}

size_t convpool_layer_memory_size(const convpool_layer_spec *spec) {
    convpool_shape shape;
    convpool_choice choice;
    if (spec == NULL || convpool_prepare(spec, &shape, &choice) != CONVPOOL_OK) return 0;
    return convpool_layer_bytes(&shape, choice.kernel);
}

convpool_status convpool_layer_create(const convpool_layer_spec *spec, const float *weights, const float *bias,
                                      convpool_layer **layer) {
    if (layer == NULL) return CONVPOOL_INVALID_ARGUMENT;
    *layer = NULL;
    if (spec == NULL || weights == NULL) return CONVPOOL_INVALID_ARGUMENT;
    convpool_shape shape;
    convpool_choice choice;
    convpool_status status = convpool_prepare(spec, &shape, &choice);
    if (status != CONVPOOL_OK) return status;
    void *memory = malloc(convpool_layer_bytes(&shape, choice.kernel));
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
    convpool_status status = convpool_prepare(spec, &shape, &choice);
    if (status != CONVPOOL_OK) return status;
    size_t needed = convpool_layer_bytes(&shape, choice.kernel);
    if (memory_bytes < needed) return CONVPOOL_OUT_OF_MEMORY;
    if (convpool_layer_overlaps(&shape, weights, bias, memory, needed)) return CONVPOOL_INVALID_ARGUMENT;
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

size_t convpool_layer_scratch_size(const convpool_layer *layer) { return layer == NULL ? 0 : layer->scratch_size; }

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
    size_t scratch_bytes = layer->scratch_size;
    if (scratch == NULL && scratch_bytes > 0) return CONVPOOL_INVALID_ARGUMENT;
    if (first_row > s->out_height || row_count > s->out_height - first_row) return CONVPOOL_INVALID_ARGUMENT;
    size_t input_bytes = convpool_tensor_bytes(s->channels, s->height, s->width);
    size_t output_bytes = convpool_tensor_bytes(s->out_channels, s->out_height, s->out_width);
    if (convpool_overlap(input, input_bytes, output, output_bytes) ||
        convpool_overlap(input, input_bytes, scratch, scratch_bytes) ||
        convpool_overlap(output, output_bytes, scratch, scratch_bytes))
        return CONVPOOL_INVALID_ARGUMENT;
    if (row_count > 0)
        layer->kernel->run(&(convpool_job){s, layer->packed, input, output, scratch, first_row, row_count});
    return CONVPOOL_OK;
}
