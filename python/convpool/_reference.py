# SPDX-License-Identifier: MIT
"""Stages in float64, by their definitions: what a network that was read from a file is held to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._stages import Stage

Image = NDArray[np.float64]  # [channels, height, width]


def _windows(x: Image, stage: Stage, fill: float) -> Image:
    """[channels, height, width, rows and columns of the window]: a view."""
    top, left, bottom, right = stage.pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, stage.window, (1, 2))
    return windows[:, :: stage.strides[0], :: stage.strides[1]]


def _spread(values: NDArray[Any]) -> Image:
    """What a stage has for each channel, or for each number, so that it can be broadcast over an image."""
    wide = np.asarray(values, np.float64)
    return wide.transpose(2, 0, 1) if wide.ndim == 3 else wide.reshape(-1, 1, 1)


def activate(stage: Stage, x: Image) -> Image:
    """The activation of a stage."""
    kind, slope = stage.activation, np.float64(np.float32(stage.parameter))
    if kind == "relu":
        return np.maximum(x, 0)
    if kind == "relu6":
        return np.clip(x, 0, 6)
    if kind == "leaky_relu":
        return np.where(x < 0, slope * x, x)
    if kind == "prelu":
        assert stage.slopes is not None
        return np.asarray(np.where(x < 0, _spread(stage.slopes) * x, x))
    if kind == "sigmoid":
        return np.asarray(np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))))
    if kind == "tanh":
        return np.tanh(x)
    if kind == "elu":
        return np.where(x < 0, slope * np.expm1(np.minimum(x, 0)), x)
    return x


def _depthwise(stage: Stage, x: Image) -> Image:
    y = np.einsum("chwuv,cuv->chw", _windows(x, stage, 0), np.asarray(stage.weights, np.float64)[:, 0])
    return activate(stage, y if stage.bias is None else y + _spread(stage.bias))


def _layer(stage: Stage, x: Image) -> Image:
    weights = np.asarray(stage.weights, np.float64)
    windows = _windows(x, stage, 0)
    y: Any = 0.0
    for u, v in np.ndindex(stage.window):
        pixels = windows[..., u, v]
        if u == v == 0 or weights[:, :, u, v].any() or not np.isfinite(pixels).all():
            y = y + np.tensordot(weights[:, :, u, v], pixels, 1)
    if stage.bias is not None:
        y = y + np.asarray(stage.bias, np.float64).reshape(-1, 1, 1)
    y = activate(stage, y)
    if stage.pool == "none":
        return np.asarray(y)
    if stage.pool == "ceil":
        y = np.pad(y, ((0, 0), (0, y.shape[1] % 2), (0, y.shape[2] % 2)), constant_values=-np.inf)
    y = y[:, : y.shape[1] // 2 * 2, : y.shape[2] // 2 * 2]
    return np.asarray(
        np.maximum(np.maximum(y[:, ::2, ::2], y[:, 1::2, ::2]), np.maximum(y[:, ::2, 1::2], y[:, 1::2, 1::2]))
    )


def apply(stage: Stage, x: Image) -> Image:
    """What a stage makes of an image."""
    if stage.kind == "layer":
        return _layer(stage, x)
    if stage.kind == "depthwise":
        return _depthwise(stage, x)
    if stage.kind == "max_pool":
        return np.asarray(_windows(x, stage, -np.inf).max(axis=(3, 4)))
    if stage.kind == "average_pool":
        count = _windows(np.ones((1, *x.shape[1:])), stage, 0).sum(axis=(3, 4))
        return np.asarray(_windows(x, stage, 0).sum(axis=(3, 4)) / count)
    if stage.kind == "global_max":
        return np.asarray(x.max(axis=(1, 2), keepdims=True))
    if stage.kind == "global_average":
        return np.asarray(x.mean(axis=(1, 2), keepdims=True))
    if stage.kind == "pad":  # a step that is no stage yet
        top, left, bottom, right = stage.pads
        return np.pad(x, ((0, 0), (top, bottom), (left, right)))
    if stage.kind == "scale":
        assert stage.weights is not None
        y = x * _spread(stage.weights)
        return y if stage.bias is None else y + _spread(stage.bias)
    if stage.kind == "activation":
        return activate(stage, x)
    shifted = x - x.max()
    log = np.log(np.exp(shifted).sum())
    return np.asarray(shifted - log if stage.kind == "log_softmax" else np.exp(shifted - log))


def run(stages: list[Stage], x: Image) -> Iterator[Image]:
    """What the stages make of an image, one after the other."""
    for stage in stages:
        x = apply(stage, x)
        yield x
