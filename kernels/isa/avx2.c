/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "avx2.h"
#include "../isa.h"

CONVPOOL_ISA(avx2, CONVPOOL_NEEDS_AVX2 | CONVPOOL_NEEDS_FMA3)
