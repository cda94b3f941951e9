/* SPDX-License-Identifier: MIT */
/* The checks as Criterion suites: each runs in a process of its own, and tries a part of the cases, all of which the
 * self-check tries. */
#include "checks.h"

#include <criterion/criterion.h>

#define TEST(suite, name) \
    Test(suite, name) { \
        one_in_unless_told = 10; \
        check_##suite##_##name(); \
        cr_assert(checks_failed == 0, "%zu of %zu conditions failed", checks_failed, checks_done); \
        cr_assert(checks_done > 0, "nothing was checked"); \
    }
CHECKS(TEST)
