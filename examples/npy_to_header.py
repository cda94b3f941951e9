#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns NumPy's .npy files into a C header, so that weights are compiled into a program: no file to find, none to ship.

    npy_to_header.py weights.npy bias.npy >weights.h
    npy_to_header.py conv1=first/weights.npy conv2=second/weights.npy >weights.h

makes `static const float weights[32 * 16 * 2 * 2] = {...};` of a file weights.npy of that shape, or gives the array the
name before the = (unless a file of the whole name is there). Numbers of float16 and float32 become floats, those of float64 doubles, in row-major order, of either
byte order, the same to the last bit (but for what a NaN holds besides its sign). For C and C++. Needs Python alone.
"""
import ast
import itertools
import math
import pathlib
import re
import struct
import sys

# By NumPy's letter and size: C's type, struct's letter, the decimal digits that tell all its numbers apart.
TYPES = {"f2": ("float", "e", 9), "f4": ("float", "f", 9), "f8": ("double", "d", 17)}

# Of C23 and C++23; and what <math.h> makes of NAN and INFINITY.
KEYWORDS = set("""
alignas alignof and and_eq asm atomic_cancel atomic_commit auto bitand bitor bool break case catch char char8_t char16_t
char32_t class compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype
default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long
mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
requires restrict return short signed sizeof static static_assert static_cast struct switch template this thread_local
throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor
xor_eq NAN INFINITY main
""".split())


def read_npy(path):
    """Of a .npy file: C's name of its type, how many digits that takes, its shape, its numbers in row-major order."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError("is no .npy file")
    size, start = (2, 10) if data[6] == 1 else (4, 12)
    start += int.from_bytes(data[8 : 8 + size], "little")
    try:
        header = ast.literal_eval(data[8 + size : start].decode("utf-8"))
        descr, shape, fortran_order = header["descr"], tuple(header["shape"]), header["fortran_order"]
    except (KeyError, TypeError, SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError("has no valid header of a .npy file") from None
    if not isinstance(descr, str) or descr[:1] not in "<>" or descr[1:] not in TYPES:
        raise ValueError(f"holds no float16, float32 or float64, but {descr}: convert it with numpy.float32()")
    if not all(type(extent) is int and 0 < extent < 1 << 31 for extent in shape):
        raise ValueError(f"has the shape {shape}")
    name, letter, digits = TYPES[descr[1:]]
    numbers = struct.Struct(f"{descr[0]}{math.prod(shape)}{letter}")
    if numbers.size != len(data) - start:
        raise ValueError(f"has {len(data) - start} bytes of numbers; its shape {shape} wants {numbers.size}")
    values = numbers.unpack(data[start:])
    if fortran_order:  # the first index runs fastest
        steps = list(itertools.accumulate((1, *shape[:-1]), int.__mul__))
        at = itertools.product(*map(range, shape))
        values = [values[sum(i * step for i, step in zip(index, steps))] for index in at]
    return name, digits, shape, values


def literal(number, type_name, digits):
    """A number as C and C++ write it, decimal: C++14 knows no other floating-point numbers."""
    suffix = "f" if type_name == "float" else ""
    if math.isfinite(number):
        text = f"{number:.{digits}g}"
        return text + ("" if "." in text or "e" in text else ".0") + suffix
    sign = "-" if math.copysign(1, number) < 0 else ""
    return f"{sign}({type_name}){'NAN' if math.isnan(number) else 'INFINITY'}"


def array(name, path):
    """The lines that define the array `name` of what a file holds."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or name in KEYWORDS or re.match("_|.*__", name):
        raise ValueError(f"'{name}' cannot be a name in C and C++: give another one, as in weights={path}")
    type_name, digits, shape, numbers = read_npy(path)
    extent = " * ".join(map(str, shape)) or "1"
    yield f"static const {type_name} {name}[{extent}] = {{"
    for i in range(0, len(numbers), 8):
        yield "    " + " ".join(literal(number, type_name, digits) + "," for number in numbers[i : i + 8])
    yield "};"


def main(arguments):
    lines, names = [], {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or pathlib.Path(argument).is_file():
            name, path = pathlib.Path(argument).stem, argument
        try:
            if not path:
                raise ValueError(f"'{argument}' names no file")
            if name in names:
                raise ValueError(f"'{name}' is the name of {names[name]} already: give another one, as in other={path}")
            lines += array(name, path)
        except (OSError, ValueError, struct.error) as error:
            sys.exit(f"npy_to_header.py: {path or argument}: {error}")
        names[name] = path
    print("/* Written by npy_to_header.py. */")
    if any(re.search("NAN|INFINITY", line) for line in lines if line.startswith(" ")):
        print("#include <math.h>")
    print("\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1:])
