# SPDX-License-Identifier: MIT
"""One fused layer, and the function that the project began with."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._parts import Part, as_bias, as_oihw, checked_activation
from ._stages import Padding, Shape, Stage, image_shape, pads, pair, texts, to_chw

FLOAT32 = np.dtype(np.float32)
from_buffer: Any = ctypes.c_char.from_buffer
addressof = ctypes.addressof


class Runner:
    """Calls a layer or a network of the library on images: one, or a batch of them, one after the other.

    `input_shape` and `output_shape` are those of one image. Scratch memory is each thread's own, and the GIL is
    released during a run.
    """

    def __init__(
        self, kind: str, pointer: int, input_shape: tuple[int, ...], output_shape: tuple[int, ...], layout: str
    ) -> None:
        self.handle = _library.Handle(kind, pointer)
        self.input_shape, self.output_shape, self.layout = input_shape, output_shape, layout
        self._one, self._one_out = (1, *input_shape), (1, *output_shape)
        self._run = getattr(_library.library(), f"convpool_{kind}_run")
        self._scratch_size = getattr(_library.library(), f"convpool_{kind}_scratch_size")(pointer)
        self._local = threading.local()

    def _scratch(self) -> int:
        buffer = np.empty(self._scratch_size, np.uint8)
        self._local.buffer = buffer
        self._local.address = _library.address(buffer)
        return int(self._local.address)

    def __call__(self, x: Any, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        # A call's own cost counts: what is written here at length takes a third of what short calls would.
        if not (type(x) is np.ndarray and x.dtype is FLOAT32 and x.flags.carray):
            x = _library.as_float32(x, "x")
        shape = x.shape
        if shape == self.input_shape:
            whole = self.output_shape
        elif shape == self._one:
            whole = self._one_out
        else:
            return self._batch(x, out)
        if out is None:
            out = np.empty(whole, FLOAT32)
        else:
            check_out(out, whole, x)
        try:
            source = addressof(from_buffer(x))
        except (TypeError, ValueError):  # it may not be written to
            source = _library.address(x)
        try:
            scratch = self._local.address
        except AttributeError:
            scratch = self._scratch()
        status = self._run(self.handle.pointer, source, addressof(from_buffer(out)), scratch)
        if status:
            _library.check(status, "run")
        return out

    def _batch(self, x: NDArray[np.float32], out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if x.shape[1:] != self.input_shape:
            raise ValueError(wrong_shape(x.shape, self.input_shape, self.layout))
        whole = (x.shape[0], *self.output_shape)
        if out is None:
            out = np.empty(whole, FLOAT32)
        else:
            check_out(out, whole, x)
        for index, image in enumerate(x):
            self(image, out[index, ...])
        return out


def wrong_shape(shape: tuple[int, ...], expected: tuple[int, ...], layout: str) -> str:
    """A message that names both shapes, and says so where the other layout would fit."""
    text = f"x must have the shape {expected}, or {('N', *expected)} for a batch, not {shape}".replace("'N'", "N")
    if len(expected) == 3:
        turned = (expected[1], expected[2], expected[0]) if layout == "CHW" else (expected[2], expected[0], expected[1])
        if turned in (shape, shape[1:]):
            text += f": it looks like {'HWC' if layout == 'CHW' else 'CHW'}, but {layout} is expected"
    return text


def check_out(out: object, shape: tuple[int, ...], x: NDArray[Any]) -> None:
    """Refuses an array that cannot take the result as it is."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float32:
        raise TypeError(f"out must be a float32 array, not {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, not {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out must be aligned, writable and in C order")
    if np.may_share_memory(out, x):
        raise ValueError("out overlaps x")


class Layer(Part):
    """A convolution with bias, an activation and 2x2 max-pooling, fused into one pass.

    Parameters
    ----------
    weights : array_like
        The filter, laid out as `weights_layout` says: [outputs, channels, height, width] for ``'OIHW'``.
    bias : array_like, optional
        [outputs].
    in_shape : tuple of int, optional
        The image's shape, in its layout. A layer that is to be called needs it; one in a `Network` does not.
    pool : {'max', 'ceil', None}
        Max-pooling in 2x2 windows. ``'ceil'`` keeps an odd last row or column, as Keras' ``'same'`` does.
    activation : {'relu', 'relu6', 'leaky_relu', 'prelu', 'sigmoid', 'tanh', 'elu', None}
        Applied before pooling.
    padding : {'valid', 'same'}, int or sequence of int
        Zeros around the image: a number, two (down, across) or four (top, left, bottom, right).
    filter : {'cross-correlation', 'convolution'}
        As frameworks have it, or flipped as in SciPy and Theano.
    weights_layout : {'OIHW', 'HWIO', 'OHWI'}
    layout : {'CHW', 'HWC'}
        Of the image that comes in and of the one that goes out.
    strides : int or two
    activation_parameter : float
        The slope of ``'leaky_relu'``, alpha of ``'elu'``.
    slopes : array_like
        [outputs], for ``'prelu'``.
    kernel : str, optional
        An instruction set, an algorithm or both, such as ``'avx2-direct'``.
    """

    def __init__(
        self,
        weights: object,
        bias: object = None,
        *,
        in_shape: Sequence[int] | None = None,
        pool: str | None = "max",
        activation: str | None = "relu",
        padding: Padding = "valid",
        filter: str = "cross-correlation",
        weights_layout: str = "OIHW",
        layout: str = "CHW",
        strides: int | Sequence[int] = 1,
        activation_parameter: float = 0.0,
        slopes: object = None,
        kernel: str | None = None,
        name: str = "",
    ) -> None:
        self.weights = as_oihw(weights, weights_layout, filter)
        self._seen = (tuple(np.asarray(weights).shape), weights_layout)
        outputs = self.weights.shape[0]
        self.bias = None if bias is None else as_bias(bias, outputs)
        self.activation = checked_activation(activation, activation_parameter, slopes, outputs)
        self.pool = _library.POOLS[_library.pick(pool, _library.POOLS, "pool")]
        self.strides = pair(strides, "strides")
        self.padding = padding
        self.wanted, self.name = texts(kernel, name)
        self.layout = _library.IMAGE_LAYOUTS[_library.pick(layout, _library.IMAGE_LAYOUTS, "layout")]
        self.in_shape = None if in_shape is None else image_shape(in_shape)
        if self.in_shape is not None:
            self._make()

    def stages(self, shape: Shape) -> list[Stage]:
        if self.in_shape is not None and to_chw(self.in_shape, self.layout) != shape:
            come = f"{shape[0]} channels of {shape[1]}x{shape[2]} come in"
            raise ValueError(f"a layer made for {self.in_shape}, {self.layout}, but {come}")
        if self.weights.shape[1] != shape[0]:
            raise ValueError(self._wrong_channels(shape))
        window = (self.weights.shape[2], self.weights.shape[3])
        around = pads(self.padding, shape, window, self.strides)
        return [
            Stage(
                "layer",
                self.name,
                self.weights,
                self.bias,
                window,
                self.strides,
                around,
                self.pool,
                kernel=self.wanted,
                **self.activation,
            )
        ]

    def _wrong_channels(self, shape: Shape) -> str:
        """A message that names both shapes, and says so where another layout would fit."""
        seen, layout = self._seen
        text = f"weights of shape {seen}, {layout}, for {self.weights.shape[1]} input channels, but {shape[0]} come in"
        for other in _library.WEIGHTS_LAYOUTS:
            if other != layout and seen[other.index("I")] == shape[0]:
                return f"{text}: they look like {other}"
        if self.in_shape is not None and self.weights.shape[1] in (self.in_shape[0], self.in_shape[-1]):
            text += f": {self.in_shape} looks like {'HWC' if self.layout == 'CHW' else 'CHW'}"
        return text

    def _make(self) -> None:
        assert self.in_shape is not None
        if len(self.in_shape) != 3:
            raise ValueError(f"in_shape must have three extents, {self.layout}, not {self.in_shape}")
        hwc = self.layout == "HWC"
        shape = to_chw(self.in_shape, self.layout)
        stage = self.stages(shape)[0]
        stage.output_shape(shape)
        struct, self._kept = stage.to_c(shape)
        struct.spec.input_layout = struct.spec.output_layout = int(hwc)
        pointer = ctypes.c_void_p()
        status = _library.library().convpool_layer_create(
            ctypes.byref(struct.spec), struct.weights, struct.bias, ctypes.byref(pointer)
        )
        _library.check(status, f"a layer of {self.in_shape}")
        assert pointer.value is not None
        channels, height, width = _library.output_shape("layer", pointer.value)
        if (channels, height, width) != stage.output_shape(shape):
            raise RuntimeError(f"the library makes {(channels, height, width)} of {shape}")
        out = (height, width, channels) if hwc else (channels, height, width)
        self._runner = Runner("layer", pointer.value, self.in_shape, out, self.layout)
        self._kept = []

    def _made(self) -> Runner:
        if self.in_shape is None:
            raise ValueError("this layer was made without in_shape, so it runs only in a Network")
        return self._runner

    def __call__(self, x: object, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Applies the layer to one image, or to each of a batch with a leading axis."""
        return self._made()(x, out)

    @property
    def kernel(self) -> str:
        """The name of the kernel that runs, such as ``'avx2-winograd32'``."""
        return str(_library.library().convpool_layer_kernel(self._made().handle.pointer).decode())

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one image's result."""
        return self._made().output_shape

    def error_bound(self, max_abs_input: float) -> float:
        """A proven bound on the error of any result, for inputs of at most this magnitude."""
        if not (isinstance(max_abs_input, (int, float, np.number)) and max_abs_input >= 0):
            raise ValueError(f"max_abs_input must be a number from 0 on, not {max_abs_input!r}")
        return float(_library.library().convpool_layer_error_bound(self._made().handle.pointer, max_abs_input))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.in_shape is not None:
            self._make()


Options = tuple[tuple[str, Any], ...]
Numbers = tuple[bytes, tuple[int, ...]]  # an array's, and its shape


@functools.lru_cache(maxsize=8)
def _kept(weights: Numbers, bias: Numbers | None, in_shape: tuple[int, ...], more: Options) -> Layer:
    """A layer of these float32 numbers, one of the last few that were asked for."""
    w, b = (None if x is None else np.frombuffer(x[0], np.float32).reshape(x[1]) for x in (weights, bias))
    return Layer(w, b, in_shape=in_shape, **dict(more))


def conv_layer(parameters: Sequence[object], x: object, **options: Any) -> NDArray[np.float32]:
    """The layer that the project began with: a true convolution, bias, 2x2 max-pooling and ReLU.

    Parameters
    ----------
    parameters : (W, b)
        Weights [outputs, channels, height, width], as Theano and SciPy have them (the filter is flipped), and bias
        [outputs], which may be None.
    x : array_like
        [channels, height, width], or a batch [N, channels, height, width].
    **options
        What else `Layer` takes.

    Returns
    -------
    numpy.ndarray
        [outputs, height, width], float32, or a batch of them.

    Notes
    -----
    Weights are packed for the library where the last few calls had others. A `Layer` packs them once.
    """
    if not isinstance(parameters, (tuple, list)) or len(parameters) != 2:
        raise TypeError("the first argument must be a pair, (W, b)")
    weights, bias = parameters
    image = _library.as_float32(x, "x")
    if image.ndim not in (3, 4):
        raise ValueError(f"x must have three dimensions, or four for a batch, not the shape {image.shape}")
    options = {"filter": "convolution", **options}
    try:
        hash(tuple(options.values()))
    except TypeError:  # slopes, for instance
        return Layer(weights, bias, in_shape=image.shape[-3:], **options)(image)
    w = _library.as_float32(weights, "weights")
    b = None if bias is None else _library.as_float32(bias, "bias")
    kept = None if b is None else (b.tobytes(), b.shape)
    return _kept((w.tobytes(), w.shape), kept, image.shape[-3:], tuple(options.items()))(image)
