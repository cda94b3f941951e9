/* SPDX-License-Identifier: MIT */
/* Many threads at once; under ThreadSanitizer, whatever they do to each other is seen. */
#include "dispatch.h"
#include "problem.h"
#include "random.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8 };

/* Runs body(argument) in THREADS threads, which start together. */
typedef struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t all_here;
    int here;
    void (*body)(void *argument, uint64_t seed);
    void *argument;
} crowd;

static void *attend(void *argument) {
    crowd *c = argument;
    pthread_mutex_lock(&c->lock);
    int seed = ++c->here;
    if (c->here == THREADS) pthread_cond_broadcast(&c->all_here);
    while (c->here < THREADS)
        pthread_cond_wait(&c->all_here, &c->lock);
    pthread_mutex_unlock(&c->lock);
    c->body(c->argument, (uint64_t)seed);
    return NULL;
}

static void run_crowd(void (*body)(void *argument, uint64_t seed), void *argument) {
    crowd c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, body, argument};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, attend, &c) != 0) abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* What threads may not do: count. So each counts for itself, and what it finds wrong it leaves here. */
typedef struct shared {
    const problem *p;
    const convpool_layer *layer; /* which all run */
    const float *expected;
    int wrong[THREADS + 1];
} shared;

/* Creates, runs and destroys layers of its own between runs of the shared one. */
static void churn(void *argument, uint64_t seed) {
    shared *s = argument;
    const problem *p = s->p;
    uint64_t state = seed;
    float *output = calloc(p->e.out, sizeof *output), values[40];
    size_t most =
        CONVPOOL_LAYER_SCRATCH_MAX(p->spec.in_channels, p->spec.in_height, p->spec.in_width, p->spec.out_channels);
    void *scratch = malloc(most);
    for (int round = 0; round < 40; round++) {
        convpool_layer_spec spec = p->spec;
        convpool_kernel_info info;
        convpool_layer *own = NULL;
        size_t k = random_below(&state, convpool_kernel_count());
        if (next_kernel(&p->spec, &k, &info)) spec.kernel = info.name;
        s->wrong[seed] += convpool_layer_create(&spec, p->weights, p->bias, &own) != CONVPOOL_OK;
        s->wrong[seed] += convpool_layer_run(own, p->input, output, scratch) != CONVPOOL_OK;
        convpool_layer_destroy(own);
        memset(output, 0, p->e.out * sizeof *output);
        /* In two bands. */
        size_t rows = random_below(&state, p->e.out_height + 1);
        convpool_layer_run_rows(s->layer, p->input, output, scratch, 0, rows);
        convpool_layer_run_rows(s->layer, p->input, output, scratch, rows, p->e.out_height - rows);
        s->wrong[seed] += memcmp(output, s->expected, p->e.out * sizeof *output) != 0;
        random_fill(&state, values, 40);
        s->wrong[seed] += convpool_relu(values, 40, values) != CONVPOOL_OK;
        s->wrong[seed] += convpool_max_pool_2x2(p->input, 1, 8, 8, values) != CONVPOOL_OK;
    }
    free(scratch);
    free(output);
}

void check_threads_create_run_and_destroy(void) {
    uint64_t state = test_seed();
    problem p = problem_new(6, 20, 33, 9, 0);
    problem_fill(&p, &state);
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
        convpool_layer *layer;
        p.spec.kernel = info.name;
        CHECK(convpool_layer_create(&p.spec, p.weights, p.bias, &layer) == CONVPOOL_OK, "%s", info.name);
        float *expected = allocate(p.e.out, sizeof *expected);
        void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
        convpool_layer_run(layer, p.input, expected, scratch);
        p.spec.kernel = NULL;
        shared s = {&p, layer, expected, {0}};
        run_crowd(churn, &s);
        for (int i = 0; i <= THREADS; i++)
            CHECK(s.wrong[i] == 0, "%s: thread %d: %d", info.name, i, s.wrong[i]);
        free(scratch);
        free(expected);
        convpool_layer_destroy(layer);
    }
    problem_free(&p);
}

/* A network that all run, each with scratch of its own. */
typedef struct shared_network {
    const convpool_network *network;
    const float *input, *expected;
    int wrong[THREADS + 1];
} shared_network;

static void run_shared(void *argument, uint64_t seed) {
    shared_network *s = argument;
    void *scratch = malloc(convpool_network_scratch_size(s->network));
    for (int round = 0; round < 200; round++) {
        float output[5] = {0};
        s->wrong[seed] += convpool_network_run(s->network, s->input, output, scratch) != CONVPOOL_OK;
        s->wrong[seed] += memcmp(output, s->expected, sizeof output) != 0;
    }
    free(scratch);
}

void check_threads_share_a_network(void) {
    static float input[3 * 20 * 21], weights[32 * 3 * 9], expected[5];
    uint64_t state = test_seed();
    random_fill(&state, input, sizeof input / sizeof *input);
    random_fill(&state, weights, sizeof weights / sizeof *weights);
    convpool_stage stages[] = {
        {.spec = {.in_channels = 3, .in_height = 20, .in_width = 21, .out_channels = 5}, .weights = weights},
        {.kind = CONVPOOL_STAGE_SCALE, .weights = weights},
        {.kind = CONVPOOL_STAGE_AVERAGE_POOL},
        {.kind = CONVPOOL_STAGE_ACTIVATION, .spec = {.activation = CONVPOOL_ACTIVATION_TANH}},
        {.kind = CONVPOOL_STAGE_GLOBAL_MAX},
        {.kind = CONVPOOL_STAGE_SOFTMAX},
    };
    convpool_network *network = NULL;
    CHECK(convpool_network_create(stages, sizeof stages / sizeof *stages, &network) == CONVPOOL_OK, "%s", "create");
    void *scratch = allocate(convpool_network_scratch_size(network), 1);
    convpool_network_run(network, input, expected, scratch);
    shared_network s = {network, input, expected, {0}};
    run_crowd(run_shared, &s);
    for (int i = 0; i <= THREADS; i++)
        CHECK(s.wrong[i] == 0, "thread %d: %d", i, s.wrong[i]);
    free(scratch);
    convpool_network_destroy(network);
}

/* What each thread found: a status and the kernel. */
typedef struct finding {
    convpool_status status;
    const char *kernel;
} finding;

static void call_first(void *argument, uint64_t seed) {
    finding *f = (finding *)argument + seed - 1;
    static const float zeros[4 * 16];
    float four[4] = {-1, 2, -3, 4};
    convpool_layer_spec spec = {.in_channels = 4, .in_height = 9, .in_width = 9, .out_channels = 4};
    convpool_layer *layer = NULL;
    if (seed % 3 == 0) convpool_relu(four, 4, four); /* not all the same call */
    f->status = convpool_layer_create(&spec, zeros, NULL, &layer);
    f->kernel = convpool_layer_kernel(layer);
    convpool_layer_destroy(layer);
}

static finding found[THREADS];

static void call_all_at_once(const char *unused) {
    (void)unused;
    run_crowd(call_first, found);
}

/* In a process where nothing has called the library yet. */
static void first_calls(const char *expected_status) {
    /* An emulator may warn of each new thread. */
    const char *printed = stderr_of(call_all_at_once, ""), *line = strstr(printed, "convpool:");
    bool refused = atoi(expected_status) != CONVPOOL_OK, again = line != NULL && strstr(line + 1, "convpool:") != NULL;
    CHECK((line != NULL) == refused && !again, "not one line, or not none: '%s'", printed);
    for (int i = 0; i < THREADS; i++)
        CHECK((int)found[i].status == atoi(expected_status) && strcmp(found[i].kernel, found[0].kernel) == 0,
              "thread %d: %s, '%s' and '%s'", i, convpool_status_string(found[i].status), found[i].kernel,
              found[0].kernel);
}

void check_environment_first_calls_at_once(void) {
    for (int i = 0; i < 100; i++) {
        char status[] = {(char)('0' + (i % 4 == 3 ? CONVPOOL_KERNEL_UNKNOWN : CONVPOOL_OK)), 0};
        alone(i % 4 == 3   ? "no such kernel"
              : i % 4 == 1 ? convpool_isas[0]->kernels->algorithm
                           : NULL,
              first_calls, status);
    }
}
