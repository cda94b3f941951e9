/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of AVX-512 (F, BW, DQ, VL); vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_H
#define CONVPOOL_VECTOR_H

#include "vector.h"
#include <immintrin.h>

typedef __m512 vec;
enum { vec_lanes = 16 };
#define VEC_REGISTERS 32

/* GCC does this by itself only where it optimises for speed. */
VEC_INLINE void vec_end(void) { _mm256_zeroupper(); }
VEC_INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm512_set1_ps(*p); }
VEC_INLINE vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return _mm512_load_ps(p); }
VEC_INLINE void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }

VEC_INLINE __mmask16 vec_mask(size_t n) { return (__mmask16)((1u << n) - 1); }
VEC_INLINE vec vec_load_part(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vec_mask(n), p); }
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) { _mm512_mask_storeu_ps(p, vec_mask(n), a); }

VEC_INLINE vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

/* maxps returns its second operand where either is NaN. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    vec largest = _mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d));
    __mmask16 nan = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c, d, _CMP_UNORD_Q);
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(_mm512_castps_si512(largest), nan, -1));
}

/* maxps(0, a) keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) {
    vec zero = _mm512_setzero_ps();
    return _mm512_add_ps(_mm512_max_ps(zero, a), zero);
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *odd = _mm512_permutex2var_ps(a, _mm512_or_si512(even, _mm512_set1_epi32(1)), b);
    return _mm512_permutex2var_ps(a, even, b);
}
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    return vec_even_odd(vec_load(p), vec_load(p + vec_lanes), odd);
}
VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 8 ? 2 * n : 16;
    return vec_even_odd(vec_load_part(p, low), vec_load_part(p + low, 2 * n - low), odd);
}

#endif
