/* SPDX-License-Identifier: MIT */
/*
 * The algorithms `winograd22`, `winograd32` and `winograd23`: Winograd's minimal filtering F(2x2, 2x2), F(3x3, 2x2) and
 * F(2x2, 3x3) (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, Fast Algorithms for
 * Convolutional Neural Networks, 2016). doc/algorithms.md explains them from the beginning. F(m, r) makes m outputs of
 * a filter of r in one dimension, from m + r - 1 inputs; two dimensions nest one in the other. Of inputs d, a filter g
 * and outputs y:
 *
 *   F(2, 2)   v = d0 - d1, d1, d2 - d1             u = g0, g0 + g1, g1
 *             m = u v                              y = m0 + m1, m1 + m2
 *   F(3, 2)   v = d0 - d2, d1 + d2, d2 - d1, d3 - d1
 *             u = g0, (g0 + g1) / 2, (g0 - g1) / 2, g1
 *             m = u v                              y = m0 + (m1 + m2), m1 - m2, (m1 + m2) + m3
 *   F(2, 3)   v as of F(3, 2)
 *             u = g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2
 *             m = u v                              y = m0 + (m1 + m2), (m1 - m2) + m3
 *
 * (u is weights.c's.) A filter of five is one of three and one of two, which stands three inputs further on: with g2 =
 * 0, the first three products of F(2, 3) are all that it has. In two dimensions such a filter has four parts, the upper
 * left one of 3x3 weights; their products are summed up at each position, and transformed back once.
 *
 * Order of evaluation, the same on every ISA. Inputs: down the columns of a tile, then across, without fused
 * multiply-add. Weights: across, then down, in double, rounded once. Products: from +0, over the filter's parts, row by
 * row, then over c ascending, one chain of multiply-adds for each position. Outputs: down, then across; then the
 * maximum, then bias, then the activation. Rows of tiles lie on a grid from row 0 of the convolution's outputs on. So
 * do their columns, but that the last tiles of a row, together one whole output pixel or more, are moved left until
 * they end with the image; where two tiles have the same output, the left one's counts. Inputs that no output reads
 * count as 0.
 *
 * With S the largest sum of |w| for one output channel, T = 2^(121 - max(0, ceil(log2 S))). Everything is computed as
 * `direct` computes it where S >= 2^120 or is not a number, or a bias has |b| >= 2^126 or is none; and so is a row of
 * tiles some output of which reads an input that is not below T in magnitude. Else no intermediate overflows: none
 * exceeds 36 T S.
 *
 * Error (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1; Barabasz et al., Error Analysis
 * and Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2018): with u = 2^-24,
 * |y - exact| <= k u (|b| + sum over c of max |x[c]| sum |w[c]|) + k 2^-149 (1 + sum |x|), the maximum and the sum of
 * |x| over the tile, k = G (C + 8) / (1 - (C + 8) u), G = 9 for F(2x2, 2x2), else 16; with a filter of four parts 4 C
 * for C. For no product meets more than two roundings of its input, one of its weight, C in its chain, four on the way
 * to an output and the bias's; and the magnitudes that lead to an output sum to no more than 3 max |d| (|g0| + |g1|) in
 * one dimension of F(2, 2), and 4 of the others, with |g2| among the latter where there is one.
 */
#ifndef CONVPOOL_WINOGRAD_SCHEME_H
#define CONVPOOL_WINOGRAD_SCHEME_H

#include "../vector/vector.h"

/* F(tile x tile, filter x filter): outputs across a tile, and inputs. Constants after inlining. */
typedef struct winograd_scheme {
    size_t index, tile, filter, side;
} winograd_scheme;
#define WINOGRAD_SCHEMES 3
static const winograd_scheme winograd_22 = {0, 2, 2, 3}, winograd_32 = {1, 3, 2, 4}, winograd_23 = {2, 2, 3, 4};

/* v of d, `side` vectors each, which is a constant after inlining. */
VEC_INLINE void winograd_forward(size_t side, const vec *d, vec *v) {
    if (side == 3) {
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
VEC_INLINE vec winograd_inverse(winograd_scheme of, size_t i, const vec *m, vec *middle) {
    if (of.side == 3) return vec_add(m[i], m[i + 1]);
    if (i == 1) return of.tile == 3 ? vec_sub(m[1], m[2]) : vec_add(vec_sub(m[1], m[2]), m[3]);
    if (i == 2) return vec_add(*middle, m[3]);
    *middle = vec_add(m[1], m[2]);
    return vec_add(m[0], *middle);
}

#endif
