/* SPDX-License-Identifier: MIT */
/* The stages on their own, 2x2 max-pooling and ReLU, over the vocabulary of vector/vector.h. */
#ifndef CONVPOOL_STAGES_H
#define CONVPOOL_STAGES_H

#include "kernel.h"
#include "vector/vector.h"

static void max_pool_2x2(const float *input, size_t channels, size_t height, size_t width, float *output) {
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
    vec_end();
}

static void relu(const float *input, size_t count, float *output) {
    size_t i = 0;
    for (; count - i >= vec_lanes; i += vec_lanes)
        vec_store(output + i, vec_relu(vec_load(input + i)));
    if (i < count) vec_store_part(output + i, vec_relu(vec_load_part(input + i, count - i)), count - i);
    vec_end();
}

#endif
