/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of AVX2 with FMA3; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_H
#define CONVPOOL_VECTOR_H

#include "vector.h"
#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;
enum { vec_lanes = 8 };
#define VEC_REGISTERS 16

/* GCC does this by itself only where it optimises for speed. */
VEC_INLINE void vec_end(void) { _mm256_zeroupper(); }
VEC_INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm256_broadcast_ss(p); }
VEC_INLINE vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return _mm256_load_ps(p); }
VEC_INLINE void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }

VEC_INLINE __m256i vec_mask(size_t n) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}
VEC_INLINE vec vec_load_part(const float *p, size_t n) { return _mm256_maskload_ps(p, vec_mask(n)); }
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) { _mm256_maskstore_ps(p, vec_mask(n), a); }

VEC_INLINE vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }

/* maxps returns its second operand where either is NaN; a comparison's all-ones is itself a NaN. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    vec largest = _mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d));
    vec nan = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), _mm256_cmp_ps(c, d, _CMP_UNORD_Q));
    return _mm256_or_ps(largest, nan);
}

/* maxps(0, a) keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) {
    vec zero = _mm256_setzero_ps();
    return _mm256_add_ps(_mm256_max_ps(zero, a), zero);
}

/* A shuffle works within 128-bit halves, so the halves are loaded to suit it. */
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    vec a = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 8), 1);
    vec b = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4)), _mm_loadu_ps(p + 12), 1);
    *odd = _mm256_shuffle_ps(a, b, 0xdd);
    return _mm256_shuffle_ps(a, b, 0x88);
}

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 4 ? 2 * n : 8;
    vec x = vec_load_part(p, low), y = vec_load_part(p + low, 2 * n - low);
    vec a = _mm256_permute2f128_ps(x, y, 0x20), b = _mm256_permute2f128_ps(x, y, 0x31);
    *odd = _mm256_shuffle_ps(a, b, 0xdd);
    return _mm256_shuffle_ps(a, b, 0x88);
}

#endif
