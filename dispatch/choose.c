/* SPDX-License-Identifier: MIT */
/* Which kernel runs: names, what kernels cost, the choice. */
#include "dispatch.h"

#include "../kernels/list.h"

#include <string.h>

#define DECLARE(isa) extern const convpool_isa convpool_isa_##isa;
CONVPOOL_ISAS(DECLARE)

#define LIST(isa) &convpool_isa_##isa,
const convpool_isa *const convpool_isas[] = {CONVPOOL_ISAS(LIST) NULL};

/* What an algorithm is expected to take for a shape. */
static double cost(const convpool_cost *of, const convpool_shape *s) {
    size_t stride = s->pool ? 2 : 1, tile = of->tile, side = tile + of->filter - 1;
    bool any = of->filter == 0, wide = s->filter_height == of->wide;
    size_t met = wide ? side + tile + of->wide - of->filter - 1 : side; /* positions, by the second part, too */
    size_t reading = wide ? 2 : convpool_is_padded(s) ? 1 : 0;
    double rows = (double)((stride * s->out_height + tile - 1) / tile);
    double columns = (double)((stride * s->out_width + tile - 1) / tile);
    double in = (double)s->channels, out = (double)s->out_channels;
    double inputs = reading == 0 || any ? in : (double)((s->channels + 7) / 8 * 8);
    double weights = (double)(any ? s->filter_height * s->filter_width : met * met); /* of each pair of channels */
    double pair = of->pair * (any ? weights : weights / (double)(side * side));
    double each = pair * in * out + of->input[reading] * inputs + of->output[s->pool] * out;
    double cached = (double)CONVPOOL_NEAR_WEIGHTS, packed = weights * in * out;
    double far = packed > cached ? packed - cached : 0;
    double tiles = rows * columns < of->least ? of->least : rows * columns;
    double products = tiles * each, beside = of->far * far;
    return of->once + of->weight * packed + (beside > products ? beside : products);
}

/* Whether it can compute such a layer. An algorithm of one filter takes whole windows only, and their maximum first. */
static bool can(const convpool_cost *of, const convpool_shape *s) {
    bool filter = convpool_has_filter(s, of->filter) || convpool_has_filter(s, of->wide);
    return of->filter == 0 || (filter && convpool_windows_are_whole(s) && !s->late);
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
            if (shape != NULL && !can(&kernel->cost, shape)) {
                if (status != CONVPOOL_OK) status = CONVPOOL_KERNEL_UNSUPPORTED;
                continue;
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

const char *convpool_find_name(const char *text) {
    const char *name = NULL;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL && name == NULL; isa++)
        for (size_t i = 0; i < (*isa)->kernel_count && name == NULL; i++)
            name = match(text, *isa, &(*isa)->kernels[i]);
    return name;
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
