/* SPDX-License-Identifier: MIT */
#define CONVPOOL_VECTOR "wasm128.h"
#include "../isa.h"

CONVPOOL_ISA(wasm128, 0)
