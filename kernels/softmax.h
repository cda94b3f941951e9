/* SPDX-License-Identifier: MIT */
/* Softmax and its logarithm, over the vocabulary of vector/vector.h. Both subtract the largest of their numbers, add
 * the exponentials in double, one after the other, and round once more at the end. */
#ifndef CONVPOOL_SOFTMAX_H
#define CONVPOOL_SOFTMAX_H

#include "activate.h"
#include "kernel.h"
#include "vector/vector.h"

#include <math.h>
#include <string.h>

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

/* Whether the largest of some numbers is finite. Else all results are NaN, as what 0 / 0 is, without an exception, and
 * the caller has nothing left to do. */
static bool softmax_exists(float largest, size_t count, float *output) {
    if (convpool_magnitude((double)largest) <= (double)FLT_MAX) return true;
    for (size_t i = 0; i < count; i++)
        output[i] = NAN;
    return false;
}

static __attribute__((noinline)) void stage_softmax(const float *input, size_t count, float *output) {
    float largest = largest_of(input, count), half = largest * 0.5f, last[vec_lanes], total;
    if (!softmax_exists(largest, count, output)) return;
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
}

/* ln x for a normal x: of 2^n m with m next to 1, n ln 2 and the series of 2 artanh((m - 1) / (m + 1)). */
static double softmax_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    double power = (double)(bits >> 52) - 1023, m, sum = 0;
    bits = (bits & UINT64_MAX >> 12) | (uint64_t)1023 << 52;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) m /= 2, power += 1;
    double s = (m - 1) / (m + 1);
    for (int k = 19; k > 0; k -= 2)
        sum = sum * s * s + 1.0 / k;
    return power * 0.69314718055994531 + 2 * s * sum;
}

static void log_softmax(const float *input, size_t count, float *output) {
    float largest = largest_of(input, count), half = largest * 0.5f, part[vec_lanes];
    if (!softmax_exists(largest, count, output)) return;
    double sum = 0;
    for (size_t i = 0; i < count; i += vec_lanes) {
        size_t n = count - i < vec_lanes ? count - i : vec_lanes;
        for (size_t k = 0; k < vec_lanes; k++)
            part[k] = k < n ? input[i + k] : largest;
        vec_store(part, softmax_exp(vec_load(part), vec_splat(&half)));
        for (size_t k = 0; k < n; k++)
            sum += (double)part[k];
    }
    double log = softmax_log(sum);
    for (size_t i = 0; i < count; i++)
        output[i] = (float)((double)input[i] - (double)largest - log);
}

#endif
