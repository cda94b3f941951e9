/* SPDX-License-Identifier: MIT */
/* A stream of pseudo-random numbers (splitmix64: G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number
 * generators, 2014), the same on every machine: no function of the C library is called, no result is rounded. */
#ifndef CONVPOOL_RANDOM_H
#define CONVPOOL_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t random_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* In [0, limit). */
static inline size_t random_below(uint64_t *state, size_t limit) { return (size_t)(random_bits(state) % limit); }

/* In [-1, 1), a multiple of 2^-23. */
static inline float random_uniform(uint64_t *state) {
    return (float)(int32_t)(random_bits(state) >> 40) * 0x1p-23f - 1;
}

/* Of either sign, with any significand, and an exponent of low to high, which are those of normal numbers. */
static inline float random_wide(uint64_t *state, int low, int high) {
    uint64_t bits = random_bits(state);
    uint32_t exponent = (uint32_t)(127 + low) + (uint32_t)random_below(state, (size_t)(high - low) + 1);
    uint32_t pattern = (uint32_t)(bits >> 63) << 31 | exponent << 23 | (uint32_t)(bits & 0x7fffff);
    float value;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

static inline void random_fill(uint64_t *state, float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = random_uniform(state);
}

#endif
