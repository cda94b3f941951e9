/* SPDX-License-Identifier: MIT */
/* The functions of the header that are no layer, but for softmax, over the vocabulary of vector/vector.h. */
#ifndef CONVPOOL_STAGES_H
#define CONVPOOL_STAGES_H

#include "kernel.h"
#include "vector/vector.h"

static __attribute__((noinline)) void stage_max_pool_2x2(const float *input, size_t channels, size_t height,
                                                         size_t width, float *output) {
    size_t out_height = height / 2, out_width = width / 2;
    for (size_t plane = 0; plane < channels; plane++, input += height * width)
        for (size_t p = 0; p < out_height; p++, output += out_width) {
            const float *top = input + 2 * p * width, *bottom = top + width;
            vec a, b, c, d;
            size_t q = 0;
            for (; q + vec_lanes <= out_width; q += vec_lanes) {
                a = vec_load_even_odd(top + 2 * q, &b);
                c = vec_load_even_odd(bottom + 2 * q, &d);
                vec_store(output + q, vec_max4(a, b, c, d));
            }
            if (q < out_width) {
                a = vec_load_even_odd_part(top + 2 * q, out_width - q, &b);
                c = vec_load_even_odd_part(bottom + 2 * q, out_width - q, &d);
                vec_store_part(output + q, vec_max4(a, b, c, d), out_width - q);
            }
        }
}

static __attribute__((noinline)) void stage_relu(const float *input, size_t count, float *output) {
    size_t i = 0;
    for (; count - i >= vec_lanes; i += vec_lanes)
        vec_store(output + i, vec_relu(vec_load(input + i)));
    if (i < count) vec_store_part(output + i, vec_relu(vec_load_part(input + i, count - i)), count - i);
}

/* In sixteen sums, pixel i in sum i mod 16, ascending; then sum k and sum k + 8 are added, k + 4, k + 2 and k + 1; and
 * the whole is divided once. */
static __attribute__((noinline)) void stage_global_average(const float *input, size_t channels, size_t pixels,
                                                           float *output) {
    enum { sums = 16, vecs = sums / vec_lanes };
    for (; channels > 0; channels--, input += pixels, output++) {
        vec sum[vecs];
        float of[sums], count = (float)pixels;
        for (size_t n = 0; n < vecs; n++)
            sum[n] = vec_zero();
        size_t i = 0;
        for (; pixels - i >= sums; i += sums)
            for (size_t n = 0; n < vecs; n++)
                sum[n] = vec_add(sum[n], vec_load(input + i + n * vec_lanes));
        for (size_t n = 0; n < vecs; n++)
            vec_store(of + n * vec_lanes, sum[n]);
        for (size_t k = 0; i < pixels; i++, k++)
            of[k] += input[i];
        for (size_t half = sums / 2; half > 0; half /= 2)
            for (size_t k = 0; k < half; k++)
                of[k] += of[k + half];
        *output = of[0] / count;
    }
}

#endif
