/* SPDX-License-Identifier: MIT */
/* The stages on their own: check, choose the ISA, run. */
#include "dispatch.h"

/* Checks a call that reads and writes so many bytes, of which neither may be 0; *isa is what runs it. */
static convpool_status prepare(const float *input, size_t read, const float *output, size_t written, bool in_place,
                               const convpool_isa **isa) {
    if (input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    if (read == 0 || written == 0 || !convpool_fits(read)) return CONVPOOL_INVALID_SHAPE;
    convpool_choice choice;
    convpool_status status = convpool_resolve(NULL, NULL, &choice);
    if (status != CONVPOOL_OK) return status;
    bool same = in_place && input == output;
    if (!same && convpool_overlap(input, read, output, written)) return CONVPOOL_INVALID_ARGUMENT;
    *isa = choice.isa;
    return CONVPOOL_OK;
}

convpool_status convpool_max_pool_2x2(const float *input, size_t channels, size_t height, size_t width, float *output) {
    size_t read = convpool_tensor_bytes(channels, height, width);
    size_t written = convpool_tensor_bytes(channels, height / 2, width / 2);
    const convpool_isa *isa;
    convpool_status status = prepare(input, read, output, written, false, &isa);
    if (status == CONVPOOL_OK) isa->max_pool_2x2(input, channels, height, width, output);
    return status;
}

convpool_status convpool_global_average(const float *input, size_t channels, size_t height, size_t width,
                                        float *output) {
    size_t read = convpool_tensor_bytes(channels, height, width), written = convpool_tensor_bytes(channels, 1, 1);
    const convpool_isa *isa;
    convpool_status status = prepare(input, read, output, written, false, &isa);
    if (status == CONVPOOL_OK) isa->global_average(input, channels, height * width, output);
    return status;
}

convpool_status convpool_relu(const float *input, size_t count, float *output) {
    if (count == 0) return CONVPOOL_OK;
    size_t bytes = convpool_tensor_bytes(count, 1, 1);
    const convpool_isa *isa;
    convpool_status status = prepare(input, bytes, output, bytes, true, &isa);
    if (status == CONVPOOL_OK) isa->relu(input, count, output);
    return status;
}

convpool_status convpool_softmax(const float *input, size_t count, float *output) {
    if (count == 0) return CONVPOOL_OK;
    size_t bytes = convpool_tensor_bytes(count, 1, 1);
    const convpool_isa *isa;
    convpool_status status = prepare(input, bytes, output, bytes, true, &isa);
    if (status == CONVPOOL_OK) isa->softmax(input, count, output);
    return status;
}
