# SPDX-License-Identifier: MIT
"""The question that the project began with: a layer was trained with Theano, whose users had to install a compiler; how do
others apply it? With SciPy, in 0.084 s at the time, or like this.

    python examples/theano_layer.py

Weights are [outputs, channels, height, width], and the filter is flipped, as Theano's conv2d and SciPy's convolve2d
have it. Prints how long each way takes here, and how far it is from the first.
"""

import statistics
import time

import numpy as np

import convpool

chance = np.random.default_rng(0)
W = chance.normal(0, 0.1, (32, 16, 2, 2)).astype(np.float32)
b = chance.normal(0, 0.1, 32).astype(np.float32)
x = chance.random((16, 25, 25), np.float32)


def with_scipy():
    """One call of convolve2d for each pair of channels, as the program had it."""
    from scipy.signal import convolve2d

    y = np.array([sum(convolve2d(x[c], W[o, c], "valid") for c in range(16)) + b[o] for o in range(32)])
    return np.maximum(y.reshape(32, 12, 2, 12, 2).max((2, 4)), 0)


def with_numpy():
    """What NumPy does fastest, as far as we know: all that an output reads in a column, and one matrix product."""
    columns = np.empty((16, 2, 2, 24, 24), np.float32)
    for u in (0, 1):
        for v in (0, 1):
            columns[:, u, v] = x[:, 1 - u : 25 - u, 1 - v : 25 - v]
    y = (W.reshape(32, 64) @ columns.reshape(64, 576)).reshape(32, 24, 24)
    y = np.maximum(y[:, ::2], y[:, 1::2])
    return np.maximum(np.maximum(y[:, :, ::2], y[:, :, 1::2]) + b[:, None, None], 0)


def with_convpool():
    """The weights packed anew at each call."""
    return convpool.conv_layer((W, b), x)


layer = convpool.Layer(W, b, in_shape=x.shape, filter="convolution")


def with_a_layer():
    """The weights packed once."""
    return layer(x)


expected = None
for function in (with_scipy, with_numpy, with_convpool, with_a_layer):
    try:
        y = function()
    except ImportError:
        print(f"{function.__name__:14} SciPy is not installed")
        continue
    times = []
    for _ in range(100 if function is not with_scipy else 10):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    expected = y if expected is None else expected
    print(f"{function.__name__:14} {1e6 * statistics.median(times):10.1f} us   off by {np.abs(y - expected).max():.1e}")
print("kernel:", layer.kernel)
