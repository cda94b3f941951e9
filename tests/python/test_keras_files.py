# SPDX-License-Identifier: MIT
"""Files as Keras 1 and 2 wrote them, made by hand, so that no Keras is needed."""

import json

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
    ):
        write(path, model, arrays, "2.3.1")
        with pytest.raises(convpool.UnsupportedError, match=words):
            convpool.load(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", data=np.zeros(3))
    with pytest.raises(convpool.UnsupportedError, match="weights alone"):
        convpool.load(path)


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
