/* SPDX-License-Identifier: MIT */
/* What the checks stand on: counting, guarded memory, processes of their own. */
#define _DEFAULT_SOURCE
#include "checks.h"
#include "random.h"

#include <fenv.h>
#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <errno.h>
#include <inttypes.h>
#include <process.h>
#include <windows.h>
#elif !defined(__wasm__)
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

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

size_t one_in_unless_told = 1;

bool in_sample(uint64_t *state, size_t often) {
    const char *text = getenv("CONVPOOL_TEST_ONE_IN");
    size_t one_in = (text == NULL ? one_in_unless_told : (size_t)strtoull(text, NULL, 0)) / often;
    return one_in <= 1 || random_below(state, one_in) == 0;
}

bool vector_state_is_clean(void) {
#ifdef __x86_64__
    /* Not initialised, nor on a stack that a checker would initialise: the C library's memset(), or another function
     * that uses vectors, might end with vzeroupper and clean what is to be seen. So only what is stored is looked at.
     */
    static unsigned char registers[16][64];
    size_t stored = 16;
#define STORE_4(instruction, bits, a, b, c, d) \
    instruction " %%" bits #a ", 64*" #a "(%0)\n" instruction " %%" bits #b ", 64*" #b "(%0)\n" instruction \
                " %%" bits #c ", 64*" #c "(%0)\n" instruction " %%" bits #d ", 64*" #d "(%0)\n"
#define STORE(bits) \
    __asm__ volatile(STORE_4("vmovups", bits, 0, 1, 2, 3) STORE_4("vmovups", bits, 4, 5, 6, 7) \
                         STORE_4("vmovups", bits, 8, 9, 10, 11) STORE_4("vmovups", bits, 12, 13, 14, 15) \
                     : \
                     : "r"(registers) \
                     : "memory")
    if (__builtin_cpu_supports("avx512f")) {
        STORE("zmm");
        stored = 64;
    } else if (__builtin_cpu_supports("avx")) {
        STORE("ymm");
        stored = 32;
    }
    for (size_t i = 0; i < 16; i++)
        for (size_t byte = 16; byte < stored; byte++)
            if (registers[i][byte] != 0) return false;
#endif
    return true;
}

#ifdef FE_INVALID
enum { WATCHED = FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO };
void forget_exceptions(void) { feclearexcept(WATCHED); }
unsigned exceptions_raised(void) {
    int raised = fetestexcept(WATCHED);
    return (raised & FE_INVALID ? EXC_INVALID : 0u) | (raised & FE_OVERFLOW ? EXC_OVERFLOW : 0u) |
           (raised & FE_DIVBYZERO ? EXC_DIVISION : 0u);
}
#else
void forget_exceptions(void) {}
unsigned exceptions_raised(void) { return 0; }
#endif

const char *exception_names(unsigned raised) {
    static char text[48];
    snprintf(text, sizeof text, "%s%s%s", raised & EXC_INVALID ? "invalid " : "",
             raised & EXC_OVERFLOW ? "overflow " : "", raised & EXC_DIVISION ? "division by zero " : "");
    return text;
}

bool exceptions_are_seen(void) {
    volatile float large = FLT_MAX;
    forget_exceptions();
    large = large * large;
    return exceptions_raised() == EXC_OVERFLOW;
}

FILE *open_utf8(const char *path) {
#ifdef _WIN32
    wchar_t wide[1024];
    return MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 1024) > 0 ? _wfopen(wide, L"rb") : NULL;
#else
    return fopen(path, "rb");
#endif
}

/* What checkers of memory are told: that bytes may not be touched, may be, or may be but hold nothing yet. */
#if defined(__has_feature)
#define CLANG_HAS(feature) __has_feature(feature)
#else
#define CLANG_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || CLANG_HAS(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define FORBID(from, to) __asan_poison_memory_region(from, (size_t)((to) - (from)))
#define ALLOW(from, to) __asan_unpoison_memory_region(from, (size_t)((to) - (from)))
#define EMPTY(from, to) ALLOW(from, to)
#elif CLANG_HAS(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define FORBID(from, to) __msan_poison(from, (size_t)((to) - (from)))
#define ALLOW(from, to) __msan_unpoison(from, (size_t)((to) - (from)))
#define EMPTY(from, to) FORBID(from, to)
#elif !defined(__wasm__) && defined(__has_include) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define FORBID(from, to) (void)VALGRIND_MAKE_MEM_NOACCESS(from, (to) - (from))
#define ALLOW(from, to) (void)VALGRIND_MAKE_MEM_DEFINED(from, (to) - (from))
#define EMPTY(from, to) (void)VALGRIND_MAKE_MEM_UNDEFINED(from, (to) - (from))
#else
#define FORBID(from, to) ((void)(from), (void)(to))
#define ALLOW(from, to) FORBID(from, to)
#define EMPTY(from, to) FORBID(from, to)
#endif

struct guarded {
    unsigned char *first, *placed; /* the accessible bytes; what is placed */
    size_t size, bytes, page;
};

#ifdef _WIN32
static size_t page_size(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}
static void *inaccessible(size_t bytes) { return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS); }
static bool make_accessible(void *first, size_t bytes) {
    DWORD before;
    return VirtualProtect(first, bytes, PAGE_READWRITE, &before);
}
static void release(void *all, size_t bytes) {
    (void)bytes;
    VirtualFree(all, 0, MEM_RELEASE);
}
#elif defined(__wasm__)
/* No page is inaccessible there: only what is written is noticed. */
static size_t page_size(void) { return 4096; }
static void *inaccessible(size_t bytes) { return malloc(bytes); }
static bool make_accessible(void *first, size_t bytes) {
    (void)first, (void)bytes;
    return true;
}
static void release(void *all, size_t bytes) {
    (void)bytes;
    free(all);
}
#else
static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static void *inaccessible(size_t bytes) {
    void *all = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return all == MAP_FAILED ? NULL : all;
}
static bool make_accessible(void *first, size_t bytes) { return mprotect(first, bytes, PROT_READ | PROT_WRITE) == 0; }
static void release(void *all, size_t bytes) { munmap(all, bytes); }
#endif

guarded *guarded_new(size_t most) {
    guarded *g = malloc(sizeof *g);
    g->page = page_size();
    g->size = (most / g->page + 2) * g->page;
    unsigned char *all = inaccessible(g->size + 2 * g->page);
    if (all == NULL || !make_accessible(all + g->page, g->size)) {
        perror("guarded memory");
        abort();
    }
    g->first = g->placed = all + g->page;
    g->bytes = 0;
    memset(g->first, CANARY, g->size);
    return g;
}

/* Around what is placed, as far as a wrong vector may reach, and a page more. */
enum { REACH = 4096 };
static unsigned char *before(const guarded *g) { return g->placed - g->first < REACH ? g->first : g->placed - REACH; }
static unsigned char *after(const guarded *g) {
    unsigned char *end = g->first + g->size, *from = g->placed + g->bytes;
    return end - from < REACH ? end : from + REACH;
}

static void allow_around(const guarded *g) {
    ALLOW(before(g), g->placed);
    ALLOW(g->placed + g->bytes, after(g));
}

static void forbid_around(const guarded *g) {
    FORBID(before(g), g->placed);
    FORBID(g->placed + g->bytes, after(g));
}

void guarded_free(guarded *g) {
    ALLOW(g->first, g->first + g->size);
    release(g->first - g->page, g->size + 2 * g->page);
    free(g);
}

void *guarded_place(guarded *g, size_t bytes, place where, size_t gap) {
    if (bytes + gap > g->size) {
        fprintf(stderr, "guarded memory: %zu bytes do not fit\n", bytes);
        abort();
    }
    allow_around(g);
    memset(g->placed, CANARY, g->bytes);
    g->placed = where == AT_START ? g->first + gap : g->first + g->size - bytes - gap;
    g->bytes = bytes;
    ALLOW(g->placed, g->placed + bytes);
    const uint32_t signalling = 0x7fa00000;
    for (size_t i = -(uintptr_t)g->placed % sizeof signalling; i + sizeof signalling <= bytes; i += sizeof signalling)
        memcpy(g->placed + i, &signalling, sizeof signalling);
    EMPTY(g->placed, g->placed + bytes);
    forbid_around(g);
    return g->placed;
}

bool guarded_intact(const guarded *g) {
    bool intact = true;
    allow_around(g);
    for (const unsigned char *p = before(g); p < after(g); p++)
        if ((p < g->placed || p >= g->placed + g->bytes) && *p != CANARY) intact = false;
    forbid_around(g);
    return intact;
}

#ifdef _WIN32
/* There is no fork(). The environment says what the program that is started again is to do, and needs no quoting. An
 * empty value is an unset one. Programs are loaded anywhere, but the distance of two functions stays. */
#define BODY "CONVPOOL_TEST_BODY"
#define ARGUMENT "CONVPOOL_TEST_ARGUMENT"

bool is_alone(void) { return getenv(BODY) != NULL; }

int body_alone(void) {
    intptr_t at = (intptr_t)body_alone + (intptr_t)strtoll(getenv(BODY), NULL, 10);
    const char *argument = getenv(ARGUMENT);
    ((void (*)(const char *))at)(argument == NULL ? "" : argument);
    return checks_failed > 0 || checks_done == 0;
}

static void set(const char *name, const char *value) { _putenv_s(name, value == NULL ? "" : value); }

void alone(const char *value, void (*body)(const char *argument), const char *argument) {
    char distance[32], *kept = getenv("CONVPOOL_KERNEL");
    if (kept != NULL) kept = _strdup(kept);
    fflush(NULL);
    snprintf(distance, sizeof distance, "%" PRIdPTR, (intptr_t)body - (intptr_t)body_alone);
    set(BODY, distance);
    set(ARGUMENT, argument);
    set("CONVPOOL_KERNEL", value);
    /* -1 is the status of a process that was not started, as Wine was seen to do where the machine was busy. */
    intptr_t status = -1;
    for (unsigned tries = 0; tries < 5 && status == -1; tries++) {
        Sleep(tries * 1000);
        status = _spawnl(_P_WAIT, _pgmptr, "alone", (char *)NULL);
        if (status == -1) fprintf(stderr, "# not started: errno %d, system error %lu\n", errno, _doserrno);
    }
    set("CONVPOOL_KERNEL", kept);
    set(ARGUMENT, NULL);
    set(BODY, NULL);
    free(kept);
    CHECK(status == 0, "CONVPOOL_KERNEL=%s, '%s': exit status %" PRIdPTR, value == NULL ? "(unset)" : value, argument,
          status);
}
#elif !defined(__wasm__)
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
#endif
