/* SPDX-License-Identifier: MIT */
/*
 * oneDNN: a convolution, then a pooling. ReLU is a post-op of either, as it commutes with the maximum; or bias, pooling
 * and ReLU are done by hand, as oneDNN's pooling for AVX2 is slow on some CPUs.
 */
#include "library.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKED, NHWC, NCHW };                                                        /* layouts */
static const dnnl_format_tag_t tags[] = {dnnl_format_tag_any, dnnl_nhwc, dnnl_nchw}; /* of the convolution's tensors */
static const char *const tag_names[] = {"its own layout", "NHWC", "NCHW"};
enum { RELU_FIRST, RELU_LAST, BY_HAND, HOWS };

static dnnl_engine_t engine;
static dnnl_stream_t stream;

typedef struct stage {
    dnnl_primitive_t primitive; /* NULL: the pooling by hand, from args[0] to args[1] */
    dnnl_exec_arg_t args[4];
    int count;
} stage;

typedef struct state {
    const peer_layer *layer;
    float *bias;     /* with room for a whole last block */
    stage stages[4]; /* reorder, convolution, pooling, reorder */
    int count;
    dnnl_memory_t memories[8], output; /* all; the last stage's */
    int held;
} state;

static void version(char *text) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, PEER_NAME, "%d.%d.%d", v->major, v->minor, v->patch);
}

static const char *runs(void) {
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success)
        return "no engine";
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "SSE41";
    case dnnl_cpu_isa_avx2: return "AVX2";
    case dnnl_cpu_isa_avx512_core: return "AVX512_CORE";
    default: return "another";
    }
}

/* Memory of its own where data is NULL. */
static dnnl_memory_t hold(state *s, const dnnl_memory_desc_t *desc, const void *data) {
    dnnl_memory_t memory = NULL;
    void *handle = data == NULL ? DNNL_MEMORY_ALLOCATE : (void *)(uintptr_t)data;
    if (dnnl_memory_create(&memory, desc, engine, handle) != dnnl_success) return NULL;
    return s->memories[s->held++] = memory;
}

static void *data(dnnl_memory_t memory) {
    void *handle = NULL;
    dnnl_memory_get_data_handle(memory, &handle);
    return handle;
}

static const dnnl_memory_desc_t *desc_of(dnnl_memory_t memory) {
    const dnnl_memory_desc_t *desc = NULL;
    dnnl_memory_get_memory_desc(memory, &desc);
    return desc;
}

static void describe_image(dnnl_memory_desc_t *desc, size_t channels, size_t height, size_t width,
                           dnnl_format_tag_t tag) {
    const dnnl_dims_t dims = {1, (dnnl_dim_t)channels, (dnnl_dim_t)height, (dnnl_dim_t)width};
    dnnl_memory_desc_init_by_tag(desc, 4, dims, dnnl_f32, tag);
}

/* The layout of the convolution's output, if it can be pooled by hand; else dnnl_format_tag_any. */
static dnnl_format_tag_t tag_of(const peer_layer *l, const dnnl_memory_desc_t *desc) {
    static const dnnl_format_tag_t known[] = {dnnl_nhwc, dnnl_nchw, dnnl_nChw8c, dnnl_nChw16c};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        dnnl_memory_desc_t other;
        describe_image(&other, l->outputs, l->height - 1, l->width - 1, known[i]);
        if (dnnl_memory_desc_equal(&other, desc)) return known[i];
    }
    return dnnl_format_tag_any;
}

static void pool_by_hand(const state *s, const stage *t) {
    const peer_layer *l = s->layer;
    const dnnl_blocking_desc_t *from = &desc_of(t->args[0].memory)->format_desc.blocking,
                               *to = &desc_of(t->args[1].memory)->format_desc.blocking;
    const float *in = data(t->args[0].memory);
    float *out = data(t->args[1].memory);
    if (from->strides[3] == 1) { /* NCHW; with one channel NHWC, which is the same then */
        for (size_t o = 0; o < l->outputs; o++, in += from->strides[1], out += to->strides[1])
            peer_pooling.plane(in, (size_t)from->strides[2], l->out_height, l->out_width, s->bias[o], out);
        return;
    }
    const size_t block = from->inner_nblks == 1 ? (size_t)from->inner_blks[0] : l->outputs;
    for (size_t o = 0; o < l->outputs; o += block, in += from->strides[1], out += to->strides[1])
        for (size_t p = 0; p < l->out_height; p++) {
            const float *row = in + 2 * p * (size_t)from->strides[2];
            peer_pooling.pixels(row, row + from->strides[2], (size_t)from->strides[3], block, l->out_width, s->bias + o,
                                out + p * (size_t)to->strides[2], (size_t)to->strides[3]);
        }
}

static void execute(const state *s, const stage *t) {
    if (t->primitive != NULL)
        dnnl_primitive_execute(t->primitive, stream, t->count, t->args);
    else
        pool_by_hand(s, t);
}

static bool reorder(stage *t, dnnl_memory_t from, dnnl_memory_t to) {
    dnnl_primitive_desc_t pd = NULL;
    *t = (stage){.args = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, .count = 2};
    bool made =
        dnnl_reorder_primitive_desc_create(&pd, desc_of(from), engine, desc_of(to), engine, NULL) == dnnl_success &&
        dnnl_primitive_create(&t->primitive, pd) == dnnl_success;
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    return made;
}

static bool reorder_now(dnnl_memory_t from, dnnl_memory_t to) {
    stage t;
    bool made = reorder(&t, from, to);
    if (made) dnnl_primitive_execute(t.primitive, stream, t.count, t.args);
    dnnl_stream_wait(stream);
    if (t.primitive != NULL) dnnl_primitive_destroy(t.primitive);
    return made;
}

/* The memory itself where it is as `desc` says; else one that is, filled now or by a stage at every run. */
static dnnl_memory_t arranged(state *s, dnnl_memory_t memory, const dnnl_memory_desc_t *desc, bool at_every_run) {
    if (memory == NULL || dnnl_memory_desc_equal(desc_of(memory), desc)) return memory;
    dnnl_memory_t other = hold(s, desc, NULL);
    if (other == NULL) return NULL;
    bool made = at_every_run ? reorder(&s->stages[s->count++], memory, other) : reorder_now(memory, other);
    return made ? other : NULL;
}

static dnnl_primitive_desc_t describe(const void *op, bool relu) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    if (dnnl_primitive_attr_create(&attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
        (!relu || dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0) == dnnl_success) &&
        dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success)
        dnnl_primitive_desc_create(&pd, op, attr, engine, NULL);
    dnnl_post_ops_destroy(ops);
    dnnl_primitive_attr_destroy(attr);
    return pd;
}

static const dnnl_memory_desc_t *wants(dnnl_primitive_desc_t pd, dnnl_query_t what) {
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

static const char *implementation(dnnl_primitive_desc_t pd) {
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return name;
}

static bool build(state *s, int tag, bool nchw, int how, dnnl_primitive_desc_t pds[2]) {
    const peer_layer *l = s->layer;
    const dnnl_dim_t C = (dnnl_dim_t)l->channels, O = (dnnl_dim_t)l->outputs;
    const dnnl_dims_t weights_dims = {O, C, 2, 2}, bias_dims = {O}, one = {1, 1}, two = {2, 2}, none = {0, 0};
    dnnl_memory_desc_t input, weights, bias, src, any_weights, mid, pooled, output;
    describe_image(&input, l->channels, l->height, l->width, dnnl_nchw);
    describe_image(&output, l->outputs, l->out_height, l->out_width, dnnl_nchw);
    describe_image(&src, l->channels, l->height, l->width, tags[tag]);
    describe_image(&mid, l->outputs, l->height - 1, l->width - 1, tags[tag]);
    dnnl_memory_desc_init_by_tag(&weights, 4, weights_dims, dnnl_f32, dnnl_oihw);
    dnnl_memory_desc_init_by_tag(&any_weights, 4, weights_dims, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_x);

    dnnl_convolution_desc_t convolution;
    if (dnnl_convolution_forward_desc_init(&convolution, dnnl_forward_inference, dnnl_convolution_auto, &src,
                                           &any_weights, how == BY_HAND ? NULL : &bias, &mid, one, none,
                                           none) != dnnl_success ||
        (pds[0] = describe(&convolution, how == RELU_FIRST)) == NULL)
        return false;
    mid = *wants(pds[0], dnnl_query_dst_md);
    dnnl_format_tag_t pooled_tag = how == BY_HAND ? tag_of(l, &mid) : dnnl_format_tag_any;
    describe_image(&pooled, l->outputs, l->out_height, l->out_width, pooled_tag);
    if (how == BY_HAND) {
        if (pooled_tag == dnnl_format_tag_any) return false;
    } else {
        dnnl_pooling_desc_t pool;
        if (dnnl_pooling_forward_desc_init(&pool, dnnl_forward_inference, dnnl_pooling_max, &mid, &pooled, two, two,
                                           none, none) != dnnl_success ||
            (pds[1] = describe(&pool, how == RELU_LAST)) == NULL)
            return false;
        pooled = *wants(pds[1], dnnl_query_dst_md);
    }

    dnnl_memory_t x = arranged(s, hold(s, &input, l->input), wants(pds[0], dnnl_query_src_md), nchw);
    dnnl_memory_t w = arranged(s, hold(s, &weights, l->weights), wants(pds[0], dnnl_query_weights_md), false);
    dnnl_memory_t b = hold(s, &bias, l->bias), y = hold(s, &mid, NULL), z = hold(s, &pooled, NULL);
    if (x == NULL || w == NULL || b == NULL || y == NULL || z == NULL) return false;
    stage *t = &s->stages[s->count++];
    *t = (stage){.args = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}, {DNNL_ARG_BIAS, b}},
                 .count = how == BY_HAND ? 3 : 4};
    if (dnnl_primitive_create(&t->primitive, pds[0]) != dnnl_success) return false;
    t = &s->stages[s->count++];
    *t = (stage){.args = {{DNNL_ARG_SRC, y}, {DNNL_ARG_DST, z}}, .count = 2};
    if (how != BY_HAND && dnnl_primitive_create(&t->primitive, pds[1]) != dnnl_success) return false;
    s->output = nchw ? arranged(s, z, &output, true) : z;
    return s->output != NULL;
}

static void destroy(void *memory) {
    state *s = memory;
    for (int i = 0; i < s->count; i++)
        if (s->stages[i].primitive != NULL) dnnl_primitive_destroy(s->stages[i].primitive);
    for (int i = 0; i < s->held; i++)
        dnnl_memory_destroy(s->memories[i]);
    free(s->bias);
    free(s);
}

static void *create(const peer_layer *l, int layout, int way, char *note) {
    const int tag = layout == NCHW ? way / HOWS : layout, how = way % HOWS;
    /* oneDNN 2.6.3 crashes at SSE4.1 where such a pooling ends in part of a block of channels, and is wrong in plain
     * NCHW from one channel to one. */
    if ((how == RELU_LAST && l->outputs % 8 != 0) || (tag == NCHW && l->channels == 1 && l->outputs == 1)) return NULL;
    dnnl_primitive_desc_t pds[2] = {NULL, NULL};
    state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->layer = l;
    s->bias = peer_floats(l->outputs);
    memcpy(s->bias, l->bias, l->outputs * sizeof *s->bias);
    bool built = build(s, tag, layout == NCHW, how, pds);
    if (built)
        snprintf(note, PEER_NOTE, "%s%s, %s%s%s%s", implementation(pds[0]), how == RELU_FIRST ? " + ReLU" : "",
                 how == BY_HAND ? "pooled by hand" : implementation(pds[1]), how == RELU_LAST ? " + ReLU" : "",
                 layout == NCHW ? ", in " : "", layout == NCHW ? tag_names[tag] : "");
    for (int i = 0; i < 2; i++)
        if (pds[i] != NULL) dnnl_primitive_desc_destroy(pds[i]);
    if (!built) destroy(s);
    return built ? s : NULL;
}

static void run(void *memory) {
    const state *s = memory;
    for (int i = 0; i < s->count; i++)
        execute(s, &s->stages[i]);
    dnnl_stream_wait(stream);
}

static void result(void *memory, float *output) {
    const state *s = memory;
    const peer_layer *l = s->layer;
    dnnl_memory_desc_t desc;
    dnnl_memory_t to = NULL;
    describe_image(&desc, l->outputs, l->out_height, l->out_width, dnnl_nchw);
    if (dnnl_memory_create(&to, &desc, engine, output) == dnnl_success) reorder_now(s->output, to);
    dnnl_memory_destroy(to);
}

const peer_library onednn = {
    .name = "oneDNN",
    .variable = "DNNL_MAX_CPU_ISA",
    .values = {"SSE41", "AVX2", "AVX512_CORE"},
    .version = version,
    .runs = runs,
    .layouts = {{"blocked", HOWS}, {"NHWC", HOWS}, {"NCHW in and out", 3 * HOWS}},
    .create = create,
    .run = run,
    .result = result,
    .destroy = destroy,
};
