/* SPDX-License-Identifier: MIT */
/* What the library asks of the system: every allocation made to fail in turn, none while a layer runs, no system call
 * there either, no trap where floating-point exceptions are unmasked, and the stack that a run takes. Linux only;
 * prints TAP. Linked so that whatever the library and cpu_features allocate passes through here. */
#define _GNU_SOURCE
#include "convpool.h"

#include <fenv.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t tests, failures;

static void report(bool ok, const char *what, const char *figure, size_t count) {
    tests++;
    failures += !ok;
    printf("%sok %zu - %s\n# %s: %zu\n", ok ? "" : "not ", tests, what, figure, count);
    fflush(stdout);
}

/* ---- Allocations ---- */

static size_t asked, failing = SIZE_MAX; /* allocations since the last reset; which of them fails */
static long balance;                     /* allocated and not freed */

static bool granted(void) { return asked++ != failing; }

/* What the linker puts in the place of the C library's functions, and those. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void __wrap_free(void *memory);

static void *counted(void *memory) {
    balance += memory != NULL;
    return memory;
}
void *__wrap_malloc(size_t size) { return granted() ? counted(__real_malloc(size)) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return granted() ? counted(__real_calloc(count, size)) : NULL; }
void *__wrap_realloc(void *old, size_t size) {
    balance -= old != NULL;
    return granted() ? counted(__real_realloc(old, size)) : NULL;
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return granted() ? counted(__real_aligned_alloc(alignment, size)) : NULL;
}
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    if (!granted()) return 12; /* ENOMEM */
    int status = __real_posix_memalign(memory, alignment, size);
    balance += status == 0;
    return status;
}
void __wrap_free(void *memory) {
    balance -= memory != NULL;
    __real_free(memory);
}

/* ---- Layers to run ---- */

static const size_t shapes[][4] = {{1, 3, 3, 1},     {1, 53, 53, 16}, {3, 40, 37, 7},    {16, 25, 25, 32},
                                   {50, 14, 15, 19}, {8, 5, 140, 4},  {200, 12, 12, 40}, {2, 300, 9, 5}};
enum {
    SHAPES = sizeof shapes / sizeof *shapes,
    MOST_IN = 200 * 144,
    MOST_OUT = 16 * 53 * 53,
    MOST_WEIGHTS = 200 * 40 * 9
};
static float weights[MOST_WEIGHTS], input[MOST_IN], output[MOST_OUT], bias[64];
static unsigned char scratch[CONVPOOL_LAYER_SCRATCH_MAX_FILTER(200, 14, 14, 40, 3, 3)];

static convpool_layer_spec spec_of(size_t shape, unsigned mode, const char *kernel) {
    convpool_layer_spec spec = {.in_channels = shapes[shape][0],
                                .in_height = shapes[shape][1],
                                .in_width = shapes[shape][2],
                                .out_channels = shapes[shape][3],
                                .pool = mode & 1 ? CONVPOOL_POOL_NONE : CONVPOOL_POOL_MAX_2X2,
                                .activation = mode & 2 ? CONVPOOL_ACTIVATION_NONE : CONVPOOL_ACTIVATION_RELU,
                                .kernel = kernel};
    if (kernel != NULL && convpool_layer_memory_size(&spec) == 0) { /* of another filter, then */
        spec.filter_height = spec.filter_width = 3;
        spec.pad_top = spec.pad_left = spec.pad_bottom = spec.pad_right = 1;
        spec.input_layout = spec.output_layout = shape % 2 ? CONVPOOL_IMAGE_HWC : CONVPOOL_IMAGE_CHW;
        if (mode == 1) spec.activation = CONVPOOL_ACTIVATION_SIGMOID;
    }
    return spec;
}

/* A network of every kind of stage, whose weights are those of all. */
enum { STAGES = 9, NETWORK_SCRATCH = 65536 };
static convpool_network *network;
static unsigned char network_scratch[NETWORK_SCRATCH];

static void make_stages(convpool_stage stages[STAGES]) {
    memset(stages, 0, STAGES * sizeof *stages);
    for (int i = 0; i < STAGES; i++)
        stages[i].kind = (convpool_stage_kind)i, stages[i].weights = weights, stages[i].bias = bias;
    stages[0].spec = (convpool_layer_spec){
        .in_channels = 3, .in_height = 20, .in_width = 21, .out_channels = 10, .pool = CONVPOOL_POOL_NONE};
    stages[CONVPOOL_STAGE_ACTIVATION].spec.activation = CONVPOOL_ACTIVATION_TANH;
}

/* Everything that runs on this layer; its image has an infinity in one of two runs. Returns how many calls failed. */
static size_t run_all(const convpool_layer *layer) {
    size_t channels, height, width, wrong = 0;
    convpool_layer_output_shape(layer, &channels, &height, &width);
    for (int i = 0; i < 2; i++) {
        input[0] = i ? 1 / (float)0x1p-149f : 0;
        wrong += convpool_layer_run(layer, input, output, scratch) != CONVPOOL_OK;
        wrong += convpool_layer_run_rows(layer, input, output, scratch, height / 2, height - height / 2) != CONVPOOL_OK;
    }
    wrong += convpool_relu(input, 77, output) != CONVPOOL_OK;
    wrong += convpool_max_pool_2x2(input, 2, 7, 11, output) != CONVPOOL_OK;
    wrong += convpool_global_average(input, 2, 7, 11, output) != CONVPOOL_OK;
    wrong += convpool_softmax(input, 77, output) != CONVPOOL_OK;
    wrong += !(convpool_layer_error_bound(layer, 1) >= 0);
    wrong += convpool_network_run(network, input, output, network_scratch) != CONVPOOL_OK;
    return wrong;
}

/* Calls body for a layer of every shape, mode and supported kernel; returns how many. */
static size_t for_each_layer(void (*body)(const convpool_layer *layer)) {
    size_t count = 0;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++)
        for (size_t shape = 0; shape < SHAPES && info.supported; shape++)
            for (unsigned mode = 0; mode < 4; mode++, count++) {
                convpool_layer_spec spec = spec_of(shape, mode, info.name);
                convpool_layer *layer = NULL;
                if (convpool_layer_create(&spec, weights, bias, &layer) != CONVPOOL_OK) abort();
                body(layer);
                convpool_layer_destroy(layer);
            }
    return count;
}

/* ---- The tests ---- */

/* The first call of the process comes first: it asks the CPU and the environment. */
static void every_allocation_fails_in_turn(void) {
    size_t injected = 0, wrong = 0;
    convpool_kernel_info info = {.name = NULL, .supported = true}; /* first the automatic choice */
    for (size_t k = 0;; k++) {
        for (size_t shape = 0; shape < SHAPES && info.supported; shape++)
            for (failing = 0;; failing++) {
                convpool_layer_spec spec = spec_of(shape, (unsigned)k % 4, info.name);
                convpool_layer *layer = (convpool_layer *)(void *)input;
                long before = balance;
                asked = 0;
                convpool_status status = convpool_layer_create(&spec, weights, k % 2 ? bias : NULL, &layer);
                if (asked <= failing) { /* none was left to fail */
                    wrong += status != CONVPOOL_OK || layer == NULL || asked != 1;
                    convpool_layer_destroy(layer);
                    wrong += balance != before;
                    break;
                }
                injected++;
                wrong += status != CONVPOOL_OUT_OF_MEMORY || layer != NULL || balance != before;
            }
        if (!convpool_kernel_get(k, &info)) break;
    }
    failing = SIZE_MAX;
    report(wrong == 0 && injected > 0, "create says that memory is out, and loses none", "faults injected", injected);
}

/* The same of a network, whose weights are all that it allocates for. */
static void every_allocation_of_a_network_fails(void) {
    convpool_stage stages[STAGES];
    make_stages(stages);
    size_t wrong = 0;
    for (failing = 0; failing < 2; failing++) {
        long before = balance;
        asked = 0;
        network = (convpool_network *)(void *)input;
        convpool_status status = convpool_network_create(stages, STAGES, &network);
        wrong += failing == 0 ? status != CONVPOOL_OUT_OF_MEMORY || network != NULL || balance != before
                              : status != CONVPOOL_OK || asked != 1;
    }
    failing = SIZE_MAX;
    wrong += convpool_network_scratch_size(network) > sizeof network_scratch;
    report(wrong == 0, "convpool_network_create says that memory is out, and loses none", "wrong", wrong);
}

static size_t wrong_runs;

static void run_without_allocating(const convpool_layer *layer) {
    size_t before = asked;
    wrong_runs += run_all(layer) + (asked != before);
}

static void create_in_without_allocating(void) {
    static unsigned char memory[CONVPOOL_LAYER_MEMORY_MAX_FILTER(200, 40, 3, 3)];
    size_t wrong = 0, count = 0;
    convpool_kernel_info info;
    for (size_t k = 0; convpool_kernel_get(k, &info); k++)
        for (size_t shape = 0; shape < SHAPES && info.supported; shape++, count++) {
            convpool_layer_spec spec = spec_of(shape, 0, info.name);
            convpool_layer *layer;
            size_t before = asked;
            wrong += convpool_layer_create_in(&spec, weights, bias, memory, sizeof memory, &layer) != CONVPOOL_OK;
            convpool_layer_destroy(layer);
            wrong += asked != before;
        }
    static unsigned char of_network[65536];
    convpool_stage stages[STAGES];
    convpool_network *made;
    make_stages(stages);
    size_t before = asked;
    wrong += convpool_network_create_in(stages, STAGES, of_network, sizeof of_network, &made) != CONVPOOL_OK;
    convpool_network_destroy(made);
    wrong += asked != before;
    report(wrong == 0, "create_in and destroy allocate nothing", "layers", count);
}

/* Kills the process at any system call but exit_group. */
static void allow_no_system_call(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(2);
}

static bool call_system; /* whether the run is to be caught */
static size_t caught;

static void run_alone(const convpool_layer *layer) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        allow_no_system_call();
        size_t wrong = run_all(layer);
        if (call_system) syscall(SYS_getppid);
        syscall(SYS_exit_group, wrong != 0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    caught += WIFSIGNALED(status) && WTERMSIG(status) == 31; /* SIGSYS */
    wrong_runs += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* What programs do that have floating-point exceptions unmasked: everything, with finite numbers. One that was not
 * earned kills the process. */
static void run_unmasked(const convpool_layer *layer) {
    size_t channels, height, width;
    convpool_layer_output_shape(layer, &channels, &height, &width);
    wrong_runs += convpool_layer_run(layer, input, output, scratch) != CONVPOOL_OK;
    wrong_runs +=
        convpool_layer_run_rows(layer, input, output, scratch, height / 2, height - height / 2) != CONVPOOL_OK;
    wrong_runs += convpool_relu(input, 77, output) != CONVPOOL_OK;
    wrong_runs += convpool_max_pool_2x2(input, 2, 7, 11, output) != CONVPOOL_OK;
    wrong_runs += convpool_network_run(network, input, output, network_scratch) != CONVPOOL_OK;
    wrong_runs += !(convpool_layer_error_bound(layer, (double)INFINITY) >= 0);
}

static int status_unmasked(bool divides) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGFPE, SIG_DFL); /* a sanitizer may have taken it */
        feenableexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO);
        for (size_t i = 0; i + sizeof(uint32_t) <= sizeof scratch; i += sizeof(uint32_t))
            memcpy(scratch + i, &(uint32_t){0x7fa00000}, sizeof(uint32_t)); /* signalling NaN */
        input[0] = 1e37f;                                                   /* whose square overflows, and no sum */
        for_each_layer(run_unmasked);
        volatile float zero = 0;
        if (divides) zero = 1 / zero;
        _exit(wrong_runs != 0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return status;
}

/* The stack that a thread has used: how far down it is no longer painted. What convpool.h says of it holds for
 * optimized builds; sanitizers have frames of their own. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { STACK_MAX = 16 * 1024 };
#else
enum { STACK_MAX = 0 };
#endif
enum { STACK = 512 * 1024, PAINT = 0x5c };
static unsigned char *stack;

static void *run_on_painted_stack(void *layer) {
    if (layer != NULL) wrong_runs += run_all(layer);
    return NULL;
}

static size_t stack_used(const convpool_layer *layer) {
    pthread_attr_t attributes;
    pthread_t thread;
    memset(stack, PAINT, STACK);
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, stack, STACK) != 0 ||
        pthread_create(&thread, &attributes, run_on_painted_stack, (void *)(uintptr_t)layer) != 0)
        abort();
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    size_t untouched = 0;
    while (untouched < STACK && stack[untouched] == PAINT)
        untouched++;
    return STACK - untouched;
}

static size_t most_stack;

static void run_and_measure(const convpool_layer *layer) {
    size_t idle = stack_used(NULL), used = stack_used(layer);
    if (used > idle && used - idle > most_stack) most_stack = used - idle;
}

int main(void) {
    for (size_t i = 0; i < MOST_WEIGHTS; i++)
        weights[i] = (float)(i % 17) - 8;
    for (size_t i = 0; i < MOST_IN; i++)
        input[i] = (float)(i % 13) - 6;
    every_allocation_fails_in_turn();
    every_allocation_of_a_network_fails();

    size_t count = for_each_layer(run_without_allocating);
    report(wrong_runs == 0, "run allocates nothing", "layers", count);
    create_in_without_allocating();

    wrong_runs = 0;
    count = for_each_layer(run_alone);
    report(wrong_runs == 0 && caught == 0, "run makes no system call", "layers", count);
    call_system = true;
    caught = 0;
    count = for_each_layer(run_alone);
    report(caught == count, "which would be seen", "layers", caught);

#if defined(__x86_64__) || defined(__i386__) /* other architectures may have no traps */
    wrong_runs = 0;
    int finite = status_unmasked(false), divided = status_unmasked(true);
    report(WIFEXITED(finite) && WEXITSTATUS(finite) == 0, "finite numbers raise no exception", "exit status",
           (size_t)finite);
    report(WIFSIGNALED(divided) && WTERMSIG(divided) == SIGFPE, "which would be seen", "signal", (size_t)divided);
#endif

    if (STACK_MAX > 0) {
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) abort();
        wrong_runs = 0;
        for_each_layer(run_and_measure);
        report(wrong_runs == 0 && most_stack > 0 && most_stack <= STACK_MAX, "run takes no more stack than it says",
               "bytes at most", most_stack);
    }
    convpool_network_destroy(network);
    printf("1..%zu\n", tests);
    return failures > 0;
}
