/* SPDX-License-Identifier: MIT */
/*
 * libxsmm: batch-reduce matrix products that sum the four taps of the filter, and the pooling by hand.
 *
 * In NHWC (columns are pixels, so libxsmm's matrices are [pixels][channels]) a call computes some rows of the
 * convolution for a block of output channels: one row, or several with the input's width, the last place of each
 * unused. In NCHW (columns are channels) a call computes rows of all channels.
 */
#include "library.h"

#include <libxsmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NHWC, NCHW };                                                 /* layouts */
enum { CALLS = 4, BLOCKS = 4, PIXELS = CALLS * BLOCKS, PLANES = 6 }; /* ways: as pixels; as planes of channels */
static const size_t blocks[BLOCKS] = {SIZE_MAX, 64, 32, 16};         /* output channels a call */

typedef libxsmm_smmfunction_reducebatch_offs product;
typedef unsigned long long offsets[4]; /* of the taps, in bytes */

typedef struct state {
    const peer_layer *layer;
    bool transposed, planes;
    size_t block;           /* output channels a call */
    size_t call, band;      /* rows of the convolution: a call, and until they are pooled */
    product products[2][2]; /* for a whole block or the rest of them, for a whole call or the rest of the rows */
    offsets weights_at[2], input_at;
    size_t plane; /* floats from one channel's rows to the next: of planes */
    float *input, *weights, *rows, *pooled, *output;
} state;

static const unsigned long long taps = 4;

static void version(char *text) { snprintf(text, PEER_NAME, "%s", LIBXSMM_CONFIG_VERSION); }

static const char *runs(void) {
    libxsmm_init();
    return libxsmm_get_target_arch();
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Places in some rows of the convolution with the input's width; the last row ends with its last pixel. */
static size_t places(const peer_layer *l, size_t rows) { return rows * l->width - 1; }

/* As many as vectors are whole, as the products of planes are faster: some places more, of which the input has room. */
static size_t whole(size_t count) { return (count + 15) / 16 * 16; }

static product dispatch(size_t m, size_t n, size_t k, size_t lda, size_t ldb, size_t ldc) {
    const float alpha = 1, beta = 0;
    const libxsmm_blasint a = (libxsmm_blasint)lda, b = (libxsmm_blasint)ldb, c = (libxsmm_blasint)ldc;
    return libxsmm_smmdispatch_reducebatch_offs((libxsmm_blasint)m, (libxsmm_blasint)n, (libxsmm_blasint)k, &a, &b, &c,
                                                &alpha, &beta, NULL, NULL);
}

/* The weights become [block][tap][channel][output of the block], or [tap][output][channel] for planes. */
static void pack(state *s) {
    const peer_layer *l = s->layer;
    float *out = s->weights;
    if (s->planes) {
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t i = 0; i < l->outputs * l->channels; i++)
                *out++ = l->weights[i * taps + tap];
        return;
    }
    for (size_t o = 0; o < l->outputs; o += s->block)
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t c = 0; c < l->channels; c++)
                for (size_t i = o; i < least(o + s->block, l->outputs); i++)
                    *out++ = l->weights[(i * l->channels + c) * taps + tap];
}

static bool build(state *s) {
    const peer_layer *l = s->layer;
    const size_t W = l->width, C = l->channels, rest = l->outputs % s->block, all_rows = 2 * l->out_height;
    bool made = true;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            size_t outputs = i == 0 ? s->block : rest, rows = j == 0 ? s->call : all_rows % s->call;
            if (outputs == 0 || rows == 0) continue;
            s->products[i][j] = s->planes ? dispatch(whole(places(l, rows)), outputs, C, l->height * W, C, s->plane)
                                          : dispatch(outputs, places(l, rows), C, outputs, C, outputs);
            made = made && s->products[i][j] != NULL;
        }
    for (size_t tap = 0; tap < taps; tap++) {
        s->input_at[tap] = (tap / 2 * W + tap % 2) * (s->planes ? 1 : C) * sizeof(float);
        s->weights_at[0][tap] = tap * C * s->block * sizeof(float);
        s->weights_at[1][tap] = tap * C * rest * sizeof(float);
    }
    return made;
}

static void destroy(void *memory) {
    state *s = memory;
    free(s->input);
    free(s->weights);
    free(s->rows);
    free(s->pooled);
    free(s->output);
    free(s);
}

static void *create(const peer_layer *l, int layout, int way, char *note) {
    const size_t in = l->channels * l->height * l->width, out = l->outputs * l->out_height * l->out_width;
    state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    *s = (state){.layer = l, .transposed = layout == NCHW && way < PIXELS, .planes = way >= PIXELS};
    s->call = s->planes ? (size_t)2 << (way - PIXELS) : (size_t)1 << way % CALLS;
    s->band = s->call > 2 ? s->call : 2;
    s->block = s->planes ? l->outputs : least(blocks[way / CALLS], l->outputs);
    s->plane = whole(places(l, s->band));
    s->input = peer_floats(in);
    s->weights = peer_floats(taps * l->outputs * l->channels);
    s->rows = peer_floats(l->outputs * s->plane);
    s->pooled = peer_floats(out);
    s->output = peer_floats(out);
    pack(s);
    if (s->planes)
        memcpy(s->input, l->input, in * sizeof(float));
    else
        peer_pooling.transpose(l->input, l->channels, l->height * l->width, s->input);
    bool again = (!s->planes && way >= CALLS && s->block == l->outputs) || s->band > 2 * l->out_height;
    if (again || !build(s)) { /* again: as another way */
        destroy(s);
        return NULL;
    }
    if (s->planes)
        snprintf(note, PEER_NOTE, "NCHW, %zu rows a call", s->call);
    else
        snprintf(note, PEER_NOTE, "%s%zu rows, %zu outputs a call", s->transposed ? "transposed, " : "", s->call,
                 s->block);
    return s;
}

static void run_planes(const state *s) {
    const peer_layer *l = s->layer;
    for (size_t r = 0; r < 2 * l->out_height; r += s->band) {
        size_t rows = least(s->band, 2 * l->out_height - r);
        s->products[0][rows != s->call](s->input + r * l->width, s->weights, s->rows, &taps, s->input_at,
                                        s->weights_at[0]);
        for (size_t o = 0; o < l->outputs; o++)
            peer_pooling.plane(s->rows + o * s->plane, l->width, rows / 2, l->out_width, l->bias[o],
                               s->output + (o * l->out_height + r / 2) * l->out_width);
    }
}

static void run_pixels(const state *s) {
    const peer_layer *l = s->layer;
    for (size_t o = 0; o < l->outputs; o += s->block) {
        const size_t outputs = least(s->block, l->outputs - o), row = outputs * l->width;
        const float *weights = s->weights + o * taps * l->channels;
        for (size_t r = 0; r < 2 * l->out_height; r += s->band) {
            size_t rows = least(s->band, 2 * l->out_height - r);
            for (size_t i = 0; i < rows; i += s->call)
                s->products[outputs != s->block][i + s->call > rows](
                    weights, s->input + (r + i) * l->width * l->channels, s->rows + i * row, &taps,
                    s->weights_at[outputs != s->block], s->input_at);
            for (size_t i = 0; i < rows; i += 2)
                peer_pooling.pixels(s->rows + i * row, s->rows + (i + 1) * row, outputs, outputs, l->out_width,
                                    l->bias + o, s->pooled + (r + i) / 2 * l->out_width * l->outputs + o, l->outputs);
        }
    }
}

static void run(void *memory) {
    const state *s = memory;
    const peer_layer *l = s->layer;
    if (s->transposed) peer_pooling.transpose(l->input, l->channels, l->height * l->width, s->input);
    if (s->planes)
        run_planes(s);
    else
        run_pixels(s);
    if (s->transposed) peer_pooling.transpose(s->pooled, l->out_height * l->out_width, l->outputs, s->output);
}

static void result(void *memory, float *output) {
    const state *s = memory;
    const size_t pixels = s->layer->out_height * s->layer->out_width;
    if (s->planes)
        memcpy(output, s->output, s->layer->outputs * pixels * sizeof *output);
    else
        peer_pooling.transpose(s->pooled, pixels, s->layer->outputs, output);
}

const peer_library libxsmm = {
    .name = "libxsmm",
    .variable = "LIBXSMM_TARGET",
    .values = {"wsm", "hsw", "skx"},
    .version = version,
    .runs = runs,
    .layouts = {{"NHWC", PIXELS}, {"NCHW in and out", PIXELS + PLANES}},
    .create = create,
    .run = run,
    .result = result,
    .destroy = destroy,
};
