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

/* One dimension: a filter of two or three at each position of the tile. With a third weight of 0 the first three
 * positions of F(2, 3) are those of F(3, 2). */
static void transform_filter(size_t filter, size_t side, const double *g, double *to) {
    double last = g[filter - 1];
    to[0] = g[0];
    to[side - 1] = last;
    if (side == 3) {
        to[1] = g[0] + last;
    } else if (filter == 2) {
        to[1] = (g[0] + last) / 2;
        to[2] = (g[0] - last) / 2;
    } else {
        to[1] = (g[0] + g[1] + last) / 2;
        to[2] = (g[0] - g[1] + last) / 2;
    }
}

void convpool_winograd_filter(const convpool_shape *s, size_t side, const float *weights, size_t o, size_t c,
                              float *to) {
    size_t height = s->filter_height, width = s->filter_width;
    double rows[3][4], column[4], g[3];
    for (size_t u = 0; u < height; u++) {
        for (size_t v = 0; v < width; v++)
            g[v] = (double)weights[convpool_weight(s, o, c, u, v)];
        transform_filter(width, side, g, rows[u]);
    }
    for (size_t j = 0; j < side; j++) {
        for (size_t u = 0; u < height; u++)
            g[u] = rows[u][j];
        transform_filter(height, side, g, column);
        for (size_t i = 0; i < side; i++)
            to[i * side + j] = (float)column[i];
    }
}
