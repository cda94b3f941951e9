/* SPDX-License-Identifier: MIT */
/* What an ISA can do at most: independent multiply-adds at its full width, in its kernels' own words. Compiled once
 * for each ISA, as PROBE, with its CONVPOOL_VECTOR. */
#include "vector/vector.h"

#include <stdint.h>

double PROBE(uint64_t iterations);

/* Returns the floating-point operations done. */
double PROBE(uint64_t iterations) {
    /* As many sums as registers allow beside the operands, at least 12 where there are 16. */
    enum { sums = VEC_REGISTERS * 3 / 4 };
    static const float small = 1e-3f;
    vec sum[sums], x = vec_splat(&small), w = vec_splat(&small);
    VEC_UNROLL
    for (int i = 0; i < sums; i++)
        sum[i] = vec_zero();
    for (uint64_t n = 0; n < iterations; n++) {
        VEC_UNROLL
        for (int i = 0; i < sums; i++) {
            /* Else the product, where it is an instruction of its own, would be taken out of the loop: by VEC_KEEP()
             * or, where that does nothing, by its depending on the sum. */
            VEC_KEEP(x);
            sum[i] = VEC_TELLS ? vec_mul_add(x, w, sum[i]) : vec_mul_add(sum[i], w, x);
        }
    }
    static volatile float result;
    VEC_UNROLL
    for (int i = 0; i < sums; i++) {
        float lanes[vec_lanes];
        vec_store(lanes, sum[i]);
        result = lanes[0];
    }
    (void)result;
    return 2.0 * (double)((int)sums * (int)vec_lanes) * (double)iterations;
}
