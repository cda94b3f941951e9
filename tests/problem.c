/* SPDX-License-Identifier: MIT */
#include "problem.h"
#include "random.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (memory == NULL) abort();
    return memory;
}

problem problem_new(size_t channels, size_t height, size_t width, size_t out_channels, unsigned mode) {
    size_t filter = mode & 8 ? 3 : 2, pad = mode & 8 ? 1 : 0;
    return problem_of(&(convpool_layer_spec){
        .filter_height = filter,
        .filter_width = filter,
        .pad_top = pad,
        .pad_left = pad,
        .pad_bottom = pad,
        .pad_right = pad,
        .in_channels = channels,
        .in_height = height,
        .in_width = width,
        .out_channels = out_channels,
        .filter = mode & 4 ? CONVPOOL_CONVOLUTION : CONVPOOL_CROSS_CORRELATION,
        .pool = mode & 1 ? CONVPOOL_POOL_NONE : CONVPOOL_POOL_MAX_2X2,
        .activation = mode & 2 ? CONVPOOL_ACTIVATION_NONE : CONVPOOL_ACTIVATION_RELU,
    });
}

problem problem_of(const convpool_layer_spec *spec) {
    problem p = {.spec = *spec};
    p.e = extents_of(&p.spec);
    p.input = allocate(p.e.in, sizeof(float));
    p.weights = allocate(p.e.weights, sizeof(float));
    p.bias = allocate(spec->out_channels, sizeof(float));
    return p;
}

void problem_free(problem *p) {
    free(p->input);
    free(p->weights);
    free(p->bias);
}

void problem_fill(problem *p, uint64_t *state) {
    random_fill(state, p->input, p->e.in);
    random_fill(state, p->weights, p->e.weights);
    random_fill(state, p->bias, p->spec.out_channels);
}

bool equal(float a, float b, bool sign_of_zero) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return sign_of_zero ? memcmp(&a, &b, sizeof a) == 0 : a == b;
}

bool same(const convpool_layer_spec *spec, float a, float b) { return equal(a, b, RELU(spec)); }

const char *describe(const convpool_layer_spec *s) {
    static char text[320];
    snprintf(text, sizeof text,
             "%s %zux%zux%zu:%zu filter %d %zux%zu stride %zux%zu pad %zu,%zu,%zu,%zu pool %d activation %d %g layouts "
             "%d %d %d",
             s->kernel, s->in_channels, s->in_height, s->in_width, s->out_channels, (int)s->filter, s->filter_height,
             s->filter_width, s->stride_height, s->stride_width, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right,
             (int)s->pool, (int)s->activation, (double)s->activation_parameter, (int)s->weights_layout,
             (int)s->input_layout, (int)s->output_layout);
    return text;
}

static struct {
    guarded *memory;
    size_t most;
} pieces[PIECES];

bool next_kernel(const convpool_layer_spec *spec, size_t *index, convpool_kernel_info *info) {
    convpool_layer_spec s = *spec;
    while (convpool_kernel_get((*index)++, info)) {
        s.kernel = info->name;
        if (info->supported && (strcmp(info->algorithm, "direct") == 0 || convpool_layer_memory_size(&s) > 0))
            return true;
    }
    return false;
}

void *put(int piece, const void *from, size_t bytes, place where, size_t gap) {
    if (pieces[piece].most < bytes + gap || pieces[piece].memory == NULL) {
        if (pieces[piece].memory != NULL) guarded_free(pieces[piece].memory);
        pieces[piece].most = bytes + gap;
        pieces[piece].memory = guarded_new(bytes + gap);
    }
    void *placed = guarded_place(pieces[piece].memory, bytes, where, gap);
    if (from != NULL) memcpy(placed, from, bytes);
    return placed;
}

/* By weights, bias and slopes. */
static unsigned earned_by_layer(const problem *p) {
    unsigned earned = earned_by(p->weights, p->e.weights) | earned_by(p->bias, p->spec.out_channels) |
                      earned_by(&p->spec.activation_parameter, 1);
    return p->spec.activation == CONVPOOL_ACTIVATION_PRELU ? earned | earned_by(p->spec.slopes, p->spec.out_channels)
                                                           : earned;
}

convpool_layer *guarded_layer(const problem *p, const char *kernel, layout at) {
    convpool_layer_spec spec = p->spec;
    spec.kernel = kernel;
    float *weights = put(WEIGHTS, p->weights, p->e.weights * sizeof(float), at.where, at.input);
    float *bias = put(BIAS, p->bias, spec.out_channels * sizeof(float), at.where, at.output);
    size_t bytes = convpool_layer_memory_size(&spec);
    void *memory = put(MEMORY, NULL, bytes, at.where, at.memory);
    convpool_layer *layer = NULL;
    forget_exceptions();
    convpool_status status = convpool_layer_create_in(&spec, weights, bias, memory, bytes, &layer);
    check_exceptions(&spec, "create_in", earned_by_layer(p));
    CHECK(vector_state_is_clean(), "%s: create_in leaves vectors dirty", describe(&spec));
    CHECK(status == CONVPOOL_OK, "%s: %s", describe(&spec), convpool_status_string(status));
    CHECK(memcmp(weights, p->weights, p->e.weights * sizeof(float)) == 0, "%s: weights changed", describe(&spec));
    memset(weights, 0xff, p->e.weights * sizeof(float));
    memset(bias, 0xff, spec.out_channels * sizeof(float));
    return layer;
}

void check_exceptions(const convpool_layer_spec *spec, const char *of, unsigned earned) {
    unsigned unearned = exceptions_raised() & ~earned;
    CHECK(unearned == 0, "%s: %s raises %s", describe(spec), of, exception_names(unearned));
}

unsigned earned_by(const float *values, size_t count) {
    return isfinite(largest_magnitude(values, count)) ? 0u : EXC_INVALID;
}

bool piece_intact(int piece) { return guarded_intact(pieces[piece].memory); }

void check_intact(const convpool_layer_spec *spec) {
    static const char *const names[PIECES] = {"input", "weights", "bias", "output", "scratch", "layer"};
    for (int piece = 0; piece < PIECES; piece++)
        CHECK(piece_intact(piece), "%s: written outside %s", describe(spec), names[piece]);
}

/* What an algorithm owes on a problem: results to the last bit, by family, and bounds. */
typedef struct debt {
    const char *algorithm;
    float *bits[2];
    unsigned raised[2]; /* the exceptions that computing the bits raises */
    double *bound;
} debt;
enum { ALGORITHMS = 8 }; /* there are fewer */

/* Computes what is asked for, once. */
static const debt *owed(debt *all, const problem *p, const char *algorithm, bool fused, bool bounded) {
    debt *e = all;
    while (e->algorithm != NULL && strcmp(e->algorithm, algorithm) != 0)
        e++;
    e->algorithm = algorithm;
    if (e->bits[fused] == NULL) {
        e->bits[fused] = allocate(p->e.out, sizeof(float));
        forget_exceptions();
        reference_bits(&p->spec, algorithm, fused, p->input, p->weights, p->bias, e->bits[fused]);
        e->raised[fused] = exceptions_raised();
    }
    if (bounded && e->bound == NULL) {
        e->bound = allocate(p->e.out, sizeof(double));
        reference_bound(&p->spec, algorithm, p->input, p->weights, p->bias, e->bound);
    }
    return e;
}

double largest_magnitude(const float *values, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, isfinite(values[i]) ? fabs((double)values[i]) : INFINITY);
    return most;
}

void check_problem(const problem *p, expectation held_to, layout at) {
    debt all[ALGORITHMS] = {{NULL, {NULL, NULL}, {0, 0}, NULL}};
    double *y = NULL, largest_input = largest_magnitude(p->input, p->e.in);
    unsigned of_weights = earned_by_layer(p);
    unsigned of_data = of_weights | earned_by(p->input, p->e.in);
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(&p->spec, &k, &info);) {
        bool fused = isa_is_fused(info.isa);
        convpool_layer_spec spec = p->spec;
        spec.kernel = info.name;
        convpool_layer *layer = guarded_layer(p, info.name, at);
        if (layer == NULL) continue;
        forget_exceptions();
        bool asked = isfinite(largest_input) && held_to != PLACE;
        double stated = asked ? convpool_layer_error_bound(layer, largest_input) : INFINITY;
        check_exceptions(&spec, "error_bound", of_weights);
        CHECK(vector_state_is_clean(), "%s: error_bound leaves vectors dirty", describe(&spec));
        bool bounded = isfinite(stated);
        CHECK(bounded || held_to != BOUND, "%s: there is no bound", describe(&spec));
        const debt *e = owed(all, p, info.algorithm, fused, bounded);
        unsigned earned = of_data | owed(all, p, "direct", fused, false)->raised[fused];
        if (earned & EXC_OVERFLOW) earned |= EXC_INVALID; /* infinities come about */
        if ((bounded || held_to == EXACT) && y == NULL) {
            y = allocate(p->e.out, sizeof *y);
            reference_double(&p->spec, p->input, p->weights, p->bias, y);
        }
        float *input = put(INPUT, p->input, p->e.in * sizeof(float), at.where, at.input);
        float *output = put(OUTPUT, NULL, p->e.out * sizeof(float), at.where, at.output);
        void *scratch = put(SCRATCH, NULL, convpool_layer_scratch_size(layer), at.where, at.scratch);
        forget_exceptions();
        convpool_status status = convpool_layer_run(layer, input, output, scratch);
        check_exceptions(&spec, "run", earned);
        CHECK(vector_state_is_clean(), "%s: run leaves vectors dirty", describe(&spec));
        CHECK(status == CONVPOOL_OK, "%s: %s", describe(&spec), convpool_status_string(status));
        CHECK(memcmp(input, p->input, p->e.in * sizeof(float)) == 0, "%s: input changed", describe(&spec));
        check_intact(&spec);
        for (size_t i = 0; i < p->e.out; i++) {
            CHECK(same(&spec, output[i], e->bits[fused][i]), "%s: output %zu is %a, not %a", describe(&spec), i,
                  output[i], e->bits[fused][i]);
            if (bounded) {
                double error = fabs(output[i] - y[i]);
                CHECK(error <= e->bound[i] && error <= stated, "%s: output %zu is %g, not %g within %g and %g",
                      describe(&spec), i, output[i], y[i], e->bound[i], stated);
            }
            if (held_to == EXACT)
                CHECK(output[i] == y[i], "%s: output %zu is %g, not %g", describe(&spec), i, output[i], y[i]);
        }
        convpool_layer_destroy(layer);
    }
    for (debt *e = all; e->algorithm != NULL; e++) {
        free(e->bits[0]);
        free(e->bits[1]);
        free(e->bound);
    }
    free(y);
}

whole_run run_whole(const problem *p, const convpool_layer *layer, const float *input, void *scratch) {
    whole_run run = {.output = allocate(p->e.out, sizeof(float))};
    forget_exceptions();
    CHECK(convpool_layer_run(layer, input, run.output, scratch) == CONVPOOL_OK, "%s", convpool_layer_kernel(layer));
    run.raised = exceptions_raised();
    return run;
}

void check_rows(const problem *p, const convpool_layer *layer, const float *input, const whole_run *whole,
                void *scratch, size_t first, size_t count) {
    convpool_layer_spec of_kernel = p->spec, *spec = &of_kernel;
    spec->kernel = convpool_layer_kernel(layer);
    void *canaries = memset(allocate(p->e.out, sizeof(float)), CANARY, p->e.out * sizeof(float));
    float *output = put(OUTPUT, canaries, p->e.out * sizeof(float), AT_END, 0);
    free(canaries);
    forget_exceptions();
    CHECK(convpool_layer_run_rows(layer, input, output, scratch, first, count) == CONVPOOL_OK, "%s", describe(spec));
    check_exceptions(spec, "run_rows", whole->raised);
    CHECK(vector_state_is_clean(), "%s: run_rows leaves vectors dirty", describe(spec));
    check_intact(spec);
    for (size_t o = 0; o < spec->out_channels; o++)
        for (size_t row = 0; row < p->e.out_height; row++)
            for (size_t q = 0; q < p->e.out_width; q++) {
                size_t i = output_at(spec, o, row, q);
                bool inside = row >= first && row < first + count;
                unsigned char canary[sizeof(float)];
                memset(canary, CANARY, sizeof canary);
                CHECK(inside ? same(spec, output[i], whole->output[i]) : memcmp(&output[i], canary, sizeof canary) == 0,
                      "%s rows %zu + %zu: output %zu is %a, not %a", describe(spec), first, count, i, output[i],
                      inside ? whole->output[i] : 0);
            }
}

void check_pool(const convpool_isa *isa, const float *values, size_t channels, size_t height, size_t width,
                place where) {
    size_t in = channels * height * width, out_height = height / 2, out_width = width / 2;
    size_t out = channels * out_height * out_width;
    float *input = put(INPUT, values, in * sizeof(float), where, 0);
    float *output = put(OUTPUT, NULL, out * sizeof(float), where, 0);
    forget_exceptions();
    isa->max_pool_2x2(input, channels, height, width, output);
    CHECK((exceptions_raised() & ~earned_by(values, in)) == 0, "%s pool raises %s", isa->name,
          exception_names(exceptions_raised()));
    CHECK(vector_state_is_clean(), "%s pool", isa->name);
    CHECK(piece_intact(INPUT) && piece_intact(OUTPUT), "%s pool %zux%zux%zu", isa->name, channels, height, width);
    for (size_t i = 0; i < out; i++) {
        const float *x =
            values + (i / out_width / out_height * height + i / out_width % out_height * 2) * width + i % out_width * 2;
        float expected = reference_max(reference_max(x[0], x[1]), reference_max(x[width], x[width + 1]));
        CHECK(equal(output[i], expected, false), "%s pool %zux%zux%zu: output %zu is %a, not %a", isa->name, channels,
              height, width, i, output[i], expected);
    }
}

void check_relu(const convpool_isa *isa, const float *values, size_t count, size_t offset, bool in_place, place where) {
    float *input = put(INPUT, values, count * sizeof(float), where, offset * sizeof(float));
    float *output = in_place ? input : put(OUTPUT, NULL, count * sizeof(float), where, 0);
    forget_exceptions();
    isa->relu(input, count, output);
    CHECK((exceptions_raised() & ~earned_by(values, count)) == 0, "%s relu raises %s", isa->name,
          exception_names(exceptions_raised()));
    CHECK(vector_state_is_clean(), "%s relu", isa->name);
    CHECK(piece_intact(INPUT) && (in_place || piece_intact(OUTPUT)), "%s relu %zu", isa->name, count);
    for (size_t i = 0; i < count; i++) {
        float expected = reference_relu(values[i]);
        CHECK(equal(output[i], expected, true), "%s relu %zu: output %zu is %a, not %a", isa->name, count, i, output[i],
              expected);
    }
}

void *read_npy(const char *name, const char *type, size_t count) {
    char path[1024];
    unsigned char head[10];
    size_t size = (size_t)(type[2] - '0');
    snprintf(path, sizeof path, "%s/%s.npy", TEST_DATA, name);
    FILE *file = open_utf8(path);
    unsigned char *values = NULL;
    if (CHECK(file != NULL, "cannot open %s", path) &&
        CHECK(fread(head, 1, 10, file) == 10 && memcmp(head, "\x93NUMPY\1\0", 8) == 0, "%s is no .npy", path)) {
        size_t length = head[8] + 256u * head[9];
        char *header = allocate(length + 1, 1);
        values = allocate(count, size);
        CHECK(fread(header, 1, length, file) == length && strstr(header, type) != NULL &&
                  strstr(header, "'fortran_order': False") != NULL && fread(values, size, count, file) == count &&
                  fgetc(file) == EOF,
              "%s does not hold %zu times %s: %s", path, count, type, header);
        free(header);
    }
    if (file != NULL) fclose(file);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; values != NULL && i < count; i++)
        for (size_t byte = 0; byte < size / 2; byte++) {
            unsigned char *first = values + i * size + byte, *last = values + i * size + size - 1 - byte, kept = *first;
            *first = *last;
            *last = kept;
        }
#endif
    return values;
}

void check_random(size_t channels, size_t height, size_t width, size_t out_channels, unsigned mode, layout at,
                  uint64_t *state) {
    problem p = problem_new(channels, height, width, out_channels, mode);
    problem_fill(&p, state);
    check_problem(&p, BOUND, at);
    problem_free(&p);
}
