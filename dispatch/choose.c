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

/* What an algorithm is expected to take for a shape. */
static double cost(const convpool_cost *of_tile, const convpool_shape *s) {
    size_t stride = s->pool ? 2 : 1, tile = of_tile->tile;
    size_t across = tile == 3 ? stride : 1; /* F(3x3) pools two tiles at once */
    double rows = (double)((stride * s->out_height + tile - 1) / tile);
    double columns = (double)((stride * s->out_width + across * tile - 1) / (across * tile) * across);
    double in = (double)s->channels, out = (double)s->out_channels;
    double each = of_tile->pair * in * out + of_tile->input * in + of_tile->output[s->pool] * out;
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
            double expected = shape == NULL ? 0 : cost(&kernel->cost, shape);
            if (status == CONVPOOL_OK && expected > least) continue;
            *choice = (convpool_choice){*isa, kernel};
            least = expected;
            status = CONVPOOL_OK;
        }
        if (status == CONVPOOL_OK) break;
    }
    return status;
}

/* The static name that a text spells, of an ISA, an algorithm or a kernel of this build; NULL for none. */
static const char *find_name(const char *text) {
    const char *name = NULL;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL && name == NULL; isa++)
        for (size_t i = 0; i < (*isa)->kernel_count && name == NULL; i++)
            name = match(text, *isa, &(*isa)->kernels[i]);
    return name;
}

/* Why no kernel here answers to a value of CONVPOOL_KERNEL; `name` is what find_name() says of it. */
static const char *why_refused(const char *value, const char *name) {
    char lower[64];
    size_t length = 0;
    if (name != NULL) /* it is built, so the CPU cannot run it */
        for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
            for (size_t i = 0; i < (*isa)->kernel_count; i++)
                if (match(name, *isa, &(*isa)->kernels[i]) != NULL)
                    return convpool_cpu_reason((*isa)->needs, convpool_cpu_features());
    for (; value[length] != 0 && length < sizeof lower - 1; length++)
        lower[length] =
            (char)(value[length] >= 'A' && value[length] <= 'Z' ? value[length] - 'A' + 'a' : value[length]);
    lower[length] = 0;
    return find_name(lower) != NULL ? "names are in lower case"
                                    : "no instruction set, algorithm or kernel of that name is built in";
}

typedef struct line {
    char text[1024];
    size_t used;
    const char *separator;
} line;

static void append(line *l, const char *text) {
    if (l->used < sizeof l->text)
        l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%s%s", l->separator, text);
    l->separator = ", ";
}

/* Adds one kind of name of the kernels that are supported here, each once. */
static void append_names(line *l, const char *(*name_of)(const convpool_kernel_info *info)) {
    convpool_kernel_info info, earlier;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        bool listed = !info.supported;
        for (size_t k = 0; k < i && convpool_kernel_get(k, &earlier); k++)
            listed |= earlier.supported && strcmp(name_of(&earlier), name_of(&info)) == 0;
        if (!listed) append(l, name_of(&info));
    }
}
static const char *isa_of(const convpool_kernel_info *info) { return info->isa; }
static const char *algorithm_of(const convpool_kernel_info *info) { return info->algorithm; }
static const char *name_of(const convpool_kernel_info *info) { return info->name; }

/* One line on stderr, for a value of CONVPOOL_KERNEL that no kernel here answers to. */
static void complain(const char *value, const char *name) {
    char shown[64];
    size_t length = 0;
    for (; value[length] != 0 && length < sizeof shown - 1; length++)
        shown[length] = isprint((unsigned char)value[length]) ? value[length] : '?';
    shown[length] = 0;
    line l = {.separator = ""};
    l.used = (size_t)snprintf(l.text, sizeof l.text, "convpool: CONVPOOL_KERNEL=%s%s: %s; supported here: ", shown,
                              value[length] ? "..." : "", why_refused(value, name));
    append_names(&l, isa_of);
    append_names(&l, algorithm_of);
    append_names(&l, name_of);
    fprintf(stderr, "%s%s\n", l.text, *l.separator == 0 ? "none" : "");
}

/* What CONVPOOL_KERNEL wants, "" for nothing: read once, by the first call that asks, which also complains
 * where that cannot be had. Only static strings are kept: a name from the table, or one that is in no table. */
static const char *environment(void) {
    static once kept;
    const char *wanted = (const char *)once_get(&kept);
    if (wanted != NULL) return wanted;

    const char *value = getenv("CONVPOOL_KERNEL");
    if (value == NULL) value = "";
    const char *name = find_name(value);
    wanted = name == NULL ? "unknown" : name;

    const char *first = (const char *)once_set(&kept, (uintptr_t)wanted);
    if (first != NULL) return first; /* of another thread */
    convpool_choice choice;
    convpool_status status = convpool_choose(wanted, convpool_cpu_features(), NULL, &choice);
    if (status != CONVPOOL_OK && *value != 0) complain(value, name);
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
