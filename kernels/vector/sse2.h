/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of SSE2; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_SSE2_H
#define CONVPOOL_VECTOR_SSE2_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "sse2.h"
#endif
#include "vector.h"

#include "quad.h"
#include <emmintrin.h>

typedef __m128 vec;
enum { vec_lanes = 4 };
#define VEC_FUSED 0
#ifdef __x86_64__
#define VEC_REGISTERS 16
#else
#define VEC_REGISTERS 8
#endif
enum {
    tune_hold = 0,
    tune_least_sums = VEC_REGISTERS >= 16 ? 6 : 2,
    tune_sums = VEC_REGISTERS >= 16 ? 12 : 4,
    tune_vecs = VEC_REGISTERS >= 16 ? 6 : 2,
    tune_tile_vecs = VEC_REGISTERS >= 16 ? 6 : 2,
    tune_rows = 32,
    tune_ahead = 0,
    tune_streamed = 0,
    tune_fuse = 8,
    tune_copies = vec_lanes,
    tune_slots = 24,
    tune_few = 0,
    tune_pixel_rows = VEC_REGISTERS >= 16 ? 3 : 1,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{64, 95}, {SIZE_MAX, 80}},
    [tune_winograd22] = {{64, 95}, {SIZE_MAX, 60}},
    [tune_winograd32] = {{32, 95}, {SIZE_MAX, 97}},
    [tune_point] = {{32, 85}, {32, 85}},
};

VEC_INLINE void vec_end(void) {}
VEC_INLINE vec vec_zero(void) { return _mm_setzero_ps(); }
VEC_INLINE vec vec_splat(const float *p) { return _mm_set1_ps(*p); }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) {
    __m128i four = _mm_castps_si128(_mm_loadu_ps(p));
    switch (k) {
    case 0: return _mm_castsi128_ps(_mm_shuffle_epi32(four, 0x00));
    case 1: return _mm_castsi128_ps(_mm_shuffle_epi32(four, 0x55));
    case 2: return _mm_castsi128_ps(_mm_shuffle_epi32(four, 0xaa));
    default: return _mm_castsi128_ps(_mm_shuffle_epi32(four, 0xff));
    }
}
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
    if (n > 0) vec_store_quad(p, a, n);
}

VEC_INLINE vec vec_add(vec a, vec b) { return _mm_add_ps(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return _mm_sub_ps(a, b); }
VEC_INLINE vec vec_mul(vec a, vec b) { return _mm_mul_ps(a, b); }
VEC_INLINE vec vec_div(vec a, vec b) { return _mm_div_ps(a, b); }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) {
    vec negative = _mm_cmplt_ps(y, _mm_setzero_ps());
    return _mm_or_ps(_mm_and_ps(negative, a), _mm_andnot_ps(negative, b));
}
VEC_INLINE vec vec_nan_of(vec x, vec y) { return _mm_or_ps(y, _mm_cmpunord_ps(x, x)); }
VEC_INLINE vec vec_power_of_2(vec m) {
    __m128i exponent = _mm_slli_epi32(_mm_castps_si128(m), 23);
    return _mm_castsi128_ps(_mm_add_epi32(exponent, _mm_set1_epi32(0x3f800000)));
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) {
    a = _mm_mul_ps(a, b);
#ifdef __AVX__
    c = _mm_add_ps(c, a);
    VEC_KEEP(c);
#else
    __asm__("addps %1, %0" : "+x"(c) : "x"(a)); /* into the sum: GCC would often add to the product, and move it */
#endif
    return c;
}

VEC_INLINE vec vec_max(vec a, vec b) { return _mm_max_ps(a, b); }
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

/* There is a maximum of signed 16-bit integers, and the upper halves of magnitudes are not negative. */
VEC_INLINE vec vec_max_magnitude(vec a, vec b) {
    __m128i magnitude = _mm_and_si128(_mm_castps_si128(b), _mm_set1_epi32(0x7fffffff));
    return _mm_castsi128_ps(_mm_max_epi16(_mm_castps_si128(a), magnitude));
}

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    *odd = _mm_shuffle_ps(a, b, 0xdd);
    return _mm_shuffle_ps(a, b, 0x88);
}
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    return vec_even_odd(vec_load(p), vec_load(p + vec_lanes), odd);
}
VEC_INLINE vec vec_shift_in(vec a, const float *p) {
    a = _mm_move_ss(a, _mm_load_ss(p));
    return _mm_shuffle_ps(a, a, 0x39);
}

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 2 ? 2 * n : 4;
    return vec_even_odd(vec_load_part(p, low), vec_load_part(p + low, 2 * n - low), odd);
}

VEC_INLINE vec vec_load_twice(const float *p) {
    vec low = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)(const void *)p);
    return _mm_unpacklo_ps(low, low);
}
VEC_INLINE vec vec_load_halves(const float *p) {
    vec low = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)(const void *)p);
    return _mm_movelh_ps(low, low);
}
VEC_INLINE vec vec_splat_pair(const float *p) { return vec_load_halves(p); }

VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) { return vec_load(p + *offsets); }
VEC_INLINE void vec_transpose_quads(vec quads[4]) {
    vec ab_low = _mm_unpacklo_ps(quads[0], quads[1]), ab_high = _mm_unpackhi_ps(quads[0], quads[1]);
    vec cd_low = _mm_unpacklo_ps(quads[2], quads[3]), cd_high = _mm_unpackhi_ps(quads[2], quads[3]);
    quads[0] = _mm_movelh_ps(ab_low, cd_low);
    quads[1] = _mm_movehl_ps(cd_low, ab_low);
    quads[2] = _mm_movelh_ps(ab_high, cd_high);
    quads[3] = _mm_movehl_ps(cd_high, ab_high);
}

VEC_INLINE void vec_store_2(float *p, vec a, vec b) {
    vec_store(p, _mm_unpacklo_ps(a, b));
    vec_store(p + 4, _mm_unpackhi_ps(a, b));
}
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    p += *offsets;
    vec a0b0a1b1 = _mm_unpacklo_ps(a, b), a2b2a3b3 = _mm_unpackhi_ps(a, b);
    vec c0c0a1a1 = _mm_shuffle_ps(c, a, 0x50), b1b1c1c1 = _mm_shuffle_ps(b, c, 0x55);
    vec c2c2a3a3 = _mm_shuffle_ps(c, a, 0xfa), b3b3c3c3 = _mm_shuffle_ps(b, c, 0xff);
    vec_store(p, _mm_shuffle_ps(a0b0a1b1, c0c0a1a1, 0x84));
    vec_store(p + 4, _mm_shuffle_ps(b1b1c1c1, a2b2a3b3, 0x48));
    vec_store(p + 8, _mm_shuffle_ps(c2c2a3a3, b3b3c3c3, 0x88));
}
VEC_INLINE void vec_store_4(float *p, size_t plane, vec a[4], size_t n) {
    vec_transpose_quads(a);
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++, p += plane)
        vec_store_quad(p, a[k], n);
}
#endif
