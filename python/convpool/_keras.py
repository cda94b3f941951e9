# SPDX-License-Identifier: MIT
"""Reads Keras' files: .h5 and .hdf5 of Keras 1, 2 and 3, and .keras."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ._graph import MOST_WEIGHTS, Builder, Float64, as_float64
from ._merge import UnsupportedError

Config = dict[str, Any]

IGNORED = (
    "Dropout SpatialDropout1D SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization "
    "RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness Identity"
).split()
KINDS = (
    "InputLayer Conv2D Convolution2D AtrousConvolution2D DepthwiseConv2D SeparableConv2D Dense MaxPooling2D "
    "AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D BatchNormalization BatchNormalizationV1 Rescaling "
    "Normalization ZeroPadding2D "
    "Flatten Reshape Permute Activation ReLU LeakyReLU ELU PReLU Softmax"
).split()
MOST_BYTES = 1 << 31  # of what a zip file says that it holds


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

    def __init__(self, builder: Builder, flipped: bool) -> None:
        self.builder = builder
        self.flipped = flipped  # Theano's convolution, in files of Keras 1
        self.axis = 2  # of channels
        self.config: Config = {}
        self.weights: dict[str, Float64] = {}

    def layer(self, kind: str, config: Config, weights: dict[str, Float64]) -> None:
        """Adds one layer; refuses by name what is not known."""
        self.builder.where = f"layer {config.get('name', '?')!r} ({kind})"
        self.config, self.weights = config, weights
        self.axis = self._channel_axis()
        if kind in IGNORED:
            return
        if kind not in KINDS:
            raise self.builder.refuse("layers of this kind are not supported")
        method: Callable[[], None] = getattr(self, "_" + kind.lower())
        method()

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
        before, after = [], []
        dims = self.builder.dims
        if len(dims) != 3:
            raise self.builder.refuse(f"takes an image, but {dims} come in")
        extents = dims[1:] if self.axis == 0 else dims[:2]
        for extent, length, stride in zip(extents, window, strides):
            total = max((-(-extent // stride) - 1) * stride + length - extent, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before[0], before[1], after[0], after[1]

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
        window = [(n - 1) * d + 1 for n, d in zip(weights.shape[2:], dilations)]
        around = self._pads((window[0], window[1]), strides)
        groups = self._get("groups", default=1)
        self.builder.convolution(weights, self._bias(), strides, around, self.axis, dilations, groups)
        self._named_activation(self._get("activation", default="linear"))

    _convolution2d = _atrousconvolution2d = _conv2d

    def _depthwiseconv2d(self) -> None:
        weights = self._weight("depthwise_kernel", "kernel")  # height, width, channels, multiplier
        height, width, channels, multiplier = weights.shape
        self._by_channels(weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width), self._bias())
        self._named_activation(self._get("activation", default="linear"))

    def _separableconv2d(self) -> None:
        weights = self._weight("depthwise_kernel")
        height, width, channels, multiplier = weights.shape
        self._by_channels(weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width), None)
        point = self._weight("pointwise_kernel").transpose(3, 2, 0, 1)
        self.builder.convolution(point, self._bias(), (1, 1), (0, 0, 0, 0), self.axis)
        self._named_activation(self._get("activation", default="linear"))

    def _by_channels(self, weights: Float64, bias: Float64 | None) -> None:
        strides = pair(self._get("strides", default=1), "strides")
        dilations = pair(self._get("dilation_rate", default=1), "dilation_rate")
        window = [(n - 1) * d + 1 for n, d in zip(weights.shape[2:], dilations)]
        groups = self.builder.dims[self.axis] if len(self.builder.dims) == 3 else 1
        around = self._pads((window[0], window[1]), strides)
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

    def _globalaveragepooling2d(self) -> None:
        self.builder.global_pool("global_average", self.axis, bool(self._get("keepdims", default=False)))

    def _globalmaxpooling2d(self) -> None:
        self.builder.global_pool("global_max", self.axis, bool(self._get("keepdims", default=False)))

    def _batchnormalization(self) -> None:
        mean, variance = self._weight("moving_mean", "running_mean"), self._weight("moving_variance", "running_std")
        gamma = self._weight("gamma") if self._get("scale", default=True) else np.ones_like(mean)
        beta = self._weight("beta") if self._get("center", default=True) else np.zeros_like(mean)
        axis = self._get("axis", default=-1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        rank = len(self.builder.dims)
        if not isinstance(axis, int) or not (1 <= axis <= rank or -rank <= axis < 0):
            raise self.builder.refuse(f"normalizes axis {axis!r}")
        shape = [1] * rank
        shape[axis if axis < 0 else axis - 1] = mean.size
        factor = gamma / np.sqrt(variance + float(self._get("epsilon", default=1e-3)))
        self.builder.scale(factor.reshape(shape), (beta - mean * factor).reshape(shape))

    _batchnormalizationv1 = _batchnormalization

    def _rescaling(self) -> None:
        factor, shift = (np.asarray(self._get(name, default=d), float) for name, d in (("scale", 1), ("offset", 0)))
        self.builder.scale(factor, shift)

    def _normalization(self) -> None:
        mean, variance = (self._get(name) for name in ("mean", "variance"))
        mean = self._weight("mean") if mean is None else np.asarray(mean, float)
        variance = self._weight("variance") if variance is None else np.asarray(variance, float)
        factor = 1 / np.maximum(np.sqrt(variance), 1e-7)
        self.builder.scale(factor, -mean * factor)

    def _zeropadding2d(self) -> None:
        padding = self._get("padding", default=1)
        if isinstance(padding, dict):
            padding = [[padding["top_pad"], padding["bottom_pad"]], [padding["left_pad"], padding["right_pad"]]]
        down, across = (padding, padding) if isinstance(padding, int) else padding
        (top, bottom), (left, right) = ((n, n) if isinstance(n, int) else n for n in (down, across))
        self.builder.pad((top, left, bottom, right), self.axis)

    def _flatten(self) -> None:
        if self.axis == 0 and len(self.builder.dims) == 3:
            self.builder.transpose((1, 2, 0))
        self.builder.reshape((-1,))

    def _reshape(self) -> None:
        self.builder.reshape(tuple(self._get("target_shape", default=[])))

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
        elif name == "elu":
            self.builder.activation("elu", 1.0)
        elif name == "leaky_relu":
            self.builder.activation("leaky_relu", 0.2)
        elif name == "selu":
            self._selu()
        elif name in ("softmax", "log_softmax"):
            self.builder.softmax(-1, name == "log_softmax")
        elif name not in ("linear", None):
            raise self.builder.refuse(f"the activation {name!r} is not supported")

    def _selu(self) -> None:
        alpha, factor = 1.6732632423543772, 1.0507009873554805
        self.builder.activation("elu", alpha)
        self.builder.scale(np.asarray(factor), np.asarray(0.0))

    def _relu(self) -> None:
        most, slope = self._get("max_value"), float(self._get("negative_slope", "alpha", default=0.0))
        if float(self._get("threshold", "theta", default=0.0)) != 0 or (most is not None and (most != 6 or slope != 0)):
            raise self.builder.refuse(
                "a ReLU with this threshold or largest value is not supported: 0, and 6 or none, are"
            )
        if slope:
            self.builder.activation("leaky_relu", slope)
        else:
            self.builder.activation("relu" if most is None else "relu6")

    def _leakyrelu(self) -> None:
        self.builder.activation("leaky_relu", float(self._get("alpha", "negative_slope", default=0.3)))

    def _elu(self) -> None:
        self.builder.activation("elu", float(self._get("alpha", default=1.0)))

    def _prelu(self) -> None:
        self.builder.prelu(self._weight("alpha", "alphas"))

    def _softmax(self) -> None:
        axis = self._get("axis", default=-1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if not isinstance(axis, int) or axis == 0:
            raise self.builder.refuse(f"softmax over axis {axis!r}")
        self.builder.softmax(axis if axis < 0 else axis - 1)


# ---- Files ----


def chain(model: Config) -> list[tuple[str, Config]]:
    """The layers of a Sequential model, or of a Functional one that is one chain, in order."""
    kind, config = model.get("class_name"), model.get("config")
    if isinstance(config, list):  # Keras 1 and early 2
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise UnsupportedError(f"the model is a {kind!r}: a Sequential or Functional one is needed")
    layers = [dict(layer) for layer in config["layers"]]
    if kind in ("Functional", "Model"):
        layers = _in_order(layers)
    elif kind != "Sequential":
        raise UnsupportedError(f"the model is a {kind!r}: a Sequential or Functional one is needed")
    flat: list[tuple[str, Config]] = []
    for layer in layers:
        inner = layer.get("config")
        if layer.get("class_name") in ("Sequential", "Functional", "Model"):
            name = (inner if isinstance(inner, dict) else layer).get("name")
            flat += [(k, {**c, "inside": [name, *c.get("inside", [])]}) for k, c in chain(layer)]
        elif isinstance(inner, dict):
            flat.append((str(layer.get("class_name")), {"name": layer.get("name"), **inner}))
        else:
            raise UnsupportedError(f"a layer without a configuration: {str(layer)[:80]}")
    return flat


def _sources(node: Any) -> list[str]:
    """The names of the layers whose outputs an inbound node takes, of any version."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [str(node["config"]["keras_history"][0])]
        return [name for value in node.values() for name in _sources(value)]
    if isinstance(node, list):
        if len(node) in (3, 4) and isinstance(node[0], str) and isinstance(node[1], int):
            return [node[0]]
        return [name for value in node for name in _sources(value)]
    return []


def _in_order(layers: list[Config]) -> list[Config]:
    after: dict[str, Config] = {}
    start = []
    for layer in layers:
        sources = _sources(layer.get("inbound_nodes", []))
        if not sources:
            start.append(layer)
        elif len(sources) > 1:
            raise UnsupportedError(
                f"layer {layer.get('name')!r} ({layer.get('class_name')}) takes {len(sources)} inputs: a network "
                "without branches is needed"
            )
        elif sources[0] in after:
            raise UnsupportedError(
                f"the output of layer {sources[0]!r} is used twice: a network without branches is needed"
            )
        else:
            after[sources[0]] = layer
    if len(start) != 1:
        raise UnsupportedError(f"the model has {len(start)} inputs: one is needed")
    order = start
    while len(order) < len(layers):
        following = after.pop(str(order[-1].get("name")), None)
        if following is None:
            raise UnsupportedError("the layers are no one chain")
        order.append(following)
    return order


def _input_shape(layers: list[tuple[str, Config]]) -> tuple[int, ...]:
    for _, config in layers:
        shape = config.get("batch_input_shape") or config.get("batch_shape")
        if shape is None and config.get("input_shape"):
            shape = [None, *config["input_shape"]]
        if shape is None and config.get("input_dim"):
            shape = [None, config["input_dim"]]
        if shape is not None:
            if isinstance(shape[0], list):
                shape = shape[0]
            if any(not isinstance(n, int) or n < 1 for n in shape[1:]):
                raise UnsupportedError(f"the input's shape is {tuple(shape[1:])}: one without open extents is needed")
            return tuple(shape[1:])
    raise UnsupportedError("the model does not say its input's shape: build it with an input shape, and save it again")


def _build(model: Config, flipped: bool, weights_of: Callable[[str, Config, int], dict[str, Float64]]) -> Builder:
    layers = chain(model)
    builder = Builder(_input_shape(layers))
    reader = Reader(builder, flipped)
    seen: dict[tuple[str, ...], int] = {}
    for kind, config in layers:
        key = (kind, *map(str, config.get("inside", [])))
        count = seen.get(key, 0)
        seen[key] = count + 1
        reader.layer(kind, config, weights_of(kind, config, count))
    return builder


def _hdf5() -> Any:
    try:
        import h5py
    except ImportError:
        raise ImportError("reading Keras' files needs h5py: pip install convpool[keras]") from None
    return h5py


def _named(name: str) -> str:
    """'conv2d_1/kernel:0', or 'conv2d_1_W' of Keras 1, without what surrounds it."""
    last = name.split("/")[-1].split(":")[0]
    return last


def _numbers(dataset: Any) -> Float64:
    """A dataset's numbers, which must be in the file itself."""
    if dataset.is_virtual or dataset.external:
        raise UnsupportedError(f"{dataset.name!r} lies in another file")
    if (dataset.size or 0) > MOST_WEIGHTS:
        raise UnsupportedError(f"{dataset.name!r} of shape {dataset.shape} is too large for a small network")
    return as_float64(dataset[()])


def _get(group: Any, name: str) -> Any:
    """What bears this name in a group, or None; a link to another file is refused."""
    link = group.get(name, getlink=True)
    if isinstance(link, _hdf5().ExternalLink):
        raise UnsupportedError(f"{name!r} lies in another file")
    return group.get(name)


def _children(group: Any) -> list[tuple[str, Any]]:
    """What is in a group, with its name."""
    return [(name, _get(group, name)) for name in group] if hasattr(group, "items") else []


def _datasets(group: Any) -> dict[str, Float64]:
    found: dict[str, Float64] = {}
    h5py = _hdf5()

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[_named(name)] = _numbers(item)

    group.visititems(visit)
    return found


def _within(group: Any, name: str) -> Any:
    """The group of this name, however deep."""
    for key, child in _children(group):
        found = child if key == name and hasattr(child, "items") else None
        deeper = _within(child, name)
        if deeper is not None or found is not None:
            return deeper if deeper is not None else found
    return None


def read_h5(path: str) -> Builder:
    """A .h5 or .hdf5 file."""
    h5py = _hdf5()
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise UnsupportedError("the file holds weights alone: save the whole model, model.save()")
        model = json.loads(text if isinstance(text, str) else bytes(text).decode())
        root = file["model_weights"] if "model_weights" in file else file
        version, backend = (
            str(_text(file.attrs.get(key, root.attrs.get(key, "")))) for key in ("keras_version", "backend")
        )
        flipped = backend == "theano" or (not version.startswith(("2", "3")) and backend != "tensorflow")

        def weights_of(kind: str, config: Config, index: int) -> dict[str, Float64]:
            name = str(config.get("name"))
            group = _get(root, name)
            for inside in config.get("inside", []):  # the layers of a model within the model are somewhere in its group
                group = group or _within(_get(root, str(inside)), name)
            if group is None:
                return {}
            found = _datasets(group)
            prefix = name + "_"  # Keras 1
            return {key[len(prefix) :] if key.startswith(prefix) else key: value for key, value in found.items()}

        return _build(model, flipped, weights_of)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


# The variables of a .keras file have numbers, in the order in which a layer makes them.
_ORDER = {
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "PReLU": ("alpha",),
    "Normalization": ("mean", "variance", "count"),
}


def _layers(group: Any) -> Any:
    """Where a model's layers are: it has changed from version to version."""
    return _get(group, "layers") if "layers" in group else group


def _child(group: Any, name: str, folder: str, index: int) -> Any:
    """A layer's group: by the name that it bears, or that its folder is called by, or by its kind and number."""
    for _, child in _children(group):
        if hasattr(child, "get") and "vars" in child and _text(_get(child, "vars").attrs.get("name", "")) == name:
            return child
    numbered = folder + (f"_{index}" if index else "")
    return _get(group, name) or _get(group, numbered)


def _snake(kind: str) -> str:
    """The folder that Keras 3 names a layer's weights by: 'conv2d', 'batch_normalization'."""
    import re

    text = re.sub(r"\W+", "", kind)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def read_keras(path: str) -> Builder:
    """A .keras file."""
    h5py = _hdf5()
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
            raise UnsupportedError("the file says that it holds more than a small network does")
        names = archive.namelist()
        if "config.json" not in names or "model.weights.h5" not in names:
            raise UnsupportedError("the file holds no config.json and model.weights.h5, as Keras 3 writes them")
        model = json.loads(archive.read("config.json"))
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r") as file:

        def weights_of(kind: str, config: Config, index: int) -> dict[str, Float64]:
            root = _layers(file)
            for inside in config.get("inside", []):
                root = _layers(
                    _child(root, str(inside), "sequential", 0) or _child(root, str(inside), "functional", 0) or root
                )
            group = _child(root, str(config.get("name")), _snake(kind), index)
            if group is None:
                return {}
            group = _get(group, "vars") or group
            order = _ORDER.get(kind, ())
            if kind == "BatchNormalization":
                order = (
                    *(("gamma",) if config.get("scale", True) else ()),
                    *(("beta",) if config.get("center", True) else ()),
                    "moving_mean",
                    "moving_variance",
                )
            return {name: _numbers(_get(group, str(n))) for n, name in enumerate(order) if str(n) in group}

        return _build(model, False, weights_of)
