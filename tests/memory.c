/* SPDX-License-Identifier: MIT */
/* Where tensors, scratch and layers may lie, and that nothing outside them is touched. */
#include "dispatch.h"
#include "problem.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

/* Every tensor between inaccessible pages, at the one and at the other: every width to four vectors and more with small
 * heights, and the reverse. */
void check_memory_every_size_between_guard_pages(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 4; mode++)
        for (size_t a = least(mode); a <= SEVERAL_VECTORS; a++)
            for (size_t b = least(mode); b <= 14; b++)
                for (int upright = 0; upright < 2; upright++)
                    for (int where = AT_START; where <= AT_END; where++)
                        if (in_sample(&state, 1)) {
                            problem p = problem_new(1 + (a + b) % 3, upright ? a : b, upright ? b : a,
                                                    1 + (a + 2 * b) % 5, mode | (unsigned)(a + b / 2) % 2 * 4);
                            problem_fill(&p, &state);
                            check_problem(&p, PLACE, where == AT_START ? at_start : at_end);
                            problem_free(&p);
                        }
}

void check_memory_tensors_at_every_offset(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 2; mode++)
        for (size_t input = 0; input < 16; input++)
            for (size_t output = 0; output < 16; output++) {
                layout at = {output % 2 ? AT_START : AT_END, input * sizeof(float), output * sizeof(float), 0, 0};
                check_random(2, 5, 40, 3, mode, at, &state);
            }
}

void check_memory_scratch_and_layer_at_every_byte(void) {
    uint64_t state = test_seed();
    for (unsigned mode = 0; mode < 2; mode++)
        for (size_t gap = 0; gap <= 64; gap++)
            for (int where = AT_START; where <= AT_END; where++)
                check_random(2, 5, 40, 3, mode, (layout){(place)where, 0, 0, gap, 64 - gap}, &state);
}

/* What every kernel needs that can compute such a layer, if it is one. */
static void check_sizes(const convpool_layer_spec *of) {
    convpool_layer_spec spec = *of;
    convpool_shape s;
    if (convpool_make_shape(&spec, &s) != CONVPOOL_OK) return;
    size_t most = CONVPOOL_LAYER_MEMORY_MAX_FILTER(s.channels, s.out_channels, s.filter_height, s.filter_width);
    size_t most_scratch = CONVPOOL_LAYER_SCRATCH_MAX_FILTER(s.channels, s.padded_height, s.padded_width, s.out_channels,
                                                            s.filter_height, s.filter_width);
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        for (size_t k = 0; k < (*isa)->kernel_count && ((*isa)->needs & ~convpool_cpu_features()) == 0; k++) {
            const convpool_kernel *kernel = &(*isa)->kernels[k];
            spec.kernel = kernel->name;
            size_t needed = convpool_layer_memory_size(&spec);
            if (needed == 0 && strcmp(kernel->algorithm, "direct") != 0) continue;
            CHECK(needed > 0 && needed <= most, "%s: %zu, not %zu", describe(&spec), needed, most);
            size_t scratch = kernel->scratch_size(&s);
            CHECK(scratch <= most_scratch, "%s: %zu, not %zu", describe(&spec), scratch, most_scratch);
        }
}

void check_memory_sizes_stay_within_the_public_bounds(void) {
    /* They are constant expressions. */
    static unsigned char memory[CONVPOOL_LAYER_MEMORY_MAX(16, 32)], scratch[CONVPOOL_LAYER_SCRATCH_MAX(16, 25, 25, 32)];
    static const float weights[32 * 16 * 4];
    static float input[16 * 25 * 25], output[32 * 12 * 12];
    static const size_t counts[] = {1, 3, 16, 33, 64, 100, 256, 512, 4000}, sides[] = {2, 3, 8, 65, 1000, 70000};
    convpool_layer_spec spec = {.in_channels = 16, .in_height = 25, .in_width = 25, .out_channels = 32};
    convpool_layer *layer;
    CHECK(convpool_layer_create_in(&spec, weights, NULL, memory, sizeof memory, &layer) == CONVPOOL_OK, "%s", "static");
    CHECK(convpool_layer_scratch_size(layer) <= sizeof scratch, "%zu", convpool_layer_scratch_size(layer));
    CHECK(convpool_layer_run(layer, input, output, scratch) == CONVPOOL_OK, "%s", "static");

    static const size_t filters[] = {1, 2, 3, 5, 7};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 9 * 9 * 6 * 5 * 2; i++) {
        size_t side = sides[i / 81 % 6], filter = filters[i / 486 % 5];
        spec = (convpool_layer_spec){.in_channels = counts[i % 9],
                                     .in_height = side,
                                     .in_width = 3 + side % 50,
                                     .out_channels = counts[i / 9 % 9],
                                     .filter_height = filter,
                                     .filter_width = random_below(&state, 4) ? filter : 1,
                                     .stride_height = 1 + random_below(&state, 5) / 3,
                                     .stride_width = 1 + random_below(&state, 5) / 3,
                                     .pad_top = random_below(&state, filter),
                                     .pad_left = random_below(&state, filter),
                                     .activation = (convpool_activation)random_below(&state, 8),
                                     .slopes = weights,
                                     .input_layout = (convpool_image_layout)random_below(&state, 2),
                                     .output_layout = (convpool_image_layout)random_below(&state, 2),
                                     .pool = (convpool_pool)random_below(&state, 3)};
        check_sizes(&spec);
    }
}

/* So that an array that is large enough for one layer is so for every smaller one. */
void check_memory_public_bounds_grow_with_their_arguments(void) {
    static const size_t steps[][6] = {{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}, {0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 100000; i++) {
        size_t a[6]; /* channels, height, width, outputs, the filter's height and width */
        for (size_t k = 0; k < 6; k++)
            a[k] = 1 + random_below(&state, k == 0 || k == 3 ? 260 : k < 3 ? 70 : 9);
        size_t memory = CONVPOOL_LAYER_MEMORY_MAX_FILTER(a[0], a[3], a[4], a[5]);
        size_t scratch = CONVPOOL_LAYER_SCRATCH_MAX_FILTER(a[0], a[1], a[2], a[3], a[4], a[5]);
        for (size_t k = 0; k < 6; k++) {
            const size_t *d = steps[k];
            CHECK(memory <= CONVPOOL_LAYER_MEMORY_MAX_FILTER(a[0] + d[0], a[3] + d[3], a[4] + d[4], a[5] + d[5]),
                  "memory of %zu, %zu, %zux%zu: argument %zu", a[0], a[3], a[4], a[5], k);
            CHECK(scratch <= CONVPOOL_LAYER_SCRATCH_MAX_FILTER(a[0] + d[0], a[1] + d[1], a[2] + d[2], a[3] + d[3],
                                                               a[4] + d[4], a[5] + d[5]),
                  "scratch of %zux%zux%zu:%zu, %zux%zu: argument %zu", a[0], a[1], a[2], a[3], a[4], a[5], k);
        }
        if (a[4] == 2 && a[5] == 2)
            CHECK(memory == CONVPOOL_LAYER_MEMORY_MAX(a[0], a[3]) &&
                      scratch == CONVPOOL_LAYER_SCRATCH_MAX(a[0], a[1], a[2], a[3]),
                  "%zux%zux%zu:%zu", a[0], a[1], a[2], a[3]);
    }
}

/* What checks every call of a kernel must be able to fail. */
void check_memory_a_dirty_vector_state_is_seen(void) {
    CHECK(vector_state_is_clean(), "%s", "before");
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vcmpps $15, %%ymm9, %%ymm9, %%ymm9" ::: "xmm9"); /* all ones */
        CHECK(!vector_state_is_clean(), "%s", "dirty");
        __asm__ volatile("vzeroupper");
    }
    if (__builtin_cpu_supports("avx512f")) { /* ones above what AVX uses alone */
        __asm__ volatile(
            "vpternlogd $255, %%zmm9, %%zmm9, %%zmm9\n vmovdqa %%ymm9, %%ymm8\n vpxord %%zmm9, %%zmm8, %%zmm9" ::
                : "xmm8", "xmm9");
        CHECK(!vector_state_is_clean(), "%s", "dirty in its upper half");
        __asm__ volatile("vzeroupper");
    }
#endif
    CHECK(vector_state_is_clean(), "%s", "after");
}

#ifdef __i386__
/* Calls a function with so many words of arguments, which it pushes `offset` bytes below an address aligned to 16.
 * Returns what it leaves in eax; a result of floating point is dropped. */
static uintptr_t call_on_stack(void (*function)(void), const uintptr_t *arguments, size_t count, size_t offset,
                               bool drops_double) {
    uintptr_t result;
    __asm__ volatile("movl %%esp, %%edi\n"
                     "andl $-16, %%esp\n"
                     "subl %%eax, %%esp\n"
                     "1: testl %%ecx, %%ecx\n"
                     "jz 2f\n"
                     "decl %%ecx\n"
                     "pushl (%%esi, %%ecx, 4)\n"
                     "jmp 1b\n"
                     "2: call *%%ebx\n"
                     "movl %%edi, %%esp\n"
                     : "=a"(result), "+c"(count)
                     : "b"(function), "S"(arguments), "0"(offset)
                     : "edx", "edi", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    if (drops_double) __asm__ volatile("fstp %%st(0)" ::: "memory");
    return result;
}

/* Windows and older compilers align a caller's stack to 4 bytes alone. */
void check_memory_a_stack_of_any_alignment(void) {
    enum { WORDS = 8 };
    uint64_t state = test_seed();
    problem p = problem_new(5, 14, 27, 9, 0);
    problem_fill(&p, &state);
    float *expected = allocate(p.e.out, sizeof *expected), *output = allocate(p.e.out, sizeof *output);
    convpool_kernel_info info;
    for (size_t k = 0; next_kernel(&p.spec, &k, &info);) {
        p.spec.kernel = info.name;
        size_t bytes = convpool_layer_memory_size(&p.spec);
        void *memory = allocate(bytes, 1);
        convpool_layer *layer = NULL;
        CHECK(convpool_layer_create(&p.spec, p.weights, p.bias, &layer) == CONVPOOL_OK, "%s", info.name);
        void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
        convpool_layer_run(layer, p.input, expected, scratch);
        convpool_layer_destroy(layer);
        for (size_t offset = 0; offset < 16; offset += 4) {
            convpool_layer *made = NULL;
            const uintptr_t create[WORDS] = {
                (uintptr_t)&p.spec, (uintptr_t)p.weights, (uintptr_t)p.bias, (uintptr_t)memory, bytes,
                (uintptr_t)&made};
            uintptr_t status = call_on_stack((void (*)(void))convpool_layer_create_in, create, 6, offset, false);
            if (!CHECK(status == CONVPOOL_OK, "%s, %zu bytes off", info.name, offset)) continue;
            const uintptr_t run[WORDS] = {(uintptr_t)made, (uintptr_t)p.input, (uintptr_t)output, (uintptr_t)scratch};
            memset(output, 0, p.e.out * sizeof *output);
            status = call_on_stack((void (*)(void))convpool_layer_run, run, 4, offset, false);
            CHECK(status == CONVPOOL_OK && memcmp(output, expected, p.e.out * sizeof *output) == 0, "%s, %zu bytes off",
                  info.name, offset);
            const uintptr_t bound[WORDS] = {(uintptr_t)made, 0, 0x3ff00000}; /* of 1.0 */
            call_on_stack((void (*)(void))convpool_layer_error_bound, bound, 3, offset, true);
        }
        free(scratch);
        free(memory);
    }
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++)
        for (size_t offset = 0; offset < 16 && !((*isa)->needs & ~convpool_cpu_features()); offset += 4) {
            const uintptr_t relu[WORDS] = {(uintptr_t)p.input, 700, (uintptr_t)output};
            const uintptr_t pool[WORDS] = {(uintptr_t)p.input, 5, 14, 27, (uintptr_t)output};
            call_on_stack((void (*)(void))(*isa)->relu, relu, 3, offset, false);
            call_on_stack((void (*)(void))(*isa)->max_pool_2x2, pool, 5, offset, false);
        }
    p.spec.kernel = NULL;
    free(expected);
    free(output);
    problem_free(&p);
}
#endif

void check_memory_weights_and_bias_are_copied(void) {
    uint64_t state = test_seed();
    problem p = problem_new(3, 9, 9, 5, 0);
    problem_fill(&p, &state);
    float before[80], after[80];
    convpool_layer *layer, *zero_biased, *unbiased;
    CHECK(p.e.out == 80, "%zu", p.e.out);
    CHECK(convpool_layer_create(&p.spec, p.weights, p.bias, &layer) == CONVPOOL_OK, "%s", "create");
    void *scratch = allocate(convpool_layer_scratch_size(layer), 1);
    convpool_layer_run(layer, p.input, before, scratch);
    memset(p.bias, 0, 5 * sizeof(float));
    CHECK(convpool_layer_create(&p.spec, p.weights, p.bias, &zero_biased) == CONVPOOL_OK, "%s", "create");
    CHECK(convpool_layer_create(&p.spec, p.weights, NULL, &unbiased) == CONVPOOL_OK, "%s", "create");
    random_fill(&state, p.weights, p.e.weights);
    random_fill(&state, p.bias, 5);
    convpool_layer_run(layer, p.input, after, scratch);
    CHECK(memcmp(before, after, sizeof before) == 0, "%s", "the layer still reads what it was made from");
    convpool_layer_run(zero_biased, p.input, before, scratch);
    convpool_layer_run(unbiased, p.input, after, scratch);
    CHECK(memcmp(before, after, sizeof before) == 0, "%s", "no bias is not a bias of zero");
    convpool_layer_destroy(layer);
    convpool_layer_destroy(zero_biased);
    convpool_layer_destroy(unbiased);
    free(scratch);
    problem_free(&p);
}

void check_memory_large_images_and_many_channels(void) {
    static const struct {
        size_t channels, height, width, out_channels;
        unsigned mode;
        place where;
    } rows[] = {
        {1, 2051, 2049, 1, 0, AT_END}, {1, 1025, 1030, 2, 1, AT_START}, {2, 5, 8001, 3, 0, AT_END},
        {2, 8001, 5, 3, 1, AT_END},    {515, 7, 9, 260, 0, AT_END},     {515, 4, 6, 130, 3, AT_START},
        {50, 9, 45, 7, 0, AT_END},     {33, 5, 12, 251, 0, AT_END},     {8, 5, 20, 1031, 1, AT_START},
        {8, 5, 40, 1031, 0, AT_END},
    };
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (i + 1 == sizeof rows / sizeof *rows || in_sample(&state, 20))
            check_random(rows[i].channels, rows[i].height, rows[i].width, rows[i].out_channels, rows[i].mode,
                         rows[i].where == AT_START ? at_start : at_end, &state);
}
