/* SPDX-License-Identifier: MIT */
/*
 * OpenBLAS: matrix products in NCHW, a band of pooled rows at a time, pooled while it is in the cache. Rows of the
 * convolution keep the input's width, so that a tap of the filter is the input, shifted. Either four products are
 * summed, one for each tap, or the band is laid out tap by tap for a single one.
 */
#include "library.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BANDS = 8 }; /* of 1, 2, 4, ... pooled rows */

typedef struct state {
    const peer_layer *layer;
    bool gathered; /* one product in place of four */
    size_t rows;   /* of a band, pooled */
    float *input, *weights, *gather, *band, *output;
} state;

/* "OpenBLAS 0.3.21 DYNAMIC_ARCH ..." */
static void version(char *text) {
    snprintf(text, PEER_NAME, "?");
    sscanf(openblas_get_config(), "OpenBLAS %31s", text);
}

static const char *runs(void) { return openblas_get_corename(); }

/* Places in some pooled rows: the last row ends with its last pixel, and vectors are made whole, as products are faster
 * so. That reads beyond the input, so it is copied to where there is room. */
static size_t places(const peer_layer *l, size_t rows) { return (2 * rows * l->width - 1 + 15) / 16 * 16; }

static void destroy(void *memory) {
    state *s = memory;
    free(s->input);
    free(s->weights);
    free(s->gather);
    free(s->band);
    free(s->output);
    free(s);
}

static void *create(const peer_layer *l, int layout, int way, char *note) {
    (void)layout;
    const size_t in = l->channels * l->height * l->width;
    size_t rows = (size_t)1 << way % BANDS;
    if (rows > l->out_height && rows / 2 >= l->out_height) return NULL; /* as the way before */
    if (rows > l->out_height) rows = l->out_height;
    if (way < BANDS && places(l, rows) > l->height * l->width)
        return NULL; /* a row of a matrix may not overlap the next */
    state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    *s = (state){.layer = l, .gathered = way >= BANDS, .rows = rows};
    s->input = peer_floats(in);
    memcpy(s->input, l->input, in * sizeof *s->input);
    s->weights = peer_floats(4 * l->outputs * l->channels);
    s->gather = peer_floats(s->gathered ? 4 * l->channels * places(l, rows) : 0);
    s->band = peer_floats(l->outputs * places(l, rows));
    s->output = peer_floats(l->outputs * l->out_height * l->out_width);
    for (size_t o = 0; o < l->outputs; o++)
        for (size_t c = 0; c < l->channels; c++)
            for (size_t tap = 0; tap < 4; tap++)
                s->weights[s->gathered ? (o * 4 + tap) * l->channels + c : (tap * l->outputs + o) * l->channels + c] =
                    l->weights[(o * l->channels + c) * 4 + tap];
    snprintf(note, PEER_NOTE, "%s, %zu pooled rows", s->gathered ? "one sgemm" : "four sgemm", rows);
    return s;
}

static void run(void *memory) {
    const state *s = memory;
    const peer_layer *l = s->layer;
    const size_t plane = l->height * l->width, stride = places(l, s->rows);
    const blasint outputs = (blasint)l->outputs, channels = (blasint)l->channels;
    for (size_t p = 0; p < l->out_height; p += s->rows) {
        size_t rows = l->out_height - p < s->rows ? l->out_height - p : s->rows;
        size_t count = places(l, rows);
        const float *input = s->input + 2 * p * l->width;
        for (size_t tap = 0; tap < 4; tap++) {
            const float *shifted = input + tap / 2 * l->width + tap % 2;
            if (!s->gathered)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, outputs, (blasint)count, channels, 1,
                            s->weights + tap * l->outputs * l->channels, channels, shifted, (blasint)plane,
                            tap == 0 ? 0 : 1, s->band, (blasint)stride);
            else
                for (size_t c = 0; c < l->channels; c++)
                    memcpy(s->gather + (tap * l->channels + c) * stride, shifted + c * plane, count * sizeof(float));
        }
        if (s->gathered)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, outputs, (blasint)count, 4 * channels, 1, s->weights,
                        4 * channels, s->gather, (blasint)stride, 0, s->band, (blasint)stride);
        for (size_t o = 0; o < l->outputs; o++)
            peer_pooling.plane(s->band + o * stride, l->width, rows, l->out_width, l->bias[o],
                               s->output + (o * l->out_height + p) * l->out_width);
    }
}

static void result(void *memory, float *output) {
    const state *s = memory;
    const peer_layer *l = s->layer;
    memcpy(output, s->output, l->outputs * l->out_height * l->out_width * sizeof *output);
}

const peer_library openblas = {
    .name = "OpenBLAS",
    .variable = "OPENBLAS_CORETYPE",
    .values = {"Nehalem", "Haswell", "SkylakeX"},
    .version = version,
    .runs = runs,
    .layouts = {{"NCHW in and out", 2 * BANDS}},
    .create = create,
    .run = run,
    .result = result,
    .destroy = destroy,
};
