/* SPDX-License-Identifier: MIT */
/*
 * convpool-bench: times every supported kernel, after it has been verified, beside the peak of its ISA.
 *
 * All kernels of a layer, the probes of their ISAs and a clock take turns, one sample each a round. The clock of a
 * machine wanders, so a kernel is set against the probe of the same round, and the median over the rounds is what
 * can be believed.
 */
#define _GNU_SOURCE
#include "list.h"
#include "crew.h"
#include "dispatch.h"
#include "peers/peers.h"
#include "random.h"
#include "reference.h"
#include "report.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef _WIN32
#define setenv(name, value, replace) _putenv_s(name, value)
#define aligned_alloc(alignment, size) _aligned_malloc(size, alignment)
#define release(memory) _aligned_free(memory)
#else
#define release(memory) free(memory)
#endif

static const double published_seconds = 0.084; /* what the seed layer took in NumPy/SciPy when the project began */
static const char seed_layer[] = "16x25x25:32";
static const char *const default_layers[] = {
    seed_layer,     "1x53x53:16",     "3x225x225:32",  "8x40x40:16",  "32x13x13:64",
    "64x57x57:64",  "64x113x113:128", "128x29x29:256", "512x9x9:512", "16x5x2001:32", /* very wide */
    "16x2001x5:32",                                                                   /* very tall */
};

enum { LEAST_ROUNDS = 31 };
static const double least_sample = 2e-3; /* seconds */

/* One probe for each ISA of the build. */
#define DECLARE(isa) double probe_##isa(uint64_t iterations);
CONVPOOL_ISAS(DECLARE)
typedef struct series {
    double *values;
    size_t count;
} series;
typedef struct probe {
    const char *isa;
    double (*run)(uint64_t iterations);
    uint64_t iterations;           /* a sample; 0: not yet calibrated */
    double rate;                   /* flop/s in this round */
    series gflops, flop_per_cycle; /* over all rounds */
    bool wanted;
} probe;
#define ROW(name) {.isa = #name, .run = probe_##name},
static probe probes[] = {CONVPOOL_ISAS(ROW)};
enum { PROBES = sizeof probes / sizeof *probes };

/* One kernel on one layer; or a peer, of which `kernel` then holds the name and the ISA. */
typedef struct entry {
    convpool_kernel_info kernel;
    convpool_layer *layer;
    const peer *peer;
    void *peer_state;
    char peer_note[PEER_NOTE];
    probe *probe;
    uint64_t iterations;
    series seconds, fractions;
    double median, least, p90, gflops, fraction, error_ratio;
    double lead;    /* a peer's time over the fastest kernel's in the same round, the median of all rounds */
    bool automatic; /* whether a layer that names only this ISA, or none, runs this kernel */
    size_t threads;
} entry;

typedef struct problem {
    const char *shape;
    convpool_layer_spec spec;
    extents e;
    float *input, *weights, *bias, *output;
    entry *entries;
    size_t count;
    peer_layer layer;    /* for the peers */
    const char *fastest; /* of the kernels beside them */
    struct problem *next;
} problem;

static struct {
    const char *kernel, *json;
    double min_time; /* seconds a kernel and layer */
    size_t threads;  /* compare 1, 2, ... so many of them; 0: compare kernels, on one */
    bool denormal;   /* the inputs */
    bool peers;
    const char *peers_isa; /* in the process that compares with them at this ISA */
    FILE *peers_json;      /* to which that writes its part of the JSON */
    problem *problems;
} options = {.min_time = 0.1};

static struct { double scipy, shifted, matmul, im2col; /* seconds; 0: not measured */ } baseline;
static series clock_ghz;

static void fail(const char *message, const char *detail) {
    fprintf(stderr, "convpool-bench: %s%s\n", message, detail);
    exit(EXIT_FAILURE);
}

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

static void push(series *s, double value) {
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

/* The value below which `part` of the series lies. Sorts it. */
static double quantile(series *s, double part) {
    qsort(s->values, s->count, sizeof *s->values, compare);
    return s->values[(size_t)(part * (double)(s->count - 1) + 0.5)];
}

static void progress(const char *what, const char *detail, size_t done, size_t all) {
    if (!isatty(STDERR_FILENO)) return;
    if (all > 0)
        fprintf(stderr, "\r\033[K%s %s %zu/%zu", what, detail, done, all);
    else
        fprintf(stderr, "\r\033[K%s %s", what, detail);
    fflush(stderr);
}

static void progress_end(void) {
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
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
    size_t stride = p->spec.pool == CONVPOOL_POOL_MAX_2X2 ? 4 : 1;
    return 8.0 * (double)p->spec.in_channels * (double)p->e.out * (double)stride;
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

static bool wanted(const convpool_kernel_info *info) {
    const char *name = options.kernel;
    if (options.peers_isa != NULL && strcmp(options.peers_isa, info->isa) != 0) return false;
    return info->supported && (name == NULL || *name == 0 || strcmp(name, info->isa) == 0 ||
                               strcmp(name, info->algorithm) == 0 || strcmp(name, info->name) == 0);
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

static void run_problem(problem *p) {
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

    size_t scratch_size = 0, peers = 0;
    while (peers_get(peers) != NULL)
        peers++;
    p->entries = calloc(convpool_kernel_count() + peers + options.threads, sizeof *p->entries);
    if (p->entries == NULL) fail("out of memory", "");
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        if (!wanted(&info)) continue;
        bool automatic = is_automatic(&p->spec, p->weights, &info);
        if (options.threads > 0 && (!automatic || p->count > 0)) continue;
        for (size_t threads = options.threads > 0; threads <= options.threads; threads++) {
            entry *e = &p->entries[p->count++];
            e->kernel = info;
            e->automatic = automatic;
            e->threads = threads;
            p->spec.kernel = info.name;
            convpool_status status = convpool_layer_create(&p->spec, p->weights, p->bias, &e->layer);
            if (status != CONVPOOL_OK) fail("cannot make the layer: ", convpool_status_string(status));
            size_t bytes = scratch_bytes(e->layer) * (threads > 0 ? threads : 1);
            scratch_size = bytes > scratch_size ? bytes : scratch_size;
            e->probe = probe_of(info.isa);
            e->probe->wanted = true;
        }
    }
    add_peers(p);
    void *scratch = allocate(scratch_size);
    verify(p, scratch);

    double longest = 0;
    for (size_t k = 0; k < p->count; k++) {
        entry *e = &p->entries[k];
        progress("calibrating", e->kernel.name, 0, 0);
        calibrate(e, p, scratch);
        longest = fmax(longest, run_kernel(e, p, scratch, e->iterations));
    }
    double enough = options.min_time / fmax(longest, least_sample);
    size_t rounds = (size_t)fmax(ceil(enough), LEAST_ROUNDS);
    for (size_t round = 0; round < rounds; round++) {
        progress(p->shape, "round", round + 1, rounds);
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
    progress_end();
    if (peers > 0) compare_with_peers(p);
    for (size_t k = 0; options.threads > 0 && k < p->count; k++)
        p->entries[k].lead = median_ratio(&p->entries[0].seconds, &p->entries[k].seconds);
    for (size_t k = 0; k < p->count; k++) {
        entry *e = &p->entries[k];
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
    if (options.threads == 0) qsort(p->entries, p->count, sizeof *p->entries, by_median);
    release(scratch);
    release(p->input);
    release(p->weights);
    release(p->bias);
    release(p->output);
}

/* The program that the project began with, timed here, where Python has NumPy and SciPy. */
static void measure_baseline(void) {
#ifdef _WIN32
    static const char *const commands[] = {"python \"%CONVPOOL_SEED_LAYER_PY%\" 2>NUL",
                                           "py -3 \"%CONVPOOL_SEED_LAYER_PY%\" 2>NUL"};
#else
    static const char *const commands[] = {"/usr/bin/python3 \"$CONVPOOL_SEED_LAYER_PY\" 2>/dev/null",
                                           "python3 \"$CONVPOOL_SEED_LAYER_PY\" 2>/dev/null"};
#endif
    setenv("CONVPOOL_SEED_LAYER_PY", SEED_LAYER_PY, 1); /* a path may hold anything */
    for (size_t i = 0; i < 2 && baseline.scipy <= 0; i++) {
        char name[32];
        double seconds;
        progress("timing the NumPy/SciPy program:", commands[i], 0, 0);
        FILE *pipe = popen(commands[i], "r");
        if (pipe == NULL) continue;
        while (fscanf(pipe, "%31s %lf", name, &seconds) == 2) {
            if (strcmp(name, "scipy") == 0) baseline.scipy = seconds;
            if (strcmp(name, "shifted") == 0) baseline.shifted = seconds;
            if (strcmp(name, "matmul") == 0) baseline.matmul = seconds;
            if (strcmp(name, "im2col") == 0) baseline.im2col = seconds;
        }
        if (pclose(pipe) != 0) baseline.scipy = 0;
    }
    progress_end();
}

static void print_heading(void) {
    char cpu[64];
    convpool_cpu_name(cpu, sizeof cpu);
    printf("convpool %s, %s\n%s\n%s, about %.2f GHz\n", convpool_version(), compiler_name(), BUILD_OPTIONS, cpu,
           quantile(&clock_ghz, 0.5));
    printf("peaks measured:");
    for (probe *p = probes; p < probes + PROBES; p++)
        if (p->wanted)
            printf(" %s %.1f GFLOP/s (%.1f a cycle)%s", p->isa, quantile(&p->gflops, 0.5),
                   quantile(&p->flop_per_cycle, 0.5),
                   p + 1 < probes + PROBES && p[1].wanted ? (p - probes) % 2 ? ",\n               " : "," : "");
    printf("\n");
}

static void print_threads(const problem *p) {
    printf("\n%s by %s, in bands of rows\n%8s %10s %10s %10s %9s\n", p->shape, p->entries->kernel.name, "threads",
           "median us", "min us", "p90 us", "speed-up");
    for (const entry *e = p->entries; e < p->entries + p->count; e++)
        printf("%8zu %10.2f %10.2f %10.2f %8.2fx\n", e->threads, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->lead);
}

static void print_problem(const problem *p) {
    if (options.threads > 0) {
        print_threads(p);
        return;
    }
    bool seed = strcmp(p->shape, seed_layer) == 0;
    printf("\n%s%s\n", p->shape, seed ? " (the seed layer)" : "");
    printf("%-18s %10s %10s %10s %8s %9s %11s%s\n", "kernel", "median us", "min us", "p90 us", "GFLOP/s", "of peak",
           "error/bound", seed ? "   speed-up" : "");
    for (size_t k = 0; k < p->count; k++) {
        const entry *e = &p->entries[k];
        char name[32];
        snprintf(name, sizeof name, "%s%s", e->kernel.name, e->automatic ? " *" : "");
        printf("%-18s %10.2f %10.2f %10.2f %8.1f %9.2f %11.4f", name, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->gflops, e->fraction, e->error_ratio);
        if (seed) printf(" %9.0fx", published_seconds / e->median);
        printf("\n");
    }
    if (!seed) return;
    printf("speed-up: over the published %.3f s of the NumPy/SciPy program\n", published_seconds);
    if (baseline.scipy <= 0) {
        printf("that program was not timed here: no python3 with NumPy and SciPy\n");
        return;
    }
    double best = p->entries[0].median;
    printf("that program here, today: %.4f s, %.0fx what %s takes;\n", baseline.scipy, baseline.scipy / best,
           p->entries[0].kernel.name);
    printf("better NumPy: shifted copies %.4f s (%.0fx), four matrix products %.4f s (%.0fx);\n", baseline.shifted,
           baseline.shifted / best, baseline.matmul, baseline.matmul / best);
    printf("the best NumPy known, im2col and one matrix product: %.6f s, %.1fx what %s takes\n", baseline.im2col,
           baseline.im2col / best, p->entries[0].kernel.name);
}

static void print_peers(const problem *p) {
    printf("\n%s at %s, beside other libraries\n", p->shape, options.peers_isa);
    printf("%-32s %10s %10s %10s %8s %11s %8s\n", "kernel or peer", "median us", "min us", "p90 us", "of peak",
           "error/bound", "ours is");
    for (size_t k = 0; k < p->count; k++) {
        const entry *e = &p->entries[k];
        printf("%-32s %10.2f %10.2f %10.2f %8.2f %11.4f", e->kernel.name, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->fraction, e->error_ratio);
        if (e->peer != NULL) printf(" %7.2fx  %s", e->lead, e->peer_note);
        printf("\n");
    }
}

/* Each entry behind a comma. */
static void write_peers_json(FILE *file) {
    for (const problem *p = options.problems; p != NULL; p = p->next)
        for (const entry *e = p->entries; e < p->entries + p->count; e++) {
            if (e->peer == NULL) continue;
            fprintf(file, ",\n  {\"shape\": \"%s\", \"peer\": ", p->shape);
            json_string(file, e->kernel.name);
            fprintf(file, ", \"layout\": \"%s\", \"set_up\": ", e->peer->layout_name);
            json_string(file, e->peer_note);
            fprintf(file,
                    ", \"isa\": \"%s\", \"median_us\": %.3f, \"min_us\": %.3f, \"p90_us\": %.3f, \"peak_fraction\": "
                    "%.4f, \"fastest_kernel\": \"%s\", \"ratio\": %.4f, \"max_error_bound_ratio\": %.6f}",
                    e->kernel.isa, e->median * 1e6, e->least * 1e6, e->p90 * 1e6, e->fraction, p->fastest, e->lead,
                    e->error_ratio);
        }
}

/* The peers read the environment when they start, so for each ISA this program runs again, as compare_at(). */
static void run_peers(int argc, char **argv) {
    options.peers_json = tmpfile();
    if (options.peers_json == NULL) fail("cannot make a temporary file", "");
    const char *isa = "";
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        if (!wanted(&info) || strcmp(info.isa, isa) == 0 || !peers_have(info.isa)) continue;
        isa = info.isa;
        fflush(stdout);
        if (!peers_run_again(isa, argc, argv, fileno(options.peers_json))) fail("no comparison with peers at ", isa);
    }
    if (*isa == 0) fail("--peers: none can be held to the instruction set of a kernel that is wanted", "");
    printf(
        "\nours is: how many times as fast as that the fastest kernel above is, the median of all rounds.\n"
        "Peers run on one thread, held to the instruction set but for XNNPACK, which chooses. Their weights are "
        "packed\n"
        "beforehand, and so is the input, but where NCHW goes in and out, as it does with the kernels. Of the ways to\n"
        "set a peer up that the bench knows, the fastest is taken, and named last.\n");
}

static void copy_peers_json(FILE *file) {
    if (options.peers_json == NULL) return;
    rewind(options.peers_json);
    for (int c = fgetc(options.peers_json); (c = fgetc(options.peers_json)) != EOF;) /* the first is a comma */
        fputc(c, file);
}

static void write_json(FILE *file) {
    char cpu[64];
    convpool_cpu_name(cpu, sizeof cpu);
    fprintf(file, "{\"schema\": 1, \"version\": \"%s\", \"cpu\": ", convpool_version());
    json_string(file, cpu);
    fprintf(file, ", \"compiler\": ");
    json_string(file, compiler_name());
    fprintf(file, ", \"options\": ");
    json_string(file, BUILD_OPTIONS);
    fprintf(file, ",\n \"clock_ghz\": %.3f", quantile(&clock_ghz, 0.5));
    for (int what = 0; what < 2; what++) {
        const char *separator = "";
        fprintf(file, ",\n \"%s\": {", what ? "peak_flop_per_cycle" : "peak_gflops");
        for (probe *p = probes; p < probes + PROBES; p++)
            if (p->wanted) {
                fprintf(file, "%s\"%s\": %.2f", separator, p->isa,
                        quantile(what ? &p->flop_per_cycle : &p->gflops, 0.5));
                separator = ", ";
            }
        fprintf(file, "}");
    }
    fprintf(file, ",\n \"baseline\": {\"published_seconds\": %.3f, \"measured_seconds\": ", published_seconds);
    fprintf(file, baseline.scipy > 0 ? "%.6f" : "null", baseline.scipy);
    fprintf(file, ", \"best_numpy_seconds\": ");
    fprintf(file, baseline.im2col > 0 ? "%.6f}" : "null}", baseline.im2col);
    fprintf(file, ",\n \"results\": [");
    const char *separator = "";
    for (const problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count; k++, separator = ",") {
            const entry *e = &p->entries[k];
            fprintf(file,
                    "%s\n  {\"shape\": \"%s\", \"kernel\": \"%s\", \"automatic\": %s, \"threads\": %zu, \"median_us\": "
                    "%.3f, \"min_us\": %.3f, "
                    "\"p90_us\": %.3f, "
                    "\"gflops\": %.2f, \"peak_fraction\": %.4f, \"speedup_published\": ",
                    separator, p->shape, e->kernel.name, e->automatic ? "true" : "false",
                    e->threads > 0 ? e->threads : 1, e->median * 1e6, e->least * 1e6, e->p90 * 1e6, e->gflops,
                    e->fraction);
            fprintf(file, strcmp(p->shape, seed_layer) == 0 ? "%.1f" : "null", published_seconds / e->median);
            fprintf(file, ", \"max_error_bound_ratio\": %.6f}", e->error_ratio);
        }
    fprintf(file, "],\n \"peers\": [");
    copy_peers_json(file);
    fprintf(file, "]}\n");
}

/* Whether a layer of this shape can be made: asked of a kernel by name, as CONVPOOL_KERNEL may hold anything. */
static bool fits(const convpool_layer_spec *shape) {
    convpool_layer_spec spec = *shape;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++)
        if (info.supported) spec.kernel = info.name;
    return convpool_layer_memory_size(&spec) != 0;
}

static void add_problem(const char *shape) {
    problem *p = calloc(1, sizeof *p), **last = &options.problems;
    if (p == NULL) fail("out of memory", "");
    p->shape = shape;
    if (!parse_layer(shape, &p->spec)) fail("not a layer in the form CxHxW:O[:none]: ", shape);
    if (!fits(&p->spec)) fail("not a layer that can be run: ", shape);
    p->e = extents_of(&p->spec);
    while (*last != NULL)
        last = &(*last)->next;
    *last = p;
}

static const char usage[] =
    "usage: convpool-bench [--kernel NAME] [--shape CxHxW:O[:none]]... [--json FILE] [--min-time MS]\n"
    "                      [--denormal] [--peers | --threads N]\n"
    "Verifies and times the fused layer (2x2 convolution, bias, 2x2 max-pooling, ReLU), on one thread.\n"
    "  --kernel NAME     only this ISA (avx2), algorithm (direct) or kernel (avx2-direct); else what\n"
    "                    CONVPOOL_KERNEL in the environment names, if anything\n"
    "  --shape CxHxW:O   this layer (may be repeated) in place of the usual list:\n"
    "                    C input channels, H x W input, O output channels; with :none not pooled\n"
    "  --json FILE       write the results to FILE as well\n"
    "  --min-time MS     sample each kernel and layer for at least so long (default 100)\n"
    "  --denormal        inputs and results that are denormal numbers, in place of ordinary ones\n"
    "  --peers           then compare with other libraries, one thread and one ISA each\n"
    "  --threads N       time the automatic choice alone, one image split among 1, 2, ... N threads\n";

/* "avx2:3": with the peers of this ISA, whose JSON goes to this file descriptor. */
static void be_peers_process(char *argument) {
    char *colon = strchr(argument, ':');
    if (colon == NULL || (options.peers_json = fdopen(atoi(colon + 1), "a")) == NULL)
        fail("--peers takes no argument: ", argument);
    *colon = 0;
    options.peers_isa = argument;
}

/* Takes the kernel that is asked for. The library says best what is wrong with a name, and for one in the environment
 * it does so itself. */
static void check_kernel(void) {
    static const float weights[4];
    convpool_layer_spec spec = {.in_channels = 1, .in_height = 3, .in_width = 3, .out_channels = 1};
    convpool_layer *layer;
    spec.kernel = options.kernel;
    convpool_status status = convpool_layer_create(&spec, weights, NULL, &layer);
    convpool_layer_destroy(layer);
    if (status == CONVPOOL_OK) {
        if (options.kernel == NULL) options.kernel = getenv("CONVPOOL_KERNEL");
        return;
    }
    if (options.kernel != NULL) {
        fprintf(stderr, "convpool-bench: --kernel %s: %s; supported here:", options.kernel,
                convpool_status_string(status));
        convpool_kernel_info info;
        for (size_t k = 0; convpool_kernel_get(k, &info); k++)
            if (info.supported) fprintf(stderr, " %s", info.name);
        fprintf(stderr, "\n");
    }
    exit(2);
}

static void parse_options(int argc, char **argv) {
    static const struct option long_options[] = {{"kernel", required_argument, NULL, 'k'},
                                                 {"shape", required_argument, NULL, 's'},
                                                 {"json", required_argument, NULL, 'j'},
                                                 {"min-time", required_argument, NULL, 't'},
                                                 {"peers", optional_argument, NULL, 'p'},
                                                 {"threads", required_argument, NULL, 'n'},
                                                 {"denormal", no_argument, NULL, 'd'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        char *end = NULL;
        switch (c) {
        case 'k': options.kernel = optarg; break;
        case 's': add_problem(optarg); break;
        case 'j': options.json = optarg; break;
        case 't':
            options.min_time = strtod(optarg, &end) * 1e-3;
            if (*end != 0 || end == optarg || !(options.min_time >= 0 && options.min_time <= 1e6))
                fail("not a time in milliseconds: ", optarg);
            break;
        case 'n':
            options.threads = (size_t)strtoul(optarg, &end, 10);
            if (*end != 0 || end == optarg || options.threads < 1 || options.threads > 1024)
                fail("not a number of threads: ", optarg);
            break;
        case 'p':
            if (!peers_built()) fail("--peers: built without them; configure with -Dpeers=enabled", "");
            options.peers = true;
            if (optarg != NULL) be_peers_process(optarg);
            break;
        case 'd': options.denormal = true; break;
        case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (options.peers && options.threads > 0) fail("--peers and --threads do not go together", "");
    for (const problem *p = options.problems; p != NULL; p = p->next)
        if (options.peers && p->spec.pool == CONVPOOL_POOL_NONE) fail("--peers takes pooled layers alone: ", p->shape);
    if (optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
    if (options.problems == NULL)
        for (size_t i = 0; i < sizeof default_layers / sizeof *default_layers; i++)
            add_problem(default_layers[i]);
    check_kernel();
}

/* What this program is when peers_run_again() has run it. */
static int compare_at(const char *isa) {
    convpool_kernel_info best = {.supported = false};
    for (size_t k = 0; !best.supported; k++)
        convpool_kernel_get(k, &best);
    const char *wrong = peers_start(isa, strcmp(best.isa, isa) == 0);
    if (wrong != NULL) fail("peers: ", wrong);
    for (problem *p = options.problems; p != NULL; p = p->next) {
        run_problem(p);
        print_peers(p);
    }
    write_peers_json(options.peers_json);
    return fclose(options.peers_json) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    if (options.peers_isa != NULL) return compare_at(options.peers_isa);
    FILE *json = NULL; /* opened now, so as to fail early, but what it holds stays until there is something better */
    if (options.json != NULL && (json = fopen(options.json, "a")) == NULL) fail("cannot write ", options.json);
    bool seed = false;
    for (problem *p = options.problems; p != NULL; p = p->next)
        seed |= strcmp(p->shape, seed_layer) == 0;
    if (seed) measure_baseline();
    /* Pinned: a sample that moves to another core measures the move. */
    if (!crew_start(options.threads > 0 ? options.threads : 1)) fail("cannot make threads", "");
    for (problem *p = options.problems; p != NULL; p = p->next)
        run_problem(p);
    print_heading();
    for (problem *p = options.problems; p != NULL; p = p->next)
        print_problem(p);
    printf("%s", options.threads > 0 ? "" : "\n*: the automatic choice at its instruction set.");
    printf("\nGFLOP/s: the direct convolution's multiplications and additions over the median time.\n"
           "of peak: that rate over the peak of the instruction set in the same round, the median of all rounds.\n"
           "error/bound: the largest error in any output over the bound on it that holds for any data.\n");
    const entry *worst = NULL;
    for (problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count; k++)
            if (worst == NULL || p->entries[k].error_ratio > worst->error_ratio) worst = &p->entries[k];
    if (worst != NULL) printf("The largest of these here: %.4f, of %s.\n", worst->error_ratio, worst->kernel.name);
    if (options.peers) run_peers(argc, argv);
    if (json != NULL) {
        if ((json = freopen(options.json, "w", json)) == NULL) fail("cannot write ", options.json);
        write_json(json);
        if (fclose(json) != 0) fail("cannot write ", options.json);
    }
    return EXIT_SUCCESS;
}
