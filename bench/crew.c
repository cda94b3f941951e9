/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "crew.h"

#ifdef __wasm__ /* which has no threads */
bool crew_start(size_t count) { return count == 1; }
void crew_run(size_t count, void (*work)(void *context, size_t i), void *context) {
    for (size_t i = 0; i < count; i++)
        work(context, i);
}
#else
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/* What the threads are to do: they wait for its number to change. Waiting is by polling, as a system call to wake a
 * thread takes longer than a small layer. */
static struct {
    atomic_size_t number, running;
    size_t count;
    void (*work)(void *context, size_t i);
    void *context;
} task;

static void stay_on(size_t i) {
#ifdef __linux__
    static cpu_set_t allowed;
    static size_t first; /* the caller's own CPU, counted among those allowed */
    if (i == 0) {
        sched_getaffinity(0, sizeof allowed, &allowed);
        for (int n = 0; n < sched_getcpu(); n++)
            first += CPU_ISSET((size_t)n, &allowed) != 0;
    }
    size_t count = (size_t)CPU_COUNT(&allowed), cpu = 0;
    for (size_t left = count ? (first + i) % count : 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && left-- == 0) break;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof own, &own);
#else
    (void)i;
#endif
}

static size_t await(atomic_size_t *value, size_t old) {
    size_t now;
    for (unsigned polls = 0; (now = atomic_load_explicit(value, memory_order_acquire)) == old; polls++)
        if (polls % 1024 == 1023) sched_yield();
    return now;
}

static void *attend(void *argument) {
    size_t i = (size_t)(uintptr_t)argument;
    stay_on(i);
    for (size_t done = 0;;) {
        done = await(&task.number, done);
        if (i < task.count) task.work(task.context, i);
        atomic_fetch_sub_explicit(&task.running, 1, memory_order_release);
    }
    return NULL;
}

static size_t crew;

bool crew_start(size_t count) {
    stay_on(0);
    for (crew = 1; crew < count; crew++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, attend, (void *)(uintptr_t)crew) != 0) return false;
        pthread_detach(thread);
    }
    return true;
}

void crew_run(size_t count, void (*work)(void *context, size_t i), void *context) {
    task.count = count;
    task.work = work;
    task.context = context;
    atomic_store_explicit(&task.running, crew - 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&task.number, 1, memory_order_release);
    work(context, 0);
    for (size_t left = crew - 1; left > 0;)
        left = atomic_load_explicit(&task.running, memory_order_acquire);
}
#endif
