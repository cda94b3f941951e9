/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "sse2.h"
#include "../isa.h"

CONVPOOL_ISA(sse2, CONVPOOL_NEEDS_SSE2)
