/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of AVX-512 (F, BW, DQ, VL); vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_AVX512_H
#define CONVPOOL_VECTOR_AVX512_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "avx512.h"
#endif
#include "vector.h"

#include "quad.h"
#include <immintrin.h>
#include <string.h>

typedef __m512 vec;
enum { vec_lanes = 16 };
#define VEC_FUSED 1
enum {
    tune_hold = 1,
    tune_least_sums = 8,
    tune_sums = 24,
    tune_vecs = 2,
    tune_tile_vecs = 4,
    tune_rows = 16,
    tune_ahead = 4096,
    tune_streamed = 1,
    tune_fuse = 32,
    tune_copies = 1,
    tune_slots = 32,
    tune_few = 80,
    tune_pixel_rows = 4,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{96, 80}, {SIZE_MAX, 90}},
    [tune_winograd22] = {{96, 85}, {256, 90}},
    [tune_winograd32] = {{24, 95}, {24, 95}},
    [tune_point] = {{64, 85}, {32, 85}},
};
#define VEC_REGISTERS 32

/* GCC does this by itself only where it optimises for speed. */
VEC_INLINE void vec_end(void) { _mm256_zeroupper(); }
VEC_INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm512_set1_ps(*p); }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) { return vec_splat(p + k); }
VEC_INLINE vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return _mm512_load_ps(p); }
VEC_INLINE void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }

VEC_INLINE __mmask16 vec_mask(size_t n) { return (__mmask16)((1u << n) - 1); }
VEC_INLINE vec vec_load_part(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vec_mask(n), p); }
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) { _mm512_mask_storeu_ps(p, vec_mask(n), a); }

VEC_INLINE vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
VEC_INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VEC_INLINE vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
VEC_INLINE vec vec_nan_of(vec x, vec y) { return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x); }
VEC_INLINE vec vec_power_of_2(vec m) {
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(m), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)));
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

VEC_INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
/* maxps returns its second operand where either is NaN. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    __mmask16 number = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(a, b, _CMP_ORD_Q), c, d, _CMP_ORD_Q);
    vec nan = _mm512_castsi512_ps(_mm512_set1_epi32(-1));
    return _mm512_mask_max_ps(nan, number, _mm512_max_ps(a, b), _mm512_max_ps(c, d));
}

/* maxps(0, a) keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) {
    vec zero = _mm512_setzero_ps();
    return _mm512_add_ps(_mm512_max_ps(zero, a), zero);
}

VEC_INLINE vec vec_max_magnitude(vec a, vec b) {
    __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(b), _mm512_set1_epi32(0x7fffffff));
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), magnitude));
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *odd = _mm512_permutex2var_ps(a, _mm512_or_si512(even, _mm512_set1_epi32(1)), b);
    return _mm512_permutex2var_ps(a, even, b);
}
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    return vec_even_odd(vec_load(p), vec_load(p + vec_lanes), odd);
}
VEC_INLINE vec vec_shift_in(vec a, const float *p) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(vec_splat(p)), _mm512_castps_si512(a), 1));
}

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 8 ? 2 * n : 16;
    return vec_even_odd(vec_load_part(p, low), vec_load_part(p + low, 2 * n - low), odd);
}

VEC_INLINE vec vec_splat_pair(const float *p) {
    double pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_castpd_ps(_mm512_set1_pd(pair));
}
VEC_INLINE vec vec_load_twice(const float *p) {
    __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
VEC_INLINE vec vec_load_halves(const float *p) { return _mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }

VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) {
    vec quads = _mm512_castps128_ps512(_mm_loadu_ps(p + offsets[0]));
    quads = _mm512_insertf32x4(quads, _mm_loadu_ps(p + offsets[4]), 1);
    quads = _mm512_insertf32x4(quads, _mm_loadu_ps(p + offsets[8]), 2);
    return _mm512_insertf32x4(quads, _mm_loadu_ps(p + offsets[12]), 3);
}
VEC_INLINE void vec_transpose_quads(vec quads[4]) {
    vec ab_low = _mm512_unpacklo_ps(quads[0], quads[1]), ab_high = _mm512_unpackhi_ps(quads[0], quads[1]);
    vec cd_low = _mm512_unpacklo_ps(quads[2], quads[3]), cd_high = _mm512_unpackhi_ps(quads[2], quads[3]);
    quads[0] = _mm512_shuffle_ps(ab_low, cd_low, 0x44);
    quads[1] = _mm512_shuffle_ps(ab_low, cd_low, 0xee);
    quads[2] = _mm512_shuffle_ps(ab_high, cd_high, 0x44);
    quads[3] = _mm512_shuffle_ps(ab_high, cd_high, 0xee);
}

VEC_INLINE void vec_store_2(float *p, vec a, vec b) {
    __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    vec_store(p, _mm512_permutex2var_ps(a, low, b));
    vec_store(p + 16, _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b));
}
VEC_INLINE void vec_store_quads(float *p, const size_t *offsets, vec a) {
    _mm_storeu_ps(p + offsets[0], _mm512_castps512_ps128(a));
    _mm_storeu_ps(p + offsets[4], _mm512_extractf32x4_ps(a, 1));
    _mm_storeu_ps(p + offsets[8], _mm512_extractf32x4_ps(a, 2));
    _mm_storeu_ps(p + offsets[12], _mm512_extractf32x4_ps(a, 3));
}
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    vec a0b0a1b1 = _mm512_unpacklo_ps(a, b), a2b2a3b3 = _mm512_unpackhi_ps(a, b);
    vec c0c0a1a1 = _mm512_shuffle_ps(c, a, 0x50), b1b1c1c1 = _mm512_shuffle_ps(b, c, 0x55);
    vec c2c2a3a3 = _mm512_shuffle_ps(c, a, 0xfa), b3b3c3c3 = _mm512_shuffle_ps(b, c, 0xff);
    vec_store_quads(p, offsets, _mm512_shuffle_ps(a0b0a1b1, c0c0a1a1, 0x84));
    vec_store_quads(p + 4, offsets, _mm512_shuffle_ps(b1b1c1c1, a2b2a3b3, 0x48));
    vec_store_quads(p + 8, offsets, _mm512_shuffle_ps(c2c2a3a3, b3b3c3c3, 0x88));
}
VEC_INLINE void vec_store_4(float *p, size_t plane, vec a[4], size_t n) {
    vec_transpose_quads(a);
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++, p += plane) {
        vec_store_quad(p, _mm512_castps512_ps128(a[k]), n);
        vec_store_quad(p + 4 * plane, _mm512_extractf32x4_ps(a[k], 1), n);
        vec_store_quad(p + 8 * plane, _mm512_extractf32x4_ps(a[k], 2), n);
        vec_store_quad(p + 12 * plane, _mm512_extractf32x4_ps(a[k], 3), n);
    }
}
#endif
