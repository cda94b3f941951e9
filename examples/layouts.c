/* SPDX-License-Identifier: MIT */
/* Weights and images as Keras and PyTorch have them, none of them moved: a Keras Conv2D with padding='same', and a
 * dense layer after Flatten, once from each. Each result is compared with the same sums in plain loops.
 *
 *     layouts
 */
#include <convpool.h>

#include <stdio.h>
#include <stdlib.h>

enum { C = 3, H = 9, W = 11, O = 8, FEATURES = C * H * W };
static float input[FEATURES], weights[O * FEATURES], bias[O];

/* Small whole numbers, with which float arithmetic is exact. */
static void fill(float *numbers, int count) {
    for (int i = 0; i < count; i++)
        numbers[i] = (float)(i * 7919 % 13 - 6);
}

/* Makes a layer, runs it and forgets it. */
static convpool_status run(const convpool_layer_spec *spec, float *output) {
    convpool_layer *layer;
    convpool_status status = convpool_layer_create(spec, weights, bias, &layer);
    if (status != CONVPOOL_OK) return status;
    void *scratch = malloc(convpool_layer_scratch_size(layer));
    status = convpool_layer_run(layer, input, output, scratch);
    free(scratch);
    convpool_layer_destroy(layer);
    return status;
}

/* Conv2D(O, 3, padding='same', activation='relu'): images [H][W][C], kernel [3][3][C][O]. */
static int keras_same(void) {
    static float output[H * W * O];
    convpool_layer_spec spec = {.in_channels = C, .in_height = H, .in_width = W, .out_channels = O};
    spec.filter_height = spec.filter_width = 3;
    spec.pad_top = spec.pad_left = spec.pad_bottom = spec.pad_right = 1;
    spec.pool = CONVPOOL_POOL_NONE;
    spec.weights_layout = CONVPOOL_WEIGHTS_HWIO;
    spec.input_layout = spec.output_layout = CONVPOOL_IMAGE_HWC;
    if (run(&spec, output) != CONVPOOL_OK) return 1;
    int wrong = 0;
    for (int i = 0; i < H * W * O; i++) {
        int o = i % O, row = i / O / W, column = i / O % W;
        float sum = bias[o];
        for (int u = 0; u < 3; u++)
            for (int v = 0; v < 3; v++)
                for (int c = 0; c < C; c++) {
                    int y = row + u - 1, x = column + v - 1;
                    if (y >= 0 && y < H && x >= 0 && x < W)
                        sum += input[(y * W + x) * C + c] * weights[((u * 3 + v) * C + c) * O + o];
                }
        wrong += output[i] != (sum > 0 ? sum : 0);
    }
    return wrong;
}

/* A dense layer is a filter as large as its image, so its weights lie in the order in which Flatten took the image: */
static convpool_layer_spec dense(void) {
    convpool_layer_spec spec = {.in_channels = C, .in_height = H, .in_width = W, .out_channels = O};
    spec.filter_height = H, spec.filter_width = W;
    spec.pool = CONVPOOL_POOL_NONE;
    spec.activation = CONVPOOL_ACTIVATION_NONE;
    return spec;
}

/* Flatten(), Dense(O): images [H][W][C], kernel [FEATURES][O], which is [H][W][C][O]; */
static int keras_dense(void) {
    float output[O];
    convpool_layer_spec spec = dense();
    spec.weights_layout = CONVPOOL_WEIGHTS_HWIO;
    spec.input_layout = CONVPOOL_IMAGE_HWC;
    if (run(&spec, output) != CONVPOOL_OK) return 1;
    int wrong = 0;
    for (int o = 0; o < O; o++) {
        float sum = bias[o];
        for (int i = 0; i < FEATURES; i++)
            sum += input[i] * weights[i * O + o];
        wrong += output[o] != sum;
    }
    return wrong;
}

/* Flatten(), Linear(FEATURES, O): images [C][H][W], weight [O][FEATURES], which is [O][C][H][W]. */
static int pytorch_dense(void) {
    float output[O];
    convpool_layer_spec spec = dense();
    if (run(&spec, output) != CONVPOOL_OK) return 1;
    int wrong = 0;
    for (int o = 0; o < O; o++) {
        float sum = bias[o];
        for (int i = 0; i < FEATURES; i++)
            sum += input[i] * weights[o * FEATURES + i];
        wrong += output[o] != sum;
    }
    return wrong;
}

int main(void) {
    fill(input, FEATURES);
    fill(weights, O * FEATURES);
    fill(bias, O);
    int same = keras_same(), from_keras = keras_dense(), from_pytorch = pytorch_dense();
    printf("outputs that differ from plain loops: Keras 'same' %d, dense from Keras %d, dense from PyTorch %d\n", same,
           from_keras, from_pytorch);
    return same + from_keras + from_pytorch == 0 ? 0 : 1;
}
