/* SPDX-License-Identifier: MIT */
/* What this CPU can do: the only file that knows cpu_features, of which CONVPOOL_CPU_FEATURES is the header's name. A
 * build without it asks the compiler's own runtime, unless it holds only kernels that every CPU of its architecture can
 * run. */
#include "../kernels/list.h"
#include "dispatch.h"
#include "once.h"

#include <stdio.h>
#include <string.h>

#ifdef CONVPOOL_CPU_FEATURES
#include CONVPOOL_CPU_FEATURES
#endif

#define MAY_LACK_SOME (0 CONVPOOL_AVX512(CONVPOOL_PLUS_ONE) CONVPOOL_AVX2(CONVPOOL_PLUS_ONE))

/* The first of an ISA's needs that is not met is given as the reason. Both report AVX2 and AVX-512F only
 * where the operating system saves their registers. */
static const struct {
    unsigned bit;
    const char *name, *reason;
} needs_table[] = {
    {CONVPOOL_NEEDS_SSE2, "sse2", "the CPU has no SSE2"},
    {CONVPOOL_NEEDS_AVX2, "avx2", "the CPU has no AVX2, or the operating system does not enable it"},
    {CONVPOOL_NEEDS_FMA3, "fma3", "the CPU has no FMA3"},
    {CONVPOOL_NEEDS_AVX512F, "avx512f", "the CPU has no AVX-512F, or the operating system does not enable it"},
    {CONVPOOL_NEEDS_AVX512BW, "avx512bw", "the CPU has no AVX-512BW"},
    {CONVPOOL_NEEDS_AVX512DQ, "avx512dq", "the CPU has no AVX-512DQ"},
    {CONVPOOL_NEEDS_AVX512VL, "avx512vl", "the CPU has no AVX-512VL"},
};
enum { needs_count = sizeof needs_table / sizeof *needs_table };

static unsigned ask(void) {
    unsigned features = 0;
#ifdef __SSE2__
    features |= CONVPOOL_NEEDS_SSE2; /* the compiler already takes it for granted */
#endif
#ifdef CONVPOOL_CPU_FEATURES
    X86Features x86 = GetX86Info().features;
    if (x86.sse2) features |= CONVPOOL_NEEDS_SSE2;
    if (x86.avx2) features |= CONVPOOL_NEEDS_AVX2;
    if (x86.fma3) features |= CONVPOOL_NEEDS_FMA3;
    if (x86.avx512f) features |= CONVPOOL_NEEDS_AVX512F;
    if (x86.avx512bw) features |= CONVPOOL_NEEDS_AVX512BW;
    if (x86.avx512dq) features |= CONVPOOL_NEEDS_AVX512DQ;
    if (x86.avx512vl) features |= CONVPOOL_NEEDS_AVX512VL;
#elif MAY_LACK_SOME
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse2")) features |= CONVPOOL_NEEDS_SSE2;
    if (__builtin_cpu_supports("avx2")) features |= CONVPOOL_NEEDS_AVX2;
    if (__builtin_cpu_supports("fma")) features |= CONVPOOL_NEEDS_FMA3;
    if (__builtin_cpu_supports("avx512f")) features |= CONVPOOL_NEEDS_AVX512F;
    if (__builtin_cpu_supports("avx512bw")) features |= CONVPOOL_NEEDS_AVX512BW;
    if (__builtin_cpu_supports("avx512dq")) features |= CONVPOOL_NEEDS_AVX512DQ;
    if (__builtin_cpu_supports("avx512vl")) features |= CONVPOOL_NEEDS_AVX512VL;
#endif
    return features;
}

unsigned convpool_cpu_features(void) {
    /* Threads that come first together all ask, and get the same answer. */
    static once known;
    const unsigned asked = 1u << 31;
    unsigned features = (unsigned)once_get(&known);
    if (!features) {
        features = ask() | asked;
        once_set(&known, features);
    }
    return features & ~asked;
}

const char *convpool_cpu_reason(unsigned needs, unsigned features) {
    for (size_t i = 0; i < needs_count; i++)
        if (needs & ~features & needs_table[i].bit) return needs_table[i].reason;
    return "";
}

void convpool_cpu_feature_names(unsigned features, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < needs_count; i++)
        if (features & needs_table[i].bit && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", needs_table[i].name);
}

convpool_cpu convpool_cpu_describe(void) {
    convpool_cpu cpu = {.name = "unknown"};
#ifdef CONVPOOL_CPU_FEATURES
    X86Info info = GetX86Info();
    CacheInfo caches = GetX86CacheInfo();
    size_t length = strlen(info.brand_string); /* often padded with spaces */
    while (length > 0 && info.brand_string[length - 1] == ' ')
        info.brand_string[--length] = 0;
    if (length > 0) snprintf(cpu.name, sizeof cpu.name, "%s", info.brand_string + strspn(info.brand_string, " "));
    snprintf(cpu.vendor, sizeof cpu.vendor, "%s", info.vendor);
    cpu.family = info.family, cpu.model = info.model, cpu.stepping = info.stepping;
    for (int i = 0; i < caches.size; i++) {
        const CacheLevelInfo *cache = &caches.levels[i];
        bool holds_data = cache->cache_type == CPU_FEATURE_CACHE_DATA || cache->cache_type == CPU_FEATURE_CACHE_UNIFIED;
        if (holds_data && cache->level >= 1 && cache->level <= 3)
            cpu.cache[cache->level - 1] = (size_t)cache->cache_size;
    }
#endif
    return cpu;
}
