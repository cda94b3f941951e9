# SPDX-License-Identifier: MIT
"""The steps of a file made into stages: as few as compute the same."""

from __future__ import annotations

import dataclasses

import numpy as np

from ._stages import MONOTONE, Shape, Stage


class UnsupportedError(ValueError):
    """A file holds what convpool cannot compute. The message says where, and what would be needed."""


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


def shape_after(stage: Stage, shape: Shape) -> Shape:
    """The shape after a stage or a step."""
    if stage.kind == "pad":
        top, left, bottom, right = stage.pads
        return shape[0], shape[1] + top + bottom, shape[2] + left + right
    return stage.output_shape(shape)


def is_linear(stage: Stage) -> bool:
    """Whether it is a layer with nothing after its sums."""
    return stage.convolves and stage.activation == "none" and stage.pool == "none"


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
    if scale.by_number:
        factor, shift = (values.transpose(2, 0, 1) for values in (scale.weights, shift))
        if layer.weights.shape[1:] != factor.shape or any(layer.pads):
            return None
        addend = (layer.weights * shift).sum(axis=(1, 2, 3))
    else:
        if any(layer.pads) and (shift != 0).any():
            return None
        each = (-1, 1, 1) if layer.kind == "layer" else (-1, 1, 1, 1)
        factor = scale.weights.reshape(each)
        addend = (layer.weights * shift.reshape(each)).sum(axis=(1, 2, 3))
    bias = addend if layer.bias is None else layer.bias + addend
    return dataclasses.replace(layer, weights=layer.weights * factor, bias=bias)


def halved(extent: int, window: int, stride: int, before: int, after: int, ceil: bool) -> tuple[int, ...] | None:
    """Along one dimension, the window, stride and padding with which a max-pooling takes pairs of pixels, of which the
    last may be one pixel (ceil) or be left out; None where that would not be the same."""
    if window % 2 or stride % 2 or before % 2:
        return None
    if extent % 2:
        ends = (before + extent + after - window) // stride * stride - before + window  # the last window
        if ceil and after == 0:
            return None
        if not ceil and ends >= extent:
            return None
        after += -1 if ceil else 1
    return window // 2, stride // 2, before // 2, after // 2


def pooled(layer: Stage, pool: Stage, shape: Shape) -> list[Stage] | None:
    """A layer that max-pools 2x2, and what is left of a max-pooling after it; None where that cannot be."""
    between = layer.output_shape(shape)
    winograd = layer.strides == (1, 1) and layer.window in ((2, 2), (3, 3)) and shape[0] >= 8
    for kind in ("max",) if winograd else ("max", "ceil"):  # Winograd's algorithms pool whole windows alone
        down, across = (
            halved(between[1 + i], pool.window[i], pool.strides[i], pool.pads[i], pool.pads[2 + i], kind == "ceil")
            for i in range(2)
        )
        if down and across:
            window, strides, before, after = zip(down, across)
            return [
                dataclasses.replace(layer, pool=kind),
                dataclasses.replace(pool, window=window, strides=strides, pads=before + after),
            ]
    return None


def merge(done: list[Stage], a: Stage, b: Stage, shape: Shape) -> list[Stage] | None:
    """What two successive steps come to, where that is less or simpler. shape: what comes into the first; done: what
    is before it."""
    linear = is_linear(a)
    before_linear = bool(done) and is_linear(done[-1])
    if a.kind == "pad":
        return merge_pad(done, a, b, shape)
    if b.by_number:
        return None
    if b.kind == "activation" and a.convolves and a.activation == "none" and (linear or never_falls(b)):
        return [dataclasses.replace(a, activation=b.activation, parameter=b.parameter, slopes=b.slopes)]
    if b.kind == "max_pool" and a.kind == "layer" and a.pool == "none":
        fused = pooled(a, b, shape)
        return fused and [stage for stage in fused if not does_nothing(stage)]
    if a.kind == "scale" and b.kind == "scale" and not a.by_number:
        assert a.weights is not None and b.weights is not None
        shift = (0.0 if a.bias is None else a.bias) * b.weights + (0.0 if b.bias is None else b.bias)
        return [dataclasses.replace(b, weights=a.weights * b.weights, bias=shift)]
    if b.kind == "scale":
        if linear or (a.convolves and a.activation == "none" and keeps_order(b)):
            return [scaled(a, b)]
        if before_linear and (a.kind == "average_pool" or (a.kind == "max_pool" and keeps_order(b))):
            return [b, a]
    if a.kind == "scale" and b.convolves:
        merged = scaled_before(a, b)
        return None if merged is None else [merged]
    if a.kind == "scale" and not a.by_number and not before_linear:
        if b.kind in ("average_pool", "global_average") or (b.kind in ("max_pool", "global_max") and keeps_order(a)):
            return [b, a]
    if b.kind == "activation" and a.kind in ("max_pool", "global_max") and before_linear and never_falls(b):
        return [b, a]
    return None


def merge_pad(done: list[Stage], a: Stage, b: Stage, shape: Shape) -> list[Stage] | None:
    """merge() where the first step is padding with zeros."""
    if b.convolves or b.kind == "pad" or (b.kind == "max_pool" and is_positive(done)):
        top, left, bottom, right = (x + y for x, y in zip(a.pads, b.pads))
        merged = dataclasses.replace(b, pads=(top, left, bottom, right))
        return None if b.kind == "max_pool" and pools_nothing(merged, shape) else [merged]
    if b.kind == "activation" and b.activation != "sigmoid" and not b.by_number:  # which leaves zeros alone
        return [b, a]
    return None


def pools_nothing(pool: Stage, shape: Shape) -> bool:
    """Whether a window of a pool lies in padding alone."""
    for extent, window, stride, before, after in zip(
        shape[1:], pool.window, pool.strides, pool.pads[:2], pool.pads[2:]
    ):
        count = (before + extent + after - window) // stride + 1
        if before >= window or (count - 1) * stride >= before + extent:
            return True
    return False


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
    done: list[Stage] = []
    for stage in stages:
        if stage.by_number and not done:
            done.append(Stage("activation", "image"))  # the first stage says what the image is
        if stage.kind == "pad":  # by filters that copy
            stage = dataclasses.replace(stage, kind="depthwise", weights=np.ones((shape[0], 1, 1, 1)))
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
