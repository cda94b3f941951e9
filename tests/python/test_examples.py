# SPDX-License-Identifier: MIT
"""The examples in Python, and the program that one of them makes a header for."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import convpool

TOP = pathlib.Path(__file__).parents[2]
DIGITS = TOP / "examples" / "digits"


def read_image(path):
    return np.frombuffer(path.read_bytes()[-27 * 27 :], np.uint8).reshape(1, 27, 27) / np.float32(255)


def test_digits(tmp_path):
    subprocess.run([sys.executable, DIGITS / "network.py", tmp_path], check=True, capture_output=True)
    network = convpool.load(tmp_path / "digits.npz")
    images = sorted((DIGITS / "images").glob("*.pgm"))
    assert [int(network(read_image(image)).argmax()) for image in images] == list(range(10))
    library = os.environ.get("CONVPOOL_LIBRARY")
    if shutil.which("cc") is None or not library:
        pytest.skip("no compiler, or no library to link")
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{TOP / 'include'}", f"-I{tmp_path}"]
    subprocess.run(
        [
            *command,
            DIGITS / "embedded.c",
            library,
            f"-Wl,-rpath,{os.path.dirname(library)}",
            "-o",
            tmp_path / "embedded",
        ],
        check=True,
    )
    for digit, image in enumerate(images):
        ran = subprocess.run([tmp_path / "embedded"], stdin=image.open(), capture_output=True, text=True, check=True)
        assert ran.stdout.startswith(f"{digit} (") and ran.stderr == ""


def test_the_layer_that_it_began_with():
    ran = subprocess.run(
        [sys.executable, TOP / "examples" / "theano_layer.py"], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert {line[0] for line in lines} >= {"with_numpy", "with_convpool", "with_a_layer", "kernel:"}
    assert all(float(line[-1]) < 1e-5 for line in lines if line[0].startswith("with_") and "off" in line)
