/* SPDX-License-Identifier: MIT */
/* The checks: plain functions, run by two front ends, criterion.c (each in a process of its own) and selfcheck.c
 * (which needs nothing but the C library). */
#ifndef CONVPOOL_CHECKS_H
#define CONVPOOL_CHECKS_H

#include "convpool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Every check, as X(suite, name): void check_<suite>_<name>(void). Those of the suite `environment` come first: they
 * start processes of their own, in which nothing may have called the library before. WebAssembly has neither processes
 * nor threads. */
#ifdef __wasm__
#define PROCESS_CHECKS(X)
#define THREAD_CHECKS(X)
#else
#define PROCESS_CHECKS(X) \
    X(environment, unset_or_empty_chooses_automatically) \
    X(environment, forces_each_kernel) \
    X(environment, refuses_what_is_not_built_in) \
    X(environment, refuses_what_the_cpu_cannot_run) \
    X(environment, is_read_once_and_not_by_listing) \
    X(environment, gives_way_to_the_spec) \
    X(environment, yields_where_it_cannot)
#define THREAD_CHECKS(X) \
    X(threads, create_run_and_destroy) \
    X(threads, share_a_network)
#endif
#ifdef __i386__
#define STACK_CHECKS(X) X(memory, a_stack_of_any_alignment)
#else
#define STACK_CHECKS(X)
#endif
#define CHECKS(X) \
    PROCESS_CHECKS(X) \
    THREAD_CHECKS(X) \
    STACK_CHECKS(X) \
    X(numbers, the_reference_fused_multiply_add_is_exact) \
    X(numbers, bits) \
    X(numbers, seed_layer_matches_golden_data) \
    X(numbers, channels) \
    X(numbers, random_shapes) \
    X(numbers, small_integers_are_exact) \
    X(numbers, wide_range_and_denormals) \
    X(numbers, sums_that_vanish_below_zero) \
    X(numbers, special_values_in_every_lane) \
    X(numbers, overflow_and_infinite_weights) \
    X(numbers, special_values_among_many_channels) \
    X(numbers, what_no_output_reads_changes_nothing) \
    X(numbers, large_values_change_only_rows_of_their_tiles) \
    X(numbers, large_weights_are_used_directly) \
    X(numbers, every_split_gives_the_same_bits) \
    X(numbers, stages_pool) \
    X(numbers, stages_relu) \
    X(numbers, stages_average_and_softmax) \
    X(layers, every_combination) \
    X(layers, small_integers_are_exact) \
    X(layers, special_values) \
    X(layers, every_split_gives_the_same_bits) \
    X(layers, large_images) \
    X(layers, activations_are_exact_enough) \
    X(layers, monotone_activations_never_fall) \
    X(network, is_its_stages) \
    X(network, special_values) \
    X(network, log_softmax_is_exact_enough) \
    X(network, errors_of_create) \
    X(network, errors_of_create_in) \
    X(network, errors_of_run) \
    X(network, no_scratch) \
    X(conformance, fused_layer) \
    X(conformance, pool_and_relu) \
    X(bound, is_the_documented_formula) \
    X(bound, is_infinite_where_a_sum_may_overflow) \
    X(bound, holds_on_adversarial_inputs) \
    X(bound, is_nearly_reached) \
    X(vocabulary, each_word_of_each_instruction_set) \
    X(exceptions, only_those_that_numbers_have_earned) \
    X(exceptions, none_of_what_other_rows_read) \
    X(memory, every_size_between_guard_pages) \
    X(memory, tensors_at_every_offset) \
    X(memory, scratch_and_layer_at_every_byte) \
    X(memory, sizes_stay_within_the_public_bounds) \
    X(memory, public_bounds_grow_with_their_arguments) \
    X(memory, a_dirty_vector_state_is_seen) \
    X(memory, weights_and_bias_are_copied) \
    X(memory, large_images_and_many_channels) \
    X(choice, truth_table) \
    X(choice, algorithm_by_shape) \
    X(choice, every_set_of_features) \
    X(choice, listing) \
    X(interface, errors_of_create) \
    X(interface, errors_of_create_in) \
    X(interface, errors_of_run) \
    X(interface, errors_of_the_stages) \
    X(interface, nothing_happens_to_null) \
    X(interface, names_versions_and_messages)

/* Those of the self-check alone: the processes that it starts make threads, for which qemu must not have made any
 * before, as it does for Criterion. */
#ifdef __wasm__
#define SELF_CHECKS(X) CHECKS(X)
#else
#define SELF_CHECKS(X) X(environment, first_calls_at_once) CHECKS(X)
#endif

#define DECLARE_CHECK(suite, name) void check_##suite##_##name(void);
SELF_CHECKS(DECLARE_CHECK)

/* Counts a condition, and prints the first few that fail; `...` is a printf format and its arguments, evaluated only
 * then. Whether it holds. */
#define CHECK(condition, ...) \
    (checks_done++, (condition) ? true : check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))
#ifdef __MINGW_PRINTF_FORMAT
#define CHECK_FORMAT __MINGW_PRINTF_FORMAT
#else
#define CHECK_FORMAT printf
#endif
bool check_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(CHECK_FORMAT, 4, 5)));

/* Conditions counted since the start, and how many of them failed. */
extern size_t checks_done, checks_failed;

/* CONVPOOL_TEST_SEED in the environment, or 60: where every pseudo-random choice starts. */
uint64_t test_seed(void);

/* Whether a case is to be tried: one in N / often, by chance, where CONVPOOL_TEST_ONE_IN=N is in the environment or
 * one_in_unless_told is N, which is 1 by default. */
extern size_t one_in_unless_told;
bool in_sample(uint64_t *state, size_t often);

/* Opens a file to be read, by a name in UTF-8, as names are that were compiled in: on Windows, fopen() would take it
 * for one in the user's code page. */
FILE *open_utf8(const char *path);

/* Whether no register has anything but zeros above what SSE uses: else code for SSE would be slow from then on. */
bool vector_state_is_clean(void);

/* Floating-point exceptions, of those that a program may have unmasked: invalid, overflow, division by zero. Where
 * there is no such thing, as in WebAssembly and in floating-point arithmetic by software, none is ever raised. */
enum { EXC_INVALID = 1, EXC_OVERFLOW = 2, EXC_DIVISION = 4 };
void forget_exceptions(void);
unsigned exceptions_raised(void);             /* since the last forget_exceptions() */
const char *exception_names(unsigned raised); /* valid until the next call */
bool exceptions_are_seen(void);               /* whether they exist here: one is raised on purpose */

/* Memory with inaccessible pages at both ends, and known bytes around what is placed in it. */
typedef struct guarded guarded;
typedef enum place { AT_START, AT_END } place;
guarded *guarded_new(size_t most);
void guarded_free(guarded *g);
/* `bytes` of memory, `gap` bytes away from the inaccessible page at that end. It holds signalling NaN, but for a
 * checker of memory nothing, and what is around it may not be touched. */
void *guarded_place(guarded *g, size_t bytes, place where, size_t gap);
/* Whether nothing around the placed bytes was written. */
bool guarded_intact(const guarded *g);
enum { CANARY = 0xa5 };

/* Runs body(argument) in a process of its own, with CONVPOOL_KERNEL set to value (NULL: unset), and counts its
 * failures as one. */
void alone(const char *value, void (*body)(const char *argument), const char *argument);
#ifdef _WIN32
/* There alone() starts this program again: main() returns body_alone() at once where is_alone(). */
bool is_alone(void);
int body_alone(void);
#endif

/* What was printed on stderr while body(argument) ran. */
const char *stderr_of(void (*body)(const char *argument), const char *argument);

#endif
