/* SPDX-License-Identifier: MIT */
/* convpool-info: what this build is, what this CPU can do, and which kernel a layer would get. */
#include "bits.h"
#include "dispatch.h"
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: convpool-info [--json] [--bits] [LAYER]...\n"
    "Lists the library's version and build, the CPU's features, every kernel that is built in,\n"
    "what CONVPOOL_KERNEL says, and the kernel that each layer given would get.\n" LAYER_HELP
    "--bits   runs a fixed list of layers on every supported kernel and prints a hash of the results:\n"
    "         for one algorithm it is the same on all machines and kernels with fused multiply-add\n"
    "         (avx2, avx512, neon), and on all without (scalar, sse2)\n";

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

static void print_text(const char *cpu, const char *features, const char *environment, bool bits) {
    printf("convpool %s\ncompiler         %s\noptions          %s\nCPU              %s\nfeatures         %s\n",
           convpool_version(), compiler_name(), BUILD_OPTIONS, cpu, *features ? features : "(none to detect)");
    printf("CONVPOOL_KERNEL  %s\n\nkernel            supported%s\n", environment == NULL ? "(not set)" : environment,
           bits ? "  bits" : "");
    convpool_kernel_info info;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++)
        printf("%-17s %s%s%s%s\n", info.name, info.supported ? "yes" : "no: ", info.reason, bits ? "        " : "",
               bits_text(&info, bits));
}

static void print_layer_text(const layer_report *r, bool first) {
    if (first) printf("\nlayer             kernel            output          layer bytes  scratch bytes\n");
    char output[64];
    snprintf(output, sizeof output, "%zux%zux%zu", r->channels, r->height, r->width);
    if (r->error != NULL)
        printf("%-17s refused: %s\n", r->shape, r->error);
    else
        printf("%-17s %-17s %-14s %12zu %14zu\n", r->shape, r->kernel, output, r->memory, r->scratch);
}

static void print_json(const char *cpu, const char *features, const char *environment, bool bits) {
    printf("{\"schema\": 1, \"version\": \"%s\", \"compiler\": ", convpool_version());
    json_string(stdout, compiler_name());
    printf(", \"options\": ");
    json_string(stdout, BUILD_OPTIONS);
    printf(",\n \"cpu\": ");
    json_string(stdout, cpu);
    printf(", \"features\": [");
    for (const char *name = features; *name != 0;) {
        size_t length = strcspn(name, " ");
        printf("%s\"%.*s\"", name == features ? "" : ", ", (int)length, name);
        name += length + (name[length] == ' ');
    }
    printf("],\n \"convpool_kernel\": ");
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

int main(int argc, char **argv) {
    bool json = false, bits = false, refused = false, first = true;
    for (int i = 1; i < argc; i++) {
        convpool_layer_spec spec;
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--bits") == 0) {
            bits = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        } else if (!parse_layer(argv[i], &spec)) {
            fprintf(stderr, "convpool-info: '%s' is not a layer in the form " LAYER_FORM "\n%s", argv[i], usage);
            return 2;
        }
    }
    char cpu[64], features[128];
    const char *environment = getenv("CONVPOOL_KERNEL");
    convpool_cpu_name(cpu, sizeof cpu);
    convpool_cpu_feature_names(convpool_cpu_features(), features, sizeof features);
    (json ? print_json : print_text)(cpu, features, environment, bits);
    for (int i = 1; i < argc; i++) {
        convpool_layer_spec spec = {0};
        if (!parse_layer(argv[i], &spec)) continue;
        layer_report report = report_layer(argv[i], &spec);
        (json ? print_layer_json : print_layer_text)(&report, first);
        first = false;
        refused |= report.error != NULL;
    }
    if (json) printf("]}\n");
    return refused ? EXIT_FAILURE : EXIT_SUCCESS;
}
