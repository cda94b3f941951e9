/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "neon.h"
#include "../isa.h"

CONVPOOL_ISA(neon, 0)
