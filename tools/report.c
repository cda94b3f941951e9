/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef _WIN32
#include <sys/utsname.h>
#endif
#ifdef COMMIT_HEADER
#include COMMIT_HEADER
#else
#define COMMIT "unknown"
#endif
#ifndef BUILD_FLAGS
#define BUILD_FLAGS ""
#endif

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

/* What Linux says in files where the library asks no CPU, as on Arm: who made it, and which it is, from its Main ID
 * Register; and the sizes of its caches. */
static void read_cpuinfo(convpool_cpu *cpu) {
    static const char *const keys[] = {"CPU implementer", "CPU architecture", "CPU part", "CPU revision"};
    char line[256], values[4][16] = {"", "", "", ""};
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        for (size_t i = 0; i < 4; i++)
            if (strncmp(line, keys[i], strlen(keys[i])) == 0 && values[i][0] == 0 && strchr(line, ':') != NULL)
                sscanf(strchr(line, ':') + 1, "%15s", values[i]);
    if (file != NULL) fclose(file);
    snprintf(cpu->vendor, sizeof cpu->vendor, "%s", values[0]);
    cpu->family = (int)strtol(values[1], NULL, 0);
    cpu->model = (int)strtol(values[2], NULL, 0);
    cpu->stepping = (int)strtol(values[3], NULL, 0);
    if (*values[0] != 0)
        snprintf(cpu->name, sizeof cpu->name, "implementer %.8s part %.8s revision %.8s", values[0], values[2],
                 values[3]);
}

static void read_caches(convpool_cpu *cpu) {
    for (int i = 0; i < 8; i++) {
        char path[96], type[16] = "", unit = 0;
        unsigned level = 0, size = 0;
        static const char *const names[] = {"level", "type", "size"};
        for (int what = 0; what < 3; what++) {
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, names[what]);
            FILE *file = fopen(path, "r");
            if (file == NULL) return;
            int found = what == 0   ? fscanf(file, "%u", &level)
                        : what == 1 ? fscanf(file, "%15s", type)
                                    : fscanf(file, "%u%c", &size, &unit);
            fclose(file);
            if (found < 1) return;
        }
        if (strcmp(type, "Instruction") != 0 && level >= 1 && level <= 3)
            cpu->cache[level - 1] = (size_t)size * (unit == 'M' ? 1u << 20 : unit == 'K' ? 1u << 10 : 1);
    }
}

machine machine_describe(void) {
    machine m = {.cpu = convpool_cpu_describe()};
    if (*m.cpu.vendor == 0) read_cpuinfo(&m.cpu);
    if (m.cpu.cache[0] == 0) read_caches(&m.cpu);
    convpool_cpu_feature_names(convpool_cpu_features(), m.features, sizeof m.features);
#ifdef _WIN32
    snprintf(m.os, sizeof m.os, "Windows");
#else
    struct utsname u;
    if (uname(&u) == 0) snprintf(m.os, sizeof m.os, "%s %s %s", u.sysname, u.release, u.machine);
#endif
    time_t now = time(NULL);
    const struct tm *utc = gmtime(&now);
    if (utc != NULL) strftime(m.date, sizeof m.date, "%Y-%m-%dT%H:%M:%SZ", utc);
    return m;
}

void print_machine(FILE *file, const char *options) {
    machine m = machine_describe();
    fprintf(file, "convpool %s, commit %s\ncompiler         %s\noptions          %s\n", convpool_version(), COMMIT,
            compiler_name(), options);
    fprintf(file, "CPU              %s", m.cpu.name);
    if (*m.cpu.vendor != 0)
        fprintf(file, " (%s, family %d, model %d, stepping %d)", m.cpu.vendor, m.cpu.family, m.cpu.model,
                m.cpu.stepping);
    fprintf(file, "\nfeatures         %s\n", *m.features ? m.features : "(none to detect)");
    if (m.cpu.cache[0] > 0)
        fprintf(file, "caches           %zu KiB, %zu KiB, %zu KiB\n", m.cpu.cache[0] >> 10, m.cpu.cache[1] >> 10,
                m.cpu.cache[2] >> 10);
    fprintf(file, "system           %s\n", m.os);
}

void write_machine(FILE *file, const char *options) {
    machine m = machine_describe();
    const char *const members[][2] = {{"version", convpool_version()},
                                      {"commit", COMMIT},
                                      {"date", m.date},
                                      {"compiler", compiler_name()},
                                      {"options", options},
                                      {"flags", BUILD_FLAGS},
                                      {"cpu", m.cpu.name},
                                      {"vendor", m.cpu.vendor},
                                      {"os", m.os}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        fprintf(file, "%s\"%s\": ", i ? ",\n " : "", members[i][0]);
        json_string(file, members[i][1]);
    }
    fprintf(file,
            ",\n \"family\": %d, \"model\": %d, \"stepping\": %d, \"cache_bytes\": [%zu, %zu, %zu],\n \"features\": [",
            m.cpu.family, m.cpu.model, m.cpu.stepping, m.cpu.cache[0], m.cpu.cache[1], m.cpu.cache[2]);
    for (const char *name = m.features; *name != 0;) {
        size_t length = strcspn(name, " ");
        fprintf(file, "%s\"%.*s\"", name == m.features ? "" : ", ", (int)length, name);
        name += length + (name[length] == ' ');
    }
    fputs("]", file);
}
