/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "scalar.h"
#include "../isa.h"

CONVPOOL_ISA(scalar, 0)
