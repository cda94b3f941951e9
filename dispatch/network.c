/* SPDX-License-Identifier: MIT */
/* Stages, one after the other: check, make, run. Images between them are [height][width][channels]. */
#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

typedef struct image {
    size_t channels, height, width;
} image;

/* What a run does, one after the other: a stage, or an image turned to the other layout. */
typedef struct network_step {
    void (*run)(const struct network_step *step, const float *input, float *output, void *scratch);
    bool in_place; /* whether its output may be its input */
    size_t buffer; /* where its output lies, but the last one's */
    image out;
    convpool_layer *layer; /* of a stage that is one */
    const convpool_isa *isa;
    convpool_between between; /* of another */
} network_step;

struct convpool_network {
    image in, out;
    network_step *steps;
    size_t count, turned;       /* of steps; and of those before the first stage's */
    size_t buffers[2], scratch; /* bytes of the images between steps, by turns, and of a layer's scratch, at most */
    void *allocation;           /* to be freed; NULL where the memory is the caller's */
};

_Static_assert(63 + 64 + sizeof(struct convpool_network) + 2 * sizeof(network_step) + 64 <= 1024 &&
                   sizeof(network_step) + 2 * (sizeof(float) * CONVPOOL_REPEATED + 63) + 64 <= 640,
               "CONVPOOL_NETWORK_MEMORY_MAX() holds");

static size_t bytes_of(image i) { return convpool_tensor_bytes(i.channels, i.height, i.width); }
static bool is_flat(image i) { return i.channels == 1 || (i.height == 1 && i.width == 1); } /* the same in any layout */

/* A stage, checked. */
typedef struct checked {
    image in, out;
    convpool_layer_spec spec;
    convpool_shape shape;     /* of a layer */
    convpool_between between; /* of another */
    convpool_choice choice;
    size_t bytes; /* of the network's memory */
} checked;

static bool arguments_valid(const convpool_stage *s) {
    bool convolves = s->kind == CONVPOOL_STAGE_LAYER || s->kind == CONVPOOL_STAGE_DEPTHWISE;
    bool activates = convolves || s->kind == CONVPOOL_STAGE_ACTIVATION;
    bool known = (unsigned)s->kind <= CONVPOOL_STAGE_LOG_SOFTMAX || s->kind == CONVPOOL_STAGE_DEPTHWISE;
    return known && convpool_enums_valid(&s->spec) &&
           (s->weights != NULL || !(convolves || s->kind == CONVPOOL_STAGE_SCALE)) &&
           (s->spec.slopes != NULL || s->spec.activation != CONVPOOL_ACTIVATION_PRELU || !activates);
}

/* What comes in, where the spec agrees. `in` is what the stage before gives, all 0 for the first. */
static bool comes_in(const convpool_layer_spec *spec, image *in) {
    size_t *const known[] = {&in->channels, &in->height, &in->width};
    const size_t said[] = {spec->in_channels, spec->in_height, spec->in_width};
    bool first = in->channels == 0;
    for (size_t i = 0; i < 3; i++) {
        if (first) *known[i] = said[i];
        if (*known[i] == 0 || (said[i] != 0 && said[i] != *known[i])) return false;
    }
    return convpool_fits(bytes_of(*in));
}

/* Whether a stage takes an image as one pixel, whose channels are all its numbers. */
static bool takes_numbers(const convpool_stage *s, image in) {
    bool may = s->kind == CONVPOOL_STAGE_SCALE || s->kind == CONVPOOL_STAGE_ACTIVATION;
    return may && in.channels > 0 && s->spec.in_channels == in.channels * in.height * in.width &&
           s->spec.in_height == 1 && s->spec.in_width == 1;
}

/* In one dimension, how many windows fit; 0 where none does, sizes overflow or one of a pool is in padding alone. */
static size_t windows(bool pools, size_t extent, size_t window, size_t stride, size_t before, size_t after) {
    size_t most = PTRDIFF_MAX / 4;
    if (before > most || after > most || extent > most || window > before + extent + after) return 0;
    size_t count = (before + extent + after - window) / stride + 1;
    return pools && (window <= before || (count - 1) * stride >= before + extent) ? 0 : count;
}

/* The windows of a pool or a depthwise convolution. */
static bool windows_fit(const convpool_layer_spec *spec, bool pools, convpool_between *b) {
    b->window_height = spec->filter_height ? spec->filter_height : 2;
    b->window_width = spec->filter_width ? spec->filter_width : 2;
    b->stride_height = spec->stride_height ? spec->stride_height : pools ? b->window_height : 1;
    b->stride_width = spec->stride_width ? spec->stride_width : pools ? b->window_width : 1;
    b->pad_top = spec->pad_top, b->pad_left = spec->pad_left;
    b->out_height = windows(pools, b->height, b->window_height, b->stride_height, b->pad_top, spec->pad_bottom);
    b->out_width = windows(pools, b->width, b->window_width, b->stride_width, b->pad_left, spec->pad_right);
    return b->out_height > 0 && b->out_width > 0;
}

/* How many numbers of one kind each channel has: weights, bias and slopes, or what else stands there. */
static size_t of_channel(const convpool_between *b, size_t kind) {
    bool filter = b->kind == CONVPOOL_STAGE_DEPTHWISE && kind == 0;
    return filter ? b->window_height * b->window_width : 1;
}

/* The bytes of these, repeated. */
static size_t repeated_bytes(const convpool_between *b, size_t kind) {
    return convpool_align_up(convpool_tensor_bytes(b->channels + CONVPOOL_REPEATED, of_channel(b, kind), 1));
}

/* Whether it is kept: given, or a depthwise convolution's bias, zeros. */
static bool is_kept(const convpool_between *b, size_t kind) {
    return b->per_channel[kind] != NULL || (b->kind == CONVPOOL_STAGE_DEPTHWISE && kind == 1);
}

/* Whether its weights and strides do not overflow. */
static bool depthwise_fits(const convpool_between *b) {
    size_t weights = convpool_tensor_bytes(b->channels + CONVPOOL_REPEATED, b->window_height, b->window_width);
    size_t right = convpool_tensor_bytes(b->channels, b->stride_width, 1);
    size_t down = convpool_tensor_bytes(b->channels, b->width, b->stride_height);
    return convpool_fits(weights) && weights <= PTRDIFF_MAX / 4 && convpool_fits(right) && convpool_fits(down);
}

/* The shape of a stage that is no layer, what it reads of each channel, and its ISA. */
static convpool_status check_between(const convpool_stage *stage, checked *c) {
    const convpool_layer_spec *spec = &c->spec;
    convpool_between b = {.kind = stage->kind,
                          .channels = c->in.channels,
                          .height = c->in.height,
                          .width = c->in.width,
                          .out_height = c->in.height,
                          .out_width = c->in.width,
                          .activation = spec->activation,
                          .parameter = spec->activation_parameter};
    bool softmax = b.kind == CONVPOOL_STAGE_SOFTMAX || b.kind == CONVPOOL_STAGE_LOG_SOFTMAX;
    if (softmax && (b.height > 1 || b.width > 1)) return CONVPOOL_INVALID_SHAPE;
    if (b.kind == CONVPOOL_STAGE_GLOBAL_MAX || b.kind == CONVPOOL_STAGE_GLOBAL_AVERAGE) {
        b.window_height = b.stride_height = b.height, b.window_width = b.stride_width = b.width;
        b.out_height = b.out_width = 1;
    }
    bool pools = b.kind == CONVPOOL_STAGE_MAX_POOL || b.kind == CONVPOOL_STAGE_AVERAGE_POOL;
    bool depthwise = b.kind == CONVPOOL_STAGE_DEPTHWISE;
    if ((pools || depthwise) && !windows_fit(spec, pools, &b)) return CONVPOOL_INVALID_SHAPE;
    if (depthwise && !depthwise_fits(&b)) return CONVPOOL_INVALID_SHAPE;
    if (depthwise || b.kind == CONVPOOL_STAGE_SCALE) b.per_channel[0] = stage->weights, b.per_channel[1] = stage->bias;
    if ((depthwise || b.kind == CONVPOOL_STAGE_ACTIVATION) && b.activation == CONVPOOL_ACTIVATION_PRELU)
        b.per_channel[depthwise ? 2 : 0] = spec->slopes;
    c->between = b;
    c->out = (image){b.channels, b.out_height, b.out_width};
    for (size_t kind = 0; kind < 3; kind++)
        if (is_kept(&b, kind)) c->bytes += repeated_bytes(&b, kind);
    return convpool_resolve(spec->kernel, NULL, &c->choice);
}

static convpool_status check_layer(checked *c) {
    convpool_status status = convpool_prepare(&c->spec, &c->shape, &c->choice);
    if (status != CONVPOOL_OK) return status;
    c->out = (image){c->shape.out_channels, c->shape.out_height, c->shape.out_width};
    c->bytes = convpool_align_up(convpool_layer_bytes(&c->shape, c->choice.kernel));
    return CONVPOOL_OK;
}

/* Checks stage i. `c` holds the stage before it, or zeros, and then this one. */
static convpool_status check_stage(const convpool_stage *stages, size_t count, size_t i, checked *c) {
    const convpool_stage *stage = &stages[i];
    if (!arguments_valid(stage)) return CONVPOOL_INVALID_ARGUMENT;
    image before = c->out;
    *c = (checked){.in = before, .spec = stage->spec};
    bool numbers = takes_numbers(stage, before);
    if (numbers)
        c->in = (image){before.channels * before.height * before.width, 1, 1};
    else if (!comes_in(&stage->spec, &c->in))
        return CONVPOOL_INVALID_SHAPE;
    if (stage->kind != CONVPOOL_STAGE_LAYER) {
        convpool_status status = check_between(stage, c);
        if (numbers) c->out = before;
        return status;
    }
    c->spec.in_channels = c->in.channels, c->spec.in_height = c->in.height, c->spec.in_width = c->in.width;
    if (i > 0) c->spec.input_layout = CONVPOOL_IMAGE_HWC;
    if (i + 1 < count) c->spec.output_layout = CONVPOOL_IMAGE_HWC;
    return check_layer(c);
}

/* Checks all stages; *bytes is what the network needs, at any alignment. */
static convpool_status check(const convpool_stage *stages, size_t count, size_t *bytes) {
    if (stages == NULL || count == 0) return CONVPOOL_INVALID_ARGUMENT;
    if (count > PTRDIFF_MAX / sizeof *stages) return CONVPOOL_INVALID_SHAPE;
    checked c = {.bytes = 0};
    size_t all = CONVPOOL_ALIGNMENT - 1 + convpool_align_up(sizeof(convpool_network));
    for (size_t i = 0; i < count; i++) {
        convpool_status status = check_stage(stages, count, i, &c);
        if (status != CONVPOOL_OK) return status;
        if (c.bytes > PTRDIFF_MAX - all || bytes_of(c.out) > PTRDIFF_MAX / 4) return CONVPOOL_INVALID_SHAPE;
        all += c.bytes;
    }
    size_t steps = convpool_align_up((count + 2) * sizeof(network_step)); /* the image may be turned at either end */
    if (steps > PTRDIFF_MAX - all) return CONVPOOL_INVALID_SHAPE;
    *bytes = all + steps;
    return CONVPOOL_OK;
}

/* Whether memory overlaps what the stages are and point to. */
static bool overlaps(const convpool_stage *stages, size_t count, const void *memory, size_t bytes) {
    if (convpool_overlap(memory, bytes, stages, count * sizeof *stages)) return true;
    checked c = {.bytes = 0};
    for (size_t i = 0; i < count; i++) {
        if (check_stage(stages, count, i, &c) != CONVPOOL_OK) return true; /* never */
        const char *name = stages[i].spec.kernel;
        if (name != NULL && convpool_overlap(memory, bytes, name, strlen(name) + 1)) return true;
        if (stages[i].kind == CONVPOOL_STAGE_LAYER) {
            if (convpool_layer_overlaps(&c.shape, stages[i].weights, stages[i].bias, memory, bytes)) return true;
            continue;
        }
        for (size_t kind = 0; kind < 3; kind++) {
            const float *from = c.between.per_channel[kind];
            size_t read = convpool_tensor_bytes(c.in.channels, of_channel(&c.between, kind), 1);
            if (from != NULL && convpool_overlap(memory, bytes, from, read)) return true;
        }
    }
    return false;
}

static void run_layer(const network_step *s, const float *input, float *output, void *scratch) {
    convpool_layer_run(s->layer, input, output, scratch);
}

static void run_between(const network_step *s, const float *input, float *output, void *scratch) {
    (void)scratch;
    s->isa->between(&s->between, input, output);
}

/* [rows][columns] to [columns][rows]. */
static void transpose(const float *input, size_t rows, size_t columns, float *output) {
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            output[column * rows + row] = input[row * columns + column];
}

static void run_to_hwc(const network_step *s, const float *input, float *output, void *scratch) {
    (void)scratch;
    transpose(input, s->out.channels, s->out.height * s->out.width, output);
}

static void run_to_chw(const network_step *s, const float *input, float *output, void *scratch) {
    (void)scratch;
    transpose(input, s->out.height * s->out.width, s->out.channels, output);
}

/* Copies what each channel has, in order and again; of a NULL zeros. */
static float *repeat(const float *from, size_t channels, float *to) {
    for (size_t i = 0; i < channels + CONVPOOL_REPEATED; i++)
        to[i] = from ? from[i % channels] : 0;
    return to;
}

/* The same of a depthwise convolution's filters, [position][channel]; and its bias, +0 for -0. */
static float *repeat_filters(const convpool_layer_spec *spec, const convpool_between *b, float *to) {
    size_t count = of_channel(b, 0), channels = b->channels, repeated = channels + CONVPOOL_REPEATED;
    bool hwio = spec->weights_layout == CONVPOOL_WEIGHTS_HWIO, flip = spec->filter == CONVPOOL_CONVOLUTION;
    for (size_t n = 0; n < count * repeated; n++) {
        size_t c = n % repeated % channels, at = flip ? count - 1 - n / repeated : n / repeated;
        to[n] = b->per_channel[0][hwio ? at * channels + c : c * count + at];
    }
    return to;
}
static float *repeat_bias(const float *from, size_t channels, float *to) {
    repeat(from, channels, to);
    for (size_t i = 0; i < channels + CONVPOOL_REPEATED; i++)
        to[i] += 0.0f;
    return to;
}

/* The step of a stage, which takes its part of *memory. */
static network_step make_step(const convpool_stage *stage, const checked *c, char **memory) {
    network_step s = {.out = c->out, .isa = c->choice.isa};
    char *own = *memory;
    *memory += c->bytes;
    if (stage->kind == CONVPOOL_STAGE_LAYER) {
        s.run = run_layer;
        convpool_layer_create_in(&c->spec, stage->weights, stage->bias, own, c->bytes, &s.layer); /* as checked */
        return s;
    }
    s.run = run_between;
    s.between = c->between;
    s.in_place = c->between.window_height == 0; /* but for pools */
    for (size_t kind = 0; kind < 3; kind++) {
        if (!is_kept(&c->between, kind)) continue;
        const float *from = c->between.per_channel[kind];
        bool depthwise = stage->kind == CONVPOOL_STAGE_DEPTHWISE;
        float *to = (float *)(void *)own;
        s.between.per_channel[kind] = depthwise && kind == 0   ? repeat_filters(&c->spec, &c->between, to)
                                      : depthwise && kind == 1 ? repeat_bias(from, c->in.channels, to)
                                                               : repeat(from, c->in.channels, to);
        own += repeated_bytes(&c->between, kind);
    }
    return s;
}

/* Adds a step: in place, or from the buffer of the one before to the other. */
static void add_step(convpool_network *n, network_step s) {
    size_t scratch = convpool_layer_scratch_size(s.layer);
    if (n->scratch < scratch) n->scratch = scratch;
    if (n->count > 0) {
        const network_step *before = &n->steps[n->count - 1];
        size_t bytes = convpool_align_up(bytes_of(before->out));
        if (n->buffers[before->buffer] < bytes) n->buffers[before->buffer] = bytes;
        s.buffer = s.in_place ? before->buffer : 1 - before->buffer;
    }
    n->steps[n->count++] = s;
}

static convpool_network *make(const convpool_stage *stages, size_t count, void *memory, void *allocation) {
    convpool_network *n = convpool_aligned(memory);
    char *next = (char *)n + convpool_align_up(sizeof *n);
    *n = (convpool_network){.steps = (void *)next, .allocation = allocation};
    next += convpool_align_up((count + 2) * sizeof(network_step));
    checked c = {.bytes = 0};
    for (size_t i = 0; i < count; i++) {
        if (check_stage(stages, count, i, &c) != CONVPOOL_OK) break; /* never */
        bool layer = stages[i].kind == CONVPOOL_STAGE_LAYER;
        if (i == 0) {
            n->in = c.in;
            n->turned = !layer && stages->spec.input_layout == CONVPOOL_IMAGE_CHW && !is_flat(c.in);
            if (n->turned) add_step(n, (network_step){.run = run_to_hwc, .out = c.in});
        }
        add_step(n, make_step(&stages[i], &c, &next));
        if (i + 1 < count || layer) continue;
        if (stages[i].spec.output_layout == CONVPOOL_IMAGE_CHW && !is_flat(c.out))
            add_step(n, (network_step){.run = run_to_chw, .out = c.out});
    }
    n->out = c.out;
    return n;
}

size_t convpool_network_memory_size(const convpool_stage *stages, size_t stage_count) {
    size_t bytes;
    return check(stages, stage_count, &bytes) == CONVPOOL_OK ? bytes : 0;
}

convpool_status convpool_network_create(const convpool_stage *stages, size_t stage_count, convpool_network **network) {
    if (network == NULL) return CONVPOOL_INVALID_ARGUMENT;
    *network = NULL;
    size_t bytes;
    convpool_status status = check(stages, stage_count, &bytes);
    if (status != CONVPOOL_OK) return status;
    void *memory = malloc(bytes);
    if (memory == NULL) return CONVPOOL_OUT_OF_MEMORY;
    *network = make(stages, stage_count, memory, memory);
    return CONVPOOL_OK;
}

convpool_status convpool_network_create_in(const convpool_stage *stages, size_t stage_count, void *memory,
                                           size_t memory_size, convpool_network **network) {
    if (network == NULL) return CONVPOOL_INVALID_ARGUMENT;
    *network = NULL;
    if (memory == NULL) return CONVPOOL_INVALID_ARGUMENT;
    size_t bytes;
    convpool_status status = check(stages, stage_count, &bytes);
    if (status != CONVPOOL_OK) return status;
    if (memory_size < bytes) return CONVPOOL_OUT_OF_MEMORY;
    if (overlaps(stages, stage_count, memory, bytes)) return CONVPOOL_INVALID_ARGUMENT;
    *network = make(stages, stage_count, memory, NULL);
    return CONVPOOL_OK;
}

void convpool_network_destroy(convpool_network *network) {
    if (network != NULL) free(network->allocation);
}

static void store(image i, size_t *channels, size_t *height, size_t *width) {
    if (channels != NULL) *channels = i.channels;
    if (height != NULL) *height = i.height;
    if (width != NULL) *width = i.width;
}

void convpool_network_input_shape(const convpool_network *network, size_t *channels, size_t *height, size_t *width) {
    if (network != NULL) store(network->in, channels, height, width);
}

void convpool_network_output_shape(const convpool_network *network, size_t *channels, size_t *height, size_t *width) {
    if (network != NULL) store(network->out, channels, height, width);
}

void convpool_network_stage_shape(const convpool_network *network, size_t stage, size_t *channels, size_t *height,
                                  size_t *width) {
    if (network != NULL && stage < network->count - network->turned)
        store(network->steps[network->turned + stage].out, channels, height, width);
}

size_t convpool_network_scratch_size(const convpool_network *network) {
    if (network == NULL) return 0;
    size_t bytes = network->buffers[0] + network->buffers[1] + network->scratch;
    return bytes == 0 ? 0 : bytes + CONVPOOL_ALIGNMENT - 1;
}

convpool_status convpool_network_run(const convpool_network *network, const float *input, float *output,
                                     void *scratch) {
    if (network == NULL || input == NULL || output == NULL) return CONVPOOL_INVALID_ARGUMENT;
    const convpool_network *n = network;
    size_t scratch_bytes = convpool_network_scratch_size(n), read = bytes_of(n->in), written = bytes_of(n->out);
    if ((scratch == NULL && scratch_bytes > 0) || convpool_overlap(input, read, output, written) ||
        convpool_overlap(input, read, scratch, scratch_bytes) ||
        convpool_overlap(output, written, scratch, scratch_bytes))
        return CONVPOOL_INVALID_ARGUMENT;
    char none, *buffers[2] = {scratch_bytes == 0 ? &none : convpool_aligned(scratch), &none};
    buffers[1] = buffers[0] + n->buffers[0];
    void *of_layers = buffers[1] + n->buffers[1];
    for (size_t i = 0; i < n->count; i++) {
        const network_step *s = &n->steps[i];
        float *to = i + 1 < n->count ? (float *)(void *)buffers[s->buffer] : output;
        s->run(s, input, to, of_layers);
        input = to;
    }
    return CONVPOOL_OK;
}

const convpool_layer *convpool_network_layer(const convpool_network *network, size_t stage) {
    if (network == NULL || stage >= network->count - network->turned) return NULL;
    return network->steps[network->turned + stage].layer;
}
