/* SPDX-License-Identifier: MIT */
/* Which kernel runs: names, the environment, the choice. */
#include "dispatch.h"
#include "once.h"

#include "convpool_kernels.h" /* CONVPOOL_ISAS: written by kernels/meson.build */

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECLARE(isa) extern const convpool_isa convpool_isa_##isa;
CONVPOOL_ISAS(DECLARE)

#define LIST(isa) &convpool_isa_##isa,
const convpool_isa *const convpool_isas[] = {CONVPOOL_ISAS(LIST) NULL};

/* What an algorithm is expected to cost for a shape, in multiplications: by one rule for all ISAs, so that their
 * results agree. Tiles of t x t convolution outputs take so many for each pair of channels, and their transforms as
 * long as so many for each input and each output channel; the latter were fitted to measured times of hundreds of
 * layers. Of one input channel it must take one side: direct is a fourth faster than the others with avx2, and a tenth
 * slower with scalar. */
static double cost(const char *algorithm, const convpool_shape *s) {
    static const struct {
        const char *name;
        size_t tile;
        double pair, input, output[2]; /* output: without and with pooling */
    } algorithms[] = {
        {"direct", 1, 4, 6, {0, 0}},
        {"winograd22", 2, 9, 54, {80, 14}},
        {"winograd32", 3, 16, 85, {160, 64}},
    };
    size_t i = 0;
    while (strcmp(algorithms[i].name, algorithm) != 0)
        i++;
    size_t stride = s->pool ? 2 : 1, tile = algorithms[i].tile;
    size_t across = tile == 3 ? stride : 1; /* F(3x3) pools two tiles at once */
    double rows = (double)((stride * s->out_height + tile - 1) / tile);
    double columns = (double)((stride * s->out_width + across * tile - 1) / (across * tile) * across);
    double in = (double)s->channels, out = (double)s->out_channels;
    double each = algorithms[i].pair * in * out + algorithms[i].input * in + algorithms[i].output[s->pool] * out;
    return rows * columns * each;
}

/* The name that `wanted` spells, of this ISA, this kernel's algorithm or the kernel; NULL for none. */
static const char *match(const char *wanted, const convpool_isa *isa, const convpool_kernel *kernel) {
    const char *names[] = {"", isa->name, kernel->algorithm, kernel->name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(wanted, names[i]) == 0) return names[i];
    return NULL;
}

convpool_status convpool_choose(const char *wanted, unsigned features, const convpool_shape *shape,
                                convpool_choice *choice) {
    convpool_status status = CONVPOOL_KERNEL_UNKNOWN;
    double least = 0;
    if (wanted == NULL) wanted = "";
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        for (size_t i = 0; i < (*isa)->kernel_count; i++) {
            const convpool_kernel *kernel = &(*isa)->kernels[i];
            if (match(wanted, *isa, kernel) == NULL) continue;
            if ((*isa)->needs & ~features) {
                status = CONVPOOL_KERNEL_UNSUPPORTED;
                break;
            }
            double expected = shape == NULL ? 0 : cost(kernel->algorithm, shape);
            if (status == CONVPOOL_OK && expected > least) continue;
            *choice = (convpool_choice){*isa, kernel};
            least = expected;
            status = CONVPOOL_OK;
        }
        if (status == CONVPOOL_OK) break;
    }
    return status;
}

/* One line on stderr, for a value of CONVPOOL_KERNEL that no kernel here answers to. */
static void complain(const char *value, convpool_status status) {
    char shown[64], line[1024];
    size_t length = 0;
    for (; value[length] != 0 && length < sizeof shown - 1; length++)
        shown[length] = isprint((unsigned char)value[length]) ? value[length] : '?';
    shown[length] = 0;
    size_t used = (size_t)snprintf(line, sizeof line, "convpool: CONVPOOL_KERNEL=%s%s: %s; supported here:", shown,
                                   value[length] ? "..." : "", convpool_status_string(status));
    const char *separator = " ";
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info) && used < sizeof line; i++)
        if (info.supported) {
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", separator, info.name);
            separator = ", ";
        }
    fprintf(stderr, "%s%s\n", line, *separator == ' ' ? " none" : "");
}

/* What CONVPOOL_KERNEL wants, "" for nothing: read once, by the first call that asks, which also complains
 * where that cannot be had. Only static strings are kept: a name from the table, or one that is in no table. */
static const char *environment(void) {
    static once kept;
    const char *wanted = (const char *)once_get(&kept);
    if (wanted != NULL) return wanted;

    const char *value = getenv("CONVPOOL_KERNEL");
    if (value == NULL) value = "";
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL && wanted == NULL; isa++)
        for (size_t i = 0; i < (*isa)->kernel_count && wanted == NULL; i++)
            wanted = match(value, *isa, &(*isa)->kernels[i]);
    if (wanted == NULL) wanted = "unknown";

    const char *first = (const char *)once_set(&kept, (uintptr_t)wanted);
    if (first != NULL) return first; /* of another thread */
    convpool_choice choice;
    convpool_status status = convpool_choose(wanted, convpool_cpu_features(), NULL, &choice);
    if (status != CONVPOOL_OK && *value != 0) complain(value, status);
    return wanted;
}

convpool_status convpool_resolve(const char *wanted, const convpool_shape *shape, convpool_choice *choice) {
    if (wanted == NULL || *wanted == 0) wanted = environment();
    return convpool_choose(wanted, convpool_cpu_features(), shape, choice);
}

size_t convpool_kernel_count(void) {
    size_t count = 0;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        count += (*isa)->kernel_count;
    return count;
}

bool convpool_kernel_get(size_t index, convpool_kernel_info *info) {
    if (info == NULL) return false;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if (index < (*isa)->kernel_count) {
            const convpool_kernel *kernel = &(*isa)->kernels[index];
            unsigned features = convpool_cpu_features();
            *info =
                (convpool_kernel_info){kernel->name, (*isa)->name, kernel->algorithm, ((*isa)->needs & ~features) == 0,
                                       convpool_cpu_reason((*isa)->needs, features)};
            return true;
        }
        index -= (*isa)->kernel_count;
    }
    return false;
}
