/* SPDX-License-Identifier: MIT */
/* The vector vocabulary of WebAssembly's 128-bit SIMD, relaxed SIMD left out; vector.h says what each word means. */
#ifndef CONVPOOL_VECTOR_WASM128_H
#define CONVPOOL_VECTOR_WASM128_H

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "wasm128.h"
#endif
#include "vector.h"

#include <wasm_simd128.h>

typedef v128_t vec;
enum { vec_lanes = 4 };
#define VEC_FUSED 0
#define VEC_REGISTERS 16
/* On x86-64, V8 keeps one register for itself, and a product takes another: so few sums stay in registers. */
enum {
    tune_hold = 0,
    tune_least_sums = 5,
    tune_sums = 10,
    tune_vecs = 4,
    tune_tile_vecs = 4,
    tune_rows = 32,
    tune_ahead = 0,
    tune_streamed = 0,
    tune_fuse = 8,
    tune_copies = 1,
    tune_slots = 16,
    tune_few = 0,
    tune_pixel_rows = 2,
};
static const tune_pixels tune_by_pixel[tune_algorithms][2] = {
    [tune_direct] = {{64, 95}, {SIZE_MAX, 80}},
    [tune_winograd22] = {{64, 95}, {SIZE_MAX, 60}},
    [tune_winograd32] = {{32, 95}, {SIZE_MAX, 97}},
    [tune_point] = {{32, 85}, {32, 85}},
};

VEC_INLINE void vec_end(void) {}
VEC_INLINE vec vec_zero(void) { return wasm_f32x4_const(0, 0, 0, 0); }
VEC_INLINE vec vec_splat(const float *p) { return wasm_v128_load32_splat(p); }
VEC_INLINE vec vec_splat_of_4(const float *p, size_t k) { return vec_splat(p + k); }
VEC_INLINE vec vec_load(const float *p) { return wasm_v128_load(p); }
VEC_INLINE vec vec_load_aligned(const float *p) { return wasm_v128_load(p); }
VEC_INLINE void vec_store(float *p, vec a) { wasm_v128_store(p, a); }

VEC_INLINE vec vec_load_part(const float *p, size_t n) {
    switch (n) {
    case 0: return vec_zero();
    case 1: return wasm_v128_load32_zero(p);
    case 2: return wasm_v128_load64_zero(p);
    case 3: return wasm_v128_load32_lane(p + 2, wasm_v128_load64_zero(p), 2);
    default: return wasm_v128_load(p);
    }
}
VEC_INLINE void vec_store_part(float *p, vec a, size_t n) {
    switch (n) {
    case 0: break;
    case 1: wasm_v128_store32_lane(p, a, 0); break;
    case 2: wasm_v128_store64_lane(p, a, 0); break;
    case 3:
        wasm_v128_store64_lane(p, a, 0);
        wasm_v128_store32_lane(p + 2, a, 2);
        break;
    default: wasm_v128_store(p, a);
    }
}

VEC_INLINE vec vec_add(vec a, vec b) { return wasm_f32x4_add(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return wasm_f32x4_sub(a, b); }
VEC_INLINE vec vec_mul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
VEC_INLINE vec vec_div(vec a, vec b) { return wasm_f32x4_div(a, b); }
VEC_INLINE vec vec_where_negative(vec y, vec a, vec b) {
    return wasm_v128_bitselect(a, b, wasm_f32x4_lt(y, vec_zero()));
}
VEC_INLINE vec vec_nan_of(vec x, vec y) { return wasm_v128_or(y, wasm_f32x4_ne(x, x)); }
VEC_INLINE vec vec_power_of_2(vec m) {
    return wasm_i32x4_add(wasm_i32x4_shl(m, 23), wasm_i32x4_const(0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000));
}
VEC_INLINE vec vec_mul_add(vec a, vec b, vec c) {
    c = wasm_f32x4_add(c, wasm_f32x4_mul(a, b));
    VEC_KEEP(c);
    return c;
}

/* pmax(b, a) is b < a ? a : b, and so one instruction of x86; f32x4.max, which knows NaN, is eight there. */
VEC_INLINE vec vec_max(vec a, vec b) { return wasm_f32x4_pmax(b, a); }
/* NaN of its first operand stays; a comparison's all-ones is itself a NaN. */
VEC_INLINE vec vec_max4(vec a, vec b, vec c, vec d) {
    vec largest = wasm_f32x4_pmax(wasm_f32x4_pmax(a, b), wasm_f32x4_pmax(c, d));
    return vec_nan_of(b, vec_nan_of(c, vec_nan_of(d, largest)));
}
/* pmax keeps NaN and -0; adding +0 makes the latter +0. */
VEC_INLINE vec vec_relu(vec a) { return wasm_f32x4_add(wasm_f32x4_pmax(a, vec_zero()), vec_zero()); }

VEC_INLINE vec vec_max_magnitude(vec a, vec b) { return wasm_i32x4_max(a, wasm_f32x4_abs(b)); }

VEC_INLINE vec vec_even_odd(vec a, vec b, vec *odd) {
    *odd = wasm_i32x4_shuffle(a, b, 1, 3, 5, 7);
    return wasm_i32x4_shuffle(a, b, 0, 2, 4, 6);
}
VEC_INLINE vec vec_load_even_odd(const float *p, vec *odd) {
    return vec_even_odd(vec_load(p), vec_load(p + vec_lanes), odd);
}
VEC_INLINE vec vec_shift_in(vec a, const float *p) { return wasm_i32x4_shuffle(a, vec_splat(p), 1, 2, 3, 4); }

VEC_INLINE vec vec_load_even_odd_part(const float *p, size_t n, vec *odd) {
    size_t low = n < 2 ? 2 * n : 4;
    return vec_even_odd(vec_load_part(p, low), vec_load_part(p + low, 2 * n - low), odd);
}

VEC_INLINE vec vec_splat_pair(const float *p) { return wasm_v128_load64_splat(p); }
VEC_INLINE vec vec_load_twice(const float *p) {
    vec low = wasm_v128_load64_zero(p);
    return wasm_i32x4_shuffle(low, low, 0, 0, 1, 1);
}
VEC_INLINE vec vec_load_halves(const float *p) { return wasm_v128_load64_splat(p); }

VEC_INLINE vec vec_low_by_turns(vec a, vec b) { return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5); }
VEC_INLINE vec vec_high_by_turns(vec a, vec b) { return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7); }
VEC_INLINE vec vec_load_quads(const float *p, const size_t *offsets) { return vec_load(p + *offsets); }
VEC_INLINE void vec_transpose_quads(vec quads[4]) {
    vec ab_low = vec_low_by_turns(quads[0], quads[1]), ab_high = vec_high_by_turns(quads[0], quads[1]);
    vec cd_low = vec_low_by_turns(quads[2], quads[3]), cd_high = vec_high_by_turns(quads[2], quads[3]);
    quads[0] = wasm_i64x2_shuffle(ab_low, cd_low, 0, 2);
    quads[1] = wasm_i64x2_shuffle(ab_low, cd_low, 1, 3);
    quads[2] = wasm_i64x2_shuffle(ab_high, cd_high, 0, 2);
    quads[3] = wasm_i64x2_shuffle(ab_high, cd_high, 1, 3);
}

VEC_INLINE void vec_store_2(float *p, vec a, vec b) {
    vec_store(p, vec_low_by_turns(a, b));
    vec_store(p + 4, vec_high_by_turns(a, b));
}
VEC_INLINE void vec_store_3(float *p, const size_t *offsets, vec a, vec b, vec c) {
    p += *offsets;
    vec a0b0a1b1 = vec_low_by_turns(a, b), a2b2a3b3 = vec_high_by_turns(a, b);
    vec c0c0a1a1 = wasm_i32x4_shuffle(c, a, 0, 0, 5, 5), b1b1c1c1 = wasm_i32x4_shuffle(b, c, 1, 1, 5, 5);
    vec c2c2a3a3 = wasm_i32x4_shuffle(c, a, 2, 2, 7, 7), b3b3c3c3 = wasm_i32x4_shuffle(b, c, 3, 3, 7, 7);
    vec_store(p, wasm_i32x4_shuffle(a0b0a1b1, c0c0a1a1, 0, 1, 4, 6));
    vec_store(p + 4, wasm_i32x4_shuffle(b1b1c1c1, a2b2a3b3, 0, 2, 4, 5));
    vec_store(p + 8, wasm_i32x4_shuffle(c2c2a3a3, b3b3c3c3, 0, 2, 4, 6));
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
