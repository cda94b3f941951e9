#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns NumPy's .npy files into a C header, so that weights are compiled into a program: no file to find, none to ship.

    npy_to_header.py weights.npy bias.npy >weights.h

makes `static const float weights[32 * 16 * 2 * 2] = {...};` of a file weights.npy of float32 with that shape, and
doubles of float64. The numbers are hexadecimal, so they are the same to the last bit, but NaN's. Needs Python alone.
"""
import ast
import math
import pathlib
import re
import struct
import sys

TYPES = {"<f4": ("float", "f"), "<f8": ("double", "d")}


def read_npy(path):
    """Of a .npy file: C's name of its type, its shape, its numbers in row-major order."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("is no .npy file")
    size, start = (2, 10) if data[6] == 1 else (4, 12)
    start += int.from_bytes(data[8 : 8 + size], "little")
    header = ast.literal_eval(data[8 + size : start].decode("utf-8"))
    if header["descr"] not in TYPES or header["fortran_order"]:
        raise ValueError(f"holds no little-endian float32 or float64 in row-major order, but {header}")
    if not all(type(extent) is int and 0 < extent < 1 << 31 for extent in header["shape"]):
        raise ValueError(f"has the shape {header['shape']}")
    name, letter = TYPES[header["descr"]]
    numbers = struct.Struct(f"<{math.prod(header['shape'])}{letter}")
    if numbers.size != len(data) - start:
        raise ValueError(f"has {len(data) - start} bytes of numbers; its shape {header['shape']} wants {numbers.size}")
    return name, header["shape"], numbers.unpack(data[start:])


def literal(number, type_name):
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return number.hex().replace("0000000p", "p") + ("f" if type_name == "float" else "")


def main(paths):
    lines = ["/* Written by npy_to_header.py. */", "#include <math.h>"]
    for path in paths:
        name = pathlib.Path(path).stem
        try:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name} cannot be a name in C: rename the file")
            type_name, shape, numbers = read_npy(path)
        except (OSError, KeyError, TypeError, SyntaxError, ValueError, struct.error) as error:
            sys.exit(f"npy_to_header.py: {path}: {error}")
        extent = " * ".join(map(str, shape)) or "1"
        lines.append(f"static const {type_name} {name}[{extent}] = {{")
        for i in range(0, len(numbers), 8):
            lines.append("    " + " ".join(literal(number, type_name) + "," for number in numbers[i : i + 8]))
        lines.append("};")
    print("\n".join(lines))


if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
    sys.exit(__doc__)
main(sys.argv[1:])
