/* SPDX-License-Identifier: MIT */
/* What the module has besides the library. convpool.js writes stages as words of 4 bytes, in convpool_stage's order. */
#include "../include/convpool.h"

#include <stddef.h>
#include <stdint.h>

_Static_assert(sizeof(convpool_stage) == 24 * 4 && offsetof(convpool_stage, spec.filter_height) == 9 * 4 &&
                   offsetof(convpool_stage, spec.slopes) == 21 * 4 && offsetof(convpool_stage, weights) == 22 * 4,
               "convpool.js knows the order");

/* A page has no environment. */
char *getenv(const char *name);
char *getenv(const char *name) {
    (void)name;
    return NULL;
}

/* The input of a saved network's test case: numbers in [0, 1), the upper bits of splitmix64's. */
void random_input(float *input, size_t count, uint32_t seed);
void random_input(float *input, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        input[i] = (float)(z >> 41) * 0x1p-23f;
    }
}
