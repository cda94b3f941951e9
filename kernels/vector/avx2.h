/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of AVX2 with FMA3; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_AVX2_H
#define CONVPOOL_VECTOR_AVX2_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "avx2.h"
#endif
#include "vector.h"

#include "quad.h"
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vec;
enum { vec_lanes = 8 };
#define VEC_FUSED 1
enum {
    tune_hold = 1,
    tune_least_sums = 10,
    tune_sums = 12,
    tune_vecs = 2,
    tune_tile_vecs = 2,
    tune_rows = 32,
    tune_ahead = 4096,
    tune_streamed = 0,
    tune_fuse = 32,
    tune_copies = 1,
    tune_slots = 24,
    tune_few = 80,
    tune_pixel_rows = 3,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{96, 85}, {SIZE_MAX, 90}},
    [tune_winograd22] = {{16, 80}, {32, 75}},
    [tune_winograd32] = {{24, 90}, {24, 90}},
    [tune_point] = {{32, 85}, {32, 85}},
};
#define VEC_REGISTERS 16

/* GCC does this by itself only where it optimises for speed. */
VEC_INLINE void vec_end(void) { _mm256_zeroupper(); }
VEC_INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm256_broadcast_ss(p); }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) { return vec_splat(p + k); }
VEC_INLINE vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return _mm256_load_ps(p); }
VEC_INLINE void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }

VEC_INLINE __m256i vec_mask(size_t n) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}
VEC_INLINE vec vec_load_part(const float *p, size_t n) { return _mm256_maskload_ps(p, vec_mask(n)); }
/* In pieces: a masked store takes some CPUs more than ten cycles. */
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) {
    __m128 rest = _mm256_castps256_ps128(a);
    if (n & 8) {
        vec_store(p, a);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
}

VEC_INLINE vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
VEC_INLINE vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
VEC_INLINE vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_LT_OQ));
}
VEC_INLINE vec vec_nan_of(vec x, vec y) { return _mm256_or_ps(y, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)); }
VEC_INLINE vec vec_power_of_2(vec m) {
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(m), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)));
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }

VEC_INLINE vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
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

VEC_INLINE vec vec_max_magnitude(vec a, vec b) {
    __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(b), _mm256_set1_epi32(0x7fffffff));
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), magnitude));
}

/* A shuffle works within 128-bit halves, so the halves are loaded to suit it. */
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    vec a = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 8), 1);
    vec b = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4)), _mm_loadu_ps(p + 12), 1);
    *odd = _mm256_shuffle_ps(a, b, 0xdd);
    return _mm256_shuffle_ps(a, b, 0x88);
}

VEC_INLINE vec vec_shift_in(vec a, const float *p) {
    __m256i from_4 = _mm256_castps_si256(_mm256_permute2f128_ps(a, vec_splat(p), 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(from_4, _mm256_castps_si256(a), 4));
}

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 4 ? 2 * n : 8;
    vec x = vec_load_part(p, low), y = vec_load_part(p + low, 2 * n - low);
    vec a = _mm256_permute2f128_ps(x, y, 0x20), b = _mm256_permute2f128_ps(x, y, 0x31);
    *odd = _mm256_shuffle_ps(a, b, 0xdd);
    return _mm256_shuffle_ps(a, b, 0x88);
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    vec low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    *odd = _mm256_shuffle_ps(low, high, 0xdd);
    return _mm256_shuffle_ps(low, high, 0x88);
}
VEC_INLINE vec vec_splat_pair(const float *p) {
    double pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_castpd_ps(_mm256_set1_pd(pair));
}
VEC_INLINE vec vec_load_twice(const float *p) {
    vec four = _mm256_broadcast_ps((const __m128 *)(const void *)p);
    return _mm256_permutevar_ps(four, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
VEC_INLINE vec vec_load_halves(const float *p) { return _mm256_broadcast_ps((const __m128 *)(const void *)p); }

VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + offsets[0])), _mm_loadu_ps(p + offsets[4]), 1);
}
VEC_INLINE void vec_transpose_quads(vec quads[4]) {
    vec ab_low = _mm256_unpacklo_ps(quads[0], quads[1]), ab_high = _mm256_unpackhi_ps(quads[0], quads[1]);
    vec cd_low = _mm256_unpacklo_ps(quads[2], quads[3]), cd_high = _mm256_unpackhi_ps(quads[2], quads[3]);
    quads[0] = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
    quads[1] = _mm256_shuffle_ps(ab_low, cd_low, 0xee);
    quads[2] = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
    quads[3] = _mm256_shuffle_ps(ab_high, cd_high, 0xee);
}

VEC_INLINE void vec_store_halves(float *p, size_t low, size_t high, vec a) {
    _mm_storeu_ps(p + low, _mm256_castps256_ps128(a));
    _mm_storeu_ps(p + high, _mm256_extractf128_ps(a, 1));
}
VEC_INLINE void vec_store_2(float *p, vec a, vec b) {
    vec_store_halves(p, 0, 8, _mm256_unpacklo_ps(a, b));
    vec_store_halves(p, 4, 12, _mm256_unpackhi_ps(a, b));
}
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    vec a0b0a1b1 = _mm256_unpacklo_ps(a, b), a2b2a3b3 = _mm256_unpackhi_ps(a, b);
    vec c0c0a1a1 = _mm256_shuffle_ps(c, a, 0x50), b1b1c1c1 = _mm256_shuffle_ps(b, c, 0x55);
    vec c2c2a3a3 = _mm256_shuffle_ps(c, a, 0xfa), b3b3c3c3 = _mm256_shuffle_ps(b, c, 0xff);
    vec_store_halves(p, offsets[0], offsets[4], _mm256_shuffle_ps(a0b0a1b1, c0c0a1a1, 0x84));
    vec_store_halves(p + 4, offsets[0], offsets[4], _mm256_shuffle_ps(b1b1c1c1, a2b2a3b3, 0x48));
    vec_store_halves(p + 8, offsets[0], offsets[4], _mm256_shuffle_ps(c2c2a3a3, b3b3c3c3, 0x88));
}
VEC_INLINE void vec_store_4(float *p, size_t plane, vec a[4], size_t n) {
    vec_transpose_quads(a);
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++, p += plane) {
        vec_store_quad(p, _mm256_castps256_ps128(a[k]), n);
        vec_store_quad(p + 4 * plane, _mm256_extractf128_ps(a[k], 1), n);
    }
}
#endif
