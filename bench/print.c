/* SPDX-License-Identifier: MIT */
/* Printing: tables and JSON. */
#define _GNU_SOURCE
#include "bench.h"

#include "report.h"

#include <string.h>
#include <unistd.h>

void progress(const char *what, const char *detail, size_t done, size_t all) {
    if (!isatty(STDERR_FILENO)) return;
    if (all > 0)
        fprintf(stderr, "\r\033[K%s %s %zu/%zu", what, detail, done, all);
    else
        fprintf(stderr, "\r\033[K%s %s", what, detail);
    fflush(stderr);
}

void progress_end(void) {
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

void print_heading(void) {
    char cpu[64];
    convpool_cpu_name(cpu, sizeof cpu);
    printf("convpool %s, %s\n%s\n%s, about %.2f GHz\n", convpool_version(), compiler_name(), BUILD_OPTIONS, cpu,
           quantile(&clock_ghz, 0.5));
    printf("peaks measured:");
    for (probe *p = probes; p->isa != NULL; p++)
        if (p->wanted)
            printf(" %s %.1f GFLOP/s (%.1f a cycle)%s", p->isa, quantile(&p->gflops, 0.5),
                   quantile(&p->flop_per_cycle, 0.5),
                   p[1].isa != NULL && p[1].wanted ? (p - probes) % 2 ? ",\n               " : "," : "");
    printf("\n");
}

static void print_threads(const problem *p) {
    printf("\n%s by %s, in bands of rows\n%8s %10s %10s %10s %9s\n", p->shape, p->entries->kernel.name, "threads",
           "median us", "min us", "p90 us", "speed-up");
    for (const entry *e = p->entries; e < p->entries + p->count; e++)
        printf("%8zu %10.2f %10.2f %10.2f %8.2fx\n", e->threads, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->lead);
}

void print_problem(const problem *p) {
    if (options.threads > 0) {
        print_threads(p);
        return;
    }
    bool seed = strcmp(p->shape, SEED_LAYER) == 0;
    printf("\n%s%s\n", p->shape, seed ? " (the seed layer)" : "");
    printf("%-18s %10s %10s %10s %8s %9s %11s%s\n", "kernel", "median us", "min us", "p90 us", "GFLOP/s", "of peak",
           "error/bound", seed ? "   speed-up" : "");
    for (size_t k = 0; k < p->count; k++) {
        const entry *e = &p->entries[k];
        char name[32];
        snprintf(name, sizeof name, "%s%s", e->kernel.name, e->automatic ? " *" : "");
        printf("%-18s %10.2f %10.2f %10.2f %8.1f %9.2f %11.4f", name, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->gflops, e->fraction, e->error_ratio);
        if (seed) printf(" %9.0fx", PUBLISHED_SECONDS / e->median);
        printf("\n");
    }
    if (!seed) return;
    printf("speed-up: over the published %.3f s of the NumPy/SciPy program\n", PUBLISHED_SECONDS);
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

void print_peers(const problem *p) {
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

/* What the columns mean, and the largest error of all. */
void print_notes(void) {
    printf("%s", options.threads > 0 ? "" : "\n*: the automatic choice at its instruction set.");
    printf("\nGFLOP/s: the direct convolution's multiplications and additions over the median time.\n"
           "of peak: that rate over the peak of the instruction set in the same round, the median of all rounds.\n"
           "error/bound: the largest error in any output over the bound on it that holds for any data.\n");
    const entry *worst = NULL;
    for (problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count; k++)
            if (worst == NULL || p->entries[k].error_ratio > worst->error_ratio) worst = &p->entries[k];
    if (worst != NULL) printf("The largest of these here: %.4f, of %s.\n", worst->error_ratio, worst->kernel.name);
}

void write_peers_json(FILE *file) {
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

static void copy_peers_json(FILE *file) {
    if (options.peers_json == NULL) return;
    rewind(options.peers_json);
    for (int c = fgetc(options.peers_json); (c = fgetc(options.peers_json)) != EOF;) /* the first is a comma */
        fputc(c, file);
}

static void write_machine(FILE *file) {
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
        for (probe *p = probes; p->isa != NULL; p++)
            if (p->wanted) {
                fprintf(file, "%s\"%s\": %.2f", separator, p->isa,
                        quantile(what ? &p->flop_per_cycle : &p->gflops, 0.5));
                separator = ", ";
            }
        fprintf(file, "}");
    }
}

static void write_baseline(FILE *file) {
    fprintf(file, ",\n \"baseline\": {\"published_seconds\": %.3f, \"measured_seconds\": ", PUBLISHED_SECONDS);
    fprintf(file, baseline.scipy > 0 ? "%.6f" : "null", baseline.scipy);
    fprintf(file, ", \"best_numpy_seconds\": ");
    fprintf(file, baseline.im2col > 0 ? "%.6f}" : "null}", baseline.im2col);
}

static void write_results(FILE *file) {
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
            fprintf(file, strcmp(p->shape, SEED_LAYER) == 0 ? "%.1f" : "null", PUBLISHED_SECONDS / e->median);
            fprintf(file, ", \"max_error_bound_ratio\": %.6f}", e->error_ratio);
        }
}

void write_json(FILE *file) {
    write_machine(file);
    write_baseline(file);
    fprintf(file, ",\n \"results\": [");
    write_results(file);
    fprintf(file, "],\n \"peers\": [");
    copy_peers_json(file);
    fprintf(file, "]}\n");
}
