/* SPDX-License-Identifier: MIT */
/* What the files of the peers share. */
#ifndef CONVPOOL_PEERS_LIBRARY_H
#define CONVPOOL_PEERS_LIBRARY_H

#include "peers.h"

extern const peer_library onednn, xnnpack, libxsmm, openblas;

/* What some of them lack and their users add, for the ISA that is compared. */
typedef struct pooling {
    /* Pooling, bias and ReLU. One pooled row of pixels, `channels` of each: from two rows of the convolution with
     * `stride` floats a pixel, to out_stride floats a pixel. */
    void (*pixels)(const float *upper, const float *lower, size_t stride, size_t channels, size_t width,
                   const float *bias, float *out, size_t out_stride);
    /* The same: `rows` pooled rows of one channel: from rows of the convolution with `stride` floats each. */
    void (*plane)(const float *in, size_t stride, size_t rows, size_t width, float bias, float *out);
    /* From [rows][columns] to [columns][rows]. */
    void (*transpose)(const float *in, size_t rows, size_t columns, float *out);
} pooling;
extern pooling peer_pooling;

/* Memory for floats, aligned to a cache line, with some room behind it to be read. Never NULL. */
float *peer_floats(size_t count);

#endif
