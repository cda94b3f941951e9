/* SPDX-License-Identifier: MIT */
/* Two arrangements of one algorithm: lanes run over output channels, or over pixels (or tiles of them). Both evaluate
 * in one order, so no bit depends on which it is. */
#ifndef CONVPOOL_ARRANGE_H
#define CONVPOOL_ARRANGE_H

#include "packed.h"

/* Whether lanes may run over pixels at all: without that, the library is a third smaller. Only images of
 * [channels][height][width] are computed so, which a network has at most at its ends. */
#ifdef CONVPOOL_NO_PIXELS
enum { arrange_pixels = 0 };
#else
enum { arrange_pixels = 1 };
#endif

/* Whether lanes are better run over pixels: where there are few input channels, more than a few tiles, and these keep
 * lanes nearly as busy as output channels would, or busier. Of `tiles` tiles, `units` have their lanes filled by `step`
 * at a time. */
static bool arrange_by_pixel(const convpool_shape *s, int algorithm, size_t tiles, size_t units, size_t step) {
    tune_pixels tune = tune_by_pixel[algorithm][s->pool];
    if (!arrange_pixels) return false;
    if (vec_lanes == 1) return true;
    double pixels = (double)units / (double)size_round_up(units, step);
    double channels = (double)s->out_channels / (double)size_round_up(s->out_channels, vec_lanes);
    return tiles > 12 && s->channels <= tune.channels && pixels >= tune.percent / 100.0 * channels;
}

#endif
