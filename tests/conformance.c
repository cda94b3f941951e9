/* SPDX-License-Identifier: MIT */
/* The vectors of tests/data/conformance: NaN, infinities, signed zeros, denormal numbers and overflow, put where every
 * lane of every kernel meets them, in vectors that are whole and in those that are not. */
#include "dispatch.h"
#include "problem.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 312, WINDOWS = 64, NUMBERS = 16 }; /* as conformance.py prints */

static float *vectors(const char *name, size_t count) {
    char path[80];
    snprintf(path, sizeof path, "conformance/%s", name);
    return read_npy(path, "<f4", count);
}

/* Every third pixel of an image with `pixels` windows in each row gets the window, from the first, second or third on;
 * the other pixels read zeros besides, so that nothing a window holds may reach further. */
static void check_case(const problem *p, const convpool_layer *layer, void *scratch, const float *window,
                       const float *expected, size_t channel) {
    const convpool_layer_spec *s = &p->spec;
    size_t plane = s->in_height * s->in_width, stride = s->pool == CONVPOOL_POOL_MAX_2X2 ? 2 : 1;
    for (size_t from = 0; from < 3; from++) {
        memset(p->input, 0, p->e.in * sizeof(float));
        float *x = p->input + channel * plane;
        for (size_t at = from; 2 * at + 2 < s->in_width; at += 3)
            for (size_t i = 0; i < 3; i++)
                memcpy(x + (s->in_height - 3 + i) * s->in_width + 2 * at, window + 3 * i, 3 * sizeof(float));
        float *output = put(OUTPUT, NULL, p->e.out * sizeof(float), AT_END, 0);
        CHECK(convpool_layer_run(layer, p->input, output, scratch) == CONVPOOL_OK, "%s", describe(s));
        CHECK(piece_intact(OUTPUT), "%s: written outside output", describe(s));
        /* The windows' outputs are in the last rows. */
        for (size_t o = 0; o < s->out_channels; o++)
            for (size_t at = from; 2 * at + 2 < s->in_width; at += 3)
                for (size_t n = 0; n < 4 / (stride * stride); n++) {
                    size_t row = p->e.out_height - 2 / stride + n / 2, column = 2 / stride * at + n % 2;
                    float y = output[(o * p->e.out_height + row) * p->e.out_width + column];
                    CHECK(same(s, y, expected[n]), "%s: window at %zu, output %zu is %a, not %a", describe(s), at, n, y,
                          expected[n]);
                }
    }
}

void check_conformance_fused_layer(void) {
    float *input = vectors("layer_input", LAYERS * 9), *weights = vectors("layer_weights", LAYERS * 4);
    float *bias = vectors("layer_bias", LAYERS),
          *expected[4] = {vectors("layer_pooled_relu", LAYERS), vectors("layer_output_relu", LAYERS * 4),
                          vectors("layer_pooled", LAYERS), vectors("layer_output", LAYERS * 4)};
    /* Pixels across: of every number of lanes below, at and above a vector's, and four vectors with a rest. */
    static const size_t pixels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 70};
    enum { SIZES = sizeof pixels / sizeof *pixels };
    uint64_t state = test_seed();
    bool read = input != NULL && weights != NULL && bias != NULL && expected[0] != NULL && expected[1] != NULL &&
                expected[2] != NULL && expected[3] != NULL;
    for (size_t n = 0; read && n < LAYERS; n++)
        for (unsigned mode = 0; mode < 4; mode++)
            for (size_t size = 0; size < SIZES; size++) {
                /* One channel, or one among many; rows alone, or below others. */
                bool many = (n + size) % SIZES == 0;
                if (!in_sample(&state, 1)) continue;
                problem p = problem_new(many ? 49 : 1, size % 2 ? 3 : 5, 2 * pixels[size] + 1, 5, mode);
                size_t channel = random_below(&state, p.spec.in_channels);
                for (size_t o = 0; o < 5; o++) {
                    memcpy(p.weights + (o * p.spec.in_channels + channel) * 4, weights + 4 * n, 4 * sizeof(float));
                    p.bias[o] = bias[n];
                }
                convpool_kernel_info info;
                for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
                    p.spec.kernel = info.name;
                    convpool_layer *layer;
                    convpool_layer_create(&p.spec, p.weights, p.bias, &layer);
                    void *scratch = malloc(convpool_layer_scratch_size(layer));
                    check_case(&p, layer, scratch, input + 9 * n, expected[mode] + n * (mode & 1 ? 4 : 1), channel);
                    free(scratch);
                    convpool_layer_destroy(layer);
                }
                problem_free(&p);
            }
    free(input);
    free(weights);
    free(bias);
    for (int i = 0; i < 4; i++)
        free(expected[i]);
}

/* Each window and number in every place of rows as long as several vectors, amid its predecessors. */
void check_conformance_pool_and_relu(void) {
    float *windows = vectors("pool_input", WINDOWS * 4), *pooled = vectors("pool_output", WINDOWS);
    float *numbers = vectors("relu_input", NUMBERS), *activated = vectors("relu_output", NUMBERS);
    enum { MOST = 70 };
    float input[4 * MOST], output[MOST];
    bool read = windows != NULL && pooled != NULL && numbers != NULL && activated != NULL;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL && read; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        for (size_t count = 1; count <= MOST; count++)
            for (size_t first = 0; first < WINDOWS; first++) {
                for (size_t i = 0; i < count; i++) {
                    const float *window = windows + (first + i) % WINDOWS * 4;
                    memcpy(input + 2 * i, window, 2 * sizeof(float));
                    memcpy(input + 2 * count + 2 * i, window + 2, 2 * sizeof(float));
                }
                (*isa)->max_pool_2x2(input, 1, 2, 2 * count, output);
                for (size_t i = 0; i < count; i++)
                    CHECK(equal(output[i], pooled[(first + i) % WINDOWS], false), "%s pool: window %zu at %zu of %zu",
                          (*isa)->name, (first + i) % WINDOWS, i, count);
                for (size_t i = 0; i < count; i++)
                    input[i] = numbers[(first + i) % NUMBERS];
                (*isa)->relu(input, count, output);
                for (size_t i = 0; i < count; i++)
                    CHECK(equal(output[i], activated[(first + i) % NUMBERS], true),
                          "%s relu: %a gives %a at %zu of %zu", (*isa)->name, input[i], output[i], i, count);
            }
    }
    free(windows);
    free(pooled);
    free(numbers);
    free(activated);
}
