# SPDX-License-Identifier: MIT
"""Reads ONNX files: what exporters leave of a network without branches."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from ._graph import Asked, Builder, Float64
from ._merge import UnsupportedError
from ._onnx_constants import attribute, onnx_module, slices
from ._onnx_graph import Follower
from ._stages import dilated, same_pads


class Reader(Follower):
    """Adds the operators."""

    def axis(self, axis: int) -> int:
        """A dimension as the builder counts it."""
        rank = len(self.dims)
        axis = axis + rank if axis < 0 else axis
        axis -= self.batched
        if not 0 <= axis < len(self.builder.dims):
            raise self.builder.refuse(f"works on dimension {axis + self.batched} of {self.dims}")
        return axis

    def two(self, name: str) -> tuple[int, int]:
        """An attribute with a number down and one across, 1 by default."""
        value = list(self.attribute(name, [1, 1]))
        if self.in_a_row and len(value) == 1:
            value = [1, *value]
        if len(value) != 2 or min(value) < 1:
            raise self.builder.refuse(f"{name} {value}: two positive numbers are needed")
        return value[0], value[1]

    def pads(self, window: tuple[int, int], strides: tuple[int, int], ceil: bool = False) -> tuple[int, int, int, int]:
        """Top, left, bottom, right; in ceil mode so much that the last windows fit."""
        auto = self.attribute("auto_pad", "NOTSET")
        numbers = list(self.attribute("pads", [0, 0, 0, 0]))
        if self.in_a_row and len(numbers) == 2:
            numbers = [0, numbers[0], 0, numbers[1]]
        if len(numbers) != 4 or min(numbers) < 0 or len(self.builder.dims) != 3:
            raise self.builder.refuse(f"pads {numbers} of {self.dims}: an image and four numbers are needed")
        extents = (self.builder.dims[1], self.builder.dims[2])
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            numbers = list(same_pads(extents, window, strides))
        elif auto not in ("NOTSET", "VALID"):
            raise self.builder.refuse(f"auto_pad {auto!r}")
        elif auto == "VALID":
            numbers = [0, 0, 0, 0]
        before, after = numbers[:2], numbers[2:]
        if auto == "SAME_LOWER":
            before, after = after, before
        for i, extent in enumerate(extents):
            if ceil:
                whole = extent + before[i] + after[i]
                count = -(-(whole - window[i]) // strides[i]) + 1
                if (count - 1) * strides[i] >= extent + before[i]:
                    count -= 1
                after[i] = max((count - 1) * strides[i] + window[i] - extent - before[i], 0)
        return before[0], before[1], after[0], after[1]

    def _need_batch(self) -> None:
        """The first dimension must be the batch's, as it is for the operators that know channels."""
        if not self.batched:
            raise self.builder.refuse(f"takes a batch, but {self.dims} come in")

    @contextlib.contextmanager
    def _image(self) -> Iterator[None]:
        """Within this a sequence, [channels, steps], is an image of one row."""
        self._need_batch()
        self.in_a_row = len(self.builder.dims) == 2
        with self.builder.row(0) if self.in_a_row else contextlib.nullcontext():
            yield
        self.in_a_row = False

    def op_Conv(self) -> None:
        weights, bias = self.weights(1, "weights"), self.optional(2, "bias")
        if weights.ndim != len(self.builder.dims) + 1 or weights.ndim not in (3, 4):
            raise self.builder.refuse(
                f"weights of shape {weights.shape} on {self.dims}: a convolution of an image or a sequence is needed"
            )
        with self._image():
            weights = weights[:, :, None] if self.in_a_row else weights
            strides, dilations = self.two("strides"), self.two("dilations")
            around = self.pads(dilated(weights.shape[2:], dilations), strides)
            self.builder.convolution(weights, bias, strides, around, 0, dilations, self.attribute("group", 1))

    def _pool(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        window, strides = self.two("kernel_shape"), self.two("strides")
        if self.two("dilations") != (1, 1):
            raise self.builder.refuse("pooling with dilations is not supported: 1 is needed")
        return window, strides, self.pads(window, strides, bool(self.attribute("ceil_mode", 0)))

    def op_MaxPool(self) -> None:
        with self._image():
            self.builder.pool("max_pool", *self._pool(), 0)

    def op_AveragePool(self) -> None:
        with self._image():
            window, strides, around = self._pool()
            if self.attribute("count_include_pad", 0) and any(around):  # but for what ceil mode adds
                counted = [min(pair) for pair in zip(self.pads(window, strides), around)]
                self.builder.pad((counted[0], counted[1], counted[2], counted[3]), 0)
                around = (0, 0, around[2] - counted[2], around[3] - counted[3])
            self.builder.pool("average_pool", window, strides, around, 0)

    def _global(self, kind: str) -> None:
        with self._image():
            self.builder.reduce(kind, [1, 2], True)

    def op_GlobalAveragePool(self) -> None:
        self._global("average_pool")

    def op_GlobalMaxPool(self) -> None:
        self._global("max_pool")

    def _reduce(self, kind: str) -> None:
        axes = self._axes()
        if not axes:
            if self.attribute("noop_with_empty_axes", 0):
                return
            raise self.builder.refuse("over all dimensions: the rows and columns of an image are needed")
        self.builder.reduce(kind, [self.axis(n) for n in axes], bool(self.attribute("keepdims", 1)))

    def op_ReduceMean(self) -> None:
        self._reduce("average_pool")

    def op_ReduceMax(self) -> None:
        self._reduce("max_pool")

    def op_ReduceSum(self) -> None:
        before = math.prod(self.dims)
        self._reduce("average_pool")
        self.builder.scale(np.asarray(before / math.prod(self.dims)), np.asarray(0.0))

    def op_BatchNormalization(self) -> None:
        if self.attribute("training_mode", 0):
            raise self.builder.refuse("is in training mode: export the network for inference")
        self._need_batch()
        gamma, beta, mean, variance = (self.weights(i, "parameters") for i in range(1, 5))
        factor = gamma / np.sqrt(variance + self.attribute("epsilon", 1e-5))
        shape = (-1, *(1,) * (len(self.builder.dims) - 1))
        self.builder.scale(factor.reshape(shape), (beta - mean * factor).reshape(shape))

    def op_Gemm(self) -> None:
        if self.attribute("transA", 0):
            raise self.builder.refuse("transA is not supported: what comes in as it is is needed")
        weights = self.weights(1, "weights")
        if weights.ndim != 2 or len(self.builder.dims) != 1:
            raise self.builder.refuse(f"weights of shape {weights.shape} on {self.dims}: a vector is needed")
        weights = (weights.T if self.attribute("transB", 0) else weights) * self.attribute("alpha", 1.0)
        bias = self.optional(2, "bias")
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1) * self.attribute("beta", 1.0), weights.shape[1])
        self.builder.dense(weights, bias)

    def op_MatMul(self) -> None:
        weights = self.weights(1, "second factor")
        if weights.ndim != 2:
            raise self.builder.refuse(f"a factor of shape {weights.shape}: two dimensions are needed")
        self.builder.dense(weights, None)

    def _constant_operand(self) -> tuple[Float64, bool]:
        """The operand that is constant, and whether it is the first."""
        first = self.constants.get(self.node.input[0]) is not None
        return self._without_batch(self.weights(0 if first else 1, "other operand")), first

    def op_Add(self) -> None:
        self.builder.scale(np.asarray(1.0), self._constant_operand()[0])

    def op_Sub(self) -> None:
        values, first = self._constant_operand()
        self.builder.scale(np.asarray(-1.0 if first else 1.0), values if first else -values)

    def op_Mul(self) -> None:
        self.builder.scale(self._constant_operand()[0], np.asarray(0.0))

    def op_Div(self) -> None:
        values, first = self._constant_operand()
        if first:
            raise self.builder.refuse("divides by what the network computes")
        self.builder.scale(1 / values, np.asarray(0.0))

    def op_Neg(self) -> None:
        self.builder.scale(np.asarray(-1.0), np.asarray(0.0))

    def op_Relu(self) -> None:
        self.builder.activation("relu")

    def op_Sigmoid(self) -> None:
        self.builder.activation("sigmoid")

    def op_Tanh(self) -> None:
        self.builder.activation("tanh")

    def op_Elu(self) -> None:
        self.builder.activation("elu", self.attribute("alpha", 1.0))

    def op_Selu(self) -> None:
        self.builder.activation("elu", self.attribute("alpha", 1.67326319217681884765625))
        self.builder.scale(np.asarray(self.attribute("gamma", 1.05070102214813232421875)), np.asarray(0.0))

    def op_LeakyRelu(self) -> None:
        self.builder.activation("leaky_relu", self.attribute("alpha", 0.01))

    def op_Abs(self) -> None:
        self.builder.activation("leaky_relu", -1.0)

    def op_PRelu(self) -> None:
        self.builder.prelu(self._without_batch(self.weights(1, "slopes")))

    def op_Clip(self) -> None:
        if self.opset < 11:
            low, high = self.attribute("min", -math.inf), self.attribute("max", math.inf)
        else:
            bounds = [self.optional(1, "least value"), self.optional(2, "largest value")]
            low, high = (default if b is None else float(b) for b, default in zip(bounds, (-math.inf, math.inf)))
        self.builder.clip(low, high)

    def op_HardSigmoid(self) -> None:
        factor, shift = self.attribute("alpha", 0.2), self.attribute("beta", 0.5)
        self.builder.scale(np.asarray(factor), np.asarray(shift))
        self.builder.clip(0, 1)

    def _softmax(self, log: bool) -> None:
        dims = self.builder.dims
        axis = self.axis(self.attribute("axis", -1 if self.opset >= 13 else 1))
        if self.opset < 13:  # over that dimension and all after it
            self.builder.reshape((*self.builder.dims[:axis], -1))
        self.builder.softmax(axis, log)
        self.builder.reshape(dims)

    def op_Softmax(self) -> None:
        self._softmax(False)

    def op_LogSoftmax(self) -> None:
        self._softmax(True)

    def op_Log(self) -> None:
        self.builder.log()

    def _bound(self, what: str) -> float:
        """The number of a maximum or minimum with one."""
        values, _ = self._constant_operand()
        if len(self.node.input) != 2 or values.size != 1:
            raise self.builder.refuse(f"is a {what} with several numbers: one is needed")
        return float(values.reshape(()))

    def op_Max(self) -> None:
        self.builder.clip(self._bound("maximum"), math.inf)

    def op_Min(self) -> None:
        low, high = -math.inf, self._bound("minimum")
        last = self.builder.stages[-1] if self.builder.stages else None
        if last is not None and last.kind == "activation" and last.activation == "relu" and high > 0:
            low = 0.0
            self.builder.stages.pop()
        self.builder.clip(low, high)

    def op_Celu(self) -> None:
        alpha = np.asarray(self.attribute("alpha", 1.0))
        if alpha == 0:
            raise self.builder.refuse("has an alpha of 0")
        self.builder.scale(1 / alpha, np.asarray(0.0))
        self.builder.activation("elu", 1.0)
        self.builder.scale(alpha, np.asarray(0.0))

    def op_Gather(self) -> None:
        index, axis = self.weights(1, "index"), self.attribute("axis", 0)
        axis = axis + len(self.dims) if axis < 0 else axis
        if index.size != 1 or index.any() or not 0 <= axis < len(self.dims) or self.dims[axis] != 1:
            raise self.builder.refuse(f"takes a part of the dimension {axis} of {self.dims}: all of it is supported")
        self._whole_reshape([n for i, n in enumerate(self.dims) if i != axis or index.ndim])

    def op_Identity(self) -> None:
        pass

    def op_Dropout(self) -> None:
        if (
            len(self.node.input) > 2
            and self.constants.get(self.node.input[2]) is not None
            and self.weights(2, "mode").any()
        ):
            raise self.builder.refuse("is in training mode: export the network for inference")

    def op_Cast(self) -> None:
        if self.attribute("to", 1) not in (1, 10, 11, 16):
            raise self.builder.refuse("makes integers of what the network computes")

    def op_Pad(self) -> None:
        if self.attribute("mode", "constant") != "constant":
            raise self.builder.refuse(f"pads by {self.attribute('mode', '')}: zeros are supported")
        if self.opset < 11:
            numbers, value = list(self.attribute("pads", [])), self.attribute("value", 0.0)
        else:
            numbers, fill = [int(n) for n in self.weights(1, "pads")], self.optional(2, "value")
            value = 0.0 if fill is None else float(fill)
            if len(self.node.input) > 3 and self.node.input[3]:
                axes = [int(n) for n in self.weights(3, "axes")]
                whole = [0] * (2 * len(self.dims))
                for i, axis in enumerate(axes):
                    if not -len(self.dims) <= axis < len(self.dims):
                        raise self.builder.refuse(f"pads axes {axes} of {self.dims}")
                    axis %= len(self.dims)
                    whole[axis], whole[axis + len(self.dims)] = numbers[i], numbers[i + len(axes)]
                numbers = whole
        rank = len(self.dims)
        if value != 0 or len(numbers) != 2 * rank or min(numbers, default=0) < 0:
            raise self.builder.refuse(f"pads by {numbers} with {value}: zeros around an image are supported")
        self._edges("pads", numbers[:rank], numbers[rank:])

    def op_Slice(self) -> None:
        operands = [self.optional(i, what) for i, what in enumerate(("starts", "ends", "axes", "steps"), 1)]
        before, after = [0] * len(self.dims), [0] * len(self.dims)
        for axis, part in slices(self.node, self.opset, operands):
            if part.step != 1:
                raise self.builder.refuse(f"takes every n-th number, n = {part.step}: 1 is supported")
            taken = range(self.dims[axis])[part]
            if not taken:
                raise self.builder.refuse(f"takes nothing of dimension {axis} of {self.dims}")
            before[axis], after[axis] = taken[0], self.dims[axis] - 1 - taken[-1]
        self._edges("crops", before, after)

    def _edges(self, verb: str, before: list[int], after: list[int]) -> None:
        """Pads or crops each dimension by so much at its ends: rows and columns of an image alone."""
        builder, function = self.builder, self.builder.pad if verb == "pads" else self.builder.crop
        cut = [n for n, ends in enumerate(zip(before, after)) if any(ends)]
        if not cut:
            return
        if cut[0] == 0 and self.batched:
            raise builder.refuse(f"{verb} the batch")
        if not self.batched or len(before) not in (3, 4):
            raise builder.refuse(f"{verb} {self.dims}: a batch of images or sequences is needed")
        # The channels stay whole: the first dimension, or the last, where these are to be turned before a convolution.
        turned = [0, len(before) - 1, *range(1, len(before) - 1)]
        turns = any(node.op_type == "Transpose" and attribute(node, "perm", None) == turned for node in self.nodes)
        likely = 1 in cut or builder.shape is not None or turns
        first = 1 if builder.may_be_hwc and len(before) - 1 not in cut and likely else 2
        if first == 2 and 1 in cut:
            raise builder.refuse(f"{verb} channels")
        axis, ends = (2 if first == 1 else 0), [*before[first : first + 2], *after[first : first + 2]]
        if len(before) == 4:
            function((ends[0], ends[1], ends[2], ends[3]), axis)
            return
        with builder.row(axis):
            function((0, before[first], 0, after[first]), axis)

    def op_Transpose(self) -> None:
        order = list(self.attribute("perm", range(len(self.dims))[::-1]))
        if self.batched:
            if order[:1] != [0]:
                raise self.builder.refuse(f"turns the dimensions by {order}, the batch's, too")
            order = [n - 1 for n in order[1:]]
        self.builder.transpose(tuple(order))

    def _whole_reshape(self, shape: list[int]) -> None:
        """To these dimensions, the batch's among them."""
        count = math.prod(self.dims)
        known = math.prod(n for n in shape if n != -1)
        if shape.count(-1) > 1 or known < 1 or count % known:
            raise self.builder.refuse(f"reshapes {self.dims} to {shape}")
        whole = [count // known if n == -1 else n for n in shape]
        if self.batch > 1 or whole[:1] == [1]:
            if whole[0] != self.batch:
                raise self.builder.refuse(f"reshapes {self.dims} to {shape}, and the batch with it")
        self.batched = self.batch > 1 or whole[:1] == [1]
        self.builder.reshape(tuple(whole[1:] if self.batched else whole))

    def op_Reshape(self) -> None:
        numbers = (
            [int(n) for n in self.weights(1, "shape")]
            if len(self.node.input) > 1
            else list(self.attribute("shape", []))
        )
        if self.attribute("allowzero", 0) == 0:
            numbers = [self.dims[i] if n == 0 and i < len(self.dims) else n for i, n in enumerate(numbers)]
        self._whole_reshape(numbers)

    def op_Flatten(self) -> None:
        axis = self.attribute("axis", 1)
        axis = axis + len(self.dims) if axis < 0 else axis
        self._whole_reshape([math.prod(self.dims[:axis]), math.prod(self.dims[axis:])])

    def _axes(self) -> list[int] | None:
        axes = self.attribute("axes", None)
        if axes is None and len(self.node.input) > 1:
            axes = [int(n) for n in self.weights(1, "axes")]
        return None if axes is None else list(axes)

    def op_Squeeze(self) -> None:
        axes, rank = self._axes(), len(self.dims)
        drop = (
            {i for i, n in enumerate(self.dims) if n == 1 and i >= self.batched}
            if axes is None
            else {n % rank for n in axes}
        )
        if any(self.dims[n] != 1 for n in drop):
            raise self.builder.refuse(f"squeezes {axes} of {self.dims}")
        self._whole_reshape([n for i, n in enumerate(self.dims) if i not in drop])

    def op_Unsqueeze(self) -> None:
        axes = self._axes() or []
        rank = len(self.dims) + len(axes)
        places = {n % rank for n in axes}
        rest = list(self.dims)
        self._whole_reshape([1 if i in places else rest.pop(0) for i in range(rank)])


def read_onnx(path: str, asked: Asked) -> Builder:
    """A .onnx file."""
    model = onnx_module().load(path, load_external_data=False)
    if not model.graph.node:
        raise UnsupportedError("the file is empty: it has no nodes")
    reader = Reader(model, path, asked)
    try:
        return reader.run()
    except UnsupportedError:
        if len(reader.shapes[reader.first]) not in (2, 3):
            raise
        try:  # whether the first dimension is the batch's is a guess there
            return Reader(model, path, asked, not reader.guessed).run()
        except UnsupportedError:
            pass
        raise
