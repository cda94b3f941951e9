/* SPDX-License-Identifier: MIT */
/* The network of digits.c from one header, which network.py writes, and no heap: names the digit in a 27x27 PGM image
 * without comments on stdin. */
#include "digits.h"

#include <stdio.h>

static unsigned char memory[DIGITS_MEMORY_MAX], scratch[DIGITS_SCRATCH_MAX];
static float image[DIGITS_INPUTS], scores[DIGITS_OUTPUTS];

int main(void) {
    convpool_network *network;
    convpool_status status = digits_create_in(memory, sizeof memory, &network);
    if (status != CONVPOOL_OK) return fprintf(stderr, "%s\n", convpool_status_string(status)), 1;
    if (!digits_self_test(network, image, scores, scratch)) fprintf(stderr, "other bits than when it was made\n");
    unsigned width, height, maximum;
    if (scanf("P5 %u %u %u", &width, &height, &maximum) != 3 || getchar() == EOF) return 2;
    if (width * height != DIGITS_INPUTS || maximum != 255) return fprintf(stderr, "not 27x27 pixels of 8 bits\n"), 2;
    for (int i = 0; i < DIGITS_INPUTS; i++)
        image[i] = (float)getchar() / 255;
    convpool_network_run(network, image, scores, scratch);
    int digit = 0;
    for (int k = 1; k < DIGITS_OUTPUTS; k++)
        if (scores[k] > scores[digit]) digit = k;
    printf("%d (%.3f)\n", digit, (double)scores[digit]);
    return 0;
}
