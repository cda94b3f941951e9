/* SPDX-License-Identifier: MIT */
/*
 * Other libraries that can compute the layer, to compare with.
 *
 * A peer is a library and a layout that it keeps its tensors in. A library may be set up for a layer in several ways
 * (how many rows a call, ReLU before or after the pooling): the fastest of them, here and on this layer, is taken.
 * Weights are packed and primitives created beforehand.
 */
#ifndef CONVPOOL_PEERS_H
#define CONVPOOL_PEERS_H

#include "convpool.h"

enum { PEER_NAME = 64, PEER_NOTE = 96, PEER_WAYS = 32 }; /* at most */

/* Cross-correlation, max-pooling and ReLU; dense NCHW. What it points to must outlive what is created of it. */
typedef struct peer_layer {
    size_t channels, height, width, outputs; /* of the input; output channels */
    size_t out_height, out_width;            /* after pooling */
    const float *input, *weights, *bias;
} peer_layer;

/* The instruction sets that a library can be held to, and compared at. */
enum { PEER_SSE2, PEER_AVX2, PEER_AVX512, PEER_ISAS };

typedef struct peer_library {
    const char *name;
    const char *variable;          /* of the environment, read when the library starts; NULL: it chooses by itself */
    const char *values[PEER_ISAS]; /* what holds it to each ISA */
    void (*version)(char *text);   /* PEER_NAME bytes */
    const char *(*runs)(void);     /* starts it; which of the values it does run */
    struct {
        const char *name;
        int ways;
    } layouts[3]; /* up to the first without a name */
    /* Returns NULL if the layer cannot be done in this way; else a note says what that is. */
    void *(*create)(const peer_layer *layer, int layout, int way, char *note);
    void (*run)(void *state);
    void (*result)(void *state, float *output); /* of the last run, as NCHW */
    void (*destroy)(void *state);
} peer_library;

typedef struct peer {
    const peer_library *library;
    int layout;
    char name[2 * PEER_NAME]; /* "oneDNN 2.6.3 NHWC" */
    const char *layout_name;
} peer;

/* Whether any peer is built in. */
bool peers_built(void);

/* Whether peers can be held to an ISA. */
bool peers_have(const char *isa);

/* Runs this program again, where the environment holds the peers to an ISA and to one thread, with one argument more:
 * --peers=ISA:FD. Returns whether that succeeded. */
bool peers_run_again(const char *isa, int argc, char **argv, int fd);

/* Starts the peers to be compared at an ISA; those without a variable only if it is the best one here. Returns NULL, or
 * what is wrong. */
const char *peers_start(const char *isa, bool best);

/* The peers that were started; NULL past the end. */
const peer *peers_get(size_t index);

/* Sets a peer up in the fastest way, which the note (PEER_NOTE bytes) says. NULL if there is none. */
void *peers_create(const peer *which, const peer_layer *layer, char *note);

#endif
