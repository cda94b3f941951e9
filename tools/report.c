/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* One of a layer's options, behind its colon. */
static bool parse_option(const char **text, convpool_layer_spec *s, bool *same) {
    if (parse_word(text, "none")) return s->pool = CONVPOOL_POOL_NONE, true;
    if (parse_word(text, "ceil")) return s->pool = CONVPOOL_POOL_MAX_2X2_CEIL, true;
    if (parse_word(text, "hwc")) return s->input_layout = s->output_layout = CONVPOOL_IMAGE_HWC, true;
    if (parse_word(text, "same")) return *same = true;
    if (parse_word(text, "k"))
        return parse_extent(text, 'x', &s->filter_height) && parse_extent(text, 0, &s->filter_width);
    if (parse_word(text, "s"))
        return parse_extent(text, 'x', &s->stride_height) && parse_extent(text, 0, &s->stride_width);
    return parse_word(text, "p") && parse_extent(text, ',', &s->pad_top) && parse_extent(text, ',', &s->pad_left) &&
           parse_extent(text, ',', &s->pad_bottom) && parse_extent(text, 0, &s->pad_right);
}

/* Zeros around an image such that there is an output for each step of the stride: the lesser half before it. */
static void pad_same(size_t extent, size_t filter, size_t stride, size_t *before, size_t *after) {
    size_t last = extent == 0 ? 0 : (extent - 1) / stride * stride,
           all = last + filter > extent ? last + filter - extent : 0;
    *before = all / 2;
    *after = all - all / 2;
}

bool parse_layer(const char *text, convpool_layer_spec *spec) {
    bool same = false;
    *spec = (convpool_layer_spec){.filter_height = 2, .filter_width = 2, .stride_height = 1, .stride_width = 1};
    if (!parse_extent(&text, 'x', &spec->in_channels) || !parse_extent(&text, 'x', &spec->in_height) ||
        !parse_extent(&text, ':', &spec->in_width) || !parse_extent(&text, 0, &spec->out_channels))
        return false;
    while (*text == ':') {
        text++;
        if (!parse_option(&text, spec, &same)) return false;
    }
    if (spec->filter_height == 0 || spec->filter_width == 0 || spec->stride_height == 0 || spec->stride_width == 0)
        return false;
    if (same) {
        pad_same(spec->in_height, spec->filter_height, spec->stride_height, &spec->pad_top, &spec->pad_bottom);
        pad_same(spec->in_width, spec->filter_width, spec->stride_width, &spec->pad_left, &spec->pad_right);
    }
    return *text == 0;
}

const char *compiler_name(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

void json_string(FILE *file, const char *text) {
    if (text == NULL) {
        fputs("null", file);
        return;
    }
    fputc('"', file);
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}
