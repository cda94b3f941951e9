/* SPDX-License-Identifier: MIT */
/* Layers of every kind: filters, strides, padding, layouts, pools, activations. */
#include "problem.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHANNELS = 40, LARGEST_FILTER = 7, LARGEST_STRIDE = 3 };

/* Around the lengths of vectors. */
static size_t some_channels(uint64_t *state) {
    static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, MOST_CHANNELS};
    size_t n = sizeof counts / sizeof *counts;
    return counts[random_below(state, random_below(state, 4) ? n - 6 : n)];
}

/* A layer of this filter and stride, the rest by chance: padding up to 3, or one more than the filter, and so that some
 * windows lie in it alone. */
static convpool_layer_spec some_layer(uint64_t *state, size_t height, size_t width, size_t down, size_t across) {
    static float slopes[MOST_CHANNELS];
    static const float parameters[] = {0, 0.25f, 1, 1.5f, -0.5f, -2};
    convpool_layer_spec s = {.in_channels = some_channels(state),
                             .out_channels = some_channels(state),
                             .filter_height = height,
                             .filter_width = width,
                             .stride_height = down,
                             .stride_width = across};
    size_t *const pads[] = {&s.pad_top, &s.pad_left, &s.pad_bottom, &s.pad_right};
    for (size_t i = 0; i < 4 && random_below(state, 3) > 0; i++)
        *pads[i] = random_below(state, random_below(state, 8) ? 4 : (i % 2 ? width : height) + 2);
    size_t tall = s.pad_top + s.pad_bottom, wide = s.pad_left + s.pad_right;
    s.in_height = (height > tall ? height - tall : 1) + random_below(state, 4 * down + 1);
    s.in_width = (width > wide ? width - wide : 1) + random_below(state, (random_below(state, 4) ? 5 : 21) * across);
    s.filter = (convpool_filter)random_below(state, 2);
    s.pool = (convpool_pool)random_below(state, 3);
    s.activation = (convpool_activation)random_below(state, 8);
    s.weights_layout = (convpool_weights_layout)random_below(state, 3);
    s.input_layout = (convpool_image_layout)random_below(state, 2);
    s.output_layout = (convpool_image_layout)random_below(state, 2);
    s.activation_parameter = parameters[random_below(state, sizeof parameters / sizeof *parameters)];
    for (size_t o = 0; o < MOST_CHANNELS; o++)
        slopes[o] = parameters[random_below(state, s.activation_parameter < 0 ? 6 : 4)];
    s.slopes = s.activation == CONVPOOL_ACTIVATION_PRELU ? slopes : NULL;
    extents e = extents_of(&s);
    if (e.out_height == 0 || e.out_width == 0) s.pool = CONVPOOL_POOL_NONE;
    return s;
}

typedef void trial(const convpool_layer_spec *spec, uint64_t *state);

/* Every filter and every stride; of 1x1 to 7x7 filters, and of some as large as the image. */
static void for_each_filter(size_t times, trial *body) {
    uint64_t state = test_seed();
    for (size_t height = 1; height <= LARGEST_FILTER; height++)
        for (size_t width = 1; width <= LARGEST_FILTER; width++)
            for (size_t n = 0; n < LARGEST_STRIDE * LARGEST_STRIDE * times; n++) {
                if (!in_sample(&state, 1)) continue;
                convpool_layer_spec s =
                    some_layer(&state, height, width, 1 + n % LARGEST_STRIDE, 1 + n / LARGEST_STRIDE % LARGEST_STRIDE);
                if (random_below(&state, 12) == 0) { /* a dense layer */
                    s.in_height = height, s.in_width = width, s.pool = CONVPOOL_POOL_NONE;
                    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 0;
                }
                body(&s, &state);
            }
}

/* The same of the filters and strides that Winograd's algorithms know. */
static void for_each_square(size_t times, trial *body) {
    static const size_t filters[] = {2, 3, 5};
    uint64_t state = test_seed();
    for (size_t n = 0; n < 3 * times; n++) {
        if (!in_sample(&state, 1)) continue;
        size_t filter = filters[n % 3];
        convpool_layer_spec s = some_layer(&state, filter, filter, 1, 1);
        if (random_below(&state, 4) == 0) {
            s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 0;
            s.in_height = s.in_width = filter;
            s.pool = random_below(&state, 2) ? CONVPOOL_POOL_NONE : CONVPOOL_POOL_MAX_2X2_CEIL;
        }
        s.in_height += random_below(&state, 20);
        s.in_width += random_below(&state, 20);
        body(&s, &state);
    }
}

/* First layers of networks: few input channels, rows of many lengths, some of which are cut. */
static void for_each_first_layer(size_t times, trial *body) {
    uint64_t state = test_seed();
    for (size_t n = 0; n < times; n++) {
        if (!in_sample(&state, 1)) continue;
        convpool_layer_spec s =
            some_layer(&state, 1 + random_below(&state, LARGEST_FILTER), 1 + n % LARGEST_FILTER, 1, n % 8 ? 1 : 2);
        s.in_channels = 1 + random_below(&state, 4);
        s.in_height += random_below(&state, 4);
        s.in_width += random_below(&state, n % 16 ? 50 : 900);
        body(&s, &state);
    }
}

static void with_random_data(const convpool_layer_spec *spec, uint64_t *state) {
    problem p = problem_of(spec);
    problem_fill(&p, state);
    check_problem(&p, BOUND, random_below(state, 2) ? at_start : at_end);
    problem_free(&p);
}

void check_layers_every_combination(void) {
    for_each_filter(3, with_random_data);
    for_each_square(500, with_random_data);
    for_each_first_layer(400, with_random_data);
}

static void with_integers(const convpool_layer_spec *spec, uint64_t *state) {
    convpool_layer_spec s = *spec;
    static float slopes[MOST_CHANNELS];
    for (size_t o = 0; o < MOST_CHANNELS; o++)
        slopes[o] = (float)random_below(state, 7) - 3;
    s.activation_parameter = slopes[0];
    if (s.slopes != NULL) s.slopes = slopes;
    if (s.activation > CONVPOOL_ACTIVATION_PRELU) s.activation = CONVPOOL_ACTIVATION_RELU;
    problem p = problem_of(&s);
    for (size_t i = 0; i < p.e.in; i++)
        p.input[i] = (float)random_below(state, 17) - 8;
    for (size_t i = 0; i < p.e.weights; i++)
        p.weights[i] = (float)random_below(state, 17) - 8;
    for (size_t i = 0; i < s.out_channels; i++)
        p.bias[i] = (float)random_below(state, 2001) - 1000;
    check_problem(&p, EXACT, at_end);
    problem_free(&p);
}

void check_layers_small_integers_are_exact(void) {
    for_each_filter(1, with_integers);
    for_each_square(150, with_integers);
}

static void with_special_values(const convpool_layer_spec *spec, uint64_t *state) {
    static const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1p124f, -0.0f, 0x1p-140f};
    static float slopes[MOST_CHANNELS];
    convpool_layer_spec s = *spec;
    for (size_t o = 0; o < MOST_CHANNELS; o++)
        slopes[o] = random_below(state, 6) ? random_uniform(state) : specials[random_below(state, 7)];
    if (random_below(state, 4) == 0) s.activation_parameter = slopes[0];
    if (s.slopes != NULL) s.slopes = slopes;
    problem p = problem_of(&s);
    problem_fill(&p, state);
    for (size_t n = 1 + random_below(state, 6); n > 0; n--)
        p.input[random_below(state, p.e.in)] = specials[random_below(state, 7)];
    if (random_below(state, 4) == 0) p.weights[random_below(state, p.e.weights)] = specials[random_below(state, 7)];
    if (random_below(state, 4) == 0) p.bias[random_below(state, s.out_channels)] = specials[random_below(state, 7)];
    check_problem(&p, BITS, at_end);
    problem_free(&p);
}

void check_layers_special_values(void) {
    for_each_filter(1, with_special_values);
    for_each_square(300, with_special_values);
    for_each_first_layer(150, with_special_values);
}

/* Into three bands of rows, one of which may be empty. */
static void in_bands(const convpool_layer_spec *spec, uint64_t *state) {
    problem p = problem_of(spec);
    problem_fill(&p, state);
    if (random_below(state, 3) == 0) p.input[random_below(state, p.e.in)] = NAN;
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(spec, &k, &info);) {
        convpool_layer *layer = guarded_layer(&p, info.name, at_end);
        float *input = put(INPUT, p.input, p.e.in * sizeof(float), AT_END, 0);
        void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), AT_END, 0);
        whole_run whole = run_whole(&p, layer, input, scratch);
        size_t rows = p.e.out_height, first = random_below(state, rows + 1),
               second = first + random_below(state, rows - first + 1);
        check_rows(&p, layer, input, &whole, scratch, 0, first);
        check_rows(&p, layer, input, &whole, scratch, first, second - first);
        check_rows(&p, layer, input, &whole, scratch, second, rows - second);
        free(whole.output);
    }
    problem_free(&p);
}

void check_layers_every_split_gives_the_same_bits(void) {
    for_each_filter(1, in_bands);
    for_each_square(150, in_bands);
    for_each_first_layer(100, in_bands);
}

/* Bands of the source: images of which only a part is copied at a time. */
void check_layers_large_images(void) {
    uint64_t state = test_seed();
    for (unsigned i = 0; i < 12; i++) {
        convpool_layer_spec s = some_layer(&state, 1 + i % 4, 1 + i % 3, 1 + i % 3, 1 + i % 2);
        s.in_channels = 11, s.out_channels = 3, s.in_height = 60, s.in_width = 230 + i;
        s.pool = (convpool_pool)(i % 3);
        with_random_data(&s, &state);
        in_bands(&s, &state);
    }
}

/* Each activation of each number, through a layer that hands them on: to the last bit, and as exactly as promised. */
static void check_activations(const float *x, size_t count, float parameter) {
    static const float one = 1;
    float *y = allocate(count, sizeof *y);
    for (int activation = 0; activation <= CONVPOOL_ACTIVATION_ELU; activation++) {
        convpool_layer_spec s = {.in_channels = 1,
                                 .in_height = 1,
                                 .in_width = count,
                                 .out_channels = 1,
                                 .pool = CONVPOOL_POOL_NONE,
                                 .activation = (convpool_activation)activation,
                                 .filter_height = 1,
                                 .filter_width = 1,
                                 .activation_parameter = parameter,
                                 .slopes = &parameter};
        convpool_kernel_info info;
        for (size_t k = 0; next_kernel(&s, &k, &info);) {
            s.kernel = info.name;
            convpool_layer *layer = NULL;
            CHECK(convpool_layer_create(&s, &one, NULL, &layer) == CONVPOOL_OK, "%s", describe(&s));
            void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
            forget_exceptions();
            CHECK(convpool_layer_run(layer, x, y, scratch) == CONVPOOL_OK, "%s", describe(&s));
            CHECK(exceptions_raised() == 0 || !isfinite(largest_magnitude(x, count)), "%s raises %s", describe(&s),
                  exception_names(exceptions_raised()));
            for (size_t i = 0; i < count; i++) {
                float expected = reference_activation(&s, 0, x[i] + 0);
                double exact = exact_activation(&s, 0, (double)x[i]);
                CHECK(equal(y[i], expected, false), "%s of %a is %a, not %a", describe(&s), (double)x[i], (double)y[i],
                      (double)expected);
                CHECK(isnan(x[i]) || !isfinite(exact) ||
                          fabs((double)y[i] - exact) <= 4 * 0x1p-24 * fabs(exact) + 0x1p-149,
                      "%s of %a is %a, not %a", describe(&s), (double)x[i], (double)y[i], exact);
                bool inside = (activation != CONVPOOL_ACTIVATION_SIGMOID || (y[i] >= 0 && y[i] <= 1)) &&
                              (activation != CONVPOOL_ACTIVATION_TANH || (y[i] >= -1 && y[i] <= 1));
                CHECK(isnan(x[i]) ? isnan(y[i]) : inside, "%s of %a is %a", describe(&s), (double)x[i], (double)y[i]);
            }
            free(scratch);
            convpool_layer_destroy(layer);
        }
    }
    free(y);
}

void check_layers_activations_are_exact_enough(void) {
    enum { EACH = 1 << 15 };
    uint64_t state = test_seed();
    float *x = allocate(EACH, sizeof *x);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < EACH; i++)
            x[i] = round == 0   ? random_uniform(&state) * 100
                   : round == 1 ? random_uniform(&state)
                   : round == 2 ? random_wide(&state, -149, 6)
                                : (float)((double)random_below(&state, 300) * 0.34657359027997264 - 52) *
                                      (1 + random_uniform(&state) * 0x1p-20f); /* where exp() is reduced */
        check_activations(x, EACH, round == 0 ? 1 : 0.75f);
    }
    const float edges[] = {0,        -0.0f,     NAN,        INFINITY, -INFINITY,     FLT_MAX, -FLT_MAX, FLT_MIN,
                           -FLT_MIN, 0x1p-149f, -0x1p-149f, 6,        0x1.800002p2f, -87.5f,  -103.9f,  -104,
                           -105,     -106,      88.8f,      -17.4f,   -30,           -31};
    check_activations(edges, sizeof edges / sizeof *edges, 1);
    check_activations(edges + 3, 2, 1);
    check_activations(edges + 5, sizeof edges / sizeof *edges - 5, 0.5f); /* finite: no exception is raised */
    const float positive[] = {0, 1, 0x1p-149f, FLT_MAX, 6, 3};
    check_activations(positive, sizeof positive / sizeof *positive, INFINITY); /* nor by a slope that is not taken */
    free(x);
}

/* The functions of which the maximum is taken first never fall. */
void check_layers_monotone_activations_never_fall(void) {
    enum { EACH = 4096 };
    uint64_t state = test_seed();
    float *x = allocate(EACH, sizeof *x), *y = allocate(EACH, sizeof *y);
    static const float one = 1;
    for (int round = 0; round < 200; round++) {
        float from = -ldexpf(1 + (float)random_below(&state, 1 << 20) * 0x1p-20f, (int)random_below(&state, 30) - 24);
        for (size_t i = 0; i < EACH; i++, from = nextafterf(from, INFINITY))
            x[i] = from;
        for (int activation = CONVPOOL_ACTIVATION_TANH; activation <= CONVPOOL_ACTIVATION_ELU; activation++) {
            convpool_layer_spec s = {.in_channels = 1,
                                     .in_height = 1,
                                     .in_width = EACH,
                                     .out_channels = 1,
                                     .pool = CONVPOOL_POOL_NONE,
                                     .activation = (convpool_activation)activation,
                                     .kernel = "direct",
                                     .filter_height = 1,
                                     .filter_width = 1,
                                     .activation_parameter = 0.7f};
            convpool_layer *layer = NULL;
            convpool_status status = convpool_layer_create(&s, &one, NULL, &layer);
            if (status == CONVPOOL_KERNEL_UNKNOWN || status == CONVPOOL_KERNEL_UNSUPPORTED) break;
            void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
            CHECK(convpool_layer_run(layer, x, y, scratch) == CONVPOOL_OK, "%s", describe(&s));
            for (size_t i = 1; i < EACH; i++)
                CHECK(y[i] >= y[i - 1], "%s falls from %a to %a at %a", describe(&s), (double)y[i - 1], (double)y[i],
                      (double)x[i]);
            free(scratch);
            convpool_layer_destroy(layer);
        }
    }
    free(x);
    free(y);
}
