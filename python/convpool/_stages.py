# SPDX-License-Identifier: MIT
"""What a network is made of: stages, as they run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from . import _library

Shape = tuple[int, int, int]  # channels, height, width
Padding = Union[str, int, Sequence[int]]
Array = NDArray[Any]

LARGEST = 1 << 30  # extent, stride or padding

MONOTONE = ("relu", "none", "relu6", "sigmoid", "tanh")


@dataclasses.dataclass
class Stage:
    """One stage, as convpool_stage has it. Weights of a layer are OIHW, a depthwise one's [channels, 1, height, width];
    those of a scale, and slopes, are one for each channel, or [height, width, channels]."""

    kind: str
    name: str = ""
    weights: Array | None = None
    bias: Array | None = None
    window: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    pool: str = "none"
    activation: str = "none"
    parameter: float = 0.0
    slopes: Array | None = None
    kernel: str | None = None

    def output_shape(self, shape: Shape) -> Shape:
        """What comes out where an image of this shape comes in; ValueError where that cannot be."""
        channels, height, width = shape
        numbers = (*shape, *self.window, *self.strides, *self.pads)
        if min(numbers) < 0 or max(numbers) > LARGEST:
            raise ValueError(f"{self.label}: sizes must be from 0 to {LARGEST}, not {numbers}")
        if (self.convolves or self.kind == "scale") and self.weights is None:
            raise ValueError(f"{self.label} has no weights")
        if self.convolves:
            assert self.weights is not None
            if self.weights.ndim != 4 or self.weights.shape[2:] != self.window:
                raise ValueError(f"{self.label}: weights of shape {self.weights.shape} for a filter of {self.window}")
            inputs = self.weights.shape[1 if self.kind == "layer" else 0]
            if inputs != channels or (self.kind == "depthwise" and self.weights.shape[1] != 1):
                raise ValueError(f"{self.label}: weights for {inputs} input channels, but {channels} come in")
            channels = self.weights.shape[0]
        if self.kind in ("softmax", "log_softmax") and (height, width) != (1, 1):
            raise ValueError(f"{self.label}: softmax is over the channels of one pixel, but {height}x{width} come in")
        if self.activation == "prelu" and (self.convolves or self.kind == "activation") and self.slopes is None:
            raise ValueError(f"{self.label} has no slopes")
        own = self.weights if self.kind == "scale" else None
        bias = self.bias if self.convolves or self.kind == "scale" else None
        fitting = (height, width, channels) if self.by_number else (channels,)
        for values, what in ((own, "weights"), (bias, "a bias"), (self.slopes, "slopes")):
            if values is not None and values.shape != fitting:
                raise ValueError(f"{self.label}: {what} of shape {values.shape} for {channels} channels")
        if self.kind in ("global_max", "global_average"):
            return channels, 1, 1
        if not self.has_window:
            return channels, height, width
        extents = []
        for extent, window, stride, before, after in zip(
            (height, width), self.window, self.strides, self.pads[:2], self.pads[2:]
        ):
            if min(window, stride) < 1 or min(before, after) < 0 or window > before + extent + after:
                raise ValueError(
                    f"{self.label}: a window of {window} over {extent} pixels, padded by {before} and {after}"
                )
            extents.append((before + extent + after - window) // stride + 1)
        if self.pool != "none" and self.kind == "layer":
            extents = [(extent + (self.pool == "ceil")) // 2 for extent in extents]
        if 0 in extents:
            raise ValueError(f"{self.label}: pooling leaves nothing of a {height}x{width} image")
        return channels, extents[0], extents[1]

    def arrays(self) -> dict[str, Array]:
        """What it has of weights, bias and slopes, by the field's name."""
        fields = {"weights": self.weights, "bias": self.bias, "slopes": self.slopes}
        return {field: values for field, values in fields.items() if values is not None}

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution, of all channels or of each."""
        return self.kind in ("layer", "depthwise")

    @property
    def has_window(self) -> bool:
        """Whether it has a window, strides and padding."""
        return self.convolves or self.kind in ("max_pool", "average_pool")

    @property
    def by_number(self) -> bool:
        """Whether it has weights or slopes for each number of the image, not for each channel."""
        values = {"scale": self.weights, "activation": self.slopes}.get(self.kind)
        return values is not None and values.ndim == 3

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.kind} {self.name!r}" if self.name else self.kind

    def multiply_adds(self, shape: Shape) -> int:
        """How many multiplications and additions a direct convolution takes."""
        if not self.convolves or self.weights is None:
            return 0
        alone = dataclasses.replace(self, pool="none").output_shape(shape)
        return int(self.weights.size) * alone[1] * alone[2]

    def to_c(self, shape: Shape) -> tuple[_library.Stage, list[Array]]:
        """The C struct, and the arrays that it points to."""
        shape = (math.prod(shape), 1, 1) if self.by_number else shape
        spec = _library.Spec(
            in_channels=shape[0],
            in_height=shape[1],
            in_width=shape[2],
            pool=_library.POOLS.index(self.pool),
            activation=_library.ACTIVATIONS.index(self.activation),
            activation_parameter=self.parameter,
            kernel=self.kernel.encode() if self.kernel else None,
            filter_height=self.window[0],
            filter_width=self.window[1],
            stride_height=self.strides[0],
            stride_width=self.strides[1],
        )
        spec.pad_top, spec.pad_left, spec.pad_bottom, spec.pad_right = self.pads
        stage = _library.Stage(kind=_library.KINDS[self.kind], spec=spec)
        kept: list[Array] = []
        for field, values in self.arrays().items():
            kept.append(_library.as_float32(values, field))
            setattr(stage.spec if field == "slopes" else stage, field, _library.address(kept[-1]))
        if self.kind == "layer" and self.weights is not None:
            stage.spec.out_channels = self.weights.shape[0]
        return stage, kept


class Plan(NamedTuple):
    """A network: its stages, the image's shape, and of what goes in and what comes out the shape and the layout."""

    stages: list[Stage]
    shape: Shape
    outside: tuple[tuple[int, ...], str]
    result: tuple[tuple[int, ...], str]


def to_chw(shape: tuple[int, ...], layout: str) -> Shape:
    """Channels, height and width of an image's shape; one number is as many channels of one pixel."""
    if len(shape) == 1:
        return shape[0], 1, 1
    if len(shape) != 3:
        raise ValueError(f"an image has three extents, {layout}, or one, not {shape}")
    return (shape[2], shape[0], shape[1]) if layout == "HWC" else (shape[0], shape[1], shape[2])


def integers(value: object, least: int) -> tuple[int, ...]:
    """An integer or several, of a size that makes sense, as a tuple; an empty one where it is something else."""
    numbers = tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else (value,)
    good = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers)
    return tuple(map(int, numbers)) if good and all(least <= n <= LARGEST for n in numbers) else ()


def image_shape(value: object) -> tuple[int, ...]:
    """The shape of an image: positive integers."""
    numbers = integers(value, 1)
    if not numbers or isinstance(value, (int, np.integer)):
        raise ValueError(f"in_shape must hold positive integers, not {value!r}")
    return numbers


def texts(kernel: object, name: object) -> tuple[str | None, str]:
    """A kernel's name, which may be None, and a stage's."""
    if not (kernel is None or isinstance(kernel, str)) or not isinstance(name, str):
        raise TypeError(f"kernel and name must be strings, not {kernel!r} and {name!r}")
    return kernel, name


def pair(value: int | Sequence[int], what: str) -> tuple[int, int]:
    """A number for both dimensions, or one for each: down, across."""
    numbers = integers(value, 1)
    if len(numbers) not in (1, 2):
        raise ValueError(f"{what} must be a positive integer or two, not {value!r}")
    return numbers[0], numbers[-1]


def same_pads(extents: tuple[int, int], window: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int, int, int]:
    """What keeps an image's extents, but for strides: half before, the rest after."""
    whole = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(extents, window, strides)]
    return whole[0] // 2, whole[1] // 2, whole[0] - whole[0] // 2, whole[1] - whole[1] // 2


def dilated(window: Sequence[int], dilations: tuple[int, int]) -> tuple[int, int]:
    """The extents of a filter whose weights are that far apart."""
    return (window[0] - 1) * dilations[0] + 1, (window[1] - 1) * dilations[1] + 1


def pads(
    padding: Padding, shape: Shape, window: tuple[int, int], strides: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Rows and columns of padding: top, left, bottom, right. 'same' is Keras': half before, the rest after."""
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"padding must be 'valid', 'same' or numbers, not {padding!r}")
        return same_pads(shape[1:], window, strides) if padding == "same" else (0, 0, 0, 0)
    numbers = integers(padding, 0)
    numbers = numbers * (4 // len(numbers)) if len(numbers) in (1, 2) else numbers
    if len(numbers) != 4:
        raise ValueError(
            "padding must be 'valid', 'same', or numbers of at least 0: one, two (down, across) or four (top, left, "
            f"bottom, right), not {padding!r}"
        )
    return numbers[0], numbers[1], numbers[2], numbers[3]
