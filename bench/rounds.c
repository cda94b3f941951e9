/* SPDX-License-Identifier: MIT */
/*
 * Measuring. All kernels of a layer, the probes of their ISAs and a clock take turns, one sample each a round. The
 * clock of a machine wanders, so a kernel is set against the probe of the same round, and the median over the rounds is
 * what can be believed.
 */
#define _GNU_SOURCE
#include "bench.h"

#include "list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAST_ROUNDS = 31 };
static const double least_sample = 2e-3; /* seconds */

#define DECLARE(isa) double probe_##isa(uint64_t iterations);
CONVPOOL_ISAS(DECLARE)
#define ROW(name) {.isa = #name, .run = probe_##name},
probe probes[] = {CONVPOOL_ISAS(ROW){.isa = NULL}};
series clock_ghz;

probe *probe_of(const char *isa) {
    probe *p = probes;
    while (strcmp(p->isa, isa) != 0)
        p++;
    return p;
}

double now(void) {
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
 * constants while renaming, and by turns, for engines of WebAssembly would make one of many equal ones. */
static double clock_rate(void) {
    enum { adds = 16, times = 100000 };
    static volatile uint64_t result;
    uint64_t x = result, y = 1;
    double start = now();
    for (int n = 0; n < times; n++)
        for (int i = 0; i < adds; i += 2) {
            x += y;
            __asm__ volatile("" : "+r"(x), "+r"(y));
            y += x;
            __asm__ volatile("" : "+r"(x), "+r"(y));
        }
    result = x;
    return adds * times / (now() - start);
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

static void calibrate(entry *e, const problem *p) {
    double seconds;
    for (e->iterations = 1; (seconds = run_entry(e, p, e->iterations, false)) < least_sample;)
        e->iterations = grow(e->iterations, seconds);
    for (probe *q = e->probe; q->iterations == 0 || run_probe(q, q->iterations) < least_sample;)
        q->iterations = q->iterations == 0 ? 1000 : grow(q->iterations, run_probe(q, q->iterations));
}

static int by_median(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return (x->median > y->median) - (x->median < y->median);
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

/* How many rounds take the time that is asked for. */
static size_t count_rounds(problem *p) {
    double longest = 0;
    for (entry *e = p->entries; e < p->entries + p->count; e++) {
        progress("calibrating", e->kernel.name, 0, 0);
        calibrate(e, p);
        longest = fmax(longest, run_entry(e, p, e->iterations, false));
    }
    return (size_t)fmax(ceil(options.min_time / fmax(longest, least_sample)), LEAST_ROUNDS);
}

static void run_round(problem *p) {
    for (entry *e = p->entries; e < p->entries + p->count; e++) {
        /* Kernels of one ISA follow each other: its probe runs once, before the first of them. */
        if (e == p->entries || e->probe != e[-1].probe) {
            double hertz = clock_rate();
            run_probe(e->probe, e->probe->iterations);
            push(&clock_ghz, hertz * 1e-9);
            push(&e->probe->gflops, e->probe->rate * 1e-9);
            push(&e->probe->flop_per_cycle, e->probe->rate / hertz);
        }
        double seconds = run_entry(e, p, e->iterations, false) / (double)e->iterations;
        push(&e->seconds, seconds);
        push(&e->fractions, p->flop / seconds / e->probe->rate);
        if (e->ring_count > 0) push(&e->cold, run_entry(e, p, e->iterations, true) / (double)e->iterations);
    }
}

/* The medians of the parts of a series that is still in the order of the rounds. */
static void cut(const series *s, double parts[PARTS]) {
    for (size_t i = 0; i < PARTS; i++) {
        series part = {0};
        for (size_t k = s->count * i / PARTS; k < s->count * (i + 1) / PARTS; k++)
            push(&part, s->values[k]);
        parts[i] = quantile(&part, 0.5);
        free(part.values);
    }
}

/* What is known of an entry when all rounds have run. */
static void finish_entry(entry *e, const problem *p) {
    cut(&e->seconds, e->seconds_parts);
    cut(&e->fractions, e->fraction_parts);
    e->median = quantile(&e->seconds, 0.5);
    e->least = quantile(&e->seconds, 0);
    e->p90 = quantile(&e->seconds, 0.9);
    e->cold_median = e->ring_count > 0 ? quantile(&e->cold, 0.5) : 0;
    e->gflops = p->flop / e->median * 1e-9;
    e->fraction = quantile(&e->fractions, 0.5);
    free(e->seconds.values);
    free(e->cold.values);
    free(e->fractions.values);
}

void measure_problem(problem *p) {
    size_t rounds = count_rounds(p);
    for (size_t round = 0; round < rounds; round++) {
        progress(p->shape, "round", round + 1, rounds);
        run_round(p);
    }
    progress_end();
    if (peers_get(0) != NULL) compare_with_peers(p);
    for (size_t k = 0; options.threads > 0 && k < p->count; k++)
        p->entries[k].lead = median_ratio(&p->entries[0].seconds, &p->entries[k].seconds);
    for (size_t k = 0; k < p->count; k++)
        finish_entry(&p->entries[k], p);
    if (options.threads == 0) qsort(p->entries, p->count, sizeof *p->entries, by_median);
}
