# SPDX-License-Identifier: MIT
"""The classes with which one writes a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._stages import Padding, Shape, Stage, pads, pair, texts


def as_oihw(weights: object, layout: str, filter: str) -> NDArray[np.float32]:
    """Weights of a cross-correlation, from any layout; of a convolution they are flipped."""
    array = _library.as_float32(weights, "weights", copy=True)
    _library.pick(layout, _library.WEIGHTS_LAYOUTS, "weights_layout")
    if array.ndim != 4:
        raise ValueError(f"weights must have four dimensions, {layout}, not the shape {array.shape}")
    array = array.transpose([layout.index(axis) for axis in "OIHW"])
    if _library.pick(filter, _library.FILTERS, "filter"):
        array = array[:, :, ::-1, ::-1]
    return np.ascontiguousarray(array)


def as_bias(bias: object, *shape: int) -> NDArray[np.float32]:
    """A number for each output channel, or for each number of an image."""
    array = _library.as_float32(bias, "bias", copy=True)
    if array.shape != shape:
        what = ", one for each output channel" if len(shape) == 1 else ""
        raise ValueError(f"bias must have the shape {shape}{what}, not {array.shape}")
    return array


def checked_activation(
    activation: str | None, parameter: float, slopes: object, channels: int | None
) -> dict[str, Any]:
    """The fields of a Stage that an activation takes."""
    index = _library.pick(activation, _library.ACTIVATIONS, "activation")
    if isinstance(parameter, str):
        raise TypeError(f"activation_parameter must be a number, not {parameter!r}")
    fields: dict[str, Any] = {"activation": _library.ACTIVATIONS[index], "parameter": float(parameter)}
    if fields["activation"] == "prelu":
        if slopes is None:
            raise ValueError("prelu needs slopes, one for each channel")
        fields["slopes"] = _library.as_float32(slopes, "slopes", copy=True)
        shape = fields["slopes"].shape
        if shape != (channels,) if channels is not None else len(shape) not in (1, 3):
            expected = "[channels] or [height, width, channels]" if channels is None else f"({channels},)"
            raise ValueError(f"slopes must have the shape {expected}, not {fields['slopes'].shape}")
    return fields


class Part:
    """Base of the classes with which a network is written."""

    name = ""

    def stages(self, shape: Shape) -> list[Stage]:
        """What it is where an image of this shape comes in."""
        raise NotImplementedError


class Dense(Part):
    """A dense (fully connected) layer.

    Parameters
    ----------
    weights : array_like
        [outputs, inputs] as PyTorch's ``Linear`` has them, or [inputs, outputs] as Keras' ``Dense``.
    bias : array_like, optional
        [outputs].
    activation : str
        As for `Layer`.
    weights_layout : {'OI', 'IO'}
    flatten : {'CHW', 'HWC'}
        In which order the inputs are the pixels of the image that comes in.
    """

    def __init__(
        self,
        weights: object,
        bias: object = None,
        *,
        activation: str | None = "none",
        activation_parameter: float = 0.0,
        slopes: object = None,
        weights_layout: str = "OI",
        flatten: str = "CHW",
        kernel: str | None = None,
        name: str = "",
    ) -> None:
        array = _library.as_float32(weights, "weights", copy=True)
        if weights_layout not in ("OI", "IO"):
            raise ValueError(f"weights_layout must be 'OI' or 'IO', not {weights_layout!r}")
        if array.ndim != 2:
            raise ValueError(f"weights must have two dimensions, {weights_layout}, not the shape {array.shape}")
        _library.pick(flatten, _library.IMAGE_LAYOUTS, "flatten")
        self.weights = array if weights_layout == "OI" else np.ascontiguousarray(array.T)
        self.flatten = flatten
        self.bias = None if bias is None else as_bias(bias, self.weights.shape[0])
        self.activation = checked_activation(activation, activation_parameter, slopes, self.weights.shape[0])
        self.kernel, self.name = texts(kernel, name)
        self._other = "IO" if weights_layout == "OI" else "OI"

    def stages(self, shape: Shape) -> list[Stage]:
        channels, height, width = shape
        outputs, inputs = self.weights.shape
        if inputs != channels * height * width:
            hint = f": they look like {self._other}" if outputs == channels * height * width else ""
            raise ValueError(
                f"weights of shape {self.weights.shape}, [outputs, inputs], but {channels} channels of "
                f"{height}x{width}, {channels * height * width} numbers, come in{hint}"
            )
        if self.flatten == "CHW":
            weights = self.weights.reshape(outputs, channels, height, width)
        else:
            weights = self.weights.reshape(outputs, height, width, channels).transpose(0, 3, 1, 2)
        return [
            Stage(
                "layer",
                self.name,
                np.ascontiguousarray(weights),
                self.bias,
                (height, width),
                kernel=self.kernel,
                **self.activation,
            )
        ]


class Depthwise(Part):
    """A depthwise convolution: each channel by a filter of its own, with bias and an activation.

    Parameters
    ----------
    weights : array_like
        [channels, 1, height, width] as PyTorch has them (``'OIHW'``), or [height, width, channels, 1] as Keras does
        (``'HWIO'``): where channels and 1 change places they mean the same.
    bias : array_like, optional
        [channels].
    activation, padding, filter, weights_layout, strides, activation_parameter, slopes
        As for `Layer`.
    """

    def __init__(
        self,
        weights: object,
        bias: object = None,
        *,
        activation: str | None = "relu",
        padding: Padding = "valid",
        filter: str = "cross-correlation",
        weights_layout: str = "OIHW",
        strides: int | Sequence[int] = 1,
        activation_parameter: float = 0.0,
        slopes: object = None,
        kernel: str | None = None,
        name: str = "",
    ) -> None:
        array = as_oihw(weights, weights_layout, filter)
        if 1 not in array.shape[:2]:
            raise ValueError(f"weights of shape {array.shape}, OIHW, have more than one filter for a channel")
        channels = array.shape[0] * array.shape[1]
        self.weights = array.reshape(channels, 1, *array.shape[2:])
        self.bias = None if bias is None else as_bias(bias, channels)
        self.activation = checked_activation(activation, activation_parameter, slopes, channels)
        self.strides = pair(strides, "strides")
        self.padding = padding
        self.kernel, self.name = texts(kernel, name)

    def stages(self, shape: Shape) -> list[Stage]:
        window = (self.weights.shape[2], self.weights.shape[3])
        around = pads(self.padding, shape, window, self.strides)
        options = {"kernel": self.kernel, **self.activation}
        return [Stage("depthwise", self.name, self.weights, self.bias, window, self.strides, around, **options)]


class _Pool(Part):
    kind = ""

    def __init__(
        self,
        window: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Padding = "valid",
        *,
        kernel: str | None = None,
        name: str = "",
    ) -> None:
        self.window = pair(window, "window")
        self.strides = self.window if strides is None else pair(strides, "strides")
        self.padding = padding
        self.kernel, self.name = texts(kernel, name)

    def stages(self, shape: Shape) -> list[Stage]:
        around = pads(self.padding, shape, self.window, self.strides)
        return [Stage(self.kind, self.name, None, None, self.window, self.strides, around, kernel=self.kernel)]


class MaxPool(_Pool):
    """The largest of each window of pixels. Padding counts for nothing. By default strides are the window's extents."""

    kind = "max_pool"


class AveragePool(_Pool):
    """The average of each window of pixels, of those that are there: padding counts for nothing."""

    kind = "average_pool"


class _Simple(Part):
    kind = ""

    def __init__(self, *, kernel: str | None = None, name: str = "") -> None:
        self.kernel, self.name = texts(kernel, name)

    def stages(self, shape: Shape) -> list[Stage]:
        return [Stage(self.kind, self.name, kernel=self.kernel)]


class GlobalMax(_Simple):
    """The largest of each channel."""

    kind = "global_max"


class GlobalAverage(_Simple):
    """The average of each channel."""

    kind = "global_average"


class Softmax(_Simple):
    """Softmax over the channels of one pixel."""

    kind = "softmax"


class LogSoftmax(_Simple):
    """The logarithm of softmax over the channels of one pixel."""

    kind = "log_softmax"


class Scale(Part):
    """Each channel times a number of its own, plus another: what batch normalization is, applied.

    Parameters
    ----------
    weights : array_like
        [channels], or [height, width, channels], whatever the network's layout: one for each number of the image.
    bias : array_like, optional
        Of the same shape.
    """

    def __init__(self, weights: object, bias: object = None, *, kernel: str | None = None, name: str = "") -> None:
        self.weights = _library.as_float32(weights, "weights", copy=True)
        if self.weights.ndim not in (1, 3):
            raise ValueError(f"weights must be [channels] or [height, width, channels], not {self.weights.shape}")
        self.bias = None if bias is None else as_bias(bias, *self.weights.shape)
        self.kernel, self.name = texts(kernel, name)

    def stages(self, shape: Shape) -> list[Stage]:
        return [Stage("scale", self.name, self.weights, self.bias, kernel=self.kernel)]


class Activation(Part):
    """An activation alone, by the names that `Layer` takes. Slopes are [channels], or [height, width, channels]."""

    def __init__(
        self,
        activation: str,
        *,
        activation_parameter: float = 0.0,
        slopes: object = None,
        kernel: str | None = None,
        name: str = "",
    ) -> None:
        self.activation = checked_activation(activation, activation_parameter, slopes, None)
        self.kernel, self.name = texts(kernel, name)

    def stages(self, shape: Shape) -> list[Stage]:
        return [Stage("activation", self.name, kernel=self.kernel, **self.activation)]
