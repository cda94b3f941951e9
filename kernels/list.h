/* SPDX-License-Identifier: MIT */
/* What is built: the instruction sets that the compiler's target may have, less those that CONVPOOL_NO_<ISA> leaves
 * out, and the algorithms, less CONVPOOL_NO_<ALGORITHM>. Of an ISA isa/<isa>.c has all the rest. */
#ifndef CONVPOOL_LIST_H
#define CONVPOOL_LIST_H

#if (defined(__x86_64__) || defined(__i386__)) && !defined(CONVPOOL_NO_AVX512)
#define CONVPOOL_AVX512(X) X(avx512)
#else
#define CONVPOOL_AVX512(X)
#endif
#if (defined(__x86_64__) || defined(__i386__)) && !defined(CONVPOOL_NO_AVX2)
#define CONVPOOL_AVX2(X) X(avx2)
#else
#define CONVPOOL_AVX2(X)
#endif
#if (defined(__x86_64__) || defined(__i386__)) && !defined(CONVPOOL_NO_SSE2)
#define CONVPOOL_SSE2(X) X(sse2)
#else
#define CONVPOOL_SSE2(X)
#endif
#if defined(__aarch64__) && !defined(CONVPOOL_NO_NEON)
#define CONVPOOL_NEON(X) X(neon)
#else
#define CONVPOOL_NEON(X)
#endif
#if defined(__wasm_simd128__) && !defined(CONVPOOL_NO_WASM128)
#define CONVPOOL_WASM128(X) X(wasm128)
#else
#define CONVPOOL_WASM128(X)
#endif
#ifndef CONVPOOL_NO_SCALAR
#define CONVPOOL_SCALAR(X) X(scalar)
#else
#define CONVPOOL_SCALAR(X)
#endif

/* X(isa) for each, best first. */
#define CONVPOOL_ISAS(X) \
    CONVPOOL_AVX512(X) \
    CONVPOOL_AVX2(X) CONVPOOL_SSE2(X) CONVPOOL_NEON(X) CONVPOOL_WASM128(X) CONVPOOL_SCALAR(X)

/* For the preprocessor: 0 CONVPOOL_ISAS(CONVPOOL_PLUS_ONE) is how many there are. */
#define CONVPOOL_PLUS_ONE(isa) +1
#if !(0 CONVPOOL_ISAS(CONVPOOL_PLUS_ONE))
#error "no instruction set is left"
#endif

/* Whether it is built. */
#ifdef CONVPOOL_NO_WINOGRAD32
#define CONVPOOL_WINOGRAD32 0
#else
#define CONVPOOL_WINOGRAD32 1
#endif
#ifdef CONVPOOL_NO_WINOGRAD22
#define CONVPOOL_WINOGRAD22 0
#else
#define CONVPOOL_WINOGRAD22 1
#endif
#ifdef CONVPOOL_NO_WINOGRAD23
#define CONVPOOL_WINOGRAD23 0
#else
#define CONVPOOL_WINOGRAD23 1
#endif
#ifdef CONVPOOL_NO_DIRECT
#define CONVPOOL_DIRECT 0
#else
#define CONVPOOL_DIRECT 1
#endif
#if !CONVPOOL_WINOGRAD32 && !CONVPOOL_WINOGRAD22 && !CONVPOOL_WINOGRAD23 && !CONVPOOL_DIRECT
#error "no algorithm is left"
#endif

#endif
