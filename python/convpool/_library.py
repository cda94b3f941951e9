# SPDX-License-Identifier: MIT
"""The C library, through ctypes: the structs of convpool.h, its functions, and its statuses as exceptions."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILTERS = ("cross-correlation", "convolution")
POOLS = ("max", "none", "ceil")
ACTIVATIONS = ("relu", "none", "relu6", "leaky_relu", "prelu", "sigmoid", "tanh", "elu")
WEIGHTS_LAYOUTS = ("OIHW", "HWIO", "OHWI")
IMAGE_LAYOUTS = ("CHW", "HWC")
KINDS = {
    "layer": 0,
    "max_pool": 1,
    "average_pool": 2,
    "global_max": 3,
    "global_average": 4,
    "scale": 5,
    "activation": 6,
    "softmax": 7,
    "log_softmax": 8,
    "depthwise": 16,
}

_SIZES = (
    "filter_height",
    "filter_width",
    "stride_height",
    "stride_width",
    "pad_top",
    "pad_left",
    "pad_bottom",
    "pad_right",
)


class Spec(ctypes.Structure):
    """convpool_layer_spec."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("in_channels", "in_height", "in_width", "out_channels")),
        *((name, ctypes.c_int) for name in ("filter", "pool", "activation")),
        ("kernel", ctypes.c_char_p),
        *((name, ctypes.c_size_t) for name in _SIZES),
        *((name, ctypes.c_int) for name in ("weights_layout", "input_layout", "output_layout")),
        ("activation_parameter", ctypes.c_float),
        ("slopes", ctypes.c_void_p),
    ]


class Stage(ctypes.Structure):
    """convpool_stage."""

    _fields_ = [("kind", ctypes.c_int), ("spec", Spec), ("weights", ctypes.c_void_p), ("bias", ctypes.c_void_p)]


class KernelInfo(ctypes.Structure):
    """convpool_kernel_info."""

    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("name", "isa", "algorithm")),
        ("supported", ctypes.c_bool),
        ("reason", ctypes.c_char_p),
    ]


def _find() -> pathlib.Path:
    named = os.environ.get("CONVPOOL_LIBRARY")
    if named:
        return pathlib.Path(named)
    name = {"win32": "convpool.dll", "darwin": "libconvpool.dylib"}.get(sys.platform, "libconvpool.so")
    folder = pathlib.Path(__file__).parent
    for candidate in (folder / name, folder / ("lib" + name)):
        if candidate.exists():
            return candidate
    raise ImportError(
        f"{folder / name} is missing: install the package with 'pip install .', or name a shared library of convpool "
        "in the environment variable CONVPOOL_LIBRARY"
    )


@functools.cache
def library() -> Any:
    """The loaded library. The first call loads it."""
    lib = ctypes.CDLL(str(_find()))
    pointer, size, status = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    sizes = ctypes.POINTER(ctypes.c_size_t)
    handle = ctypes.POINTER(ctypes.c_void_p)
    for name, result, *arguments in (
        ("version", ctypes.c_char_p),
        ("status_string", ctypes.c_char_p, status),
        ("kernel_count", size),
        ("kernel_get", ctypes.c_bool, size, ctypes.POINTER(KernelInfo)),
        ("layer_create", status, ctypes.POINTER(Spec), pointer, pointer, handle),
        ("layer_destroy", None, pointer),
        ("layer_output_shape", None, pointer, sizes, sizes, sizes),
        ("layer_scratch_size", size, pointer),
        ("layer_kernel", ctypes.c_char_p, pointer),
        ("layer_error_bound", ctypes.c_double, pointer, ctypes.c_double),
        ("layer_run", status, pointer, pointer, pointer, pointer),
        ("network_create", status, ctypes.POINTER(Stage), size, handle),
        ("network_memory_size", size, ctypes.POINTER(Stage), size),
        ("network_destroy", None, pointer),
        ("network_output_shape", None, pointer, sizes, sizes, sizes),
        ("network_scratch_size", size, pointer),
        ("network_run", status, pointer, pointer, pointer, pointer),
        ("network_layer", pointer, pointer, size),
    ):
        function = getattr(lib, "convpool_" + name)
        function.restype, function.argtypes = result, arguments
    return lib


def version() -> str:
    """The version of the C library."""
    return str(library().convpool_version().decode())


def check(status: int, what: str) -> None:
    """Raises what a status stands for."""
    if status == 0:
        return
    text = f"{what}: {library().convpool_status_string(status).decode()}"
    raise MemoryError(text) if status == 3 else ValueError(text)


def address(array: NDArray[Any]) -> int:
    """Where an array's first element lies."""
    return int(array.__array_interface__["data"][0])


def pick(value: object, names: tuple[str, ...], what: str) -> int:
    """The number of a name, as the C enums have it; None stands for 'none'."""
    name = "none" if value is None else value
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, names))}, not {value!r}")
    return names.index(str(name))


def as_float32(value: object, what: str, copy: bool = False) -> NDArray[np.float32]:
    """A C-ordered float32 array of real numbers; copy: that nobody else has."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must hold real numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        whole = np.array(array, np.float32, order="C") if copy else np.require(array, np.float32, ["C", "A"])
    return whole


class Handle:
    """Owns a layer or a network of the library."""

    def __init__(self, kind: str, pointer: int) -> None:
        self.pointer = pointer
        self._destroy = getattr(library(), f"convpool_{kind}_destroy")

    def __del__(self) -> None:
        self._destroy(self.pointer)


def output_shape(kind: str, pointer: int) -> tuple[int, int, int]:
    """Channels, height and width of a layer's or a network's output."""
    extents = [ctypes.c_size_t() for _ in range(3)]
    getattr(library(), f"convpool_{kind}_output_shape")(pointer, *map(ctypes.byref, extents))
    channels, height, width = (extent.value for extent in extents)
    return channels, height, width


def kernels() -> list[dict[str, Any]]:
    """The kernels of this build, best first.

    Returns
    -------
    list of dict
        Each with ``name``, ``isa``, ``algorithm``, ``supported`` (by this CPU and operating system) and ``reason``
        (why not, in words).
    """
    rows = []
    for index in range(library().convpool_kernel_count()):
        info = KernelInfo()
        library().convpool_kernel_get(index, ctypes.byref(info))
        names = {name: getattr(info, name).decode() for name in ("name", "isa", "algorithm", "reason")}
        rows.append({**names, "supported": bool(info.supported)})
    return rows
