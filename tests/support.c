/* SPDX-License-Identifier: MIT */
/* What the checks stand on: counting, guarded memory, processes of their own. */
#define _DEFAULT_SOURCE
#include "checks.h"
#include "random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

size_t checks_done, checks_failed;

bool check_failed(const char *file, int line, const char *condition, const char *format, ...) {
    if (++checks_failed <= 10) {
        fprintf(stderr, "# %s:%d: failed: %s: ", file, line, condition);
        va_list arguments;
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, " (CONVPOOL_TEST_SEED=%llu)\n", (unsigned long long)test_seed());
    }
    return false;
}

uint64_t test_seed(void) {
    const char *text = getenv("CONVPOOL_TEST_SEED");
    return text == NULL || *text == 0 ? 60 : strtoull(text, NULL, 0);
}

bool in_sample(uint64_t *state) {
    const char *text = getenv("CONVPOOL_TEST_ONE_IN");
    size_t one_in = text == NULL ? 1 : (size_t)strtoull(text, NULL, 0);
    return one_in <= 1 || random_below(state, one_in) == 0;
}

bool vector_state_is_clean(void) {
#ifdef __x86_64__
    unsigned char registers[16][64] = {{0}};
#define STORE_4(instruction, bits, a, b, c, d) \
    instruction " %%" bits #a ", 64*" #a "(%0)\n" instruction " %%" bits #b ", 64*" #b "(%0)\n" instruction \
                " %%" bits #c ", 64*" #c "(%0)\n" instruction " %%" bits #d ", 64*" #d "(%0)\n"
#define STORE(bits) \
    __asm__ volatile(STORE_4("vmovups", bits, 0, 1, 2, 3) STORE_4("vmovups", bits, 4, 5, 6, 7) \
                         STORE_4("vmovups", bits, 8, 9, 10, 11) STORE_4("vmovups", bits, 12, 13, 14, 15) \
                     : \
                     : "r"(registers) \
                     : "memory")
    if (__builtin_cpu_supports("avx512f"))
        STORE("zmm");
    else if (__builtin_cpu_supports("avx"))
        STORE("ymm");
    for (size_t i = 0; i < 16; i++)
        for (size_t byte = 16; byte < 64; byte++)
            if (registers[i][byte] != 0) return false;
#endif
    return true;
}

struct guarded {
    unsigned char *first, *placed; /* the accessible bytes; what is placed */
    size_t size, bytes, page;
};

guarded *guarded_new(size_t most) {
    guarded *g = malloc(sizeof *g);
    g->page = (size_t)sysconf(_SC_PAGESIZE);
    g->size = (most / g->page + 2) * g->page;
    unsigned char *all = mmap(NULL, g->size + 2 * g->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + g->page, g->size, PROT_READ | PROT_WRITE) != 0) {
        perror("guarded memory");
        abort();
    }
    g->first = g->placed = all + g->page;
    g->bytes = 0;
    memset(g->first, CANARY, g->size);
    return g;
}

void guarded_free(guarded *g) {
    munmap(g->first - g->page, g->size + 2 * g->page);
    free(g);
}

void *guarded_place(guarded *g, size_t bytes, place where, size_t gap) {
    if (bytes + gap > g->size) {
        fprintf(stderr, "guarded memory: %zu bytes do not fit\n", bytes);
        abort();
    }
    memset(g->placed, CANARY, g->bytes);
    g->placed = where == AT_START ? g->first + gap : g->first + g->size - bytes - gap;
    g->bytes = bytes;
    memset(g->placed, CANARY, bytes);
    return g->placed;
}

bool guarded_intact(const guarded *g) {
    enum { REACH = 4096 }; /* as far as a wrong vector may reach, and a page more */
    const unsigned char *end = g->first + g->size, *after = g->placed + g->bytes;
    const unsigned char *from = g->placed - g->first < REACH ? g->first : g->placed - REACH;
    const unsigned char *to = end - after < REACH ? end : after + REACH;
    for (const unsigned char *p = from; p < to; p++)
        if ((p < g->placed || p >= after) && *p != CANARY) return false;
    return true;
}

void alone(const char *value, void (*body)(const char *argument), const char *argument) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (value != NULL)
            setenv("CONVPOOL_KERNEL", value, 1);
        else
            unsetenv("CONVPOOL_KERNEL");
        checks_done = checks_failed = 0;
        body(argument);
        fflush(NULL);
        _exit(checks_failed > 0 || checks_done == 0);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "CONVPOOL_KERNEL=%s, '%s': exit status %d", value == NULL ? "(unset)" : value, argument, status);
}
