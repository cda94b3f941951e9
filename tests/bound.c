/* SPDX-License-Identifier: MIT */
/* convpool_layer_error_bound(): that it is what it says, that it holds, and how tight it is. */
#include "problem.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static convpool_layer *layer_of(const problem *p, const char *kernel) {
    convpool_layer_spec spec = p->spec;
    convpool_layer *layer;
    spec.kernel = kernel;
    CHECK(convpool_layer_create(&spec, p->weights, p->bias, &layer) == CONVPOOL_OK, "%s", describe(&spec));
    return layer;
}

/* The header's formula. */
static double documented(const problem *p, const char *algorithm, double x) {
    double c = (double)p->spec.in_channels, n = c * (double)p->e.filter, g = 1, r = n + 1, most = 0;
    size_t terms = p->spec.in_channels * p->e.filter;
    if (strncmp(algorithm, "winograd", 8) == 0) g = 16, r = c + 8, n = 16 * c;
    if (strcmp(algorithm, "winograd22") == 0) g = 9, n = 9 * c;
    double u = 0x1p-24, k = g * r / (1 - r * u);
    for (size_t o = 0; o < p->spec.out_channels; o++) {
        double sum = 0;
        for (size_t i = 0; i < terms; i++)
            sum += fabs((double)p->weights[o * terms + i]);
        most = fmax(most, k * u * (fabs((double)p->bias[o]) + x * sum) + k * 0x1p-149 * (1 + n * x));
    }
    return most;
}

void check_bound_is_the_documented_formula(void) {
    uint64_t state = test_seed();
    convpool_kernel_info info;
    for (unsigned round = 0; round < 60; round++) {
        problem p = problem_new(1 + random_below(&state, 70), 5, 6, 1 + random_below(&state, 20), round % 16);
        problem_fill(&p, &state);
        if (round % 5 == 0) p.bias[0] = 1000;
        const double magnitudes[] = {0, (double)FLT_TRUE_MIN, 0x1p-60, 1, 3.25, 0x1p70, 0x1p110};
        for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
            convpool_layer *layer = layer_of(&p, info.name);
            for (size_t i = 0; i < sizeof magnitudes / sizeof *magnitudes; i++) {
                double bound = convpool_layer_error_bound(layer, magnitudes[i]);
                double expected = documented(&p, info.algorithm, magnitudes[i]);
                CHECK(bound >= expected * (1 - 1e-14) && bound <= expected * (1 + 1e-12), "%s, %g: %g, not %g",
                      info.name, magnitudes[i], bound, expected);
            }
            CHECK(isnan(convpool_layer_error_bound(layer, -1)) && isnan(convpool_layer_error_bound(layer, -INFINITY)) &&
                      isnan(convpool_layer_error_bound(layer, NAN)),
                  "%s", info.name);
            CHECK(convpool_layer_error_bound(layer, -0.0) == convpool_layer_error_bound(layer, 0), "%s", info.name);
            CHECK(isinf(convpool_layer_error_bound(layer, INFINITY)), "%s", info.name);
            convpool_layer_destroy(layer);
        }
        problem_free(&p);
    }
    CHECK(isnan(convpool_layer_error_bound(NULL, 1)), "%s", "NULL");

    /* Inputs beyond 2^121, in rows that are computed directly; a bias beyond which everything is. */
    for (int large_bias = 0; large_bias < 2; large_bias++) {
        problem p = problem_new(1, 5, 6, 1, 0);
        double x = large_bias ? 1 : (double)FLT_MAX * (1 - 0x1p-18);
        p.weights[0] = 1;
        p.bias[0] = large_bias ? 0x1p126f : 0;
        for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
            convpool_layer *layer = layer_of(&p, info.name);
            double bound = convpool_layer_error_bound(layer, x), expected = documented(&p, "direct", x);
            CHECK(bound >= expected * (1 - 1e-14) && bound <= expected * (1 + 1e-12), "%s: %g, not %g", info.name,
                  bound, expected);
            convpool_layer_destroy(layer);
        }
        problem_free(&p);
    }
}

void check_bound_is_infinite_where_a_sum_may_overflow(void) {
    uint64_t state = test_seed();
    size_t infinite = 0, finite = 0;
    convpool_kernel_info info;
    for (unsigned round = 0; round < 400; round++) {
        problem p = problem_new(1 + random_below(&state, 9), 8, 13, 3, round % 16);
        int scale = (int)random_below(&state, 110), room = (int)random_below(&state, 12);
        float large = 0;
        for (size_t i = 0; i < p.e.in; i++) {
            p.input[i] = random_wide(&state, 122 - scale - room, 127 - scale - room);
            large = fmaxf(large, fabsf(p.input[i]));
        }
        for (size_t i = 0; i < p.e.weights; i++)
            p.weights[i] = random_wide(&state, scale - 6, scale);
        for (size_t o = 0; o < 3; o++)
            p.bias[o] = round % 3 ? random_uniform(&state) : random_wide(&state, 110, 127);
        if (round % 50 == 0) p.weights[0] = NAN;
        if (round % 50 == 1) p.bias[0] = INFINITY;
        check_problem(&p, BITS, at_end); /* where the bound is finite, so is every result */
        for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
            convpool_layer *layer = layer_of(&p, info.name);
            double bound = convpool_layer_error_bound(layer, (double)large);
            CHECK(isinf(bound) || bound > 0, "%s: %g", info.name, bound);
            CHECK(isinf(bound) || round % 50 > 1, "%s: %g", info.name, bound);
            *(isinf(bound) ? &infinite : &finite) += 1;
            convpool_layer_destroy(layer);
        }
        problem_free(&p);
    }
    CHECK(infinite > 100 && finite > 100, "%zu infinite, %zu finite", infinite, finite);
}

/* The largest error of a kernel over its bound. */
static double ratio(const problem *p, const char *kernel) {
    convpool_layer *layer = layer_of(p, kernel);
    double most = 0, *y = allocate(p->e.out, sizeof *y);
    float *output = allocate(p->e.out, sizeof *output);
    void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
    reference_double(&p->spec, p->input, p->weights, p->bias, y);
    convpool_layer_run(layer, p->input, output, scratch);
    double bound = convpool_layer_error_bound(layer, largest_magnitude(p->input, p->e.in));
    for (size_t i = 0; i < p->e.out; i++) { /* not by fmax(), at which GCC 12 for AArch64 fails */
        double error = fabs(output[i] - y[i]) / bound;
        if (!(error <= most)) most = error;
    }
    convpool_layer_destroy(layer);
    free(scratch);
    free(output);
    free(y);
    return most;
}

/* Sums that cancel, magnitudes that differ widely, inputs and filters with one entry that is not 0. */
void check_bound_holds_on_adversarial_inputs(void) {
    uint64_t state = test_seed();
    double largest = 0;
    for (unsigned round = 0; round < 600; round++) {
        if (!in_sample(&state, 10)) continue;
        size_t channels = 2 + random_below(&state, 30);
        problem p = problem_new(channels, 7, 9 + random_below(&state, 30), 4, round % 16);
        problem_fill(&p, &state);
        size_t plane = p.e.in / channels;
        switch (round / 8 % 4) {
        case 0: /* cancellation: what one channel adds, the next takes away, nearly */
            for (size_t i = plane; i < p.e.in; i++)
                p.input[i] = p.input[i - plane] * (random_below(&state, 4) ? 1 : 1 + 0x1p-20f);
            for (size_t i = 0; i < p.e.weights; i++)
                if (i / p.e.filter % channels % 2) p.weights[i] = -p.weights[i - p.e.filter];
            break;
        case 1: /* wide dynamic range */
            for (size_t i = 0; i < p.e.in; i++)
                p.input[i] = random_wide(&state, -60, 40);
            for (size_t i = 0; i < p.e.weights; i++)
                p.weights[i] = random_wide(&state, -40, 40);
            break;
        case 2: /* one-hot input: its neighbours in a tile see its roundings */
            memset(p.input, 0, p.e.in * sizeof(float));
            p.input[random_below(&state, p.e.in)] = random_wide(&state, -10, 10);
            break;
        case 3: /* one-hot filters, and among denormal numbers */
            for (size_t i = 0; i < p.e.weights; i++)
                p.weights[i] = random_below(&state, p.e.filter * channels) ? 0 : p.weights[i];
            for (size_t i = 0; i < p.e.in && round % 16 > 7; i++)
                p.input[i] = random_uniform(&state) * 0x1p-130f;
            break;
        }
        check_problem(&p, BOUND, at_end);
        convpool_kernel_info info;
        for (size_t k = 0; next_kernel(&p.spec, &k, &info);)
            largest = fmax(largest, ratio(&p, info.name));
        problem_free(&p);
    }
    CHECK(largest > 0 && largest <= 1, "%g", largest);
    fprintf(stderr, "# largest error over the bound: %.3f\n", largest);
}

/* Data on which every rounding goes the same way by nearly half an ulp: sums begin at 1, or a tile's products at 4, -2,
 * -2 and 1, and each channel adds a little more than what rounds up. */
void check_bound_is_nearly_reached(void) {
    const float step = 0x1p-24f * (1 + 0x1p-20f); /* a little more than half an ulp of 1 */
    static const struct {
        const char *algorithm;
        float first[9], next[9], weight; /* 3x3 inputs of channel 0 and of the others; the latter's weight, in steps */
        double reached;
    } rows[] = {
        {"direct", {1, 1, 0, 1, 1, 0, 0, 0, 0}, {1, 1, 0, 1, 1, 0, 0, 0, 0}, 1, 0.99},
        {"winograd22", {1, -1, 0, -1, 1, 0, 0, 0, 0}, {0.875f, 0.25f, 0, 0.25f, 0.125f, 0, 0, 0, 0}, 8, 0.75},
        {"winograd32", {1, 1, -1, 1, 1, -1, -1, -1, 1}, {1, -0.5f, 0, -0.5f, 1, 0, 0, 0, 0}, 4, 0.42},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        problem p = problem_new(512, 3, 3, 1, 3);
        for (size_t c = 0; c < 512; c++) {
            memcpy(p.input + 9 * c, c == 0 ? rows[i].first : rows[i].next, sizeof rows[i].first);
            p.weights[4 * c] = c == 0 ? 1 : step * rows[i].weight;
            for (size_t uv = 1; uv < 4 && i == 0; uv++) /* of the direct sum, every term */
                p.weights[4 * c + uv] = step;
        }
        check_problem(&p, BOUND, at_end);
        convpool_kernel_info info;
        for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
            if (strcmp(info.algorithm, rows[i].algorithm) != 0) continue;
            double reached = ratio(&p, info.name);
            CHECK(reached > rows[i].reached && reached <= 1, "%s: %g", info.name, reached);
        }
        problem_free(&p);
    }
}
