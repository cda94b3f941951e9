/* SPDX-License-Identifier: MIT */
#include "bits.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

static const size_t shapes[][4] = {
    /* C, H, W, O */
    {1, 3, 3, 1},     {1, 4, 7, 2},    {2, 3, 35, 3},    {3, 9, 8, 5},    {2, 7, 70, 7},
    {5, 14, 67, 9},   {1, 53, 53, 16}, {3, 65, 67, 13},  {8, 40, 40, 16}, {16, 25, 25, 32},
    {33, 14, 15, 19}, {8, 5, 140, 4},  {64, 19, 21, 20}, {130, 8, 9, 33},
};

enum { EVEN, WIDE, SMALL, SPECIAL, KINDS };

static float draw(uint64_t *state, int kind) {
    static const float specials[] = {INFINITY, -INFINITY, NAN, 0x1.fffffep127f, -0x1p122f, 0.0f, -0.0f};
    switch (kind) {
    case WIDE: return random_wide(state, -40, 40);
    case SMALL: return random_uniform(state) * 0x1p-126f; /* denormal, and rounded to nearest */
    case SPECIAL:
        if (random_below(state, 200) == 0) return specials[random_below(state, sizeof specials / sizeof *specials)];
    }
    return random_uniform(state);
}

static void hash_floats(uint64_t *hash, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = values[i] == 0 ? 0 : values[i];
        uint32_t bits = 0x7fc00000;
        if (!isnan(value)) memcpy(&bits, &value, sizeof bits);
        for (int byte = 0; byte < 4; byte++)
            *hash = (*hash ^ (bits >> 8 * byte & 0xff)) * 0x100000001b3;
    }
}

/* One layer on one image; weights are never special, for the whole layer would be direct then. */
static bool hash_layer(const convpool_layer_spec *spec, int kind, uint64_t *state, uint64_t *hash) {
    size_t in = spec->in_channels * spec->in_height * spec->in_width, channels, height, width;
    size_t filter = spec->filter_height ? spec->filter_height : 2;
    size_t weight_count = spec->out_channels * spec->in_channels * filter * filter;
    convpool_layer *layer = NULL;
    float *input = malloc(in * sizeof *input), *weights = malloc((weight_count + spec->out_channels) * sizeof *weights);
    float *output = NULL;
    void *scratch = NULL;
    bool done = input != NULL && weights != NULL;
    for (size_t i = 0; done && i < in; i++)
        input[i] = draw(state, kind);
    for (size_t i = 0; done && i < weight_count + spec->out_channels; i++)
        weights[i] = draw(state, kind == WIDE ? WIDE : EVEN);
    done = done && convpool_layer_create(spec, weights, weights + weight_count, &layer) == CONVPOOL_OK;
    if (done) {
        convpool_layer_output_shape(layer, &channels, &height, &width);
        output = malloc(channels * height * width * sizeof *output);
        scratch = malloc(convpool_layer_scratch_size(layer) + 1);
        done = output != NULL && scratch != NULL && convpool_layer_run(layer, input, output, scratch) == CONVPOOL_OK;
        if (done) hash_floats(hash, output, channels * height * width);
    }
    convpool_layer_destroy(layer);
    free(input);
    free(weights);
    free(output);
    free(scratch);
    return done;
}

bool kernel_bits(const char *kernel, uint64_t *hash) {
    uint64_t state = 60;
    bool done = true;
    *hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned mode = 0; mode < 8; mode++)
            for (int kind = 0; kind < KINDS; kind++) {
                convpool_layer_spec spec = {.in_channels = shapes[i][0],
                                            .in_height = shapes[i][1],
                                            .in_width = shapes[i][2],
                                            .out_channels = shapes[i][3],
                                            .filter = mode & 4 ? CONVPOOL_CONVOLUTION : CONVPOOL_CROSS_CORRELATION,
                                            .pool = mode & 1 ? CONVPOOL_POOL_NONE : CONVPOOL_POOL_MAX_2X2,
                                            .activation =
                                                mode & 2 ? CONVPOOL_ACTIVATION_NONE : CONVPOOL_ACTIVATION_RELU,
                                            .kernel = kernel};
                if (convpool_layer_memory_size(&spec) == 0) { /* of other filters, then */
                    spec.filter_height = spec.filter_width = i % 2 ? 5 : 3;
                    spec.pad_top = spec.pad_left = spec.pad_bottom = spec.pad_right = spec.filter_height / 2;
                }
                done = done && hash_layer(&spec, kind, &state, hash);
            }
    return done;
}
