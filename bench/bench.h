/* SPDX-License-Identifier: MIT */
/* What the bench measures, shared by what makes and verifies it (subjects.c), measuring (rounds.c), printing (print.c)
 * and the program (bench.c). */
#ifndef CONVPOOL_BENCH_H
#define CONVPOOL_BENCH_H

#include "dispatch.h"
#include "notation.h"
#include "peers/peers.h"
#include "reference.h"

#include <stdint.h>
#include <stdio.h>

#ifdef __wasm__ /* whose system interface starts no other program, and knows a file by one descriptor and name */
#include <stdlib.h>
#include <unistd.h>
#define system(command) ((void)(command), -1)
#define popen(command, mode) ((void)(command), (void)(mode), (FILE *)NULL)
#define pclose(pipe) ((void)(pipe), -1)
#define tmpfile() ((FILE *)NULL)
#define dup(descriptor) ((void)(descriptor), -1)
#define dup2(descriptor, as) ((void)(descriptor), (void)(as), -1)
#endif

#define PUBLISHED_SECONDS 0.084 /* what the seed layer took in NumPy/SciPy when the project began */
#define SEED_LAYER "16x25x25:32"

typedef struct series {
    double *values;
    size_t count;
} series;
void push(series *s, double value);
double quantile(series *s, double part); /* the value below which `part` of the series lies; sorts it */

/* The peak of an ISA. */
typedef struct probe {
    const char *isa;
    double (*run)(uint64_t iterations);
    uint64_t iterations;           /* a sample; 0: not yet calibrated */
    double rate;                   /* flop/s in this round */
    series gflops, flop_per_cycle; /* over all rounds */
    bool wanted;
} probe;
extern probe probes[]; /* one for each ISA of the build, and {NULL} */
extern series clock_ghz;

/* A series in the order of the rounds is cut into so many parts, and the median of each tells how steady the machine
 * was. */
enum { PARTS = 8 };

/* One kernel on one layer; or an instruction set on a network; or a peer, of which `kernel` then holds the name and the
 * ISA. */
typedef struct entry {
    convpool_kernel_info kernel;
    convpool_layer *layer;
    convpool_layer **ring; /* more of that, so many that their weights do not fit the caches next to the core */
    size_t ring_count, ring_next;
    convpool_network *network;
    const peer *peer;
    void *peer_state;
    char peer_note[PEER_NOTE];
    probe *probe;
    uint64_t iterations;
    series seconds, cold, fractions;
    double median, least, p90, cold_median, gflops, fraction; /* cold_median: 0 where there is no ring */
    double error_ratio; /* the largest error over its bound; of a network over the largest output */
    double seconds_parts[PARTS], fraction_parts[PARTS];
    double lead;    /* a peer's time over the fastest kernel's in the same round, the median of all rounds */
    bool automatic; /* whether a layer that names only this ISA, or none, runs this kernel */
    size_t threads;
} entry;

/* A layer, or a network. */
typedef struct problem {
    const char *shape;    /* as it was given; of a network the name of its file, without what does not tell */
    network_file network; /* no stages: a layer */
    convpool_layer_spec spec;
    extents e; /* of a network the numbers in and out alone */
    double flop;
    float *input, *weights, *bias, *output;
    void *scratch;
    entry *entries;
    size_t count;
    peer_layer layer;    /* for the peers */
    const char *fastest; /* of the kernels beside them */
    struct problem *next;
} problem;

typedef struct bench_options {
    const char *kernel, *json, *report, *compare[2], *tolerance;
    double min_time; /* seconds a kernel and layer */
    size_t threads;  /* compare 1, 2, ... so many of them; 0: compare kernels, on one */
    bool denormal;   /* the inputs */
    bool peers;
    const char *peers_isa; /* in the process that compares with them at this ISA */
    FILE *peers_json;      /* to which that writes its part of the JSON */
    problem *problems;
} bench_options;
extern bench_options options;

/* Of the program that the project began with, and of better NumPy, in seconds; 0: not measured. */
typedef struct numpy_times {
    double scipy, shifted, matmul, im2col;
} numpy_times;
extern numpy_times baseline;

/* What Python does (python.c). */
void measure_baseline(void);
void check_report(void); /* that a report can be made, before all that it is to show is measured */
void make_report(void);
int compare_reports(void); /* the program's exit status */

/* Ends the program. */
void fail(const char *message, const char *detail) __attribute__((noreturn));

/* On a terminal's stderr; `all` may be 0. */
void progress(const char *what, const char *detail, size_t done, size_t all);
void progress_end(void);

/* Whether a kernel is asked for, and runs here. */
bool wanted(const convpool_kernel_info *info);

/* Makes every wanted kernel's layer or network, and the peers where this is their process, and verifies them. */
void prepare_problem(problem *p);
void release_problem(problem *p);

/* Runs so often, on ring's layers by turns if `cold`; seconds. */
double run_entry(entry *e, const problem *p, uint64_t iterations, bool cold);

/* Times what has been prepared. */
void measure_problem(problem *p);

double now(void); /* seconds */
probe *probe_of(const char *isa);

void print_problem(const problem *p);
void print_peers(const problem *p);
void print_notes(void);
void write_json(FILE *file);
void write_peers_json(FILE *file); /* each entry behind a comma */

#endif
