/* SPDX-License-Identifier: MIT */
/* A test of each word of the vector vocabulary, for each ISA in its own words: words_<isa>, ended by {NULL, NULL}. */
#ifndef CONVPOOL_WORDS_H
#define CONVPOOL_WORDS_H

typedef struct word_test {
    const char *word;
    void (*run)(const char *isa); /* for messages */
} word_test;

#endif
