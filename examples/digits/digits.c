/* SPDX-License-Identifier: MIT */
/* A whole network: two convolutional layers, a dense one and softmax name the digit in each of some small grey images.
 *
 *     digits IMAGE.pgm...
 *
 * The images are binary PGM files of 27x27 pixels, light on dark. train.py draws such images, and trains the weights.
 */
#include <convpool.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits_weights.h" /* made from the .npy files by npy_to_header.py */

/* The sides of the image and of the layers' outputs: (27 - 1) / 2 and (13 - 1) / 2. */
enum { SIDE = 27, SIDE1 = 13, SIDE2 = 6, CHANNELS1 = 8, CHANNELS2 = 16, FEATURES = CHANNELS2 * SIDE2 * SIDE2 };
enum { CLASSES = 10, STAGES = 4 };

_Static_assert(sizeof layer1_weights == sizeof(float[CHANNELS1][1][2][2]) &&
                   sizeof layer1_bias == sizeof(float[CHANNELS1]) &&
                   sizeof layer2_weights == sizeof(float[CHANNELS2][CHANNELS1][2][2]) &&
                   sizeof layer2_bias == sizeof(float[CHANNELS2]) &&
                   sizeof dense_weights == sizeof(float[CLASSES][FEATURES]) &&
                   sizeof dense_bias == sizeof(float[CLASSES]),
               "the weights are those of another network");

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

/* What fields do not say is a 2x2 filter, 2x2 max-pooling and ReLU, and the image that the stage before gives. The
 * dense layer is one whose filter is as large as its image: its weights [10][576], for an image of [16][6][6] in that
 * order, lie as those of such a filter do. */
static const convpool_stage stages[STAGES] = {
    {.spec = {.in_channels = 1, .in_height = SIDE, .in_width = SIDE, .out_channels = CHANNELS1},
     .weights = layer1_weights,
     .bias = layer1_bias},
    {.spec = {.out_channels = CHANNELS2}, .weights = layer2_weights, .bias = layer2_bias},
    {.spec = {.out_channels = CLASSES,
              .filter_height = SIDE2,
              .filter_width = SIDE2,
              .pool = CONVPOOL_POOL_NONE,
              .activation = CONVPOOL_ACTIVATION_NONE},
     .weights = dense_weights,
     .bias = dense_bias},
    {.kind = CONVPOOL_STAGE_SOFTMAX},
};

/* A network, and scratch memory for one thread. */
typedef struct reader {
    convpool_network *network;
    void *scratch;
} reader;

static convpool_status create_reader(reader *r) {
    *r = (reader){NULL, NULL};
    convpool_status status = convpool_network_create(stages, STAGES, &r->network);
    if (status != CONVPOOL_OK) return status;
    r->scratch = malloc(convpool_network_scratch_size(r->network));
    return r->scratch == NULL ? CONVPOOL_OUT_OF_MEMORY : CONVPOOL_OK;
}

static void destroy_reader(reader *r) {
    free(r->scratch);
    convpool_network_destroy(r->network);
}

/* Stores the likeliest class and its probability. */
static convpool_status classify(const reader *r, const float image[SIDE * SIDE], int *class, double *probability) {
    float scores[CLASSES];
    convpool_status status = convpool_network_run(r->network, image, scores, r->scratch);
    if (status != CONVPOOL_OK) return status;
    *class = 0;
    for (int k = 1; k < CLASSES; k++)
        if (scores[k] > scores[*class]) *class = k;
    *probability = (double)scores[*class];
    return CONVPOOL_OK;
}

/* Prints a file's class, or what is wrong. */
static bool classify_file(const reader *r, const char *name) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) return fprintf(stderr, "%s: %s\n", name, strerror(errno)), false;
    float image[SIDE * SIDE];
    const char *problem = read_image(file, image);
    if (ferror(file)) problem = "cannot be read";
    fclose(file);
    if (problem != NULL) return fprintf(stderr, "%s: %s\n", name, problem), false;
    int class;
    double probability;
    convpool_status status = classify(r, image, &class, &probability);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s: %s\n", name, convpool_status_string(status)), false;
    return printf("%s: %d (%.3f)\n", name, class, probability) > 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: digits IMAGE.pgm...\n"), 2;
    reader r;
    convpool_status status = create_reader(&r);
    bool good = status == CONVPOOL_OK;
    if (!good) fprintf(stderr, "digits: %s\n", convpool_status_string(status));
    for (int i = 1; i < argc && status == CONVPOOL_OK; i++)
        good = classify_file(&r, argv[i]) && good;
    destroy_reader(&r);
    if (fflush(stdout) != 0 || ferror(stdout)) return fprintf(stderr, "digits: cannot write\n"), 1;
    return good ? 0 : 1;
}
