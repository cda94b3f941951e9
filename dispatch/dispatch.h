/* SPDX-License-Identifier: MIT */
/* What the library's parts, its tests and its tools share and users do not see. */
#ifndef CONVPOOL_DISPATCH_H
#define CONVPOOL_DISPATCH_H

#include "../include/convpool.h"
#include "../kernels/kernel.h"

#include <stdint.h>

/* shape.c: checks a spec but for its kernel; *shape is written where it returns CONVPOOL_OK. */
convpool_status convpool_make_shape(const convpool_layer_spec *spec, convpool_shape *shape);
size_t convpool_tensor_bytes(size_t a, size_t b, size_t c); /* of so many floats; SIZE_MAX where that overflows */
bool convpool_fits(size_t bytes);                           /* whether there may be an object of this size */
bool convpool_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

bool convpool_enums_valid(const convpool_layer_spec *spec); /* but for PReLU's slopes */

/* choose.c: the kernels of this build, best ISA first, ended by NULL. */
extern const convpool_isa *const convpool_isas[];

typedef struct convpool_choice {
    const convpool_isa *isa;
    const convpool_kernel *kernel;
} convpool_choice;

/* The choice as a pure function. wanted: NULL or "" for any, or an ISA, an algorithm or both. features: the
 * CONVPOOL_NEEDS_... that the CPU meets. shape: what to choose the algorithm for; NULL where only the ISA
 * matters. Returns CONVPOOL_OK, CONVPOOL_KERNEL_UNKNOWN, or CONVPOOL_KERNEL_UNSUPPORTED where no such kernel can run
 * here or compute that shape. */
convpool_status convpool_choose(const char *wanted, unsigned features, const convpool_shape *shape,
                                convpool_choice *choice);

/* The static name that a text spells, of an ISA, an algorithm or a kernel of this build; NULL for none. */
const char *convpool_find_name(const char *text);

/* environment.c: the choice for this CPU. Where wanted is NULL or "", CONVPOOL_KERNEL decides: its algorithm where that
 * can compute the shape, else the best one of its ISA. */
convpool_status convpool_resolve(const char *wanted, const convpool_shape *shape, convpool_choice *choice);

/* layer.c: checks a spec and chooses its kernel. */
convpool_status convpool_prepare(const convpool_layer_spec *spec, convpool_shape *shape, convpool_choice *choice);

/* What convpool_layer_create_in() needs for it. */
size_t convpool_layer_bytes(const convpool_shape *shape, const convpool_kernel *kernel);

/* Whether so many bytes of memory overlap what a layer is made of. */
bool convpool_layer_overlaps(const convpool_shape *shape, const float *weights, const float *bias, const void *memory,
                             size_t bytes);

/* network.c: the shape of what a stage gives; nothing is stored where there is no such stage. */
void convpool_network_stage_shape(const convpool_network *network, size_t stage, size_t *channels, size_t *height,
                                  size_t *width);

static inline size_t convpool_align_up(size_t n) {
    return (n + CONVPOOL_ALIGNMENT - 1) / CONVPOOL_ALIGNMENT * CONVPOOL_ALIGNMENT;
}

/* The first aligned address from p on. */
static inline void *convpool_aligned(void *p) { return (char *)p + (convpool_align_up((uintptr_t)p) - (uintptr_t)p); }

/* cpu.c: the CONVPOOL_NEEDS_... that this CPU and operating system meet, asked once. */
unsigned convpool_cpu_features(void);

/* Why a CPU with these features does not meet these needs; "" where it does. */
const char *convpool_cpu_reason(unsigned needs, unsigned features);

/* The names, separated by spaces, of those CONVPOOL_NEEDS_... that are in features. */
void convpool_cpu_feature_names(unsigned features, char *text, size_t size);

/* Which CPU this is, for reports: "unknown", "" and 0 where that cannot be told. */
typedef struct convpool_cpu {
    char name[64], vendor[16];
    int family, model, stepping;
    size_t cache[3]; /* bytes of the caches for data, from the first level on */
} convpool_cpu;
convpool_cpu convpool_cpu_describe(void);

#endif
