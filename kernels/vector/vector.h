/* SPDX-License-Identifier: MIT */
/*
 * The vector vocabulary: what each <isa>.h defines and the algorithms are written in. CONVPOOL_VECTOR names the one
 * that a source file takes, "avx2.h" for instance; by default it is plain C.
 *
 *   vec                         a vector of float
 *   vec_lanes                   how many
 *   VEC_FUSED                   whether a multiply-add rounds once; a macro
 *   VEC_REGISTERS               how many vectors the architecture's registers hold; a macro
 *   tune_...                    constants, as measured best:
 *     tune_sums                 vectors of sums of a group of the matrix product, at most
 *     tune_least_sums           and how many hide what an addition takes
 *     tune_vecs                 vectors of output channels that are computed together
 *     tune_tile_vecs            vectors of tiles, where lanes are these,
 *     tune_rows                 and output channels, at most
 *     tune_ahead                how many bytes ahead weights are called to the cache, where they are many; 0: never
 *     tune_streamed             every how many vectors that is done where one row reads them, as in a dense layer; or 0
 *     tune_hold                 whether vectors of lanes stay in registers for all rows of a group
 *     tune_copies               vec_lanes where weights are best packed in all lanes of a vector, as a splat takes a
 *                               shuffle that keeps multiplications waiting; else 1
 *     tune_slots                tiles of a block, lanes being output channels
 *     tune_few                  up to how many terms of a sum are few, so that `direct` computes pixels row by row;
 *                               0: never
 *     tune_pixel_rows           output channels that `direct` computes together when lanes run over pixels
 *     tune_fuse                 up to how many input channels the products of pooling windows are best turned into
 *                               outputs in registers
 *     tune_by_pixel             when lanes run over pixels, [algorithm][pooled]
 *   vec_zero()                  +0 in every lane
 *   vec_end()                   what a function that others call ends with: leaves no register in a state that would
 *                               slow down code of other instruction sets
 *   vec_splat(p)                *p in every lane
 *   vec_splat_of_4(p, k)        p[k] in every lane, k a constant below 4; may read p[0 .. 4)
 *   vec_load(p)                 p[0 .. lanes)
 *   vec_load_aligned(p)         the same, p aligned to the vector's size
 *   vec_load_part(p, n)         p[0 .. n) and +0 in the lanes above, 0 <= n <= lanes; reads nothing more
 *   vec_store(p, a)             p[0 .. lanes) = a
 *   vec_store_part(p, a, n)     p[0 .. n) = a; writes nothing more
 *   vec_add(a, b)               a + b
 *   vec_sub(a, b)               a - b
 *   vec_mul(a, b)               a * b
 *   vec_div(a, b)               a / b
 *   vec_where_negative(y, a, b) a where y < 0, else b
 *   vec_nan_of(x, y)            NaN where x is NaN, else y
 *   vec_power_of_2(m)           2^n, for m = 1.5 * 2^23 + n and n from -126 to 127
 *   vec_mul_add(a, b, c)        a * b + c; with one rounding where the ISA has fused multiply-add, else two,
 *                               and computed here and now, as VEC_KEEP() says
 *   vec_max(a, b)               the larger; b where that is NaN, anything where a alone is
 *   vec_max4(a, b, c, d)        the largest; NaN where one is NaN
 *   vec_relu(a)                 max(a, 0); NaN where a is NaN, +0 where a is -0
 *   vec_max_magnitude(a, b)     |b| where that is larger than a, which is +0 or such a result; else a. By
 *                               integers, for which NaN is larger than infinity: no exception is raised. Of
 *                               each lane the upper 16 bits are right: whether a power of two is reached
 *   vec_load_even_odd(p, &odd)  of p[0 .. 2 * lanes): returns the elements at even places, in order, and
 *                               stores those at odd places
 *   vec_load_even_odd_part(p, n, &odd)
 *                               the same of p[0 .. 2 * n), and +0 in the lanes from n on; reads nothing more
 *   vec_shift_in(a, p)          lanes 1 .. lanes - 1 of a, then *p
 *   vec_load_quads(p, offsets)  of every fourth lane n: p[offsets[n] .. offsets[n] + 4), in lanes n .. n + 3
 *   vec_even_odd(a, b, &odd)    of a and behind it b: returns the lanes at even places, and stores those at odd places
 *   vec_splat_pair(p)           p[0] and p[1] by turns
 *   vec_load_twice(p)           p[0 .. lanes / 2), each in two lanes side by side
 *   vec_load_halves(p)          p[0 .. lanes / 2) in either half (these three: not with one lane)
 *   vec_transpose_quads(quads)  where quads[k] had, at every fourth lane n, what starts at offsets[n + k], it has in
 *                               every lane n what is at offsets[n] + k (both: not with one lane)
 *   vec_store_4(p, plane, a, n) p[plane * lane + k] = that lane of a[k], k from 0 to n - 1, 1 <= n <= 4; changes a
 *   vec_store_2(p, a, b)        p[0 .. 2 * lanes) = a and b by turns
 *   vec_store_3(p, offsets, a, b, c)
 *                               of every fourth lane n: p[offsets[n] .. offsets[n] + 12) = lanes n to n + 3 of a, b
 *                               and c by turns (with one lane: 3 floats)
 */
#ifndef CONVPOOL_VECTOR_H
#define CONVPOOL_VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* Up to how many input channels lanes run over pixels, and how busy, in percent of what output channels would be, they
 * must be kept. */
typedef struct tune_pixels {
    size_t channels;
    int percent;
} tune_pixels;

/* For what that is tuned; never, for what an ISA does not name. */
enum { tune_direct, tune_winograd22, tune_winograd32, tune_winograd23, tune_point /* direct, 1x1 */, tune_algorithms };

/* A function of the vocabulary or of an inner loop: one that is not inlined costs more than it does. */
#define VEC_INLINE static inline __attribute__((always_inline))

/* Unrolls the short loop that follows, so that its arrays of vectors live in registers. */
#ifdef __clang__
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 32")
#endif

/* What compilers are told for the sake of speed, and of exceptions, on the architectures that have kernels of their
 * own. Elsewhere the kernels are plain C.
 *
 *   VEC_KEEP(a)          computes a vector here and now. Else GCC, where multiply-add is two instructions, gathers the
 *                        additions of one sum and spills the others; a loop that repeats one product would compute it
 *                        once; and clang would compute what it likes in lanes that are not taken in the end.
 *   VEC_LOAD_ONCE(a)     loads a vector once: where instructions can take an operand from memory, GCC has each of those
 *                        that use it load it again.
 *   VEC_FORGET(pointer)  forgets what is known of a pointer, and so loads again what it points to.
 *   VEC_PREFETCH(pointer, bytes)
 *                        calls the line that lies so many bytes behind it, if there is one, to the cache. */
#if defined(__SSE__) || defined(__aarch64__) || defined(__wasm_simd128__)
#define VEC_TELLS 1
#define VEC_FORGET(pointer) __asm__("" : "+r"(pointer))
#else
#define VEC_TELLS 0
#define VEC_FORGET(pointer) ((void)(pointer))
#endif
#if defined(__SSE__)
#define VEC_KEEP(a) __asm__ volatile("" : "+v"(a))
#define VEC_LOAD_ONCE(a) VEC_KEEP(a)
#elif defined(__aarch64__)
#define VEC_KEEP(a) __asm__ volatile("" : "+w"(a))
#define VEC_LOAD_ONCE(a) ((void)(a))
#elif defined(__wasm_simd128__)
#define VEC_KEEP(a) __asm__ volatile("" : "+r"(a))
#define VEC_LOAD_ONCE(a) ((void)(a))
#else
#define VEC_KEEP(a) ((void)(a))
#define VEC_LOAD_ONCE(a) ((void)(a))
#endif

#define VEC_PREFETCH(pointer, bytes) __builtin_prefetch((const char *)(pointer) + (bytes))

#ifndef CONVPOOL_VECTOR
#define CONVPOOL_VECTOR "scalar.h"
#endif
#include CONVPOOL_VECTOR

#endif
