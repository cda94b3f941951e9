/* SPDX-License-Identifier: MIT */
/* A word that threads may set at the same time, without a lock: the first value stays. */
#ifndef CONVPOOL_ONCE_H
#define CONVPOOL_ONCE_H

#include <stddef.h>
#include <stdint.h>

/* once_get() returns the word, 0 until it is set. once_set() sets it to a value that is not 0, unless it has been set,
 * and returns what it was. */
#ifdef _MSC_VER /* whose headers have no C11 atomics unless they are asked for */
#include <intrin.h>
typedef void *volatile once;
static inline uintptr_t once_set(once *word, uintptr_t value) {
    return (uintptr_t)_InterlockedCompareExchangePointer(word, (void *)value, NULL);
}
static inline uintptr_t once_get(once *word) { return once_set(word, 0); }
#else
#include <stdatomic.h>
typedef atomic_uintptr_t once;
static inline uintptr_t once_set(once *word, uintptr_t value) {
    uintptr_t was = 0;
    atomic_compare_exchange_strong(word, &was, value);
    return was;
}
static inline uintptr_t once_get(once *word) { return atomic_load_explicit(word, memory_order_relaxed); }
#endif

#endif
