/* SPDX-License-Identifier: MIT */
/* What convpool-info and convpool-bench have in common: reading layers, naming the build, writing JSON. */
#ifndef CONVPOOL_REPORT_H
#define CONVPOOL_REPORT_H

#include "convpool.h"

#include <stdio.h>

/* Reads "CxHxW:O", such as "16x25x25:32", or "CxHxW:O:none", without pooling, into *spec. */
bool parse_layer(const char *text, convpool_layer_spec *spec);

/* The compiler and its version. */
const char *compiler_name(void);

/* Writes text as a JSON string, or null for NULL. */
void json_string(FILE *file, const char *text);

#endif
