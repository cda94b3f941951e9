/* SPDX-License-Identifier: MIT */
/* What is timed: layers and networks with their data, made for every wanted kernel, and verified. */
#define _GNU_SOURCE
#include "bench.h"

#include "crew.h"
#include "random.h"
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define aligned_alloc(alignment, size) _aligned_malloc(size, alignment)
#define release(memory) _aligned_free(memory)
#else
#define release(memory) free(memory)
#endif

static const double network_tolerance = 1e-5; /* of the largest output */

/* To be ended with release(). */
static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (memory == NULL) fail("out of memory", "");
    return memory;
}

/* ---- Running ---- */

/* One image in bands of rows, one for each thread. */
typedef struct bands {
    const convpool_layer *layer;
    const problem *problem;
    size_t threads;
} bands;

static size_t scratch_bytes(const convpool_layer *layer) {
    return (convpool_layer_scratch_size(layer) + 127) / 64 * 64; /* so that threads share no line of the cache */
}

static void run_band(void *context, size_t i) {
    const bands *b = context;
    size_t rows = b->problem->e.out_height, step = convpool_layer_row_step(b->layer);
    size_t steps = (rows + step - 1) / step, first = steps * i / b->threads * step;
    size_t end = steps * (i + 1) / b->threads * step;
    convpool_layer_run_rows(b->layer, b->problem->input, b->problem->output,
                            (char *)b->problem->scratch + i * scratch_bytes(b->layer), first,
                            (end < rows ? end : rows) - first);
}

double run_entry(entry *e, const problem *p, uint64_t iterations, bool cold) {
    bands all = {e->layer, p, e->threads};
    double start = now();
    if (e->peer != NULL)
        for (uint64_t i = 0; i < iterations; i++)
            e->peer->library->run(e->peer_state);
    else if (e->network != NULL)
        for (uint64_t i = 0; i < iterations; i++)
            convpool_network_run(e->network, p->input, p->output, p->scratch);
    else if (e->threads > 0)
        for (uint64_t i = 0; i < iterations; i++)
            crew_run(e->threads, run_band, &all);
    else if (cold)
        for (uint64_t i = 0; i < iterations; i++) {
            convpool_layer_run(e->ring[e->ring_next], p->input, p->output, p->scratch);
            e->ring_next = e->ring_next + 1 < e->ring_count ? e->ring_next + 1 : 0;
        }
    else
        for (uint64_t i = 0; i < iterations; i++)
            convpool_layer_run(e->layer, p->input, p->output, p->scratch);
    return now() - start;
}

/* ---- Making ---- */

/* Inputs, weights and biases, always the same. */
static void fill_problem(problem *p) {
    uint64_t state = 60;
    p->input = allocate(p->e.in * sizeof(float));
    p->weights = allocate(p->e.weights * sizeof(float));
    p->bias = allocate(p->spec.out_channels * sizeof(float));
    p->output = allocate(p->e.out * sizeof(float));
    random_fill(&state, p->input, p->e.in);
    random_fill(&state, p->weights, p->e.weights);
    random_fill(&state, p->bias, p->spec.out_channels);
    for (size_t i = 0; i < p->e.in && options.denormal; i++)
        p->input[i] *= 0x1p-126f;
    for (size_t o = 0; o < p->spec.out_channels && options.denormal; o++)
        p->bias[o] *= 0x1p-126f;
}

/* Whether this kernel is the automatic choice for the layer among those of its ISA that are wanted. */
static bool is_automatic(const convpool_layer_spec *spec, const float *weights, const convpool_kernel_info *info) {
    convpool_layer_spec of_isa = *spec;
    convpool_layer *layer;
    of_isa.kernel = info->isa;
    if (convpool_layer_create(&of_isa, weights, NULL, &layer) != CONVPOOL_OK) return false;
    bool same = strcmp(convpool_layer_kernel(layer), info->name) == 0;
    convpool_layer_destroy(layer);
    return same;
}

static convpool_layer *make_layer(const problem *p) {
    convpool_layer *layer;
    convpool_status status = convpool_layer_create(&p->spec, p->weights, p->bias, &layer);
    if (status != CONVPOOL_OK) fail("cannot make the layer: ", convpool_status_string(status));
    return layer;
}

/* Layers in place of this one whose weights, taken by turns, come from behind the cache of the second level. */
static void make_ring(entry *e, const problem *p) {
    static size_t least;
    if (least == 0) least = 2 * machine_describe().cpu.cache[1];
    if (least == 0) least = 4 << 20;
    e->ring_count = least / convpool_layer_memory_size(&p->spec) + 1;
    e->ring = calloc(e->ring_count, sizeof *e->ring);
    if (e->ring == NULL) fail("out of memory", "");
    for (size_t i = 0; i < e->ring_count; i++)
        e->ring[i] = make_layer(p);
}

static entry *add_entry(problem *p, const convpool_kernel_info *info) {
    entry *e = &p->entries[p->count++];
    e->kernel = *info;
    e->probe = probe_of(info->isa);
    e->probe->wanted = true;
    return e;
}

/* The kernels that are wanted, or the chosen one on so many threads. Returns the bytes of scratch that they need. */
static size_t add_kernels(problem *p) {
    size_t scratch_size = 0;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        p->spec.kernel = info.name;
        if (!wanted(&info) || convpool_layer_memory_size(&p->spec) == 0) continue; /* or it is for other layers */
        bool automatic = is_automatic(&p->spec, p->weights, &info);
        if (options.threads > 0 && (!automatic || p->count > 0)) continue;
        for (size_t threads = options.threads > 0; threads <= options.threads; threads++) {
            entry *e = add_entry(p, &info);
            e->automatic = automatic;
            e->threads = threads;
            e->layer = make_layer(p);
            if (options.threads == 0 && options.peers_isa == NULL) make_ring(e, p);
            size_t bytes = scratch_bytes(e->layer) * (threads > 0 ? threads : 1);
            scratch_size = bytes > scratch_size ? bytes : scratch_size;
        }
    }
    return scratch_size;
}

/* A network for each instruction set of a wanted kernel. Returns the bytes of scratch. */
static size_t add_networks(problem *p) {
    size_t scratch_size = 0;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        if (!wanted(&info) || (p->count > 0 && strcmp(p->entries[p->count - 1].kernel.isa, info.isa) == 0)) continue;
        for (size_t i = 0; i < p->network.count; i++)
            p->network.stages[i].spec.kernel = info.isa;
        info.name = info.isa;
        entry *e = add_entry(p, &info);
        e->automatic = true;
        convpool_status status = convpool_network_create(p->network.stages, p->network.count, &e->network);
        if (status != CONVPOOL_OK) fail("cannot make the network: ", convpool_status_string(status));
        size_t bytes = convpool_network_scratch_size(e->network);
        scratch_size = bytes > scratch_size ? bytes : scratch_size;
        size_t channels, height, width;
        convpool_network_input_shape(e->network, &channels, &height, &width);
        p->e.in = channels * height * width;
        convpool_network_output_shape(e->network, &channels, &height, &width);
        p->e.out = channels * height * width;
    }
    return scratch_size;
}

/* Peers, behind the kernels of their ISA. */
static void add_peers(problem *p) {
    const convpool_layer_spec *spec = &p->spec;
    p->layer = (peer_layer){spec->in_channels,  spec->in_height, spec->in_width,
                            spec->out_channels, p->e.out_height, p->e.out_width,
                            p->input,           p->weights,      p->bias};
    for (size_t i = 0; peers_get(i) != NULL; i++) {
        const peer *other = peers_get(i);
        entry *e = add_entry(p, &(convpool_kernel_info){.name = other->name, .isa = options.peers_isa});
        e->peer = other;
        progress("setting up", e->kernel.name, 0, 0);
        e->peer_state = peers_create(e->peer, &p->layer, e->peer_note);
        if (e->peer_state == NULL) fail("cannot set up for this layer: ", e->kernel.name);
    }
}

/* ---- Verifying ---- */

static void compute(entry *e, problem *p) {
    memset(p->output, 0xff, p->e.out * sizeof(float));
    run_entry(e, p, 1, false);
    if (e->peer != NULL) e->peer->library->result(e->peer_state, p->output);
}

/* Holds each entry's largest error to 1, in units of its output's bound. */
static void hold(entry *e, const problem *p, const double *y, const double *bound) {
    for (size_t i = 0; i < p->e.out; i++) {
        double ratio = fabs(p->output[i] - y[i]) / bound[i];
        if (!(ratio <= 1)) fail("wrong result, not timed: ", e->kernel.name);
        e->error_ratio = fmax(e->error_ratio, ratio);
    }
}

static void verify_layer(problem *p) {
    double *y = allocate(p->e.out * sizeof *y), *bound = allocate(p->e.out * sizeof *bound);
    reference_double(&p->spec, p->input, p->weights, p->bias, y);
    const char *bounded = ""; /* whose bound it is */
    for (entry *e = p->entries; e < p->entries + p->count; e++) {
        compute(e, p);
        const char *algorithm = e->peer != NULL ? "direct" : e->kernel.algorithm;
        if (strcmp(bounded, algorithm) != 0)
            reference_bound(&p->spec, bounded = algorithm, p->input, p->weights, p->bias, bound);
        hold(e, p, y, bound);
    }
    release(y);
    release(bound);
}

static void verify_network(problem *p) {
    double *y = allocate(p->e.out * sizeof *y), *bound = allocate(p->e.out * sizeof *bound), largest = 0;
    float *expected = reference_network(p->network.stages, p->network.count, NULL, false, p->input);
    for (size_t i = 0; i < p->e.out; i++) {
        y[i] = expected[i];
        if (fabs(y[i]) > largest) largest = fabs(y[i]);
    }
    for (size_t i = 0; i < p->e.out; i++)
        bound[i] = network_tolerance * largest;
    for (entry *e = p->entries; e < p->entries + p->count; e++) {
        compute(e, p);
        hold(e, p, y, bound);
        e->error_ratio *= network_tolerance;
    }
    free(expected);
    release(y);
    release(bound);
}

void prepare_problem(problem *p) {
    size_t peers = 0;
    while (peers_get(peers) != NULL)
        peers++;
    p->entries = calloc(convpool_kernel_count() + peers + options.threads, sizeof *p->entries);
    if (p->entries == NULL) fail("out of memory", "");
    progress("preparing", p->shape, 0, 0);
    if (p->network.count > 0) {
        p->scratch = allocate(add_networks(p));
        p->flop = 2 * p->network.multiply_adds;
        fill_problem(p);
        verify_network(p);
        return;
    }
    fill_problem(p);
    p->scratch = allocate(add_kernels(p));
    add_peers(p);
    /* Of a direct convolution: 2 C O and the filter's size for each convolution output. */
    p->flop = 2.0 * (double)p->spec.out_channels * (double)p->e.conv_height * (double)p->e.conv_width *
              (double)p->spec.in_channels * (double)p->e.filter;
    verify_layer(p);
}

void release_problem(problem *p) {
    for (entry *e = p->entries; e < p->entries + p->count; e++) {
        convpool_layer_destroy(e->layer);
        convpool_network_destroy(e->network);
        for (size_t i = 0; i < e->ring_count; i++)
            convpool_layer_destroy(e->ring[i]);
        free(e->ring);
        if (e->peer != NULL) e->peer->library->destroy(e->peer_state);
    }
    release(p->scratch);
    release(p->input);
    release(p->weights);
    release(p->bias);
    release(p->output);
}
