/* SPDX-License-Identifier: MIT */
/* convpool-bench: times every supported kernel, after it has been verified, beside the peak of its ISA. */
#define _GNU_SOURCE
#include "bench.h"

#include "crew.h"
#include "report.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const default_layers[] = {
    SEED_LAYER,     "1x53x53:16",     "3x225x225:32",  "8x40x40:16",  "32x13x13:64",
    "64x57x57:64",  "64x113x113:128", "128x29x29:256", "512x9x9:512", "16x5x2001:32", /* very wide */
    "16x2001x5:32",                                                                   /* very tall */
};

static const char *const default_networks[] = {NETWORKS};

bench_options options = {.min_time = 0.1, .tolerance = "5"};

void fail(const char *message, const char *detail) {
    fprintf(stderr, "convpool-bench: %s%s\n", message, detail);
    exit(EXIT_FAILURE);
}

bool wanted(const convpool_kernel_info *info) {
    const char *name = options.kernel;
    if (options.peers_isa != NULL && strcmp(options.peers_isa, info->isa) != 0) return false;
    return info->supported && (name == NULL || *name == 0 || strcmp(name, info->isa) == 0 ||
                               strcmp(name, info->algorithm) == 0 || strcmp(name, info->name) == 0);
}

/* The peers read the environment when they start, so for each ISA this program runs again, as compare_at(). */
static void run_peers(int argc, char **argv) {
    options.peers_json = tmpfile();
    if (options.peers_json == NULL) fail("cannot make a temporary file", "");
    const char *isa = "";
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        if (!wanted(&info) || strcmp(info.isa, isa) == 0 || !peers_have(info.isa)) continue;
        isa = info.isa;
        fflush(stdout);
        if (!peers_run_again(isa, argc, argv, fileno(options.peers_json))) fail("no comparison with peers at ", isa);
    }
    if (*isa == 0) fail("--peers: none can be held to the instruction set of a kernel that is wanted", "");
    printf(
        "\nours is: how many times as fast as that the fastest kernel above is, the median of all rounds.\n"
        "Peers run on one thread, held to the instruction set but for XNNPACK, which chooses. Their weights are "
        "packed\n"
        "beforehand, and so is the input, but where NCHW goes in and out, as it does with the kernels. Of the ways to\n"
        "set a peer up that the bench knows, the fastest is taken, and named last.\n");
}

/* Whether a layer of this shape can be made: asked of a kernel by name, as CONVPOOL_KERNEL may hold anything. */
static bool fits(const convpool_layer_spec *shape) {
    convpool_layer_spec spec = *shape;
    convpool_kernel_info info;
    bool some = false;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++) {
        spec.kernel = info.name;
        some |= info.supported && convpool_layer_memory_size(&spec) != 0;
    }
    return some;
}

static problem *add_problem(const char *shape) {
    problem *p = calloc(1, sizeof *p), **last = &options.problems;
    if (p == NULL) fail("out of memory", "");
    p->shape = shape;
    while (*last != NULL)
        last = &(*last)->next;
    return *last = p;
}

static void add_layer(const char *shape) {
    problem *p = add_problem(shape);
    if (!parse_layer(shape, &p->spec)) fail("not a layer in the form " LAYER_FORM ": ", shape);
    if (!fits(&p->spec)) fail("not a layer that can be run: ", shape);
    p->e = extents_of(&p->spec);
}

/* Named as its file is, without folders and ".txt". */
static void add_network(const char *path) {
    const char *name = path;
    for (const char *c = path; *c != 0; c++)
        if (*c == '/' || *c == '\\') name = c + 1;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".txt") == 0) length -= 4;
    char *copy = calloc(length + 1, 1), error[NETWORK_ERROR];
    if (copy == NULL) fail("out of memory", "");
    memcpy(copy, name, length);
    if (!read_network(path, &add_problem(copy)->network, error)) fail("not a network's file: ", error);
}

static const char usage[] =
    "usage: convpool-bench [--kernel NAME] [--shape LAYER]... [--network FILE]... [--json FILE]\n"
    "                      [--report FILE] [--min-time MS] [--denormal] [--peers | --threads N]\n"
    "       convpool-bench --compare A.json B.json [--tolerance PERCENT]\n"
    "Verifies and times fused layers (convolution, bias, activation, 2x2 max-pooling) and whole\n"
    "networks, on one thread.\n"
    "  --kernel NAME     only this ISA (avx2), algorithm (direct) or kernel (avx2-direct); else what\n"
    "                    CONVPOOL_KERNEL in the environment names, if anything; of networks, its ISA\n"
    "  --shape LAYER     this layer (may be repeated) in place of the usual list\n"
    "  --network FILE    this network (may be repeated) in place of those in bench/networks\n"
    "  --json FILE       write the results to FILE as well; -: to stdout, and all else to stderr\n"
    "  --report FILE     write a page of HTML that shows them; needs Python\n"
    "  --min-time MS     sample each kernel and layer for at least so long (default 100)\n"
    "  --denormal        inputs and results that are denormal numbers, in place of ordinary ones\n"
    "  --peers           then compare with other libraries, one thread and one ISA each\n"
    "  --threads N       time the automatic choice alone, one image split among 1, 2, ... N threads\n"
    "  --compare A B     what these two JSON files say differs, B over A, row by row; exit status 1\n"
    "                    where something got slower by more than PERCENT (5); needs Python\n" LAYER_HELP NETWORK_HELP;

/* "avx2:3": with the peers of this ISA, whose JSON goes to this file descriptor. */
static void be_peers_process(char *argument) {
    char *colon = strchr(argument, ':');
    if (colon == NULL || (options.peers_json = fdopen(atoi(colon + 1), "a")) == NULL)
        fail("--peers takes no argument: ", argument);
    *colon = 0;
    options.peers_isa = argument;
}

/* Takes the kernel that is asked for. The library says best what is wrong with a name, and for one in the environment
 * it does so itself. */
static void check_kernel(void) {
    static const float weights[4];
    convpool_layer_spec spec = {.in_channels = 1, .in_height = 3, .in_width = 3, .out_channels = 1};
    convpool_layer *layer;
    spec.kernel = options.kernel;
    convpool_status status = convpool_layer_create(&spec, weights, NULL, &layer);
    convpool_layer_destroy(layer);
    if (status == CONVPOOL_OK) {
        if (options.kernel == NULL) options.kernel = getenv("CONVPOOL_KERNEL");
        return;
    }
    if (options.kernel != NULL) {
        fprintf(stderr, "convpool-bench: --kernel %s: %s; supported here:", options.kernel,
                convpool_status_string(status));
        convpool_kernel_info info;
        for (size_t k = 0; convpool_kernel_get(k, &info); k++)
            if (info.supported) fprintf(stderr, " %s", info.name);
        fprintf(stderr, "\n");
    }
    exit(2);
}

/* Whether it is a layer as the peers compute them: a 2x2 filter over the image alone, in planes, pooled. */
static bool is_first_kind(const problem *p) {
    return p->e.filter_height == 2 && p->e.filter_width == 2 && p->e.stride_height == 1 && p->e.stride_width == 1 &&
           p->e.padded_height == p->spec.in_height && p->e.padded_width == p->spec.in_width &&
           p->spec.pool == CONVPOOL_POOL_MAX_2X2 && p->spec.input_layout == CONVPOOL_IMAGE_CHW;
}

static void complete_options(void) {
    if (options.peers && options.threads > 0) fail("--peers and --threads do not go together", "");
    for (const problem *p = options.problems; p != NULL; p = p->next) {
        bool network = p->network.count > 0;
        if (options.peers && !network && !is_first_kind(p))
            fail("--peers takes pooled layers of 2x2 filters alone: ", p->shape);
        if (options.threads > 0 && network) fail("--threads splits the image of a layer, not of a network: ", p->shape);
    }
    bool given = options.problems != NULL;
    for (size_t i = 0; i < sizeof default_layers / sizeof *default_layers && !given; i++)
        add_layer(default_layers[i]);
    for (size_t i = 0; i < sizeof default_networks / sizeof *default_networks && !given && options.threads == 0; i++)
        add_network(default_networks[i]);
    check_kernel();
}

static double parse_milliseconds(const char *text) {
    char *end;
    double seconds = strtod(text, &end) * 1e-3;
    if (*end != 0 || end == text || !(seconds >= 0 && seconds <= 1e6)) fail("not a time in milliseconds: ", text);
    return seconds;
}

static size_t parse_threads(const char *text) {
    char *end;
    size_t threads = (size_t)strtoul(text, &end, 10);
    if (*end != 0 || end == text || threads < 1 || threads > 1024) fail("not a number of threads: ", text);
    return threads;
}

static void parse_options(int argc, char **argv) {
    static const struct option long_options[] = {{"kernel", required_argument, NULL, 'k'},
                                                 {"shape", required_argument, NULL, 's'},
                                                 {"network", required_argument, NULL, 'w'},
                                                 {"report", required_argument, NULL, 'r'},
                                                 {"compare", required_argument, NULL, 'c'},
                                                 {"tolerance", required_argument, NULL, 'o'},
                                                 {"json", required_argument, NULL, 'j'},
                                                 {"min-time", required_argument, NULL, 't'},
                                                 {"peers", optional_argument, NULL, 'p'},
                                                 {"threads", required_argument, NULL, 'n'},
                                                 {"denormal", no_argument, NULL, 'd'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 'k': options.kernel = optarg; break;
        case 's': add_layer(optarg); break;
        case 'w': add_network(optarg); break;
        case 'r': options.report = optarg; break;
        case 'c':
            if (optind >= argc) fail("--compare takes two files", "");
            options.compare[0] = optarg;
            options.compare[1] = argv[optind++];
            break;
        case 'o': options.tolerance = optarg; break;
        case 'j': options.json = optarg; break;
        case 't': options.min_time = parse_milliseconds(optarg); break;
        case 'n': options.threads = parse_threads(optarg); break;
        case 'p':
            if (!peers_built()) fail("--peers: built without them; configure with -Dpeers=enabled", "");
            options.peers = true;
            if (optarg != NULL) be_peers_process(optarg);
            break;
        case 'd': options.denormal = true; break;
        case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
    if (options.compare[0] == NULL) complete_options();
}

/* What this program is when peers_run_again() has run it. */
static int compare_at(const char *isa) {
    convpool_kernel_info best = {.supported = false};
    for (size_t k = 0; !best.supported; k++)
        convpool_kernel_get(k, &best);
    const char *wrong = peers_start(isa, strcmp(best.isa, isa) == 0);
    if (wrong != NULL) fail("peers: ", wrong);
    for (problem *p = options.problems; p != NULL; p = p->next) {
        if (p->network.count > 0) continue;
        prepare_problem(p);
        measure_problem(p);
        print_peers(p);
        release_problem(p);
    }
    write_peers_json(options.peers_json);
    return fclose(options.peers_json) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool json_is_stdout(void) { return strcmp(options.json, "-") == 0; }

/* Opened before anything is measured, so as to fail early; but what a file holds stays until there is something better.
 * Where it is stdout, what else is printed there goes to stderr from now on. */
static FILE *open_json(void) {
    FILE *json = NULL;
    if (!json_is_stdout())
        json = fopen(options.json, "a");
    else if ((json = fdopen(dup(STDOUT_FILENO), "w")) != NULL && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        json = NULL;
    if (json == NULL) fail("cannot write ", options.json);
    return json;
}

static void close_json(FILE *json) {
    if (!json_is_stdout() && (json = freopen(options.json, "w", json)) == NULL) fail("cannot write ", options.json);
    write_json(json);
    if (fclose(json) != 0) fail("cannot write ", options.json);
}

static void measure_all(int argc, char **argv) {
    for (problem *p = options.problems; p != NULL; p = p->next)
        if (strcmp(p->shape, SEED_LAYER) == 0) {
            measure_baseline();
            break;
        }
    /* Pinned: a sample that moves to another core measures the move. */
    if (!crew_start(options.threads > 0 ? options.threads : 1)) fail("cannot make threads", "");
    print_machine(stdout, BUILD_OPTIONS);
    for (problem *p = options.problems; p != NULL; p = p->next) {
        prepare_problem(p);
        measure_problem(p);
        print_problem(p);
        fflush(stdout);
        release_problem(p);
    }
    print_notes();
    if (options.peers) run_peers(argc, argv);
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    if (options.compare[0] != NULL) return compare_reports();
    if (options.peers_isa != NULL) return compare_at(options.peers_isa);
    FILE *json = options.json != NULL ? open_json() : NULL;
    if (options.report != NULL) check_report();
    measure_all(argc, argv);
    if (json != NULL) close_json(json);
    if (options.report != NULL) make_report();
    return EXIT_SUCCESS;
}
