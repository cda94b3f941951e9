/* SPDX-License-Identifier: MIT */
#include "notation.h"

#include "random.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads a number and what must follow it, if anything must. */
static bool parse_extent(const char **text, char after, size_t *extent) {
    char *end;
    if (!isdigit((unsigned char)**text)) return false; /* strtoull would take a sign or a space */
    errno = 0;
    unsigned long long value = strtoull(*text, &end, 10);
    if (errno != 0 || value > SIZE_MAX || (after != 0 && *end != after)) return false;
    *extent = (size_t)value;
    *text = end + (after != 0);
    return true;
}

/* Reads a word. */
static bool parse_word(const char **text, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0) return false;
    *text += length;
    return true;
}

/* Reads an activation; longer words before those that they begin with. */
static bool parse_activation(const char **text, convpool_layer_spec *s) {
    static const struct {
        const char *word;
        convpool_activation activation;
        bool has_parameter;
    } words[] = {{"relu6", CONVPOOL_ACTIVATION_RELU6, false}, {"relu", CONVPOOL_ACTIVATION_RELU, false},
                 {"linear", CONVPOOL_ACTIVATION_NONE, false}, {"leaky=", CONVPOOL_ACTIVATION_LEAKY_RELU, true},
                 {"prelu", CONVPOOL_ACTIVATION_PRELU, false}, {"sigmoid", CONVPOOL_ACTIVATION_SIGMOID, false},
                 {"tanh", CONVPOOL_ACTIVATION_TANH, false},   {"elu=", CONVPOOL_ACTIVATION_ELU, true}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!parse_word(text, words[i].word)) continue;
        s->activation = words[i].activation;
        if (!words[i].has_parameter) return true;
        char *end;
        s->activation_parameter = strtof(*text, &end);
        bool some = end != *text && !isspace((unsigned char)**text);
        *text = end;
        return some;
    }
    return false;
}

/* A filter, or a window. */
static bool parse_size(const char **text, size_t *height, size_t *width) {
    return parse_extent(text, 'x', height) && parse_extent(text, 0, width) && *height > 0 && *width > 0;
}

/* One of a window's options, behind its colon. */
static bool parse_window_option(const char **text, convpool_layer_spec *s, bool *same) {
    if (parse_word(text, "same")) return *same = true;
    if (parse_word(text, "s")) return parse_size(text, &s->stride_height, &s->stride_width);
    return parse_word(text, "p") && parse_extent(text, ',', &s->pad_top) && parse_extent(text, ',', &s->pad_left) &&
           parse_extent(text, ',', &s->pad_bottom) && parse_extent(text, 0, &s->pad_right);
}

/* One of a layer's. */
static bool parse_layer_option(const char **text, convpool_layer_spec *s, bool *same) {
    if (parse_activation(text, s)) return true;
    if (parse_word(text, "none")) return s->pool = CONVPOOL_POOL_NONE, true;
    if (parse_word(text, "ceil")) return s->pool = CONVPOOL_POOL_MAX_2X2_CEIL, true;
    if (parse_word(text, "k")) return parse_size(text, &s->filter_height, &s->filter_width);
    return parse_window_option(text, s, same);
}

/* Zeros around an image such that there is an output for each step of the stride: the lesser half before it. */
static void pad_same(size_t extent, size_t filter, size_t stride, size_t *before, size_t *after) {
    size_t last = extent == 0 ? 0 : (extent - 1) / stride * stride,
           all = last + filter > extent ? last + filter - extent : 0;
    *before = all / 2;
    *after = all - all / 2;
}

/* One of a depthwise convolution's. */
static bool parse_depthwise_option(const char **text, convpool_layer_spec *s, bool *same) {
    return parse_activation(text, s) || parse_window_option(text, s, same);
}

/* The options of a window in an image of this spec's extents, up to the end of the text. */
static bool parse_options(const char *text, bool (*option)(const char **, convpool_layer_spec *, bool *),
                          convpool_layer_spec *s) {
    bool same = false;
    while (*text == ':') {
        text++;
        if (!option(&text, s, &same)) return false;
    }
    if (same) {
        pad_same(s->in_height, s->filter_height, s->stride_height, &s->pad_top, &s->pad_bottom);
        pad_same(s->in_width, s->filter_width, s->stride_width, &s->pad_left, &s->pad_right);
    }
    return *text == 0;
}

/* A layer's options, and the image's. */
static bool parse_any_option(const char **text, convpool_layer_spec *s, bool *same) {
    if (parse_word(text, "hwc")) return s->input_layout = s->output_layout = CONVPOOL_IMAGE_HWC, true;
    return parse_layer_option(text, s, same);
}

static const convpool_layer_spec plain = {.filter_height = 2, .filter_width = 2, .stride_height = 1, .stride_width = 1};

bool parse_layer(const char *text, convpool_layer_spec *spec) {
    *spec = plain;
    return parse_extent(&text, 'x', &spec->in_channels) && parse_extent(&text, 'x', &spec->in_height) &&
           parse_extent(&text, ':', &spec->in_width) && parse_extent(&text, 0, &spec->out_channels) &&
           parse_options(text, parse_any_option, spec) && spec->activation != CONVPOOL_ACTIVATION_PRELU;
}

/* ---- Networks ---- */

/* The image that the next stage gets. */
typedef struct image {
    size_t channels, height, width;
    bool hwc;
} image;

static bool parse_image(const char *text, image *now) {
    if (!parse_extent(&text, 'x', &now->channels) || !parse_extent(&text, 'x', &now->height) ||
        !parse_extent(&text, 0, &now->width))
        return false;
    now->hwc = parse_word(&text, ":hwc");
    return *text == 0;
}

/* Steps of a window along one side; 0 where it does not fit. */
static size_t steps(size_t before, size_t extent, size_t after, size_t window, size_t stride) {
    size_t all = before + extent + after;
    return all < window ? 0 : (all - window) / stride + 1;
}

/* What the window leaves of the image. */
static void shrink(image *now, const convpool_layer_spec *s, convpool_pool pool) {
    now->height = steps(s->pad_top, now->height, s->pad_bottom, s->filter_height, s->stride_height);
    now->width = steps(s->pad_left, now->width, s->pad_right, s->filter_width, s->stride_width);
    if (pool == CONVPOOL_POOL_NONE) return;
    now->height = (now->height + (pool == CONVPOOL_POOL_MAX_2X2_CEIL)) / 2;
    now->width = (now->width + (pool == CONVPOOL_POOL_MAX_2X2_CEIL)) / 2;
}

static bool parse_layer_stage(const char *text, convpool_layer_spec *s) {
    return parse_extent(&text, 0, &s->out_channels) && parse_options(text, parse_layer_option, s);
}

static bool parse_dense(const char *text, convpool_layer_spec *s) {
    s->filter_height = s->in_height, s->filter_width = s->in_width, s->pool = CONVPOOL_POOL_NONE;
    return parse_extent(&text, 0, &s->out_channels) &&
           (*text == 0 || (*text++ == ':' && parse_activation(&text, s) && *text == 0));
}

static bool parse_depthwise(const char *text, convpool_layer_spec *s) {
    return parse_size(&text, &s->filter_height, &s->filter_width) && parse_options(text, parse_depthwise_option, s);
}

static bool parse_pool(const char *text, convpool_layer_spec *s) {
    if (!parse_size(&text, &s->filter_height, &s->filter_width)) return false;
    s->stride_height = s->filter_height, s->stride_width = s->filter_width;
    return parse_options(text, parse_window_option, s);
}

static bool parse_only_activation(const char *text, convpool_layer_spec *s) {
    return parse_activation(&text, s) && *text == 0;
}

static bool parse_nothing(const char *text, convpool_layer_spec *s) {
    (void)s;
    return *text == 0;
}

static const struct {
    const char *word;
    convpool_stage_kind kind;
    bool (*parse)(const char *text, convpool_layer_spec *s);
} stage_words[] = {{"layer", CONVPOOL_STAGE_LAYER, parse_layer_stage},
                   {"dense", CONVPOOL_STAGE_LAYER, parse_dense},
                   {"depthwise", CONVPOOL_STAGE_DEPTHWISE, parse_depthwise},
                   {"max-pool", CONVPOOL_STAGE_MAX_POOL, parse_pool},
                   {"average-pool", CONVPOOL_STAGE_AVERAGE_POOL, parse_pool},
                   {"global-max", CONVPOOL_STAGE_GLOBAL_MAX, parse_nothing},
                   {"global-average", CONVPOOL_STAGE_GLOBAL_AVERAGE, parse_nothing},
                   {"scale", CONVPOOL_STAGE_SCALE, parse_nothing},
                   {"activation", CONVPOOL_STAGE_ACTIVATION, parse_only_activation},
                   {"softmax", CONVPOOL_STAGE_SOFTMAX, parse_nothing},
                   {"log-softmax", CONVPOOL_STAGE_LOG_SOFTMAX, parse_nothing}};

const char *stage_word(convpool_stage_kind kind) {
    size_t i = 0;
    while (stage_words[i].kind != kind)
        i++;
    return stage_words[i].word;
}

/* Reads a line's two words, a stage and the rest, into *stage; `now` becomes what comes out of it. */
static bool parse_stage(const char *word, const char *rest, image *now, convpool_stage *stage) {
    *stage = (convpool_stage){.spec = plain};
    stage->spec.in_channels = now->channels, stage->spec.in_height = now->height, stage->spec.in_width = now->width;
    stage->spec.input_layout = stage->spec.output_layout = now->hwc ? CONVPOOL_IMAGE_HWC : CONVPOOL_IMAGE_CHW;
    size_t i = 0, known = sizeof stage_words / sizeof *stage_words;
    while (i < known && strcmp(stage_words[i].word, word) != 0)
        i++;
    if (i == known || !stage_words[i].parse(rest, &stage->spec)) return false;
    stage->kind = stage_words[i].kind;
    if (stage->kind == CONVPOOL_STAGE_LAYER) {
        now->channels = stage->spec.out_channels;
        shrink(now, &stage->spec, stage->spec.pool);
    } else if (stage->kind == CONVPOOL_STAGE_DEPTHWISE || stage->kind == CONVPOOL_STAGE_MAX_POOL ||
               stage->kind == CONVPOOL_STAGE_AVERAGE_POOL) {
        shrink(now, &stage->spec, CONVPOOL_POOL_NONE);
    } else if (stage->kind == CONVPOOL_STAGE_GLOBAL_MAX || stage->kind == CONVPOOL_STAGE_GLOBAL_AVERAGE) {
        now->height = now->width = 1;
    }
    return true;
}

/* Numbers that a stage needs. */
typedef struct needs {
    size_t weights, bias, slopes;
} needs;

static needs needs_of(const convpool_stage *stage) {
    const convpool_layer_spec *s = &stage->spec;
    bool layer = stage->kind == CONVPOOL_STAGE_LAYER, convolves = layer || stage->kind == CONVPOOL_STAGE_DEPTHWISE;
    bool scale = stage->kind == CONVPOOL_STAGE_SCALE;
    size_t channels = layer ? s->out_channels : s->in_channels, terms = layer ? s->in_channels : 1;
    bool prelu = (convolves || stage->kind == CONVPOOL_STAGE_ACTIVATION) && s->activation == CONVPOOL_ACTIVATION_PRELU;
    return (needs){convolves ? terms * s->filter_height * s->filter_width * channels : scale * channels,
                   convolves || scale ? channels : 0, prelu ? channels : 0};
}

static const float *random_numbers(uint64_t *state, float **next, size_t count, float scale) {
    float *numbers = *next;
    random_fill(state, numbers, count);
    for (size_t i = 0; i < count; i++)
        numbers[i] *= scale;
    *next += count;
    return count ? numbers : NULL;
}

/* A power of two near the square root of 6 / terms, so that sums of that many products with even numbers in [-1, 1),
 * and ReLU, keep an image's magnitude (K. He et al., Delving Deep into Rectifiers, 2015). */
static float even_scale(size_t terms) {
    float scale = 1;
    while (scale * scale * (float)terms > 9)
        scale /= 2;
    return scale;
}

static bool fill_network(network_file *n) {
    size_t all = 0;
    for (size_t i = 0; i < n->count; i++) {
        needs need = needs_of(&n->stages[i]);
        all += need.weights + need.bias + need.slopes;
    }
    float *next = n->numbers = malloc((all + 1) * sizeof *next);
    uint64_t state = 60;
    for (size_t i = 0; i < n->count && next != NULL; i++) {
        convpool_stage *stage = &n->stages[i];
        needs need = needs_of(stage);
        float scale = even_scale(need.bias > 0 ? need.weights / need.bias : 1);
        stage->weights = random_numbers(&state, &next, need.weights, scale);
        stage->bias = random_numbers(&state, &next, need.bias, 0.125f);
        stage->spec.slopes = random_numbers(&state, &next, need.slopes, 1);
    }
    return next != NULL;
}

/* Products that a direct convolution takes, where windows that pooling drops count. */
static double products(const convpool_stage *stage, const image *out) {
    if (stage->kind != CONVPOOL_STAGE_LAYER && stage->kind != CONVPOOL_STAGE_DEPTHWISE) return 0;
    double pixels = (double)out->height * (double)out->width * (stage->spec.pool == CONVPOOL_POOL_NONE ? 1 : 4);
    return pixels * (double)needs_of(stage).weights;
}

/* A line's words, without what is behind a '#', and how many there are, up to three. */
static int split(char *line, char **word, char **rest, char **more) {
    line[strcspn(line, "#\r\n")] = 0;
    *word = strtok(line, " \t");
    *rest = *word == NULL ? NULL : strtok(NULL, " \t");
    *more = *rest == NULL ? NULL : strtok(NULL, " \t");
    return (*word != NULL) + (*rest != NULL) + (*more != NULL);
}

/* Whether the library takes a stage, whose numbers are not yet there; or what it says of it. */
static convpool_status judge(const convpool_stage *stage) {
    static const float number;
    convpool_stage alone = *stage;
    convpool_network *network;
    char memory;
    alone.weights = alone.bias = alone.spec.slopes = &number; /* not read, as there is not memory enough */
    return convpool_network_create_in(&alone, 1, &memory, sizeof memory, &network);
}

/* Reads a stage, and adds it; or says what is wrong. */
static const char *add_stage(network_file *n, const char *word, const char *rest, image *now) {
    convpool_stage *stages = realloc(n->stages, (n->count + 1) * sizeof *stages);
    if (stages == NULL) return convpool_status_string(CONVPOOL_OUT_OF_MEMORY);
    n->stages = stages;
    if (!parse_stage(word, rest, now, &stages[n->count])) return "not a stage";
    convpool_status status = judge(&stages[n->count]);
    if (status == CONVPOOL_INVALID_SHAPE || status == CONVPOOL_INVALID_ARGUMENT) return convpool_status_string(status);
    n->multiply_adds += products(&stages[n->count++], now);
    return NULL;
}

/* Reads up to the end, or to what is wrong, in line *number. */
static const char *read_lines(FILE *file, network_file *n, size_t *number) {
    char line[256], *word, *rest, *more;
    image now = {0};
    const char *wrong = NULL;
    for (bool begun = false; wrong == NULL && fgets(line, sizeof line, file) != NULL; begun |= word != NULL) {
        *number += 1;
        int words = split(line, &word, &rest, &more);
        if (words == 0) continue;
        if (rest == NULL) rest = word + strlen(word);
        if (words > 2)
            wrong = "more than two words";
        else if (begun)
            wrong = add_stage(n, word, rest, &now);
        else if (strcmp(word, "image") != 0 || !parse_image(rest, &now))
            wrong = "not 'image CxHxW' or 'image CxHxW:hwc'";
    }
    return wrong != NULL || n->count > 0 ? wrong : "no stages";
}

bool read_network(const char *path, network_file *network, char *error) {
    *network = (network_file){.stages = NULL};
    FILE *file = fopen(path, "r");
    if (file == NULL) return snprintf(error, NETWORK_ERROR, "%s: %s", path, strerror(errno)), false;
    size_t number = 0;
    const char *wrong = read_lines(file, network, &number);
    fclose(file);
    if (wrong == NULL && !fill_network(network)) wrong = convpool_status_string(CONVPOOL_OUT_OF_MEMORY);
    if (wrong == NULL) return true;
    snprintf(error, NETWORK_ERROR, "%s:%zu: %s", path, number, wrong);
    free_network(network);
    return false;
}

void free_network(network_file *network) {
    free(network->stages);
    free(network->numbers);
    *network = (network_file){.stages = NULL};
}
