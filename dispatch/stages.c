/* SPDX-License-Identifier: MIT */
/* The stages on their own: check, choose the ISA, run. */
#include "dispatch.h"

convpool_status convpool_max_pool_2x2(const float *input, size_t channels, size_t height, size_t width, float *output) {
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    if (channels == 0 || height < 2 || width < 2) return CONVPOOL_INVALID_SHAPE;
    size_t input_bytes = convpool_tensor_bytes(channels, height, width);
    if (!convpool_fits(input_bytes)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    if (convpool_overlap(input, input_bytes, output, convpool_tensor_bytes(channels, height / 2, width / 2)))
        return CONVPOOL_INVALID_ARGUMENT;
    choice.isa->max_pool_2x2(input, channels, height, width, output);
    return CONVPOOL_OK;
}

convpool_status convpool_global_average(const float *input, size_t channels, size_t height, size_t width,
                                        float *output) {
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    if (channels == 0 || height == 0 || width == 0) return CONVPOOL_INVALID_SHAPE;
    size_t input_bytes = convpool_tensor_bytes(channels, height, width);
    if (!convpool_fits(input_bytes)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    if (convpool_overlap(input, input_bytes, output, convpool_tensor_bytes(channels, 1, 1)))
        return CONVPOOL_INVALID_ARGUMENT;
    choice.isa->global_average(input, channels, height * width, output);
    return CONVPOOL_OK;
}

/* What a stage of numbers needs that may be replaced where they are; *isa is what runs it. */
static convpool_status prepare(const float *input, size_t count, const float *output, const convpool_isa **isa) {
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    size_t bytes = convpool_tensor_bytes(count, 1, 1);
    if (!convpool_fits(bytes)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    if (input != output && convpool_overlap(input, bytes, output, bytes)) return CONVPOOL_INVALID_ARGUMENT;
    *isa = choice.isa;
    return CONVPOOL_OK;
}

convpool_status convpool_relu(const float *input, size_t count, float *output) {
    if (count == 0) return CONVPOOL_OK;
    const convpool_isa *isa;
    convpool_status status = prepare(input, count, output, &isa);
    if (status == CONVPOOL_OK) isa->relu(input, count, output);
    return status;
}

convpool_status convpool_softmax(const float *input, size_t count, float *output) {
    if (count == 0) return CONVPOOL_OK;
    const convpool_isa *isa;
    convpool_status status = prepare(input, count, output, &isa);
    if (status == CONVPOOL_OK) isa->softmax(input, count, output);
    return status;
}
