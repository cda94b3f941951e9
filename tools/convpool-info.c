/* SPDX-License-Identifier: MIT */
/* convpool-info: what this build is, what this CPU can do, and which kernel a layer would get. */
#include "bits.h"
#include "dispatch.h"
#include "notation.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: convpool-info [--json] [--bits] [LAYER | FILE]...\n"
    "Lists the library's version and build, the CPU and its features, every kernel that is built in,\n"
    "what CONVPOOL_KERNEL says, and the kernel that each layer given would get, and each stage of the\n"
    "network in a file.\n" LAYER_HELP NETWORK_HELP
    "--bits   runs a fixed list of layers on every supported kernel and prints a hash of the results:\n"
    "         for one algorithm it is the same on all machines and kernels with fused multiply-add\n"
    "         (avx2, avx512, neon), and on all without (scalar, sse2, wasm128)\n";

typedef struct layer_report {
    const char *shape, *kernel, *error; /* error: NULL where a layer was made */
    size_t channels, height, width, memory, scratch;
} layer_report;

static layer_report report_layer(const char *shape, const convpool_layer_spec *spec) {
    layer_report report = {.shape = shape};
    report.memory = convpool_layer_memory_size(spec); /* 0 where the spec is refused, and then weights do not matter */
    convpool_shape s;
    size_t count = convpool_make_shape(spec, &s) == CONVPOOL_OK && report.memory != 0 ? s.depth * s.out_channels : 1;
    float *weights = calloc(count, sizeof *weights);
    convpool_layer *layer = NULL;
    convpool_status status =
        weights == NULL ? CONVPOOL_OUT_OF_MEMORY : convpool_layer_create(spec, weights, NULL, &layer);
    if (status != CONVPOOL_OK) {
        report.error = convpool_status_string(status);
    } else {
        convpool_layer_output_shape(layer, &report.channels, &report.height, &report.width);
        report.kernel = convpool_layer_kernel(layer);
        report.scratch = convpool_layer_scratch_size(layer);
    }
    convpool_layer_destroy(layer);
    free(weights);
    return report;
}

/* What kernel_bits() says, as text; "" where it was not asked for or the kernel cannot run. */
static const char *bits_text(const convpool_kernel_info *info, bool asked) {
    static char text[17];
    uint64_t hash;
    *text = 0;
    if (asked && info->supported && kernel_bits(info->name, &hash)) snprintf(text, sizeof text, "%016" PRIx64, hash);
    return text;
}

static void print_text(const char *environment, bool bits) {
    print_machine(stdout, BUILD_OPTIONS);
    printf("CONVPOOL_KERNEL  %s\n\nkernel             supported%s\n", environment == NULL ? "(not set)" : environment,
           bits ? "  bits" : "");
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        printf("%-18s %s%s%s%s\n", info.name, info.supported ? "yes" : "no: ", info.reason, bits ? "        " : "",
               bits_text(&info, bits));
}

static void print_layer_text(const layer_report *r, bool first) {
    if (first) printf("\nlayer              kernel             output          layer bytes  scratch bytes\n");
    char output[64];
    snprintf(output, sizeof output, "%zux%zux%zu", r->channels, r->height, r->width);
    if (r->error != NULL)
        printf("%-18s refused: %s\n", r->shape, r->error);
    else
        printf("%-18s %-18s %-14s %12zu %14zu\n", r->shape, r->kernel, output, r->memory, r->scratch);
}

static void print_json(const char *environment, bool bits) {
    printf("{\"schema\": 1, ");
    write_machine(stdout, BUILD_OPTIONS);
    printf(",\n \"convpool_kernel\": ");
    json_string(stdout, environment);
    printf(",\n \"kernels\": [");
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        printf("%s\n  {\"name\": \"%s\", \"isa\": \"%s\", \"algorithm\": \"%s\", \"supported\": %s, \"reason\": ",
               i ? "," : "", info.name, info.isa, info.algorithm, info.supported ? "true" : "false");
        json_string(stdout, info.reason);
        if (bits) printf(", \"bits\": \"%s\"", bits_text(&info, bits));
        printf("}");
    }
    printf("],\n \"layers\": [");
}

static void print_layer_json(const layer_report *r, bool first) {
    printf("%s\n  {\"shape\": \"%s\", \"kernel\": ", first ? "" : ",", r->shape);
    json_string(stdout, r->kernel);
    printf(", \"error\": ");
    json_string(stdout, r->error);
    if (r->error == NULL)
        printf(", \"output\": [%zu, %zu, %zu], \"memory_bytes\": %zu, \"scratch_bytes\": %zu", r->channels, r->height,
               r->width, r->memory, r->scratch);
    printf("}");
}

/* A network's stages, each with the kernel that it would get; false where it cannot be made. */
static bool print_network(const char *path, const network_file *file) {
    convpool_network *network;
    convpool_status status = convpool_network_create(file->stages, file->count, &network);
    if (status != CONVPOOL_OK) return printf("\n%s: refused: %s\n", path, convpool_status_string(status)), false;
    printf("\n%s: %zu bytes, and %zu of scratch\nstage              kernel             input\n", path,
           convpool_network_memory_size(file->stages, file->count), convpool_network_scratch_size(network));
    for (size_t i = 0; i < file->count; i++) {
        const convpool_layer_spec *s = &file->stages[i].spec;
        const char *kernel = convpool_layer_kernel(convpool_network_layer(network, i));
        printf("%-18s %-18s %zux%zux%zu\n", stage_word(file->stages[i].kind), *kernel ? kernel : "-", s->in_channels,
               s->in_height, s->in_width);
    }
    convpool_network_destroy(network);
    return true;
}

static bool print_network_json(const char *path, const network_file *file, bool first) {
    convpool_network *network;
    convpool_status status = convpool_network_create(file->stages, file->count, &network);
    printf("%s\n  {\"file\": ", first ? "" : ",");
    json_string(stdout, path);
    printf(", \"error\": ");
    json_string(stdout, status == CONVPOOL_OK ? NULL : convpool_status_string(status));
    printf(", \"memory_bytes\": %zu, \"scratch_bytes\": %zu, \"stages\": [",
           convpool_network_memory_size(file->stages, file->count), convpool_network_scratch_size(network));
    for (size_t i = 0; i < file->count; i++) {
        const convpool_layer_spec *s = &file->stages[i].spec;
        printf("%s\n   {\"kind\": \"%s\", \"kernel\": \"%s\", \"input\": [%zu, %zu, %zu]}", i ? "," : "",
               stage_word(file->stages[i].kind), convpool_layer_kernel(convpool_network_layer(network, i)),
               s->in_channels, s->in_height, s->in_width);
    }
    printf("]}");
    convpool_network_destroy(network);
    return status == CONVPOOL_OK;
}

/* Prints the layers among the arguments; false where one was refused. */
static bool print_layers(int argc, char **argv, bool json) {
    bool first = true, good = true;
    for (int i = 1; i < argc; i++) {
        convpool_layer_spec spec = {0};
        if (!parse_layer(argv[i], &spec)) continue;
        layer_report report = report_layer(argv[i], &spec);
        (json ? print_layer_json : print_layer_text)(&report, first);
        first = false;
        good &= report.error == NULL;
    }
    return good;
}

/* And the networks, of those files that are some. */
static bool print_networks(int argc, char **argv, const network_file *files, bool json) {
    bool first = true, good = true;
    for (int i = 1; i < argc; i++) {
        if (files[i].count == 0) continue;
        good &= json ? print_network_json(argv[i], &files[i], first) : print_network(argv[i], &files[i]);
        first = false;
    }
    return good;
}

int main(int argc, char **argv) {
    bool json = false, bits = false;
    network_file *files = calloc((size_t)argc + 1, sizeof *files);
    if (files == NULL) return EXIT_FAILURE;
    for (int i = 1; i < argc; i++) {
        convpool_layer_spec spec;
        char error[NETWORK_ERROR];
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--bits") == 0) {
            bits = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        } else if (!parse_layer(argv[i], &spec) && !read_network(argv[i], &files[i], error)) {
            fprintf(stderr,
                    "convpool-info: '%s' is neither a layer in the form " LAYER_FORM "\nnor a network's file: %s\n",
                    argv[i], error);
            return 2;
        }
    }
    const char *environment = getenv("CONVPOOL_KERNEL");
    (json ? print_json : print_text)(environment, bits);
    bool good = print_layers(argc, argv, json);
    if (json) printf("],\n \"networks\": [");
    good &= print_networks(argc, argv, files, json);
    if (json) printf("]}\n");
    for (int i = 0; i < argc; i++)
        free_network(&files[i]);
    free(files);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
