/* SPDX-License-Identifier: MIT */
/* Results: every supported kernel against the references, in guarded memory. */
#include "bits.h"
#include "dispatch.h"
#include "list.h"
#include "problem.h"
#include "random.h"
#include "words.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_numbers_the_reference_fused_multiply_add_is_exact(void) {
    /* Cases in which rounding twice, to double and to float, goes wrong, and those around zero. */
    static const struct {
        float a, b, c, expected;
    } rows[] = {
        {0x1.000002p0f, 0x1.000002p0f, 0x1p-80f, 0x1.000004p0f},
        {0x1.000002p0f, 0x1.000002p0f, -0x1p-80f, 0x1.000004p0f},
        {0x1p-24f, 0x1.000002p0f, 1.0f, 0x1.000002p0f}, /* just above half of an ulp */
        {0x1p-24f, 1.0f, 1.0f, 1.0f},                   /* half of an ulp: to even */
        {0x1.8p0f, 0x1p-24f, 0x1p-80f, 0x1.8p-24f},
        {0x1p-24f, 1.0f, 0x1.000002p0f, 0x1.000004p0f},
        {0x1.fffffep-75f, 0x1.000002p-75f, 0.0f, 0x1p-149f}, /* rounds among denormals */
        {0x1p-75f, 0x1p-75f, 0.0f, 0.0f},                    /* half of the least one: to even */
        {0x1p-75f, 0x1p-75f, 0x1p-149f, 0x1p-148f},
        {FLT_MAX, 2.0f, 0.0f, INFINITY},
        {FLT_MAX, 2.0f, -INFINITY, -INFINITY},
        {FLT_MAX, 2.0f, -FLT_MAX, FLT_MAX}, /* only the intermediate overflows */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float result = fused_multiply_add(rows[i].a, rows[i].b, rows[i].c);
        CHECK(result == rows[i].expected, "row %zu: %a, not %a", i, result, rows[i].expected);
    }
    /* 1 + 2^-24 + 2^-60 lies above the middle of two floats, and in double falls on it. */
    float above = fused_multiply_add(0x1.000002p-24f, 0x1.fffffcp-1f, 1.0f);
    CHECK(above == 1.0f, "%a", above); /* (1 + 2^-23)(1 - 2^-23) = 1 - 2^-46: below the middle */
    above = fused_multiply_add(0x1.000002p-12f, 0x1.000002p-12f, 1.0f);
    CHECK(above == 0x1.000002p0f, "%a", above);
    CHECK(isnan(fused_multiply_add(INFINITY, 0.0f, 1.0f)), "%s", "infinity times zero");
}

/* What convpool-info --bits prints: one number for each algorithm and family, whatever the compiler and the machine. A
 * change that is meant to change results changes them. */
void check_numbers_bits(void) {
    static const struct {
        const char *algorithm;
        uint64_t separate, fused;
    } rows[] = {
        {"direct", 0x905147e849aa32ae, 0xd0472984266797be},
        {"winograd22", 0x1501722483538976, 0xa98fa2ae4e9cde2e},
        {"winograd32", 0x85d6a01197fd7fa8, 0x6a50f3ec7eaf9bfa},
        {"winograd23", 0xd7d5066a3a1d4bb2, 0xf2a2601ff61ab02c},
    };
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        uint64_t hash = 0, expected = 0;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (strcmp(rows[i].algorithm, info.algorithm) == 0)
                expected = isa_is_fused(info.isa) ? rows[i].fused : rows[i].separate;
        CHECK(kernel_bits(info.name, &hash) == info.supported, "%s", info.name);
        CHECK(!info.supported || hash == expected, "%s: %016llx, not %016llx", info.name, (unsigned long long)hash,
              (unsigned long long)expected);
    }
}

void check_numbers_seed_layer_matches_golden_data(void) {
    problem p = problem_new(16, 25, 25, 32, 4);
    float *x = read_npy("x", "<f4", p.e.in), *weights = read_npy("weights", "<f4", p.e.weights);
    float *bias = read_npy("bias", "<f4", 32);
    double *golden = read_npy("y", "<f8", p.e.out);
    if (x != NULL && weights != NULL && bias != NULL && golden != NULL) {
        memcpy(p.input, x, p.e.in * 4);
        memcpy(p.weights, weights, p.e.weights * 4);
        memcpy(p.bias, bias, 32 * 4);
        double *y = allocate(p.e.out, sizeof *y);
        reference_double(&p.spec, p.input, p.weights, p.bias, y);
        for (size_t i = 0; i < p.e.out; i++)
            CHECK(fabs(y[i] - golden[i]) <= 1e-12, "output %zu of the reference is %g, not %g", i, y[i], golden[i]);
        free(y);
        check_problem(&p, BOUND, at_end);
    }
    free(x);
    free(weights);
    free(bias);
    free(golden);
    problem_free(&p);
}

void check_numbers_channels(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 4; mode++) {
        for (size_t channels = 1; channels <= 68; channels++)
            check_random(channels, 5, 8, 3, mode, at_end, &state);
        for (size_t out_channels = 1; out_channels <= 36; out_channels++)
            check_random(3, 4, 9, out_channels, mode, at_start, &state);
    }
}

void check_numbers_random_shapes(void) {
    uint64_t state = test_seed();
    for (int i = 0; i < 60; i++) {
        if (!in_sample(&state, 20)) continue;
        unsigned mode = (unsigned)random_below(&state, 16);
        size_t channels = 1 + random_below(&state, 48), out_channels = 1 + random_below(&state, 40);
        size_t height = least(mode) + random_below(&state, 40), width = least(mode) + random_below(&state, 70);
        check_random(channels, height, width, out_channels, mode, i % 2 ? at_end : at_start, &state);
    }
}

void check_numbers_small_integers_are_exact(void) {
    uint64_t state = test_seed();
    for (int i = 0; i < 48; i++) {
        size_t height = 3 + random_below(&state, 24), width = 3 + random_below(&state, 70);
        problem p =
            problem_new(1 + random_below(&state, 70), height, width, 1 + random_below(&state, 20), (unsigned)i % 8);
        for (size_t j = 0; j < p.e.in; j++)
            p.input[j] = (float)random_below(&state, 31) - 15;
        for (size_t j = 0; j < p.e.weights; j++)
            p.weights[j] = (float)random_below(&state, 31) - 15;
        for (size_t j = 0; j < p.spec.out_channels; j++)
            p.bias[j] = (float)random_below(&state, 20001) - 10000;
        check_problem(&p, EXACT, at_end);
        problem_free(&p);
    }
}

/* random_uniform() times 2^e, e from low to high */
static void fill_wide(uint64_t *state, float *values, size_t count, int low, int high) {
    for (size_t i = 0; i < count; i++)
        values[i] = ldexpf(random_uniform(state), low + (int)random_below(state, (size_t)(high - low + 1)));
}

void check_numbers_wide_range_and_denormals(void) {
    static const struct {
        int input_low, input_high, weights_low, weights_high;
    } ranges[] = {
        {-60, 60, -50, 50},     /* cancellation among magnitudes */
        {-149, -126, -3, 3},    /* denormal inputs */
        {-70, -40, -100, -70},  /* denormal products */
        {-149, 100, -149, 20},  /* everything */
        {-149, -120, -149, -1}, /* products that vanish */
    };
    uint64_t state = test_seed();
    for (size_t range = 0; range < sizeof ranges / sizeof *ranges; range++)
        for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1) {
            problem p = problem_new(9, 8, 41, 7, mode);
            fill_wide(&state, p.input, p.e.in, ranges[range].input_low, ranges[range].input_high);
            fill_wide(&state, p.weights, p.e.weights, ranges[range].weights_low, ranges[range].weights_high);
            fill_wide(&state, p.bias, p.spec.out_channels, ranges[range].input_low, ranges[range].input_high);
            check_problem(&p, BOUND, at_end);
            problem_free(&p);
        }
}

/* Sums that vanish below zero are -0, which ReLU makes +0, even where the bias is -0, too. */
void check_numbers_sums_that_vanish_below_zero(void) {
    static const size_t shapes[][4] = {{1, 5, 5, 1}, {9, 5, 5, 7}, {9, 8, 41, 7}, {64, 9, 9, 33}, {64, 14, 15, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1) {
            problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], mode);
            for (size_t k = 0; k < p.e.in; k++)
                p.input[k] = -0x1p-100f;
            for (size_t k = 0; k < p.e.weights; k++)
                p.weights[k] = 0x1p-100f;
            for (size_t o = 0; o < p.spec.out_channels; o++)
                p.bias[o] = -0.0f;
            check_problem(&p, BITS, at_end);
            problem_free(&p);
        }
}

void check_numbers_special_values_in_every_lane(void) {
    const float values[] = {NAN, -NAN, INFINITY, -INFINITY, -0.0f, FLT_MAX};
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1) {
        problem p = problem_new(2, 4, SEVERAL_VECTORS / (mode & 1 ? 1u : 2u) + 1, 2, mode);
        problem_fill(&p, &state);
        for (size_t i = 0; i < p.e.in; i++) {
            if (!in_sample(&state, 10)) continue;
            float kept = p.input[i];
            p.input[i] = values[i % (sizeof values / sizeof *values)];
            if (i % 3 == 0) p.input[i] = NAN;
            check_problem(&p, BITS, at_end);
            p.input[i] = kept;
        }
        /* Whole tensors of zeros of either sign: ReLU gives +0, nothing else. */
        for (size_t i = 0; i < p.e.in; i++)
            p.input[i] = i % 2 ? 0.0f : -0.0f;
        for (size_t o = 0; o < p.spec.out_channels; o++)
            p.bias[o] = -0.0f;
        check_problem(&p, BITS, at_start);
        problem_free(&p);
    }
}

void check_numbers_overflow_and_infinite_weights(void) {
    const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p120f, -0x1p100f, 0.0f};
    uint64_t state = test_seed();
    for (unsigned round = 0; round < 64; round++) {
        problem p = problem_new(1 + round % 5, 7, 23 + round % 17, 6, round % 8);
        problem_fill(&p, &state);
        for (size_t n = 0; n < 1 + round % 4; n++) {
            float special = specials[random_below(&state, sizeof specials / sizeof *specials)];
            if (round % 3 != 1) p.weights[random_below(&state, p.e.weights)] = special;
            if (round % 3 == 1) p.bias[random_below(&state, p.spec.out_channels)] = special;
            if (round % 3 == 2) p.input[random_below(&state, p.e.in)] = special;
        }
        check_problem(&p, BITS, at_end);
        problem_free(&p);
    }
}

/* Rows of special values among rows without, where sums are long and products fused or not. */
void check_numbers_special_values_among_many_channels(void) {
    static const size_t channels[] = {7, 31, 33, 47, 64};
    const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1p124f};
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
            for (size_t width = 9; width < 50; width += 12) {
                if (!in_sample(&state, 10)) continue;
                problem p = problem_new(channels[i], 13, width, 14, mode);
                problem_fill(&p, &state);
                for (size_t n = 0; n < 1 + (width - 9) * 2; n++)
                    p.input[random_below(&state, p.e.in)] = specials[random_below(&state, 5)];
                check_problem(&p, BITS, at_end);
                problem_free(&p);
            }
}

/* The results of every supported kernel, one after the other. */
static float *results_of_all(const problem *p) {
    size_t kernels = convpool_kernel_count();
    float *all = allocate(kernels * p->e.out, sizeof *all);
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(&p->spec, &k, &info);) {
        convpool_layer_spec spec = p->spec;
        convpool_layer *layer;
        spec.kernel = info.name;
        if (!CHECK(convpool_layer_create(&spec, p->weights, p->bias, &layer) == CONVPOOL_OK, "%s", info.name)) continue;
        void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
        convpool_layer_run(layer, p->input, all + (k - 1) * p->e.out, scratch);
        free(scratch);
        convpool_layer_destroy(layer);
    }
    return all;
}

static const float large_values[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1p121f};
enum { LARGE_VALUES = sizeof large_values / sizeof *large_values };

void check_numbers_what_no_output_reads_changes_nothing(void) {
    uint64_t state = test_seed();
    for (size_t height = 4; height < 20; height += 2) /* an odd number of convolution outputs: the last is dropped */
        for (size_t width = 4; width < 60; width += 2)
            for (size_t n = 0; n < LARGE_VALUES; n++) {
                problem p = problem_new(2, height, width, 3, 0);
                problem_fill(&p, &state);
                float *before = results_of_all(&p);
                for (size_t c = 0; c < 2; c++) {
                    for (size_t j = 0; j < width; j++)
                        p.input[(c * height + height - 1) * width + j] = large_values[n];
                    for (size_t i = 0; i < height; i++)
                        p.input[(c * height + i) * width + width - 1] = large_values[n];
                }
                float *after = results_of_all(&p);
                size_t bytes = convpool_kernel_count() * p.e.out * sizeof(float);
                CHECK(memcmp(before, after, bytes) == 0, "%zux%zu, %g", height, width, (double)large_values[n]);
                free(before);
                free(after);
                problem_free(&p);
            }
}

void check_numbers_large_values_change_only_rows_of_their_tiles(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1)
        for (size_t row = 0; row < 21; row++)
            for (size_t n = 0; n < LARGE_VALUES; n++) {
                if (!in_sample(&state, 10)) continue;
                problem p = problem_new(3, 21, 37, 5, mode);
                problem_fill(&p, &state);
                float *before = results_of_all(&p);
                p.input[(random_below(&state, 3) * 21 + row) * 37 + random_below(&state, 37)] = large_values[n];
                float *after = results_of_all(&p);
                convpool_kernel_info info;
                for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
                    /* Rows of convolution outputs that read it, then those of their tiles, then of the output. */
                    size_t tile = strncmp(info.algorithm, "winograd", 8) == 0 ? (size_t)(info.algorithm[8] - '0') : 1;
                    size_t stride = mode & 1 ? 1 : 2, high = row + p.spec.pad_top, more = p.e.filter_height - 1;
                    size_t low = high > more ? high - more : 0;
                    size_t first = low / tile * tile / stride, last = (high / tile * tile + tile - 1) / stride;
                    for (size_t i = 0; i < p.e.out && info.supported; i++) {
                        size_t at = i / p.e.out_width % p.e.out_height;
                        CHECK((at >= first && at <= last) ||
                                  memcmp(&before[k * p.e.out + i], &after[k * p.e.out + i], sizeof(float)) == 0,
                              "%s: %g in row %zu changes output row %zu", info.name, (double)large_values[n], row, at);
                    }
                }
                free(before);
                free(after);
                problem_free(&p);
            }
}

/* Weights or a bias that a transform could overflow: every algorithm is then the direct one. */
void check_numbers_large_weights_are_used_directly(void) {
    const float specials[] = {NAN, INFINITY, 0x1p120f, -0x1p127f, 0x1p119f};
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1)
        for (unsigned n = 0; n < 10; n++) {
            problem p = problem_new(4, 12, 31, 5, mode);
            problem_fill(&p, &state);
            if (n < 4) p.weights[random_below(&state, p.e.weights)] = specials[n];
            if (n == 4) p.weights[0] = p.weights[1] = specials[n]; /* their sum is too large */
            if (n > 4 && n != 9) p.bias[random_below(&state, 5)] = n < 7 ? specials[n - 5] : 0x1p126f;
            bool large = n != 9;
            float *all = results_of_all(&p);
            convpool_kernel_info info, direct;
            for (size_t next = 0, k, d; next_kernel(&p.spec, &next, &info);) {
                k = next - 1;
                for (d = k; convpool_kernel_get(d, &direct) && strcmp(direct.isa, info.isa) == 0 &&
                            strcmp(direct.algorithm, "direct") != 0;)
                    d++;
                if (strcmp(direct.isa, info.isa) != 0) continue; /* a build without it */
                bool equal = true;
                for (size_t i = 0; i < p.e.out; i++)
                    equal = equal && same(&p.spec, all[k * p.e.out + i], all[d * p.e.out + i]);
                CHECK(equal == (large || k == d), "%s, case %u", info.name, n);
            }
            free(all);
            problem_free(&p);
        }
}

void check_numbers_every_split_gives_the_same_bits(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 12; mode += mode == 3 ? 5 : 1)
        for (size_t width = 4; width < 80; width += 25) {
            problem p = problem_new(3, mode & 1 ? 9 : 16, width, 4, mode);
            problem_fill(&p, &state);
            if (width % 2) p.input[p.e.in - 2 * width] = NAN; /* rows computed in another way than the others */
            convpool_kernel_info info;
            for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
                convpool_layer_spec spec = p.spec;
                spec.kernel = info.name;
                convpool_layer *layer = guarded_layer(&p, info.name, at_end);
                if (layer == NULL) continue;
                float *input = put(INPUT, p.input, p.e.in * sizeof(float), AT_END, 0);
                void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), AT_END, 0);
                whole_run whole = run_whole(&p, layer, input, scratch);
                CHECK(convpool_layer_row_step(layer) > 0, "%s", describe(&spec));
                for (size_t first = 0; first <= p.e.out_height; first++)
                    for (size_t count = 0; first + count <= p.e.out_height; count++)
                        check_rows(&p, layer, input, &whole, scratch, first, count);
                free(whole.output);
                convpool_layer_destroy(layer);
            }
            problem_free(&p);
        }
}

/* Inputs so large that their squares overflow, and that some of their differences do, between others; those that no
 * output reads among them. */
void check_exceptions_only_those_that_numbers_have_earned(void) {
    static const size_t shapes[][4] = {
        {1, 3, 3, 1},   {16, 25, 25, 32}, {3, 6, 8, 5},   {2, 12, 4, 3},    {5, 14, 67, 9},
        {40, 10, 9, 7}, {8, 5, 140, 4},   {2, 40, 7, 13}, {33, 14, 15, 19},
    };
    static const float magnitudes[] = {1, 1e19f, 1e30f, FLT_MAX};
    uint64_t state = test_seed();
    bool seen = exceptions_are_seen();
#if defined(__x86_64__) || defined(__aarch64__)
    CHECK(seen, "%s", "an overflow is not seen here");
#endif
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned mode = 0; mode < 8; mode++)
            for (size_t n = 0; n < sizeof magnitudes / sizeof *magnitudes; n++)
                for (int sparse = 0; sparse < 2; sparse++) {
                    if (!in_sample(&state, 1)) continue;
                    problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], mode);
                    problem_fill(&p, &state);
                    for (size_t k = 0; k < p.e.in; k++)
                        if (!sparse || random_below(&state, 30) == 0) p.input[k] *= magnitudes[n];
                    for (size_t k = 0; k < p.e.weights; k++)
                        p.weights[k] /= 4 * (float)shapes[i][0]; /* so that no sum overflows */
                    check_problem(&p, BITS, n % 2 ? at_end : at_start);
                    problem_free(&p);
                }
    /* An overflow that is earned is raised; a bound that is infinite raises none. */
    problem p = problem_new(2, 9, 9, 3, 0);
    for (size_t i = 0; i < p.e.in; i++)
        p.input[i] = FLT_MAX;
    for (size_t i = 0; i < p.e.weights; i++)
        p.weights[i] = 1;
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
        p.spec.kernel = info.name;
        convpool_layer *layer = guarded_layer(&p, info.name, at_end);
        if (layer == NULL) continue;
        float *output = put(OUTPUT, NULL, p.e.out * sizeof(float), AT_END, 0);
        void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), AT_END, 0);
        forget_exceptions();
        CHECK(isinf(convpool_layer_error_bound(layer, INFINITY)), "%s", info.name);
        check_exceptions(&p.spec, "error_bound", 0);
        convpool_layer_run(layer, p.input, output, scratch);
        CHECK(isinf(*output) && exceptions_raised() == (seen ? EXC_OVERFLOW : 0u), "%s: %g raises %s", info.name,
              (double)*output, exception_names(exceptions_raised()));
        convpool_layer_destroy(layer);
    }
    problem_free(&p);
}

/* Rows that share no arithmetic with others meet nothing that only these read, signalling NaN here: not even where a
 * vector is loaded that reaches into the next row or channel. */
void check_exceptions_none_of_what_other_rows_read(void) {
    static const size_t shapes[][4] = {{1, 13, 13, 3}, {3, 8, 25, 5}, {9, 14, 9, 40}, {2, 21, 40, 17}, {20, 7, 6, 8}};
    static const uint32_t signalling = 0x7fa00000;
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (unsigned mode = 0; mode < 4; mode++) {
            problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], mode);
            problem_fill(&p, &state);
            float *output = allocate(p.e.out, sizeof(float));
            size_t stride = mode & 1 ? 1 : 2, in_height = p.spec.in_height, in_width = p.spec.in_width;
            convpool_kernel_info info;
            for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
                convpool_layer_spec spec = p.spec;
                spec.kernel = info.name;
                convpool_layer *layer = guarded_layer(&p, info.name, at_end);
                if (layer == NULL) continue;
                void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), AT_END, 0);
                size_t step = convpool_layer_row_step(layer);
                for (size_t first = 0; first < p.e.out_height; first += step) {
                    size_t count = first + step < p.e.out_height ? step : p.e.out_height - first;
                    float *input = put(INPUT, p.input, p.e.in * sizeof(float), AT_END, 0);
                    for (size_t row = 0; row < p.spec.in_channels * in_height; row++)
                        if (row % in_height < stride * first || row % in_height > stride * (first + count))
                            for (size_t j = 0; j < in_width; j++)
                                memcpy(&input[row * in_width + j], &signalling, sizeof signalling);
                    forget_exceptions();
                    convpool_layer_run_rows(layer, input, output, scratch, first, count);
                    check_exceptions(&spec, "run_rows", 0);
                    for (size_t o = 0; o < p.spec.out_channels; o++)
                        CHECK(!isnan(output[(o * p.e.out_height + first) * p.e.out_width]), "%s", describe(&spec));
                }
                convpool_layer_destroy(layer);
            }
            free(output);
            problem_free(&p);
        }
}

/* Values of every kind, special ones among them. */
static void fill_mixed(uint64_t *state, float *values, size_t count) {
    const float specials[] = {NAN, -NAN, INFINITY, -INFINITY, -0.0f, 0.0f, FLT_MAX, -FLT_MIN / 4, FLT_TRUE_MIN};
    for (size_t i = 0; i < count; i++)
        values[i] = random_below(state, 3) ? random_uniform(state)
                                           : specials[random_below(state, sizeof specials / sizeof *specials)];
}

#define DECLARE(isa) extern const word_test words_##isa[];
CONVPOOL_ISAS(DECLARE)

void check_vocabulary_each_word_of_each_instruction_set(void) {
    static const struct {
        const char *isa;
        const word_test *words;
    } vocabularies[] = {
#define VOCABULARY(isa) {#isa, words_##isa},
        CONVPOOL_ISAS(VOCABULARY)};
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++)
        for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
            if (strcmp((*isa)->name, vocabularies[i].isa) == 0 && ((*isa)->needs & ~convpool_cpu_features()) == 0)
                for (const word_test *test = vocabularies[i].words; test->word != NULL; test++)
                    test->run((*isa)->name);
}

void check_numbers_stages_pool(void) {
    uint64_t state = test_seed();
    float values[3 * 6 * SEVERAL_VECTORS];
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        for (size_t width = 2; width <= SEVERAL_VECTORS; width++)
            for (size_t height = 2; height < 6; height++) {
                fill_mixed(&state, values, (1 + width % 3) * height * width);
                check_pool(*isa, values, 1 + width % 3, height, width, width % 2 ? AT_START : AT_END);
            }
        for (size_t height = 2; height <= SEVERAL_VECTORS; height++)
            for (size_t width = 2; width < 6; width++) {
                fill_mixed(&state, values, 2 * height * width);
                check_pool(*isa, values, 2, height, width, AT_END);
            }
    }
}

/* As convpool.h says how it is added. */
static float reference_average(const float *values, size_t count) {
    float sums[16] = {0};
    for (size_t i = 0; i < count; i++)
        sums[i % 16] += values[i];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            sums[k] += sums[k + half];
    return sums[0] / (float)count;
}

/* The average and the softmax of numbers in guarded memory, on every ISA that runs here. */
static void check_average(const float *values, size_t channels, size_t height, size_t width) {
    size_t in = channels * height * width, pixels = height * width;
    float *expected = allocate(channels, sizeof *expected);
    forget_exceptions();
    for (size_t c = 0; c < channels; c++)
        expected[c] = reference_average(values + c * pixels, pixels);
    unsigned earned = earned_by(values, in) | exceptions_raised();
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        float *input = put(INPUT, values, in * sizeof(float), AT_END, 0);
        float *output = put(OUTPUT, NULL, channels * sizeof(float), AT_END, 0);
        forget_exceptions();
        (*isa)->global_average(input, channels, pixels, output);
        CHECK((exceptions_raised() & ~earned) == 0, "%s average raises %s", (*isa)->name,
              exception_names(exceptions_raised()));
        CHECK(vector_state_is_clean() && piece_intact(INPUT) && piece_intact(OUTPUT), "%s average", (*isa)->name);
        for (size_t c = 0; c < channels; c++)
            CHECK(equal(output[c], expected[c], false), "%s average of %zux%zu: %a, not %a", (*isa)->name, height,
                  width, (double)output[c], (double)expected[c]);
    }
    free(expected);
}

static void check_softmax(const float *values, size_t count) {
    double largest = -INFINITY, sum = 0;
    bool special = false;
    float *first = NULL;
    for (size_t i = 0; i < count; i++) {
        special |= isnan(values[i]) || values[i] == INFINITY;
        largest = fmax(largest, (double)values[i]);
    }
    special |= isinf(largest);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)values[i] - largest);
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        for (int in_place = 0; in_place < 2; in_place++) {
            if ((*isa)->needs & ~convpool_cpu_features()) continue;
            float *input = put(INPUT, values, count * sizeof(float), AT_END, 0);
            float *output = in_place ? input : put(OUTPUT, NULL, count * sizeof(float), AT_END, 0);
            forget_exceptions();
            (*isa)->softmax(input, count, output);
            CHECK((exceptions_raised() & ~(special ? EXC_INVALID : 0u)) == 0, "%s softmax raises %s", (*isa)->name,
                  exception_names(exceptions_raised()));
            CHECK(vector_state_is_clean() && piece_intact(INPUT) && (in_place || piece_intact(OUTPUT)), "%s softmax",
                  (*isa)->name);
            for (size_t i = 0; i < count; i++) {
                double exact = exp((double)values[i] - largest) / sum;
                CHECK(special ? isnan(output[i])
                              : output[i] >= 0 && output[i] <= 1 &&
                                    fabs((double)output[i] - exact) <= 4 * 0x1p-24 * exact + 0x1p-149,
                      "%s softmax of %zu: number %zu, %a, is %a, not %a", (*isa)->name, count, i, (double)values[i],
                      (double)output[i], exact);
                CHECK(first == NULL || equal(output[i], first[i], false), "%s softmax of %zu: number %zu is %a, not %a",
                      (*isa)->name, count, i, (double)output[i], (double)first[i]);
            }
            if (first == NULL) first = memcpy(allocate(count, sizeof *first), output, count * sizeof *first);
        }
    free(first);
}

void check_numbers_stages_average_and_softmax(void) {
    static const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0, -0.0f, 0x1p-149f};
    uint64_t state = test_seed();
    float *values = allocate(3000, sizeof *values);
    for (size_t count = 1; count <= 3000; count += count < 100 ? 1 : 967)
        for (int kind = 0; kind < 6; kind++) {
            for (size_t i = 0; i < count; i++)
                values[i] = kind == 0   ? random_uniform(&state)
                            : kind == 1 ? random_uniform(&state) * 60
                            : kind == 2 ? random_wide(&state, -149, 127)
                            : kind == 3 ? random_wide(&state, 2, 9)
                                        : random_uniform(&state) * 10;
            if (kind >= 4) values[random_below(&state, count)] = specials[random_below(&state, 8)];
            if (kind == 5) values[random_below(&state, count)] = specials[random_below(&state, 8)];
            check_softmax(values, count);
            if (count % 2 == 0) check_average(values, 2, 1, count / 2);
            check_average(values, 1, count, 1);
        }
    free(values);
}

void check_numbers_stages_relu(void) {
    uint64_t state = test_seed();
    float values[SEVERAL_VECTORS];
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        for (size_t count = 1; count <= SEVERAL_VECTORS; count++)
            for (size_t offset = 0; offset < 16; offset++)
                for (int in_place = 0; in_place < 2; in_place++) {
                    fill_mixed(&state, values, count);
                    check_relu(*isa, values, count, offset, in_place, count % 2 ? AT_START : AT_END);
                }
    }
}
