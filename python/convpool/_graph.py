# SPDX-License-Identifier: MIT
"""What a file says, step by step: the axes of its tensor are followed, and its steps collected."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._merge import UnsupportedError, expand, pools_nothing, shape_after, simplify
from ._stages import Plan, Shape, Stage, dilated

Float64 = NDArray[np.float64]

LARGEST_IMAGE = 1 << 25  # numbers; more is no image that a small network takes
MOST_WEIGHTS = 1 << 27  # of a layer,
MOST_HELD = 1 << 28  # and of all, as they are computed with: a few in a file may stand for many
MOST_WORK = 1 << 35  # multiply-adds
MOST_READ = 1 << 31  # what pools read
MOST_STEPS = 500
MOST_SHIFT = 16  # what is shifted by more loses too many bits


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
        self._torn: tuple[tuple[int, ...], UnsupportedError] | None = None  # dimensions that no groups of axes are
        self._sizes: dict[str, int] = {}
        self._groups: list[tuple[str, ...]] = []
        self._held = 0
        self._waiting: list[Stage] = []  # whose arrays have the input's axes until these are settled
        self._renumber(input_shape)

    def refuse(self, what: str) -> UnsupportedError:
        """The exception for what cannot be computed here."""
        return UnsupportedError(f"{self.where}: {what}")

    @contextlib.contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Within this comes a step of the file, which messages call so; what a reader did not expect is its fault."""
        self.where = where
        try:
            yield
        except (UnsupportedError, OSError, ImportError, MemoryError, RecursionError):
            raise
        except Exception as error:
            raise self.refuse(f"is damaged, or of no known form: {type(error).__name__}: {error}") from error

    @property
    def dims(self) -> tuple[int, ...]:
        """The tensor's extents, without the batch's."""
        if self._torn:
            return self._torn[0]
        return tuple(math.prod(self._sizes[axis] for axis in group) for group in self._groups)

    @property
    def may_be_hwc(self) -> bool:
        """Whether the last dimension may be the channels."""
        return self.shape is None or self._groups[-1] == ("C",)

    def _whole(self) -> None:
        """The tensor's dimensions must be groups of axes."""
        if self._torn:
            raise self._torn[1]

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
        axes_of = {"C": channels, "H": height, "W": width}
        names = {axes_of[name]: name for name in fitting[0] if axes_of[name]}
        sizes = {name: math.prod(self._sizes[axis] for axis in axes) for axes, name in names.items()}
        self.shape = self._first = (sizes.get("C", 1), sizes.get("H", 1), sizes.get("W", 1))
        self.input_layout = best_layout(fitting, self.shape, self.input_shape)
        extents = [[self._sizes[axis] for axis in axes] for axes in names]
        for stage in self._waiting:
            arrays = stage.arrays()
            merged = [with_merged_axes(values, extents) for values in arrays.values()]
            vars(stage).update(zip(arrays, self._widened(merged, tuple(sizes))))
        groups: list[tuple[str, ...]] = []
        for group in self._groups:
            rest, renamed = group, []
            while rest:
                axes = next(axes for axes in names if rest[: len(axes)] == axes)
                renamed.append(names[axes])
                rest = rest[len(axes) :]
            groups.append(tuple(renamed))
        self._groups = groups
        self._sizes = {name: size for name, size in sizes.items() if size > 1}

    def _image(self, channel_axis: int) -> bool:
        """The tensor must be an image whose channels are this dimension. Whether its rows and columns have changed
        places: one row, or one column, may.
        """
        self._whole()
        if len(self._groups) != 3:
            raise self.refuse(f"takes an image, but {len(self._groups)} dimensions come in")
        groups = list(self._groups)
        channels = groups.pop(channel_axis)
        if self.shape is None:
            self._settle(channels, groups[0], groups[1])
            return False
        if channels not in ((), ("C",)) or not {*groups} <= {(), ("H",), ("W",)}:
            raise self.refuse("takes an image, but its channels, rows and columns are not where they should be")
        turned = groups in ([("W",), ()], [(), ("H",)])
        if not turned and any(group not in ((), (name,)) for group, name in zip(groups, "HW")):
            raise self.refuse("takes an image, but its rows and columns have changed places")
        return turned

    def _vector(self) -> tuple[str, ...]:
        """The tensor must have one dimension that is no 1; returns its axes in order."""
        self._whole()
        if sum(bool(group) for group in self._groups) > 1:
            raise self.refuse(f"takes a vector, but {self.dims} come in")
        if self.shape is None:
            self._settle(self._flat(), (), ())
        return self._flat()

    def _spatial(self, stage: Stage, channel_axis: int) -> None:
        turned = self._image(channel_axis)
        assert self.shape is not None
        if turned:
            top, left, bottom, right = stage.pads
            stage = replace(
                stage,
                weights=None if stage.weights is None else stage.weights.swapaxes(2, 3),
                window=stage.window[::-1],
                strides=stage.strides[::-1],
                pads=(left, top, right, bottom),
            )
        if stage.kind.endswith("_pool") and pools_nothing(stage, self.shape):
            raise self.refuse("has windows in padding alone")
        self._append(stage)
        names = [name if extent > 1 else "" for name, extent in zip("CHW", self.shape)]
        names = [names[0], *names[:0:-1]] if turned else names
        order = [*names[1:], names[0]] if channel_axis == 2 else names
        self._groups = [(name,) if name else () for name in order]

    def _append(self, stage: Stage) -> None:
        assert self.shape is not None
        stage.name = stage.name or self.where
        try:
            extents = shape_after(stage, self.shape)
        except ValueError as error:
            raise UnsupportedError(f"{self.where}: {error}") from None
        top, left, bottom, right = stage.pads
        padded = (self.shape[1] + top + bottom, self.shape[2] + left + right)
        if min(extents) < 1 or max(math.prod(extents), self.shape[0] * math.prod(padded)) > LARGEST_IMAGE:
            raise self.refuse(f"an image of {extents} comes out of one padded to {padded}")
        self._count()
        self.shape = extents
        self._sizes = {name: size for name, size in zip("CHW", extents) if size > 1}
        self.stages.append(stage)

    def _check_bias(self, bias: Float64 | None, outputs: int) -> None:
        if bias is not None and bias.shape != (outputs,):
            raise self.refuse(f"has a bias of shape {bias.shape} for {outputs} output channels")

    @contextlib.contextmanager
    def row(self, channel_axis: int) -> Iterator[None]:
        """Within this a sequence, [channels, steps] or [steps, channels], is an image of one row; the axis is that
        image's."""
        self._whole()
        if len(self._groups) != 2:
            raise self.refuse(f"takes a sequence, but {self.dims} come in")
        place = 1 if channel_axis == 0 else 0
        self._groups.insert(place, ())
        yield
        del self._groups[place]

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
        self._check_bias(bias, outputs)
        tall, wide = dilated((height, width), dilations)
        if min(weights.shape) < 1 or groups < 1 or outputs % groups:
            raise self.refuse(f"weights of shape {weights.shape} in {groups} groups")
        if groups == outputs > 1 and channels == 1:
            self._hold(outputs * tall * wide)
            filters = np.zeros((outputs, 1, tall, wide))
            filters[:, :, :: dilations[0], :: dilations[1]] = weights
            self._spatial(Stage("depthwise", "", filters, bias, (tall, wide), strides, pads), channel_axis)
            return
        self._hold(outputs * channels * groups * tall * wide)
        whole = np.zeros((outputs, channels * groups, tall, wide))
        for group in range(groups):
            rows = slice(group * (outputs // groups), (group + 1) * (outputs // groups))
            columns = slice(group * channels, (group + 1) * channels)
            whole[rows, columns, :: dilations[0], :: dilations[1]] = weights[rows]
        self._spatial(Stage("layer", "", whole, bias, (tall, wide), strides, pads), channel_axis)

    def dense(self, weights: Float64, bias: Float64 | None) -> None:
        """weights [inputs, outputs], over the last dimension."""
        self._whole()
        if self.dims[-1] != weights.shape[0]:
            raise self.refuse(f"weights for {weights.shape[0]} inputs, but {self.dims[-1]} come in")
        last = len(self._groups) - 1
        if any(self._groups[:-1]) or (last > 0 and not self._groups[-1]):  # of each pixel by itself
            if last not in (1, 2):
                raise self.refuse(f"takes a vector, a sequence or an image, but {self.dims} come in")
            with self.row(2) if last == 1 else contextlib.nullcontext():
                self.convolution(np.ascontiguousarray(weights.T)[:, :, None, None], bias, (1, 1), (0, 0, 0, 0), 2)
            return
        axes = self._vector()
        assert self.shape is not None
        outputs = weights.shape[1]
        self._check_bias(bias, outputs)
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
        self._spatial(Stage(kind, "", None, None, window, strides, pads), channel_axis)

    def reduce(self, kind: str, axes: list[int], keep: bool) -> None:
        """kind: 'max_pool' or 'average_pool', of all pixels along some dimensions, which may be merged ones. keep:
        whether these stay, of one pixel each."""
        self._whole()
        if max(axes) >= len(self._groups):
            raise self.refuse(f"takes an image, but {len(self._groups)} dimensions come in")
        if self.shape is None and len(self._groups) == 2 and len(axes) == 1:  # a sequence
            channels = 2 if axes == [0] else 0
            with self.row(channels):
                self._image(channels)
        if self.shape is None:
            if len(self._groups) != 3 or sorted(axes) not in ([1, 2], [0, 1]):
                raise self.refuse(f"over the dimensions {axes} of {self.dims}: rows and columns of an image are needed")
            self._image(0 if sorted(axes) == [1, 2] else 2)
        assert self.shape is not None
        names = {axis for n in axes for axis in self._groups[n]}
        if "C" in names:
            raise self.refuse(f"over the dimensions {axes} of {self.dims}: rows and columns of an image are needed")
        window = (self.shape[1] if "H" in names else 1, self.shape[2] if "W" in names else 1)
        groups = [() if n in axes else group for n, group in enumerate(self._groups) if keep or n not in axes]
        if window == self.shape[1:]:
            self._append(Stage("global_max" if kind == "max_pool" else "global_average"))
        else:
            self._append(Stage(kind, window=window, strides=window))
        self._groups = groups

    def pad(self, pads: tuple[int, int, int, int], channel_axis: int) -> None:
        """Zeros around the image."""
        if any(pads):
            self._spatial(Stage("pad", pads=pads), channel_axis)

    def crop(self, cut: tuple[int, int, int, int], channel_axis: int) -> None:
        """Without so many rows and columns at the top, left, bottom and right: by filters that copy the others."""
        for top, left, bottom, right in ((cut[0], 0, cut[2], 0), (0, cut[1], 0, cut[3])):
            if max(top, left, bottom, right) > 0:
                channels = self.dims[channel_axis]
                weights = np.zeros((channels, 1, top + bottom + 1, left + right + 1))
                weights[:, :, top, left] = 1
                self.convolution(weights, None, (1, 1), (0, 0, 0, 0), channel_axis, groups=channels)

    def activation(self, name: str, parameter: float = 0.0) -> None:
        """Of every number."""
        self._each(Stage("activation", self.where, activation=name, parameter=parameter))

    def clip(self, low: float, high: float) -> None:
        """Every number between these: ReLU or ReLU6 of what is shifted and scaled to it."""
        most = float(np.finfo(np.float32).max)
        low, high = (-math.inf if low <= -most else low), (math.inf if high >= most else high)
        if not low < high:
            raise self.refuse(f"clips to {low} and {high}: a least value below the largest one is needed")
        if math.isinf(low) and math.isinf(high):
            return
        shift = abs(high if math.isinf(low) else low)
        if shift > MOST_SHIFT:
            raise self.refuse(f"clips to {low} and {high}: a magnitude of at most {MOST_SHIFT} is needed for {shift}")
        if math.isinf(high):
            before, name, after = (1.0, -low), "relu", (1.0, low)
        elif math.isinf(low):
            before, name, after = (-1.0, high), "relu", (-1.0, high)
        else:
            unit = (high - low) / 6
            before, name, after = (1 / unit, -low / unit), "relu6", (unit, low)
        if before != (1, 0):
            self.scale(np.asarray(before[0]), np.asarray(before[1]))
        self.activation(name)
        if after != (1, 0):
            self.scale(np.asarray(after[0]), np.asarray(after[1]))

    def prelu(self, slopes: Float64) -> None:
        """Slopes that are broadcast over the tensor."""
        [values] = self._by_channel(slopes)
        if values.ndim == 0:
            self.activation("leaky_relu", float(values))
        else:
            self._each(Stage("activation", self.where, activation="prelu", slopes=values))

    def scale(self, factor: Float64, shift: Float64) -> None:
        """y = factor x + shift, both broadcast over the tensor."""
        weights, bias = self._by_channel(factor, shift)
        self._each(Stage("scale", self.where, weights, bias))

    def _hold(self, count: int) -> None:
        self._held += count
        if count > MOST_WEIGHTS or self._held > MOST_HELD:
            raise self.refuse("has too many weights for a small network")

    def _count(self) -> None:
        if len(self.stages) >= MOST_STEPS:
            raise self.refuse(f"is more than the step {MOST_STEPS} of a network, which is no small one")

    def _each(self, stage: Stage) -> None:
        """A stage that knows no axes; before the first that does, it waits for the shape."""
        self._count()
        self.stages.append(stage)
        if self.shape is None and any(values.ndim > 0 for values in stage.arrays().values()):
            self._waiting.append(stage)

    def _by_channel(self, *operands: Float64) -> list[Float64]:
        """What is broadcast over the tensor, all in one form: numbers, [channels], or [height, width, channels]. Before
        it is known which axes are which, they have a dimension for each of the input's, to be settled later.
        """
        if all(values.size == 1 for values in operands):
            return [values.reshape(()) for values in operands]
        self._whole()
        rank, axes, narrow = len(self._groups), self._flat(), []
        for values in operands:
            shape = values.shape[-rank:] if values.ndim > rank and set(values.shape[:-rank]) == {1} else values.shape
            shape = (1,) * (rank - len(shape)) + tuple(shape)
            if values.size != 1 and (len(shape) != rank or any(n not in (1, m) for n, m in zip(shape, self.dims))):
                raise self.refuse(f"values of shape {values.shape} do not fit {self.dims}")
            spread = zip(self._groups, shape if values.size != 1 else (1,) * rank)
            narrow.append(
                narrowed(values.reshape([self._sizes[a] if n > 1 else 1 for axis, n in spread for a in axis]))
            )
        if all(values.size == 1 for values in narrow):
            return [values.reshape(()) for values in narrow]
        if self.shape is not None:
            return self._widened(narrow, axes)
        return [values.transpose([axes.index(axis) for axis in self._sizes]) for values in narrow]

    def _widened(self, operands: list[Float64], axes: tuple[str, ...]) -> list[Float64]:
        """Numbers with a dimension for each of these axes, in one form: [channels] or [height, width, channels]."""
        assert self.shape is not None
        channels, height, width = self.shape
        index = tuple(slice(None) if axis in axes else None for axis in "HWC")
        order = [axes.index(axis) for axis in "HWC" if axis in axes]
        operands = [values.transpose(order)[index] for values in operands]
        if all(values.shape[:2] == (1, 1) for values in operands):
            return [np.array(np.broadcast_to(values[0, 0], channels)) for values in operands]
        self._hold(len(operands) * math.prod(self.shape))
        return [np.array(np.broadcast_to(values, (height, width, channels))) for values in operands]

    def softmax(self, axis: int, log: bool = False) -> None:
        """Over one dimension, which must be all that there is."""
        self._whole()
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
        self._whole()
        if sorted(order) != list(range(len(self._groups))):
            raise self.refuse(f"turns the dimensions by {order}, but there are {len(self._groups)}")
        self._groups = [self._groups[n] for n in order]

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Other dimensions for the same numbers; at most one -1. Where pixels are torn apart, nothing that knows axes
        may follow.
        """
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
        self._torn = None
        if self.shape is None and self._flat() == tuple(self._sizes):
            before = tuple(self._sizes.values())
            self._renumber(shape)
            for stage in self._waiting:
                for field, values in stage.arrays().items():
                    self._hold(count)
                    whole = np.broadcast_to(values, before).reshape(tuple(self._sizes.values()))
                    setattr(stage, field, narrowed(whole))
            return
        axes, groups = list(self._flat()), []
        for extent in shape:
            group: list[str] = []
            while axes and extent % self._sizes[axes[0]] == 0 and extent > 1:
                extent //= self._sizes[axes[0]]
                group.append(axes.pop(0))
            if extent > 1:
                self._torn = shape, self.refuse(f"reshapes {self.dims} to {shape}, which makes other pixels of them")
                return
            groups.append(tuple(group))
        self._groups = groups

    def finish(self) -> Plan:
        """The network."""
        self.where = "the output"
        torn, self._torn = self._torn, None
        if self.shape is None:  # what there is knows no axes
            with self.row(0) if len(self._groups) == 2 else contextlib.nullcontext():
                self._image(0) if len(self._groups) == 3 else self._vector()
        assert self.shape is not None
        self._torn, order = torn, self._flat()
        fitting = [layout for layout in ("CHW", "HWC") if order == tuple(axis for axis in layout if axis in order)]
        if not fitting:
            raise self.refuse(f"its axes lie in the order {order}: C, H, W or H, W, C is needed")
        if not self.stages:
            raise self.refuse("there is nothing to compute")
        first = self._first
        stages = simplify(expand(self.stages, first), first)
        work, pooled, shape = 0, 0, first
        for stage in stages:
            after = stage.output_shape(shape)
            read = math.prod(stage.window) * math.prod(after) if stage.kind.endswith("_pool") else 0
            work, pooled, shape = work + stage.multiply_adds(shape), pooled + read, after
        if work > MOST_WORK or pooled > MOST_READ:
            raise UnsupportedError(f"takes {work:,} multiply-adds, and pools {pooled:,} numbers: no small network")
        layout = best_layout(fitting, self.shape, self.dims)
        return Plan(stages, first, (self.input_shape, self.input_layout), (self.dims, layout))


class Asked(NamedTuple):
    """What load() is told besides the file."""

    output: str | None = None
    in_shape: tuple[int, ...] | None = None


def closed(extents: Sequence[int | None], in_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one image, of which a file may leave extents open, and a user may say it."""
    if in_shape is None and None in extents:
        raise UnsupportedError(
            f"the input's shape, {tuple(extents)}, has open extents: load(file, in_shape=...) says what they are"
        )
    shape = in_shape or extents
    if len(shape) != len(extents) or any(m not in (None, n) for n, m in zip(shape, extents)):
        raise UnsupportedError(f"the input's shape is {tuple(extents)}, not in_shape, {in_shape}")
    return tuple(int(n) for n in shape if n is not None)


def narrowed(values: Float64) -> Float64:
    """With an extent of 1 in each dimension that makes no difference."""
    for axis in range(values.ndim):
        first = values.take([0], axis)
        if (values == first).all():
            values = first
    return values


def with_merged_axes(values: Float64, extents: list[list[int]]) -> Float64:
    """With one dimension for several; those of each have these extents, or 1."""
    whole, merged, place = [], [], 0
    for sizes in extents:
        alike = set(values.shape[place : place + len(sizes)]) == {1}
        whole += [1] * len(sizes) if alike else sizes
        merged.append(1 if alike else math.prod(sizes))
        place += len(sizes)
    return np.broadcast_to(values, whole).reshape(merged)


def best_layout(fitting: list[str], shape: Shape, dims: tuple[int, ...]) -> str:
    """Of the layouts in which an image lies as these dimensions say, the one that they look like."""
    channels, height, width = shape
    looks = {"CHW": (channels, height, width), "HWC": (height, width, channels)}
    return next((layout for layout in fitting if looks[layout] == dims), fitting[0])


def as_float64(values: Any) -> Float64:
    """Weights of a file in float64; refuses what is no real number."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise UnsupportedError(f"weights of type {array.dtype}: real numbers are needed")
    return array.astype(np.float64)
