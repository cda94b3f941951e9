/* SPDX-License-Identifier: MIT */
/* What CONVPOOL_KERNEL in the environment wants, and what is said where that cannot be had. */
#include "dispatch.h"
#include "once.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Why no kernel here answers to a value of CONVPOOL_KERNEL; `name` is what convpool_find_name() says of it. */
static const char *why_refused(const char *value, const char *name) {
    char lower[64];
    size_t length = 0;
    convpool_choice choice;
    if (name != NULL && convpool_choose(name, ~0u, NULL, &choice) == CONVPOOL_OK) /* it is built in */
        return convpool_cpu_reason(choice.isa->needs, convpool_cpu_features());
    for (; value[length] != 0 && length < sizeof lower - 1; length++)
        lower[length] =
            (char)(value[length] >= 'A' && value[length] <= 'Z' ? value[length] - 'A' + 'a' : value[length]);
    lower[length] = 0;
    return convpool_find_name(lower) != NULL ? "names are in lower case"
                                             : "no instruction set, algorithm or kernel of that name is built in";
}

typedef struct message {
    char text[1024];
    size_t used;
    const char *separator;
} message;

static void append(message *l, const char *text) {
    if (l->used < sizeof l->text)
        l->used += (size_t)snprintf(l->text + l->used, sizeof l->text - l->used, "%s%s", l->separator, text);
    l->separator = ", ";
}

/* Adds one kind of name of the kernels that are supported here, each once. */
static void append_names(message *l, const char *(*name_of)(const convpool_kernel_info *info)) {
    convpool_kernel_info info, earlier;
    for (size_t i = 0; convpool_kernel_get(i, &info); i++) {
        bool listed = !info.supported;
        for (size_t k = 0; k < i && convpool_kernel_get(k, &earlier); k++)
            listed |= earlier.supported && strcmp(name_of(&earlier), name_of(&info)) == 0;
        if (!listed) append(l, name_of(&info));
    }
}
static const char *isa_of(const convpool_kernel_info *info) { return info->isa; }
static const char *algorithm_of(const convpool_kernel_info *info) { return info->algorithm; }
static const char *name_of(const convpool_kernel_info *info) { return info->name; }

/* One line on stderr, for a value of CONVPOOL_KERNEL that no kernel here answers to. */
static void complain(const char *value, const char *name) {
    char shown[64];
    size_t length = 0;
    for (; value[length] != 0 && length < sizeof shown - 1; length++)
        shown[length] = isprint((unsigned char)value[length]) ? value[length] : '?';
    shown[length] = 0;
    message l = {.separator = ""};
    l.used = (size_t)snprintf(l.text, sizeof l.text, "convpool: CONVPOOL_KERNEL=%s%s: %s; supported here: ", shown,
                              value[length] ? "..." : "", why_refused(value, name));
    append_names(&l, isa_of);
    append_names(&l, algorithm_of);
    append_names(&l, name_of);
    fprintf(stderr, "%s%s\n", l.text, *l.separator == 0 ? "none" : "");
}

/* What CONVPOOL_KERNEL wants, "" for nothing: read once, by the first call that asks, which also complains
 * where that cannot be had. Only static strings are kept: a name from the table, or one that is in no table. */
static const char *environment(void) {
    static once kept;
    const char *wanted = (const char *)once_get(&kept);
    if (wanted != NULL) return wanted;

    const char *value = getenv("CONVPOOL_KERNEL");
    if (value == NULL) value = "";
    const char *name = convpool_find_name(value);
    wanted = name == NULL ? "unknown" : name;

    const char *first = (const char *)once_set(&kept, (uintptr_t)wanted);
    if (first != NULL) return first; /* of another thread */
    convpool_choice choice;
    convpool_status status = convpool_choose(wanted, convpool_cpu_features(), NULL, &choice);
    if (status != CONVPOOL_OK && *value != 0) complain(value, name);
    return wanted;
}

/* The ISA of a kernel's name, "" where it names only an algorithm. */
static const char *isa_in(const char *wanted) {
    for (const convpool_isa *const *isa = convpool_isas; *isa != NULL; isa++) {
        size_t length = strlen((*isa)->name);
        if (strncmp(wanted, (*isa)->name, length) == 0 && (wanted[length] == 0 || wanted[length] == '-'))
            return (*isa)->name;
    }
    return "";
}

convpool_status convpool_resolve(const char *wanted, const convpool_shape *shape, convpool_choice *choice) {
    unsigned features = convpool_cpu_features();
    if (wanted != NULL && *wanted != 0) return convpool_choose(wanted, features, shape, choice);
    wanted = environment();
    convpool_status status = convpool_choose(wanted, features, shape, choice);
    bool runs = status == CONVPOOL_KERNEL_UNSUPPORTED && shape != NULL &&
                convpool_choose(wanted, features, NULL, choice) == CONVPOOL_OK;
    return runs ? convpool_choose(isa_in(wanted), features, shape, choice) : status; /* but not on this shape */
}
