# SPDX-License-Identifier: MIT
"""Models that Keras itself has made, of every layer kind, saved in every format, and held to what Keras predicts."""

import numpy as np
import pytest

import convpool

keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("h5py")
L = keras.layers


def two_convolutions(**options):
    return [L.Conv2D(5, 3, activation="relu", **options), L.Conv2D(7, (2, 3), **options)]


MODELS = {
    "plain": ((9, 11, 3), lambda: [*two_convolutions(), L.Flatten(), L.Dense(4, activation="softmax")]),
    "same": ((9, 12, 3), lambda: [*two_convolutions(padding="same"), L.MaxPooling2D(2, padding="same"), L.Flatten()]),
    "even_same": ((9, 10, 2), lambda: [L.Conv2D(4, 2, padding="same"), L.Conv2D(4, 4, padding="same", use_bias=False)]),
    "strides": ((11, 13, 3), lambda: [L.Conv2D(5, 3, strides=(2, 3), padding="same"), L.Conv2D(4, 3, strides=2)]),
    "dilation": (
        (13, 13, 2),
        lambda: [L.Conv2D(4, 3, dilation_rate=2, padding="same"), L.Conv2D(3, 3, dilation_rate=3)],
    ),
    "groups": ((9, 9, 4), lambda: [L.Conv2D(6, 3, groups=2), L.DepthwiseConv2D(3, depth_multiplier=2)]),
    "depthwise": (
        (17, 20, 5),
        lambda: [
            L.BatchNormalization(),
            L.DepthwiseConv2D(3, activation="relu"),
            L.BatchNormalization(),
            L.DepthwiseConv2D((2, 4), padding="same", use_bias=False),
            L.BatchNormalization(),
            L.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal"),
            L.DepthwiseConv2D(3, strides=2, padding="same"),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.Conv2D(9, 1),
            L.ZeroPadding2D(((0, 1), (1, 0))),
            L.DepthwiseConv2D(2, dilation_rate=(3, 1), activation="tanh"),
            L.MaxPooling2D(2),
            L.SeparableConv2D(4, 3, activation="sigmoid"),
        ],
    ),
    "separable": ((9, 9, 4), lambda: [L.SeparableConv2D(6, 3, depth_multiplier=2, activation="elu")]),
    "pools": (
        (17, 19, 3),
        lambda: [L.MaxPooling2D(3, 2, padding="same"), L.AveragePooling2D(3, 2, padding="same"), L.MaxPooling2D(2, 1)],
    ),
    "sequence": (
        (50, 3),
        lambda: [
            L.Conv1D(6, 5, strides=2, padding="same", activation="relu"),
            L.MaxPooling1D(3, 2, padding="same"),
            L.BatchNormalization(),
            L.Conv1D(4, 3, dilation_rate=2, padding="causal", groups=2),
            L.ZeroPadding1D((1, 2)),
            L.AveragePooling1D(2),
            L.SeparableConv1D(5, 3, depth_multiplier=2),
            L.PReLU(shared_axes=[1], alpha_initializer="random_normal"),
            L.Dense(4, activation="tanh"),
            L.SpatialDropout1D(0.5),
            L.Flatten(),
            L.Dense(3),
        ],
    ),
    "sequence_of_one_channel": (
        (30,),
        lambda: [L.Reshape((30, 1)), L.Conv1D(6, 5), L.DepthwiseConv1D(2), L.GlobalMaxPooling1D(), L.Dense(3)],
    ),
    "sequence_averaged": ((30, 2), lambda: [L.Conv1D(6, 5), L.GlobalAveragePooling1D(keepdims=True), L.Dense(3)]),
    "sequence_normalized": ((30, 3), lambda: [L.BatchNormalization(), L.Conv1D(6, 5), L.GlobalMaxPooling1D()]),
    "sequence_out": ((31, 2), lambda: [L.Conv1D(6, 5), L.MaxPooling1D()]),
    "average": (
        (12, 12, 3),
        lambda: [L.Conv2D(5, 3, activation="tanh"), L.AveragePooling2D(2), L.GlobalAveragePooling2D(), L.Dense(3)],
    ),
    "global_max": ((12, 12, 3), lambda: [L.Conv2D(5, 3), L.GlobalMaxPooling2D(), L.Dense(3, activation="sigmoid")]),
    "normalized": (
        (12, 12, 3),
        lambda: [L.Conv2D(5, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(), L.Conv2D(4, 3, padding="same")],
    ),
    "normalized_after": (
        (12, 12, 3),
        lambda: [
            L.Conv2D(5, 3, activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(),
            L.Conv2D(4, 3, padding="same"),
            L.Flatten(),
            L.BatchNormalization(),
            L.Dense(3),
        ],
    ),
    "normalized_first": (
        (12, 12, 3),
        lambda: [
            L.BatchNormalization(),
            L.Conv2D(5, 3, padding="same"),
            L.BatchNormalization(scale=False),
            L.LeakyReLU(),
            L.BatchNormalization(center=False),
        ],
    ),
    "pool_then_activation": (
        (12, 12, 3),
        lambda: [
            L.Conv2D(5, 3),
            L.MaxPooling2D(2),
            L.Activation("relu"),
            L.Conv2D(5, 3),
            L.MaxPooling2D(3, 1),
            L.BatchNormalization(),
            L.ELU(0.7),
        ],
    ),
    "activations": (
        (8, 8, 2),
        lambda: [
            L.Conv2D(4, 1, activation=a)
            for a in "relu relu6 sigmoid tanh elu selu linear leaky_relu celu hard_sigmoid hard_tanh".split()
        ],
    ),
    "prelu": (
        (8, 8, 2),
        lambda: [
            L.Conv2D(4, 2),
            L.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal"),
            L.MaxPooling2D(),
            L.PReLU(alpha_initializer="random_normal"),
            L.Conv2D(3, 2, padding="same"),
            L.PReLU(shared_axes=[1], alpha_initializer="random_normal"),
            L.MaxPooling2D(2, 1),
            L.Flatten(),
            L.Dense(5),
            L.PReLU(alpha_initializer="random_normal"),
        ],
    ),
    "relus": (
        (8, 8, 2),
        lambda: [
            L.Conv2D(4, 2),
            L.ReLU(6.0),
            L.Conv2D(4, 2),
            L.ReLU(0.5),
            L.Conv2D(4, 2),
            L.ReLU(max_value=0.8, negative_slope=0.3),
            L.Conv2D(4, 2),
            L.ReLU(negative_slope=0.1),
            L.Conv2D(4, 2),
            L.LeakyReLU(0.3),
        ],
    ),
    "padding": (
        (8, 8, 2),
        lambda: [
            L.ZeroPadding2D(((1, 2), (0, 3))),
            L.Conv2D(4, 3, activation="relu"),
            L.ZeroPadding2D(1),
            L.MaxPooling2D(2),
        ],
    ),
    "padding_average": ((8, 8, 2), lambda: [L.Conv2D(3, 2), L.ZeroPadding2D(1), L.AveragePooling2D(3, 1)]),
    "rescaling": (
        (8, 8, 3),
        lambda: [
            L.Rescaling(1 / 255.0, offset=-0.5),
            L.Conv2D(4, 3, padding="same"),
            L.Dropout(0.3),
            L.SpatialDropout2D(0.2),
            L.GaussianNoise(0.1),
        ],
    ),
    "dense_on_pixels": ((6, 7, 3), lambda: [L.Dense(5, activation="relu"), L.Conv2D(4, 3), L.Dense(3)]),
    "dense_alone": (
        (12,),
        lambda: [L.Dense(9, activation="relu"), L.BatchNormalization(), L.Dense(1, activation="sigmoid")],
    ),
    "reshaped": ((48,), lambda: [L.Reshape((4, 4, 3)), L.Conv2D(4, 2), L.Flatten(), L.Dense(2), L.Softmax()]),
    "reshaped_at_the_end": (
        (9, 9, 2),
        lambda: [L.Conv2D(4, 2), L.Flatten(), L.Dense(34), L.Reshape((17, 2)), L.Activation("tanh"), L.Rescaling(2)],
    ),
    "sequence_only_averaged": ((30, 4), lambda: [L.GlobalAveragePooling1D(), L.Dense(3)]),
    "sequence_alone": ((30, 4), lambda: [L.Dropout(0.2), L.ReLU(), L.BatchNormalization()]),
    "cropped": (
        (19, 20, 3),
        lambda: [L.Rescaling(2, -1), L.Cropping2D(((3, 1), 2)), L.Conv2D(4, 3), L.Cropping2D(1), L.CenterCrop(4, 7)],
    ),
    "sequence_cropped": ((30, 4), lambda: [L.Conv1D(3, 2), L.Cropping1D((2, 3)), L.Cropping1D(1)]),
    "one_channel": ((9, 9, 1), lambda: [L.Conv2D(1, 3), L.MaxPooling2D(2), L.Flatten(), L.Dense(1)]),
    "permuted": ((5, 6, 3), lambda: [L.Conv2D(4, 2), L.Permute((3, 1, 2)), L.Flatten(), L.Dense(3)]),
    "spatial_output": ((9, 8, 3), lambda: [L.Conv2D(4, 3, padding="same", activation="sigmoid")]),
}


def made(name, functional):
    shape, layers = MODELS[name]
    keras.utils.set_random_seed(1)
    if functional:
        x = inputs = keras.Input(shape)
        for layer in layers():
            x = layer(x)
        model = keras.Model(inputs, x)
    else:
        model = keras.Sequential([keras.Input(shape), *layers()])
    chance = np.random.default_rng(3)
    for layer in model.layers:
        values = [chance.normal(0, 0.5, value.shape).astype(np.float32) for value in layer.get_weights()]
        if isinstance(layer, L.BatchNormalization):
            values[-1] = np.abs(values[-1]) + 0.3
        if values:
            layer.set_weights(values)
    return model


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_keras(name, functional, ending, tmp_path):
    model = made(name, functional)
    model.save(tmp_path / ("model" + ending))
    network = convpool.load(tmp_path / ("model" + ending))
    x = np.random.default_rng(5).random((3, *MODELS[name][0]), np.float32) * 3 - 1
    expected = model.predict(x, verbose=0)
    result = network(x)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
    network.save(tmp_path / "model.npz")
    assert np.array_equal(convpool.load(tmp_path / "model.npz")(x), result)


def test_depthwise_convolutions_stay_so(tmp_path):
    made("depthwise", False).save(tmp_path / "model.keras")
    lines = convpool.load(tmp_path / "model.keras").summary().splitlines()[2:-1]
    kinds = " ".join(line.split(": ")[1].split()[0] for line in lines)
    assert kinds == "depthwise scale depthwise depthwise layer depthwise max depthwise layer"


@pytest.mark.parametrize(
    "options", [{"invert": True}, {"axis": 1}, {"axis": None}, {"axis": [1, 3]}, {"mean": 0.3, "variance": 2.0}]
)
def test_normalization(options, tmp_path):
    chance = np.random.default_rng(8)
    axes = options.get("axis", -1)
    axes = () if axes is None else axes if isinstance(axes, list) else [axes]
    shape = [3] * len(axes)
    known = {"mean": chance.random(shape).tolist(), "variance": (chance.random(shape) + 0.5).tolist()}
    if axes == ():
        known = {"mean": 0.3, "variance": 2.0}
    model = keras.Sequential([keras.Input((3, 3, 3)), L.Normalization(**{**known, **options}), L.Conv2D(2, 2)])
    model.save(tmp_path / "model.keras")
    x = chance.random((1, 3, 3, 3)).astype(np.float32)
    assert np.allclose(convpool.load(tmp_path / "model.keras")(x), model.predict(x, verbose=0), atol=1e-5)


def test_operations(tmp_path):
    """What is written between layers, x / 255 - 0.5, is a layer in the file."""
    inputs = keras.Input((7, 8, 3))
    x = keras.ops.cast(2 * (1 - (inputs / 255.0 - 0.5)), "float32") + np.array([0.1, 0.2, 0.3], np.float32)
    x = keras.ops.multiply(x, keras.ops.convert_to_tensor(np.full((1, 1, 1, 3), 1.5, np.float32)))
    x = keras.ops.relu6(L.Conv2D(4, 3)(x))
    x = keras.ops.leaky_relu(-L.Conv2D(4, 2)(keras.ops.divide(x, 0.5)), 0.3)
    x = keras.ops.elu(keras.ops.tanh(keras.ops.sigmoid(x)), alpha=0.7)
    x = keras.activations.relu(keras.ops.subtract(keras.ops.add(1.5, x), 2), max_value=6.0)
    model = keras.Model(inputs, keras.ops.log_softmax(L.Dense(3)(L.Flatten()(x))))
    x = np.random.default_rng(5).random((1, 7, 8, 3), np.float32) * 255
    for ending in (".keras", ".h5"):
        model.save(tmp_path / ("model" + ending))
        result = convpool.load(tmp_path / ("model" + ending))(x)
        assert np.allclose(result, model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (lambda x: 2 / x, "'true_divide'.*by the tensor"),
        (lambda x: x * x, "'multiply'.*2 inputs"),
        (lambda x: keras.ops.cast(x, "uint8"), "'cast'.*uint8"),
        (lambda x: keras.ops.exp(x), "Exp"),
    ],
)
def test_operations_that_are_not_supported_are_named(operation, words, tmp_path):
    keras.utils.clear_session()
    inputs = keras.Input((7, 8, 3))
    keras.Model(inputs, operation(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(convpool.UnsupportedError, match=words):
        convpool.load(tmp_path / "model.keras")


def test_several_outputs_are_named(tmp_path):
    inputs = keras.Input((3, 3, 3))
    a = L.Conv2D(3, 2)(inputs)
    keras.Model(inputs, [a, L.ReLU()(a)]).save(tmp_path / "model.keras")
    with pytest.raises(convpool.UnsupportedError, match="several outputs"):
        convpool.load(tmp_path / "model.keras")


def test_one_output_of_several(tmp_path):
    keras.utils.clear_session()
    inputs = keras.Input((5, 5, 3))
    trunk = L.Flatten()(L.Conv2D(3, 2, activation="relu", name="trunk")(inputs))
    model = keras.Model(inputs, [L.Dense(2, name="a")(trunk), L.Dense(4, activation="softmax", name="b")(trunk)])
    x = np.random.default_rng(5).random((2, 5, 5, 3), np.float32)
    inside = keras.Model(inputs, model.get_layer("trunk").output).predict(x, verbose=0)
    for file in (tmp_path / "model.keras", tmp_path / "model.h5"):
        model.save(file)
        for name, expected in zip(("a", "b", "trunk"), (*model.predict(x, verbose=0), inside)):
            assert np.allclose(convpool.load(file, output=name)(x), expected, atol=1e-5)
        with pytest.raises(convpool.UnsupportedError, match="no layer 'c'"):
            convpool.load(file, output="c")
    plain = keras.Sequential([keras.Input((5, 5, 3)), L.Conv2D(3, 2, name="first"), L.Conv2D(3, 2)])
    plain.save(tmp_path / "plain.keras")
    expected = plain.layers[0](x).numpy()
    assert np.allclose(convpool.load(tmp_path / "plain.keras", output="first")(x), expected, atol=1e-5)


def test_open_extents(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(3, 2, padding="same"), L.GlobalMaxPooling2D()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(convpool.UnsupportedError, match=r"\(None, None, 3\).*in_shape"):
        convpool.load(tmp_path / "model.keras")
    with pytest.raises(convpool.UnsupportedError, match="not in_shape"):
        convpool.load(tmp_path / "model.keras", in_shape=(8, 9, 4))
    network = convpool.load(tmp_path / "model.keras", in_shape=(8, 9, 3))
    x = np.random.default_rng(5).random((2, 8, 9, 3), np.float32)
    assert network.input_shape == (8, 9, 3) and np.allclose(network(x), model.predict(x, verbose=0), atol=1e-5)


def test_files_called_otherwise(tmp_path):
    model = keras.Sequential([keras.Input((5, 5, 3)), L.Conv2D(3, 2)])
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    (tmp_path / "model.keras").rename(tmp_path / "zip.h5")
    (tmp_path / "model.h5").rename(tmp_path / "hdf5.keras")
    for name in ("zip.h5", "hdf5.keras"):
        assert convpool.load(tmp_path / name).output_shape == (4, 4, 3)


def test_operations_on_dimensions(tmp_path):
    inputs = keras.Input((7, 8, 3))
    x = keras.ops.reshape(L.Conv2D(4, 2)(inputs), (-1, 6, 7, 4))
    x = keras.ops.max(L.Conv2D(5, 2)(x), axis=(1, 2), keepdims=True) + keras.ops.mean([1.0, 3.0])
    model = keras.Model(inputs, keras.ops.reshape(keras.ops.mean(L.Conv2D(6, 1)(x), axis=[-3, -2]), (-1, 6)))
    x = np.random.default_rng(5).random((2, 7, 8, 3), np.float32)
    for ending in (".keras", ".h5"):
        model.save(tmp_path / ("model" + ending))
        result = convpool.load(tmp_path / ("model" + ending))(x)
        assert np.allclose(result, model.predict(x, verbose=0), atol=1e-5)


def test_a_nested_model(tmp_path):
    inner = keras.Sequential(
        [keras.Input((9, 9, 3)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D()], name="inner"
    )
    model = keras.Sequential([keras.Input((9, 9, 3)), inner, L.Flatten(), L.Dense(3)])
    for ending in (".keras", ".h5"):
        model.save(tmp_path / ("model" + ending))
        x = np.random.default_rng(5).random((1, 9, 9, 3), np.float32)
        result = convpool.load(tmp_path / ("model" + ending))(x)
        assert np.allclose(result, model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (lambda: [L.Conv2DTranspose(3, 3)], "Conv2DTranspose"),
        (lambda: [L.Conv2D(3, 3, activation="swish")], "silu"),
        (lambda: [L.LayerNormalization()], "LayerNormalization"),
        (lambda: [L.ReLU(threshold=1.0)], "threshold"),
        (lambda: [L.Softmax()], "softmax"),
        (lambda: [L.UpSampling2D()], "UpSampling2D"),
    ],
)
def test_what_is_not_supported_is_named(layers, words, tmp_path):
    model = keras.Sequential([keras.Input((9, 9, 3)), *layers()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(convpool.UnsupportedError, match=words) as raised:
        convpool.load(tmp_path / "model.keras")
    assert model.layers[-1].name in str(raised.value)


def test_a_layer_used_twice_is_named(tmp_path):
    inputs, relu = keras.Input((9, 9, 3)), L.ReLU(name="twice")
    model = keras.Model(inputs, relu(L.Conv2D(4, 3)(relu(L.Conv2D(4, 3)(inputs)))))
    for ending in (".keras", ".h5"):
        model.save(tmp_path / ("model" + ending))
        with pytest.raises(convpool.UnsupportedError, match=r"'twice'.*more than once"):
            convpool.load(tmp_path / ("model" + ending))


def test_branches_are_named(tmp_path):
    inputs = keras.Input((9, 9, 3))
    a = L.Conv2D(4, 3, padding="same")(inputs)
    model = keras.Model(inputs, L.Add(name="sum")([a, L.Conv2D(4, 3, padding="same")(a)]))
    for ending in (".keras", ".h5"):
        model.save(tmp_path / ("model" + ending))
        with pytest.raises(convpool.UnsupportedError, match="branches"):
            convpool.load(tmp_path / ("model" + ending))
