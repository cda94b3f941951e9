# SPDX-License-Identifier: MIT
"""Keras' layers: what each of them is, of Keras 1, 2 and 3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _keras_ops
from ._graph import Builder, Float64
from ._merge import UnsupportedError
from ._stages import dilated, same_pads

Config = dict[str, Any]

IGNORED = (
    "Dropout SpatialDropout1D SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization "
    "RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness Identity"
).split()
KINDS = (
    "InputLayer Conv2D Convolution2D AtrousConvolution2D DepthwiseConv2D SeparableConv2D Dense MaxPooling2D "
    "AveragePooling2D GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D "
    "BatchNormalization BatchNormalizationV1 SyncBatchNormalization Rescaling Normalization ZeroPadding2D Cropping2D "
    "CenterCrop Flatten "
    "Reshape Permute Activation ReLU LeakyReLU ELU PReLU Softmax"
).split() + _keras_ops.KINDS
# Layers of a sequence, which are those of two dimensions on an image of one row, and what each of them has to say.
IN_A_ROW = {
    "Conv1D": "kernel_size",
    "DepthwiseConv1D": "kernel_size",
    "SeparableConv1D": "kernel_size",
    "MaxPooling1D": "pool_size",
    "AveragePooling1D": "pool_size",
    "ZeroPadding1D": "padding",
    "Cropping1D": "cropping",
}


def pair(value: Any, what: str) -> tuple[int, int]:
    """Keras writes a number or two."""
    numbers = [value, value] if isinstance(value, int) else value
    if (
        not isinstance(numbers, (list, tuple))
        or len(numbers) != 2
        or not all(isinstance(n, int) and n > 0 for n in numbers)
    ):
        raise UnsupportedError(f"{what} is {value!r}: one or two positive integers are needed")
    return numbers[0], numbers[1]


class Reader:
    """Adds the layers of one model to a Builder."""

    def __init__(self, builder: Builder, version: int, flipped: bool) -> None:
        self.builder = builder
        self.version = version  # the first number of it
        self.flipped = flipped  # Theano's convolution, in files of Keras 1
        self.axis = 2  # of channels
        self.config: Config = {}
        self.weights: dict[str, Float64] = {}

    def layer(self, kind: str, config: Config, weights: dict[str, Float64]) -> None:
        """Adds one layer; refuses by name what is not known."""
        self.config, self.weights = dict(config), weights
        with self.builder.at(f"layer {config.get('name', '?')!r} ({kind})"):
            self._dispatch(kind)

    def _dispatch(self, kind: str) -> None:
        self.axis = self._channel_axis()
        self._check_type(self._get("dtype"))
        if kind in IGNORED:
            return
        if kind in IN_A_ROW:
            if self._get(IN_A_ROW[kind]) is None:  # Keras 1 has other names
                raise self.builder.refuse(f"does not say its {IN_A_ROW[kind]}: a file of Keras 2 or 3 is needed")
            with self.builder.row(self.axis):
                self._add_a_dimension()
                self._method(kind.replace("1D", "2D"))()
        elif kind in KINDS:
            self._method(kind)()
        else:
            raise self.builder.refuse(
                "layers of this kind are not supported: a model of Conv2D, Dense, pooling, normalization and "
                "activation layers is needed"
            )

    def _method(self, kind: str) -> Callable[[], None]:
        method: Callable[[], None] = getattr(self, "_" + kind.lower())
        return method

    def _check_type(self, dtype: Any) -> None:
        """Quantized weights are numbers of another kind."""
        by_policy = isinstance(dtype, dict) and "Quantized" in str(dtype.get("class_name"))
        if by_policy or "_from_" in str(dtype):
            raise self.builder.refuse(f"is quantized, {dtype!r}: weights as they were trained are needed")

    def _add_a_dimension(self) -> None:
        """Has a layer of one dimension say what one of two says."""
        self.weights = {name: w[None] if name.endswith("kernel") else w for name, w in self.weights.items()}
        for name in ("kernel_size", "pool_size", "strides", "dilation_rate"):
            value = self._get(name)
            if value is not None:
                self.config[name] = [1, *(value if isinstance(value, list) else [value])]
        padding = self._get("padding")
        if isinstance(padding, (int, list)):  # ZeroPadding1D's
            self.config["padding"] = [0, padding]
        if "cropping" in self.config:
            self.config["cropping"] = [0, self.config["cropping"]]
        if padding == "causal":
            self.config["padding"] = "valid"
            window = pair(self._get("kernel_size"), "kernel_size")
            window = dilated(window, pair(self._get("dilation_rate", default=1), "dilation_rate"))
            self.builder.pad((0, window[1] - 1, 0, 0), self.axis)

    def _get(self, *names: str, default: Any = None) -> Any:
        """The first of these that the configuration has: names have changed from version to version."""
        return next((self.config[name] for name in names if self.config.get(name) is not None), default)

    def _channel_axis(self) -> int:
        order = self._get("data_format", "dim_ordering", default="channels_last")
        if order in ("channels_first", "th"):
            return 0
        if order in ("channels_last", "tf", "default"):
            return 2
        raise self.builder.refuse(f"data_format {order!r}")

    def _weight(self, *names: str) -> Float64:
        for name in names:
            if name in self.weights:
                return self.weights[name]
        raise self.builder.refuse(f"its weights {names[0]!r} are not in the file")

    def _bias(self) -> Float64 | None:
        return self._weight("bias", "b") if self._get("use_bias", "bias", default=True) else None

    def _pads(self, window: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int, int, int]:
        """'same' is half before, the rest after."""
        padding = self._get("padding", "border_mode", default="valid")
        if padding == "valid":
            return 0, 0, 0, 0
        if padding != "same":
            raise self.builder.refuse(f"padding {padding!r}")
        dims = self.builder.dims
        if len(dims) != 3:
            raise self.builder.refuse(f"takes an image, but {dims} come in")
        extents = dims[1:] if self.axis == 0 else dims[:2]
        return same_pads((extents[0], extents[1]), window, strides)

    def _one_axis(self) -> Any:
        """The dimension that a layer works on, which Keras writes as a number or a list of it."""
        axis = self._get("axis", default=-1)
        return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis

    # ---- Layers, by their names in lower case ----

    def _inputlayer(self) -> None:
        pass

    def _conv2d(self) -> None:
        weights = self._weight("kernel", "W", "weights")
        if weights.ndim != 4:
            raise self.builder.refuse(f"weights of shape {weights.shape}")
        by_kernel = self._get("nb_row") is not None  # Keras 1
        if by_kernel and self.axis == 0:
            weights = weights if not self.flipped else weights[:, :, ::-1, ::-1]
        else:
            weights = weights.transpose(3, 2, 0, 1)
        strides = pair(self._get("strides", "subsample", default=1), "strides")
        dilations = pair(self._get("dilation_rate", "atrous_rate", default=1), "dilation_rate")
        around = self._pads(dilated(weights.shape[2:], dilations), strides)
        groups = self._get("groups", default=1)
        self.builder.convolution(weights, self._bias(), strides, around, self.axis, dilations, groups)
        self._named_activation(self._get("activation", default="linear"))

    _convolution2d = _atrousconvolution2d = _conv2d

    def _depthwiseconv2d(self) -> None:
        self._by_channels(self._weight("depthwise_kernel", "kernel"), self._bias())
        self._named_activation(self._get("activation", default="linear"))

    def _separableconv2d(self) -> None:
        self._by_channels(self._weight("depthwise_kernel"), None)
        point = self._weight("pointwise_kernel").transpose(3, 2, 0, 1)
        self.builder.convolution(point, self._bias(), (1, 1), (0, 0, 0, 0), self.axis)
        self._named_activation(self._get("activation", default="linear"))

    def _by_channels(self, weights: Float64, bias: Float64 | None) -> None:
        """weights [height, width, channels, multiplier]."""
        height, width, channels, multiplier = weights.shape
        weights = weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
        strides = pair(self._get("strides", default=1), "strides")
        dilations = pair(self._get("dilation_rate", default=1), "dilation_rate")
        groups = self.builder.dims[self.axis] if len(self.builder.dims) == 3 else 1
        around = self._pads(dilated((height, width), dilations), strides)
        self.builder.convolution(weights, bias, strides, around, self.axis, dilations, groups)

    def _dense(self) -> None:
        weights = self._weight("kernel", "W")
        if weights.ndim != 2:
            raise self.builder.refuse(f"weights of shape {weights.shape}")
        self.builder.dense(weights, self._bias())
        self._named_activation(self._get("activation", default="linear"))

    def _pool(self, kind: str) -> None:
        window = pair(self._get("pool_size", default=2), "pool_size")
        strides = pair(self._get("strides", default=list(window)), "strides")
        self.builder.pool(kind, window, strides, self._pads(window, strides), self.axis)

    def _maxpooling2d(self) -> None:
        self._pool("max_pool")

    def _averagepooling2d(self) -> None:
        self._pool("average_pool")

    def _global_pool(self, kind: str, dimensions: int) -> None:
        first = 1 if self.axis == 0 else 0
        keep = bool(self._get("keepdims", default=False))
        self.builder.reduce(kind, list(range(first, first + dimensions)), keep)

    def _globalaveragepooling1d(self) -> None:
        self._global_pool("average_pool", 1)

    def _globalaveragepooling2d(self) -> None:
        self._global_pool("average_pool", 2)

    def _globalmaxpooling1d(self) -> None:
        self._global_pool("max_pool", 1)

    def _globalmaxpooling2d(self) -> None:
        self._global_pool("max_pool", 2)

    def _batchnormalization(self) -> None:
        mean, variance = self._weight("moving_mean", "running_mean"), self._weight("moving_variance", "running_std")
        gamma = self._weight("gamma") if self._get("scale", default=True) else np.ones_like(mean)
        beta = self._weight("beta") if self._get("center", default=True) else np.zeros_like(mean)
        axis = self._one_axis()
        rank = len(self.builder.dims)
        if not isinstance(axis, int) or not (1 <= axis <= rank or -rank <= axis < 0):
            raise self.builder.refuse(f"normalizes axis {axis!r}")
        shape = [1] * rank
        shape[axis if axis < 0 else axis - 1] = mean.size
        factor = gamma / np.sqrt(variance + float(self._get("epsilon", default=1e-3)))
        self.builder.scale(factor.reshape(shape), (beta - mean * factor).reshape(shape))

    _batchnormalizationv1 = _syncbatchnormalization = _batchnormalization

    def _rescaling(self) -> None:
        factor, shift = (np.asarray(self._get(name, default=d), float) for name, d in (("scale", 1), ("offset", 0)))
        self.builder.scale(factor, shift)

    def _normalization(self) -> None:
        mean, variance = (self._get(name) for name in ("mean", "variance"))
        mean = self._weight("mean") if mean is None else np.asarray(mean, float)
        variance = self._weight("variance") if variance is None else np.asarray(variance, float)
        axis, rank = self._get("axis", default=()) if "axis" in self.config else -1, len(self.builder.dims)
        axes = [axis] if isinstance(axis, int) else list(axis or ())
        shape = [1] * rank
        for n in axes:
            shape[n if n < 0 else n - 1] = self.builder.dims[n if n < 0 else n - 1]
        mean, variance = (np.broadcast_to(v, math.prod(shape)) if v.size == 1 else v for v in (mean, variance))
        mean, deviation = mean.reshape(shape), np.maximum(np.sqrt(variance), 1e-7).reshape(shape)
        if self._get("invert", default=False):
            self.builder.scale(deviation, mean)
        else:
            self.builder.scale(1 / deviation, -mean / deviation)

    def _edges(self, around: Any) -> tuple[int, int, int, int]:
        """Top, left, bottom, right: Keras writes one number, one down and one across, or two of each."""
        down, across = (around, around) if isinstance(around, int) else around
        (top, bottom), (left, right) = ((n, n) if isinstance(n, int) else n for n in (down, across))
        return top, left, bottom, right

    def _zeropadding2d(self) -> None:
        padding = self._get("padding", default=1)
        if isinstance(padding, dict):
            padding = [[padding["top_pad"], padding["bottom_pad"]], [padding["left_pad"], padding["right_pad"]]]
        self.builder.pad(self._edges(padding), self.axis)

    def _cropping2d(self) -> None:
        self.builder.crop(self._edges(self._get("cropping", default=0)), self.axis)

    def _centercrop(self) -> None:
        first = 1 if self.axis == 0 else 0
        over = [
            extent - self._get(name) for extent, name in zip(self.builder.dims[first : first + 2], ("height", "width"))
        ]
        if min(over) < 0:
            raise self.builder.refuse("enlarges the image, which is not supported")
        top, left = over[0] // 2, over[1] // 2
        self.builder.crop((top, left, over[0] - top, over[1] - left), self.axis)

    def _flatten(self) -> None:
        if self.axis == 0 and len(self.builder.dims) > 1:
            self.builder.transpose((*range(1, len(self.builder.dims)), 0))
        self.builder.reshape((-1,))

    def _reshape(self) -> None:
        shape = self._get("target_shape")
        if shape is None:  # an operation, whose shape has the batch's dimension
            batch, *shape = self._get("newshape", "shape", default=[0])
            if batch not in (-1, 1, None) or (batch == -1 and math.prod(shape) != math.prod(self.builder.dims)):
                raise self.builder.refuse(f"reshapes {('N', *self.builder.dims)} to {(batch, *shape)}")
        self.builder.reshape(tuple(shape))

    def _permute(self) -> None:
        self.builder.transpose(tuple(n - 1 for n in self._get("dims", default=[])))

    def _activation(self) -> None:
        self._named_activation(self._get("activation", default="linear"))

    def _named_activation(self, name: Any) -> None:
        if isinstance(name, dict):  # an object of its own
            kind, config = name.get("class_name", "?"), name.get("config", {})
            if isinstance(config, str):
                name = config
            elif kind.lower() in ("relu", "leakyrelu", "elu", "softmax", "prelu"):
                self.config = {**config, "name": self.config.get("name")}
                getattr(self, "_" + kind.lower())()
                return
            else:
                name = kind.lower()
        if name in ("relu", "relu6", "sigmoid", "tanh"):
            self.builder.activation(name)
        elif name == "hard_sigmoid":
            self._hardsigmoid()
        elif name == "hard_tanh":
            self.builder.clip(-1, 1)
        elif name in ("elu", "celu"):
            self.builder.activation("elu", 1.0)
        elif name == "leaky_relu":
            self.builder.activation("leaky_relu", 0.2)
        elif name == "selu":
            self._selu()
        elif name in ("softmax", "softmax_v2", "log_softmax"):
            self.builder.softmax(-1, name == "log_softmax")
        elif name not in ("linear", None):
            raise self.builder.refuse(
                f"the activation {name!r} is not supported: relu, relu6, leaky_relu, elu, selu, sigmoid, hard_sigmoid, "
                "tanh, hard_tanh, softmax or log_softmax is needed"
            )

    def _hardsigmoid(self) -> None:
        self.builder.scale(np.asarray(1 / 6 if self.version >= 3 else 0.2), np.asarray(0.5))
        self.builder.clip(0, 1)

    def _selu(self) -> None:
        alpha, factor = 1.6732632423543772, 1.0507009873554805
        self.builder.activation("elu", alpha)
        self.builder.scale(np.asarray(factor), np.asarray(0.0))

    def _relu(self) -> None:
        most, slope = self._get("max_value"), float(self._get("negative_slope", "alpha", default=0.0))
        if float(self._get("threshold", "theta", default=0.0)) != 0:
            raise self.builder.refuse("a ReLU with a threshold is not supported: 0 is needed")
        largest = math.inf if most is None else float(most)
        if slope:
            self.builder.activation("leaky_relu", slope)
        self.builder.clip(-math.inf if slope else 0, largest)

    def _leakyrelu(self) -> None:
        self.builder.activation("leaky_relu", float(self._get("alpha", "negative_slope", default=0.3)))

    def _elu(self) -> None:
        self.builder.activation("elu", float(self._get("alpha", default=1.0)))

    def _prelu(self) -> None:
        self.builder.prelu(self._weight("alpha", "alphas"))

    # ---- Operations ----

    def _operand(self) -> tuple[bool, Float64]:
        """Whether the constant comes before the tensor, and what it is."""
        operands = self._get("operands", default=[])
        if not isinstance(operands, list) or len(operands) != 2 or operands.count(None) != 1:
            raise self.builder.refuse("takes a tensor and a constant, which are not in the file")
        first = operands[1] is None
        return first, _keras_ops.constant(operands[not first], len(self.builder.dims))

    def _over(self, kind: str) -> None:
        rank, axes = len(self.builder.dims) + 1, self._get("axis")
        axes = [axes] if isinstance(axes, int) else axes
        if not isinstance(axes, list) or not all(isinstance(n, int) and 0 < n % rank for n in axes):
            raise self.builder.refuse(f"over the dimensions {axes}: the rows and columns of an image are needed")
        self.builder.reduce(kind, [n % rank - 1 for n in axes], bool(self._get("keepdims", default=False)))

    def _mean(self) -> None:
        self._over("average_pool")

    def _max(self) -> None:
        self._over("max_pool")

    def _add(self) -> None:
        self.builder.scale(np.asarray(1.0), self._operand()[1])

    def _subtract(self) -> None:
        first, value = self._operand()
        self.builder.scale(np.asarray(-1.0 if first else 1.0), value if first else -value)

    def _multiply(self) -> None:
        self.builder.scale(self._operand()[1], np.asarray(0.0))

    def _divide(self) -> None:
        first, value = self._operand()
        if first or not np.all(value):
            raise self.builder.refuse("divides by the tensor, or by 0: a division by a constant is needed")
        self.builder.scale(1 / value, np.asarray(0.0))

    _truedivide = _divide

    def _negative(self) -> None:
        self.builder.scale(np.asarray(-1.0), np.asarray(0.0))

    def _relu6(self) -> None:
        self.builder.activation("relu6")

    def _sigmoid(self) -> None:
        self.builder.activation("sigmoid")

    def _tanh(self) -> None:
        self.builder.activation("tanh")

    def _clip(self) -> None:
        low, high = (self._get(name, default=None) for name in ("clip_value_min", "clip_value_max"))
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
            raise self.builder.refuse(f"clips to {low!r} and {high!r}: two numbers are needed")
        self.builder.clip(low, high)

    def _cast(self) -> None:
        if "float" not in str(self._get("dtype")):
            raise self.builder.refuse(f"rounds to {self._get('dtype')!r}: floating point is needed")

    def _logsoftmax(self) -> None:
        self._softmax(log=True)

    def _softmax(self, log: bool = False) -> None:
        axis = self._one_axis()
        if not isinstance(axis, int) or axis == 0:
            raise self.builder.refuse(f"softmax over axis {axis!r}")
        self.builder.softmax(axis if axis < 0 else axis - 1, log)
