/* SPDX-License-Identifier: MIT */
/* The bench's own threads, for running bands of one image at once. */
#ifndef CONVPOOL_CREW_H
#define CONVPOOL_CREW_H

#include <stdbool.h>
#include <stddef.h>

/* Makes count - 1 threads, which wait; each, and the caller, on a CPU of its own where there are enough. */
bool crew_start(size_t count);

/* Calls work(context, i) for i < count on as many threads, 0 on the caller's, and returns when all have. */
void crew_run(size_t count, void (*work)(void *context, size_t i), void *context);

#endif
