/* SPDX-License-Identifier: MIT */
/*
 * Activations. exp(t) is 2^n (1 + p): n is the integer next to t / ln 2, r = t - n ln 2 the rest, and p = exp(r) - 1
 * its Taylor series to the seventh power (W. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). No
 * step is a fused multiply-add, and so every ISA of either family has the same bits. For a float y, the sigmoid, tanh
 * and exp(y) - 1 are within 4 units of 2^-24 of the exact function, and within 2^-149 where that is denormal. The last
 * two never fall where y rises; the sigmoid may, by a bit.
 */
#ifndef CONVPOOL_ACTIVATE_H
#define CONVPOOL_ACTIVATE_H

#include "packed.h"

/* t, which is from -120 to 0, as n ln 2 and the rest: p, and 1.5 * 2^23 + n. What t lacks of a sum is `more`. */
VEC_INLINE vec activate_reduce(vec t, vec more, vec *n) {
    static const float per_ln_2 = 0x1.715476p0f, ln_2 = 0x1.63p-1f, ln_2_rest = -0x1.bd0106p-13f, middle = 0x1.8p23f;
    static const float taylor[] = {1 / 5040.0f, 1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f};
    *n = vec_add(vec_mul(t, vec_splat(&per_ln_2)), vec_splat(&middle));
    vec whole = vec_sub(*n, vec_splat(&middle));
    vec r = vec_sub(vec_sub(t, vec_mul(whole, vec_splat(&ln_2))), vec_mul(whole, vec_splat(&ln_2_rest)));
    r = vec_add(r, more);
    vec q = vec_splat(taylor);
    VEC_UNROLL
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++)
        q = vec_add(vec_mul(q, r), vec_splat(taylor + i));
    return vec_add(r, vec_mul(vec_mul(r, r), q));
}

/* exp(t) - 1 for t <= 0; anything where t is NaN. Below -30 it is -1. */
VEC_INLINE vec activate_expm1(vec t) {
    static const float least = -30, one = 1;
    vec n, p = activate_reduce(vec_max(t, vec_splat(&least)), vec_zero(), &n), power = vec_power_of_2(n);
    return vec_add(vec_mul(power, p), vec_sub(power, vec_splat(&one)));
}

/* exp(t + more) for t from -120 to 0: in two steps, for the power alone may be denormal. */
VEC_INLINE vec activate_exp(vec t, vec more) {
    static const float one = 1, low = 0x1.8p23f - 100, middle = 0x1.8p23f;
    vec n, p = activate_reduce(t, more, &n);
    vec first = vec_max(n, vec_splat(&low)), second = vec_sub(n, vec_sub(first, vec_splat(&middle)));
    return vec_mul(vec_mul(vec_add(p, vec_splat(&one)), vec_power_of_2(first)), vec_power_of_2(second));
}

VEC_INLINE vec activate_sigmoid(vec y) {
    static const float least = -105, one = 1;
    vec t = vec_where_negative(y, y, vec_sub(vec_zero(), y)),
        e = activate_exp(vec_max(t, vec_splat(&least)), vec_zero());
    return vec_nan_of(y, vec_div(vec_where_negative(y, e, vec_splat(&one)), vec_add(e, vec_splat(&one))));
}

VEC_INLINE vec activate_tanh(vec y) {
    static const float two = 2, least = -15; /* below which it is -1 */
    vec t = vec_mul(vec_max(vec_where_negative(y, y, vec_sub(vec_zero(), y)), vec_splat(&least)), vec_splat(&two));
    vec e = activate_expm1(t), negative = vec_div(e, vec_add(e, vec_splat(&two)));
    return vec_nan_of(y, vec_where_negative(y, negative, vec_sub(vec_zero(), negative)));
}

/* Where y is negative slope * y, else y. There the product is 0 * 0, so that it raises no exception. */
VEC_INLINE vec activate_leaky(vec y, vec slope) {
    vec factor = vec_where_negative(y, slope, vec_zero()), negative = vec_where_negative(y, y, vec_zero());
    VEC_KEEP(factor);
    VEC_KEEP(negative);
    return vec_where_negative(y, vec_mul(factor, negative), y);
}

VEC_INLINE vec activate_elu(vec y, vec alpha) {
    vec e = activate_expm1(vec_where_negative(y, y, vec_zero())), factor = vec_where_negative(y, alpha, vec_zero());
    VEC_KEEP(factor);
    return vec_where_negative(y, vec_mul(factor, e), y);
}

VEC_INLINE vec activate_relu6(vec y) {
    static const float six = 6;
    vec relu = vec_relu(y), most = vec_splat(&six);
    return vec_where_negative(vec_sub(most, relu), most, relu);
}

/* `a` is the slope, or alpha, or nothing. The activation is a constant after inlining. */
VEC_INLINE vec activate(convpool_activation activation, vec y, vec a) {
    switch (activation) {
    case CONVPOOL_ACTIVATION_RELU: return vec_relu(y);
    case CONVPOOL_ACTIVATION_RELU6: return activate_relu6(y);
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
    case CONVPOOL_ACTIVATION_PRELU: return activate_leaky(y, a);
    case CONVPOOL_ACTIVATION_SIGMOID: return activate_sigmoid(y);
    case CONVPOOL_ACTIVATION_TANH: return activate_tanh(y);
    case CONVPOOL_ACTIVATION_ELU: return activate_elu(y, a);
    default: return y;
    }
}

/* Rows of numbers, y[row][channel], to be activated where they are: whole vectors of channels, `pitch` floats from one
 * row to the next; and what each channel has. */
typedef struct activate_rows {
    float *y;
    size_t rows, pitch, channels;
    const float *slopes; /* of each channel, aligned; NULL for one number, */
    float parameter;
    bool halves; /* both halves of a vector of channels have the lower one's slopes */
} activate_rows;

VEC_INLINE void activate_all(convpool_activation activation, const activate_rows *a) {
    for (size_t n = 0; n < a->channels; n += vec_lanes) {
        vec of_channel = vec_splat(&a->parameter);
        if (a->slopes) of_channel = a->halves ? vec_load_halves(a->slopes + n) : vec_load(a->slopes + n);
        float *y = a->y + n;
        for (size_t row = a->rows; row > 0; row--, y += a->pitch)
            vec_store(y, activate(activation, vec_load(y), of_channel));
    }
}

#define ACTIVATE(name) \
    case CONVPOOL_ACTIVATION_##name: activate_all(CONVPOOL_ACTIVATION_##name, a); break
static void activate_rows_of(convpool_activation activation, const activate_rows *a) {
    switch (activation) {
        ACTIVATE(RELU);
        ACTIVATE(RELU6);
    case CONVPOOL_ACTIVATION_LEAKY_RELU:
        ACTIVATE(PRELU);
        ACTIVATE(SIGMOID);
        ACTIVATE(TANH);
        ACTIVATE(ELU);
    default: break;
    }
}

#endif
