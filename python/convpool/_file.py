# SPDX-License-Identifier: MIT
"""Reads and writes files of networks."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library, _reference
from ._graph import LARGEST_IMAGE, MOST_WEIGHTS, MOST_WORK, Asked, Builder
from ._merge import UnsupportedError, expand
from ._network import Network, from_chw
from ._stages import Plan, Stage, image_shape
from ._zip import check_zip

FORMAT = 1
SEED = 60
HDF5 = b"\x89HDF\r\n\x1a\n"  # how such files begin
CLOSE = 1e-4  # what float32 may make of the largest output,
ROUNDING = 2.0**-23  # and of the largest number on the way


def load(
    file: str | os.PathLike[str],
    *,
    output: str | None = None,
    in_shape: Sequence[int] | None = None,
    check: bool = True,
) -> Network:
    """Reads a trained network.

    Parameters
    ----------
    file : path
        ``.h5``, ``.hdf5`` or ``.keras`` (Keras 1, 2 and 3; needs h5py), ``.onnx`` (needs onnx), or ``.npz`` as
        `Network.save` writes it.
    output : str, optional
        The name of one of several outputs, or of a tensor (ONNX) or layer (Keras) before: what follows it is not read.
    in_shape : tuple of int, optional
        The shape of one image, where the file leaves some of its extents open.
    check : bool
        Whether the network is held to a float64 computation in NumPy, on a random input; an .npz file to its own test
        case.

    Returns
    -------
    Network
        It takes images as the file's own framework does, and gives what that would.

    Raises
    ------
    UnsupportedError
        The file holds what convpool cannot compute. The message says where.
    """
    path = os.fspath(file)
    asked = Asked(output, None if in_shape is None else image_shape(in_shape))
    try:
        return _load(path, asked, check)
    except (OSError, ValueError, ImportError, MemoryError):
        raise
    except RuntimeError as error:
        if not isinstance(error, RecursionError):
            raise
        raise UnsupportedError(f"{path!r} is damaged, or of no known form: it goes too deep") from error
    except Exception as error:  # what a reader did not expect
        kind = type(error).__name__
        raise UnsupportedError(f"{path!r} is damaged, or of no known form: {kind}: {error}") from error


def _load(path: str, asked: Asked, check: bool) -> Network:
    ending = os.path.splitext(path)[1].lower()
    if os.path.isdir(path) or ending not in (".h5", ".hdf5", ".keras", ".onnx", ".npz"):
        raise ValueError(
            f"{path!r} is no .h5, .hdf5, .keras, .onnx or .npz file: torch.onnx.export() makes .onnx of PyTorch's "
            "models, tf2onnx of TensorFlow's"
        )
    if ending == ".npz":
        if asked != Asked():
            raise ValueError("output and in_shape are for the files of Keras and ONNX")
        return _load_npz(path, check)
    with open(path, "rb") as file:  # a file that cannot be read is told so, whatever the reader
        start = file.read(8)
    builder: Builder
    if ending == ".onnx":
        from ._onnx import read_onnx

        builder = read_onnx(path, asked)
    else:
        from ._keras_files import read_h5, read_keras

        zipped = start.startswith(b"PK") or (ending == ".keras" and start != HDF5)  # whatever it is called
        builder = (read_keras if zipped else read_h5)(path, asked)
    steps = list(builder.stages)
    plan = builder.finish()
    network = Network._of(plan._replace(stages=[as_float32(stage) for stage in plan.stages]))
    if check:
        _check(network, steps)
    return network


def as_float32(stage: Stage) -> Stage:
    """With the numbers that the library takes."""
    for field, values in stage.arrays().items():
        with np.errstate(over="ignore"):
            setattr(stage, field, np.ascontiguousarray(values, np.float32))
    return stage


def _check(network: Network, steps: list[Stage]) -> None:
    """Holds a network to the steps of its file, in float64."""
    x = random_input(network.input_shape, SEED)
    image = x.astype(np.float64).reshape(from_chw(network._shape, network._outside[1]))
    if network._outside[1] == "HWC":
        image = image.transpose(2, 0, 1)
    peak, expected = 0.0, image
    for expected in _reference.run(expand(steps, network._shape), image):
        peak = max(peak, np.abs(expected[np.isfinite(expected)]).max(initial=0))
    if network._result[1] == "HWC":
        expected = expected.transpose(1, 2, 0)
    got = network(x).astype(np.float64).reshape(-1)
    expected = expected.reshape(-1)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1e-30)
    with np.errstate(invalid="ignore"):
        off = np.abs(got - expected)
    wrong = (off > CLOSE * largest + ROUNDING * peak) | (np.isnan(got) != np.isnan(expected))
    if wrong.any():
        raise RuntimeError(
            f"the network is off by {off[wrong].max() / largest:.2g} of its largest output: please report this file; "
            "check=False leaves this out"
        )


def random_input(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Numbers in [0, 1), the same on every machine: splitmix64."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(41)).astype(np.float32) * np.float32(2.0**-23)).reshape(shape)


def bits_hash(y: NDArray[np.float32]) -> str:
    """Of a result, to the last bit: zeros of either sign alike, and any NaN."""
    y = np.where(np.isnan(y), np.float32(np.nan), y + np.float32(0.0)).astype("<f4")
    return hashlib.sha256(y.tobytes()).hexdigest()


def families() -> dict[str, str]:
    """An instruction set of each family that runs here: with fused multiply-add, and without."""
    found: dict[str, str] = {}
    for row in _library.kernels():
        if row["supported"]:
            found.setdefault("fused" if row["isa"] in ("avx512", "avx2", "neon") else "separate", row["isa"])
    return found


def by_family(network: Network, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What a network makes of an image on an instruction set of each family."""
    return {family: network._compile(isa)(x) for family, isa in families().items()}


def save(network: Network, file: str | os.PathLike[str]) -> None:
    """Network.save()."""
    arrays: dict[str, Any] = {}
    stages = []
    for index, stage in enumerate(network._stages):
        entry: dict[str, Any] = {key: getattr(stage, key) for key in SCALARS}
        held = stage.arrays()
        entry.update({field: field in held for field in ("weights", "bias", "slopes")})
        arrays.update({f"{index}.{field}": np.ascontiguousarray(v, np.float32) for field, v in held.items()})
        stages.append(entry)
    x = random_input(network.input_shape, SEED)
    test = {family: bits_hash(y) for family, y in by_family(network, x).items()}
    arrays["output"] = network(x)
    arrays["network"] = np.array(
        json.dumps(
            {
                "format": FORMAT,
                "version": _library.version(),
                "shape": network._shape,
                "outside": network._outside,
                "result": network._result,
                "stages": stages,
                "seed": SEED,
                "hashes": test,
            }
        )
    )
    with open(file, "wb") as target:
        np.savez(target, **arrays)


SCALARS = ("kind", "name", "window", "strides", "pads", "pool", "activation", "parameter", "kernel")
TUPLES = {"window": 2, "strides": 2, "pads": 4}


def _load_npz(path: str, check: bool) -> Network:
    check_zip(path, 8 * MOST_WEIGHTS)
    with np.load(path, allow_pickle=False) as arrays:
        if "network" not in arrays:
            raise UnsupportedError("the file holds no network of convpool's")
        text = json.loads(str(arrays["network"]))
        if text.get("format") != FORMAT:
            raise UnsupportedError(
                f"the file has the format {text.get('format')!r}, of another version: {FORMAT} is known"
            )
        stages = [_read_stage(entry, index, arrays) for index, entry in enumerate(text["stages"])]
        expected = np.asarray(arrays["output"])
    shape = tuple(int(n) for n in text["shape"])
    (outside, layout), (result, last) = text["outside"], text["result"]
    outside, result = tuple(map(int, outside)), tuple(map(int, result))
    _library.pick(layout, _library.IMAGE_LAYOUTS, "layout")
    _library.pick(last, _library.IMAGE_LAYOUTS, "layout")
    if len(shape) != 3 or min(*shape, *outside, *result) < 1 or math.prod(outside) != math.prod(shape):
        raise UnsupportedError(f"an input of {outside} that is an image of {shape}")
    _check_size(stages, (shape[0], shape[1], shape[2]))
    network = Network._of(Plan(stages, (shape[0], shape[1], shape[2]), (outside, layout), (result, last)))
    if check:
        _check_npz(network, text, expected)
    return network


def _check_size(stages: list[Stage], shape: tuple[int, int, int]) -> None:
    work = 0
    for stage in stages:
        after = stage.output_shape(shape)
        around = (shape[1] + stage.pads[0] + stage.pads[2]) * (shape[2] + stage.pads[1] + stage.pads[3])
        work += stage.multiply_adds(shape) + 16 * math.prod(after) * math.prod(stage.window)
        if shape[0] * around > LARGEST_IMAGE:
            raise UnsupportedError("the file's network is no small one")
        shape = after
        if math.prod(shape) > LARGEST_IMAGE or work > MOST_WORK:
            raise UnsupportedError("the file's network is no small one")


def _read_stage(entry: dict[str, Any], index: int, arrays: Any) -> Stage:
    fields = {key: entry[key] for key in SCALARS}
    for key, length in TUPLES.items():
        fields[key] = tuple(int(n) for n in fields[key])
        if len(fields[key]) != length or min(fields[key]) < 0:
            raise UnsupportedError(f"stage {index} has the {key} {entry[key]!r}")
    for key, names in (("kind", _library.KINDS), ("pool", _library.POOLS), ("activation", _library.ACTIVATIONS)):
        if fields[key] not in names:
            raise UnsupportedError(f"stage {index} has the {key} {fields[key]!r}")
    stage = Stage(**fields)
    stage.parameter, stage.name = float(stage.parameter), str(stage.name)
    for field in ("weights", "bias", "slopes"):
        if entry[field]:
            values = arrays[f"{index}.{field}"]
            if values.dtype != np.float32:
                raise UnsupportedError(f"the {field} of stage {index} are {values.dtype}")
            setattr(stage, field, np.ascontiguousarray(values))
    return stage


def _check_npz(network: Network, text: dict[str, Any], expected: NDArray[Any]) -> None:
    """Runs the file's test case: to the last bit where this version wrote it."""
    x = random_input(network.input_shape, int(text["seed"]))
    got = network(x)
    if expected.shape != got.shape:
        raise UnsupportedError(f"the file's test case has the shape {expected.shape}, the network's output {got.shape}")
    if text["version"] == _library.version():
        for family, y in by_family(network, x).items():
            known = text["hashes"].get(family)
            if known is not None and bits_hash(y) != known:
                raise RuntimeError(
                    f"the file's test case fails on {families()[family]}: the file is damaged, or this build is wrong"
                )
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1e-30)
    if not np.allclose(got, expected, rtol=0, atol=float(CLOSE * largest), equal_nan=True):
        raise RuntimeError("the file's test case fails: the file is damaged, or this build is wrong")
