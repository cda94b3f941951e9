/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of AArch64 Advanced SIMD; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_NEON_H
#define CONVPOOL_VECTOR_NEON_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "neon.h"
#endif
#include "vector.h"

#include <arm_neon.h>

typedef float32x4_t vec;
enum { vec_lanes = 4 };
#define VEC_FUSED 1
enum {
    tune_hold = 1,
    tune_least_sums = 16,
    tune_sums = 24,
    tune_vecs = 4,
    tune_tile_vecs = 4,
    tune_rows = 32,
    tune_ahead = 0,
    tune_streamed = 0,
    tune_fuse = 32,
    tune_copies = 1,
    tune_slots = 24,
    tune_few = 0,
    tune_pixel_rows = 4,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{96, 85}, {SIZE_MAX, 90}},
    [tune_winograd22] = {{16, 80}, {32, 75}},
    [tune_winograd32] = {{24, 90}, {24, 90}},
    [tune_point] = {{32, 85}, {32, 85}},
};
#define VEC_REGISTERS 32

VEC_INLINE void vec_end(void) {}
VEC_INLINE vec vec_zero(void) { return vdupq_n_f32(0); }
VEC_INLINE vec vec_splat(const float *p) { return vld1q_dup_f32(p); }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) {
    vec four = vld1q_f32(p);
    switch (k) {
    case 0: return vdupq_laneq_f32(four, 0);
    case 1: return vdupq_laneq_f32(four, 1);
    case 2: return vdupq_laneq_f32(four, 2);
    default: return vdupq_laneq_f32(four, 3);
    }
}
VEC_INLINE vec vec_load(const float *p) { return vld1q_f32(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return vld1q_f32(p); }
VEC_INLINE void vec_store(float *p, vec a) { vst1q_f32(p, a); }

VEC_INLINE vec vec_load_part(const float *p, size_t n) {
    vec zero = vdupq_n_f32(0);
    switch (n) {
    case 0: return zero;
    case 1: return vld1q_lane_f32(p, zero, 0);
    case 2: return vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    case 3: return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, vdup_n_f32(0), 0));
    default: return vld1q_f32(p);
    }
}
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) {
    switch (n) {
    case 0: break;
    case 1: vst1q_lane_f32(p, a, 0); break;
    case 2: vst1_f32(p, vget_low_f32(a)); break;
    case 3:
        vst1_f32(p, vget_low_f32(a));
        vst1q_lane_f32(p + 2, a, 2);
        break;
    default: vst1q_f32(p, a);
    }
}

VEC_INLINE vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
VEC_INLINE vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
VEC_INLINE vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) { return vbslq_f32(vcltq_f32(y, vdupq_n_f32(0)), a, b); }
VEC_INLINE vec vec_nan_of(vec x, vec y) { return vbslq_f32(vceqq_f32(x, x), y, x); }
VEC_INLINE vec vec_power_of_2(vec m) {
    int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(m), 23);
    return vreinterpretq_f32_s32(vaddq_s32(exponent, vdupq_n_s32(0x3f800000)));
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }

VEC_INLINE vec vec_max(vec a, vec b) { return vmaxq_f32(a, b); }
/* fmax returns NaN where either operand is NaN, and +0 of two zeros of different sign. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) { return vmaxq_f32(vmaxq_f32(a, b), vmaxq_f32(c, d)); }
VEC_INLINE vec vec_relu(vec a) { return vmaxq_f32(a, vdupq_n_f32(0)); }

VEC_INLINE vec vec_max_magnitude(vec a, vec b) {
    uint32x4_t magnitude = vandq_u32(vreinterpretq_u32_f32(b), vdupq_n_u32(0x7fffffff));
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(a), magnitude));
}

VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    float32x4x2_t pair = vld2q_f32(p);
    *odd = pair.val[1];
    return pair.val[0];
}
VEC_INLINE vec vec_shift_in(vec a, const float *p) { return vextq_f32(a, vec_splat(p), 1); }

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 2 ? 2 * n : 4;
    vec a = vec_load_part(p, low), b = vec_load_part(p + low, 2 * n - low);
    *odd = vuzp2q_f32(a, b);
    return vuzp1q_f32(a, b);
}

VEC_INLINE vec vec_low_halves(vec a, vec b) {
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
VEC_INLINE vec vec_high_halves(vec a, vec b) {
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    float32x4x2_t pair = vuzpq_f32(a, b);
    *odd = pair.val[1];
    return pair.val[0];
}
VEC_INLINE vec vec_splat_pair(const float *p) { return vcombine_f32(vld1_f32(p), vld1_f32(p)); }
VEC_INLINE vec vec_load_twice(const float *p) { return vcombine_f32(vld1_dup_f32(p), vld1_dup_f32(p + 1)); }
VEC_INLINE vec vec_load_halves(const float *p) { return vcombine_f32(vld1_f32(p), vld1_f32(p)); }

VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) { return vec_load(p + *offsets); }
VEC_INLINE void vec_transpose_quads(vec quads[4]) {
    vec ab_even = vtrn1q_f32(quads[0], quads[1]), ab_odd = vtrn2q_f32(quads[0], quads[1]);
    vec cd_even = vtrn1q_f32(quads[2], quads[3]), cd_odd = vtrn2q_f32(quads[2], quads[3]);
    quads[0] = vec_low_halves(ab_even, cd_even);
    quads[1] = vec_low_halves(ab_odd, cd_odd);
    quads[2] = vec_high_halves(ab_even, cd_even);
    quads[3] = vec_high_halves(ab_odd, cd_odd);
}

/* In parentheses, as these are macros of clang's. */
VEC_INLINE void vec_store_2(float *p, vec a, vec b) { vst2q_f32(p, ((float32x4x2_t){{a, b}})); }
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    vst3q_f32(p + *offsets, ((float32x4x3_t){{a, b, c}}));
}
VEC_INLINE void vec_store_4(float *p, size_t plane, vec a[4], size_t n) {
    vec_transpose_quads(a);
    VEC_UNROLL
    for (size_t k = 0; k < 4; k++, p += plane) {
        if (n == 4)
            vec_store(p, a[k]);
        else
            vec_store_part(p, a[k], n);
    }
}
#endif
