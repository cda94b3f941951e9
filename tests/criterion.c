/* SPDX-License-Identifier: MIT */
/* The checks as Criterion suites: each runs in a process of its own. */
#include "checks.h"

#include <criterion/criterion.h>

#define TEST(suite, name) \
    Test(suite, name) { \
        check_##suite##_##name(); \
        cr_assert(checks_failed == 0, "%zu of %zu conditions failed", checks_failed, checks_done); \
        cr_assert(checks_done > 0, "nothing was checked"); \
    }
CHECKS(TEST)
