/* SPDX-License-Identifier: MIT */
/* Pooling for libraries that have none, transposition for those that need it. Compiled once for each ISA, as POOLING,
 * for the compiler to vectorize: these comparisons are single instructions, as the layer's own, which keep NaN, are
 * not. */
#include "library.h"

#include <xmmintrin.h>

extern const pooling POOLING;

static inline float larger(float a, float b) { return a > b ? a : b; }

static void pixels(const float *restrict upper, const float *restrict lower, size_t stride, size_t channels,
                   size_t width, const float *restrict bias, float *restrict out, size_t out_stride) {
    for (size_t q = 0; q < width; q++, upper += 2 * stride, lower += 2 * stride, out += out_stride)
        for (size_t o = 0; o < channels; o++) {
            float largest = larger(larger(upper[o], upper[stride + o]), larger(lower[o], lower[stride + o]));
            out[o] = larger(largest + bias[o], 0);
        }
}

static void plane(const float *restrict in, size_t stride, size_t rows, size_t width, float bias, float *restrict out) {
    for (size_t p = 0; p < rows; p++, in += 2 * stride, out += width)
        for (size_t q = 0; q < width; q++) {
            float left = larger(in[2 * q], in[stride + 2 * q]), right = larger(in[2 * q + 1], in[stride + 2 * q + 1]);
            out[q] = larger(larger(left, right) + bias, 0);
        }
}

static void transpose(const float *restrict in, size_t rows, size_t columns, float *restrict out) {
    size_t i = 0, whole = columns / 4 * 4;
    for (; i + 4 <= rows; i += 4) {
        for (size_t j = 0; j < whole; j += 4) {
            const float *from = in + i * columns + j;
            float *to = out + j * rows + i;
            __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + columns), c = _mm_loadu_ps(from + 2 * columns),
                   d = _mm_loadu_ps(from + 3 * columns);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(to, a);
            _mm_storeu_ps(to + rows, b);
            _mm_storeu_ps(to + 2 * rows, c);
            _mm_storeu_ps(to + 3 * rows, d);
        }
        for (size_t j = whole; j < columns; j++)
            for (size_t k = i; k < i + 4; k++)
                out[j * rows + k] = in[k * columns + j];
    }
    for (; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[j * rows + i] = in[i * columns + j];
}

const pooling POOLING = {pixels, plane, transpose};
