/* SPDX-License-Identifier: MIT */
/* Starts the peers, and finds the fastest way of each. */
#define _GNU_SOURCE
#include "library.h"
#include "list.h"

#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const peer_library *const libraries[] = {&onednn, &libxsmm, &xnnpack, &openblas};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };
static const char *const isas[PEER_ISAS] = {"sse2", "avx2", "avx512"};

#define DECLARE(isa) extern const pooling pooling_##isa;
CONVPOOL_ISAS(DECLARE)
#define ROW(isa) {#isa, &pooling_##isa},
static const struct {
    const char *isa;
    const pooling *pooling;
} poolings[] = {CONVPOOL_ISAS(ROW)};
pooling peer_pooling;

static peer peers[3 * LIBRARIES];
static size_t count;

bool peers_built(void) { return true; }

static int index_of(const char *isa) {
    int i = 0;
    while (i < PEER_ISAS && strcmp(isas[i], isa) != 0)
        i++;
    return i;
}

bool peers_have(const char *isa) { return index_of(isa) < PEER_ISAS; }

bool peers_run_again(const char *isa, int argc, char **argv, int fd) {
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    for (size_t k = 0; k < LIBRARIES; k++)
        if (libraries[k]->variable != NULL) setenv(libraries[k]->variable, libraries[k]->values[index_of(isa)], 1);
    char argument[64], **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    if (arguments == NULL) return false;
    memcpy(arguments, argv, (size_t)argc * sizeof *arguments);
    arguments[argc] = argument;
    snprintf(argument, sizeof argument, "--peers=%s:%d", isa, fd);
    pid_t child;
    int status = 1;
    bool ran = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0 &&
               waitpid(child, &status, 0) == child && status == 0;
    free(arguments);
    return ran;
}

const char *peers_start(const char *isa, bool best) {
    static char wrong[256];
    int i = index_of(isa);
    if (i == PEER_ISAS) return "none can be held to this instruction set";
    for (size_t k = 0; k < sizeof poolings / sizeof *poolings; k++)
        if (strcmp(poolings[k].isa, isa) == 0) peer_pooling = *poolings[k].pooling;
    for (size_t k = 0; k < LIBRARIES; k++) {
        const peer_library *library = libraries[k];
        if (library->variable == NULL && !best) continue;
        const char *runs = library->runs(), *asked = library->values[i];
        if (asked == NULL ? runs != NULL : runs == NULL || strcmp(runs, asked) != 0) {
            snprintf(wrong, sizeof wrong, "%s runs %s where %s was asked for", library->name, runs,
                     asked == NULL ? "it chooses" : asked);
            return wrong;
        }
        char version[PEER_NAME];
        library->version(version);
        for (int layout = 0; layout < 3 && library->layouts[layout].name != NULL; layout++) {
            peer *p = &peers[count++];
            *p = (peer){.library = library, .layout = layout, .layout_name = library->layouts[layout].name};
            snprintf(p->name, sizeof p->name, "%s %s %s", library->name, version, p->layout_name);
        }
    }
    return NULL;
}

const peer *peers_get(size_t index) { return index < count ? &peers[index] : NULL; }

/* The least time of one run, in seconds: of at least three runs, and of 5 ms. */
static double least_time(const peer_library *library, void *state) {
    double least = INFINITY, all = 0;
    library->run(state); /* fills the caches */
    for (int runs = 0; runs < 3 || all < 5e-3; runs++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        library->run(state);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
        least = fmin(least, seconds);
        all += seconds;
    }
    return least;
}

void *peers_create(const peer *which, const peer_layer *layer, char *note) {
    const peer_library *library = which->library;
    const int ways = library->layouts[which->layout].ways;
    double least[PEER_WAYS];
    int best = 0;
    for (int pass = 0; pass < 3; pass++) /* the machine may be slow for a while */
        for (int way = 0; way < ways; way++) {
            if (pass == 0) least[way] = INFINITY;
            void *state = library->create(layer, which->layout, way, note);
            if (state == NULL) continue;
            least[way] = fmin(least[way], least_time(library, state));
            library->destroy(state);
        }
    for (int way = 0; way < ways; way++)
        if (least[way] < least[best]) best = way;
    return library->create(layer, which->layout, best, note);
}

float *peer_floats(size_t floats) {
    size_t bytes = (floats * sizeof(float) + 127) / 64 * 64; /* at least 16 floats more */
    float *memory = aligned_alloc(64, bytes);
    if (memory == NULL) {
        fputs("convpool-bench: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    memset(memory, 0, bytes);
    return memory;
}
