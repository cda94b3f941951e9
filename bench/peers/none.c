/* SPDX-License-Identifier: MIT */
/* A bench suite without peers: the Meson option peers is off. */
#include "peers.h"

bool peers_built(void) { return false; }

bool peers_have(const char *isa) {
    (void)isa;
    return false;
}

bool peers_run_again(const char *isa, int argc, char **argv, int fd) {
    (void)isa, (void)argc, (void)argv, (void)fd;
    return false;
}

const char *peers_start(const char *isa, bool best) {
    (void)isa, (void)best;
    return NULL;
}

const peer *peers_get(size_t index) {
    (void)index;
    return NULL;
}

void *peers_create(const peer *which, const peer_layer *layer, char *note) {
    (void)which, (void)layer, (void)note;
    return NULL;
}
