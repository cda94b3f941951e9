#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns NumPy's .npy files into a C header, so that weights are compiled into a program: no file to find, none to ship.

    npy_to_header.py weights.npy bias.npy >weights.h

makes `static const float weights[32 * 16 * 2 * 2] = {...};` of a file weights.npy of float32 with that shape, and
doubles of float64. The numbers are hexadecimal, so they are the same to the last bit. Needs Python alone.
"""
import ast
import math
import pathlib
import struct
import sys

TYPES = {"<f4": ("float", "f"), "<f8": ("double", "d")}


def read_npy(path):
    """Of a .npy file: C's name of its type, its shape, its numbers in row-major order."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2, 3):
        raise ValueError("not a .npy file")
    size, start = (2, 10) if data[6] == 1 else (4, 12)
    length = int.from_bytes(data[8 : 8 + size], "little")
    header = ast.literal_eval(data[start : start + length].decode("utf-8"))
    if header["descr"] not in TYPES or header["fortran_order"]:
        raise ValueError("holds no float32 or float64 in row-major order")
    name, letter = TYPES[header["descr"]]
    count = math.prod(header["shape"])
    return name, header["shape"], struct.unpack(f"<{count}{letter}", data[start + length :])


def literal(number, type_name):
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return number.hex().replace("0000000p", "p") + ("f" if type_name == "float" else "")


def main(paths):
    print("/* Written by npy_to_header.py. */\n#include <math.h>")
    for path in paths:
        try:
            type_name, shape, numbers = read_npy(path)
        except (OSError, KeyError, SyntaxError, ValueError, struct.error) as error:
            sys.exit(f"npy_to_header.py: {path}: {error}")
        extent = " * ".join(map(str, shape)) or "1"
        print(f"static const {type_name} {pathlib.Path(path).stem}[{extent}] = {{")
        for i in range(0, len(numbers), 8):
            print("    " + " ".join(literal(number, type_name) + "," for number in numbers[i : i + 8]))
        print("};")


if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
    sys.exit(__doc__)
main(sys.argv[1:])
