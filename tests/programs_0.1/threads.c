/* SPDX-License-Identifier: MIT */
/* One image over several threads: each computes a band of output rows, with scratch of its own.
 *
 *     threads [THREADS]
 */
#include <convpool.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 64, SIDE = 113, OUT_CHANNELS = 64, MOST = 64 };

typedef struct band {
    const convpool_layer *layer; /* may be run by any number of threads */
    const float *input;
    float *output, *scratch;
    size_t first_row, row_count;
    convpool_status status;
} band;

static void *run_band(void *argument) {
    band *b = argument;
    b->status = convpool_layer_run_rows(b->layer, b->input, b->output, b->scratch, b->first_row, b->row_count);
    return NULL;
}

static float *some_floats(size_t count) {
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values != NULL && i < count; i++)
        values[i] = (float)(i * 7919 % 2003) / 1001 - 1;
    return values;
}

int main(int argc, char **argv) {
    size_t threads = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 4;
    if (threads < 1 || threads > MOST) return fprintf(stderr, "usage: threads [1 to %d]\n", MOST), 2;

    convpool_layer_spec spec = {0};
    spec.in_channels = CHANNELS, spec.in_height = spec.in_width = SIDE, spec.out_channels = OUT_CHANNELS;
    float *weights = some_floats(OUT_CHANNELS * CHANNELS * 4), *input = some_floats(CHANNELS * SIDE * SIDE);
    convpool_layer *layer;
    convpool_status status = convpool_layer_create(&spec, weights, NULL, &layer);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(status)), 1;

    size_t channels, rows, columns;
    convpool_layer_output_shape(layer, &channels, &rows, &columns);
    size_t bytes = channels * rows * columns * sizeof(float);
    float *output = malloc(bytes), *whole = malloc(bytes);

    /* Bands begin at multiples of the row step, so that no arithmetic is done twice. */
    size_t step = convpool_layer_row_step(layer), steps = (rows + step - 1) / step;
    band bands[MOST];
    pthread_t ids[MOST];
    for (size_t i = 0; i < threads; i++) {
        size_t first = steps * i / threads * step, end = steps * (i + 1) / threads * step;
        end = end < rows ? end : rows;
        bands[i] = (band){layer, input, output, malloc(convpool_layer_scratch_size(layer)), first, end - first, status};
        if (pthread_create(&ids[i], NULL, run_band, &bands[i]) != 0) return fprintf(stderr, "no thread\n"), 1;
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (bands[i].status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(bands[i].status)), 1;
    }

    /* The same to the last bit as in one piece. */
    convpool_layer_run(layer, input, whole, bands[0].scratch);
    if (memcmp(output, whole, bytes) != 0) return fprintf(stderr, "the bands differ from the whole\n"), 1;
    printf("%s: %zu output rows in bands of multiples of %zu, on %zu threads\n", convpool_layer_kernel(layer), rows,
           step, threads);

    for (size_t i = 0; i < threads; i++)
        free(bands[i].scratch);
    free(whole);
    free(output);
    free(input);
    free(weights);
    convpool_layer_destroy(layer);
    return 0;
}
