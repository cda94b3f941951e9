/* SPDX-License-Identifier: MIT */
/* XNNPACK: a convolution, then a pooling, in NHWC; ReLU is the clamping of either. */
#include "library.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xnnpack.h>

enum { NHWC, NCHW }; /* layouts */

typedef struct state {
    const peer_layer *layer;
    bool nchw;
    xnn_operator_t convolution, pooling;
    float *weights, *input, *middle, *pooled,
        *output; /* weights [outputs][2][2][channels]; pixels; pixels; pixels; NCHW */
} state;

static void version(char *text) { snprintf(text, PEER_NAME, "own ISA"); } /* it tells neither */

static const char *runs(void) { return xnn_initialize(NULL) == xnn_status_success ? NULL : "nothing"; }

static bool build(state *s, bool relu_first) {
    const peer_layer *l = s->layer;
    peer_pooling.transpose(l->input, l->channels, l->height * l->width, s->input);
    for (size_t o = 0; o < l->outputs; o++)
        peer_pooling.transpose(l->weights + o * l->channels * 4, l->channels, 4, s->weights + o * l->channels * 4);
    return xnn_create_convolution2d_nhwc_f32(0, 0, 0, 0, 2, 2, 1, 1, 1, 1, 1, l->channels, l->outputs, l->channels,
                                             l->outputs, s->weights, l->bias, relu_first ? 0 : -INFINITY, INFINITY, 0,
                                             &s->convolution) == xnn_status_success &&
           xnn_create_max_pooling2d_nhwc_f32(0, 0, 0, 0, 2, 2, 2, 2, 1, 1, l->outputs, l->outputs, l->outputs,
                                             relu_first ? -INFINITY : 0, INFINITY, 0,
                                             &s->pooling) == xnn_status_success &&
           xnn_setup_convolution2d_nhwc_f32(s->convolution, 1, l->height, l->width, s->input, s->middle, NULL) ==
               xnn_status_success &&
           xnn_setup_max_pooling2d_nhwc_f32(s->pooling, 1, l->height - 1, l->width - 1, s->middle, s->pooled, NULL) ==
               xnn_status_success;
}

static void destroy(void *memory) {
    state *s = memory;
    xnn_delete_operator(s->convolution);
    xnn_delete_operator(s->pooling);
    free(s->weights);
    free(s->input);
    free(s->middle);
    free(s->pooled);
    free(s->output);
    free(s);
}

static void *create(const peer_layer *l, int layout, int way, char *note) {
    state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    *s = (state){.layer = l, .nchw = layout == NCHW};
    s->weights = peer_floats(4 * l->outputs * l->channels);
    s->input = peer_floats(l->channels * l->height * l->width);
    s->middle = peer_floats(l->outputs * (l->height - 1) * (l->width - 1));
    s->pooled = peer_floats(l->outputs * l->out_height * l->out_width);
    s->output = peer_floats(l->outputs * l->out_height * l->out_width);
    if (!build(s, way == 0)) {
        destroy(s);
        return NULL;
    }
    snprintf(note, PEER_NOTE, "ReLU with the %s", way == 0 ? "convolution" : "pooling");
    return s;
}

static void run(void *memory) {
    const state *s = memory;
    const peer_layer *l = s->layer;
    if (s->nchw) peer_pooling.transpose(l->input, l->channels, l->height * l->width, s->input);
    xnn_run_operator(s->convolution, NULL);
    xnn_run_operator(s->pooling, NULL);
    if (s->nchw) peer_pooling.transpose(s->pooled, l->out_height * l->out_width, l->outputs, s->output);
}

static void result(void *memory, float *output) {
    const state *s = memory;
    peer_pooling.transpose(s->pooled, s->layer->out_height * s->layer->out_width, s->layer->outputs, output);
}

const peer_library xnnpack = {
    .name = "XNNPACK",
    .version = version,
    .runs = runs,
    .layouts = {{"NHWC", 2}, {"NCHW in and out", 2}},
    .create = create,
    .run = run,
    .result = result,
    .destroy = destroy,
};
