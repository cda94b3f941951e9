/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool parse_extent(const char **text, char end, size_t *extent) {
    char *after;
    if (!isdigit((unsigned char)**text)) return false; /* strtoull would take a sign or a space */
    errno = 0;
    unsigned long long value = strtoull(*text, &after, 10);
    if (errno != 0 || value > SIZE_MAX || *after != end) return false;
    *extent = (size_t)value;
    *text = after + (end != 0);
    return true;
}

bool parse_layer(const char *text, convpool_layer_spec *spec) {
    const char *options = strchr(text, ':');
    options = options == NULL ? NULL : strchr(options + 1, ':');
    bool unpooled = options != NULL && strcmp(options, ":none") == 0;
    spec->pool = unpooled ? CONVPOOL_POOL_NONE : CONVPOOL_POOL_MAX_2X2;
    return parse_extent(&text, 'x', &spec->in_channels) && parse_extent(&text, 'x', &spec->in_height) &&
           parse_extent(&text, ':', &spec->in_width) && parse_extent(&text, unpooled ? ':' : 0, &spec->out_channels);
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
