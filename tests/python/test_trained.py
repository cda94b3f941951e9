# SPDX-License-Identifier: MIT
"""Networks that people have trained, where a folder of them lies beside the checkout, and files damaged in every way."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import convpool

FOLDER = pathlib.Path(os.environ.get("CONVPOOL_NETWORKS", pathlib.Path(__file__).parents[3] / "shared" / "networks"))
DOCUMENTS = (
    {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))} if FOLDER.is_dir() else {}
)

pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="no trained networks are here")


def load(name):
    document = DOCUMENTS[name]
    pytest.importorskip("onnx" if document["file"].endswith(".onnx") else "h5py")
    output = document["graph_output"] if document.get("other_outputs_not_used") else None
    return convpool.load(FOLDER / document["file"], output=output)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_agrees(name, tmp_path):
    network, expected = load(name), np.load(FOLDER / (name + ".output.npy")).reshape(-1)
    x = np.random.default_rng(7).random(DOCUMENTS[name]["input"]["shape"], np.float32)
    result = network(x)
    assert np.abs(result.reshape(-1) - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.array_equal(network(x[0]), result[0])
    network.save(tmp_path / "network.npz")
    assert np.array_equal(convpool.load(tmp_path / "network.npz")(x), result)


# Loads each file that is named on stdin, and says how it ended; a crash or a hang is seen by who started it.
CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
import convpool
for line in sys.stdin:
    start = time.monotonic()
    try:
        convpool.load(line.strip())
        end = "loaded"
    except Exception as error:
        end = type(error).__name__
    print(line.strip(), end, "%.1f" % (time.monotonic() - start), flush=True)
"""


def damaged(content, chance, count):
    for n in range(count):
        data = bytearray(content)
        if n % 3 == 0:
            yield bytes(data[: chance.integers(0, len(data))])
            continue
        head = min(len(data), 4096 if n % 3 == 1 else len(data))  # where a file says what it is, or anywhere
        for _ in range(chance.integers(1, 9)):
            data[chance.integers(0, head)] = chance.integers(0, 256)
        yield bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_damage_ends_in_an_exception(name, tmp_path):
    load(name)
    source = FOLDER / DOCUMENTS[name]["file"]
    count = int(os.environ.get("CONVPOOL_DAMAGED", "15"))
    paths = []
    for n, content in enumerate(damaged(source.read_bytes(), np.random.default_rng(11), count)):
        paths.append(tmp_path / f"{n}{source.suffix}")
        paths[-1].write_bytes(content)
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = child.stdout.splitlines()
    assert child.returncode == 0 and len(lines) == count, (lines[-1:], child.stderr[-2000:])
    assert all(float(line.split()[-1]) < 60 for line in lines)
