# SPDX-License-Identifier: MIT
"""Reads ONNX files: what exporters leave of a network without branches."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ._graph import Builder, Float64, as_float64
from ._merge import UnsupportedError
from ._onnx_constants import Constants, attribute, onnx_module
from ._piecewise import WHOLE, Slopes, slopes_after
from ._stages import dilated, same_pads

MOST_NODES = 5000
MOST_BRANCHES = 8  # at hand at a time, and numbers that a slope of one may have
MOST_SLOPES = 1 << 16


class Reader:
    """Follows the one tensor that leads from the input to an output."""

    def __init__(self, model: Any, path: str, output: str | None, batched: bool | None = None) -> None:
        self.said = batched
        graph = model.graph
        self.opset = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=1)
        if self.opset < 7:
            raise UnsupportedError(f"the file has opset {self.opset}: from 7 on they are supported")
        if len(graph.node) > MOST_NODES:
            raise UnsupportedError(f"the file has {len(graph.node)} nodes, which is no small network")
        self.constants = Constants(path, graph, self.opset)
        self.nodes = self._needed(graph, self._output(graph, output))
        self.current = self.first = self._input(graph)
        self.guessed = self.batched
        self.shapes: dict[str, tuple[int, ...]] = {self.current: self.dims}
        self.node: Any = None
        self.users: dict[str, int] = {self.output: 1}  # of a tensor; on branches, those still to come
        for name in (name for node in self.nodes if node.op_type != "Shape" for name in node.input):
            self.users[name] = self.users.get(name, 0) + 1
        self.in_a_row = False  # the tensor is a sequence that is followed as an image
        self.branches: dict[str, Slopes] = {}  # what is at hand besides the tensor, of it

    # ---- The graph ----

    def _output(self, graph: Any, output: str | None) -> str:
        names = [item.name for item in graph.output]
        if output is None:
            if not names:
                raise UnsupportedError("the file has no output")
            if len(names) != 1:
                raise UnsupportedError(
                    f"the file has several outputs, {', '.join(names)}: name one, load(file, output=...)"
                )
            output = names[0]
        if output not in names and not any(output in node.output for node in graph.node):
            raise UnsupportedError(f"the file has no output {output!r}, but {', '.join(names)}")
        self.output = output
        return output

    def _needed(self, graph: Any, output: str) -> list[Any]:
        """The nodes that lead to the output, in order."""
        makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        wanted, found = [output], set()
        while wanted:
            index = makers.get(wanted.pop())
            if index is not None and index not in found:
                found.add(index)
                wanted += [name for name in graph.node[index].input if name]
        return [graph.node[index] for index in sorted(found)]

    def _input(self, graph: Any) -> str:
        used = {name for node in self.nodes for name in node.input} | {self.output}
        inputs = [item for item in graph.input if item.name in used and item.name not in self.constants.tensors]
        if len(inputs) != 1:
            raise UnsupportedError(f"the output needs {len(inputs)} inputs: one is needed")
        tensor = inputs[0].type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
        if not dims:
            raise UnsupportedError("the file does not say its input's shape")
        self.batched = len(dims) > 1 and (len(dims) != 3 or dims[0] <= 1) if self.said is None else self.said
        self.batch = max(dims[0], 1) if self.batched else 1
        image = tuple(dims[1:] if self.batched else dims)
        if any(n < 1 for n in image):
            raise UnsupportedError(
                f"the input's shape is {tuple(dims)}: one without open extents is needed, but for the batch"
            )
        self.builder = Builder(image)
        return str(inputs[0].name)

    @property
    def dims(self) -> tuple[int, ...]:
        """The tensor's extents, with the batch's."""
        return (self.batch, *self.builder.dims) if self.batched else self.builder.dims

    def weights(self, index: int, what: str) -> Float64:
        """An input of this node that must be constant."""
        array = self.constants.get(self.node.input[index]) if index < len(self.node.input) else None
        if array is None:
            raise self.builder.refuse(f"its {what} must be constant")
        return as_float64(array)

    def optional(self, index: int, what: str) -> Float64 | None:
        """The same, where it may be missing."""
        return self.weights(index, what) if index < len(self.node.input) and self.node.input[index] else None

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of this node."""
        return attribute(self.node, name, default)

    def run(self) -> Builder:
        """Adds every node."""
        for node in self.nodes:
            self.node = node
            self.builder.where = f"node {node.name or (node.output[0] if node.output else '?')!r} ({node.op_type})"
            if node.domain not in ("", "ai.onnx"):
                raise self.builder.refuse(f"operators of {node.domain!r} are not supported")
            if node.op_type == "Shape":
                self._shape()
            elif node.op_type == "Constant" or all(self.constants.get(name) is not None for name in node.input if name):
                refused = self.constants.compute(node)
                if refused:
                    raise self.builder.refuse(refused)
            else:
                self._apply()
        if self.current != self.output:
            raise UnsupportedError(f"the output {self.output!r} is no result of the input")
        return self.builder

    def _apply(self) -> None:
        images = [name for name in self.node.input if name and self.constants.get(name) is None]
        if self._branch(images):
            return
        if images != [self.current]:
            raise self.builder.refuse(
                f"takes {', '.join(map(repr, images))}, but only {self.current!r} is at hand: one without "
                "branches is needed"
            )
        method: Callable[[], None] | None = getattr(self, "op_" + self.node.op_type, None)
        if method is None:
            raise self.builder.refuse(
                "operators of this kind are not supported: load(file, output=...) takes a tensor before it"
            )
        method()
        self.current = self.node.output[0]
        self.shapes[self.current] = self.dims

    def _branch(self, images: list[str]) -> bool:
        """Follows branches that come to an activation; False where this node is on none."""
        if not self.branches and self.users.get(self.current, 0) > 1:
            self.branches = {self.current: WHOLE}
        if not self.branches or any(name not in self.branches for name in images):
            return False
        operands = [
            self.branches[name] if name in images else self.constants.get(name) for name in self.node.input if name
        ]
        shapes = [
            array.shape for x in operands for array in (x if isinstance(x, Slopes) else (x,)) if array is not None
        ]
        after = None
        with contextlib.suppress(ValueError):  # they may not fit one another
            if len(self.branches) <= MOST_BRANCHES and math.prod(np.broadcast_shapes(*shapes)) <= MOST_SLOPES:
                after = slopes_after(self.node.op_type, operands, self.attribute("alpha", 0.01))
        if after is None:
            raise self.builder.refuse(
                "lies on one of several branches that come to no activation that is supported: a network without "
                "branches is needed"
            )
        for name in images:
            self.users[name] -= 1
            if self.users[name] == 0:
                del self.branches[name]
        self.branches[self.node.output[0]] = after
        if len(self.branches) == 1:
            self.branches = {}
            self._piecewise(after)
            self.current = self.node.output[0]
            self.shapes[self.current] = self.dims
        return True

    def _piecewise(self, slopes: Slopes) -> None:
        """An activation, and what its result is multiplied by."""
        above, below = (self._without_batch(as_float64(array)) for array in slopes)
        if not (above > 0).all():
            raise self.builder.refuse("ends branches that come to no activation: they may not fall above 0")
        ratio = below / above
        if not ratio.any():
            self.builder.activation("relu")
        elif (ratio != 1).any():
            self.builder.prelu(ratio)
        if (above != 1).any():
            self.builder.scale(above, np.asarray(0.0))

    def _without_batch(self, values: Float64) -> Float64:
        """What is broadcast over the tensor, without the batch's dimension."""
        if self.batched and values.ndim == len(self.dims):
            if values.shape[0] != 1:
                raise self.builder.refuse(f"an operand of shape {values.shape}")
            values = np.asarray(values[0])
        return values

    # ---- Constants ----

    def _shape(self) -> None:
        name = self.node.input[0]
        array = self.constants.get(name)
        shape = self.shapes.get(name) if array is None else array.shape
        if shape is None:
            raise self.builder.refuse(f"the shape of {name!r} is not known")
        shape = shape[slice(self.attribute("start", 0), self.attribute("end", None))]
        self.constants.known[self.node.output[0]] = np.array(shape, np.int64)

    # ---- Operators ----

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

    def op_Max(self) -> None:
        values, _ = self._constant_operand()
        if len(self.node.input) != 2 or values.size != 1 or values.any():
            raise self.builder.refuse("is a maximum with other numbers than 0")
        self.builder.activation("relu")

    def op_Min(self) -> None:
        values, _ = self._constant_operand()
        last = self.builder.stages[-1] if self.builder.stages else None
        if last is None or last.activation != "relu" or values.size != 1 or float(values.reshape(())) != 6:
            raise self.builder.refuse("is a minimum that is not that of a ReLU with 6")
        last.activation = "relu6"

    def op_Celu(self) -> None:
        if self.attribute("alpha", 1.0) != 1:
            raise self.builder.refuse("has an alpha other than 1")
        self.builder.activation("elu", 1.0)

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
        if not any(numbers):
            return
        rank, in_a_row = len(self.dims), len(self.builder.dims) == 2
        if in_a_row and len(numbers) == 6:
            numbers, rank = [*numbers[:2], 0, *numbers[2:5], 0, numbers[5]], 4
        if value != 0 or len(numbers) != 2 * rank or min(numbers) < 0 or rank != 4 or not self.batched:
            raise self.builder.refuse(f"pads by {numbers} with {value}: zeros around an image are supported")
        before, after = numbers[1:4], numbers[5:8]
        if numbers[0] or numbers[4]:
            raise self.builder.refuse("pads the batch")
        if before[0] == after[0] == 0:
            with self._image():
                self.builder.pad((before[1], before[2], after[1], after[2]), 0)
        elif not in_a_row and before[2] == after[2] == 0 and self.builder.may_be_hwc:
            self.builder.pad((before[0], before[1], after[0], after[1]), 2)
        else:
            raise self.builder.refuse("pads channels")

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
            self.batched = True
            target = tuple(whole[1:]) or (1,)
        else:
            self.batched = False
            target = tuple(whole)
        try:
            self.builder.reshape(target)
        except UnsupportedError:
            if self.node.output[0] != self.output:
                raise
            self.builder.final = target  # nothing reads it

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


def read_onnx(path: str, output: str | None) -> Builder:
    """A .onnx file."""
    model = onnx_module().load(path, load_external_data=False)
    if not model.graph.node:
        raise UnsupportedError("the file is empty: it has no nodes")
    reader = Reader(model, path, output)
    try:
        return reader.run()
    except UnsupportedError:
        if len(reader.shapes[reader.first]) not in (2, 3):
            raise
        try:  # whether the first dimension is the batch's is a guess there
            return Reader(model, path, output, not reader.guessed).run()
        except UnsupportedError:
            pass
        raise
