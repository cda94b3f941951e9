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

static void print_threads(const problem *p) {
    printf("\n%s by %s, in bands of rows\n%8s %10s %10s %10s %9s\n", p->shape, p->entries->kernel.name, "threads",
           "median us", "min us", "p90 us", "speed-up");
    for (const entry *e = p->entries; e < p->entries + p->count; e++)
        printf("%8zu %10.2f %10.2f %10.2f %8.2fx\n", e->threads, e->median * 1e6, e->least * 1e6, e->p90 * 1e6,
               e->lead);
}

/* What the seed layer's times are over those of NumPy's. */
static void print_baseline(const entry *best) {
    printf("speed-up: over the published %.3f s of the NumPy/SciPy program\n", PUBLISHED_SECONDS);
    if (baseline.scipy <= 0) {
        printf("that program was not timed here: no python3 with NumPy and SciPy\n");
        return;
    }
    printf("that program here, today: %.4f s, %.0fx what %s takes;\n", baseline.scipy, baseline.scipy / best->median,
           best->kernel.name);
    printf("better NumPy: shifted copies %.4f s (%.0fx), four matrix products %.4f s (%.0fx);\n", baseline.shifted,
           baseline.shifted / best->median, baseline.matmul, baseline.matmul / best->median);
    printf("the best NumPy known, im2col and one matrix product: %.6f s, %.1fx what %s takes\n", baseline.im2col,
           baseline.im2col / best->median, best->kernel.name);
}

static void print_row(const entry *e, bool seed, bool network) {
    char name[32], cold[32] = "";
    snprintf(name, sizeof name, "%s%s", e->kernel.name, e->automatic && !network ? " *" : "");
    if (e->cold_median > 0) snprintf(cold, sizeof cold, "%.2f", e->cold_median * 1e6);
    printf("%-20s %10.2f %10.2f %10.2f %10s %8.1f %8.2f ", name, e->median * 1e6, e->least * 1e6, e->p90 * 1e6, cold,
           e->gflops, e->fraction);
    printf(network ? "%11.1e" : "%11.4f", e->error_ratio);
    if (seed) printf(" %8.0fx", PUBLISHED_SECONDS / e->median);
    printf("\n");
}

void print_problem(const problem *p) {
    if (options.threads > 0) {
        print_threads(p);
        return;
    }
    bool seed = strcmp(p->shape, SEED_LAYER) == 0, network = p->network.count > 0;
    if (network)
        printf("\n%s, a network of %zu stages and %.2f million multiplications\n", p->shape, p->network.count,
               p->network.multiply_adds * 1e-6);
    else
        printf("\n%s%s\n", p->shape, seed ? " (the seed layer)" : "");
    printf("%-20s %10s %10s %10s %10s %8s %8s %11s%s\n", network ? "instruction set" : "kernel", "median us", "min us",
           "p90 us", "cold us", "GFLOP/s", "of peak", network ? "difference" : "error/bound", seed ? "  speed-up" : "");
    for (const entry *e = p->entries; e < p->entries + p->count; e++)
        print_row(e, seed, network);
    if (seed) print_baseline(&p->entries[0]);
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

/* The peaks, what the columns mean, and the largest error of all. */
void print_notes(void) {
    printf("\nclock: about %.2f GHz; peaks:", quantile(&clock_ghz, 0.5));
    const char *separator = " ";
    for (probe *p = probes; p->isa != NULL; p++)
        if (p->gflops.count > 0) {
            printf("%s%s %.1f GFLOP/s (%.1f a cycle)", separator, p->isa, quantile(&p->gflops, 0.5),
                   quantile(&p->flop_per_cycle, 0.5));
            separator = ", ";
        }
    printf("%s", options.threads > 0 ? "" : "\n*: the automatic choice at its instruction set.");
    printf("\ncold: the median with weights that are in no cache next to the core.\n"
           "GFLOP/s: the direct convolution's multiplications and additions over the median time.\n"
           "of peak: that rate over the peak of the instruction set in the same round, the median of all rounds.\n"
           "error/bound: the largest error in any output over the bound on it that holds for any data.\n"
           "difference: the largest error in any output of a network over its largest output.\n");
    const entry *worst = NULL;
    for (problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count && p->network.count == 0; k++)
            if (worst == NULL || p->entries[k].error_ratio > worst->error_ratio) worst = &p->entries[k];
    if (worst != NULL) printf("The largest error/bound here: %.4f, of %s.\n", worst->error_ratio, worst->kernel.name);
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

static void write_peaks(FILE *file) {
    fprintf(file, ",\n \"clock_ghz\": %.3f", quantile(&clock_ghz, 0.5));
    for (int what = 0; what < 2; what++) {
        const char *separator = "";
        fprintf(file, ",\n \"%s\": {", what ? "peak_flop_per_cycle" : "peak_gflops");
        for (probe *p = probes; p->isa != NULL; p++)
            if (p->gflops.count > 0) {
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

static void write_parts(FILE *file, const char *name, const double parts[PARTS], double unit) {
    fprintf(file, ",\n   \"%s\": [", name);
    for (size_t i = 0; i < PARTS; i++)
        fprintf(file, "%s%.6g", i ? ", " : "", parts[i] * unit);
    fprintf(file, "]");
}

/* What layers and networks have in common. */
static void write_times(FILE *file, const entry *e) {
    fprintf(file,
            ", \"kernel\": \"%s\", \"automatic\": %s, \"threads\": %zu,\n   \"median_us\": %.3f, \"min_us\": %.3f, "
            "\"p90_us\": %.3f, \"gflops\": %.2f, \"peak_fraction\": %.4f",
            e->kernel.name, e->automatic ? "true" : "false", e->threads > 0 ? e->threads : 1, e->median * 1e6,
            e->least * 1e6, e->p90 * 1e6, e->gflops, e->fraction);
    write_parts(file, "part_medians_us", e->seconds_parts, 1e6);
    write_parts(file, "part_peak_fractions", e->fraction_parts, 1);
}

static void write_results(FILE *file) {
    const char *separator = "";
    for (const problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count && p->network.count == 0; k++, separator = ",") {
            const entry *e = &p->entries[k];
            fprintf(file, "%s\n  {\"shape\": \"%s\"", separator, p->shape);
            write_times(file, e);
            fprintf(file, e->cold_median > 0 ? ",\n   \"cold_median_us\": %.3f" : ",\n   \"cold_median_us\": null",
                    e->cold_median * 1e6);
            fprintf(file,
                    strcmp(p->shape, SEED_LAYER) == 0 ? ", \"speedup_published\": %.1f"
                                                      : ", \"speedup_published\": null",
                    PUBLISHED_SECONDS / e->median);
            fprintf(file, ", \"max_error_bound_ratio\": %.6f}", e->error_ratio);
        }
}

static void write_networks(FILE *file) {
    const char *separator = "";
    for (const problem *p = options.problems; p != NULL; p = p->next)
        for (size_t k = 0; k < p->count && p->network.count > 0; k++, separator = ",") {
            fprintf(file, "%s\n  {\"network\": ", separator);
            json_string(file, p->shape);
            write_times(file, &p->entries[k]);
            fprintf(file, ", \"stages\": %zu, \"multiply_adds\": %.0f, \"largest_difference\": %.3g}", p->network.count,
                    p->network.multiply_adds, p->entries[k].error_ratio);
        }
}

void write_json(FILE *file) {
    fprintf(file, "{\"schema\": 1, ");
    write_machine(file, BUILD_OPTIONS);
    write_peaks(file);
    write_baseline(file);
    fprintf(file, ",\n \"results\": [");
    write_results(file);
    fprintf(file, "],\n \"networks\": [");
    write_networks(file);
    fprintf(file, "],\n \"peers\": [");
    copy_peers_json(file);
    fprintf(file, "]}\n");
}
