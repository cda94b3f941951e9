/* SPDX-License-Identifier: MIT */
/* What convpool-info and convpool-bench have in common: reading layers, naming the build, writing JSON. */
#ifndef CONVPOOL_REPORT_H
#define CONVPOOL_REPORT_H

#include "convpool.h"

#include <stdio.h>

/* What a layer is written as. */
#define LAYER_FORM "CxHxW:O[:kFHxFW][:sSHxSW][:same|:pT,L,B,R][:none|:ceil][:hwc]"
#define LAYER_HELP \
    "A layer is CxHxW:O, C input channels, H x W input, O output channels, with ReLU; and any of\n" \
    "  :kFHxFW    a filter of this height and width (else 2x2)\n" \
    "  :sSHxSW    strides, down and across\n" \
    "  :same      zeros around the image, so that there is an output for each step of the stride;\n" \
    "  :pT,L,B,R  or so many, above, left, below and right\n" \
    "  :none      not pooled; or :ceil, pooled, an odd last row or column, too\n" \
    "  :hwc       images [height][width][channels], in and out\n"

/* Reads a layer of that form, such as "16x25x25:32", into *spec. */
bool parse_layer(const char *text, convpool_layer_spec *spec);

/* The compiler and its version. */
const char *compiler_name(void);

/* Writes text as a JSON string, or null for NULL. */
void json_string(FILE *file, const char *text);

#endif
