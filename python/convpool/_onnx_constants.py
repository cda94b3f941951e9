# SPDX-License-Identifier: MIT
"""The constants of an ONNX file: its own arrays, and what nodes compute of constants alone."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._graph import MOST_WEIGHTS
from ._merge import UnsupportedError

Const = NDArray[Any]


def onnx_module() -> Any:
    """The package onnx, which is needed for these files alone."""
    try:
        import onnx
    except ImportError:
        raise ImportError("reading ONNX files needs onnx: pip install onnx") from None
    return onnx


def attribute(node: Any, name: str, default: Any) -> Any:
    """An attribute of a node."""
    for item in node.attribute:
        if item.name == name:
            value = onnx_module().helper.get_attribute_value(item)
            return value.decode() if isinstance(value, bytes) else value
    return default


def slices(node: Any, opset: int, operands: list[Any]) -> list[tuple[int, slice]]:
    """The dimensions of which a Slice takes a part, and which. From opset 10 on operands say it, those after the data;
    what is missing is None."""
    if opset < 10:
        lists = [attribute(node, name, None) for name in ("starts", "ends", "axes")]
    else:
        lists = [None if values is None else [int(n) for n in values] for values in operands]
    starts, ends, axes, steps = (lists[i] if i < len(lists) else None for i in range(4))
    starts, ends = starts or [], ends or []
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return [(axis, slice(start, end, step)) for axis, start, end, step in zip(axes, starts, ends, steps)]


BINARY: dict[str, Any] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Mod": np.mod,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Equal": np.equal,
    "Greater": np.greater,
    "Less": np.less,
}
UNARY: dict[str, Any] = {
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Reciprocal": np.reciprocal,
    "Not": np.logical_not,
}
REDUCTIONS: dict[str, Any] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL2": lambda x, **options: np.sqrt(np.sum(np.square(x), **options)),
}


def size_of(node: Any, x: list[Any]) -> int:
    """How many numbers a node makes of its inputs, at most: known before it is computed."""
    if node.op_type in BINARY or node.op_type == "Where":
        return math.prod(np.broadcast_shapes(*(values.shape for values in x)))
    if node.op_type == "ConstantOfShape":
        return math.prod(map(abs, x[0].tolist()))
    if node.op_type == "Expand":
        return math.prod(np.broadcast_shapes(x[0].shape, tuple(x[1].tolist())))
    if node.op_type == "Concat":
        return sum(values.size for values in x)
    if node.op_type == "Gather":
        return int(x[0].size // max(x[0].shape[attribute(node, "axis", 0)], 1) * x[1].size)
    return max((values.size for values in x), default=1)


class Constants:
    """Arrays by their names, read when they are asked for; external data only from the file's own folder."""

    def __init__(self, path: str, graph: Any, opset: int) -> None:
        self.folder = os.path.dirname(os.path.abspath(path))
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.opset = opset
        self.known: dict[str, Const] = {}
        self.computed = 0  # numbers, by all nodes together

    def get(self, name: str) -> Const | None:
        """The array of this name; None where it is no constant."""
        if name not in self.known and name in self.tensors:
            self.known[name] = self._read(self.tensors[name])
        return self.known.get(name)

    def _read(self, tensor: Any) -> Const:
        onnx = onnx_module()
        if math.prod(tensor.dims) > MOST_WEIGHTS or any(n < 0 for n in tensor.dims):
            raise UnsupportedError(
                f"tensor {tensor.name!r} of shape {tuple(tensor.dims)} is too large for a small network"
            )
        if onnx.external_data_helper.uses_external_data(tensor):
            entries = {entry.key: entry.value for entry in tensor.external_data}
            location = entries.get("location", "")
            whole = os.path.realpath(os.path.join(self.folder, location))
            if not location or os.path.isabs(location) or os.path.dirname(whole) != os.path.realpath(self.folder):
                raise UnsupportedError(f"tensor {tensor.name!r} lies in {location!r}, which is not beside the file")
            start, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
            held = os.path.getsize(whole) - start if length < 0 else length
            if start < 0 or not 0 <= held <= 16 * max(math.prod(tensor.dims), 1):
                raise UnsupportedError(
                    f"tensor {tensor.name!r} of shape {tuple(tensor.dims)} in {held} bytes of {location!r}"
                )
            onnx.external_data_helper.load_external_data_for_tensor(tensor, self.folder)
        return np.asarray(onnx.numpy_helper.to_array(tensor, self.folder))

    def compute(self, node: Any) -> str:
        """Computes a node whose inputs are all constant; returns why it cannot, or ""."""
        x: list[Any] = [self.get(name) for name in node.input if name]
        self.computed += size_of(node, x)
        if self.computed > MOST_WEIGHTS:
            return "constants are too large for a small network"
        value = self._constant(node) if node.op_type == "Constant" else None
        if node.op_type in ("Identity", "Dropout"):
            value = x[0]
        elif all(values.dtype.kind in "biuf" for values in x):
            value = self._result(node, x) if value is None else value
        if value is None or value.dtype.kind not in "biuf":
            return "a constant of this kind is not supported"
        self.known[node.output[0]] = value
        return ""

    def _constant(self, node: Any) -> Const | None:
        for item in node.attribute:
            if item.name == "value":
                return self._read(item.t)
            if item.name in ("value_float", "value_floats", "value_int", "value_ints"):
                return np.array(onnx_module().helper.get_attribute_value(item))
        return None

    def _result(self, node: Any, x: list[Any]) -> Any:
        kind = node.op_type
        if kind in BINARY and len(x) == 2:
            if kind == "Mod" and attribute(node, "fmod", 0):
                return np.asarray(np.fmod(x[0], x[1]))
            if kind == "Div" and x[0].dtype.kind in "iu":
                return np.asarray(np.sign(x[0]) * np.sign(x[1]) * (np.abs(x[0]) // np.abs(x[1])))  # towards 0
            return np.asarray(BINARY[kind](x[0], x[1]))
        if kind in UNARY:
            return np.asarray(UNARY[kind](x[0]))
        if kind in REDUCTIONS:
            axes = attribute(node, "axes", x[1].tolist() if len(x) > 1 else None)
            keep = bool(attribute(node, "keepdims", 1))
            if not axes and attribute(node, "noop_with_empty_axes", 0):
                return x[0]
            return np.asarray(REDUCTIONS[kind](x[0], axis=tuple(axes) if axes else None, keepdims=keep))
        if kind == "ConstantOfShape":
            value = attribute(node, "value", None)
            return np.full(x[0].tolist(), 0.0 if value is None else self._read(value).reshape(-1)[0])
        if kind == "Where":
            return np.where(x[0], x[1], x[2])
        if kind == "Expand":
            return np.broadcast_to(x[0], np.broadcast_shapes(x[0].shape, tuple(x[1].tolist())))
        if kind == "Slice":
            index = [slice(None)] * x[0].ndim
            for axis, part in slices(node, self.opset, x[1:]):
                index[axis] = part
            return np.asarray(x[0][tuple(index)])
        if kind == "Cast":
            kind = onnx_module().TensorProto.DataType.Name(attribute(node, "to", 1)).lower()
            return x[0].astype({"float": "float32", "double": "float64"}.get(kind, kind))
        if kind == "Transpose":
            return x[0].transpose(attribute(node, "perm", None))
        if kind == "Reshape":
            return x[0].reshape([x[0].shape[i] if n == 0 else n for i, n in enumerate(x[1].tolist())])
        if kind == "Concat":
            return np.concatenate(x, attribute(node, "axis", 0))
        if kind == "Gather":
            return np.take(x[0], x[1], attribute(node, "axis", 0))
        if kind in ("Unsqueeze", "Squeeze"):
            axes = attribute(node, "axes", x[1].tolist() if len(x) > 1 else None)
            if kind == "Squeeze":
                return np.squeeze(x[0], None if axes is None else tuple(axes))
            return np.expand_dims(x[0], tuple(axes))
        return None
