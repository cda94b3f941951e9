# SPDX-License-Identifier: MIT
"""Operations between Keras' layers, such as x / 255 - 0.5, as files of Keras 3 and 2 keep them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._graph import Float64
from ._merge import UnsupportedError

Config = dict[str, Any]

# Keras 3 has a kind of layer for each. In files of Keras 2 they are TensorFlow's functions.
FUNCTIONS = {
    "math.truediv": "TrueDivide",
    "math.divide": "Divide",
    "math.multiply": "Multiply",
    "math.subtract": "Subtract",
    "math.add": "Add",
    "__operators__.add": "Add",
    "math.negative": "Negative",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.leaky_relu": "LeakyRelu",
    "nn.elu": "Elu",
    "nn.selu": "Selu",
    "math.sigmoid": "Sigmoid",
    "math.tanh": "Tanh",
    "nn.softmax": "Softmax",
    "nn.log_softmax": "LogSoftmax",
    "math.reduce_mean": "Mean",
    "math.reduce_max": "Max",
    "reshape": "Reshape",
    "clip_by_value": "Clip",
    "cast": "Cast",
    "identity": "Identity",
}
KINDS = sorted(set(FUNCTIONS.values()))
CONSTANT = "_CONSTANT_VALUE"  # what stands for a tensor's name in Keras 2, where there is none


def is_reference(value: Any) -> bool:
    """Whether it is how Keras 1 and 2 refer to the output of a layer, or to a constant: [name, node, tensor, ...]."""
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)


def named(kind: str, config: Config, inbound: Any) -> tuple[str, Config]:
    """The operation that a layer is, with its arguments in the configuration; any other layer as it is."""
    if kind == "TFOpLambda":
        function = str(config.get("function"))
        kind = FUNCTIONS.get(function, f"TFOpLambda of tf.{function}")
    elif kind not in KINDS:
        return kind, config
    arguments = _arguments(inbound)
    defaults = {"alpha": 0.2} if kind == "LeakyRelu" else {}
    return kind, {**defaults, **config, **{k: v for k, v in arguments.items() if v is not None}}


def _arguments(inbound: Any) -> Config:
    """What an operation is called with, by name; those without one are 'operands', None for the tensor."""
    node = inbound[0] if isinstance(inbound, list) and inbound else None
    if isinstance(node, dict):
        places, names = node.get("args", []), node.get("kwargs", {})
    elif isinstance(node, list) and is_reference(node):
        places, names = [node[2] if node[0] == CONSTANT else node], node[3] if len(node) == 4 else {}
    else:
        return {}
    if not isinstance(places, list) or not isinstance(names, dict):
        return {}
    values = [*places, *(names[name] for name in ("x1", "x2", "y") if name in names)]
    return {**names, "operands": [None if _is_tensor(value) else value for value in values]}


def _is_tensor(value: Any) -> bool:
    return is_reference(value) or (isinstance(value, dict) and value.get("class_name") == "__keras_tensor__")


def constant(value: Any, rank: int) -> Float64:
    """A number, or an array of them, that is to be broadcast over a tensor of so many dimensions."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        value = value.get("config", {}).get("value")
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise UnsupportedError(f"{str(value)[:80]!r} is no array of numbers") from None
    while array.ndim > rank and array.shape[0] == 1:  # of the batch
        array = array[0]
    if array.ndim > rank:
        raise UnsupportedError(f"an array of shape {array.shape}")
    return array
