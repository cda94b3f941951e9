/* SPDX-License-Identifier: MIT */
/* Arithmetic on sizes, and where scratch begins. */
#ifndef CONVPOOL_SIZES_H
#define CONVPOOL_SIZES_H

#include "kernel.h"
#include "vector/vector.h"

#include <stdint.h>

VEC_INLINE size_t size_min(size_t a, size_t b) { return a < b ? a : b; }
VEC_INLINE size_t size_max(size_t a, size_t b) { return a > b ? a : b; }
VEC_INLINE size_t size_round_up(size_t a, size_t multiple) { return (a + multiple - 1) / multiple * multiple; }

/* The least part that cuts `all` into as few parts as `most` does. */
VEC_INLINE size_t size_even(size_t all, size_t most) {
    size_t parts = (all + most - 1) / most;
    return (all + parts - 1) / parts;
}

/* The first float of scratch that is aligned. */
static inline float *scratch_align(void *scratch) {
    uintptr_t misaligned = (uintptr_t)scratch % CONVPOOL_ALIGNMENT;
    return (float *)((char *)scratch + (misaligned ? CONVPOOL_ALIGNMENT - misaligned : 0));
}

#endif
