/* SPDX-License-Identifier: MIT */
/* A layer with its data, and what holds every kernel to what it owes on it, in guarded memory. */
#ifndef CONVPOOL_PROBLEM_H
#define CONVPOOL_PROBLEM_H

#include "checks.h"
#include "kernel.h"
#include "reference.h"

#define RELU(spec) ((spec)->activation == CONVPOOL_ACTIVATION_RELU)

typedef struct problem {
    convpool_layer_spec spec;
    extents e;
    float *input, *weights, *bias;
} problem;

/* mode: 1 no pooling, 2 no activation, 4 a flipped filter, 8 a 3x3 filter over an image with a row or column of zeros
 * on each side, added. All data is zero. */
problem problem_new(size_t channels, size_t height, size_t width, size_t out_channels, unsigned mode);
problem problem_of(const convpool_layer_spec *spec);
void problem_free(problem *p);
void problem_fill(problem *p, uint64_t *state); /* with random_uniform() */

/* Heights and widths that a pooled or unpooled output needs at least. */
static inline size_t least(unsigned mode) { return mode & 1 ? 2 : 3; }

/* The widest vector has 16 lanes and an unpooled step has four: 140 goes past two steps, and past four vectors of
 * pooled pixels. */
enum { SEVERAL_VECTORS = 140 };

/* Zeroed memory, or the end. */
void *allocate(size_t count, size_t size);

/* tests/data/<name>.npy, which must hold `count` numbers of this type, "<f4" or "<f8"; NULL where it cannot be read. */
void *read_npy(const char *name, const char *type, size_t count);

/* Infinity where a value is none. */
double largest_magnitude(const float *values, size_t count);

/* What a spec says, for messages; valid until the next call. */
const char *describe(const convpool_layer_spec *spec);

/* Whether two numbers are the same: any NaN for any NaN, and any zero for any zero where its sign does not count. */
bool equal(float a, float b, bool sign_of_zero);

/* Each kernel that can run here and compute such a layer, whatever kernel the spec names: the next one from *index on,
 * which is left behind it. `direct` can compute any. False where there is none. */
bool next_kernel(const convpool_layer_spec *spec, size_t *index, convpool_kernel_info *info);

/* The same of two results of a layer: signs of zeros count after ReLU. */
bool same(const convpool_layer_spec *spec, float a, float b);

/* Where tensors lie: at which guard page, and how many bytes away from it; weights as the input, bias as the output. */
typedef struct layout {
    place where;
    size_t input, output, scratch, memory;
} layout;
static const layout at_start = {AT_START, 0, 0, 0, 0}, at_end = {AT_END, 0, 0, 0, 0};

/* One piece of guarded memory for each of a layer's tensors, grown as needed. put() places a tensor there: a copy of
 * `from`, or canaries where that is NULL. */
enum { INPUT, WEIGHTS, BIAS, OUTPUT, SCRATCH, MEMORY, PIECES };
void *put(int piece, const void *from, size_t bytes, place where, size_t gap);
bool piece_intact(int piece);
void check_intact(const convpool_layer_spec *spec); /* all of them */

/* A layer of this kernel in guarded memory; its weights and bias are made unreadable garbage once it exists. */
convpool_layer *guarded_layer(const problem *p, const char *kernel, layout at);

/* Checks the exceptions raised since the last forget_exceptions(): those of what the data of a problem earns. */
void check_exceptions(const convpool_layer_spec *spec, const char *of, unsigned earned);

/* What a call may raise that reads these values and computes nothing that overflows. */
unsigned earned_by(const float *values, size_t count);

/* What results are held to. All are held to the documented order of evaluation, bit for bit, and, where
 * convpool_layer_error_bound() is finite, to that and to the finer bound that knows the input; and to raising no
 * exception that they have not earned. */
typedef enum expectation {
    BITS,  /* no more */
    PLACE, /* not even to a bound: where tensors lie is what is tried, and time is short */
    BOUND, /* the bound must be finite */
    EXACT  /* the exact result: every intermediate fits a float */
} expectation;

/* Runs every supported kernel and holds it to the references. */
void check_problem(const problem *p, expectation held_to, layout at);

/* A layer's whole output, and the exceptions that computing it raised. */
typedef struct whole_run {
    float *output; /* p->e.out floats; for free() */
    unsigned raised;
} whole_run;
whole_run run_whole(const problem *p, const convpool_layer *layer, const float *input, void *scratch);

/* Runs rows [first, first + count) of a layer whose whole output is known, into memory full of canaries. */
void check_rows(const problem *p, const convpool_layer *layer, const float *input, const whole_run *whole,
                void *scratch, size_t first, size_t count);

/* The stages alone, on these values in guarded memory; ReLU `offset` floats away from the inaccessible page. */
void check_pool(const convpool_isa *isa, const float *values, size_t channels, size_t height, size_t width,
                place where);
void check_relu(const convpool_isa *isa, const float *values, size_t count, size_t offset, bool in_place, place where);

/* check_problem() on random data, held to its bound. */
void check_random(size_t channels, size_t height, size_t width, size_t out_channels, unsigned mode, layout at,
                  uint64_t *state);

#endif
