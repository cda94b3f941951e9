# SPDX-License-Identifier: MIT
"""Writes a network's stages as text, without weights: what convpool-info and convpool-bench read."""

from __future__ import annotations

from ._network import Network
from ._stages import Shape, Stage

WORDS = {"none": "linear", "leaky_relu": "leaky={:g}", "elu": "elu={:g}"}


def activation(stage: Stage) -> str:
    """The word for a stage's activation, with its parameter."""
    return WORDS.get(stage.activation, stage.activation).format(stage.parameter)


def line(stage: Stage, shape: Shape) -> str:
    """One stage, into which an image of this shape comes."""
    options = ""
    if stage.strides != ((1, 1) if stage.convolves else stage.window):
        options += ":s{}x{}".format(*stage.strides)
    if any(stage.pads):
        options += ":p{},{},{},{}".format(*stage.pads)
    if stage.kind == "layer":
        outputs = stage.output_shape(shape)[0]
        if stage.window == shape[1:] and not any(stage.pads):
            return f"dense {outputs}:{activation(stage)}"
        pool = {"max": "", "none": ":none", "ceil": ":ceil"}[stage.pool]
        return "layer {}:k{}x{}{}{}:{}".format(outputs, *stage.window, options, pool, activation(stage))
    word = stage.kind.replace("_", "-")
    if stage.kind == "depthwise":
        return "depthwise {}x{}{}:{}".format(*stage.window, options, activation(stage))
    if stage.kind in ("max_pool", "average_pool"):
        return "{} {}x{}{}".format(word, *stage.window, options)
    return f"{word} {activation(stage)}" if stage.kind == "activation" else word


def text(network: Network) -> str:
    """The whole file."""
    shape = network._shape
    lines = ["image {}x{}x{}".format(*shape) + (":hwc" if network._outside[1] == "HWC" else "")]
    for stage in network._stages:
        lines.append(line(stage, shape))
        shape = stage.output_shape(shape)
    return "\n".join(lines) + "\n"
