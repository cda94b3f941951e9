# SPDX-License-Identifier: MIT
"""What a file says, step by step, made into stages: the axes of tensors are followed, and stages are merged."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._stages import MONOTONE, Shape, Stage

Float64 = NDArray[np.float64]

LARGEST_IMAGE = 1 << 28  # numbers; more is no image that a small network takes
MOST_WEIGHTS = 1 << 28
MOST_WORK = 1 << 35  # multiply-adds, or what pools read


class UnsupportedError(ValueError):
    """A file holds what convpool cannot compute. The message says where, and what would be needed."""


class Builder:
    """Collects stages while it follows one tensor.

    The tensor's dimensions, without the batch's, are groups of axes: those of the input as they are numbered there, and
    from the first stage on that says which they are, 'C', 'H' and 'W'. An axis of one pixel is in no group.
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        if not input_shape or min(input_shape) < 1 or math.prod(input_shape) > LARGEST_IMAGE:
            raise UnsupportedError(f"an input of shape {input_shape} is no image of a small network")
        self.input_shape = input_shape
        self.input_layout = "CHW"
        self.stages: list[Stage] = []
        self.shape: Shape | None = None
        self._first: Shape = (1, 1, 1)
        self.where = "the input"
        self._sizes: dict[str, int] = {}
        self._groups: list[tuple[str, ...]] = []
        self._renumber(input_shape)

    def refuse(self, what: str) -> UnsupportedError:
        """The exception for what cannot be computed here."""
        return UnsupportedError(f"{self.where}: {what}")

    @property
    def dims(self) -> tuple[int, ...]:
        """The tensor's extents, without the batch's."""
        return tuple(math.prod(self._sizes[axis] for axis in group) for group in self._groups)

    @property
    def may_be_hwc(self) -> bool:
        """Whether the last dimension may be the channels."""
        return self.shape is None or self._groups[-1] == ("C",)

    def _renumber(self, shape: tuple[int, ...]) -> None:
        self._sizes = {str(n): extent for n, extent in enumerate(shape) if extent > 1}
        self._groups = [(str(n),) if extent > 1 else () for n, extent in enumerate(shape)]

    def _flat(self) -> tuple[str, ...]:
        return tuple(axis for group in self._groups for axis in group)

    def _settle(self, channels: tuple[str, ...], height: tuple[str, ...], width: tuple[str, ...]) -> None:
        """Says which axes of the input are an image's."""
        order = tuple(self._sizes)
        layouts = {"CHW": channels + height + width, "HWC": height + width + channels}
        fitting = [layout for layout, axes in layouts.items() if axes == order]
        if not fitting:
            raise self.refuse("the input's axes are neither channels, height, width nor height, width, channels")
        sizes = [math.prod(self._sizes[axis] for axis in axes) for axes in (channels, height, width)]
        self.shape = self._first = (sizes[0], sizes[1], sizes[2])
        self.input_layout = best_layout(fitting, self.shape, self.input_shape)
        names = {axes: name for axes, name in ((channels, "C"), (height, "H"), (width, "W")) if axes}
        groups: list[tuple[str, ...]] = []
        for group in self._groups:
            rest, renamed = group, []
            while rest:
                axes = next(axes for axes in names if rest[: len(axes)] == axes)
                renamed.append(names[axes])
                rest = rest[len(axes) :]
            groups.append(tuple(renamed))
        self._groups = groups
        self._sizes = {name: size for name, size in zip("CHW", sizes) if size > 1}

    def _image(self, channel_axis: int) -> None:
        """The tensor must be an image whose channels are this dimension."""
        if len(self._groups) != 3:
            raise self.refuse(f"takes an image, but {len(self._groups)} dimensions come in")
        groups = list(self._groups)
        channels = groups.pop(channel_axis)
        if self.shape is None:
            self._settle(channels, groups[0], groups[1])
        elif any(group not in ((), (name,)) for group, name in zip((channels, *groups), "CHW")):
            raise self.refuse("takes an image, but its channels, rows and columns are not where they should be")

    def _vector(self) -> tuple[str, ...]:
        """The tensor must have one dimension that is no 1; returns its axes in order."""
        if sum(bool(group) for group in self._groups) > 1:
            raise self.refuse(f"takes a vector, but {self.dims} come in")
        if self.shape is None:
            self._settle(self._flat(), (), ())
        return self._flat()

    def _spatial(self, stage: Stage, channel_axis: int) -> None:
        self._image(channel_axis)
        self._append(stage)
        assert self.shape is not None
        names = [name if extent > 1 else "" for name, extent in zip("CHW", self.shape)]
        order = [*names[1:], names[0]] if channel_axis == 2 else names
        self._groups = [(name,) if name else () for name in order]

    def _append(self, stage: Stage) -> None:
        assert self.shape is not None
        stage.name = stage.name or self.where
        try:
            extents = shape_after(stage, self.shape)
        except ValueError as error:
            raise UnsupportedError(f"{self.where}: {error}") from None
        if min(extents) < 1 or math.prod(extents) > LARGEST_IMAGE:
            raise self.refuse(f"an image of {extents} comes out")
        self.shape = extents
        self._sizes = {name: size for name, size in zip("CHW", extents) if size > 1}
        self.stages.append(stage)

    # ---- What a file's steps are ----

    def convolution(
        self,
        weights: Float64,
        bias: Float64 | None,
        strides: tuple[int, int],
        pads: tuple[int, int, int, int],
        channel_axis: int,
        dilations: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> None:
        """weights [outputs, channels of a group, height, width]."""
        outputs, channels, height, width = weights.shape
        tall, wide = (height - 1) * dilations[0] + 1, (width - 1) * dilations[1] + 1
        if min(weights.shape) < 1 or groups < 1 or outputs % groups:
            raise self.refuse(f"weights of shape {weights.shape} in {groups} groups")
        if outputs * channels * groups * tall * wide > MOST_WEIGHTS:
            raise self.refuse("has too many weights for a small network")
        whole = np.zeros((outputs, channels * groups, tall, wide))
        for group in range(groups):
            rows = slice(group * (outputs // groups), (group + 1) * (outputs // groups))
            columns = slice(group * channels, (group + 1) * channels)
            whole[rows, columns, :: dilations[0], :: dilations[1]] = weights[rows]
        self._spatial(Stage("layer", "", whole, bias, (tall, wide), strides, pads), channel_axis)

    def dense(self, weights: Float64, bias: Float64 | None) -> None:
        """weights [inputs, outputs], over the last dimension."""
        if self.dims[-1] != weights.shape[0]:
            raise self.refuse(f"weights for {weights.shape[0]} inputs, but {self.dims[-1]} come in")
        last = len(self._groups) - 1
        if any(self._groups[:-1]) or (last > 0 and not self._groups[-1]):  # of each pixel by itself
            if last != 2:
                raise self.refuse(f"takes a vector or an image, but {self.dims} come in")
            self.convolution(np.ascontiguousarray(weights.T)[:, :, None, None], bias, (1, 1), (0, 0, 0, 0), 2)
            return
        axes = self._vector()
        assert self.shape is not None
        outputs = weights.shape[1]
        by_axis = weights.T.reshape(outputs, *(self._sizes[axis] for axis in axes))
        by_axis = by_axis.transpose(0, *(1 + axes.index(axis) for axis in "CHW" if axis in axes))
        window = self.shape[1:]
        groups = len(self._groups)
        self._append(Stage("layer", "", by_axis.reshape(outputs, *self.shape), bias, window))
        self._groups = [()] * (groups - 1) + [("C",) if outputs > 1 else ()]

    def pool(
        self,
        kind: str,
        window: tuple[int, int],
        strides: tuple[int, int],
        pads: tuple[int, int, int, int],
        channel_axis: int,
    ) -> None:
        """kind: 'max_pool' or 'average_pool'."""
        self._image(channel_axis)
        assert self.shape is not None
        for extent, length, stride, before, after in zip(self.shape[1:], window, strides, pads[:2], pads[2:]):
            count = (before + extent + after - length) // max(stride, 1) + 1
            if before >= length or (count - 1) * stride >= before + extent:
                raise self.refuse("has windows in padding alone")
        self._spatial(Stage(kind, "", None, None, window, strides, pads), channel_axis)

    def global_pool(self, kind: str, channel_axis: int, keep: bool) -> None:
        """kind: 'global_max' or 'global_average'. keep: whether the dimensions of 1 pixel stay."""
        self._spatial(Stage(kind), channel_axis)
        if not keep:
            self._groups = [self._groups[channel_axis]]

    def pad(self, pads: tuple[int, int, int, int], channel_axis: int) -> None:
        """Zeros around the image."""
        if any(pads):
            self._spatial(Stage("pad", pads=pads), channel_axis)

    def activation(self, name: str, parameter: float = 0.0) -> None:
        """Of every number."""
        self._each(Stage("activation", self.where, activation=name, parameter=parameter))

    def prelu(self, slopes: Float64) -> None:
        """Slopes that are broadcast over the tensor."""
        values = self._by_channel(slopes)
        if values.ndim > 1:
            raise self.refuse("has slopes that differ from pixel to pixel: one for each channel is needed")
        if values.ndim == 0:
            self.activation("leaky_relu", float(values))
        else:
            self._each(Stage("activation", self.where, activation="prelu", slopes=values))

    def scale(self, factor: Float64, shift: Float64) -> None:
        """y = factor x + shift, both broadcast over the tensor."""
        factor, shift = self._by_channel(factor), self._by_channel(shift)
        if factor.ndim <= 1 and shift.ndim <= 1 and factor.ndim != shift.ndim:
            length = max(factor.size, shift.size)
            factor, shift = np.broadcast_to(factor, length), np.broadcast_to(shift, length)
        elif factor.ndim != shift.ndim:
            assert self.shape is not None
            factor, shift = (
                np.broadcast_to(v if v.ndim == 3 else v.reshape(-1, 1, 1), self.shape) for v in (factor, shift)
            )
        self._each(Stage("scale", self.where, np.array(factor), np.array(shift)))

    def _each(self, stage: Stage) -> None:
        """A stage that knows no axes; before the first that does, it waits for the shape."""
        self.stages.append(stage)

    def _by_channel(self, values: Float64) -> Float64:
        """What is broadcast over the tensor: one number, [channels], or [channels, height, width]."""
        if values.size == 1:
            return values.reshape(())
        rank = len(self._groups)
        shape = values.shape[-rank:] if values.ndim > rank and set(values.shape[:-rank]) == {1} else values.shape
        shape = (1,) * (rank - len(shape)) + tuple(shape)
        if len(shape) != rank or any(n not in (1, extent) for n, extent in zip(shape, self.dims)):
            raise self.refuse(f"values of shape {values.shape} do not fit {self.dims}")
        if self.shape is None:
            several = [axis for axis in range(rank) if shape[axis] > 1]
            if rank == 3 and len(several) == 1 and several[0] != 1:
                self._image(several[0])
            else:
                self._vector()
        assert self.shape is not None
        order = self._flat()
        whole = np.broadcast_to(values.reshape(shape), self.dims).reshape([self._sizes[axis] for axis in order])
        whole = whole.transpose([order.index(axis) for axis in "CHW" if axis in order]).reshape(self.shape)
        return whole[:, 0, 0] if (whole == whole[:, :1, :1]).all() else np.array(whole)

    def softmax(self, axis: int, log: bool = False) -> None:
        """Over one dimension, which must be all that there is."""
        if any(group for n, group in enumerate(self._groups) if n != axis % len(self._groups)):
            raise self.refuse(f"is a softmax over one of several dimensions, {self.dims}: one of a vector is needed")
        self._vector()
        assert self.shape is not None
        if self.shape[1:] != (1, 1):
            raise self.refuse("is a softmax over pixels: one over the channels of one pixel is needed")
        self._append(Stage("log_softmax" if log else "softmax"))

    def log(self) -> None:
        """The natural logarithm, of a softmax alone."""
        if not self.stages or self.stages[-1].kind != "softmax":
            raise self.refuse("is a logarithm: that of a softmax alone is supported")
        self.stages[-1].kind = "log_softmax"

    def transpose(self, order: tuple[int, ...]) -> None:
        """Dimensions in another order, without the batch's."""
        if sorted(order) != list(range(len(self._groups))):
            raise self.refuse(f"turns the dimensions by {order}, but there are {len(self._groups)}")
        self._groups = [self._groups[n] for n in order]

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Other dimensions for the same numbers; at most one -1."""
        count = math.prod(self.dims)
        known = math.prod(n for n in shape if n != -1)
        if (
            shape.count(-1) > 1
            or any(n < -1 or n == 0 for n in shape)
            or count % known
            or (-1 not in shape and known != count)
        ):
            raise self.refuse(f"reshapes {self.dims} to {shape}")
        shape = tuple(count // known if n == -1 else n for n in shape)
        if self.shape is None and self._flat() == tuple(self._sizes):
            self._renumber(shape)
            return
        axes, groups = list(self._flat()), []
        for extent in shape:
            group: list[str] = []
            while axes and extent % self._sizes[axes[0]] == 0 and extent > 1:
                extent //= self._sizes[axes[0]]
                group.append(axes.pop(0))
            if extent > 1:
                raise self.refuse(f"reshapes {self.dims} to {shape}, which makes other pixels of them")
            groups.append(tuple(group))
        self._groups = groups

    def finish(self) -> tuple[list[Stage], Shape, tuple[tuple[int, ...], str], tuple[tuple[int, ...], str]]:
        """What Network takes: stages, the image's shape, what goes in and what comes out."""
        self.where = "the output"
        if self.shape is None:
            self._vector() if len(self._groups) != 3 else self._image(0)
        assert self.shape is not None
        order = self._flat()
        fitting = [layout for layout in ("CHW", "HWC") if order == tuple(axis for axis in layout if axis in order)]
        if not fitting:
            raise self.refuse(f"its axes lie in the order {order}: C, H, W or H, W, C is needed")
        if not self.stages:
            raise self.refuse("there is nothing to compute")
        first = self._first
        stages = simplify(expand(self.stages, first), first)
        work, shape = 0, first
        for stage in stages:
            after = stage.output_shape(shape)
            read = math.prod(stage.window) * math.prod(after) if stage.kind.endswith("_pool") else 0
            work, shape = work + stage.multiply_adds(shape) + read, after
        if work > MOST_WORK:
            raise UnsupportedError(f"takes {work:,} multiply-adds, which is no small network")
        return (
            stages,
            first,
            (self.input_shape, self.input_layout),
            (
                self.dims,
                best_layout(fitting, self.shape, self.dims),
            ),
        )


def best_layout(fitting: list[str], shape: Shape, dims: tuple[int, ...]) -> str:
    """Of the layouts in which an image lies as these dimensions say, the one that they look like."""
    channels, height, width = shape
    looks = {"CHW": (channels, height, width), "HWC": (height, width, channels)}
    return next((layout for layout in fitting if looks[layout] == dims), fitting[0])


def expand(stages: list[Stage], shape: Shape) -> list[Stage]:
    """Scales by one number get it for each channel."""
    done = []
    for stage in stages:
        if stage.kind == "scale" and stage.weights is not None and stage.weights.ndim == 0:
            assert stage.bias is not None
            weights, bias = np.full(shape[0], stage.weights), np.full(shape[0], stage.bias)
            stage = dataclasses.replace(stage, weights=weights, bias=bias)
        shape = shape_after(stage, shape)
        done.append(stage)
    return done


def is_whole_scale(stage: Stage) -> bool:
    """Whether it has numbers for each pixel, which only a dense layer can take in."""
    return stage.kind == "scale" and stage.weights is not None and stage.weights.ndim == 3


def shape_after(stage: Stage, shape: Shape) -> Shape:
    """The shape after a stage or a step."""
    if stage.kind == "pad":
        top, left, bottom, right = stage.pads
        return shape[0], shape[1] + top + bottom, shape[2] + left + right
    return shape if is_whole_scale(stage) else stage.output_shape(shape)


def is_linear(stage: Stage) -> bool:
    """Whether it is a layer with nothing after its sums."""
    return stage.kind == "layer" and stage.activation == "none" and stage.pool == "none"


def never_falls(stage: Stage) -> bool:
    """Whether the activation of a stage is monotone, so that a maximum may be taken before it."""
    if stage.activation == "prelu":
        return stage.slopes is not None and bool((np.asarray(stage.slopes) >= 0).all())
    return stage.activation in MONOTONE or (stage.activation in ("leaky_relu", "elu") and stage.parameter >= 0)


def keeps_order(scale: Stage) -> bool:
    """Whether no channel is multiplied by a negative number."""
    return scale.weights is not None and bool((scale.weights >= 0).all())


def is_positive(stages: list[Stage]) -> bool:
    """Whether nothing negative comes out of the last of these."""
    return bool(stages) and (
        stages[-1].activation in ("relu", "relu6", "sigmoid")
        or (stages[-1].kind == "max_pool" and is_positive(stages[:-1]))
    )


def scaled(layer: Stage, scale: Stage) -> Stage:
    """A layer that does what a scale after it does."""
    assert layer.weights is not None and scale.weights is not None
    bias = 0.0 if layer.bias is None else layer.bias
    shift = 0.0 if scale.bias is None else scale.bias
    return dataclasses.replace(
        layer, weights=layer.weights * scale.weights.reshape(-1, 1, 1, 1), bias=bias * scale.weights + shift
    )


def scaled_before(scale: Stage, layer: Stage) -> Stage | None:
    """A layer that does what a scale before it does; None where its padding would have to be scaled, too."""
    assert layer.weights is not None and scale.weights is not None
    shift = np.zeros_like(scale.weights) if scale.bias is None else scale.bias
    if is_whole_scale(scale):
        if layer.weights.shape[1:] != scale.weights.shape or any(layer.pads):
            return None
        factor, addend = scale.weights, (layer.weights * shift).sum(axis=(1, 2, 3))
    else:
        if any(layer.pads) and (shift != 0).any():
            return None
        factor = scale.weights.reshape(-1, 1, 1)
        addend = (layer.weights * shift.reshape(-1, 1, 1)).sum(axis=(1, 2, 3))
    bias = addend if layer.bias is None else layer.bias + addend
    return dataclasses.replace(layer, weights=layer.weights * factor, bias=bias)


def pooled(layer: Stage, pool: Stage, shape: Shape) -> Stage | None:
    """A layer that does what a 2x2 max-pooling after it does; None where it cannot."""
    if pool.window != (2, 2) or pool.strides != (2, 2) or pool.pads[:2] != (0, 0):
        return None
    between = layer.output_shape(shape)
    cut = between[1] % 2 or between[2] % 2
    if cut and layer.strides == (1, 1) and layer.window in ((2, 2), (3, 3)) and shape[0] >= 8:
        if pool.output_shape(between)[1:] != (between[1] // 2, between[2] // 2):
            return None  # Winograd's algorithms pool whole windows alone, and are faster even so
    for kind in ("max", "ceil"):
        fused = dataclasses.replace(layer, pool=kind)
        try:
            if fused.output_shape(shape) == pool.output_shape(between):
                return fused
        except ValueError:
            continue
    return None


def merge(done: list[Stage], a: Stage, b: Stage, shape: Shape) -> list[Stage] | None:
    """What two successive steps come to, where that is less or simpler. shape: what comes into the first; done: what
    is before it."""
    linear = is_linear(a)
    before_linear = bool(done) and is_linear(done[-1])
    if a.kind == "pad":
        return merge_pad(done, a, b)
    if b.kind == "activation" and a.kind == "layer" and a.activation == "none" and (linear or never_falls(b)):
        return [dataclasses.replace(a, activation=b.activation, parameter=b.parameter, slopes=b.slopes)]
    if b.kind == "max_pool" and a.kind == "layer" and a.pool == "none":
        fused = pooled(a, b, shape)
        return None if fused is None else [fused]
    if a.kind == "scale" and b.kind == "scale" and not is_whole_scale(a) and not is_whole_scale(b):
        assert a.weights is not None and b.weights is not None
        shift = (0.0 if a.bias is None else a.bias) * b.weights + (0.0 if b.bias is None else b.bias)
        return [dataclasses.replace(b, weights=a.weights * b.weights, bias=shift)]
    if b.kind == "scale" and not is_whole_scale(b):
        if linear or (a.kind == "layer" and a.activation == "none" and keeps_order(b)):
            return [scaled(a, b)]
        if before_linear and (a.kind == "average_pool" or (a.kind == "max_pool" and keeps_order(b))):
            return [b, a]
    if a.kind == "scale" and b.kind == "layer":
        merged = scaled_before(a, b)
        return None if merged is None else [merged]
    if a.kind == "scale" and not is_whole_scale(a) and not before_linear:
        if b.kind in ("average_pool", "global_average") or (b.kind in ("max_pool", "global_max") and keeps_order(a)):
            return [b, a]
    if b.kind == "activation" and a.kind in ("max_pool", "global_max") and before_linear and never_falls(b):
        return [b, a]
    return None


def merge_pad(done: list[Stage], a: Stage, b: Stage) -> list[Stage] | None:
    """merge() where the first step is padding with zeros."""
    if b.kind in ("layer", "pad") or (b.kind == "max_pool" and is_positive(done)):
        top, left, bottom, right = (x + y for x, y in zip(a.pads, b.pads))
        return [dataclasses.replace(b, pads=(top, left, bottom, right))]
    if b.kind == "activation" and b.activation != "sigmoid":  # which leaves zeros alone
        return [b, a]
    return None


def simplify(stages: list[Stage], shape: Shape) -> list[Stage]:
    """Fewer stages that compute the same."""
    stages = [stage for stage in stages if not does_nothing(stage)]
    index = 0
    while index + 1 < len(stages):
        before = shape
        for stage in stages[:index]:
            before = shape_after(stage, before)
        merged = merge(stages[:index], stages[index], stages[index + 1], before)
        if merged is None:
            index += 1
        else:
            stages[index : index + 2] = merged
            index = max(index - 2, 0)
    done = []
    for stage in stages:
        if is_whole_scale(stage):
            raise UnsupportedError(f"{stage.name}: numbers for each pixel: only before a dense layer is that supported")
        if stage.kind == "pad":  # a layer that copies
            weights = np.eye(shape[0])[:, :, None, None]
            stage = dataclasses.replace(stage, kind="layer", weights=weights)
        if stage.kind == "average_pool" and stage.window == shape[1:] and not any(stage.pads):
            stage = Stage("global_average", stage.name)
        shape = stage.output_shape(shape)
        done.append(stage)
    return done or [Stage("activation", "identity")]


def does_nothing(stage: Stage) -> bool:
    """Whether a stage gives what it takes."""
    if stage.kind in ("max_pool", "average_pool"):
        return stage.window == stage.strides == (1, 1) and not any(stage.pads)
    return stage.kind == "activation" and stage.activation == "none"


def as_float64(values: Any) -> Float64:
    """Weights of a file in float64; refuses what is no real number."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise UnsupportedError(f"weights of type {array.dtype}: real numbers are needed")
    return array.astype(np.float64)
