/* SPDX-License-Identifier: MIT */
/* One number for all that a kernel computes: two machines whose numbers are equal return the same bits. */
#ifndef CONVPOOL_BITS_H
#define CONVPOOL_BITS_H

#include "convpool.h"

#include <stdint.h>

/* Runs a fixed list of layers on the kernel of this name, with pseudo-random weights and inputs, and stores a hash
 * (FNV-1a, 64 bits) of the outputs, in which every NaN counts as one and -0 as +0. Layers small and large, with every
 * combination of pooling, activation and filter; data of even magnitude, of magnitudes from 2^-40 to 2^40, denormal,
 * and with infinities, NaN and values near overflow among it.
 * Returns false where the kernel cannot run here or memory is out. */
bool kernel_bits(const char *kernel, uint64_t *hash);

#endif
