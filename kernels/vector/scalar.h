/* SPDX-License-Identifier: MIT */
/* The vector vocabulary in plain C, with vectors of one lane; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_SCALAR_H
#define CONVPOOL_VECTOR_SCALAR_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "scalar.h"
#endif
#include "vector.h"

#include <stdint.h>
#include <string.h>

typedef float vec;
enum { vec_lanes = 1 };
#define VEC_FUSED 0
#ifdef __i386__
#define VEC_REGISTERS 8
#else
#define VEC_REGISTERS 16
#endif
enum {
    tune_hold = 1,
    tune_least_sums = VEC_REGISTERS >= 16 ? 6 : 2,
    tune_sums = VEC_REGISTERS >= 16 ? 12 : 4,
    tune_vecs = 2,
    tune_tile_vecs = VEC_REGISTERS >= 16 ? 6 : 2,
    tune_rows = 32,
    tune_ahead = 0,
    tune_streamed = 0,
    tune_fuse = 8,
    tune_copies = 1,
    tune_slots = 24,
    tune_few = 0,
    tune_pixel_rows = VEC_REGISTERS >= 16 ? 3 : 1,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}},     [tune_winograd22] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}},
    [tune_winograd32] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}}, [tune_winograd23] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}},
    [tune_point] = {{SIZE_MAX, 0}, {SIZE_MAX, 0}},
};

VEC_INLINE void vec_end(void) {}
VEC_INLINE vec vec_zero(void) { return 0; }
VEC_INLINE vec vec_splat(const float *p) { return *p; }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) { return vec_splat(p + k); }
VEC_INLINE vec vec_load(const float *p) { return *p; }
VEC_INLINE vec vec_load_aligned(const float *p) { return *p; }
VEC_INLINE vec vec_load_part(const float *p, size_t n) { return n == 0 ? 0 : *p; }
VEC_INLINE void vec_store(float *p, vec a) { *p = a; }
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) {
    if (n != 0) *p = a;
}

VEC_INLINE vec vec_add(vec a, vec b) { return a + b; }
VEC_INLINE vec vec_sub(vec a, vec b) { return a - b; }
VEC_INLINE vec vec_mul(vec a, vec b) { return a * b; }
VEC_INLINE vec vec_div(vec a, vec b) { return a / b; }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) { return y < 0 ? a : b; }
VEC_INLINE vec vec_nan_of(vec x, vec y) { return x != x ? x : y; }
VEC_INLINE vec vec_power_of_2(vec m) {
    uint32_t bits;
    memcpy(&bits, &m, sizeof bits);
    bits = (bits << 23) + 0x3f800000;
    memcpy(&m, &bits, sizeof m);
    return m;
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) {
    c = c + a * b;
    VEC_KEEP(c);
    return c;
}

/* The comparison that data decide is in the form of maxss, which compilers know: a branch would often be mispredicted.
 * b is right where it is NaN. That one is NaN is rare, and a branch there costs nothing; and it spares a NaN the
 * comparison, which would raise an exception. */
VEC_INLINE vec vec_max(vec a, vec b) { return a > b ? a : b; }
VEC_INLINE vec vec_max_or_nan(vec a, vec b) { return a != a ? a : b != b ? b : vec_max(a, b); }
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    return vec_max_or_nan(vec_max_or_nan(a, b), vec_max_or_nan(c, d));
}

/* The first keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) {
    vec zero = 0;
    VEC_KEEP(zero); /* else GCC, knowing it, makes a branch of the maximum, which is often mispredicted */
    return vec_max(zero, a) + 0.0f;
}

VEC_INLINE vec vec_max_magnitude(vec a, vec b) {
    uint32_t most, magnitude;
    memcpy(&most, &a, sizeof most);
    memcpy(&magnitude, &b, sizeof magnitude);
    magnitude &= 0x7fffffff;
    if (magnitude > most) most = magnitude;
    memcpy(&a, &most, sizeof a);
    return a;
}

VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    *odd = p[1];
    return p[0];
}
VEC_INLINE vec vec_shift_in(vec a, const float *p) {
    (void)a;
    return *p;
}

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    if (n != 0) return vec_load_even_odd(p, odd);
    *odd = 0;
    return 0;
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    *odd = b;
    return a;
}
VEC_INLINE vec vec_splat_pair(const float *p) { return *p; }
VEC_INLINE vec vec_load_twice(const float *p) { return *p; }
VEC_INLINE vec vec_load_halves(const float *p) { return *p; }

VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) { return p[*offsets]; }
VEC_INLINE void vec_transpose_quads(vec quads[4]) { (void)quads; }

VEC_INLINE void vec_store_2(float *p, vec a, vec b) {
    p[0] = a;
    p[1] = b;
}
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    p += *offsets;
    p[0] = a;
    p[1] = b;
    p[2] = c;
}
VEC_INLINE void vec_store_4(float *p, size_t plane, const vec a[4], size_t n) {
    (void)plane;
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++)
        if (k < n) p[k] = a[k];
}
#endif
