/* SPDX-License-Identifier: MIT */
/* The layer that the project began with, 32x16x2x2 weights on a 16x25x25 image, from the .npy files that
 * bench/seed_layer.py writes: weights, bias, the image x and what is to come out, y.
 *
 *     seed_layer FOLDER
 */
#include <convpool.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The `count` numbers of a .npy file (NumPy's format, version 1) of this type, "<f4" or "<f8", in memory that the
 * caller frees. On a big-endian machine their bytes would have to be swapped. */
static void *load_npy(const char *folder, const char *name, const char *type, size_t count) {
    char path[4096], header[65536] = "";
    unsigned char head[10];
    size_t size = (size_t)(type[2] - '0');
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = fopen(path, "rb");
    void *numbers = malloc(count * size);
    bool good = file != NULL && numbers != NULL && fread(head, 1, 10, file) == 10 &&
                memcmp(head, "\x93NUMPY\1\0", 8) == 0 && fread(header, 1, head[8] + 256u * head[9], file) > 0 &&
                strstr(header, type) != NULL && strstr(header, "'fortran_order': False") != NULL &&
                fread(numbers, size, count, file) == count && fgetc(file) == EOF;
    if (file != NULL) fclose(file);
    if (!good) {
        fprintf(stderr, "%s cannot be read, or does not hold %zu numbers of type %s\n", path, count, type);
        exit(1);
    }
    return numbers;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: seed_layer FOLDER\n"), 2;
    float *weights = load_npy(argv[1], "weights", "<f4", 32 * 16 * 2 * 2), *bias = load_npy(argv[1], "bias", "<f4", 32);
    float *x = load_npy(argv[1], "x", "<f4", 16 * 25 * 25);
    double *expected = load_npy(argv[1], "y", "<f8", 32 * 12 * 12);

    convpool_layer_spec spec = {0};
    spec.in_channels = 16, spec.in_height = 25, spec.in_width = 25, spec.out_channels = 32;
    spec.filter = CONVPOOL_CONVOLUTION; /* trained with Theano, which flips the filter as SciPy does */
    convpool_layer *layer;
    convpool_status status = convpool_layer_create(&spec, weights, bias, &layer);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(status)), 1;
    free(weights); /* the layer has its own copy */
    free(bias);

    float *y = malloc(32 * 12 * 12 * sizeof *y);
    void *scratch = malloc(convpool_layer_scratch_size(layer));
    status = convpool_layer_run(layer, x, y, scratch);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(status)), 1;

    double largest = 0, most = 0; /* so written that NaN would count as the largest */
    for (int i = 0; i < 16 * 25 * 25; i++)
        if (!(fabs((double)x[i]) <= most)) most = fabs((double)x[i]);
    for (int i = 0; i < 32 * 12 * 12; i++)
        if (!(fabs((double)y[i] - expected[i]) <= largest)) largest = fabs((double)y[i] - expected[i]);
    double bound = convpool_layer_error_bound(layer, most);
    printf("%s: within %.2g of NumPy's result in double precision; proven: within %.2g\n", convpool_layer_kernel(layer),
           largest, bound);
    free(scratch);
    free(y);
    free(expected);
    free(x);
    convpool_layer_destroy(layer);
    return largest <= bound ? 0 : 1;
}
