/* SPDX-License-Identifier: MIT */
/* The choice, and every error of every function. */
#include "checks.h"
#include "dispatch.h"
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const convpool_layer_spec seed = {.in_channels = 16, .in_height = 25, .in_width = 25, .out_channels = 32};
static convpool_layer_spec shaped(size_t channels, size_t height, size_t width, size_t out_channels,
                                  convpool_pool pool) {
    return (convpool_layer_spec){
        .in_channels = channels, .in_height = height, .in_width = width, .out_channels = out_channels, .pool = pool};
}

static float output[32 * 12 * 12], weights[32 * 16 * 4], bias[32];

/* Whether a build has a kernel of this ISA and of the algorithm that `wanted` names, if it names one. */
static bool is_built(const char *isa_name, const char *wanted) {
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        for (size_t i = 0; i < (*isa)->kernel_count && strcmp((*isa)->name, isa_name) == 0; i++)
            if (wanted == NULL || *wanted == 0 || strcmp(wanted, isa_name) == 0 ||
                strstr(wanted, (*isa)->kernels[i].algorithm) != NULL)
                return true;
    return false;
}

void check_choice_truth_table(void) {
    enum {
        SSE2 = CONVPOOL_NEEDS_SSE2,
        AVX2 = SSE2 | CONVPOOL_NEEDS_AVX2 | CONVPOOL_NEEDS_FMA3,
        AVX512 =
            AVX2 | CONVPOOL_NEEDS_AVX512F | CONVPOOL_NEEDS_AVX512BW | CONVPOOL_NEEDS_AVX512DQ | CONVPOOL_NEEDS_AVX512VL
    };
    enum { OK = CONVPOOL_OK, UNKNOWN = CONVPOOL_KERNEL_UNKNOWN, UNSUPPORTED = CONVPOOL_KERNEL_UNSUPPORTED };
    static const struct {
        const char *wanted;
        unsigned features;
        int status;
        const char *isa; /* the ISA that is chosen, or refused */
    } rows[] = {
        {NULL, AVX512, OK, "avx512"},
        {"", AVX512, OK, "avx512"},
        {"direct", AVX512, OK, "avx512"},
        {"avx512", AVX512, OK, "avx512"},
        {"avx512-direct", AVX512, OK, "avx512"},
        {"winograd22", AVX512, OK, "avx512"},
        {"avx512-winograd32", AVX512, OK, "avx512"},
        {"avx2", AVX512, OK, "avx2"},
        {"sse2-direct", AVX512, OK, "sse2"},
        {"sse2-winograd22", AVX512, OK, "sse2"},
        {"scalar-winograd32", AVX512, OK, "scalar"},
        {"scalar", AVX512, OK, "scalar"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_AVX512F, OK, "avx2"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_AVX512BW, OK, "avx2"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_AVX512DQ, OK, "avx2"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_AVX512VL, OK, "avx2"},
        {"avx512", AVX512 & ~CONVPOOL_NEEDS_AVX512VL, UNSUPPORTED, "avx512"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_AVX2, OK, "sse2"},
        {NULL, AVX512 & ~CONVPOOL_NEEDS_FMA3, OK, "sse2"}, /* its file is compiled with both */
        {NULL, AVX2, OK, "avx2"},
        {"direct", AVX2, OK, "avx2"},
        {"avx512", AVX2, UNSUPPORTED, "avx512"},
        {"avx512-direct", AVX2, UNSUPPORTED, "avx512"},
        {"avx512-winograd22", AVX2, UNSUPPORTED, "avx512"},
        {NULL, AVX2 & ~CONVPOOL_NEEDS_FMA3, OK, "sse2"},
        {"avx2", AVX2 & ~CONVPOOL_NEEDS_FMA3, UNSUPPORTED, "avx2"},
        {"avx2", AVX2 & ~CONVPOOL_NEEDS_AVX2, UNSUPPORTED, "avx2"},
        {NULL, SSE2, OK, "sse2"},
        {"direct", SSE2, OK, "sse2"},
        {"sse2", 0, UNSUPPORTED, "sse2"},
        {"neon", 0, OK, "neon"},
        {"neon-direct", 0, OK, "neon"},
        {"neon-winograd32", 0, OK, "neon"},
        {"wasm128", 0, OK, "wasm128"},
        {"wasm128-winograd32", 0, OK, "wasm128"},
        {"scalar", 0, OK, "scalar"},
        {"scalar-direct", 0, OK, "scalar"},
        {"avx", AVX512, UNKNOWN, ""},
        {"AVX2", AVX512, UNKNOWN, ""},
        {"avx2-", AVX512, UNKNOWN, ""},
        {"direct-avx2", AVX512, UNKNOWN, ""},
        {"winograd", AVX512, UNKNOWN, ""},
        {"winograd42", AVX512, UNKNOWN, ""},
        {"avx2-winograd", AVX512, UNKNOWN, ""},
    };
    convpool_shape shape;
    CHECK(convpool_make_shape(&seed, &shape) == CONVPOOL_OK, "%s", "seed");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool built = *rows[i].isa == 0 || is_built(rows[i].isa, rows[i].wanted);
        bool automatic = rows[i].wanted == NULL || *rows[i].wanted == 0 || strcmp(rows[i].wanted, "direct") == 0 ||
                         strcmp(rows[i].wanted, "winograd22") == 0;
        if (!built && automatic) continue; /* every_set_of_features says what is chosen without it */
        for (int with_shape = 0; with_shape < 2; with_shape++) {
            convpool_choice choice = {NULL, NULL};
            convpool_status status =
                convpool_choose(rows[i].wanted, rows[i].features, with_shape ? &shape : NULL, &choice);
            int expected = built ? rows[i].status : UNKNOWN;
            CHECK((int)status == expected, "row %zu: %s", i, convpool_status_string(status));
            if (expected == OK && status == CONVPOOL_OK)
                CHECK(strcmp(choice.isa->name, rows[i].isa) == 0, "row %zu: %s", i, choice.isa->name);
            else
                CHECK(choice.isa == NULL && choice.kernel == NULL, "row %zu: written", i);
        }
    }
}

void check_choice_algorithm_by_shape(void) {
    /* By the bench suite's measurements, for the family with fused multiply-add and for the other. */
    static const struct {
        size_t channels, height, width, out_channels;
        bool pool;
        const char *fused, *separate;
        size_t filter;
    } rows[] = {
        {16, 25, 25, 32, true, "winograd32", "winograd32", 2},
        {1, 53, 53, 16, true, "direct", "winograd22", 2},
        {3, 225, 225, 32, true, "winograd22", "winograd22", 2},
        {8, 40, 40, 16, true, "winograd22", "winograd22", 2},
        {32, 13, 13, 64, true, "winograd32", "winograd32", 2},
        {64, 57, 57, 64, true, "winograd32", "winograd32", 2},
        {64, 113, 113, 128, true, "winograd32", "winograd32", 2},
        {128, 29, 29, 256, true, "winograd32", "winograd32", 2},
        {512, 9, 9, 512, true, "winograd22", "winograd22", 2},
        {16, 5, 2001, 32, true, "winograd22", "winograd22", 2},
        {16, 33, 33, 32, true, "winograd32", "winograd22", 2},
        {16, 49, 49, 32, true, "winograd32", "winograd32", 2},
        {16, 2001, 5, 32, true, "winograd22", "winograd22", 2},
        {64, 33, 33, 1, true, "direct", "direct", 2},
        {64, 49, 49, 64, false, "winograd32", "winograd32", 2},
        {64, 4, 4, 128, false, "direct", "winograd32", 2},
        {32, 8, 8, 64, true, "winograd32", "winograd32", 2},
        {1, 9, 9, 9, false, "direct", "direct", 2},
        {SIZE_MAX >> 20, 3, 3, 1, true, "direct", "direct", 2},
        {16, 26, 26, 32, true, "winograd23", "winograd23", 3},
        {64, 58, 58, 64, true, "winograd23", "winograd23", 3},
        {64, 6, 6, 128, true, "winograd23", "winograd23", 3},
        {1, 28, 28, 32, true, "direct", "direct", 3},
        {1, 28, 28, 32, true, "direct", "direct", 5},
        {32, 14, 14, 64, true, "winograd23", "winograd23", 5},
        {6, 14, 14, 16, true, "direct", "winograd23", 5},
        {64, 7, 7, 128, false, "direct", "direct", 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
            convpool_layer_spec spec = shaped(rows[i].channels, rows[i].height, rows[i].width, rows[i].out_channels,
                                              rows[i].pool ? CONVPOOL_POOL_MAX_2X2 : CONVPOOL_POOL_NONE);
            spec.filter_height = spec.filter_width = rows[i].filter;
            convpool_shape shape;
            CHECK(convpool_make_shape(&spec, &shape) == CONVPOOL_OK, "row %zu", i);
            const char *algorithm = (*isa)->fused ? rows[i].fused : rows[i].separate;
            if (!is_built((*isa)->name, algorithm)) continue;
            convpool_choice choice;
            CHECK(convpool_choose((*isa)->name, ~0U, &shape, &choice) == CONVPOOL_OK &&
                      strcmp(choice.kernel->algorithm, algorithm) == 0,
                  "row %zu: not %s", i, algorithm);
        }
}

/* What `wanted` names, and whether such a kernel can run with these features. */
static bool answers(const convpool_isa *isa, const convpool_kernel *kernel, const char *wanted) {
    return *wanted == 0 || strcmp(wanted, isa->name) == 0 || strcmp(wanted, kernel->algorithm) == 0 ||
           strcmp(wanted, kernel->name) == 0;
}

void check_choice_every_set_of_features(void) {
    static const char *const names[] = {"",
                                        "avx512",
                                        "avx2",
                                        "sse2",
                                        "neon",
                                        "scalar",
                                        "direct",
                                        "avx512-direct",
                                        "avx2-direct",
                                        "sse2-direct",
                                        "neon-direct",
                                        "scalar-direct",
                                        "winograd32",
                                        "winograd22",
                                        "avx2-winograd32",
                                        "scalar-winograd22",
                                        "winograd",
                                        "avx3"};
    const convpool_layer_spec specs[] = {seed, shaped(1, 2, 2, 1, CONVPOOL_POOL_NONE)};
    convpool_shape shapes[2];
    for (size_t s = 0; s < 2; s++)
        CHECK(convpool_make_shape(&specs[s], &shapes[s]) == CONVPOOL_OK, "%zu", s);
    for (unsigned features = 0; features < 2 * (CONVPOOL_NEEDS_END - 1); features++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            for (size_t s = 0; s < 2; s++) {
                const convpool_isa *best = NULL;
                bool built = false;
                for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
                    for (size_t k = 0; k < (*isa)->kernel_count; k++)
                        if (answers(*isa, &(*isa)->kernels[k], names[n])) {
                            built = true;
                            if (best == NULL && ((*isa)->needs & features) == (*isa)->needs) best = *isa;
                        }
                convpool_choice choice = {NULL, NULL};
                convpool_status status = convpool_choose(names[n], features, &shapes[s], &choice);
                CHECK(status == (best    ? CONVPOOL_OK
                                 : built ? CONVPOOL_KERNEL_UNSUPPORTED
                                         : CONVPOOL_KERNEL_UNKNOWN),
                      "'%s' with %#x: %s", names[n], features, convpool_status_string(status));
                CHECK(choice.isa == best, "'%s' with %#x", names[n], features);
                CHECK(best == NULL || answers(choice.isa, choice.kernel, names[n]), "'%s' with %#x", names[n],
                      features);
            }
}

void check_choice_listing(void) {
    convpool_kernel_info info, untouched;
    size_t count = convpool_kernel_count(), index = 0;
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        for (size_t k = 0; k < (*isa)->kernel_count; k++, index++) {
            CHECK(convpool_kernel_get(index, &info), "%zu", index);
            char name[64];
            snprintf(name, sizeof name, "%s-%s", info.isa, info.algorithm);
            CHECK(strcmp(info.name, name) == 0, "%s is not %s", info.name, name);
            CHECK(strcmp(info.isa, (*isa)->name) == 0, "%s", info.name);
            CHECK(info.supported == (*info.reason == 0), "%s: '%s'", info.name, info.reason);
            unsigned missing = (*isa)->needs & ~convpool_cpu_features();
            CHECK(info.supported == (missing == 0), "%s", info.name);
            /* Every need has a reason of its own. */
            for (unsigned bit = 1; bit < CONVPOOL_NEEDS_END; bit <<= 1)
                CHECK((*convpool_cpu_reason((*isa)->needs, ~bit) != 0) == (((*isa)->needs & bit) != 0), "%s",
                      info.name);
        }
    CHECK(index == count && count > 0, "%zu", count);
    CHECK(strcmp(convpool_cpu_reason(CONVPOOL_NEEDS_AVX2 | CONVPOOL_NEEDS_FMA3, CONVPOOL_NEEDS_AVX2),
                 "the CPU has no FMA3") == 0,
          "%s", "reason");
    memset(&info, CANARY, sizeof info);
    memset(&untouched, CANARY, sizeof untouched);
    CHECK(!convpool_kernel_get(count, &info) && !convpool_kernel_get(SIZE_MAX, &info), "%s", "past the end");
    CHECK(memcmp(&info, &untouched, sizeof info) == 0, "%s", "past the end, written");
    CHECK(!convpool_kernel_get(0, NULL), "%s", "NULL");
}

/* Specs that are refused, and why. */
typedef struct refusal {
    convpool_layer_spec spec;
    convpool_status status;
} refusal;

#define REFUSED(spec_, status_) \
    rows[n++] = (refusal) { spec_, CONVPOOL_##status_ }

/* Of filters, strides and padding. */
static size_t filter_refusals(refusal *rows, size_t n) {
    convpool_layer_spec spec = seed;
    spec.activation = CONVPOOL_ACTIVATION_PRELU; /* without slopes */
    REFUSED(spec, INVALID_ARGUMENT);
    spec = seed, spec.filter_height = 26; /* larger than the image, */
    REFUSED(spec, INVALID_SHAPE);
    spec = seed, spec.filter_width = 28, spec.pad_left = 1, spec.pad_right = 1; /* with its padding */
    REFUSED(spec, INVALID_SHAPE);
    spec = seed, spec.filter_height = 25; /* nothing to pool */
    REFUSED(spec, INVALID_SHAPE);
    spec = seed, spec.stride_width = 24;
    REFUSED(spec, INVALID_SHAPE);
    const size_t huge[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        size_t h = huge[i];
        spec = seed, spec.pad_top = h;
        REFUSED(spec, INVALID_SHAPE);
        spec = seed, spec.pad_left = h, spec.pad_right = h;
        REFUSED(spec, INVALID_SHAPE);
        spec = seed, spec.pad_bottom = h, spec.filter_height = h;
        REFUSED(spec, INVALID_SHAPE);
        spec = seed, spec.filter_width = h;
        REFUSED(spec, INVALID_SHAPE);
        spec = seed, spec.stride_height = h, spec.pool = CONVPOOL_POOL_NONE;
        REFUSED(spec, INVALID_SHAPE);
        spec = seed, spec.stride_width = h, spec.pool = CONVPOOL_POOL_MAX_2X2_CEIL;
        REFUSED(spec, INVALID_SHAPE);
        spec = shaped(1, 1, 1, 1, CONVPOOL_POOL_NONE), spec.pad_bottom = h / 64, spec.pad_right = h / 64;
        REFUSED(spec, INVALID_SHAPE);
    }
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        if (!info.supported || strcmp(info.algorithm, "direct") == 0) continue;
        spec = seed, spec.kernel = info.name, spec.filter_height = 5; /* a shape that it cannot compute */
        REFUSED(spec, KERNEL_UNSUPPORTED);
        spec = seed, spec.kernel = info.name, spec.stride_width = 2;
        REFUSED(spec, KERNEL_UNSUPPORTED);
    }
    return n;
}

static size_t refusals(refusal *rows) {
    const convpool_pool MAX = CONVPOOL_POOL_MAX_2X2, NONE = CONVPOOL_POOL_NONE;
    const size_t huge[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4 + 1, (size_t)1 << (sizeof(size_t) * 4)};
    size_t n = 0;
    REFUSED(shaped(0, 25, 25, 32, MAX), INVALID_SHAPE);
    REFUSED(shaped(16, 0, 25, 32, MAX), INVALID_SHAPE);
    REFUSED(shaped(16, 25, 0, 32, MAX), INVALID_SHAPE);
    REFUSED(shaped(16, 25, 25, 0, MAX), INVALID_SHAPE);
    REFUSED(shaped(16, 1, 25, 32, NONE), INVALID_SHAPE); /* empty outputs */
    REFUSED(shaped(16, 25, 1, 32, NONE), INVALID_SHAPE);
    REFUSED(shaped(16, 2, 25, 32, MAX), INVALID_SHAPE);
    REFUSED(shaped(16, 25, 2, 32, MAX), INVALID_SHAPE);
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        size_t h = huge[i];
        REFUSED(shaped(h, h, 25, 32, MAX), INVALID_SHAPE);
        REFUSED(shaped(h, 25, h, 32, NONE), INVALID_SHAPE);
        REFUSED(shaped(16, h, h, 32, MAX), INVALID_SHAPE);
        REFUSED(shaped(1, 2, h, h, NONE), INVALID_SHAPE);
        REFUSED(shaped(h, 3, 3, h, MAX), INVALID_SHAPE);
        REFUSED(shaped(h, h, h, h, NONE), INVALID_SHAPE);
    }
    REFUSED(shaped(SIZE_MAX / 4, 3, 3, 1, MAX), INVALID_SHAPE);
    REFUSED(shaped(SIZE_MAX / 36 + 1, 3, 3, 1, MAX), INVALID_SHAPE);
    REFUSED(shaped(1, 3, 3, SIZE_MAX / 16 + 1, MAX), INVALID_SHAPE);
    convpool_layer_spec wide = shaped(1, 2, 2, 1, NONE); /* of which CONVPOOL_LAYER_SCRATCH_MAX() would overflow */
    wide.pad_right = SIZE_MAX / 32 - 1, wide.stride_width = SIZE_MAX / 64;
    REFUSED(wide, INVALID_SHAPE);
    for (int high = 0; high < 2; high++) { /* below an enum, and above it */
        convpool_layer_spec spec = seed;
        spec.filter = (convpool_filter)(high ? 2 : -1);
        REFUSED(spec, INVALID_ARGUMENT);
        spec = seed;
        spec.pool = (convpool_pool)(high ? 3 : -1);
        REFUSED(spec, INVALID_ARGUMENT);
        spec = seed;
        spec.activation = (convpool_activation)(high ? 8 : -1);
        spec.in_channels = 0; /* the enum is looked at first */
        REFUSED(spec, INVALID_ARGUMENT);
        spec = seed;
        spec.weights_layout = (convpool_weights_layout)(high ? 3 : -1);
        REFUSED(spec, INVALID_ARGUMENT);
        spec = seed;
        spec.input_layout = (convpool_image_layout)(high ? 2 : -1);
        REFUSED(spec, INVALID_ARGUMENT);
        spec = seed;
        spec.output_layout = (convpool_image_layout)(high ? 2 : -1);
        spec.kernel = "none"; /* and before the kernel */
        REFUSED(spec, INVALID_ARGUMENT);
    }
    n = filter_refusals(rows, n);
    const char *const names[] = {"avx3", "AVX2", "direct-avx2", " ", "scalar-"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        convpool_layer_spec spec = seed;
        spec.kernel = names[i];
        REFUSED(spec, KERNEL_UNKNOWN);
        spec.in_channels = 0; /* the shape is looked at first */
        REFUSED(spec, INVALID_SHAPE);
    }
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        if (!info.supported) {
            convpool_layer_spec spec = seed;
            spec.kernel = info.name;
            REFUSED(spec, KERNEL_UNSUPPORTED);
        }
    return n;
}
enum { MOST_REFUSALS = 192 };

void check_interface_errors_of_create(void) {
    static refusal rows[MOST_REFUSALS];
    size_t count = refusals(rows);
    convpool_layer *const set = (convpool_layer *)&output;
    for (size_t i = 0; i < count; i++) {
        convpool_layer *layer = set;
        convpool_status status = convpool_layer_create(&rows[i].spec, weights, bias, &layer);
        CHECK(status == rows[i].status, "row %zu: %s", i, convpool_status_string(status));
        CHECK(layer == NULL, "row %zu", i);
        CHECK(convpool_layer_memory_size(&rows[i].spec) == 0, "row %zu", i);
    }
    convpool_layer *layer = set;
    CHECK(convpool_layer_create(NULL, weights, bias, &layer) == CONVPOOL_INVALID_ARGUMENT && layer == NULL, "%s",
          "spec");
    layer = set;
    CHECK(convpool_layer_create(&seed, NULL, bias, &layer) == CONVPOOL_INVALID_ARGUMENT && layer == NULL, "%s",
          "weights");
    CHECK(convpool_layer_create(&seed, weights, bias, NULL) == CONVPOOL_INVALID_ARGUMENT, "%s", "layer");
    CHECK(convpool_layer_create(&rows[0].spec, NULL, bias, &layer) == CONVPOOL_INVALID_ARGUMENT, "%s",
          "pointers first");
    CHECK(convpool_layer_memory_size(NULL) == 0, "%s", "memory_size");
    /* An image no memory can hold is fine as a shape; weights that no allocation can hold are not had. */
    convpool_layer_spec vast = shaped(1, SIZE_MAX >> 10, 3, 1, CONVPOOL_POOL_MAX_2X2);
    CHECK(convpool_layer_create(&vast, weights, bias, &layer) == CONVPOOL_OK, "%s", "vast image");
    convpool_layer_destroy(layer);
}

static bool all_canaries(const void *memory, size_t bytes) {
    const unsigned char *p = memory;
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != CANARY) return false;
    return true;
}

void check_interface_errors_of_create_in(void) {
    static refusal rows[MOST_REFUSALS];
    static unsigned char memory[CONVPOOL_LAYER_MEMORY_MAX(16, 32)];
    size_t count = refusals(rows), needed = convpool_layer_memory_size(&seed);
    convpool_layer *const set = (convpool_layer *)&output;
    memset(memory, CANARY, sizeof memory);
    for (size_t i = 0; i < count; i++) {
        convpool_layer *layer = set;
        convpool_status status = convpool_layer_create_in(&rows[i].spec, weights, bias, memory, sizeof memory, &layer);
        CHECK(status == rows[i].status, "row %zu: %s", i, convpool_status_string(status));
        CHECK(layer == NULL && all_canaries(memory, sizeof memory), "row %zu", i);
        status = convpool_layer_create_in(&rows[i].spec, weights, bias, memory, 0, &layer); /* size is looked at last */
        CHECK(status == rows[i].status, "row %zu: %s", i, convpool_status_string(status));
    }
#define REFUSE(status, ...) \
    do { \
        convpool_layer *layer = set; \
        convpool_status got = convpool_layer_create_in(__VA_ARGS__, &layer); \
        CHECK(got == CONVPOOL_##status, "%s", convpool_status_string(got)); \
        CHECK(layer == NULL && all_canaries(memory, sizeof memory), "%s", "written"); \
    } while (0)
    REFUSE(INVALID_ARGUMENT, NULL, weights, bias, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, &seed, NULL, bias, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, &seed, weights, bias, NULL, sizeof memory);
    REFUSE(OUT_OF_MEMORY, &seed, weights, bias, memory, 0);
    REFUSE(OUT_OF_MEMORY, &seed, weights, bias, memory, needed - 1);
    float *inside = (float *)(void *)memory; /* weights and bias within what the layer would take */
    REFUSE(INVALID_ARGUMENT, &seed, inside, bias, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, &seed, weights, inside + 1, memory, sizeof memory);
    REFUSE(INVALID_ARGUMENT, &seed, weights, inside + (needed - 1) / 4, memory, sizeof memory);
    REFUSE(OUT_OF_MEMORY, &seed, inside, bias, memory, 1); /* overlap is looked at last */
    CHECK(convpool_layer_create_in(&seed, weights, bias, memory, sizeof memory, NULL) == CONVPOOL_INVALID_ARGUMENT,
          "%s", "layer");
    CHECK(all_canaries(memory, sizeof memory), "%s", "layer");
    convpool_layer *layer = NULL;
    CHECK(convpool_layer_create_in(&seed, weights, bias, memory, needed, &layer) == CONVPOOL_OK, "%s", "just enough");
    CHECK(layer != NULL && all_canaries(memory + needed, sizeof memory - needed), "%s", "just enough, written beyond");
    /* What lies in the same memory behind the part that is needed does not overlap. */
    size_t beyond = (needed + 3) / 4;
    CHECK(convpool_layer_create_in(&seed, weights, inside + beyond, memory, sizeof memory, &layer) == CONVPOOL_OK, "%s",
          "beyond");
    convpool_layer_destroy(layer);
}

void check_interface_errors_of_run(void) {
    /* One piece of memory, so that any two tensors can be made to overlap. */
    static float memory[2 * (16 * 25 * 25 + 32 * 12 * 12) + CONVPOOL_LAYER_SCRATCH_MAX(16, 25, 25, 32) / 2];
    convpool_layer *layer;
    if (!CHECK(convpool_layer_create(&seed, weights, bias, &layer) == CONVPOOL_OK, "%s", "create")) return;
    size_t in = 16 * 25 * 25, out = 32 * 12 * 12, scratch = (convpool_layer_scratch_size(layer) + 3) / 4;
    float *x = memory, *y = x + in, *s = y + out;
    CHECK(s + scratch <= memory + sizeof memory / sizeof *memory, "%zu", scratch);
    memset(memory, CANARY, sizeof memory);
#define REFUSE_RUN(...) \
    do { \
        CHECK(convpool_layer_run_rows(__VA_ARGS__) == CONVPOOL_INVALID_ARGUMENT, "%s", #__VA_ARGS__); \
        CHECK(all_canaries(memory, sizeof memory), "%s: written", #__VA_ARGS__); \
    } while (0)
    for (size_t rows = 0; rows <= 12; rows += 12) { /* no rows: pointers are looked at all the same */
        REFUSE_RUN(NULL, x, y, s, 0, rows);
        REFUSE_RUN(layer, NULL, y, s, 0, rows);
        REFUSE_RUN(layer, x, NULL, s, 0, rows);
        if (scratch > 0) REFUSE_RUN(layer, x, y, NULL, 0, rows);
    }
    REFUSE_RUN(layer, x, y, s, 0, 13);
    REFUSE_RUN(layer, x, y, s, 12, 1);
    REFUSE_RUN(layer, x, y, s, 13, 0);
    REFUSE_RUN(layer, x, y, s, 1, SIZE_MAX);
    REFUSE_RUN(layer, x, y, s, SIZE_MAX, 1);
    REFUSE_RUN(layer, x, y, s, SIZE_MAX, SIZE_MAX);
    for (size_t rows = 1; rows <= 12; rows += 11) { /* a band is judged on the whole tensors */
        REFUSE_RUN(layer, x, x, s, 0, rows);
        REFUSE_RUN(layer, x, x + in - 1, s + in, 0, rows);
        REFUSE_RUN(layer, x + out - 1, x, s + in, 0, rows);
        REFUSE_RUN(layer, x, s, x, 0, rows);
        REFUSE_RUN(layer, x, s, (char *)(x + in) - 1, 0, rows);
        REFUSE_RUN(layer, s + 16, y, (char *)(s + 17) - 4 * scratch, 0, rows);
        REFUSE_RUN(layer, x, y, y, 0, rows);
        REFUSE_RUN(layer, x, y, (char *)(y + out) - 1, 0, rows);
    }
    CHECK(convpool_layer_run(NULL, x, y, s) == CONVPOOL_INVALID_ARGUMENT, "%s", "run");
    CHECK(convpool_layer_run(layer, NULL, y, s) == CONVPOOL_INVALID_ARGUMENT, "%s", "run");
    CHECK(convpool_layer_run(layer, x, NULL, s) == CONVPOOL_INVALID_ARGUMENT, "%s", "run");
    CHECK(convpool_layer_run(layer, x, x, s) == CONVPOOL_INVALID_ARGUMENT, "%s", "run");
    CHECK(all_canaries(memory, sizeof memory), "%s", "written");
    CHECK(convpool_layer_run_rows(layer, x, y, s, 0, 0) == CONVPOOL_OK, "%s", "no rows");
    CHECK(convpool_layer_run_rows(layer, x, y, s, 12, 0) == CONVPOOL_OK, "%s", "no rows at the end");
    CHECK(all_canaries(memory, sizeof memory), "%s", "no rows, written");
    CHECK(convpool_layer_run(layer, x, y, s) == CONVPOOL_OK, "%s", "tensors that touch");
    CHECK(convpool_layer_run(layer, y + out - in, y + out, s + out) == CONVPOOL_OK, "%s", "tensors that touch");
    convpool_layer_destroy(layer);
}

void check_interface_errors_of_the_stages(void) {
    float x[64], y[64];
    memset(x, CANARY, sizeof x);
    memset(y, CANARY, sizeof y);
#define REFUSE_STAGE(status, call) \
    do { \
        CHECK((call) == CONVPOOL_##status, "%s", #call); \
        CHECK(all_canaries(x, sizeof x) && all_canaries(y, sizeof y), "%s: written", #call); \
    } while (0)
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(NULL, 1, 4, 4, y));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(x, 1, 4, 4, NULL));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(NULL, 0, 4, 4, y)); /* pointers first */
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 0, 4, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 1, 1, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 1, 4, 1, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 1, 0, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, SIZE_MAX, 4, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 1, SIZE_MAX / 2, 2, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_max_pool_2x2(x, 1, 2, SIZE_MAX, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(x, 1, 4, 4, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(x, 1, 4, 4, x + 15));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_max_pool_2x2(x + 3, 1, 4, 4, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(NULL, 1, 4, 4, y));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(x, 1, 4, 4, NULL));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(NULL, 0, 4, 4, y)); /* pointers first */
    REFUSE_STAGE(INVALID_SHAPE, convpool_global_average(x, 0, 4, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_global_average(x, 1, 0, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_global_average(x, 1, 4, 0, x));
    REFUSE_STAGE(INVALID_SHAPE, convpool_global_average(x, SIZE_MAX, 4, 4, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_global_average(x, 1, SIZE_MAX / 2, 2, y));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(x, 4, 2, 2, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(x, 4, 2, 2, x + 15));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_global_average(x + 3, 4, 2, 2, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_softmax(NULL, 1, y));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_softmax(x, 1, NULL));
    REFUSE_STAGE(INVALID_SHAPE, convpool_softmax(x, SIZE_MAX, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_softmax(x, SIZE_MAX / 4 + 1, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_softmax(x, 8, x + 1));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_softmax(x + 7, 8, x));
    REFUSE_STAGE(OK, convpool_softmax(x, 0, y));
    REFUSE_STAGE(OK, convpool_softmax(NULL, 0, NULL));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_relu(NULL, 1, y));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_relu(x, 1, NULL));
    REFUSE_STAGE(INVALID_SHAPE, convpool_relu(x, SIZE_MAX, y));
    REFUSE_STAGE(INVALID_SHAPE, convpool_relu(x, SIZE_MAX / 4 + 1, x));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_relu(x, 8, x + 1));
    REFUSE_STAGE(INVALID_ARGUMENT, convpool_relu(x + 7, 8, x));
    REFUSE_STAGE(OK, convpool_relu(x, 0, y));
    REFUSE_STAGE(OK, convpool_relu(NULL, 0, NULL));
    CHECK(convpool_global_average(x, 4, 2, 2, x + 16) == CONVPOOL_OK, "%s", "that touch");
    CHECK(convpool_global_average(x + 4, 4, 2, 2, x) == CONVPOOL_OK, "%s", "that touch");
    CHECK(convpool_softmax(x, 8, x + 8) == CONVPOOL_OK, "%s", "that touch");
    CHECK(convpool_softmax(x, 8, x) == CONVPOOL_OK, "%s", "in place");
    CHECK(convpool_relu(x, 8, x + 8) == CONVPOOL_OK, "%s", "that touch");
    CHECK(convpool_relu(x, 8, x) == CONVPOOL_OK, "%s", "in place");
    CHECK(convpool_max_pool_2x2(x, 1, 4, 4, x + 16) == CONVPOOL_OK, "%s", "that touch");
    CHECK(convpool_max_pool_2x2(x + 4, 1, 4, 4, x) == CONVPOOL_OK, "%s", "that touch");
}

void check_interface_nothing_happens_to_null(void) {
    size_t channels = 1, height = 2, width = 3;
    convpool_layer_destroy(NULL);
    convpool_layer_output_shape(NULL, &channels, &height, &width);
    CHECK(channels == 1 && height == 2 && width == 3, "%s", "output_shape wrote");
    CHECK(convpool_layer_scratch_size(NULL) == 0, "%s", "scratch_size");
    CHECK(convpool_layer_row_step(NULL) == 0, "%s", "row_step");
    CHECK(strcmp(convpool_layer_kernel(NULL), "") == 0, "%s", "kernel");
    convpool_layer *layer;
    if (!CHECK(convpool_layer_create(&seed, weights, NULL, &layer) == CONVPOOL_OK, "%s", "create")) return;
    convpool_layer_output_shape(layer, NULL, NULL, NULL);
    convpool_layer_output_shape(layer, &channels, NULL, NULL);
    convpool_layer_output_shape(layer, NULL, &height, NULL);
    convpool_layer_output_shape(layer, NULL, NULL, &width);
    CHECK(channels == 32 && height == 12 && width == 12, "%zux%zux%zu", channels, height, width);
    convpool_layer_destroy(layer);
}

void check_interface_names_versions_and_messages(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", CONVPOOL_VERSION_MAJOR, CONVPOOL_VERSION_MINOR,
             CONVPOOL_VERSION_PATCH);
    CHECK(strcmp(convpool_version(), version) == 0, "%s", convpool_version());
    CHECK(strcmp(convpool_version(), PROJECT_VERSION) == 0, "%s", convpool_version());
    for (int i = -2; i < 9; i++)
        for (int j = -2; j < 9; j++) {
            const char *a = convpool_status_string((convpool_status)i), *b = convpool_status_string((convpool_status)j);
            bool known =
                (i >= 0 && i <= (int)CONVPOOL_KERNEL_UNSUPPORTED) || (j >= 0 && j <= (int)CONVPOOL_KERNEL_UNSUPPORTED);
            CHECK(a != NULL && *a != 0, "%d", i);
            CHECK((strcmp(a, b) == 0) == (i == j || !known), "%d and %d", i, j);
        }
}
