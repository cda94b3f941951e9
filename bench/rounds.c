/* SPDX-License-Identifier: MIT */
/*
 * Measuring. All kernels of a layer, the probes of their ISAs and a clock take turns, one sample each a round. The
 * clock of a machine wanders, so a kernel is set against the probe of the same round, and the median over the rounds is
 * what can be believed.
 */
#define _GNU_SOURCE
#include "bench.h"

#include "crew.h"
#include "list.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef _WIN32
#define aligned_alloc(alignment, size) _aligned_malloc(size, alignment)
#define release(memory) _aligned_free(memory)
#else
#define release(memory) free(memory)
#endif

enum { LEAST_ROUNDS = 31 };
static const double least_sample = 2e-3; /* seconds */

#define DECLARE(isa) double probe_##isa(uint64_t iterations);
CONVPOOL_ISAS(DECLARE)
#define ROW(name) {.isa = #name, .run = probe_##name},
probe probes[] = {CONVPOOL_ISAS(ROW){.isa = NULL}};
series clock_ghz;

/* To be ended with release(). */
static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (memory == NULL) fail("out of memory", "");
    return memory;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void push(series *s, double value) {
    if ((s->count & (s->count - 1)) == 0) {
        s->values = realloc(s->values, (s->count ? 2 * s->count : 1) * sizeof *s->values);
        if (s->values == NULL) fail("out of memory", "");
    }
    s->values[s->count++] = value;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(series *s, double part) {
    qsort(s->values, s->count, sizeof *s->values, compare);
    return s->values[(size_t)(part * (double)(s->count - 1) + 0.5)];
}

/* Clock cycles a second, from a chain of dependent additions of one cycle each: of registers, as some CPUs add
 * constants while renaming. */
static double clock_rate(void) {
    enum { adds = 16, times = 100000 };
    uint64_t x = 0, y = 1;
    double start = now();
    for (int n = 0; n < times; n++)
        for (int i = 0; i < adds; i++) {
            x += y;
            __asm__ volatile("" : "+r"(x), "+r"(y));
        }
    return adds * times / (now() - start);
}

/* One image in bands of rows, one for each thread. */
typedef struct bands {
    const convpool_layer *layer;
    const problem *problem;
    char *scratch;
    size_t threads;
} bands;

static size_t scratch_bytes(const convpool_layer *layer) {
    return (convpool_layer_scratch_size(layer) + 127) / 64 * 64; /* so that threads share no line of the cache */
}

static void run_band(void *context, size_t i) {
    const bands *b = context;
    size_t rows = b->problem->e.out_height, step = convpool_layer_row_step(b->layer);
    size_t steps = (rows + step - 1) / step, first = steps * i / b->threads * step;
    size_t end = steps * (i + 1) / b->threads * step;
    convpool_layer_run_rows(b->layer, b->problem->input, b->problem->output, b->scratch + i * scratch_bytes(b->layer),
                            first, (end < rows ? end : rows) - first);
}

static double run_kernel(entry *e, const problem *p, void *scratch, uint64_t iterations) {
    bands all = {e->layer, p, scratch, e->threads};
    double start = now();
    if (e->peer != NULL)
        for (uint64_t i = 0; i < iterations; i++)
            e->peer->library->run(e->peer_state);
    else if (e->threads > 0)
        for (uint64_t i = 0; i < iterations; i++)
            crew_run(e->threads, run_band, &all);
    else
        for (uint64_t i = 0; i < iterations; i++)
            convpool_layer_run(e->layer, p->input, p->output, scratch);
    return now() - start;
}

static double run_probe(probe *p, uint64_t iterations) {
    double start = now(), flop = p->run(iterations), seconds = now() - start;
    p->rate = flop / seconds;
    return seconds;
}

/* Repetitions that take at least a sample's time. */
static uint64_t grow(uint64_t iterations, double seconds) {
    double factor = seconds > 0 ? 1.1 * least_sample / seconds : 100;
    return factor > 100 ? iterations * 100 : (uint64_t)(factor * (double)iterations) + 1;
}

static void calibrate(entry *e, const problem *p, void *scratch) {
    double seconds;
    for (e->iterations = 1; (seconds = run_kernel(e, p, scratch, e->iterations)) < least_sample;)
        e->iterations = grow(e->iterations, seconds);
    for (probe *q = e->probe; q->iterations == 0 || run_probe(q, q->iterations) < least_sample;)
        q->iterations = q->iterations == 0 ? 1000 : grow(q->iterations, run_probe(q, q->iterations));
}

/* Floating-point operations of a direct convolution: 2 C O 4 for each convolution output. */
static double direct_flop(const problem *p) {
    double outputs = (double)p->spec.out_channels * (double)p->e.conv_height * (double)p->e.conv_width;
    return 2 * outputs * (double)p->spec.in_channels * (double)p->e.filter;
}

static void verify(problem *p, void *scratch) {
    double *y = allocate(p->e.out * sizeof *y), *bound = allocate(p->e.out * sizeof *bound);
    progress("verifying", p->shape, 0, 0);
    reference_double(&p->spec, p->input, p->weights, p->bias, y);
    const char *bounded = ""; /* whose bound it is */
    for (size_t k = 0; k < p->count; k++) {
        entry *e = &p->entries[k];
        memset(p->output, 0xff, p->e.out * sizeof(float));
        if (e->peer != NULL) {
            e->peer->library->run(e->peer_state);
            e->peer->library->result(e->peer_state, p->output);
        } else {
            run_kernel(e, p, scratch, 1);
        }
        const char *algorithm = e->peer != NULL ? "direct" : e->kernel.algorithm;
        if (strcmp(bounded, algorithm) != 0)
            reference_bound(&p->spec, bounded = algorithm, p->input, p->weights, p->bias, bound);
        for (size_t i = 0; i < p->e.out; i++) {
            double ratio = fabs(p->output[i] - y[i]) / bound[i];
            if (!(ratio <= 1)) fail("wrong result, not timed: ", e->kernel.name);
            e->error_ratio = fmax(e->error_ratio, ratio);
        }
    }
    release(y);
    release(bound);
}

static int by_median(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return (x->median > y->median) - (x->median < y->median);
}

static probe *probe_of(const char *isa) {
    probe *p = probes;
    while (strcmp(p->isa, isa) != 0)
        p++;
    return p;
}

/* Peers, behind the kernels of their ISA. */
static void add_peers(problem *p) {
    const convpool_layer_spec *spec = &p->spec;
    p->layer = (peer_layer){spec->in_channels,  spec->in_height, spec->in_width,
                            spec->out_channels, p->e.out_height, p->e.out_width,
                            p->input,           p->weights,      p->bias};
    for (size_t i = 0; peers_get(i) != NULL; i++) {
        entry *e = &p->entries[p->count++];
        e->peer = peers_get(i);
        e->kernel = (convpool_kernel_info){.name = e->peer->name, .isa = options.peers_isa};
        e->probe = probe_of(options.peers_isa);
        progress("setting up", e->kernel.name, 0, 0);
        e->peer_state = peers_create(e->peer, &p->layer, e->peer_note);
        if (e->peer_state == NULL) fail("cannot set up for this layer: ", e->kernel.name);
    }
}

/* The median of a / b, round by round; of a alone without b. */
static double median_ratio(const series *a, const series *b) {
    series ratios = {0};
    for (size_t i = 0; i < a->count; i++)
        push(&ratios, a->values[i] / (b == NULL ? 1 : b->values[i]));
    double median = quantile(&ratios, 0.5);
    free(ratios.values);
    return median;
}

/* While the series are still in the order of the rounds. */
static void compare_with_peers(problem *p) {
    const entry *fastest = NULL;
    double least = INFINITY;
    for (const entry *e = p->entries; e < p->entries + p->count; e++) {
        double median = median_ratio(&e->seconds, NULL);
        if (e->peer != NULL || median >= least) continue;
        fastest = e;
        least = median;
    }
    for (size_t k = 0; k < p->count; k++)
        p->entries[k].lead = median_ratio(&p->entries[k].seconds, &fastest->seconds);
    p->fastest = fastest->kernel.name;
}

/* Whether this kernel is the automatic choice for the layer among those of its ISA that are wanted. */
static bool is_automatic(const convpool_layer_spec *spec, const float *weights, const convpool_kernel_info *info) {
    convpool_layer_spec of_isa = *spec;
    convpool_layer *layer;
    of_isa.kernel = info->isa;
    if (convpool_layer_create(&of_isa, weights, NULL, &layer) != CONVPOOL_OK) return false;
    bool same = strcmp(convpool_layer_kernel(layer), info->name) == 0;
    convpool_layer_destroy(layer);
    return same;
}

/* Inputs, weights and biases, always the same. */
static void fill_problem(problem *p) {
    uint64_t state = 60;
    p->input = allocate(p->e.in * sizeof(float));
    p->weights = allocate(p->e.weights * sizeof(float));
    p->bias = allocate(p->spec.out_channels * sizeof(float));
    p->output = allocate(p->e.out * sizeof(float));
    random_fill(&state, p->input, p->e.in);
    random_fill(&state, p->weights, p->e.weights);
    random_fill(&state, p->bias, p->spec.out_channels);
    for (size_t i = 0; i < p->e.in && options.denormal; i++)
        p->input[i] *= 0x1p-126f;
    for (size_t o = 0; o < p->spec.out_channels && options.denormal; o++)
        p->bias[o] *= 0x1p-126f;
}

/* The kernels that are wanted, or the chosen one on so many threads. Returns the bytes of scratch that they need. */
static size_t add_kernels(problem *p) {
    size_t scratch_size = 0;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        p->spec.kernel = info.name;
        if (!wanted(&info) || convpool_layer_memory_size(&p->spec) == 0) continue; /* or it is for other layers */
        bool automatic = is_automatic(&p->spec, p->weights, &info);
        if (options.threads > 0 && (!automatic || p->count > 0)) continue;
        for (size_t threads = options.threads > 0; threads <= options.threads; threads++) {
            entry *e = &p->entries[p->count++];
            e->kernel = info;
            e->automatic = automatic;
            e->threads = threads;
            convpool_status status = convpool_layer_create(&p->spec, p->weights, p->bias, &e->layer);
            if (status != CONVPOOL_OK) fail("cannot make the layer: ", convpool_status_string(status));
            size_t bytes = scratch_bytes(e->layer) * (threads > 0 ? threads : 1);
            scratch_size = bytes > scratch_size ? bytes : scratch_size;
            e->probe = probe_of(info.isa);
            e->probe->wanted = true;
        }
    }
    return scratch_size;
}

/* How many rounds take the time that is asked for. */
static size_t count_rounds(problem *p, void *scratch) {
    double longest = 0;
    for (size_t k = 0; k < p->count; k++) {
        entry *e = &p->entries[k];
        progress("calibrating", e->kernel.name, 0, 0);
        calibrate(e, p, scratch);
        longest = fmax(longest, run_kernel(e, p, scratch, e->iterations));
    }
    return (size_t)fmax(ceil(options.min_time / fmax(longest, least_sample)), LEAST_ROUNDS);
}

static void run_round(problem *p, void *scratch) {
    for (size_t k = 0; k < p->count; k++) {
        entry *e = &p->entries[k];
        /* Kernels of one ISA follow each other: its probe runs once, before the first of them. */
        if (k == 0 || e->probe != e[-1].probe) {
            double hertz = clock_rate();
            run_probe(e->probe, e->probe->iterations);
            push(&clock_ghz, hertz * 1e-9);
            push(&e->probe->gflops, e->probe->rate * 1e-9);
            push(&e->probe->flop_per_cycle, e->probe->rate / hertz);
        }
        double seconds = run_kernel(e, p, scratch, e->iterations) / (double)e->iterations;
        push(&e->seconds, seconds);
        push(&e->fractions, direct_flop(p) / seconds / e->probe->rate);
    }
}

/* What is known of an entry when all rounds have run. */
static void finish_entry(entry *e, const problem *p) {
    e->median = quantile(&e->seconds, 0.5);
    e->least = quantile(&e->seconds, 0);
    e->p90 = quantile(&e->seconds, 0.9);
    e->gflops = direct_flop(p) / e->median * 1e-9;
    e->fraction = quantile(&e->fractions, 0.5);
    convpool_layer_destroy(e->layer);
    if (e->peer != NULL) e->peer->library->destroy(e->peer_state);
    free(e->seconds.values);
    free(e->fractions.values);
}

void run_problem(problem *p) {
    size_t peers = 0;
    while (peers_get(peers) != NULL)
        peers++;
    p->entries = calloc(convpool_kernel_count() + peers + options.threads, sizeof *p->entries);
    if (p->entries == NULL) fail("out of memory", "");
    fill_problem(p);
    void *scratch = allocate(add_kernels(p));
    add_peers(p);
    verify(p, scratch);
    size_t rounds = count_rounds(p, scratch);
    for (size_t round = 0; round < rounds; round++) {
        progress(p->shape, "round", round + 1, rounds);
        run_round(p, scratch);
    }
    progress_end();
    if (peers > 0) compare_with_peers(p);
    for (size_t k = 0; options.threads > 0 && k < p->count; k++)
        p->entries[k].lead = median_ratio(&p->entries[0].seconds, &p->entries[k].seconds);
    for (size_t k = 0; k < p->count; k++)
        finish_entry(&p->entries[k], p);
    if (options.threads == 0) qsort(p->entries, p->count, sizeof *p->entries, by_median);
    release(scratch);
    release(p->input);
    release(p->weights);
    release(p->bias);
    release(p->output);
}
