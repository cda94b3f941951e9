/* SPDX-License-Identifier: MIT */
/* The stages on their own, over the vocabulary of vector/vector.h. */
#ifndef CONVPOOL_STAGES_H
#define CONVPOOL_STAGES_H

#include "activate.h"
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

/* In sixteen sums, pixel i in sum i mod 16, ascending; then sum k and sum k + 8 are added, k + 4, k + 2 and k + 1; and
 * the whole is divided once. */
static void global_average(const float *input, size_t channels, size_t pixels, float *output) {
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
    vec_end();
}

/* The largest of some numbers, at least one; NaN where one is NaN. */
static float largest_of(const float *x, size_t count) {
    float lanes[vec_lanes], largest = x[0];
    size_t i = 0;
    if (count >= vec_lanes) {
        vec most = vec_load(x);
        for (i = vec_lanes; i + vec_lanes <= count; i += vec_lanes)
            most = vec_max4(most, vec_load(x + i), most, vec_load(x + i));
        vec_store(lanes, most);
        for (size_t n = 0; n < vec_lanes; n++)
            if (!(lanes[n] <= largest)) largest = lanes[n] > largest || largest == largest ? lanes[n] : largest;
    }
    for (; i < count; i++)
        if (!(x[i] <= largest)) largest = x[i] > largest || largest == largest ? x[i] : largest;
    return largest;
}

/* exp(x - largest). The difference is that of two halves, which does not overflow, and what its rounding lost. */
VEC_INLINE vec softmax_exp(vec x, vec half_of_largest) {
    static const float half = 0.5f, two = 2, sixty = 60, least = -60, finite = -0.5f * FLT_MAX;
    vec a = vec_max(vec_mul(x, vec_splat(&half)), vec_splat(&finite)), difference = vec_sub(a, half_of_largest);
    vec b = vec_sub(difference, a); /* -half_of_largest, nearly */
    vec lost = vec_sub(vec_sub(a, vec_sub(difference, b)), vec_add(half_of_largest, b));
    lost = vec_where_negative(vec_add(difference, vec_splat(&sixty)), vec_zero(), lost);
    difference = vec_max(difference, vec_splat(&least));
    return activate_exp(vec_mul(difference, vec_splat(&two)), vec_mul(lost, vec_splat(&two)));
}

/* The exponentials are added in double, one after the other. */
static void softmax(const float *input, size_t count, float *output) {
    float largest = largest_of(input, count), half = largest * 0.5f, last[vec_lanes], total;
    if (!(convpool_magnitude((double)largest) <= (double)FLT_MAX)) { /* what 0 / 0 is, without an exception */
        for (size_t i = 0; i < count; i++)
            output[i] = NAN;
        return;
    }
    size_t i = 0, rest = count % vec_lanes;
    double sum = 0;
    for (; i + vec_lanes <= count; i += vec_lanes)
        vec_store(output + i, softmax_exp(vec_load(input + i), vec_splat(&half)));
    for (size_t n = 0; n < vec_lanes; n++)
        last[n] = n < rest ? input[i + n] : largest;
    vec_store(last, softmax_exp(vec_load(last), vec_splat(&half)));
    for (size_t n = 0; n < rest; n++)
        output[i + n] = last[n];
    for (i = 0; i < count; i++)
        sum += (double)output[i];
    total = (float)sum;
    for (i = 0; i + vec_lanes <= count; i += vec_lanes)
        vec_store(output + i, vec_div(vec_load(output + i), vec_splat(&total)));
    for (; i < count; i++)
        output[i] /= total;
    vec_end();
}

#endif
