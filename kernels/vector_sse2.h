/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of SSE2; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_H
#define CONVPOOL_VECTOR_H

#include "vector.h"
#include <emmintrin.h>

typedef __m128 vec;
enum { vec_lanes = 4 };
#ifdef __x86_64__
#define VEC_REGISTERS 16
#else
#define VEC_REGISTERS 8
#endif

VEC_INLINE void vec_end(void) {}
VEC_INLINE vec vec_zero(void) { return _mm_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm_set1_ps(*p); }
VEC_INLINE vec vec_load(const float *p) { return _mm_loadu_ps(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return _mm_load_ps(p); }
VEC_INLINE void vec_store(float *p, vec a) { _mm_storeu_ps(p, a); }

VEC_INLINE vec vec_load_part(const float *p, size_t n) {
    switch (n) {
    case 0: return _mm_setzero_ps();
    case 1: return _mm_load_ss(p);
    case 2: return _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)p);
    case 3: return _mm_movelh_ps(_mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)p), _mm_load_ss(p + 2));
    default: return _mm_loadu_ps(p);
    }
}
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) {
    switch (n) {
    case 0: break;
    case 1: _mm_store_ss(p, a); break;
    case 2: _mm_storel_pi((__m64 *)p, a); break;
    case 3:
        _mm_storel_pi((__m64 *)p, a);
        _mm_store_ss(p + 2, _mm_movehl_ps(a, a));
        break;
    default: _mm_storeu_ps(p, a);
    }
}

VEC_INLINE vec vec_add(vec a, vec b) { return _mm_add_ps(a, b); }
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) {
    c = _mm_add_ps(c, _mm_mul_ps(a, b));
    VEC_KEEP(c);
    return c;
}

/* maxps returns its second operand where either is NaN; a comparison's all-ones is itself a NaN. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    vec largest = _mm_max_ps(_mm_max_ps(a, b), _mm_max_ps(c, d));
    return _mm_or_ps(largest, _mm_or_ps(_mm_cmpunord_ps(a, b), _mm_cmpunord_ps(c, d)));
}

/* maxps(0, a) keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) {
    vec zero = _mm_setzero_ps();
    return _mm_add_ps(_mm_max_ps(zero, a), zero);
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    *odd = _mm_shuffle_ps(a, b, 0xdd);
    return _mm_shuffle_ps(a, b, 0x88);
}
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    return vec_even_odd(vec_load(p), vec_load(p + vec_lanes), odd);
}
VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 2 ? 2 * n : 4;
    return vec_even_odd(vec_load_part(p, low), vec_load_part(p + low, 2 * n - low), odd);
}

#endif
