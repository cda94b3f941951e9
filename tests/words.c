/* SPDX-License-Identifier: MIT */
/* What vector/vector.h says of each word. Compiled once for each ISA, as WORDS, with its CONVPOOL_VECTOR. */
#include "vector/vector.h"

#include "problem.h"
#include "words.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Arrays are static: GCC aligns a stack that AddressSanitizer watches too little for what it spills. */
enum { lanes = vec_lanes, half = (vec_lanes + 1) / 2, many = 16 * vec_lanes };
static const char *of_isa;

#define SAME(got, expected, what, lane) \
    CHECK(memcmp(&(float){got}, &(float){expected}, sizeof(float)) == 0, "%s: %s: lane %zu is %a, not %a", of_isa, \
          what, (size_t)(lane), (double)(got), (double)(expected))

/* Different numbers, aligned to any vector. */
static float *numbers(void) {
    static _Alignas(64) float of[many];
    for (size_t i = 0; i < many; i++)
        of[i] = (float)(i + 1);
    return of;
}

static void lanes_are(vec got, const float *expected, const char *what) {
    static float of[lanes];
    vec_store(of, got);
    for (size_t n = 0; n < lanes; n++)
        SAME(of[n], expected[n], what, n);
}

static void test_zero(void) {
    static const float zeros[lanes];
    lanes_are(vec_zero(), zeros, "vec_zero");
}

static void test_splat(void) {
    static float expected[lanes];
    static const float four[4] = {1, 2, 3, 4};
    for (size_t n = 0; n < lanes; n++)
        expected[n] = 3;
    lanes_are(vec_splat(&four[2]), expected, "vec_splat");
}

static void test_splat_of_4(void) {
    static float expected[4][lanes];
    const float *x = numbers();
    for (size_t k = 0; k < 4; k++)
        for (size_t n = 0; n < lanes; n++)
            expected[k][n] = x[1 + k];
    lanes_are(vec_splat_of_4(x + 1, 0), expected[0], "vec_splat_of_4(0)");
    lanes_are(vec_splat_of_4(x + 1, 1), expected[1], "vec_splat_of_4(1)");
    lanes_are(vec_splat_of_4(x + 1, 2), expected[2], "vec_splat_of_4(2)");
    lanes_are(vec_splat_of_4(x + 1, 3), expected[3], "vec_splat_of_4(3)");
}

static void test_load(void) {
    for (size_t i = 0; i < lanes; i++)
        lanes_are(vec_load(numbers() + i), numbers() + i, "vec_load");
}

static void test_load_aligned(void) {
    lanes_are(vec_load_aligned(numbers() + lanes), numbers() + lanes, "vec_load_aligned");
}

static void test_load_part(void) {
    for (size_t n = 0; n <= lanes; n++) {
        static float expected[lanes];
        memset(expected, 0, sizeof expected);
        memcpy(expected, numbers(), n * sizeof(float));
        lanes_are(vec_load_part(put(INPUT, numbers(), n * sizeof(float), AT_END, 0), n), expected,
                  "vec_load_part at the end");
        lanes_are(vec_load_part(put(INPUT, numbers(), n * sizeof(float), AT_START, 0), n), expected, "vec_load_part");
    }
}

static void test_store(void) {
    float *to = put(OUTPUT, NULL, lanes * sizeof(float), AT_END, 0);
    vec_store(to, vec_load(numbers()));
    CHECK(memcmp(to, numbers(), lanes * sizeof(float)) == 0 && piece_intact(OUTPUT), "%s: vec_store", of_isa);
}

static void test_store_part(void) {
    for (size_t n = 0; n <= lanes; n++) {
        float *to = put(OUTPUT, NULL, n * sizeof(float), AT_END, 0);
        vec_store_part(to, vec_load(numbers()), n);
        CHECK(memcmp(to, numbers(), n * sizeof(float)) == 0 && piece_intact(OUTPUT), "%s: vec_store_part(%zu)", of_isa,
              n);
    }
}

/* Numbers of every kind against each other, and what comes of them. */
static const float kinds[] = {0.0f, -0.0f, 1.5f, -2.25f, FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, INFINITY, -INFINITY, NAN};
enum { kind_count = sizeof kinds / sizeof *kinds };

static void fill(float *of, float with) {
    for (size_t n = 0; n < lanes; n++)
        of[n] = with;
}

/* One lane of what two kinds come to, and what it should be; NaN for any NaN. */
static void held(vec got, float expected, const char *what) {
    static float of[lanes];
    vec_store(of, got);
    for (size_t n = 0; n < lanes; n++)
        CHECK(equal(of[n], expected, true), "%s: %s: lane %zu is %a, not %a", of_isa, what, n, (double)of[n],
              (double)expected);
}

static void test_add(void) {
    static float a[lanes], b[lanes];
    for (size_t i = 0; i < kind_count * kind_count; i++) {
        volatile float left = kinds[i / kind_count], right = kinds[i % kind_count];
        fill(a, left), fill(b, right);
        held(vec_add(vec_load(a), vec_load(b)), left + right, "vec_add");
    }
}

static void test_sub(void) {
    static float a[lanes], b[lanes];
    for (size_t i = 0; i < kind_count * kind_count; i++) {
        volatile float left = kinds[i / kind_count], right = kinds[i % kind_count];
        fill(a, left), fill(b, right);
        held(vec_sub(vec_load(a), vec_load(b)), left - right, "vec_sub");
    }
}

static void test_mul(void) {
    static float a[lanes], b[lanes];
    for (size_t i = 0; i < kind_count * kind_count; i++) {
        volatile float left = kinds[i / kind_count], right = kinds[i % kind_count];
        fill(a, left), fill(b, right);
        held(vec_mul(vec_load(a), vec_load(b)), left * right, "vec_mul");
    }
}

static void test_div(void) {
    static float a[lanes], b[lanes];
    for (size_t i = 0; i < kind_count * kind_count; i++) {
        volatile float left = kinds[i / kind_count], right = kinds[i % kind_count];
        fill(a, left), fill(b, right);
        held(vec_div(vec_load(a), vec_load(b)), left / right, "vec_div");
    }
}

static void test_where_negative(void) {
    static float y[lanes], a[lanes], b[lanes];
    fill(a, 3), fill(b, NAN);
    for (size_t i = 0; i < kind_count; i++) {
        volatile float of = kinds[i];
        fill(y, of);
        held(vec_where_negative(vec_load(y), vec_load(a), vec_load(b)), of < 0 ? 3 : NAN, "vec_where_negative");
    }
}

static void test_nan_of(void) {
    static float x[lanes], y[lanes];
    fill(y, 3);
    for (size_t i = 0; i < kind_count; i++) {
        volatile float of = kinds[i];
        fill(x, of);
        held(vec_nan_of(vec_load(x), vec_load(y)), isnan(of) ? NAN : 3, "vec_nan_of");
    }
}

static void test_power_of_2(void) {
    static float m[lanes];
    for (int n = -126; n <= 127; n++) {
        fill(m, 0x1.8p23f + (float)n);
        held(vec_power_of_2(vec_load(m)), ldexpf(1, n), "vec_power_of_2");
    }
}

static void test_mul_add(void) {
    /* (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly; rounded twice, it is 0. */
    static float a[lanes], c[lanes];
    fill(a, 1 + 0x1p-12f), fill(c, -(1 + 0x1p-11f));
    held(vec_mul_add(vec_load(a), vec_load(a), vec_load(c)), VEC_FUSED ? 0x1p-24f : 0, "vec_mul_add");
    fill(a, 3), fill(c, NAN);
    held(vec_mul_add(vec_load(a), vec_load(a), vec_load(c)), NAN, "vec_mul_add");
}

static void test_max(void) {
    static float a[lanes], b[lanes];
    for (size_t i = 0; i < kind_count * kind_count; i++) {
        float left = kinds[i / kind_count], right = kinds[i % kind_count];
        if (isnan(left) || (left == 0 && right == 0)) continue; /* anything */
        fill(a, left), fill(b, right);
        held(vec_max(vec_load(a), vec_load(b)), isnan(right) || right > left ? right : left, "vec_max");
    }
}

static void test_max4(void) {
    static float of[4][lanes];
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++) {
            for (size_t j = 0; j < 4; j++)
                fill(of[j], -(float)j - 1);
            fill(of[i], ((float[]){7, NAN, -INFINITY})[k]);
            held(vec_max4(vec_load(of[0]), vec_load(of[1]), vec_load(of[2]), vec_load(of[3])),
                 ((float[]){7, NAN, i == 0 ? -2 : -1})[k], "vec_max4");
        }
}

static void test_relu(void) {
    static float a[lanes];
    for (size_t i = 0; i < kind_count; i++) {
        fill(a, kinds[i]);
        held(vec_relu(vec_load(a)), isnan(kinds[i]) ? NAN : kinds[i] > 0 ? kinds[i] : 0.0f, "vec_relu");
    }
}

static void test_max_magnitude(void) {
    static float b[lanes], of[lanes];
    for (size_t i = 0; i < kind_count; i++)
        for (int exponent = -100; exponent < 127; exponent += 29) { /* whether a power of two is reached */
            uint32_t bits, limit_bits;
            float limit = ldexpf(1, exponent), magnitude = fabsf(kinds[i]);
            fill(b, kinds[i]);
            forget_exceptions();
            vec_store(of, vec_max_magnitude(vec_zero(), vec_load(b)));
            CHECK(exceptions_raised() == 0, "%s: vec_max_magnitude raises %s", of_isa,
                  exception_names(exceptions_raised()));
            memcpy(&bits, &of[lanes - 1], sizeof bits);
            memcpy(&limit_bits, &limit, sizeof limit_bits);
            CHECK((bits >= limit_bits) == !(magnitude < limit), "%s: vec_max_magnitude of %a: %a", of_isa,
                  (double)kinds[i], (double)of[lanes - 1]);
        }
}

static void even_odd(vec even, vec odd, const float *x, size_t count, const char *what) {
    static float expected[2][lanes];
    memset(expected, 0, sizeof expected);
    for (size_t n = 0; n < count; n++) {
        expected[0][n] = x[2 * n];
        expected[1][n] = x[2 * n + 1];
    }
    lanes_are(even, expected[0], what);
    lanes_are(odd, expected[1], what);
}

static void test_load_even_odd(void) {
    const float *x = put(INPUT, numbers(), 2 * lanes * sizeof(float), AT_END, 0);
    vec odd, even = vec_load_even_odd(x, &odd);
    even_odd(even, odd, x, lanes, "vec_load_even_odd");
}

static void test_load_even_odd_part(void) {
    for (size_t count = 0; count <= lanes; count++) {
        const float *x = put(INPUT, numbers(), 2 * count * sizeof(float), AT_END, 0);
        vec odd, even = vec_load_even_odd_part(x, count, &odd);
        even_odd(even, odd, x, count, "vec_load_even_odd_part");
    }
}

static void test_shift_in(void) {
    static float expected[lanes];
    memcpy(expected, numbers() + 1, (lanes - 1) * sizeof(float));
    expected[lanes - 1] = -5;
    lanes_are(vec_shift_in(vec_load(numbers()), &(float){-5}), expected, "vec_shift_in");
}

static void test_splat_pair(void) {
    static float expected[lanes];
    if (lanes == 1) return;
    for (size_t n = 0; n < lanes; n++)
        expected[n] = (float)(n % 2 + 1);
    lanes_are(vec_splat_pair(put(INPUT, numbers(), 2 * sizeof(float), AT_END, 0)), expected, "vec_splat_pair");
}

static void test_load_twice(void) {
    static float expected[lanes];
    if (lanes == 1) return;
    for (size_t n = 0; n < lanes; n++)
        expected[n] = (float)(n / 2 + 1);
    lanes_are(vec_load_twice(put(INPUT, numbers(), half * sizeof(float), AT_END, 0)), expected, "vec_load_twice");
}

static void test_load_halves(void) {
    static float expected[lanes];
    if (lanes == 1) return;
    for (size_t n = 0; n < lanes; n++)
        expected[n] = (float)(n % half + 1);
    lanes_are(vec_load_halves(put(INPUT, numbers(), half * sizeof(float), AT_END, 0)), expected, "vec_load_halves");
}

static void test_even_odd(void) {
    static float expected[2][lanes];
    for (size_t n = 0; n < lanes; n++)
        expected[0][n] = (float)(2 * n + 1), expected[1][n] = (float)(2 * n + 2);
    vec odd, even = vec_even_odd(vec_load(numbers()), vec_load(numbers() + lanes), &odd);
    lanes_are(even, expected[0], "vec_even_odd");
    lanes_are(odd, expected[1], "vec_even_odd, the odd ones");
}

/* Offsets of quads, in no order. */
static size_t offset_of(size_t n) { return n * 7 % 13 + n; }

static void test_load_quads(void) { /* together with vec_transpose_quads: what they are for */
    if (lanes == 1) return;
    size_t offsets[lanes];
    for (size_t n = 0; n < lanes; n++)
        offsets[n] = offset_of(n);
    vec quads[4];
    for (size_t k = 0; k < 4; k++) {
        static float expected[lanes];
        for (size_t n = 0; n < lanes; n++)
            expected[n] = numbers()[offsets[n / 4 * 4 + k] + n % 4];
        quads[k] = vec_load_quads(numbers(), offsets + k);
        lanes_are(quads[k], expected, "vec_load_quads");
    }
    vec_transpose_quads(quads);
    for (size_t k = 0; k < 4; k++) {
        static float expected[lanes];
        for (size_t n = 0; n < lanes; n++)
            expected[n] = numbers()[offsets[n] + k];
        lanes_are(quads[k], expected, "vec_transpose_quads");
    }
}

static void test_store_4(void) {
    for (size_t n = 1; n <= 4; n++) {
        enum { plane = 5 };
        vec a[4];
        for (size_t k = 0; k < 4; k++)
            a[k] = vec_load(numbers() + k * lanes);
        float *to = put(OUTPUT, NULL, ((lanes - 1) * plane + n) * sizeof(float), AT_END, 0);
        vec_store_4(to, plane, a, n);
        for (size_t lane = 0; lane < lanes; lane++)
            for (size_t k = 0; k < n; k++)
                SAME(to[plane * lane + k], numbers()[k * lanes + lane], "vec_store_4", lane);
        CHECK(piece_intact(OUTPUT), "%s: vec_store_4(%zu)", of_isa, n);
    }
}

static void test_store_2(void) {
    float *to = put(OUTPUT, NULL, 2 * lanes * sizeof(float), AT_END, 0);
    vec_store_2(to, vec_load(numbers()), vec_load(numbers() + lanes));
    for (size_t n = 0; n < 2 * lanes; n++)
        SAME(to[n], numbers()[n % 2 * lanes + n / 2], "vec_store_2", n);
    CHECK(piece_intact(OUTPUT), "%s: vec_store_2", of_isa);
}

static void test_store_3(void) {
    enum { quad = vec_lanes < 4 ? vec_lanes : 4, gap = 3 * quad + 1 };
    size_t offsets[lanes] = {0};
    for (size_t n = 0; n < lanes; n += quad)
        offsets[n] = (lanes - quad - n) / quad * gap; /* the last first */
    float *to = put(OUTPUT, NULL, (lanes / quad * gap - 1) * sizeof(float), AT_END, 0);
    vec_store_3(to, offsets, vec_load(numbers()), vec_load(numbers() + lanes), vec_load(numbers() + 2 * lanes));
    for (size_t n = 0; n < lanes; n++)
        for (size_t k = 0; k < 3; k++)
            SAME(to[offsets[n / quad * quad] + 3 * (n % quad) + k], numbers()[k * lanes + n], "vec_store_3", n);
    CHECK(piece_intact(OUTPUT), "%s: vec_store_3", of_isa);
}

static void test_end(void) {
    vec_end();
    CHECK(vector_state_is_clean(), "%s: vec_end", of_isa);
}

#define WORD(word) \
    static void run_##word(const char *isa) { \
        of_isa = isa; \
        test_##word(); \
        vec_end(); \
    }
#define ALL_WORDS(X) \
    X(zero) \
    X(splat) \
    X(splat_of_4) \
    X(load) \
    X(load_aligned) \
    X(load_part) \
    X(store) \
    X(store_part) \
    X(add) \
    X(sub) \
    X(mul) \
    X(div) \
    X(where_negative) \
    X(nan_of) \
    X(power_of_2) \
    X(mul_add) \
    X(max) \
    X(max4) \
    X(relu) \
    X(max_magnitude) \
    X(load_even_odd) \
    X(load_even_odd_part) \
    X(shift_in) \
    X(splat_pair) \
    X(load_twice) \
    X(load_halves) \
    X(even_odd) \
    X(load_quads) \
    X(store_4) \
    X(store_2) \
    X(store_3) \
    X(end)
ALL_WORDS(WORD)
#define ROW(word) {"vec_" #word, run_##word},
extern const word_test WORDS[];
const word_test WORDS[] = {ALL_WORDS(ROW){NULL, NULL}};
