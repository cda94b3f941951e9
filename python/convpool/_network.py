# SPDX-License-Identifier: MIT
"""A whole network."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._layer import Layer, Runner
from ._parts import Part
from ._stages import Plan, Shape, Stage, image_shape, to_chw


def from_chw(shape: Shape, layout: str) -> tuple[int, ...]:
    """The shape of an image in this layout."""
    return (*shape[1:], shape[0]) if layout == "HWC" else shape


class Network:
    """Stages one after the other, applied to one image at a time.

    Parameters
    ----------
    parts : sequence of stages
        `Layer`, `Depthwise`, `Dense`, `MaxPool`, `AveragePool`, `GlobalMax`, `GlobalAverage`, `Scale`, `Activation`,
        `Softmax`, `LogSoftmax`.
    in_shape : tuple of int, optional
        The shape of the image that comes in, in its layout. By default the first layer's.
    layout : {'CHW', 'HWC'}
        Of the images that come in and go out.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Of one image. What is one pixel after all has one extent, the channels.
    """

    def __init__(
        self, parts: Sequence[Part], *, in_shape: Sequence[int] | None = None, layout: str | None = None
    ) -> None:
        parts = list(parts)
        if not parts:
            raise ValueError("a network needs at least one stage")
        for part in parts:
            if not isinstance(part, Part):
                raise TypeError(f"{part!r} is no stage")
        first = parts[0] if isinstance(parts[0], Layer) else None
        if layout is None:
            layout = first.layout if first is not None else "CHW"
        _library.pick(layout, _library.IMAGE_LAYOUTS, "layout")
        if in_shape is None:
            if first is None or first.in_shape is None:
                raise ValueError("in_shape is missing, and the first stage is no Layer that has one")
            in_shape = first.in_shape
        outside = image_shape(in_shape)
        shape = inner = to_chw(outside, layout)
        for part in parts:
            if isinstance(part, Layer) and part.in_shape is not None and part.layout != layout:
                raise ValueError(f"a layer made for {part.in_shape}, {part.layout}, in a network of {layout} images")
        stages: list[Stage] = []
        for part in parts:
            for stage in part.stages(inner):
                inner = stage.output_shape(inner)
                stages.append(stage)
        out = (inner[0],) if inner[1:] == (1, 1) else from_chw(inner, layout)
        self._make(Plan(stages, shape, (outside, layout), (out, layout)))

    @classmethod
    def _of(cls, plan: Plan) -> Network:
        """From stages that are ready."""
        network = cls.__new__(cls)
        network._make(plan)
        return network

    def _make(self, plan: Plan) -> None:
        self._stages, self._shape, self._outside, self._result = plan
        if plan.stages[0].by_number:
            raise ValueError(f"{plan.stages[0].label}: the first stage cannot have weights or slopes for each number")
        self.input_shape, self.output_shape = plan.outside[0], plan.result[0]
        self._runner = self._compile(None)

    def _structs(self, isa: str | None) -> tuple[Any, list[Any]]:
        """The array of C structs, and what it points to. isa: of every stage whose own kernel names none."""
        structs, kept, shape = (_library.Stage * len(self._stages))(), [], self._shape
        for index, stage in enumerate(self._stages):
            structs[index], arrays = dataclasses.replace(stage, kernel=on(isa, stage.kernel)).to_c(shape)
            kept += arrays
            shape = stage.output_shape(shape)
        if math.prod(shape) != math.prod(self.output_shape):
            raise ValueError(f"{shape} comes out, which is no {self.output_shape}")
        structs[0].spec.input_layout = _library.IMAGE_LAYOUTS.index(self._outside[1])
        structs[len(structs) - 1].spec.output_layout = _library.IMAGE_LAYOUTS.index(self._result[1])
        return structs, kept

    def _compile(self, isa: str | None) -> Runner:
        structs, kept = self._structs(isa)
        pointer = ctypes.c_void_p()
        status = _library.library().convpool_network_create(structs, len(structs), ctypes.byref(pointer))
        if status:
            _library.check(status, self._failing(structs))
        del kept
        assert pointer.value is not None
        made = _library.output_shape("network", pointer.value)
        if math.prod(made) != math.prod(self.output_shape):
            raise RuntimeError(f"the library makes {made}, which is no {self.output_shape}")
        return Runner("network", pointer.value, self.input_shape, self.output_shape, self._outside[1])

    def _failing(self, structs: Any) -> str:
        """The first stage that the library refuses, in words."""
        size_with, count = _library.library().convpool_network_memory_size, len(structs)
        index = next((n for n in range(count) if size_with(structs, n + 1) == 0), None)
        if index is None:
            return "the network"
        stage = self._stages[index]
        return f"stage {index}, {stage.label}" + (f", kernel {stage.kernel!r}" if stage.kernel else "")

    def __call__(self, x: object, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Applies the network to one image, or to each of a batch with a leading axis.

        Parameters
        ----------
        x : array_like
            `input_shape`, or (N, \\*\\ `input_shape`). Converted to float32 where it is not.
        out : numpy.ndarray, optional
            Takes the result: float32, in C order, writable, apart from `x`.
        """
        return self._runner(x, out)

    def kernels(self) -> list[str]:
        """The kernel of each stage; "" where it is no layer."""
        lib, pointer = _library.library(), self._runner.handle.pointer
        return [
            lib.convpool_layer_kernel(lib.convpool_network_layer(pointer, index)).decode()
            for index in range(len(self._stages))
        ]

    def summary(self) -> str:
        """A table: each stage with its shape, kernel, number of weights and number of multiply-adds."""
        rows = [("stage", "output", "kernel", "weights", "multiply-adds")]
        shape, weights, work = self._shape, 0, 0
        for stage, kernel in zip(self._stages, self.kernels()):
            count = sum(int(values.size) for values in stage.arrays().values())
            adds = stage.multiply_adds(shape)
            shape = stage.output_shape(shape)
            weights, work = weights + count, work + adds
            rows.append((describe(stage), "x".join(map(str, shape)), kernel or "-", f"{count:,}", f"{adds:,}"))
        rows.append(("all", "", "", f"{weights:,}", f"{work:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = []
        for row in rows:
            left = [row[column].ljust(widths[column]) for column in range(3)]
            right = [row[column].rjust(widths[column]) for column in (3, 4)]
            lines.append("  ".join(left + right).rstrip())
        head = f"{'x'.join(map(str, self.input_shape))} -> {'x'.join(map(str, self.output_shape))}"
        return "\n".join([head, *lines])

    def save(self, file: str | os.PathLike[str]) -> None:
        """Writes the network to an .npz file, which needs NumPy and convpool alone to be read.

        It holds the stages, their weights, and a test case that `load` runs again.
        """
        from . import _file

        _file.save(self, os.fspath(file))

    def to_c(self, file: str | os.PathLike[str], name: str = "network") -> None:
        """Writes one C header: the weights, the stages, sizes for static memory, and a test of itself.

        Parameters
        ----------
        file : path
        name : str
            What its names begin with, a C identifier.
        """
        from . import _header

        _header.write(self, os.fspath(file), name)

    def __repr__(self) -> str:
        return f"<convpool.Network {self.input_shape} -> {self.output_shape}, {len(self._stages)} stages>"

    def __getstate__(self) -> dict[str, Any]:
        return {"of": (self._stages, self._shape, self._outside, self._result)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make(Plan(*state["of"]))


def on(isa: str | None, kernel: str | None) -> str | None:
    """The name of what a stage's kernel is on an instruction set, unless it names one itself."""
    if isa is None or kernel is None:
        return kernel or isa
    algorithms = {row["algorithm"] for row in _library.kernels()}
    return f"{isa}-{kernel}" if kernel in algorithms else kernel


def describe(stage: Stage) -> str:
    """A stage in a few words."""
    window = "x".join(map(str, stage.window))
    words = [stage.kind.replace("_", " ")]
    if stage.has_window:
        words.append(window)
    if stage.strides != (1, 1):
        words.append("stride " + "x".join(map(str, stage.strides)))
    if any(stage.pads):
        words.append("pad " + ",".join(map(str, stage.pads)))
    if stage.activation != "none":
        words.append(stage.activation)
    if stage.pool != "none":
        words.append("max-pool" if stage.pool == "max" else "max-pool (ceil)")
    if stage.name:
        words.insert(0, stage.name + ":")
    return " ".join(words)
