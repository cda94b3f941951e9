/* SPDX-License-Identifier: MIT */
/* What Python does for the bench: the program that the project began with, the page, and comparing two reports. Names
 * of files go through the environment, for they may hold anything. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define setenv(name, value, replace) _putenv_s(name, value)
#define VARIABLE(name) "\"%" name "%\""
#define SILENT " 2>NUL"
#define EXIT_STATUS(status) (status)
static const char *const pythons[] = {"python", "py -3"};
#else
#ifdef __wasm__
#define WIFEXITED(status) false
#define WEXITSTATUS(status) (status)
#else
#include <sys/wait.h>
#endif
#define VARIABLE(name) "\"$" name "\""
#define SILENT " 2>/dev/null"
#define EXIT_STATUS(status) (WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE)
static const char *const pythons[] = {"/usr/bin/python3", "python3"};
#endif

numpy_times baseline;

/* "PYTHON ARGUMENTS", in memory that the next call uses again. */
static const char *command(const char *python, const char *arguments) {
    static char text[512];
    snprintf(text, sizeof text, "%s %s", python, arguments);
    return text;
}

void measure_baseline(void) {
    setenv("CONVPOOL_SCRIPT", BENCH_FOLDER "/seed_layer.py", 1);
    for (size_t i = 0; i < 2 && baseline.scipy <= 0; i++) {
        char name[32];
        double seconds;
        progress("timing the NumPy/SciPy program:", pythons[i], 0, 0);
        FILE *pipe = popen(command(pythons[i], VARIABLE("CONVPOOL_SCRIPT") SILENT), "r");
        if (pipe == NULL) continue;
        while (fscanf(pipe, "%31s %lf", name, &seconds) == 2) {
            if (strcmp(name, "scipy") == 0) baseline.scipy = seconds;
            if (strcmp(name, "shifted") == 0) baseline.shifted = seconds;
            if (strcmp(name, "matmul") == 0) baseline.matmul = seconds;
            if (strcmp(name, "im2col") == 0) baseline.im2col = seconds;
        }
        if (pclose(pipe) != 0) baseline.scipy = 0;
    }
    progress_end();
}

/* The first Python that there is. */
static const char *find_python(const char *what) {
    for (size_t i = 0; i < 2; i++)
        if (system(command(pythons[i], "-c 0" SILENT)) == 0) return pythons[i];
    fail("no Python 3, which is needed for ", what);
}

void check_report(void) {
    find_python("--report");
    FILE *file = fopen(options.report, "a");
    if (file == NULL || fclose(file) != 0) fail("cannot write ", options.report);
}

void make_report(void) {
    setenv("CONVPOOL_SCRIPT", BENCH_FOLDER "/report.py", 1);
    setenv("CONVPOOL_REPORT", options.report, 1);
    const char *python = find_python("--report");
    FILE *pipe = popen(command(python, VARIABLE("CONVPOOL_SCRIPT") " - " VARIABLE("CONVPOOL_REPORT")), "w");
    if (pipe != NULL) write_json(pipe);
    if (pipe == NULL || pclose(pipe) != 0) fail("cannot make ", options.report);
}

int compare_reports(void) {
    setenv("CONVPOOL_SCRIPT", BENCH_FOLDER "/compare.py", 1);
    setenv("CONVPOOL_BEFORE", options.compare[0], 1);
    setenv("CONVPOOL_AFTER", options.compare[1], 1);
    setenv("CONVPOOL_TOLERANCE", options.tolerance, 1);
    const char *python = find_python("--compare");
    int status = system(command(python, VARIABLE("CONVPOOL_SCRIPT") " " VARIABLE("CONVPOOL_BEFORE") " " VARIABLE(
                                            "CONVPOOL_AFTER") " --tolerance " VARIABLE("CONVPOOL_TOLERANCE")));
    return EXIT_STATUS(status);
}
