# SPDX-License-Identifier: MIT
"""The graph of an ONNX file: which of its nodes count, in which order, and what they compute of constants alone."""

from __future__ import annotations

import contextlib
import graphlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._graph import Asked, Builder, Float64, as_float64, closed
from ._merge import UnsupportedError
from ._onnx_constants import Constants, attribute
from ._piecewise import WHOLE, Slopes, slopes_after

MOST_NODES = 5000
MOST_BRANCHES = 8  # at hand at a time, and numbers that a slope of one may have
MOST_SLOPES = 1 << 16
QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
)


class Follower:
    """Follows the one tensor that leads from the input to an output."""

    def __init__(self, model: Any, path: str, asked: Asked, batched: bool | None = None) -> None:
        self.said = batched
        graph = model.graph
        self.opset = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=1)
        if self.opset < 7:
            raise UnsupportedError(f"the file has opset {self.opset}: from 7 on they are supported")
        if len(graph.node) > MOST_NODES:
            raise UnsupportedError(f"the file has {len(graph.node)} nodes, which is no small network")
        self.constants = Constants(path, graph, self.opset)
        self.nodes = self._needed(graph, self._output(graph, asked.output))
        self.current = self.first = self._input(graph, asked.in_shape)
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
        """The nodes that lead to the output, each behind those that it needs."""
        makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        wanted, needed = [output], dict[int, set[int]]()
        while wanted:
            index = makers.get(wanted.pop())
            if index is not None and index not in needed:
                names = [name for name in graph.node[index].input if name]
                needed[index] = {makers[name] for name in names if name in makers}
                wanted += names
        order = sorted(needed)
        if any(source > index for index in order for source in needed[index]):
            try:
                order = list(graphlib.TopologicalSorter(needed).static_order())
            except graphlib.CycleError:
                raise UnsupportedError("the file's nodes go round in a circle") from None
        return [graph.node[index] for index in order]

    def _input(self, graph: Any, in_shape: tuple[int, ...] | None) -> str:
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
        self.builder = Builder(closed([n or None for n in (dims[1:] if self.batched else dims)], in_shape))
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
            with self.builder.at(f"node {node.name or (node.output[0] if node.output else '?')!r} ({node.op_type})"):
                self._add()
        if self.current != self.output:
            raise UnsupportedError(f"the output {self.output!r} is no result of the input")
        return self.builder

    def _add(self) -> None:
        """Adds this node."""
        node = self.node
        if node.domain not in ("", "ai.onnx"):
            raise self.builder.refuse(f"operators of {node.domain!r} are not supported")
        if node.op_type in QUANTIZED:
            raise self.builder.refuse("the network is quantized: weights as they were trained, in float, are needed")
        if node.op_type == "Shape":
            self._shape()
        elif node.op_type == "Constant" or all(self.constants.get(name) is not None for name in node.input if name):
            refused = self.constants.compute(node)
            if refused:
                raise self.builder.refuse(refused)
        else:
            self._apply()

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
                "lies on one of several branches that come to no activation that is supported, as SiLU and GELU are "
                "not: a network without branches is needed"
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
