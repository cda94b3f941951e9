/* SPDX-License-Identifier: MIT */
/* What the bench measures, shared by measuring (rounds.c), printing (print.c) and the program (bench.c). */
#ifndef CONVPOOL_BENCH_H
#define CONVPOOL_BENCH_H

#include "dispatch.h"
#include "peers/peers.h"
#include "reference.h"

#include <stdint.h>
#include <stdio.h>

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

typedef struct bench_options {
    const char *kernel, *json;
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

/* Ends the program. */
void fail(const char *message, const char *detail) __attribute__((noreturn));

/* On a terminal's stderr; `all` may be 0. */
void progress(const char *what, const char *detail, size_t done, size_t all);
void progress_end(void);

/* Whether a kernel is asked for, and runs here. */
bool wanted(const convpool_kernel_info *info);

/* Verifies and times every wanted kernel on a layer, and the peers where this is their process. */
void run_problem(problem *p);

void print_heading(void);
void print_problem(const problem *p);
void print_peers(const problem *p);
void print_notes(void);
void write_json(FILE *file);
void write_peers_json(FILE *file); /* each entry behind a comma */

#endif
