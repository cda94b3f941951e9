/* SPDX-License-Identifier: MIT */
/* A sequence of layers: each one's output is the next one's input, the output shape of one the input shape of the
 * next, and one scratch serves all. The result is compared with the same sums in plain loops.
 *
 *     two_layers
 */
#include <convpool.h>

#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 2, CHANNELS = 3, SIDE = 61 };
static const size_t out_channels[LAYERS] = {16, 32};

/* Small whole numbers, with which float arithmetic is exact. */
static float *some_numbers(size_t count) {
    float *numbers = malloc(count * sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < count; i++)
        numbers[i] = (float)((int)(i * 7919 % 13) - 6);
    return numbers;
}

/* One output of a layer, by the formula. */
static float plain(const convpool_layer_spec *spec, const float *weights, const float *bias, const float *x, size_t o,
                   size_t p, size_t q) {
    float largest = 0; /* ReLU */
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            float sum = bias[o];
            for (size_t c = 0; c < spec->in_channels; c++)
                for (size_t u = 0; u < 2; u++)
                    for (size_t v = 0; v < 2; v++)
                        sum += x[(c * spec->in_height + 2 * p + i + u) * spec->in_width + 2 * q + j + v] *
                               weights[((o * spec->in_channels + c) * 2 + u) * 2 + v];
            largest = sum > largest ? sum : largest;
        }
    return largest;
}

int main(void) {
    convpool_layer *layers[LAYERS];
    convpool_layer_spec specs[LAYERS] = {{0}};
    float *weights[LAYERS], *bias[LAYERS], *tensors[LAYERS + 1];
    size_t scratch_size = 0, channels = CHANNELS, height = SIDE, width = SIDE;
    tensors[0] = some_numbers(channels * height * width);
    for (int i = 0; i < LAYERS; i++) {
        specs[i].in_channels = channels, specs[i].in_height = height, specs[i].in_width = width;
        specs[i].out_channels = out_channels[i];
        weights[i] = some_numbers(out_channels[i] * channels * 4);
        bias[i] = some_numbers(out_channels[i]);
        convpool_status status = convpool_layer_create(&specs[i], weights[i], bias[i], &layers[i]);
        if (status != CONVPOOL_OK) return fprintf(stderr, "layer %d: %s\n", i, convpool_status_string(status)), 1;
        convpool_layer_output_shape(layers[i], &channels, &height, &width);
        tensors[i + 1] = malloc(channels * height * width * sizeof(float));
        size_t wanted = convpool_layer_scratch_size(layers[i]);
        scratch_size = wanted > scratch_size ? wanted : scratch_size;
    }

    /* For every image: */
    void *scratch = malloc(scratch_size);
    for (int i = 0; i < LAYERS; i++) {
        convpool_status status = convpool_layer_run(layers[i], tensors[i], tensors[i + 1], scratch);
        if (status != CONVPOOL_OK) return fprintf(stderr, "layer %d: %s\n", i, convpool_status_string(status)), 1;
    }

    size_t wrong = 0;
    for (int i = 0; i < LAYERS; i++) {
        convpool_layer_output_shape(layers[i], &channels, &height, &width);
        for (size_t k = 0; k < channels * height * width; k++)
            wrong += tensors[i + 1][k] != plain(&specs[i], weights[i], bias[i], tensors[i], k / (height * width),
                                                k / width % height, k % width);
        printf("layer %d: %zux%zux%zu outputs by %s\n", i, channels, height, width, convpool_layer_kernel(layers[i]));
        convpool_layer_destroy(layers[i]);
        free(weights[i]);
        free(bias[i]);
        free(tensors[i]);
    }
    free(tensors[LAYERS]);
    free(scratch);
    printf("%zu outputs differ from the formula in plain loops\n", wrong);
    return wrong == 0 ? 0 : 1;
}
