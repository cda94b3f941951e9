/* SPDX-License-Identifier: MIT */
/* CONVPOOL_KERNEL, in processes of their own. */
#define _DEFAULT_SOURCE
#include "checks.h"
#include "dispatch.h"
#include "random.h"
#include "reference.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#define setenv(name, value, replace) _putenv_s(name, value)
#define dup _dup
#define dup2 _dup2
#define close _close
#define fileno _fileno
#define STDERR_FILENO 2
/* tmpfile() would take the root of the drive. */
static FILE *temporary_file(void) {
    char *name = _tempnam(NULL, "convpool");
    FILE *file = name == NULL ? NULL : fopen(name, "w+D"); /* D: deleted when it is closed */
    free(name);
    return file;
}
#else
#include <unistd.h>
#define temporary_file tmpfile
#endif

static const convpool_layer_spec seed = {.in_channels = 16, .in_height = 25, .in_width = 25, .out_channels = 32};
static float input[16 * 25 * 25], output[32 * 12 * 12], weights[32 * 16 * 9], bias[32];

/* A layer that this kernel can compute: the seed's, or one of a larger filter. */
static convpool_layer_spec layer_for(const char *kernel) {
    convpool_layer_spec spec = seed;
    spec.kernel = kernel;
    if (convpool_layer_memory_size(&spec) == 0) {
        spec.filter_height = spec.filter_width = 3;
        spec.pad_top = spec.pad_left = spec.pad_bottom = spec.pad_right = 1;
    }
    spec.kernel = NULL;
    return spec;
}

/* The listing's first kernel that this CPU runs and that answers to `wanted`; "" for any. */
static bool first_supported(const char *wanted, convpool_kernel_info *info) {
    for (size_t i = 0; convpool_kernel_get(i, info); i++)
        if (info->supported && (*wanted == 0 || strcmp(wanted, info->isa) == 0 ||
                                strcmp(wanted, info->algorithm) == 0 || strcmp(wanted, info->name) == 0))
            return true;
    return false;
}

const char *stderr_of(void (*body)(const char *argument), const char *argument) {
    static char text[65536]; /* an emulator may have its say, too */
    FILE *file = temporary_file();
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    if (!CHECK(file != NULL && kept >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0, "%s", "cannot catch stderr"))
        return "";
    body(argument);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* Everything that asks the environment, with what it must return. */
static void use_library(const char *expected_status) {
    convpool_status expected = (convpool_status)atoi(expected_status);
    convpool_layer *layer = (convpool_layer *)&output;
    float pooled[4], values[4] = {-1, 2, -3, 4};
    CHECK((convpool_layer_memory_size(&seed) == 0) == (expected != CONVPOOL_OK), "%s", expected_status);
    CHECK(convpool_layer_create(&seed, weights, NULL, &layer) == expected, "%s", expected_status);
    CHECK((layer == NULL) == (expected != CONVPOOL_OK), "%s", expected_status);
    CHECK(convpool_max_pool_2x2(values, 1, 2, 2, pooled) == expected, "%s", expected_status);
    CHECK(convpool_relu(values, 4, pooled) == expected, "%s", expected_status);
    convpool_layer_destroy(layer);
}

/* Expects success in silence, and the best kernel that answers to `wanted`, by its name and by its bits. */
static void expect_kernel(const char *wanted) {
    char status[] = {'0' + CONVPOOL_OK, 0};
    const char *printed = stderr_of(use_library, status);
    CHECK(*printed == 0, "printed: %s", printed);
    convpool_kernel_info info;
    convpool_layer *layer;
    if (!CHECK(first_supported(wanted, &info), "%s", wanted)) return;
    uint64_t state = test_seed();
    random_fill(&state, input, sizeof input / sizeof *input);
    random_fill(&state, weights, sizeof weights / sizeof *weights);
    random_fill(&state, bias, sizeof bias / sizeof *bias);
    convpool_layer_spec spec = layer_for(info.name);
    if (!CHECK(convpool_layer_create(&spec, weights, bias, &layer) == CONVPOOL_OK, "%s", wanted)) return;
    CHECK(strcmp(convpool_layer_kernel(layer), info.name) == 0, "'%s' ran %s, not %s", wanted,
          convpool_layer_kernel(layer), info.name);
    /* What ran must have the rounding of the family that it says. */
    void *scratch = malloc(convpool_layer_scratch_size(layer));
    convpool_layer_run(layer, input, output, scratch);
    float *same = malloc(sizeof output), *other = malloc(sizeof output);
    bool fused = isa_is_fused(info.isa);
    reference_bits(&spec, info.algorithm, fused, input, weights, bias, same);
    reference_bits(&spec, info.algorithm, !fused, input, weights, bias, other);
    CHECK(memcmp(output, same, sizeof output) == 0, "%s did not run", info.name);
    CHECK(memcmp(output, other, sizeof output) != 0, "%s: the families do not differ", info.name);
    free(same);
    free(other);
    free(scratch);
    convpool_layer_destroy(layer);
}

void check_environment_unset_or_empty_chooses_automatically(void) {
    alone(NULL, expect_kernel, "");
    alone("", expect_kernel, "");
}

/* In a child, with CONVPOOL_KERNEL unset: forces what it is given. */
static void force_by_spec(const char *name) {
    convpool_layer *layer;
    convpool_kernel_info info;
    bool there = first_supported(name, &info);
    convpool_layer_spec spec = there ? layer_for(info.name) : seed;
    spec.kernel = name;
    convpool_status status = convpool_layer_create(&spec, weights, NULL, &layer);
    CHECK((status == CONVPOOL_OK) == there, "%s: %s", name, convpool_status_string(status));
    if (there)
        CHECK(strcmp(convpool_layer_kernel(layer), info.name) == 0, "%s: %s", name, convpool_layer_kernel(layer));
    convpool_layer_destroy(layer);
}

void check_environment_forces_each_kernel(void) {
    /* The listing asks the CPU, but not the environment: see is_read_once_and_not_by_listing. */
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        const char *names[] = {info.isa, info.algorithm, info.name};
        for (size_t n = 0; n < 3; n++) {
            convpool_kernel_info any;
            if (!first_supported(names[n], &any)) continue;
            alone(names[n], expect_kernel, names[n]);
            alone("no such kernel", force_by_spec, names[n]);
        }
    }
}

/* Whether a name is among those that a list separates by commas. */
static bool listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += length)
        if (at[-1] == ' ' && (at[length] == ',' || at[length] == '\n')) return true;
    return false;
}

/* Expects refusal with this status, and one line, once, which says why in these words. */
static void expect_refusal(convpool_status expected, const char *why) {
    char status[] = {(char)('0' + expected), 0};
    char value[41];
    snprintf(value, sizeof value, "%s", getenv("CONVPOOL_KERNEL"));
    const char *printed = stderr_of(use_library, status);
    const char *end = strchr(printed, '\n');
    CHECK(end != NULL && end[1] == 0, "not one line: '%s'", printed);
    CHECK(strstr(printed, "CONVPOOL_KERNEL") != NULL && strstr(printed, value) != NULL, "'%s'", printed);
    const char *list = strstr(printed, "supported here:"); /* the value before it may be a name as well */
    convpool_kernel_info info;
    const char *reason = strstr(printed, why);
    CHECK(reason != NULL && reason < list, "no '%s' in '%s'", why, printed);
    for (size_t i = 0; CHECK(list != NULL, "'%s'", printed) && convpool_kernel_get(i, &info); i++) {
        convpool_kernel_info any;
        const char *names[] = {info.name, info.isa, info.algorithm};
        for (size_t n = 0; n < 3; n++)
            CHECK(listed(list, names[n]) == first_supported(names[n], &any), "%s in '%s'", names[n], printed);
    }
    printed = stderr_of(use_library, status);
    CHECK(*printed == 0, "printed again: %s", printed);
}

static void expect_unknown(const char *why) { expect_refusal(CONVPOOL_KERNEL_UNKNOWN, why); }

static void expect_unsupported(const char *why) { expect_refusal(CONVPOOL_KERNEL_UNSUPPORTED, why); }

void check_environment_refuses_what_is_not_built_in(void) {
    static const char *const values[] = {"Avx2 ",   "avx2 ",   "avx", "best",    "direct-avx2",     "-",   " ",
                                         "-direct", "scalar-", "0",   "unknown", "scalar-directly", "rvv", "default"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        alone(values[i], expect_unknown, "of that name is built in");
    char large[5000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    alone(large, expect_unknown, "of that name is built in");
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        const char *names[] = {info.name, info.isa, info.algorithm};
        for (size_t n = 0; n < 3; n++) {
            char upper[64];
            snprintf(upper, sizeof upper, "%s", names[n]);
            upper[0] = (char)toupper((unsigned char)upper[0]);
            alone(upper, expect_unknown, "lower case");
        }
    }
}

void check_environment_refuses_what_the_cpu_cannot_run(void) {
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        if (!info.supported) {
            alone(info.isa, expect_unsupported, info.reason);
            alone(info.name, expect_unsupported, info.reason);
            alone("no such kernel", force_by_spec, info.name);
        }
    /* Where the CPU runs everything, at least what a CPU with no features would be told. */
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        convpool_choice choice;
        convpool_status expected = (*isa)->needs ? CONVPOOL_KERNEL_UNSUPPORTED : CONVPOOL_OK;
        CHECK(convpool_choose((*isa)->name, 0, NULL, &choice) == expected, "%s", (*isa)->name);
    }
}

/* In a child, with a kernel forced that cannot compute a layer: its ISA does, as well as it can, and nothing is said.
 */
static void run_another_layer(const char *forced) {
    convpool_layer_spec spec = seed;
    convpool_layer *layer;
    convpool_kernel_info info;
    spec.filter_height = 5, spec.stride_width = 2, spec.pool = CONVPOOL_POOL_NONE;
    static float many[32 * 16 * 10];
    CHECK(convpool_layer_create(&spec, many, bias, &layer) == CONVPOOL_OK && first_supported(forced, &info), "%s",
          forced);
    CHECK(strncmp(convpool_layer_kernel(layer), info.isa, strlen(info.isa)) == 0, "%s: %s", forced,
          convpool_layer_kernel(layer));
    convpool_layer_destroy(layer);
    spec.kernel = forced; /* but named by the spec it is refused */
    CHECK(convpool_layer_create(&spec, many, bias, &layer) == CONVPOOL_KERNEL_UNSUPPORTED && layer == NULL, "%s",
          forced);
}

static void run_another_layer_in_silence(const char *forced) {
    const char *printed = stderr_of(run_another_layer, forced);
    CHECK(*printed == 0, "printed: %s", printed);
}

void check_environment_yields_where_it_cannot(void) {
    convpool_kernel_info info, direct;
    size_t others = 0;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        if (!info.supported || strcmp(info.algorithm, "direct") == 0 || !first_supported("direct", &direct)) continue;
        alone(info.name, run_another_layer_in_silence, info.name);
        alone(info.algorithm, run_another_layer_in_silence, info.algorithm);
        others++;
    }
    bool alone_in_build = !first_supported("", &info) || !first_supported("direct", &direct) || others == 0;
    CHECK(others > 0 || alone_in_build, "%zu kernels", others);
}

static void list_then_force(const char *later) {
    convpool_kernel_info info;
    CHECK(convpool_kernel_count() > 0 && convpool_kernel_get(0, &info), "%s", "listing");
    setenv("CONVPOOL_KERNEL", later, 1); /* after a listing: counts */
    expect_kernel(later);
    setenv("CONVPOOL_KERNEL", "no such kernel", 1); /* after a choice: does not */
    expect_kernel(later);
}

void check_environment_is_read_once_and_not_by_listing(void) {
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        if (info.supported) alone("no such kernel", list_then_force, info.isa);
}

static void expect_silence(const char *name) {
    const char *printed = stderr_of(force_by_spec, name);
    CHECK(*printed == 0, "printed: %s", printed);
}

void check_environment_gives_way_to_the_spec(void) {
    convpool_kernel_info info;
    alone("no such kernel", expect_silence, "no such kernel either");
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        alone("no such kernel", expect_silence, info.name);
}
