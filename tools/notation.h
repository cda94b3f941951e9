/* SPDX-License-Identifier: MIT */
/* Layers and networks as convpool-info and convpool-bench read them. */
#ifndef CONVPOOL_NOTATION_H
#define CONVPOOL_NOTATION_H

#include "convpool.h"

/* What a layer is written as. */
#define LAYER_FORM "CxHxW:O[:kFHxFW][:sSHxSW][:same|:pT,L,B,R][:none|:ceil][:hwc][:ACTIVATION]"
#define LAYER_HELP \
    "A layer is CxHxW:O, C input channels, H x W input, O output channels; and any of\n" \
    "  :kFHxFW      a filter of this height and width (else 2x2)\n" \
    "  :sSHxSW      strides, down and across\n" \
    "  :same        zeros around the image, so that there is an output for each step of the stride;\n" \
    "  :pT,L,B,R    or so many, above, left, below and right\n" \
    "  :none        not pooled; or :ceil, pooled, an odd last row or column, too\n" \
    "  :hwc         images [height][width][channels], in and out\n" \
    "  :ACTIVATION  relu (else), linear, relu6, leaky=SLOPE, sigmoid, tanh or elu=ALPHA\n"
#define NETWORK_HELP \
    "A network's file has a stage a line, empty lines, and comments behind '#':\n" \
    "  image CxHxW[:hwc]                       first: what comes in, and how images lie, in and out\n" \
    "  layer O[...]                            O output channels, and what a layer may have\n" \
    "  dense O[:ACTIVATION]                    every output from the whole image\n" \
    "  depthwise HxW[:sSHxSW][:same|:pT,L,B,R][:ACTIVATION]\n" \
    "                                          each channel by a filter of its own\n" \
    "  max-pool HxW[:sSHxSW][:same|:pT,L,B,R]  and average-pool; strides else those of the window\n" \
    "  activation ACTIVATION                   with prelu, here and in layers\n" \
    "  global-max, global-average, scale, softmax, log-softmax\n"

/* Reads a layer of that form, such as "16x25x25:32", into *spec. */
bool parse_layer(const char *text, convpool_layer_spec *spec);

/* A network, with weights made by chance, always the same: of even magnitude, whatever the depth. */
typedef struct network_file {
    convpool_stage *stages;
    size_t count;
    float *numbers;       /* all that the stages point to */
    double multiply_adds; /* of a direct convolution */
} network_file;

/* Reads a network's file; for free_network(). False where it cannot, and says why in error[NETWORK_ERROR]. */
enum { NETWORK_ERROR = 256 };
bool read_network(const char *path, network_file *network, char *error);
void free_network(network_file *network);

/* What such a file calls a stage of this kind. */
const char *stage_word(convpool_stage_kind kind);

#endif
