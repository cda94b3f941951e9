/* SPDX-License-Identifier: MIT */
/* Pooling for libraries that have none or are slow at it, and transposition. Compiled once for each ISA, as POOLING.
 * NaN is not kept, as that would cost instructions. */
#include "library.h"

#include <xmmintrin.h>

extern const pooling POOLING;

static inline float larger(float a, float b) { return a > b ? a : b; }

/* Compilers vectorize this well. */
static void pixels(const float *restrict upper, const float *restrict lower, size_t stride, size_t channels,
                   size_t width, const float *restrict bias, float *restrict out, size_t out_stride) {
    for (size_t q = 0; q < width; q++, upper += 2 * stride, lower += 2 * stride, out += out_stride)
        for (size_t o = 0; o < channels; o++) {
            float largest = larger(larger(upper[o], upper[stride + o]), larger(lower[o], lower[stride + o]));
            out[o] = larger(0, largest + bias[o]);
        }
}

/* Four at a time, as planes are narrow, and compilers do badly at separating left from right. */
static void plane(const float *restrict in, size_t stride, size_t rows, size_t width, float bias, float *restrict out) {
    const __m128 zero = _mm_setzero_ps(), b = _mm_set1_ps(bias);
    for (size_t p = 0; p < rows; p++, in += 2 * stride, out += width) {
        size_t q = 0;
        for (; q + 4 <= width; q += 4) {
            const float *upper = in + 2 * q, *lower = upper + stride;
            __m128 near = _mm_max_ps(_mm_loadu_ps(upper), _mm_loadu_ps(lower));
            __m128 far = _mm_max_ps(_mm_loadu_ps(upper + 4), _mm_loadu_ps(lower + 4));
            __m128 left = _mm_shuffle_ps(near, far, 0x88), right = _mm_shuffle_ps(near, far, 0xdd);
            _mm_storeu_ps(out + q, _mm_max_ps(_mm_add_ps(_mm_max_ps(left, right), b), zero));
        }
        for (; q < width; q++) {
            const float *upper = in + 2 * q, *lower = upper + stride;
            out[q] = larger(0, larger(larger(upper[0], upper[1]), larger(lower[0], lower[1])) + bias);
        }
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
