# SPDX-License-Identifier: MIT
"""Networks by hand: what they compute, files and headers of them, the command line."""

import copy
import json
import math
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

import convpool
from convpool import _reference
from convpool.__main__ import main

INCLUDE = pathlib.Path(__file__).parents[2] / "include"


def weights(*shape, scale=0.4):
    return np.random.default_rng(sum(shape)).normal(0, scale, shape).astype(np.float32)


def example(layout="CHW"):
    return convpool.Network(
        [
            convpool.Layer(weights(6, 3, 3, 3), weights(6), padding="same", name="first"),
            convpool.Scale(weights(6), weights(6)),
            convpool.MaxPool(3, 1, padding=1),
            convpool.Layer(weights(9, 6, 2, 2), None, pool=None, activation="tanh"),
            convpool.Scale(weights(4, 4, 9), weights(4, 4, 9)),
            convpool.AveragePool(2),
            convpool.Depthwise(
                weights(9, 1, 2, 3), weights(9), padding=(1, 1, 0, 1), activation="elu", activation_parameter=0.7
            ),
            convpool.Activation("prelu", slopes=weights(9)),
            convpool.Activation("prelu", slopes=weights(2, 2, 9)),
            convpool.Dense(weights(12, 36), weights(12), activation="relu", flatten=layout),
            convpool.Dense(weights(12, 5), weights(5), weights_layout="IO"),
            convpool.Softmax(),
        ],
        in_shape=(3, 10, 11) if layout == "CHW" else (10, 11, 3),
        layout=layout,
    )


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_agrees_with_float64(layout):
    network = example(layout)
    x = np.random.default_rng(2).random(network.input_shape, np.float32)
    image = x.astype(float) if layout == "CHW" else x.astype(float).transpose(2, 0, 1)
    *_, expected = _reference.run(network._stages, image)
    expected = expected.reshape(-1)
    assert network.output_shape == (5,)
    assert np.abs(network(x) - expected).max() <= 1e-5 * expected.max()
    batch = network(np.stack([x, x + 1, x]))
    assert batch.shape == (3, 5) and np.array_equal(batch[0], network(x)) and np.array_equal(batch[2], batch[0])
    out = np.empty((1, 5), np.float32)
    assert network(x[None], out=out) is out


def test_depthwise_weights_of_every_layout():
    """[channels, 1, height, width] as PyTorch has them, Keras' [height, width, channels, 1] and LiteRT's, flipped or not."""
    w = weights(5, 1, 3, 2)
    by_keras = w.transpose(2, 3, 0, 1)
    x = np.random.default_rng(2).random((5, 8, 9), np.float32)
    expected = convpool.Network([convpool.Depthwise(w)], in_shape=x.shape)(x)
    for other, layout in (
        (by_keras, "HWIO"),
        (by_keras.transpose(0, 1, 3, 2), "HWIO"),
        (w.transpose(1, 2, 3, 0), "OHWI"),
        (w.transpose(0, 2, 3, 1), "OHWI"),
    ):
        part = convpool.Depthwise(other, weights_layout=layout)
        assert np.array_equal(convpool.Network([part], in_shape=x.shape)(x), expected)
    part = convpool.Depthwise(w[:, :, ::-1, ::-1], filter="convolution")
    assert np.array_equal(convpool.Network([part], in_shape=x.shape)(x), expected)
    dense = np.zeros((5, 5, 3, 2))
    dense[range(5), range(5)] = w[:, 0]
    layer = convpool.Layer(dense, pool=None, in_shape=x.shape)
    assert np.allclose(layer(x), expected, atol=1e-6)
    with pytest.raises(ValueError, match="more than one filter for a channel"):
        convpool.Depthwise(weights(4, 2, 3, 3))


def test_images_may_come_out():
    network = convpool.Network([convpool.MaxPool(2)], in_shape=(4, 6, 3), layout="HWC")
    x = np.random.default_rng(2).random((4, 6, 3), np.float32)
    assert np.array_equal(network(x), x.reshape(2, 2, 3, 2, 3).max((1, 3)))
    planes = convpool.Network([convpool.GlobalMax()], in_shape=(3, 4, 6))
    assert np.array_equal(planes(x.transpose(2, 0, 1)), x.max((0, 1)))
    log = convpool.Network([convpool.LogSoftmax()], in_shape=(7,))
    assert np.allclose(log(np.arange(7.0)), np.arange(7) - np.log(np.exp(np.arange(7.0)).sum()), atol=1e-6)


def test_summary_and_kernels():
    network = example()
    text = network.summary()
    assert "first: layer 3x3 pad 1,1,1,1 relu max-pool" in text and "17,820" in text and "3x10x11 -> 5" in text
    kernels = network.kernels()
    assert kernels[1] == "" and kernels[0] in {row["name"] for row in convpool.kernels()}


def test_what_is_wrong_is_said():
    layer = convpool.Layer(weights(4, 3, 2, 2), in_shape=(3, 8, 8))
    for parts, options, words in (
        ([], {}, "at least one stage"),
        ([convpool.Softmax()], {}, "in_shape"),
        ([layer, convpool.Layer(weights(4, 3, 2, 2))], {}, "4 come in"),
        ([layer, convpool.Softmax()], {}, "one pixel"),
        ([layer, convpool.Dense(weights(4, 7))], {}, "36 numbers"),
        ([layer, convpool.MaxPool(4)], {}, "window of 4"),
        ([layer, convpool.Depthwise(weights(3, 1, 2, 2))], {}, "for 3 input channels, but 4 come in"),
        ([layer, convpool.Depthwise(weights(4, 1, 4, 2))], {}, "window of 4"),
        ([layer, convpool.Scale(weights(3))], {}, "for 4 channels"),
        ([layer, convpool.Scale(weights(4, 3, 3))], {}, "for 4 channels"),
        ([layer, convpool.Activation("prelu", slopes=weights(4, 3, 3))], {}, "for 4 channels"),
        ([convpool.Scale(weights(3, 3, 4))], {"in_shape": (4, 3, 3)}, "first stage"),
        ([layer], {"layout": "NCHW"}, "layout"),
        ([convpool.MaxPool(2, padding=(2, 0))], {"in_shape": (3, 8, 8)}, "stage 0, max_pool: invalid shape"),
        ([layer, convpool.Layer(weights(4, 4, 2, 2), kernel="avx9")], {}, "stage 1, layer, kernel 'avx9': no kernel"),
    ):
        with pytest.raises(ValueError, match=words):
            convpool.Network(parts, **options)
    with pytest.raises(TypeError, match="is no stage"):
        convpool.Network([layer, "softmax"])
    with pytest.raises(ValueError, match="looks like HWC"):
        example()(np.zeros((10, 11, 3)))


def test_pickle_and_copy():
    network = example()
    x = np.random.default_rng(2).random(network.input_shape, np.float32)
    for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert np.array_equal(other(x), network(x))


def test_save_and_load(tmp_path):
    for layout in ("CHW", "HWC"):
        network = example(layout)
        network.save(tmp_path / "network.npz")
        again = convpool.load(tmp_path / "network.npz")
        x = np.random.default_rng(2).random(network.input_shape, np.float32)
        assert np.array_equal(again(x), network(x)) and again.summary() == network.summary()
        with np.load(tmp_path / "network.npz", allow_pickle=False) as arrays:
            assert "network" in arrays


def test_damaged_files_are_found_out(tmp_path):
    network = example()
    network.save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as arrays:
        arrays = dict(arrays)
    arrays["0.weights"][0, 0, 0, 0] += np.float32(1e-6)
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(RuntimeError, match="test case fails"):
        convpool.load(tmp_path / "changed.npz")
    convpool.load(tmp_path / "changed.npz", check=False)
    for key, value in (
        ("0.weights", arrays["0.weights"][:, :2]),
        ("0.bias", arrays["0.bias"][:1]),
        ("1.weights", weights(3)),
    ):
        np.savez(tmp_path / "wrong.npz", **{**arrays, key: value})
        with pytest.raises(ValueError):
            convpool.load(tmp_path / "wrong.npz")
    np.savez(tmp_path / "none.npz", a=np.zeros(3))
    with pytest.raises(convpool.UnsupportedError, match="no network"):
        convpool.load(tmp_path / "none.npz")


def test_sizes_that_make_no_sense_are_refused(tmp_path):
    w = weights(2, 1, 3, 3)
    for make in (
        lambda: convpool.Network([convpool.MaxPool(1, strides=2**64 + 1)], in_shape=(1, 64, 64)),
        lambda: convpool.Layer(w, padding=2**64, in_shape=(1, 8, 8)),
        lambda: convpool.Layer(w, in_shape=(1, 2**64 + 8, 8)),
        lambda: convpool.Layer(w, in_shape=(1, 8.9, 8)),
        lambda: convpool.Layer(w, in_shape="188"),
        lambda: convpool.Layer(w, in_shape=(1, 8, 8), padding=True),
        lambda: convpool.Layer(w, in_shape=(1, 8, 8), strides=None),
        lambda: convpool.MaxPool({1, 2}),
        lambda: convpool.Layer(w, in_shape=(1, 8, 8)).error_bound(-1),
    ):
        with pytest.raises(ValueError):
            make()
    for make in (
        lambda: convpool.Layer(w, kernel=5),
        lambda: convpool.Softmax(name=5),
        lambda: convpool.conv_layer(None, w),
        lambda: example().save(True),
        lambda: convpool.Layer(w, activation="elu", activation_parameter="12"),
    ):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(ValueError, match="look like HWIO"):
        convpool.Layer(np.zeros((3, 3, 1, 4)), in_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="looks like HWC"):
        convpool.Layer(w, in_shape=(8, 8, 1))
    with pytest.raises(ValueError, match="look like IO"):
        convpool.Network([convpool.Dense(np.zeros((3, 2)))], in_shape=(3,))


def test_weights_are_copied():
    w = weights(2, 3)
    network = convpool.Network([convpool.Dense(w)], in_shape=(3,))
    w *= 2
    assert np.array_equal(copy.deepcopy(network)(np.ones(3)), network(np.ones(3)))


def test_names_cannot_leave_a_comment(tmp_path):
    for name in ("*\\\n/ int oops; /*", "**//", "*/ int oops; /*"):
        layer = convpool.Layer(weights(4, 1, 3, 3), in_shape=(1, 8, 8), name=name)
        convpool.Network([layer]).to_c(tmp_path / "net.h", "net")
        lines = (tmp_path / "net.h").read_text().split("static inline void net_stages")[1].split("}")[0]
        assert lines.count("/*") == lines.count("*/") == 1 and "oops;" not in lines
    with pytest.raises(ValueError, match="begin with convpool"):
        example().to_c(tmp_path / "net.h", "convpool_network")


def test_unknown_files():
    with pytest.raises(FileNotFoundError):
        convpool.load("missing.onnx")
    with pytest.raises(ValueError, match=r"is no \.h5"):
        convpool.load(__file__)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_header_compiles(tmp_path):
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only", f"-I{INCLUDE}"]
    example().to_c(tmp_path / "net.h", "net")
    (tmp_path / "net.c").write_text('#include "net.h"\nstatic unsigned char memory[NET_MEMORY_MAX + NET_SCRATCH_MAX];\n'
                                    "int main(void) { return memory[0]; }\n")  # fmt: skip
    subprocess.run(["cc", "-std=c11", *warnings, tmp_path / "net.c"], check=True)
    if shutil.which("c++"):
        subprocess.run(["c++", "-std=c++17", "-x", "c++", *warnings, tmp_path / "net.c"], check=True)
    with pytest.raises(ValueError, match="identifier"):
        example().to_c(tmp_path / "net.h", "a b")


SELF_TEST = (
    '#include "net.h"\nstatic unsigned char memory[NET_MEMORY_MAX], scratch[NET_SCRATCH_MAX];\n'
    "int main(void) {\n  static float input[NET_INPUTS], output[NET_OUTPUTS];\n  convpool_network *network;\n"
    "  if (net_create_in(memory, sizeof memory, &network) != CONVPOOL_OK) return 2;\n"
    "  return !net_self_test(network, input, output, scratch);\n}\n"
)


@pytest.mark.skipif(shutil.which("cc") is None or not os.environ.get("CONVPOOL_LIBRARY"), reason="no library to link")
def test_the_header_tests_itself(tmp_path):
    (tmp_path / "net.c").write_text(SELF_TEST)
    library = os.environ["CONVPOOL_LIBRARY"]
    command = ["cc", "-std=c11", f"-I{INCLUDE}", tmp_path / "net.c", library, f"-Wl,-rpath,{os.path.dirname(library)}"]
    by_kernels = [
        convpool.Layer(weights(9, 8, 3, 3), in_shape=(8, 12, 12), padding=1, kernel="direct"),
        convpool.Layer(weights(9, 9, 2, 2), pool=None, kernel="scalar-direct"),
        convpool.Scale(weights(9), kernel="scalar"),
        convpool.Layer(weights(9, 9, 2, 2), pool=None),
    ]
    for network in (example("HWC"), convpool.Network(by_kernels)):
        network.to_c(tmp_path / "net.h", "net")
        subprocess.run([*command, "-o", tmp_path / "net"], check=True)
        subprocess.run([tmp_path / "net"], check=True, env={**os.environ, "CONVPOOL_KERNEL": ""})


def test_the_command_line(tmp_path, capsys):
    example().save(tmp_path / "network.npz")
    assert main(["show", str(tmp_path / "network.npz")]) == 0 and "max pool 3x3" in capsys.readouterr().out
    assert main(["info"]) == 0 and "scalar-direct" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "network.npz"), "--to-c", str(tmp_path / "n.h"), "--name", "n"]) == 0
    assert (tmp_path / "n.h").exists() and not (tmp_path / "convpool.c").exists()
    assert main(["bench", str(tmp_path / "network.npz"), "--seconds", "0.05"]) == 0 and "us" in capsys.readouterr().out
    assert main(["show", str(tmp_path / "missing.npz")]) == 1 and "convpool: " in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "network.npz")]) == 1
    assert main(["bench", str(tmp_path / "network.npz"), "--against", "onnxruntime"]) == 1


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_library_in_one_file(tmp_path):
    """What the header is compiled with, and its self-test."""
    example().save(tmp_path / "network.npz")
    model, header = str(tmp_path / "network.npz"), str(tmp_path / "net.h")
    assert main(["convert", model, "--to-c", header, "--name", "net", "--with-library"]) == 0
    assert main(["convert", model, "--to-npz", str(tmp_path / "n.npz"), "--with-library"]) == 1
    (tmp_path / "main.c").write_text(SELF_TEST)
    few = ["-DCONVPOOL_NO_AVX512", "-DCONVPOOL_NO_AVX2", "-DCONVPOOL_NO_WINOGRAD32"]  # which take long to compile
    command = ["cc", "-O1", *few, "main.c", "convpool.c", "-o", "net"]
    subprocess.run(command, check=True, cwd=tmp_path)
    subprocess.run([tmp_path / "net"], check=True, env={**os.environ, "CONVPOOL_KERNEL": ""})


TEXT = """\
image 3x10x11
layer 6:k3x3:p1,1,1,1:relu
scale
max-pool 3x3:s1x1:p1,1,1,1
layer 9:k2x2:none:tanh
scale
average-pool 2x2
depthwise 2x3:p1,1,0,1:elu=0.7
activation prelu
activation prelu
dense 12:relu
dense 5:linear
softmax
"""


def test_text(tmp_path):
    example().save(tmp_path / "network.npz")
    assert main(["convert", str(tmp_path / "network.npz"), "--to-text", str(tmp_path / "n.txt")]) == 0
    assert (tmp_path / "n.txt").read_text() == TEXT
    example("HWC").save(tmp_path / "network.npz")
    assert main(["convert", str(tmp_path / "network.npz"), "--to-text", str(tmp_path / "n.txt")]) == 0
    assert (tmp_path / "n.txt").read_text() == TEXT.replace("11\n", "11:hwc\n", 1)
    layers = [
        convpool.Layer(
            weights(4, 2, 5, 4), strides=(2, 1), pool="ceil", activation="leaky_relu", activation_parameter=0.1
        ),
        convpool.Activation("elu", activation_parameter=0.5),
        convpool.GlobalMax(),
        convpool.LogSoftmax(),
    ]
    convpool.Network(layers, in_shape=(2, 20, 30)).save(tmp_path / "network.npz")
    assert main(["convert", str(tmp_path / "network.npz"), "--to-text", str(tmp_path / "n.txt")]) == 0
    words = "layer 4:k5x4:s2x1:ceil:leaky=0.1", "activation elu=0.5", "global-max", "log-softmax"
    assert (tmp_path / "n.txt").read_text().splitlines()[1:] == list(words)


def test_importing_does_nothing():
    code = "import convpool, sys; assert convpool._library.library.cache_info().currsize == 0; assert 'h5py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page(tmp_path, capsys):
    network = example("HWC")
    model = str(tmp_path / "n.npz")
    network.save(model)
    page = tmp_path / "page"
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {n}\n" for n in range(math.prod(network.output_shape))))
    arguments = ["--to-web", str(page), "--classes", str(names), "--scale", "1/127.5", "--offset=-1", "--no-draw"]
    assert main(["convert", model, *arguments]) == 0
    files = {file.name for file in page.iterdir()}
    assert files > {"index.html", "page.js", "convpool.js", "convpool.wasm", "convpool-scalar.wasm", "LICENSES.txt"}
    told = json.loads((page / "page.json").read_text())
    assert told["title"] == "n" and told["draw"] is False and told["fit"] == "crop"
    assert told["scale"] == [1 / 127.5] and told["offset"] == [-1] and told["classes"][-1].startswith("class ")
    x = np.ones(network.input_shape, np.float32)
    assert (convpool.load(page / "network.npz")(x) == network(x)).all()
    capsys.readouterr()
    for wrong, words in (
        (["--classes", "a,b"], "2 classes are named"),
        (["--scale", "1,2"], "scale must be a number"),
    ):
        assert main(["convert", model, "--to-web", str(page), *wrong]) == 1
        assert words in capsys.readouterr().err
    flat = convpool.Network([convpool.Dense(weights(3, 8))], in_shape=(8,))
    flat.save(model)
    assert main(["convert", model, "--to-web", str(page)]) == 1
    assert "needs an image" in capsys.readouterr().err
