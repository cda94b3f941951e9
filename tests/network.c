/* SPDX-License-Identifier: MIT */
/* Networks, held to their stages taken one by one, and every error of their functions. */
#include "network.h"

#include "problem.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Holds a network to the bounds of the header. */
static void check_bounds(const convpool_stage *stages, size_t count, const convpool_network *network) {
    size_t layers = 0, image = 0, scratch = 0, e[3];
    convpool_network_input_shape(network, &e[0], &e[1], &e[2]);
    for (size_t i = 0; i < count; i++) {
        const convpool_layer_spec *s = &stages[i].spec;
        size_t height = or_else(s->filter_height, 2), width = or_else(s->filter_width, 2);
        if (image < 4 * e[0] * e[1] * e[2]) image = 4 * e[0] * e[1] * e[2];
        if (stages[i].kind == CONVPOOL_STAGE_LAYER) {
            size_t of_layer =
                CONVPOOL_LAYER_SCRATCH_MAX_FILTER(e[0], s->pad_top + e[1] + s->pad_bottom,
                                                  s->pad_left + e[2] + s->pad_right, s->out_channels, height, width);
            layers += CONVPOOL_LAYER_MEMORY_MAX_FILTER(e[0], s->out_channels, height, width);
            if (scratch < of_layer) scratch = of_layer;
        } else if (stages[i].kind == CONVPOOL_STAGE_DEPTHWISE) {
            layers += CONVPOOL_LAYER_MEMORY_MAX_FILTER(1, e[0], height, width);
        } else {
            layers += 8 * or_else(s->in_channels, e[0]);
        }
        convpool_network *prefix = NULL;
        if (convpool_network_create(stages, i + 1, &prefix) != CONVPOOL_OK) abort();
        convpool_network_output_shape(prefix, &e[0], &e[1], &e[2]);
        convpool_network_destroy(prefix);
    }
    if (image < 4 * e[0] * e[1] * e[2]) image = 4 * e[0] * e[1] * e[2]; /* it may have to be turned */
    size_t bytes = convpool_network_memory_size(stages, count), most = CONVPOOL_NETWORK_MEMORY_MAX(count, layers);
    CHECK(bytes <= most, "%zu bytes of memory, at most %zu", bytes, most);
    bytes = convpool_network_scratch_size(network), most = CONVPOOL_NETWORK_SCRATCH_MAX(image, scratch);
    CHECK(bytes <= most, "%zu bytes of scratch, at most %zu", bytes, most);
}

static convpool_network *guarded_network(const convpool_stage *stages, size_t count, place where, size_t gap) {
    size_t bytes = convpool_network_memory_size(stages, count);
    convpool_network *network = NULL;
    void *memory = put(MEMORY, NULL, bytes, where, gap);
    convpool_status status = convpool_network_create_in(stages, count, memory, bytes, &network);
    CHECK(status == CONVPOOL_OK && bytes > 0, "%zu stages: %s", count, convpool_status_string(status));
    CHECK(vector_state_is_clean(), "%s", "create_in leaves vectors dirty");
    return network;
}

static void check_run(const convpool_stage *stages, size_t count, const convpool_isa *isa, const float *input,
                      bool finite, uint64_t *state) {
    place where = random_below(state, 2) ? AT_START : AT_END;
    convpool_network *network = guarded_network(stages, count, where, random_below(state, 65));
    if (network == NULL) return;
    size_t e[3], o[3];
    check_bounds(stages, count, network);
    convpool_network_input_shape(network, &e[0], &e[1], &e[2]);
    convpool_network_output_shape(network, &o[0], &o[1], &o[2]);
    size_t in = e[0] * e[1] * e[2], out = o[0] * o[1] * o[2], bytes = convpool_network_scratch_size(network);
    float *expected = reference_network(stages, count, network, isa->fused, input);
    float *x = put(INPUT, input, in * sizeof *x, where, 4 * random_below(state, 9));
    float *y = put(OUTPUT, NULL, out * sizeof *y, where, 4 * random_below(state, 9));
    void *scratch = put(SCRATCH, NULL, bytes, where, random_below(state, 65));
    for (int again = 0; again < 2; again++) { /* what is left in scratch does not count */
        forget_exceptions();
        convpool_status status = convpool_network_run(network, x, y, scratch);
        unsigned raised = exceptions_raised();
        CHECK(status == CONVPOOL_OK, "%s: %s", isa->name, convpool_status_string(status));
        CHECK(raised == 0 || !finite, "%s, %zu stages: raises %s", isa->name, count, exception_names(raised));
        CHECK(vector_state_is_clean(), "%s: run leaves vectors dirty", isa->name);
        for (size_t i = 0; i < out; i++)
            if (!CHECK(equal(y[i], expected[i], false), "%s, stages %zu, the last %d, output %zu of %zu: %a, not %a",
                       isa->name, count, (int)stages[count - 1].kind, i, out, (double)y[i], (double)expected[i]))
                break;
        CHECK(memcmp(x, input, in * sizeof *x) == 0, "%s: the input changed", isa->name);
    }
    CHECK(piece_intact(INPUT) && piece_intact(OUTPUT) && piece_intact(SCRATCH) && piece_intact(MEMORY),
          "%s: written outside", isa->name);
    convpool_network_destroy(network);
    free(expected);
}

void check_network(const convpool_stage *stages, size_t count, const float *input, bool finite, uint64_t *state) {
    convpool_stage *copies = allocate(count, sizeof *copies);
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        memcpy(copies, stages, count * sizeof *copies);
        for (size_t i = 0; i < count; i++)
            copies[i].spec.kernel = (*isa)->name;
        check_run(copies, count, *isa, input, finite, state);
    }
    free(copies);
}

/* ---- Networks by chance ---- */

enum { MOST_STAGES = 6, MOST_CHANNELS = 40, MOST_WEIGHTS = MOST_CHANNELS * MOST_CHANNELS * 36 };
enum { MOST_NUMBERS = MOST_WEIGHTS / 3 }; /* for each a weight, a bias and a slope */
static float weights[MOST_STAGES][MOST_WEIGHTS], bias[MOST_STAGES][MOST_CHANNELS], slopes[MOST_STAGES][MOST_CHANNELS];

static size_t some_channels(uint64_t *state) {
    static const size_t counts[] = {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, MOST_CHANNELS};
    return counts[random_below(state, sizeof counts / sizeof *counts)];
}

/* At most a window of 3 and the image, or such that none lies in padding alone. */
static void some_pool(uint64_t *state, const size_t e[3], convpool_layer_spec *s) {
    s->filter_height = 1 + random_below(state, e[1] < 3 ? e[1] : 3);
    s->filter_width = 1 + random_below(state, e[2] < 3 ? e[2] : 3);
    s->pad_top = random_below(state, s->filter_height), s->pad_left = random_below(state, s->filter_width);
    s->pad_bottom = random_below(state, s->filter_height), s->pad_right = random_below(state, s->filter_width);
    s->stride_height = 1 + random_below(state, s->filter_height);
    s->stride_width = 1 + random_below(state, s->filter_width);
    if (e[1] > 2 && e[2] > 2 && random_below(state, 3) == 0) *s = (convpool_layer_spec){.in_channels = 0};
}

/* Windows up to 5 and the padded image, which may lie in padding alone. */
static void some_depthwise(uint64_t *state, const size_t e[3], convpool_layer_spec *s) {
    s->pad_top = random_below(state, 5) / 2, s->pad_left = random_below(state, 5) / 2;
    s->pad_bottom = random_below(state, 5) / 2, s->pad_right = random_below(state, 5) / 2;
    size_t height = s->pad_top + e[1] + s->pad_bottom, width = s->pad_left + e[2] + s->pad_right;
    s->filter_height = 1 + random_below(state, height < 5 ? height : 5);
    s->filter_width = 1 + random_below(state, width < 5 ? width : 5);
    if (height >= 3 && width >= 3 && random_below(state, 2)) s->filter_height = s->filter_width = 3;
    s->stride_height = random_below(state, 3), s->stride_width = random_below(state, 4);
    s->filter = (convpool_filter)random_below(state, 2);
    s->weights_layout = (convpool_weights_layout)random_below(state, 3);
    s->pool = (convpool_pool)random_below(state, 3); /* which does not count */
}

static void some_layer(uint64_t *state, const size_t e[3], convpool_layer_spec *s) {
    bool dense = e[1] * e[2] <= 36 && random_below(state, 4) == 0;
    s->out_channels = some_channels(state);
    s->filter_height = dense ? e[1] : 1 + random_below(state, e[1] < 5 ? e[1] : 5);
    s->filter_width = dense ? e[2] : random_below(state, 2) && s->filter_height <= e[2] ? s->filter_height : 1;
    s->pool = dense ? CONVPOOL_POOL_NONE : (convpool_pool)random_below(state, 3);
    if (!dense && random_below(state, 2)) s->pad_top = s->pad_left = s->pad_bottom = s->pad_right = 1;
    s->weights_layout = (convpool_weights_layout)random_below(state, 3);
    convpool_layer_spec whole = *s;
    whole.in_channels = e[0], whole.in_height = e[1], whole.in_width = e[2];
    extents out = extents_of(&whole);
    if (out.out_height == 0 || out.out_width == 0) s->pool = CONVPOOL_POOL_NONE;
}

/* Has a stage take the image as one pixel. */
static void take_numbers(const size_t e[3], const float *values, convpool_stage *s) {
    s->spec.in_channels = e[0] * e[1] * e[2], s->spec.in_height = s->spec.in_width = 1;
    s->weights = values;
    if (s->bias != NULL) s->bias = values + MOST_NUMBERS;
    s->spec.slopes = values + 2 * MOST_NUMBERS;
}

/* A stage that fits an image of extents e, which become those of what comes out. */
static convpool_stage some_stage(uint64_t *state, size_t n, size_t e[3]) {
    convpool_stage s = {.kind = (convpool_stage_kind)random_below(state, 11), .weights = weights[n]};
    if (s.kind > CONVPOOL_STAGE_LOG_SOFTMAX) s.kind = CONVPOOL_STAGE_DEPTHWISE;
    if (random_below(state, 3) == 0) s.kind = CONVPOOL_STAGE_LAYER;
    bool softmax = s.kind == CONVPOOL_STAGE_SOFTMAX || s.kind == CONVPOOL_STAGE_LOG_SOFTMAX;
    if (softmax && (e[1] > 1 || e[2] > 1)) s.kind = CONVPOOL_STAGE_ACTIVATION;
    bool global = s.kind == CONVPOOL_STAGE_GLOBAL_MAX || s.kind == CONVPOOL_STAGE_GLOBAL_AVERAGE;
    bool pool = s.kind == CONVPOOL_STAGE_MAX_POOL || s.kind == CONVPOOL_STAGE_AVERAGE_POOL;
    s.bias = random_below(state, 3) ? bias[n] : NULL;
    if (pool) some_pool(state, e, &s.spec);
    if (s.kind == CONVPOOL_STAGE_LAYER) some_layer(state, e, &s.spec);
    if (s.kind == CONVPOOL_STAGE_DEPTHWISE) some_depthwise(state, e, &s.spec);
    s.spec.activation = (convpool_activation)random_below(state, 8);
    s.spec.activation_parameter = random_uniform(state) * 2;
    s.spec.slopes = slopes[n];
    s.spec.in_channels = random_below(state, 2) && n > 0 ? 0 : e[0];
    s.spec.in_height = random_below(state, 2) && n > 0 ? 0 : e[1];
    s.spec.in_width = random_below(state, 2) && n > 0 ? 0 : e[2];
    s.spec.input_layout = (convpool_image_layout)random_below(state, 2);
    s.spec.output_layout = (convpool_image_layout)random_below(state, 2);
    bool numbers = s.kind == CONVPOOL_STAGE_SCALE || s.kind == CONVPOOL_STAGE_ACTIVATION;
    if (numbers && n > 0 && e[0] * e[1] * e[2] <= MOST_NUMBERS && random_below(state, 3) == 0)
        take_numbers(e, weights[n], &s);
    convpool_layer_spec whole = s.spec;
    whole.in_height = e[1], whole.in_width = e[2], whole.in_channels = e[0];
    if (pool) {
        whole.filter_height = or_else(whole.filter_height, 2), whole.filter_width = or_else(whole.filter_width, 2);
        whole.stride_height = or_else(whole.stride_height, whole.filter_height);
        whole.stride_width = or_else(whole.stride_width, whole.filter_width);
    }
    if (s.kind != CONVPOOL_STAGE_LAYER) whole.pool = CONVPOOL_POOL_NONE;
    extents out = extents_of(&whole);
    if (pool || s.kind == CONVPOOL_STAGE_DEPTHWISE || s.kind == CONVPOOL_STAGE_LAYER)
        e[1] = out.out_height, e[2] = out.out_width;
    if (s.kind == CONVPOOL_STAGE_LAYER) e[0] = s.spec.out_channels;
    if (global) e[1] = e[2] = 1;
    return s;
}

static void networks_by_chance(size_t times, bool specials) {
    static const float special[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1p124f, -0.0f, 0x1p-140f};
    uint64_t state = test_seed();
    for (size_t n = 0; n < times; n++) {
        convpool_stage stages[MOST_STAGES];
        if (!in_sample(&state, 1)) continue;
        size_t e[3] = {some_channels(&state), 1 + random_below(&state, 16), 1 + random_below(&state, 16)};
        size_t count = 1 + random_below(&state, MOST_STAGES), in = e[0] * e[1] * e[2];
        float *input = allocate(in, sizeof *input);
        random_fill(&state, input, in);
        for (size_t i = 0; i < count; i++) {
            random_fill(&state, weights[i], MOST_WEIGHTS);
            random_fill(&state, bias[i], MOST_CHANNELS);
            random_fill(&state, slopes[i], MOST_CHANNELS);
            stages[i] = some_stage(&state, i, e);
        }
        for (size_t i = 0; i < 3 && specials; i++)
            input[random_below(&state, in)] = special[random_below(&state, 7)];
        if (specials) weights[random_below(&state, count)][random_below(&state, 9)] = special[random_below(&state, 7)];
        check_network(stages, count, input, !specials, &state);
        free(input);
    }
}

void check_network_is_its_stages(void) { networks_by_chance(1500, false); }
void check_network_special_values(void) { networks_by_chance(700, true); }

void check_network_log_softmax_is_exact_enough(void) {
    uint64_t state = test_seed();
    float values[100], first[100], result[100];
    for (size_t n = 0; n < 600; n++) {
        size_t count = 1 + random_below(&state, n % 2 ? 100 : 12);
        double largest = -INFINITY, sum = 0, scale = n % 3 ? 10 : n % 5 ? 1e-3 : 1e30;
        for (size_t i = 0; i < count; i++) {
            values[i] = (float)scale * random_uniform(&state);
            largest = fmax(largest, (double)values[i]);
        }
        for (size_t i = 0; i < count; i++)
            sum += exp((double)values[i] - largest);
        const float *same = NULL;
        for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
            if ((*isa)->needs & ~convpool_cpu_features()) continue;
            convpool_stage stage = {.kind = CONVPOOL_STAGE_LOG_SOFTMAX,
                                    .spec = {.in_channels = count, .in_height = 1, .in_width = 1}};
            stage.spec.kernel = (*isa)->name;
            convpool_network *network = NULL;
            if (convpool_network_create(&stage, 1, &network) != CONVPOOL_OK) abort();
            CHECK(convpool_network_scratch_size(network) == 0, "%s", "one stage alone needs no scratch");
            CHECK(convpool_network_run(network, values, result, NULL) == CONVPOOL_OK, "%s", (*isa)->name);
            for (size_t i = 0; i < count; i++) {
                double exact = (double)values[i] - largest - log(sum);
                CHECK(fabs((double)result[i] - exact) <= 4 * 0x1p-24 * fmax(1, fabs(exact)), "%s: %a, not %a",
                      (*isa)->name, (double)result[i], exact);
            }
            CHECK(same == NULL || memcmp(first, result, count * sizeof *result) == 0, "%s", (*isa)->name);
            same = memcpy(first, result, sizeof first);
            convpool_network_destroy(network);
        }
    }
}

/* ---- Errors ---- */

/* A network that is right, of which each row changes one thing. */
static void right(convpool_stage stages[4]) {
    memset(stages, 0, 4 * sizeof *stages);
    stages[0].spec.in_channels = 3, stages[0].spec.in_height = 9, stages[0].spec.in_width = 10;
    stages[0].spec.out_channels = 8;
    stages[0].weights = weights[0], stages[0].bias = bias[0];
    stages[1].kind = CONVPOOL_STAGE_MAX_POOL;
    stages[2].spec.out_channels = 5, stages[2].spec.filter_height = stages[2].spec.filter_width = 2;
    stages[2].spec.pool = CONVPOOL_POOL_NONE;
    stages[2].weights = weights[2];
    stages[3].kind = CONVPOOL_STAGE_SOFTMAX;
}

enum { ARGUMENT = CONVPOOL_INVALID_ARGUMENT, SHAPE = CONVPOOL_INVALID_SHAPE, WRONG = 46 };

static void depthwise(convpool_stage *s) { s->kind = CONVPOOL_STAGE_DEPTHWISE, s->weights = weights[1]; }

/* Makes what is right wrong, in the way of this number; returns the status to expect. */
static int spoil(convpool_stage s[4], size_t row) {
    const size_t vast = SIZE_MAX / 2 + 1;
    const convpool_layer_spec numbers = {.in_channels = 8 * 4 * 4, .in_height = 1, .in_width = 1};
    switch (row) {
    case 0: s[1].kind = (convpool_stage_kind)9; return ARGUMENT;
    case 1: s[1].kind = (convpool_stage_kind)-1; return ARGUMENT;
    case 2: s[0].weights = NULL; return ARGUMENT;
    case 3: s[3].kind = CONVPOOL_STAGE_SCALE; return ARGUMENT;
    case 4: s[2].spec.activation = CONVPOOL_ACTIVATION_PRELU; return ARGUMENT;
    case 5: s[3].kind = CONVPOOL_STAGE_ACTIVATION, s[3].spec.activation = CONVPOOL_ACTIVATION_PRELU; return ARGUMENT;
    case 6: s[1].spec.activation = (convpool_activation)8; return ARGUMENT;
    case 7: s[1].spec.input_layout = (convpool_image_layout)2; return ARGUMENT;
    case 8: s[2].spec.weights_layout = (convpool_weights_layout)3; return ARGUMENT;
    case 9: s[2].spec.pool = (convpool_pool)3; return ARGUMENT;
    case 10: s[2].weights = NULL, s[2].spec.in_channels = 9; return ARGUMENT; /* before the shape */
    case 11: s[0].spec.in_channels = 0; return SHAPE;
    case 12: s[0].spec.in_width = 0; return SHAPE;
    case 13: s[0] = (convpool_stage){.kind = CONVPOOL_STAGE_GLOBAL_MAX}; return SHAPE;
    case 14: s[1].spec.in_channels = 7; return SHAPE;
    case 15: s[3].spec.in_height = 2; return SHAPE;
    case 16: s[2].spec.filter_height = 3; return SHAPE;
    case 17: s[2].spec.out_channels = 0; return SHAPE;
    case 18: s[1].spec.filter_width = 5; return SHAPE;
    case 19: s[1].spec.pad_top = 2; return SHAPE;
    case 20: s[1].spec.pad_bottom = 2; return SHAPE;
    case 21: s[1].spec.pad_right = vast; return SHAPE;
    case 22: s[1].spec.pad_left = s[1].spec.pad_right = vast; return SHAPE;
    case 23: s[1].spec.filter_height = s[1].spec.pad_top = vast; return SHAPE;
    case 24: s[2] = (convpool_stage){.kind = CONVPOOL_STAGE_LOG_SOFTMAX}; return SHAPE;
    case 25: s[2].spec.pad_top = vast; return SHAPE;
    case 26: s[0].spec.in_height = s[0].spec.in_width = vast; return SHAPE;
    case 27: s[1].spec.kernel = "avx3"; return CONVPOOL_KERNEL_UNKNOWN;
    case 28: s[2].spec.kernel = "winograd22x"; return CONVPOOL_KERNEL_UNKNOWN;
    case 29: s[0].spec.kernel = "avx3", s[1].kind = (convpool_stage_kind)9; return CONVPOOL_KERNEL_UNKNOWN;
    case 30: s[1].spec.in_channels = 8 * 4 * 4, s[1].spec.in_height = s[1].spec.in_width = 1; return SHAPE;
    case 31: s[1].kind = CONVPOOL_STAGE_ACTIVATION, s[1].spec.in_channels = 8 * 4 * 4; return SHAPE; /* of 4x4 pixels */
    case 32: s[1].kind = CONVPOOL_STAGE_ACTIVATION, s[1].spec = numbers, s[1].spec.in_channels = 8 * 4; return SHAPE;
    case 33: s[1].kind = CONVPOOL_STAGE_SCALE, s[1].spec = numbers; return ARGUMENT;
    case 34:
        s[0] = (convpool_stage){.kind = CONVPOOL_STAGE_ACTIVATION, .spec = {.in_height = 1, .in_width = 1}};
        return SHAPE;
    case 35: s[1].kind = CONVPOOL_STAGE_DEPTHWISE; return ARGUMENT; /* without weights */
    case 36: s[1].kind = (convpool_stage_kind)(CONVPOOL_STAGE_DEPTHWISE - 1); return ARGUMENT;
    case 37: s[1].kind = (convpool_stage_kind)(CONVPOOL_STAGE_DEPTHWISE + 1); return ARGUMENT;
    case 38: depthwise(&s[1]), s[1].spec.activation = CONVPOOL_ACTIVATION_PRELU; return ARGUMENT;
    case 39: depthwise(&s[1]), s[1].spec.filter_height = 5; return SHAPE;
    case 40: depthwise(&s[1]), s[1].spec.pad_left = vast; return SHAPE;
    case 41: depthwise(&s[1]), s[1].spec.stride_width = vast; return SHAPE;
    case 42: depthwise(&s[1]), s[1].spec.in_channels = 7; return SHAPE;
    case 43: depthwise(&s[1]), s[1].spec.filter_width = s[1].spec.pad_right = SIZE_MAX / 64; return SHAPE;
    case 44: depthwise(&s[1]), s[1].spec.stride_height = vast; return SHAPE;
    default: s[1].spec.pad_top = 2, s[2].weights = NULL; return SHAPE; /* the first that is wrong */
    }
}

/* Where a network is not to be made. */
static unsigned char memory[16384], before[sizeof memory];

void check_network_errors_of_create(void) {
    convpool_stage s[4];
    convpool_network *const set = (convpool_network *)(void *)weights;
    for (size_t row = 0; row < WRONG; row++) {
        right(s);
        int expected = spoil(s, row);
        convpool_network *network = set;
        CHECK((int)convpool_network_create(s, 4, &network) == expected && network == NULL, "row %zu", row);
        network = set;
        CHECK((int)convpool_network_create_in(s, 4, memory, 0, &network) == expected && network == NULL, "row %zu",
              row);
        CHECK(convpool_network_memory_size(s, 4) == 0, "row %zu", row);
    }
    right(s);
    CHECK(convpool_network_create(s, 4, NULL) == CONVPOOL_INVALID_ARGUMENT, "%s", "network");
    CHECK(convpool_network_create_in(s, 4, memory, sizeof memory, NULL) == CONVPOOL_INVALID_ARGUMENT, "%s", "network");
    CHECK(convpool_network_create(NULL, 4, &(convpool_network *){NULL}) == CONVPOOL_INVALID_ARGUMENT, "%s", "stages");
    CHECK(convpool_network_memory_size(NULL, 4) == 0 && convpool_network_memory_size(s, 0) == 0, "%s", "memory_size");
}

static void refuse_network(int line, convpool_status expected, const convpool_stage *s, size_t count, void *in,
                           size_t size) {
    convpool_network *network = (convpool_network *)(void *)weights;
    convpool_status got = convpool_network_create_in(s, count, in, size, &network);
    CHECK(got == expected && network == NULL, "line %d: %s", line, convpool_status_string(got));
    CHECK(memcmp(memory, before, sizeof memory) == 0, "line %d: written", line);
}

void check_network_errors_of_create_in(void) {
#define REFUSE(expected, ...) refuse_network(__LINE__, CONVPOOL_##expected, __VA_ARGS__)
    convpool_stage s[4];
    memset(before, CANARY, sizeof before), memset(memory, CANARY, sizeof memory);
    right(s);
    size_t needed = convpool_network_memory_size(s, 4);
    CHECK(needed > 0 && needed <= sizeof memory - 64, "%zu bytes", needed);
    REFUSE(INVALID_ARGUMENT, NULL, 4, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, s, 0, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, s, 4, NULL, sizeof memory);
    REFUSE(INVALID_SHAPE, s, SIZE_MAX, memory, sizeof memory);
    REFUSE(OUT_OF_MEMORY, s, 4, memory, needed - 1);
    float *inside = (float *)(void *)(memory + (needed - 64) / 4 * 4), *outside = inside + 16 + needed % 4;
    for (size_t i = 0; i < 4; i++) { /* a kernel's name: its last byte, or all of it */
        char *names[] = {(char *)memory + needed - 1, (char *)memory + 128};
        for (size_t k = 0; k < 2; k++) {
            memcpy(names[k], "", 1), memcpy(before + (names[k] - (char *)memory), "", 1);
            s[i].spec.kernel = names[k];
            REFUSE(INVALID_ARGUMENT, s, 4, memory, sizeof memory);
        }
        s[i].spec.kernel = NULL;
    }
    s[0].bias = inside;
    REFUSE(INVALID_ARGUMENT, s, 4, memory, sizeof memory);
    s[0].bias = NULL, s[3].kind = CONVPOOL_STAGE_SCALE, s[3].weights = inside;
    REFUSE(INVALID_ARGUMENT, s, 4, memory, sizeof memory);
    s[3].kind = CONVPOOL_STAGE_ACTIVATION, s[3].spec.activation = CONVPOOL_ACTIVATION_PRELU, s[3].spec.slopes = inside;
    REFUSE(INVALID_ARGUMENT, s, 4, memory, sizeof memory);
    right(s);
    depthwise(&s[1]), s[1].spec.stride_height = s[1].spec.stride_width = 2;
    s[1].weights = (float *)(void *)memory; /* the last one lies in what is given */
    REFUSE(INVALID_ARGUMENT, s, 4, memory + sizeof(float) * (8 * 2 * 2 - 1), sizeof memory - 1000);
    right(s);
    s[1].kind = CONVPOOL_STAGE_ACTIVATION, s[1].spec.activation = CONVPOOL_ACTIVATION_PRELU;
    s[1].spec.in_channels = 8 * 4 * 4, s[1].spec.in_height = s[1].spec.in_width = 1;
    s[3].kind = CONVPOOL_STAGE_GLOBAL_MAX;
    s[1].spec.slopes = (float *)(void *)memory; /* the last of one for each number lies in what is given */
    REFUSE(INVALID_ARGUMENT, s, 4, memory + sizeof(float) * (8 * 4 * 4 - 1), sizeof memory - 1000);
    right(s);
    s[3].kind = CONVPOOL_STAGE_ACTIVATION, s[3].spec.activation = CONVPOOL_ACTIVATION_PRELU, s[3].spec.slopes = inside;
    REFUSE(INVALID_ARGUMENT, s, 4, s, sizeof s + sizeof memory); /* the stages themselves; too little in truth */
    s[3].spec.slopes = outside;
    convpool_network *network = NULL;
    size_t bytes = convpool_network_memory_size(s, 4);
    if (outside >= (float *)(void *)(memory + bytes))
        CHECK(convpool_network_create_in(s, 4, memory, bytes, &network) == CONVPOOL_OK, "%s", "beside it");
}

void check_network_errors_of_run(void) {
    convpool_stage s[4];
    right(s);
    convpool_network *network = NULL;
    CHECK(convpool_network_create(s, 4, &network) == CONVPOOL_OK, "%s", "right");
    size_t bytes = convpool_network_scratch_size(network), e[3] = {0}, o[3] = {0};
    unsigned char *scratch = allocate(bytes, 1);
    float *x = weights[1], *y = weights[2];
    memset(s, 0xff, sizeof s); /* it has all that it needs */
    CHECK(convpool_network_run(NULL, x, y, scratch) == CONVPOOL_INVALID_ARGUMENT, "%s", "network");
    CHECK(convpool_network_run(network, NULL, y, scratch) == CONVPOOL_INVALID_ARGUMENT, "%s", "input");
    CHECK(convpool_network_run(network, x, NULL, scratch) == CONVPOOL_INVALID_ARGUMENT, "%s", "output");
    CHECK(convpool_network_run(network, x, y, NULL) == CONVPOOL_INVALID_ARGUMENT, "%s", "scratch");
    CHECK(convpool_network_run(network, x, x + 269, scratch) == CONVPOOL_INVALID_ARGUMENT, "%s", "overlap");
    CHECK(convpool_network_run(network, x, x + 270, scratch) == CONVPOOL_OK, "%s", "beside");
    CHECK(convpool_network_run(network, x, (float *)(void *)(scratch + bytes - 4), scratch) ==
              CONVPOOL_INVALID_ARGUMENT,
          "%s", "output in scratch");
    CHECK(convpool_network_run(network, (float *)(void *)scratch, y, scratch) == CONVPOOL_INVALID_ARGUMENT, "%s",
          "input in scratch");
    convpool_network_input_shape(network, &e[0], &e[1], &e[2]);
    convpool_network_output_shape(network, &o[0], NULL, &o[2]);
    CHECK(e[0] == 3 && e[1] == 9 && e[2] == 10 && o[0] == 5 && o[1] == 0 && o[2] == 1, "%s", "shapes");
    convpool_network_input_shape(NULL, &e[0], &e[1], &e[2]);
    convpool_network_output_shape(NULL, &e[0], &e[1], &e[2]);
    CHECK(e[0] == 3 && e[1] == 9 && e[2] == 10, "%s", "shapes of NULL");
    CHECK(convpool_network_scratch_size(NULL) == 0 && convpool_network_layer(NULL, 0) == NULL, "%s", "NULL");
    for (size_t i = 0; i < 6; i++)
        CHECK((convpool_network_layer(network, i) != NULL) == (i == 0 || i == 2), "stage %zu", i);
    convpool_layer_output_shape(convpool_network_layer(network, 0), &o[0], &o[1], &o[2]);
    CHECK(o[0] == 8 && o[1] == 4 && o[2] == 4, "%s", "a layer's shape");
    convpool_network_destroy(network);
    convpool_network_destroy(NULL);
    free(scratch);
}

/* No bytes overlap nothing. */
void check_network_no_scratch(void) {
    convpool_stage relu = {.kind = CONVPOOL_STAGE_ACTIVATION};
    relu.spec.in_channels = 4, relu.spec.in_height = relu.spec.in_width = 1;
    convpool_network *network = NULL;
    CHECK(convpool_network_create(&relu, 1, &network) == CONVPOOL_OK, "%s", "create");
    float x[4] = {-1, 2, -3, 4}, y[4];
    CHECK(convpool_network_scratch_size(network) == 0, "%s", "scratch");
    CHECK(convpool_network_run(network, x, y, NULL) == CONVPOOL_OK, "%s", "none");
    CHECK(convpool_network_run(network, x, y, x + 1) == CONVPOOL_OK && y[0] == 0 && y[3] == 4, "%s", "any");
    convpool_network_destroy(network);
}
