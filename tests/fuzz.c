/* SPDX-License-Identifier: MIT */
/* A target for libFuzzer: bytes become a spec, data, a layout in guarded memory, bands of rows and a kernel's name.
 * What the spec says must be refused with its status; else every supported kernel must return the reference's bits,
 * within the bound, and write nothing outside. Or they become the stages of a network, which is refused, or returns
 * what its stages do. */
#include "dispatch.h"
#include "network.h"
#include "problem.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    const uint8_t *next;
    size_t left;
} bytes;

static unsigned byte(bytes *b) { return b->left == 0 ? 0 : (b->left--, *b->next++); }

static uint64_t several(bytes *b, int count) {
    uint64_t value = 0;
    while (count-- > 0)
        value = value << 8 | byte(b);
    return value;
}

enum { CHANNELS = 66, SLOPES = 21 }; /* of an image, at most; and that are drawn, then used again */

/* Mostly small; 253 and up stand for what no memory can hold. */
static size_t extent(bytes *b, size_t most) {
    unsigned value = byte(b);
    return value >= 253 ? SIZE_MAX >> (value - 253) : value % (most + 1);
}

static float number(bytes *b, uint64_t *state, unsigned kind) {
    static const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0x1p121f, 0x1p-149f, -0.0f, 0, 1, -2};
    uint32_t pattern;
    float value;
    switch (kind % 6) {
    case 0: return random_uniform(state);
    case 1: return random_wide(state, -60, 60);
    case 2: return random_wide(state, -126, 127);
    case 3: return random_uniform(state) * 0x1p-126f;
    case 4: return random_below(state, 50) ? random_uniform(state) : specials[random_below(state, 10)];
    default:
        pattern = (uint32_t)several(b, 4);
        memcpy(&value, &pattern, sizeof value);
        return value;
    }
}

static void demand(bool holds) {
    if (!holds) abort();
}

/* Whether an algorithm is for such layers, as the header says. */
static bool computes(const char *algorithm, const convpool_layer_spec *s) {
    if (strncmp(algorithm, "winograd", 8) != 0) return true;
    extents e = extents_of(s);
    size_t filter = e.filter_height == 5 && algorithm[9] == '3' ? 5 : (size_t)(algorithm[9] - '0');
    bool first = s->activation == CONVPOOL_ACTIVATION_RELU || s->activation == CONVPOOL_ACTIVATION_NONE ||
                 s->activation == CONVPOOL_ACTIVATION_RELU6 || s->activation == CONVPOOL_ACTIVATION_TANH ||
                 (s->activation == CONVPOOL_ACTIVATION_LEAKY_RELU && s->activation_parameter > 0) ||
                 (s->activation == CONVPOOL_ACTIVATION_ELU && s->activation_parameter >= 0);
    bool whole = e.conv_height == e.pool * e.out_height && e.conv_width == e.pool * e.out_width;
    return e.filter_height == filter && e.filter_width == filter && e.stride_height == 1 && e.stride_width == 1 &&
           (e.pool == 1 || (first && whole));
}

/* What create must say of a spec that may be anything. */
static convpool_status expected_status(const convpool_layer_spec *s) {
    const size_t counts[] = {s->in_channels,   s->in_height,    s->in_width,      s->out_channels,
                             s->filter_height, s->filter_width, s->stride_height, s->stride_width,
                             s->pad_top,       s->pad_left,     s->pad_bottom,    s->pad_right};
    if ((unsigned)s->filter > 1 || (unsigned)s->pool > 2 || (unsigned)s->activation > 7 ||
        (unsigned)s->weights_layout > 2 || (unsigned)s->input_layout > 1 || (unsigned)s->output_layout > 1 ||
        (s->activation == CONVPOOL_ACTIVATION_PRELU && s->slopes == NULL))
        return CONVPOOL_INVALID_ARGUMENT;
    for (size_t i = 0; i < 12; i++)
        if ((i < 4 && counts[i] == 0) || counts[i] > SIZE_MAX >> 3) return CONVPOOL_INVALID_SHAPE;
    size_t height = s->in_height + s->pad_top + s->pad_bottom, width = s->in_width + s->pad_left + s->pad_right;
    if ((s->filter_height ? s->filter_height : 2) > height || (s->filter_width ? s->filter_width : 2) > width)
        return CONVPOOL_INVALID_SHAPE;
    extents e = extents_of(s);
    if (e.out_height == 0 || e.out_width == 0) return CONVPOOL_INVALID_SHAPE;
    if (s->kernel == NULL || *s->kernel == 0) return CONVPOOL_OK;
    convpool_status status = CONVPOOL_KERNEL_UNKNOWN;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++)
        if (strcmp(s->kernel, info.name) == 0 || strcmp(s->kernel, info.isa) == 0 ||
            strcmp(s->kernel, info.algorithm) == 0)
            status = (info.supported && computes(info.algorithm, s)) || status == CONVPOOL_OK
                         ? CONVPOOL_OK
                         : CONVPOOL_KERNEL_UNSUPPORTED;
    return status;
}

static const char *kernel_name(bytes *b, char text[24]) {
    convpool_kernel_info info;
    unsigned choice = byte(b);
    if (choice >= 250) { /* any bytes */
        for (size_t i = 0; i < choice - 250 + 4; i++)
            text[i] = (char)byte(b);
        return text;
    }
    if (!convpool_kernel_get(choice % 32, &info)) return choice % 2 ? NULL : "";
    return choice < 100 ? info.name : choice < 200 ? info.isa : info.algorithm;
}

static void check_stages(bytes *b, uint64_t *state) {
    size_t channels = 1 + byte(b) % 3, height = 2 + byte(b) % 7, width = 2 + byte(b) % 70;
    size_t in = channels * height * width;
    unsigned kind = byte(b);
    float *values = allocate(in, sizeof *values);
    for (size_t i = 0; i < in; i++)
        values[i] = number(b, state, kind);
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        if ((*isa)->needs & ~convpool_cpu_features()) continue;
        check_relu(*isa, values, in, 0, false, AT_END);
        check_pool(*isa, values, channels, height, width, AT_START);
    }
    free(values);
}

/* Three bands that cover the output, of every kernel. */
static void check_bands(bytes *b, const problem *p, layout at) {
    convpool_kernel_info info;
    size_t rows = p->e.out_height, first = byte(b) % (rows + 1), second = first + byte(b) % (rows - first + 1);
    for (size_t k = 0; next_kernel(&p->spec, &k, &info);) {
        convpool_layer *layer = guarded_layer(p, info.name, at);
        float *input = put(INPUT, p->input, p->e.in * sizeof(float), at.where, at.input);
        void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), at.where, at.scratch);
        whole_run whole = run_whole(p, layer, input, scratch);
        check_rows(p, layer, input, &whole, scratch, 0, first);
        check_rows(p, layer, input, &whole, scratch, first, second - first);
        check_rows(p, layer, input, &whole, scratch, second, rows - second);
        free(whole.output);
    }
}

/* Of bytes; those that 0.2 has added are 0 where there are no more. */
static convpool_layer_spec spec_of(bytes *b, unsigned mode, char name[24], float slopes[CHANNELS], uint64_t *state) {
    convpool_layer_spec spec = {.in_channels = extent(b, CHANNELS),
                                .in_height = extent(b, 24),
                                .in_width = extent(b, 100),
                                .out_channels = extent(b, 20)};
    spec.filter = (convpool_filter)(mode >> 2 & 1);
    spec.pool = (convpool_pool)(mode & 1);
    spec.activation = (convpool_activation)(mode >> 1 & 1);
    if (mode >= 248) spec.activation = (convpool_activation)mode;
    spec.kernel = kernel_name(b, name);
    unsigned more = byte(b);
    if (more % 2) {
        spec.filter_height = extent(b, 7), spec.filter_width = extent(b, 7);
        spec.stride_height = extent(b, 3), spec.stride_width = extent(b, 3);
        spec.pad_top = extent(b, 4), spec.pad_left = extent(b, 4);
        spec.pad_bottom = extent(b, 4), spec.pad_right = extent(b, 4);
    }
    if (more & 2) {
        spec.pool = (convpool_pool)(byte(b) % 4);
        spec.activation = (convpool_activation)(byte(b) % 9);
        spec.activation_parameter = number(b, state, more / 32);
        for (size_t c = 0; c < CHANNELS; c++)
            slopes[c] = c < SLOPES ? number(b, state, more / 32) : slopes[c - SLOPES];
        spec.slopes = more & 4 ? slopes : NULL;
    }
    if (more & 8) {
        spec.weights_layout = (convpool_weights_layout)(byte(b) % 4);
        spec.input_layout = (convpool_image_layout)(byte(b) % 3);
        spec.output_layout = (convpool_image_layout)(byte(b) % 3);
    }
    return spec;
}

/* A layer in too little memory is refused, for that or for what is expected, and nothing is written. */
static void check_refusal(const convpool_layer_spec *spec, convpool_status expected) {
    float none = 0;
    unsigned char *little = memset(put(MEMORY, NULL, 100, AT_END, 0), CANARY, 100);
    convpool_layer *layer = (convpool_layer *)(void *)little;
    convpool_status status = convpool_layer_create_in(spec, &none, NULL, little, 100, &layer);
    demand(status == (expected == CONVPOOL_OK ? CONVPOOL_OUT_OF_MEMORY : expected) && layer == NULL);
    demand(convpool_layer_memory_size(spec) == 0 || expected == CONVPOOL_OK);
    for (size_t i = 0; i < 100; i++)
        demand(little[i] == CANARY);
}

/* Makes a spec small, as time is short; false where what is left is no layer. */
static bool shrink(bytes *b, convpool_layer_spec *spec) {
    size_t filter = (spec->filter_height ? spec->filter_height : 2) * (spec->filter_width ? spec->filter_width : 2);
    while (spec->in_channels * spec->out_channels * (spec->in_height + 4) * (spec->in_width + 4) * filter > 100000) {
        size_t *part = spec->in_channels > 2 && byte(b) % 2                      ? &spec->in_channels
                       : spec->in_height > 8 && spec->in_height > spec->in_width ? &spec->in_height
                       : spec->in_width > 8                                      ? &spec->in_width
                       : spec->out_channels > 2                                  ? &spec->out_channels
                                                                                 : &spec->in_channels;
        if (*part < 2) return false;
        *part /= 2;
    }
    return expected_status(spec) == CONVPOOL_OK;
}

static void fill(bytes *b, problem *p, unsigned input_kind, unsigned weight_kind, uint64_t *state) {
    for (size_t i = 0; i < p->e.in; i++)
        p->input[i] = number(b, state, input_kind);
    for (size_t i = 0; i < p->e.weights; i++)
        p->weights[i] = number(b, state, weight_kind);
    for (size_t i = 0; i < p->spec.out_channels; i++)
        p->bias[i] = number(b, state, weight_kind / 8);
    for (int n = 0; n < 8 && b->left >= 6; n++) { /* single values */
        size_t where = (size_t)several(b, 2);
        float value = number(b, state, 5);
        *(where % 4 == 0 ? &p->weights[where / 4 % p->e.weights] : &p->input[where % p->e.in]) = value;
    }
}

enum { STAGES = 5, STAGE_WEIGHTS = 40000, STAGE_IMAGE = 20000 };

/* Whether the stages are a network that is small enough to be tried, its images and weights no larger than that. Each
 * stage's input is what the network of those before it gives. */
static bool is_small(const convpool_stage *stages, size_t count) {
    size_t e[3] = {stages->spec.in_channels, stages->spec.in_height, stages->spec.in_width};
    bool small = true;
    for (size_t i = 0; i < count && small; i++) {
        convpool_layer_spec spec = stages[i].spec;
        convpool_shape shape;
        convpool_network *network;
        spec.in_channels = e[0], spec.in_height = e[1], spec.in_width = e[2];
        small = e[0] <= STAGE_IMAGE && e[1] <= STAGE_IMAGE && e[2] <= STAGE_IMAGE && e[0] * e[1] * e[2] <= STAGE_IMAGE;
        if (small && stages[i].kind == CONVPOOL_STAGE_LAYER)
            small = convpool_make_shape(&spec, &shape) == CONVPOOL_OK && shape.out_channels <= STAGE_WEIGHTS &&
                    shape.depth <= STAGE_WEIGHTS / shape.out_channels && shape.padded_height < 100 &&
                    shape.padded_width < 100 && shape.out_height * shape.out_width * shape.depth < 100000;
        small = small && e[0] <= STAGE_WEIGHTS;
        if (!small || convpool_network_create(stages, i + 1, &network) != CONVPOOL_OK) return false;
        convpool_network_output_shape(network, &e[0], &e[1], &e[2]);
        convpool_network_destroy(network);
    }
    return small && e[0] * e[1] * e[2] <= STAGE_IMAGE;
}

/* Has stage i take what comes in as one pixel, where the stages before it are a network. */
static void take_numbers(convpool_stage *stages, size_t i, const float *slopes) {
    convpool_network *network;
    size_t e[3];
    if (!is_small(stages, i) || convpool_network_create(stages, i, &network) != CONVPOOL_OK) return;
    convpool_network_output_shape(network, &e[0], &e[1], &e[2]);
    convpool_network_destroy(network);
    stages[i].spec.in_channels = e[0] * e[1] * e[2], stages[i].spec.in_height = stages[i].spec.in_width = 1;
    stages[i].spec.slopes = slopes;
}

static void fuzz_network(bytes *b, uint64_t *state) {
    static float weights[STAGE_WEIGHTS], slopes[STAGES][CHANNELS], input[STAGE_IMAGE];
    static char names[STAGES][24];
    convpool_stage stages[STAGES];
    size_t count = byte(b) % (STAGES + 1);
    unsigned kind = byte(b), input_kind = byte(b);
    memset(stages, 0, sizeof stages), memset(names, 0, sizeof names);
    for (size_t i = 0; i < count; i++) {
        unsigned mode = byte(b);
        unsigned kind_byte = byte(b);
        stages[i].kind = kind_byte >= 240 ? CONVPOOL_STAGE_DEPTHWISE : (convpool_stage_kind)(kind_byte % 10);
        stages[i].spec = spec_of(b, mode, names[i], slopes[i], state);
        stages[i].weights = mode % 32 ? weights : NULL;
        stages[i].bias = mode % 3 ? weights + STAGE_WEIGHTS / 2 : NULL;
        if (mode % 8) stages[i].spec.kernel = NULL;
        if (i > 0 && mode % 16) stages[i].spec.in_channels = stages[i].spec.in_height = stages[i].spec.in_width = 0;
        if (i > 0 && mode % 16 == 9) take_numbers(stages, i, weights);
    }
    unsigned char *little = memset(put(MEMORY, NULL, 100, AT_END, 0), CANARY, 100);
    convpool_network *network = (convpool_network *)(void *)little;
    convpool_status status = convpool_network_create_in(stages, count, little, 100, &network);
    demand(status != CONVPOOL_OK && network == NULL);
    demand((convpool_network_memory_size(stages, count) > 0) == (status == CONVPOOL_OUT_OF_MEMORY));
    for (size_t i = 0; i < 100; i++)
        demand(little[i] == CANARY);
    for (size_t i = 0; i < STAGE_WEIGHTS; i++)
        weights[i] = i < 4000 ? number(b, state, kind) : weights[i - 4000];
    if (status != CONVPOOL_OUT_OF_MEMORY || !is_small(stages, count)) return;
    for (size_t i = 0; i < STAGE_IMAGE; i++)
        input[i] = number(b, state, input_kind);
    check_network(stages, count, input, false, state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes b = {data, size};
    char name[24] = {0};
    static float slopes[CHANNELS];
    uint64_t state = several(&b, 2);
    unsigned mode = byte(&b), place_byte = byte(&b), input_kind = byte(&b), weight_kind = byte(&b);
    if (mode % 16 == 15) {
        fuzz_network(&b, &state);
        demand(checks_failed == 0);
        return 0;
    }
    convpool_layer_spec spec = spec_of(&b, mode, name, slopes, &state);
    convpool_status expected = expected_status(&spec);
    check_refusal(&spec, expected);
    if (expected != CONVPOOL_OK || !shrink(&b, &spec)) return 0;
    problem p = problem_of(&spec);
    fill(&b, &p, input_kind, weight_kind, &state);
    layout at = {place_byte & 1 ? AT_START : AT_END, place_byte / 2 % 8 * 4, place_byte / 16 % 8 * 4,
                 (place_byte * 7) % 65, (place_byte * 13) % 65};
    check_problem(&p, BITS, at);
    check_bands(&b, &p, at);
    if (mode & 8) check_stages(&b, &state);
    problem_free(&p);
    demand(checks_failed == 0);
    return 0;
}
