/* SPDX-License-Identifier: MIT */
/*
 * Winograd's minimal filtering F(m, 2), m convolution outputs of a filter of 2, in one dimension. Of inputs d, a filter
 * g and outputs y:
 *
 *   F(2, 2)   v = d0 - d1, d1, d2 - d1             u = g0, g0 + g1, g1
 *             m = u v                              y = m0 + m1, m1 + m2
 *   F(3, 2)   v = d0 - d2, d1 + d2, d2 - d1, d3 - d1
 *             u = g0, (g0 + g1) / 2, (g0 - g1) / 2, g1
 *             m = u v                              y = m0 + (m1 + m2), m1 - m2, (m1 + m2) + m3
 *
 * Two dimensions nest one in the other. The filter's part, u, is weights.c's.
 */
#ifndef CONVPOOL_WINOGRAD_SCHEME_H
#define CONVPOOL_WINOGRAD_SCHEME_H

#include "../vector/vector.h"

/* v of d, tile + 1 vectors each. `tile` is a constant after inlining. */
VEC_INLINE void winograd_forward(size_t tile, const vec *d, vec *v) {
    if (tile == 2) {
        v[0] = vec_sub(d[0], d[1]);
        v[1] = d[1];
        v[2] = vec_sub(d[2], d[1]);
    } else {
        v[0] = vec_sub(d[0], d[2]);
        v[1] = vec_add(d[1], d[2]);
        v[2] = vec_sub(d[2], d[1]);
        v[3] = vec_sub(d[3], d[1]);
    }
}

/* y[i] of m, for i ascending; `middle` keeps what the first and the last of F(3, 2) share. */
VEC_INLINE vec winograd_inverse(size_t tile, size_t i, const vec *m, vec *middle) {
    if (tile == 2) return vec_add(m[i], m[i + 1]);
    if (i == 1) return vec_sub(m[1], m[2]);
    if (i == 2) return vec_add(*middle, m[3]);
    *middle = vec_add(m[1], m[2]);
    return vec_add(m[0], *middle);
}

#endif
