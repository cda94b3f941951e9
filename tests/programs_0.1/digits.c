/* SPDX-License-Identifier: MIT */
/* A whole network: two convpool layers and a dense one name the digit in each of some small grey images.
 *
 *     digits IMAGE.pgm...
 *
 * The images are binary PGM files of 27x27 pixels, light on dark. train.py draws such images, and trains the weights.
 */
#include <convpool.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits_weights.h" /* made from the .npy files by npy_to_header.py */

/* The sides of the image and of the layers' outputs: (27 - 1) / 2 and (13 - 1) / 2. */
enum { SIDE = 27, SIDE1 = 13, SIDE2 = 6, CHANNELS1 = 8, CHANNELS2 = 16, FEATURES = CHANNELS2 * SIDE2 * SIDE2 };
enum { CLASSES = 10 };

_Static_assert(sizeof layer1_weights == sizeof(float[CHANNELS1][1][2][2]) &&
                   sizeof layer1_bias == sizeof(float[CHANNELS1]) &&
                   sizeof layer2_weights == sizeof(float[CHANNELS2][CHANNELS1][2][2]) &&
                   sizeof layer2_bias == sizeof(float[CHANNELS2]) &&
                   sizeof dense_weights == sizeof(float[CLASSES][FEATURES]) &&
                   sizeof dense_bias == sizeof(float[CLASSES]),
               "the weights are those of another network");

typedef struct network {
    convpool_layer *layer1, *layer2;
    void *scratch; /* enough for either layer: one runs after the other */
} network;

/* The next character of a PGM header, where # and the rest of its line count as the line's end. */
static int header_character(FILE *file) {
    int c = getc(file);
    if (c == '#')
        while (c != '\n' && c != '\r' && c != EOF)
            c = getc(file);
    return c;
}

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Reads white space, a number and the one white space after it. -1 where that is not what comes, or is absurd. */
static int header_number(FILE *file) {
    int c = header_character(file), value = -1;
    while (is_space(c))
        c = header_character(file);
    for (; c >= '0' && c <= '9' && value < 100000; c = header_character(file))
        value = (value < 0 ? 0 : value * 10) + (c - '0');
    return is_space(c) ? value : -1;
}

/* Stores an image, 0 to 1. Returns NULL, or what is wrong with the file. */
static const char *read_image(FILE *file, float image[SIDE * SIDE]) {
    unsigned char pixels[SIDE * SIDE];
    if (getc(file) != 'P' || getc(file) != '5' || !is_space(header_character(file)))
        return "is not a binary PGM file (P5)";
    int width = header_number(file), height = header_number(file), maximum = header_number(file);
    if (width < 0 || height < 0 || maximum < 0) return "has no valid PGM header";
    if (width != SIDE || height != SIDE) return "is not 27x27 pixels";
    if (maximum < 1 || maximum > 255) return "has a maximum outside 1 to 255";
    if (fread(pixels, 1, sizeof pixels, file) != sizeof pixels) return "ends within the pixels";
    if (getc(file) != EOF) return "goes on after the pixels";
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        if (pixels[i] > maximum) return "has a pixel above its maximum";
        image[i] = (float)pixels[i] / (float)maximum;
    }
    return NULL;
}

static convpool_status create_network(network *n) {
    convpool_layer_spec spec1 = {0}, spec2 = {0}; /* cross-correlation, max-pooling and ReLU */
    spec1.in_channels = 1, spec1.in_height = spec1.in_width = SIDE, spec1.out_channels = CHANNELS1;
    spec2.in_channels = CHANNELS1, spec2.in_height = spec2.in_width = SIDE1, spec2.out_channels = CHANNELS2;
    *n = (network){NULL, NULL, NULL};
    convpool_status status = convpool_layer_create(&spec1, layer1_weights, layer1_bias, &n->layer1);
    if (status == CONVPOOL_OK) status = convpool_layer_create(&spec2, layer2_weights, layer2_bias, &n->layer2);
    if (status != CONVPOOL_OK) return status;
    size_t size1 = convpool_layer_scratch_size(n->layer1), size2 = convpool_layer_scratch_size(n->layer2);
    size_t size = size1 > size2 ? size1 : size2;
    n->scratch = malloc(size);
    return n->scratch == NULL && size > 0 ? CONVPOOL_OUT_OF_MEMORY : CONVPOOL_OK;
}

static void destroy_network(network *n) {
    free(n->scratch);
    convpool_layer_destroy(n->layer2);
    convpool_layer_destroy(n->layer1);
}

/* Stores the likeliest class and its probability. */
static convpool_status classify(const network *n, const float image[SIDE * SIDE], int *class, double *probability) {
    float output1[CHANNELS1 * SIDE1 * SIDE1], output2[FEATURES], scores[CLASSES];
    convpool_status status = convpool_layer_run(n->layer1, image, output1, n->scratch);
    if (status == CONVPOOL_OK) status = convpool_layer_run(n->layer2, output1, output2, n->scratch);
    if (status != CONVPOOL_OK) return status;
    *class = 0;
    for (int k = 0; k < CLASSES; k++) {
        scores[k] = dense_bias[k];
        for (int i = 0; i < FEATURES; i++)
            scores[k] += dense_weights[k * FEATURES + i] * output2[i];
        if (scores[k] > scores[*class]) *class = k;
    }
    double sum = 0; /* softmax, with the largest power 1 */
    for (int k = 0; k < CLASSES; k++)
        sum += exp((double)scores[k] - (double)scores[*class]);
    *probability = 1 / sum;
    return CONVPOOL_OK;
}

/* Prints a file's class, or what is wrong. */
static bool classify_file(const network *n, const char *name) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) return fprintf(stderr, "%s: %s\n", name, strerror(errno)), false;
    float image[SIDE * SIDE];
    const char *problem = read_image(file, image);
    if (ferror(file)) problem = "cannot be read";
    fclose(file);
    if (problem != NULL) return fprintf(stderr, "%s: %s\n", name, problem), false;
    int class;
    double probability;
    convpool_status status = classify(n, image, &class, &probability);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s: %s\n", name, convpool_status_string(status)), false;
    return printf("%s: %d (%.3f)\n", name, class, probability) > 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: digits IMAGE.pgm...\n"), 2;
    network n;
    convpool_status status = create_network(&n);
    bool good = status == CONVPOOL_OK;
    if (!good) fprintf(stderr, "digits: %s\n", convpool_status_string(status));
    for (int i = 1; i < argc && status == CONVPOOL_OK; i++)
        good = classify_file(&n, argv[i]) && good;
    destroy_network(&n);
    if (fflush(stdout) != 0 || ferror(stdout)) return fprintf(stderr, "digits: cannot write\n"), 1;
    return good ? 0 : 1;
}
