/* SPDX-License-Identifier: MIT */
/* What the vocabularies of x86 share. */
#ifndef CONVPOOL_VECTOR_QUAD_H
#define CONVPOOL_VECTOR_QUAD_H

#include "vector.h"

#include <emmintrin.h>

/* p[0 .. n) = a, 1 <= n <= 4. Not by a masked store: with AVX-512 GCC would merge it with the extraction of `a`, to an
 * instruction that touches what it masks. */
VEC_INLINE void vec_store_quad(float *p, __m128 a, size_t n) {
    if (n == 4) {
        _mm_storeu_ps(p, a);
        return;
    }
    if (n == 1) {
        _mm_store_ss(p, a);
        return;
    }
    _mm_storel_pi((__m64 *)p, a);
    if (n == 3) _mm_store_ss(p + 2, _mm_movehl_ps(a, a));
}

#endif
