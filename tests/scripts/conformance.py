#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the conformance vectors: tests/scripts/conformance.py FOLDER. README.md there says what they are.

Every expected result is computed twice over the documented order, with fused multiply-add and with two roundings, and
from the exact sum; a case on which these differ is an error here."""
import os
import sys
from fractions import Fraction

import numpy as np

F = np.float32
NAN, INF = F(np.nan), F(np.inf)
MOST, LEAST, NORMAL = np.finfo(F).max, F(2.0**-149), F(2.0**-126)
DENORMAL = NORMAL - LEAST  # the largest


def rounded(exact):
    """A fraction as the nearest float32, ties to even; overflow to infinity."""
    if exact == 0:
        return F(0)
    power = -149
    while abs(exact) >= Fraction(2) ** (power + 24):
        power += 1
    value = round(exact / Fraction(2) ** power) * Fraction(2) ** power  # Python rounds to even
    return F(float(value)) if abs(value) < Fraction(2) ** 128 else np.copysign(INF, F(1 if value > 0 else -1))


def fused(a, b, c):
    if np.isfinite(a) and np.isfinite(b) and np.isfinite(c):
        return rounded(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))
    return a * b + c


def convolve(x, w, b):
    """The 2x2 outputs for 3x3 inputs."""
    y = np.zeros((2, 2), F)
    for i in range(2):
        for j in range(2):
            terms = [(x[i + u, j + v], w[u, v]) for u in range(2) for v in range(2)]
            one = two = F(0)
            for d, g in terms:
                one, two = fused(d, g, one), two + d * g
            results = [one + b, two + b]
            if all(np.isfinite(t).all() for t in terms) and np.isfinite(one):
                results.append(rounded(sum(Fraction(float(d)) * Fraction(float(g)) for d, g in terms)) + b)
            assert all(np.array_equal(r, results[0], equal_nan=True) for r in results), (x, w, b, results)
            y[i, j] = results[0]
    return y


def maximum(values):
    return NAN if np.isnan(values).any() else values.max()


def relu(value):
    return value if value > 0 or np.isnan(value) else F(0)


cases = []


def case(x, w, b=0):
    cases.append((np.array(x, F).reshape(3, 3), np.array(w, F).reshape(2, 2), F(b)))


def at(position, value, around):
    x = np.array(around, F)
    x[position] = value
    return x


# Winograd's transforms are exact on small integers, with weights that are multiples of 4.
plain, weights, none = [1, -2, 3, 5, -4, 2, -3, 6, 1], [4, -8, 12, 4], [0] * 9
for value in NAN, -NAN, INF, -INF, MOST, -MOST:
    for position in range(9):
        case(at(position, value, plain), [1, -1, 1, -1] if abs(value) == MOST else weights)
    case(plain, weights, value)
for value in NAN, INF, -INF:
    for position in range(4):
        case(plain, at(position, value, weights))
        case(none, at(position, value, weights))  # infinity times zero
        case(at(4, INF, plain), at(position, value, weights))
for first in range(9):  # infinities that meet
    for second in range(9):
        if first != second:
            case(at(second, -INF, at(first, INF, plain)), weights)
for position in range(9):
    case(at(position, MOST, none), [4, 4, 4, 4])  # overflow
    case(at(position, MOST, none), [-4, -4, -4, -4])
    case(at(position, MOST, none), [1, 1, 1, 1], -MOST)
    case(at(position, NAN, at((position + 4) % 9, INF, plain)), weights)
for x in 0.0, -0.0:  # zeros of either sign
    for w in 4.0, -4.0, 0.0, -0.0:
        for b in 0.0, -0.0:
            case([x] * 9, [w] * 4, b)
for value in LEAST, -LEAST, DENORMAL, -DENORMAL, NORMAL, -NORMAL:  # denormal inputs, results, and both
    for position in range(9):
        case(at(position, value, none), [4, -4, 8, -8] if abs(value) != DENORMAL else [4, -4, 4, -4])
    case([value] * 9, [4, -4, 8, -8])
    case(none, weights, value)
    case([value] * 9, [4, -4, 4, -4], -value)
    few = value if abs(value) != DENORMAL else value * F(2.0**-20)  # so few bits that every algorithm's sums hold them
    case([few] * 9, [2.0**100, -(2.0**101), 2.0**100, 2.0**102])  # denormal inputs, normal results
    case([1] * 9, at(0, 4 * LEAST, [8 * LEAST, -4 * LEAST, 16 * LEAST, 4 * LEAST]), value)  # denormal weights
    case([2.0**-60] * 9, [2.0**-86, -(2.0**-80), 2.0**-80, 2.0**-70])  # their product is
for b in DENORMAL, -DENORMAL:
    case([LEAST] * 9, [4, 4, 4, 4], b)  # from denormal to normal by a carry

pools = [at(position, value, [1, -2, 3, -4]) for position in range(4)
         for value in (NAN, -NAN, INF, -INF, MOST, -MOST, LEAST, -LEAST, DENORMAL, -0.0)]
pools += [at(position, value, [-INF] * 4) for position in range(4) for value in (NAN, -MOST, -LEAST, 0.0)]
pools += [at(position, NAN, [INF] * 4) for position in range(4)] + [[NAN] * 4, [-0.0] * 4, [0, -0.0, -1, -2], [LEAST, DENORMAL, NORMAL, 0]]
relus = [NAN, -NAN, INF, -INF, MOST, -MOST, 1, -1, NORMAL, -NORMAL, DENORMAL, -DENORMAL, LEAST, -LEAST, 0.0, -0.0]


def main():
    folder = sys.argv[1]
    pool_input, relu_input = np.array(pools, F).reshape(-1, 2, 2), np.array(relus, F)
    with np.errstate(all="ignore"):
        outputs = np.array([convolve(*c) for c in cases], F)
    pooled = np.array([maximum(y) for y in outputs], F)
    for name, array in {
        "layer_input": np.array([x for x, _, _ in cases], F),
        "layer_weights": np.array([w for _, w, _ in cases], F),
        "layer_bias": np.array([b for _, _, b in cases], F),
        "layer_output": outputs,
        "layer_output_relu": np.array([relu(y) for y in outputs.flat], F).reshape(outputs.shape),
        "layer_pooled": pooled,
        "layer_pooled_relu": np.array([relu(y) for y in pooled], F),
        "pool_input": pool_input,
        "pool_output": np.array([maximum(x) for x in pool_input], F),
        "relu_input": relu_input,
        "relu_output": np.array([relu(x) for x in relu_input], F),
    }.items():
        np.save(os.path.join(folder, name + ".npy"), array.astype("<f4"))
    print(len(cases), "layers,", len(pools), "windows,", len(relus), "numbers")


main()
