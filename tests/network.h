/* SPDX-License-Identifier: MIT */
#ifndef CONVPOOL_TESTS_NETWORK_H
#define CONVPOOL_TESTS_NETWORK_H

#include "dispatch.h"

/* Makes and runs a network on every ISA, in guarded memory, and holds it to its stages taken one by one. finite: that
 * nothing in it, or in the input, is large or not finite, so that it may raise no exception. */
void check_network(const convpool_stage *stages, size_t count, const float *input, bool finite, uint64_t *state);

#endif
