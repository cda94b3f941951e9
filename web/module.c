/* SPDX-License-Identifier: MIT */
/* What convpool.js calls: one network for each instance of the module. Memory is taken from its end and never given
 * back, for it goes with the instance; a size that it cannot have ends in a trap. */
#include "convpool.h"
#include "dispatch.h"
#include "random.h"

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
enum { PAGE = 65536 };

/* convpool.js writes a stage as so many words, in this order. */
_Static_assert(sizeof(convpool_stage) == 24 * 4 && offsetof(convpool_stage, spec.filter_height) == 9 * 4 &&
                   offsetof(convpool_stage, spec.weights_layout) == 17 * 4 &&
                   offsetof(convpool_stage, spec.slopes) == 21 * 4 && offsetof(convpool_stage, weights) == 22 * 4,
               "the order of convpool.js");

static convpool_network *network;
static float *input, *output;
static size_t inputs, outputs;
static void *scratch;

/* A page has no environment. */
char *getenv(const char *name);
char *getenv(const char *name) {
    (void)name;
    return NULL;
}

EXPORT(allocate) void *allocate(size_t bytes);
void *allocate(size_t bytes) {
    extern char __heap_base;
    static uintptr_t top;
    if (top == 0) top = convpool_align_up((uintptr_t)&__heap_base);
    uintptr_t at = top, size = __builtin_wasm_memory_size(0) * PAGE;
    if (bytes > PTRDIFF_MAX) __builtin_trap();
    top += convpool_align_up(bytes);
    if (top > size && __builtin_wasm_memory_grow(0, (top - size + PAGE - 1) / PAGE) == SIZE_MAX) __builtin_trap();
    return (void *)at;
}

static float *allocate_image(size_t channels, size_t height, size_t width, size_t *count) {
    *count = channels * height * width;
    return allocate(*count * sizeof(float));
}

/* NULL, or why it cannot be made. */
EXPORT(create) const char *create(const convpool_stage *stages, size_t count);
const char *create(const convpool_stage *stages, size_t count) {
    size_t channels, height, width, bytes = convpool_network_memory_size(stages, count);
    convpool_status status = convpool_network_create_in(stages, count, allocate(bytes), bytes, &network);
    if (status != CONVPOOL_OK) return convpool_status_string(status);
    convpool_network_input_shape(network, &channels, &height, &width);
    input = allocate_image(channels, height, width, &inputs);
    convpool_network_output_shape(network, &channels, &height, &width);
    output = allocate_image(channels, height, width, &outputs);
    scratch = allocate(convpool_network_scratch_size(network));
    return NULL;
}

EXPORT(input) float *get_input(void);
float *get_input(void) { return input; }
EXPORT(output) float *get_output(void);
float *get_output(void) { return output; }
EXPORT(inputs) size_t get_inputs(void);
size_t get_inputs(void) { return inputs; }
EXPORT(outputs) size_t get_outputs(void);
size_t get_outputs(void) { return outputs; }

/* The kernel of a stage, "" where it has none, and the shape of what it gives. */
EXPORT(stage) const char *stage(size_t i, size_t shape[3]);
const char *stage(size_t i, size_t shape[3]) {
    convpool_network_stage_shape(network, i, &shape[0], &shape[1], &shape[2]);
    return convpool_layer_kernel(convpool_network_layer(network, i));
}

EXPORT(run) void run(void);
void run(void) { convpool_network_run(network, input, output, scratch); }

/* Runs on the input of a saved network's test case: numbers in [0, 1), as the Python package makes them. */
EXPORT(test) void test(uint32_t seed);
void test(uint32_t seed) {
    uint64_t state = seed;
    for (size_t i = 0; i < inputs; i++)
        input[i] = (float)(random_bits(&state) >> 41) * 0x1p-23f;
    run();
}
