# SPDX-License-Identifier: MIT
"""Keras' files: .h5 and .hdf5 of Keras 1, 2 and 3, and .keras."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

from . import _hdf5, _keras_ops
from ._graph import Asked, Builder, Float64, as_float64, closed
from ._hdf5 import Group
from ._keras import Config, Reader
from ._merge import UnsupportedError
from ._zip import check_zip

MOST_BYTES = 1 << 30  # of what a zip file says that it holds,
MOST_TEXT = 1 << 26  # and of its text


MODELS = ("Sequential", "Functional", "Model")

# The variables of a .keras file have numbers, in the order in which a layer makes them.
_ORDER = {
    "Conv2D": ("kernel", "bias"),
    "Conv1D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv1D": ("depthwise_kernel", "bias"),
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "PReLU": ("alpha",),
    "Normalization": ("mean", "variance", "count"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "SyncBatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


def _order(kind: str, config: Config) -> list[str]:
    left_out = [name for name, option in (("gamma", "scale"), ("beta", "center")) if not config.get(option, True)]
    return [name for name in _ORDER.get(kind, ()) if name not in left_out]


def _has_weights(layer: Any) -> bool:
    """Whether a layer, or a model in the model, has weights that are looked for."""
    if not isinstance(layer, dict) or layer.get("class_name") not in MODELS:
        return isinstance(layer, dict) and layer.get("class_name") in _ORDER
    inner = layer.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    return isinstance(layers, list) and any(map(_has_weights, layers))


def _numbered(layers: list[Config]) -> list[Config]:
    """The layers, each with how many of its kind with weights come before it."""
    numbered, counts = [], dict[str, int]()
    for layer in layers:
        kind = str(layer.get("class_name"))
        numbered.append({**layer, "number": counts.get(kind, 0)})
        counts[kind] = counts.get(kind, 0) + _has_weights(layer)
    return numbered


def _check_own(kind: str, layer: Config) -> None:
    """Refuses a layer of somebody's own that is called as one of Keras' is."""
    registered, module = layer.get("registered_name"), str(layer.get("module"))
    if registered is not None and module.split(".")[0] not in ("keras", "tf_keras", "tensorflow"):
        raise UnsupportedError(
            f"layer {layer.get('config', {}).get('name')!r} ({kind}) is no layer of Keras' but {registered!r}, whose "
            "code is not in the file: replace it by Keras' layers"
        )


def chain(model: Config, output: str | None = None) -> list[tuple[str, Config]]:
    """The layers of a Sequential model, or of a Functional one that is one chain, in order, up to the output."""
    if not isinstance(model, dict):
        raise UnsupportedError("the model's configuration is no object")
    kind, config = model.get("class_name"), model.get("config")
    if isinstance(config, list):  # Keras 1 and early 2
        config = {"layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise UnsupportedError(f"the model is a {kind!r}: a Sequential or Functional one is needed")
    if not all(isinstance(layer, dict) for layer in config["layers"]):
        raise UnsupportedError("a layer is no object")
    layers = _numbered(config["layers"])
    names = [_name(layer) for layer in layers]
    if output is not None and output not in names:
        raise UnsupportedError(f"the model has no layer {output!r}")
    if kind in ("Functional", "Model"):
        layers = _in_order(layers, output or _output(config, layers))
    elif kind != "Sequential":
        raise UnsupportedError(f"the model is a {kind!r}: a Sequential or Functional one is needed")
    elif output is not None:
        layers = layers[: names.index(output) + 1]
    flat: list[tuple[str, Config]] = []
    for layer in layers:
        inner = layer.get("config")
        kind, number = str(layer.get("class_name")), layer["number"]
        if kind in MODELS:
            name = (inner if isinstance(inner, dict) else layer).get("name")
            flat += [(k, {**c, "inside": [(str(name), kind, number), *c["inside"]]}) for k, c in chain(layer)]
        elif isinstance(inner, dict):
            _check_own(kind, layer)
            kind, inner = _keras_ops.named(kind, inner, layer.get("inbound_nodes"))
            flat.append((kind, {"name": layer.get("name"), **inner, "number": number, "inside": []}))
        else:
            raise UnsupportedError(f"a layer without a configuration: {str(layer)[:80]}")
    return flat


def _sources(node: Any) -> list[str]:
    """The names of the layers whose outputs an inbound node takes, of any version."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [str(node["config"]["keras_history"][0])]
        return [name for value in node.values() for name in _sources(value)]
    if _keras_ops.is_reference(node):
        return ([] if node[0] == _keras_ops.CONSTANT else [node[0]]) + _sources(node[3:])
    if isinstance(node, list):
        return [name for value in node for name in _sources(value)]
    return []


def _name(layer: Config) -> str:
    inner = layer.get("config")
    return str(layer.get("name") or (inner if isinstance(inner, dict) else {}).get("name"))


def _output(config: Config, layers: list[Config]) -> str:
    """The name of the layer whose output is the model's."""
    outputs = config.get("output_layers")
    if not isinstance(outputs, list) or not outputs:
        used = {name for layer in layers for name in _sources(layer.get("inbound_nodes", []))}
        names = [_name(layer) for layer in layers if _name(layer) not in used]
    else:
        names = [str(entry[0]) for entry in (outputs if isinstance(outputs[0], list) else [outputs])]
    if len(names) != 1:
        raise UnsupportedError(f"the model has several outputs, {', '.join(names)}: name one, load(file, output=...)")
    return names[0]


def _in_order(layers: list[Config], output: str) -> list[Config]:
    """The layers that lead to an output."""
    by_name = {_name(layer): layer for layer in layers}
    order, wanted = list[Config](), [output]
    while wanted:
        layer = by_name.get(wanted[0])
        if layer is None or len(order) == len(layers):
            raise UnsupportedError("the layers are no one chain")
        what = f"layer {wanted[0]!r} ({layer.get('class_name')})"
        wanted = _sources(layer.get("inbound_nodes", []))
        if len(layer.get("inbound_nodes", [])) > 1:
            raise UnsupportedError(f"{what} is used more than once: a layer of its own for each use is needed")
        if len(wanted) > 1:
            raise UnsupportedError(f"{what} takes {len(wanted)} inputs: a network without branches is needed")
        order.append(layer)
    return order[::-1]


def _input_shape(layers: list[tuple[str, Config]], in_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    for _, config in layers:
        shape = config.get("batch_input_shape") or config.get("batch_shape")
        if shape is None and config.get("input_shape"):
            shape = [None, *config["input_shape"]]
        if shape is None and config.get("input_dim"):
            shape = [None, config["input_dim"]]
        if shape is not None:
            if isinstance(shape[0], list):
                shape = shape[0]
            if any(n is not None and not isinstance(n, int) for n in shape):
                raise UnsupportedError(f"the input's shape is {shape}")
            return closed(shape[1:], in_shape)
    if in_shape is not None:
        return in_shape
    raise UnsupportedError("the model does not say its input's shape: load(file, in_shape=...) does")


def _build(
    model: Config, asked: Asked, version: int, flipped: bool, weights_of: Callable[[str, Config], dict[str, Float64]]
) -> Builder:
    layers = chain(model, asked.output)
    builder = Builder(_input_shape(layers, asked.in_shape))
    reader = Reader(builder, version, flipped)
    for kind, config in layers:
        reader.layer(kind, config, weights_of(kind, config))
    return builder


def _major(version: Any) -> int:
    """The first number of a version; 1, whose files do not have it."""
    match = re.match(r"[0-9]{1,3}", str(version))
    return int(match[0]) if match else 1


def _read(path: str | None, content: bytes = b"") -> Group:
    if importlib.util.find_spec("h5py") is None:
        raise ImportError("reading Keras' files needs h5py: pip install h5py")
    return _hdf5.read(path, content)


def _weights(group: Group | None) -> dict[str, Float64]:
    """A layer's weights by name: 'kernel' for 'conv2d_1/kernel:0'."""
    arrays = {} if group is None else group.arrays()
    return {name.split(":")[0]: as_float64(array) for name, array in arrays.items()}


def _within(group: Group | None, name: str) -> Group | None:
    """The group of this name, however deep: the deepest."""
    for key, child in () if group is None else group.children.items():
        if isinstance(child, Group):
            found = _within(child, name) or (child if key == name else None)
            if found is not None:
                return found
    return None


def read_h5(path: str, asked: Asked) -> Builder:
    """A .h5 or .hdf5 file."""
    file = _read(path)
    text = file.attributes.get("model_config")
    if text is None:
        raise UnsupportedError("the file holds weights alone: save the whole model, model.save()")
    root = file.group("model_weights") or file
    said = {**root.attributes, **file.attributes}
    version, backend = _major(said.get("keras_version")), said.get("backend", "")
    flipped = backend == "theano" or (version < 2 and backend != "tensorflow")

    def weights_of(kind: str, config: Config) -> dict[str, Float64]:
        name = str(config.get("name"))
        group = root.group(name)
        for inside, _, _ in config["inside"]:  # the layers of a model within the model are somewhere in its group
            group = group or _within(root.group(inside), name)
        prefix = name + "_"  # Keras 1
        return {key[len(prefix) :] if key.startswith(prefix) else key: v for key, v in _weights(group).items()}

    return _build(json.loads(text), asked, version, flipped, weights_of)


def _layers(group: Group) -> Group:
    """Where a model's layers are: it has changed from version to version."""
    return group.group("layers") or group.group("_layer_checkpoint_dependencies") or group


def _holds_variables(group: Group) -> bool:
    """Whether there are any below, but for the state of random numbers."""
    return any(
        not isinstance(child, Group) or (name != "seed_generator" and _holds_variables(child))
        for name, child in group.children.items()
    )


def _child(group: Group, name: str, kind: str, number: int) -> Group | None:
    """A layer's group: by the name that it bears. Before Keras 3.6 it bears none, and its folder is called by the
    layer's kind and a number, which may leave some out. Never by the layer's own name: 'conv2d_1' may be another's.
    """
    folders = {key: child for key, child in group.children.items() if isinstance(child, Group)}
    for child in folders.values():
        variables = child.group("vars")
        if variables is not None and variables.attributes.get("name") == name:
            return child
    found: list[tuple[int, Group]] = []
    for key, child in folders.items():
        match = re.fullmatch(re.escape(_snake(kind)) + r"(?:_([0-9]{1,9}))?", key)
        if match and _holds_variables(child):
            found.append((int(match[1] or 0), child))
    found.sort(key=lambda entry: entry[0])
    return found[number][1] if number < len(found) else None


def _snake(kind: str) -> str:
    """The folder that Keras 3 names a layer's weights by: 'conv2d', 'batch_normalization'."""
    text = re.sub(r"\W+", "", kind)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def read_keras(path: str, asked: Asked) -> Builder:
    """A .keras file."""
    check_zip(path, MOST_BYTES)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names or "model.weights.h5" not in names:
            raise UnsupportedError("the file holds no config.json and model.weights.h5, as Keras 3 writes them")
        texts = [name for name in ("config.json", "metadata.json") if name in names]
        if any(archive.getinfo(name).file_size > MOST_TEXT for name in texts):
            raise UnsupportedError("the file's config.json is too large for a small network")
        model, *more = (json.loads(archive.read(name)) for name in texts)
        file = _read(None, archive.read("model.weights.h5"))

    def weights_of(kind: str, config: Config) -> dict[str, Float64]:
        root: Group | None = _layers(file)
        for place in config["inside"]:
            inner = root and _child(root, *place)
            root = inner and _layers(inner)
        group = root and _child(root, str(config.get("name")), kind, config["number"])
        variables = group and (group.group("vars") or group)
        numbered = variables.children if variables else {}
        found = {name: numbered.get(str(n)) for n, name in enumerate(_order(kind, config))}
        return {name: as_float64(v) for name, v in found.items() if v is not None and not isinstance(v, Group)}

    said = more[0] if more and isinstance(more[0], dict) else {}
    return _build(model, asked, _major(said.get("keras_version", 3)), False, weights_of)
