/* SPDX-License-Identifier: MIT */
/* What convpool-info and convpool-bench say of the build and of the machine. */
#ifndef CONVPOOL_REPORT_H
#define CONVPOOL_REPORT_H

#include "dispatch.h"

#include <stdio.h>

/* The compiler and its version. */
const char *compiler_name(void);

/* Writes text as a JSON string, or null for NULL. */
void json_string(FILE *file, const char *text);

/* This machine, now. */
typedef struct machine {
    convpool_cpu cpu;
    char features[128], os[256];
    char date[32]; /* UTC, as ISO 8601 has it */
} machine;
machine machine_describe(void);

/* Prints it, and the build, with `options` of Meson's, in lines. */
void print_machine(FILE *file, const char *options);

/* Writes the same as members of a JSON object, without a comma at either end. */
void write_machine(FILE *file, const char *options);

#endif
