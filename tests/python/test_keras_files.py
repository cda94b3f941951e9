# SPDX-License-Identifier: MIT
"""Files as each version of Keras wrote them, made by hand, so that no Keras is needed."""

import io
import json
import zipfile

import numpy as np
import pytest
from test_layer import convolved, pooled

import convpool

h5py = pytest.importorskip("h5py")


def weights(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.4, shape).astype(np.float32)


def write(path, model, layers, version, backend="tensorflow", inside=True):
    """layers: {name: {weight name: array}}."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        root = file.create_group("model_weights") if inside else file
        for where in (file, root):
            where.attrs["keras_version"], where.attrs["backend"] = version.encode(), backend.encode()
        for name, arrays in layers.items():
            group = root.create_group(name)
            for key, value in arrays.items():
                group.create_dataset(key, data=value)


def keras_1(ordering):
    """A model of Keras 1: its own names for everything, weights by number."""
    shape = [None, 3, 10, 11] if ordering == "th" else [None, 10, 11, 3]
    convolution = {"name": "c", "batch_input_shape": shape, "nb_filter": 5, "nb_row": 3, "nb_col": 2, "dim_ordering": ordering,
                   "border_mode": "valid", "subsample": [1, 1], "activation": "relu", "bias": True}  # fmt: skip
    pool = {"name": "p", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": ordering}
    return {
        "class_name": "Sequential",
        "config": [
            {"class_name": "Convolution2D", "config": convolution},
            {"class_name": "MaxPooling2D", "config": pool},
            {"class_name": "Dropout", "config": {"name": "d", "p": 0.5}},
            {"class_name": "Flatten", "config": {"name": "f"}},
            {"class_name": "Dense", "config": {"name": "e", "output_dim": 4, "activation": "linear", "bias": True}},
        ],
    }


@pytest.mark.parametrize("backend", ["theano", "tensorflow"])
@pytest.mark.parametrize("ordering", ["th", "tf"])
def test_keras_1(ordering, backend, tmp_path):
    w, b, d, e = weights(5, 3, 3, 2), weights(5), weights(100, 4), weights(4)
    stored = w if ordering == "th" else w.transpose(2, 3, 1, 0)
    arrays = {"c": {"c_W": stored, "c_b": b}, "p": {}, "e": {"e_W": d, "e_b": e}}
    write(tmp_path / "model.h5", keras_1(ordering), arrays, "1.2.2", backend)
    x = np.random.default_rng(1).random((3, 10, 11), np.float32)
    flipped = ordering == "th" and backend == "theano"  # Theano's own layout with Theano's own convolution
    y = pooled(np.maximum(convolved(x, w, b, flipped), 0))
    y = y if ordering == "th" else y.transpose(1, 2, 0)
    network = convpool.load(tmp_path / "model.h5")
    image = x if ordering == "th" else x.transpose(1, 2, 0)
    assert network.input_shape == image.shape
    assert np.allclose(network(image), y.reshape(-1) @ d + e, atol=1e-5)


def keras_2(*layers, shape=(8, 8, 2)):
    entries = [{"class_name": kind, "config": {"name": f"l{n}", **config}} for n, (kind, config) in enumerate(layers)]
    entries[0]["config"]["batch_input_shape"] = [None, *shape]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": entries}}


CONV = {"filters": 3, "kernel_size": [2, 2], "strides": [1, 1], "padding": "valid", "activation": "linear", "use_bias": False,
        "data_format": "channels_last", "dilation_rate": [1, 1]}  # fmt: skip


def test_channels_first_flattens_as_it_says(tmp_path):
    kernel, dense = weights(2, 2, 2, 3), weights(147, 4)
    x = np.random.default_rng(1).random((2, 8, 8), np.float32)
    y = convolved(x, kernel.transpose(3, 2, 0, 1), np.zeros(3))
    for order, flat in (("channels_first", y.transpose(1, 2, 0)), ("channels_last", y)):
        model = keras_2(
            ("Conv2D", {**CONV, "data_format": "channels_first"}),
            ("Flatten", {"data_format": order}),
            ("Dense", {"units": 4, "use_bias": False, "activation": "linear"}),
            shape=(2, 8, 8),
        )
        write(tmp_path / "m.h5", model, {"l0": {"l0/kernel:0": kernel}, "l2": {"l2/kernel:0": dense}}, "2.3.1")
        assert np.allclose(convpool.load(tmp_path / "m.h5")(x), flat.reshape(-1) @ dense, atol=1e-5)


def test_what_is_missing_is_named(tmp_path):
    path = tmp_path / "m.h5"
    kernel = {"l0": {"l0/kernel:0": weights(2, 2, 2, 3)}}
    for model, arrays, words in (
        (keras_2(("Conv2D", CONV)), {}, "l0.*kernel"),
        (keras_2(("Conv2D", {**CONV, "use_bias": True})), kernel, "l0.*bias"),
        (keras_2(("Conv2D", CONV), ("Lambda", {"function": "x"})), kernel, "l1.*Lambda"),
        (keras_2(("Conv2D", CONV), shape=(None, 8, 2)), kernel, "open extents"),
        (keras_2(("Conv2D", CONV), shape=(8, 8, 5)), kernel, "l0.*5 come in"),
        (keras_2(("Conv2D", {**CONV, "padding": "causal"})), kernel, "causal"),
        ({"class_name": "Graph", "config": {}}, {}, "Graph"),
        (
            keras_2(("Convolution1D", {"filter_length": 3, "border_mode": "same"}), shape=(8, 2)),
            {},
            "l0.*Convolution1D",
        ),
        (keras_2(("MaxPooling1D", {"pool_length": 3, "border_mode": "same"}), shape=(8, 2)), {}, "l0.*pool_size"),
    ):
        write(path, model, arrays, "2.3.1")
        with pytest.raises(convpool.UnsupportedError, match=words):
            convpool.load(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", data=np.zeros(3))
    with pytest.raises(convpool.UnsupportedError, match="weights alone"):
        convpool.load(path)


def functions(*steps, shape=(6, 6, 3)):
    """A chain of TensorFlow's functions, (name, what stands for the tensor, arguments), as a model of Keras 2."""
    layers = [{"class_name": "InputLayer", "config": {"name": "x0", "batch_input_shape": [None, *shape]}, "name": "x0", "inbound_nodes": []}]  # fmt: skip
    for n, (function, first, arguments) in enumerate(steps, 1):
        before = [f"x{n - 1}", 0, 0]
        node = [*before, arguments] if first is None else ["_CONSTANT_VALUE", -1, first, {"y": before, **arguments}]
        config = {"name": f"x{n}", "function": function}
        layers.append({"class_name": "TFOpLambda", "config": config, "name": f"x{n}", "inbound_nodes": [node]})
    config = {"name": "m", "layers": layers, "output_layers": [[f"x{len(steps)}", 0, 0]]}
    return {"class_name": "Functional", "config": config}


def test_functions_of_tensorflow(tmp_path):
    steps = [
        ("math.truediv", None, {"y": 255.0, "name": None}),
        ("math.subtract", None, {"y": [0.1, 0.2, 0.3], "name": None}),
        ("math.multiply", 2.0, {"name": None}),
        ("math.subtract", 1.0, {"name": None}),
        ("nn.leaky_relu", None, {}),
        ("nn.leaky_relu", None, {"alpha": 0.5}),
        ("__operators__.add", None, {"y": [[[[0.5]]]], "name": None}),
        ("math.negative", None, {"name": None}),
        ("clip_by_value", None, {"clip_value_min": -1.0, "clip_value_max": 0.25}),
        ("math.tanh", None, {"name": None}),
        ("math.reduce_mean", None, {"axis": [1, -2], "keepdims": True}),
        ("reshape", None, {"shape": [-1, 3]}),
    ]
    write(tmp_path / "m.h5", functions(*steps), {}, "2.11.0")
    x = np.random.default_rng(1).random((6, 6, 3), np.float32) * 600
    y = 1 - 2 * (x.astype(float) / 255 - [0.1, 0.2, 0.3])
    y = np.where(y < 0, 0.2 * 0.5 * y, y)
    y = np.tanh(np.clip(-(y + 0.5), -1, 0.25)).mean((0, 1))
    assert np.allclose(convpool.load(tmp_path / "m.h5")(x), y, atol=1e-6)


@pytest.mark.parametrize(("version", "slope"), [("2.11.0", 0.2), ("3.4.1", 1 / 6)])
def test_hard_sigmoid_has_changed(version, slope, tmp_path):
    model = keras_2(("Activation", {"activation": "hard_sigmoid"}), shape=(6, 6, 3))
    write(tmp_path / "m.h5", model, {}, version)
    x = np.random.default_rng(1).random((6, 6, 3), np.float32) * 10 - 5
    assert np.allclose(convpool.load(tmp_path / "m.h5")(x), np.clip(slope * x + 0.5, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (("math.exp", None, {}), "x1.*tf.math.exp"),
        (("math.multiply", None, {"y": ["x0", 0, 0]}), "x1.*2 inputs"),
        (("math.multiply", None, {}), "x1.*constant"),
        (("math.multiply", None, {"y": "two"}), "'two'"),
        (("math.add", None, {"y": [[[[[1.0]]]], [[[[2.0]]]]]}), "array of shape"),
        (("math.truediv", None, {"y": [1.0, 0.0, 1.0]}), "x1.*by 0"),
        (("clip_by_value", None, {"clip_value_min": [0.0], "clip_value_max": 1.0}), "x1.*clips"),
    ],
)
def test_functions_that_are_not_supported_are_named(step, words, tmp_path):
    write(tmp_path / "m.h5", functions(step), {}, "2.11.0")
    with pytest.raises(convpool.UnsupportedError, match=words):
        convpool.load(tmp_path / "m.h5")


# ---- .keras ----


def write_keras(path, model, weights_of, named=False):
    """weights_of: {folder: (the layer's name, its variables in order)}."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for folder, (name, arrays) in weights_of.items():
            group = file.create_group(folder + "/vars")
            if named:
                group.attrs["name"] = name
            for n, array in enumerate(arrays):
                group.create_dataset(str(n), data=array)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", content.getvalue())


def entry(kind, name, **config):
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


def sequential(name, *layers):
    config = {"name": name, "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def two_models_in_one():
    """Names that are shifted by one, as in a notebook's second model: each is the folder of another layer."""
    conv = {**CONV, "padding": "same"}
    shape = entry("InputLayer", "input_2", batch_shape=[None, 6, 6, 3])
    first = sequential(
        "sequential_1",
        entry("Conv2D", "conv2d_1", **conv),
        entry("ReLU", "re_lu_1"),
        entry("Conv2D", "conv2d_2", **conv),
    )
    noise = sequential("sequential_3", entry("RandomFlip", "random_flip"))
    second = sequential("sequential_2", entry("Conv2D", "conv2d_3", **conv), entry("ReLU", "re_lu"))
    return sequential("sequential_4", shape, first, noise, second, entry("Conv2D", "conv2d_4", **conv), entry("ReLU", "re_lu_2"), entry("Conv2D", "conv2d_5", **conv))  # fmt: skip


# Where Keras puts the weights of these five convolutions: from 3.6 on, 3.0 to 3.5 and TensorFlow 2.15, and 2.13 and 2.14,
# which count a layer with weights twice. The model without weights has the state of its random numbers.
FOLDERS = {
    "3.6": "layers/sequential/layers/conv2d layers/sequential/layers/conv2d_1 layers/sequential_2/layers/conv2d layers/conv2d "
    "layers/conv2d_1",
    "2.13": "_layer_checkpoint_dependencies/sequential/_layer_checkpoint_dependencies/conv2d "
    "_layer_checkpoint_dependencies/sequential/_layer_checkpoint_dependencies/conv2d_2 "
    "_layer_checkpoint_dependencies/sequential_3/_layer_checkpoint_dependencies/conv2d "
    "_layer_checkpoint_dependencies/conv2d _layer_checkpoint_dependencies/conv2d_2",
}
FOLDERS["3.0"] = FOLDERS["3.6"]


@pytest.mark.parametrize("version", FOLDERS)
def test_folders_of_keras(version, tmp_path):
    kernels = [np.random.default_rng(n).normal(0, 0.4, (2, 2, 3, 3)).astype(np.float32) for n in range(5)]
    folders = FOLDERS[version].split()
    stored = {folder: (f"conv2d_{n + 1}", [kernel]) for n, (folder, kernel) in enumerate(zip(folders, kernels))}
    noise = folders[0].split("/")[0] + "/sequential_1/layers/random_flip/seed_generator"
    stored[noise] = ("seed_generator", [np.zeros(2, np.uint32)])
    write_keras(tmp_path / "m.keras", two_models_in_one(), stored, named=version == "3.6")
    x = np.random.default_rng(9).random((6, 6, 3), np.float32)
    y = x.transpose(2, 0, 1)
    for n, kernel in enumerate(kernels):
        y = convolved(np.pad(y, ((0, 0), (0, 1), (0, 1))), kernel.transpose(3, 2, 0, 1), np.zeros(3))
        y = np.maximum(y, 0) if n in (0, 2, 3) else y
    assert np.allclose(convpool.load(tmp_path / "m.keras")(x), y.transpose(1, 2, 0), atol=1e-5)


def test_bfloat16(tmp_path):
    kernel = weights(2, 2, 2, 3)
    bits = kernel.view(np.uint32) >> 16
    rounded = (bits << 16).view(np.float32)
    stored = {"layers/conv2d": ("c", [bits.astype(np.uint16).view("V2")])}
    shape = {"batch_shape": [None, 8, 8, 2], "dtype": "bfloat16"}
    write_keras(tmp_path / "m.keras", sequential("s", entry("Conv2D", "c", **shape, **CONV)), stored)
    x = np.random.default_rng(1).random((8, 8, 2), np.float32)
    y = convolved(x.transpose(2, 0, 1), rounded.transpose(3, 2, 0, 1), np.zeros(3)).transpose(1, 2, 0)
    assert np.allclose(convpool.load(tmp_path / "m.keras")(x), y, atol=1e-6)


def test_what_is_not_as_it_seems_is_named(tmp_path):
    shape = {"batch_shape": [None, 8, 8, 2]}
    kernel = {"layers/conv2d": ("c", [weights(2, 2, 2, 3)])}
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}
    own = {**entry("ReLU", "r"), "module": None, "registered_name": "mine>ReLU"}
    for layers, words in (
        ([entry("Conv2D", "c", **shape, **CONV, dtype=policy)], "'c'.*quantized.*int8"),
        ([entry("Conv2D", "c", **shape, **CONV, dtype="int8_from_float32")], "'c'.*quantized.*int8"),
        ([entry("Conv2D", "c", **shape, **CONV), own], "'r'.*'mine>ReLU'"),
        ([entry("Conv2D", "c", **shape, **CONV), entry("Conv2D", "d", **CONV)], "'d'.*kernel"),
    ):
        write_keras(tmp_path / "m.keras", sequential("s", *layers), kernel)
        with pytest.raises(convpool.UnsupportedError, match=words):
            convpool.load(tmp_path / "m.keras")


def test_the_folded_and_the_plain_agree(tmp_path):
    """Batch normalization wherever it may stand, folded where that is exact: padding, pools and signs forbid it."""
    bn = {"axis": [3], "epsilon": 0.01, "scale": True, "center": True}
    chance = np.random.default_rng(4)
    for seed in range(40):
        kinds, channels, layers, arrays = [], 2, [], {}
        for n in range(6):
            kind = chance.choice(
                ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "AveragePooling2D", "ZeroPadding2D"]
            )
            kinds.append(kind)
            config = {"padding": str(chance.choice(["same", "valid"]))}
            if kind == "Conv2D":
                layers.append((kind, {**CONV, **config}))
                arrays[f"l{n}"] = {f"l{n}/kernel:0": chance.normal(0, 0.5, (2, 2, channels, 3)).astype(np.float32)}
                channels = 3
            elif kind == "BatchNormalization":
                layers.append((kind, bn))
                values = chance.normal(0, 1, (4, channels)).astype(np.float32)
                values[3] = np.abs(values[3]) + 0.5
                if chance.random() < 0.5:
                    values[0] = np.abs(values[0])
                names = ("gamma", "beta", "moving_mean", "moving_variance")
                arrays[f"l{n}"] = {f"l{n}/{key}:0": value for key, value in zip(names, values)}
            elif kind == "Activation":
                layers.append((kind, {"activation": str(chance.choice(["relu", "tanh", "sigmoid", "elu"]))}))
            elif kind == "ZeroPadding2D":
                layers.append((kind, {"padding": [[0, 1], [1, 0]], "data_format": "channels_last"}))
            else:
                layers.append((kind, {"pool_size": [2, 2], "strides": [1 + seed % 2] * 2, **config}))
        write(tmp_path / "m.h5", keras_2(*layers, shape=(15, 16, 2)), arrays, "2.3.1")
        convpool.load(tmp_path / "m.h5")  # which holds it to float64, step by step as the file has them
