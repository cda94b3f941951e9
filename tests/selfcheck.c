/* SPDX-License-Identifier: MIT */
/* The checks without a framework: convpool-selfcheck [SUITE | SUITE.NAME]... prints TAP. For places where Criterion
 * cannot go: emulated CPUs, MemorySanitizer, other systems. */
#include "checks.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *suite, *name;
    void (*run)(void);
} checks[] = {
#define ROW(suite, name) {#suite, #suite "." #name, check_##suite##_##name},
    SELF_CHECKS(ROW)};
enum { check_count = sizeof checks / sizeof *checks };

static bool wanted(size_t i, int argc, char **argv) {
    for (int a = 1; a < argc; a++)
        if (strcmp(argv[a], checks[i].suite) == 0 || strcmp(argv[a], checks[i].name) == 0) return true;
    return argc <= 1;
}

int main(int argc, char **argv) {
#ifdef _WIN32
    if (is_alone()) return body_alone();
#endif
    size_t planned = 0, number = 0, failed = 0;
    for (size_t i = 0; i < check_count; i++)
        planned += wanted(i, argc, argv);
    printf("TAP version 13\n1..%zu\n", planned);
    for (size_t i = 0; i < check_count; i++) {
        if (!wanted(i, argc, argv)) continue;
        size_t done = checks_done, bad = checks_failed;
        checks[i].run();
        done = checks_done - done;
        bad = checks_failed - bad;
        bool passed = bad == 0 && done > 0; /* a check that looked at nothing has failed */
        failed += !passed;
        printf("%sok %zu - %s\n# %zu conditions, %zu failed\n", passed ? "" : "not ", ++number, checks[i].name, done,
               bad);
        fflush(stdout);
    }
    printf("# %zu passed, %zu failed; CONVPOOL_TEST_SEED=%llu\n", planned - failed, failed,
           (unsigned long long)test_seed());
    return failed > 0 || planned == 0;
}
