/* SPDX-License-Identifier: MIT */
/* What the Winograd kernels of every ISA share at create, compiled once, for the baseline. */
#include "../kernel.h"

float convpool_winograd_limit(const convpool_shape *s, const float *weights, const float *bias) {
    double largest = 0;
    for (size_t o = 0; o < s->out_channels; o++) {
        double sum = 0;
        for (size_t c = 0; c < s->channels; c++)
            for (size_t u = 0; u < s->filter_height; u++)
                for (size_t v = 0; v < s->filter_width; v++)
                    sum += convpool_magnitude((double)weights[convpool_weight(s, o, c, u, v)]);
        if (!(sum < 0x1p120)) return 0;
        if (bias != NULL && !(convpool_magnitude((double)bias[o]) < 0x1p126)) return 0;
        if (sum > largest) largest = sum;
    }
    double limit = 0x1p121;
    for (double power = 1; power < largest; power *= 2)
        limit /= 2;
    return (float)limit;
}

/* One dimension: the filter (g0, g1) at each position of the tile. */
static void transform(size_t tile, double g0, double g1, double *to) {
    to[0] = g0;
    if (tile == 2) {
        to[1] = g0 + g1;
    } else {
        to[1] = (g0 + g1) / 2;
        to[2] = (g0 - g1) / 2;
    }
    to[tile] = g1;
}

void convpool_winograd_filter(const convpool_shape *s, size_t tile, const float *weights, size_t o, size_t c,
                              float *to) {
    double rows[2][4], column[4];
    for (size_t u = 0; u < 2; u++)
        transform(tile, (double)weights[convpool_weight(s, o, c, u, 0)], (double)weights[convpool_weight(s, o, c, u, 1)],
                  rows[u]);
    for (size_t j = 0; j <= tile; j++) {
        transform(tile, rows[0][j], rows[1][j], column);
        for (size_t i = 0; i <= tile; i++)
            to[i * (tile + 1) + j] = (float)column[i];
    }
}
