# SPDX-License-Identifier: MIT
"""examples/npy_to_header.py: what it writes of NumPy's files holds the same numbers, in C and in C++."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "npy_to_header.py"
COMPILERS = [["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++11"], ["c++", "-x", "c++", "-std=c++20"]]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1 / 3, -1e-45, 5e-324, 1e300, 65504, 16777217]


def convert(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def compiled(compiler, folder, header, name, dtype):
    """What a program that includes the header holds in the array `name`, as bytes."""
    (folder / "data.h").write_text(header)
    (folder / "main.c").write_text(
        f'#include "data.h"\n#include <stdio.h>\nint main(void) {{ return fwrite({name}, 1, sizeof {name}, stdout) == 0; }}\n'
    )
    subprocess.run([*compiler, *STRICT, folder / "main.c", "-o", folder / "main"], check=True)
    return np.frombuffer(subprocess.run([folder / "main"], capture_output=True, check=True).stdout, dtype)


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda compiler: compiler[-1])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
def test_holds_the_same_numbers(tmp_path, dtype, order, compiler):
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(SPECIAL + list(np.random.default_rng(60).normal(size=48))).astype(dtype).reshape(3, 4, 5)
    np.save(tmp_path / "weights.npy", np.asarray(values, order=order))
    result = convert(tmp_path / "weights.npy")
    assert result.returncode == 0, result.stderr
    wide = np.float64 if dtype[1:] == "f8" else np.float32
    got = compiled(compiler, tmp_path, result.stdout, "weights", wide)
    want = values.astype(wide).ravel()
    assert "weights[3 * 4 * 5]" in result.stdout
    assert np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 1, 3, 4)])
@pytest.mark.parametrize("order", "CF")
def test_takes_every_shape(tmp_path, shape, order):
    values = np.asarray(np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape), order=order)
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(
        compiled(COMPILERS[0], tmp_path, convert(tmp_path / "a.npy").stdout, "a", np.float32), values.ravel()
    )


def test_includes_nothing_unless_it_must(tmp_path):
    np.save(tmp_path / "gamma.npy", np.ones(3, np.float32))  # which <math.h> may declare
    assert "#include" not in convert(tmp_path / "gamma.npy").stdout


def test_takes_a_file_with_an_equals_sign_in_its_name(tmp_path):
    np.save(tmp_path / "a=b.npy", np.ones(3, np.float32))
    assert "'a=b' cannot be a name" in convert(tmp_path / "a=b.npy").stderr
    assert "static const float weights[3]" in convert(f"weights={tmp_path / 'a=b.npy'}").stdout


@pytest.mark.parametrize("argument", ["", "weights=", "=", "no-such.npy", "weights=no-such.npy", "."])
def test_names_what_is_no_file(argument):
    result = convert(argument)
    assert result.returncode != 0 and result.stdout == "" and "Traceback" not in result.stderr
    assert argument.removeprefix("weights=") in result.stderr


@pytest.mark.parametrize("header", ["{", "{}", "3", "[1]", "{'descr': 1, 'shape': 2, 'fortran_order': 3}", "(" * 3000])
def test_refuses_a_broken_header(tmp_path, header):
    text = header.encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)
    result = convert(tmp_path / "a.npy")
    assert result.returncode != 0 and result.stdout == "" and "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["float", "class", "default", "1st", "a-b", "_Alignas", "_a", "a__b", "NAN", "main"])
def test_refuses_what_is_no_name(tmp_path, name):
    path = tmp_path / f"{name}.npy"
    np.save(path, np.ones(3, np.float32))
    result = convert(path)
    assert result.returncode != 0 and result.stdout == "" and f"'{name}'" in result.stderr
    renamed = convert(f"weights={path}")
    assert renamed.returncode == 0 and "static const float weights[3]" in renamed.stdout


def test_refuses_two_of_one_name(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "weights.npy", np.full(3, ord(folder), np.float32))
    paths = tmp_path / "a" / "weights.npy", tmp_path / "b" / "weights.npy"
    result = convert(*paths)
    assert result.returncode != 0 and result.stdout == "" and str(paths[0]) in result.stderr
    result = convert(f"first={paths[0]}", f"second={paths[1]}")
    assert "first[3] = {\n    97.0f," in result.stdout and "second[3] = {\n    98.0f," in result.stdout


@pytest.mark.parametrize(
    "values",
    [
        np.ones(3, np.int32),
        np.ones(3, np.complex64),
        np.array(["a"]),
        np.ones((0, 2), "f4"),
        np.ones(2, [("a", "<f4")]),
    ],
)
def test_refuses_other_types_and_empty_arrays(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    result = convert(tmp_path / "a.npy")
    assert result.returncode != 0 and result.stdout == "" and "Traceback" not in result.stderr


def test_refuses_what_is_cut_off(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3, np.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        if length % 8 == 0 or length > len(whole) - 16:
            result = convert(tmp_path / "cut.npy")
            assert result.returncode != 0 and result.stdout == "" and "Traceback" not in result.stderr, length
