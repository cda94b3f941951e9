# SPDX-License-Identifier: MIT
"""Small convolutional neural networks, applied to one image at a time, in microseconds.

>>> import convpool
>>> net = convpool.load("model.h5")  # doctest: +SKIP
>>> probabilities = net(image)  # doctest: +SKIP
"""

from ._file import load
from ._layer import Layer, conv_layer
from ._library import kernels, version
from ._merge import UnsupportedError
from ._network import Network
from ._parts import (
    Activation,
    AveragePool,
    Dense,
    Depthwise,
    GlobalAverage,
    GlobalMax,
    LogSoftmax,
    MaxPool,
    Scale,
    Softmax,
)

__all__ = [
    "Activation",
    "AveragePool",
    "Dense",
    "Depthwise",
    "GlobalAverage",
    "GlobalMax",
    "Layer",
    "LogSoftmax",
    "MaxPool",
    "Network",
    "Scale",
    "Softmax",
    "UnsupportedError",
    "conv_layer",
    "kernels",
    "load",
    "version",
]
