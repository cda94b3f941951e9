# SPDX-License-Identifier: MIT
"""Layer, conv_layer and what they refuse."""

import copy
import pickle
import threading

import numpy as np
import pytest

import convpool
from convpool import _library

CHANCE = np.random.default_rng(1)
W = CHANCE.normal(0, 0.3, (5, 3, 2, 2)).astype(np.float32)
B = CHANCE.normal(0, 0.3, 5).astype(np.float32)
X = CHANCE.random((3, 9, 10), np.float32)


def convolved(x, w, b, flipped=False, strides=(1, 1), pads=(0, 0, 0, 0)):
    """A cross-correlation in float64, [channels][height][width]."""
    x = np.pad(x.astype(float), ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    w = w[:, :, ::-1, ::-1] if flipped else w
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (1, 2))[:, :: strides[0], :: strides[1]]
    return np.einsum("cpquv,ocuv->opq", windows, w.astype(float)) + b.reshape(-1, 1, 1)


def pooled(y):
    y = y[:, : y.shape[1] // 2 * 2, : y.shape[2] // 2 * 2]
    return y.reshape(y.shape[0], y.shape[1] // 2, 2, y.shape[2] // 2, 2).max((2, 4))


def test_conv_layer_is_a_true_convolution():
    y = convpool.conv_layer((W, B), X)
    assert y.dtype == np.float32 and y.shape == (5, 4, 4)
    assert np.allclose(y, np.maximum(pooled(convolved(X, W, B, flipped=True)), 0), atol=1e-6)
    batch = convpool.conv_layer((W, B), np.stack([X, X + 1]))
    assert batch.shape == (2, 5, 4, 4) and (batch[0] == y).all()
    assert (convpool.conv_layer((W, None), X) == convpool.conv_layer((W, 0 * B), X)).all()
    assert (convpool.conv_layer((W.transpose(2, 3, 1, 0), B), X, weights_layout="HWIO") == y).all()
    with pytest.raises(ValueError, match="bias must have the shape"):
        convpool.conv_layer((W, B[None]), X)


def test_any_address_will_do():
    raw = np.zeros(4 * X.size + 1, np.uint8)[1:]  # no float lies there
    raw[:] = np.frombuffer(X.tobytes(), np.uint8)
    shifted = raw.view(np.float32).reshape(X.shape)
    assert not shifted.flags.aligned and _library.as_float32(shifted, "x").flags.aligned
    layer = convpool.Layer(W, B, in_shape=X.shape)
    assert (layer(shifted) == layer(X)).all()


def test_layouts():
    expected = convpool.Layer(W, B, in_shape=X.shape)(X)
    hwio = convpool.Layer(W.transpose(2, 3, 1, 0), B, in_shape=X.shape, weights_layout="HWIO")
    ohwi = convpool.Layer(W.transpose(0, 2, 3, 1), B, in_shape=X.shape, weights_layout="OHWI")
    hwc = convpool.Layer(W, B, in_shape=(9, 10, 3), layout="HWC")
    assert (hwio(X) == expected).all() and (ohwi(X) == expected).all()
    assert (hwc(X.transpose(1, 2, 0)) == expected.transpose(1, 2, 0)).all()
    assert hwc.output_shape == (4, 4, 5)


@pytest.mark.parametrize("padding", ["valid", "same", 1, (1, 2), (1, 0, 2, 3)])
@pytest.mark.parametrize("strides", [1, 2, (2, 1)])
def test_padding_and_strides(padding, strides):
    layer = convpool.Layer(W, B, in_shape=X.shape, padding=padding, strides=strides, pool=None, activation=None)
    down, across = (strides, strides) if isinstance(strides, int) else strides
    around = {"valid": (0, 0, 0, 0), 1: (1, 1, 1, 1), (1, 2): (1, 2, 1, 2)}.get(padding, padding)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + 2 - n, 0) for n, s in ((9, down), (10, across))]
        around = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    assert np.allclose(layer(X), convolved(X, W, B, False, (down, across), around), atol=1e-6)


def test_activations():
    y = convolved(X, W, B)
    slopes = np.array([0.5, 0, -1, 2, 1], np.float32)
    for name, options, expected in (
        ("relu6", {}, np.clip(y, 0, 6)),
        ("leaky_relu", {"activation_parameter": 0.1}, np.where(y < 0, 0.1 * y, y)),
        ("prelu", {"slopes": slopes}, np.where(y < 0, slopes.reshape(-1, 1, 1) * y, y)),
        ("sigmoid", {}, 1 / (1 + np.exp(-y))),
        ("tanh", {}, np.tanh(y)),
        ("elu", {"activation_parameter": 1.5}, np.where(y < 0, 1.5 * np.expm1(y), y)),
        ("none", {}, y),
        (None, {}, y),
    ):
        layer = convpool.Layer(W, B, in_shape=X.shape, pool="none", activation=name, **options)
        assert np.allclose(layer(X), expected, atol=1e-6), name


def test_ceil_pooling_keeps_the_last_row():
    layer = convpool.Layer(W, B, in_shape=(3, 8, 8), pool="ceil")
    assert layer.output_shape == (5, 4, 4)
    assert convpool.Layer(W, B, in_shape=(3, 8, 8)).output_shape == (5, 3, 3)


def test_what_is_known_of_a_layer():
    layer = convpool.Layer(W, B, in_shape=X.shape, kernel="direct")
    assert layer.kernel.endswith("-direct")
    y = np.maximum(pooled(convolved(X, W, B)), 0)
    assert 0 < layer.error_bound(1.0) < 1e-4 and np.abs(layer(X) - y).max() <= layer.error_bound(1.0)
    assert {"name", "isa", "algorithm", "supported", "reason"} == set(convpool.kernels()[0])


def test_any_real_numbers():
    layer = convpool.Layer(W, B, in_shape=X.shape)
    for x in (
        X.astype(np.float64),
        (X * 9).astype(np.uint8),
        X.astype(np.float16),
        X > 0.5,
        X.tolist(),
        X.astype(">f4"),
    ):
        assert np.array_equal(layer(x), layer(np.asarray(x).astype(np.float32)))
    strided = np.zeros((3, 9, 20), np.float32)
    strided[:, :, ::2] = X
    assert np.array_equal(layer(strided[:, :, ::2]), layer(X))
    assert np.array_equal(layer(X.transpose(1, 2, 0).copy().transpose(2, 0, 1)), layer(X))
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.array_equal(layer(frozen), layer(X))
    for x in (X + 1j, X.astype(object), np.full((3, 9, 10), "a")):
        with pytest.raises(TypeError, match="real numbers"):
            layer(x)


def test_wrong_shapes_are_named():
    layer = convpool.Layer(W, B, in_shape=X.shape)
    with pytest.raises(ValueError, match=r"\(3, 9, 10\).*\(9, 10, 3\).*looks like HWC"):
        layer(X.transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"\(3, 9, 10\).*\(3, 9, 9\)"):
        layer(X[:, :, :9])
    with pytest.raises(ValueError, match=r"\(3, 10\)"):
        layer(X[:, 0])
    with pytest.raises(ValueError, match="3 input channels"):
        convpool.Layer(W, B, in_shape=(4, 9, 10))
    with pytest.raises(ValueError, match="four dimensions"):
        convpool.Layer(W[0], B, in_shape=X.shape)
    with pytest.raises(ValueError, match=r"\(5,\)"):
        convpool.Layer(W, B[:4], in_shape=X.shape)
    with pytest.raises(ValueError, match="in_shape"):
        convpool.Layer(W, B)(X)
    with pytest.raises(ValueError, match="three dimensions"):
        convpool.conv_layer((W, B), X[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pool": "average"}, "pool must be one of"),
        ({"activation": "swish"}, "activation must be one of"),
        ({"padding": "full"}, "padding must be"),
        ({"padding": (1, 2, 3)}, "padding must be"),
        ({"padding": -1}, "padding must be"),
        ({"strides": 0}, "strides must be"),
        ({"layout": "NHWC"}, "layout must be"),
        ({"weights_layout": "IOHW"}, "weights_layout must be"),
        ({"filter": "flipped"}, "filter must be"),
        ({"kernel": "avx3"}, "no kernel of that name"),
        ({"kernel": "winograd23"}, "cannot"),
        ({"activation": "prelu"}, "slopes"),
        ({"activation": "prelu", "slopes": [1.0]}, "slopes"),
        ({"in_shape": (3, 1, 1)}, "window of 2"),
        ({"in_shape": (3, 2, 2)}, "leaves nothing"),
        ({"in_shape": (3, 9)}, "three extents"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        convpool.Layer(W, B, **{"in_shape": X.shape, **options})


def test_out():
    layer = convpool.Layer(W, B, in_shape=X.shape)
    out = np.empty(layer.output_shape, np.float32)
    assert layer(X, out=out) is out and np.array_equal(out, layer(X))
    with pytest.raises(ValueError, match=r"\(5, 4, 4\)"):
        layer(X, out=out[:4])
    with pytest.raises(TypeError, match="float64"):
        layer(X, out=out.astype(float))
    with pytest.raises(ValueError, match="C order"):
        layer(X, out=np.empty((4, 4, 5), np.float32).transpose(2, 0, 1))
    with pytest.raises(ValueError, match="overlaps"):
        whole = np.zeros(300, np.float32)
        layer(whole[:270].reshape(X.shape), out=whole[200:280].reshape(out.shape))
    frozen = out.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        layer(X, out=frozen)
    assert layer(np.empty((0, *X.shape), np.float32)).shape == (0, 5, 4, 4)


def test_pickle_and_copy():
    layer = convpool.Layer(W, B, in_shape=X.shape, padding="same", activation="tanh")
    for other in (pickle.loads(pickle.dumps(layer)), copy.copy(layer), copy.deepcopy(layer)):
        assert np.array_equal(other(X), layer(X)) and other.kernel == layer.kernel


def test_threads_share_a_layer():
    layer = convpool.Layer(W, B, in_shape=X.shape)
    inputs = [X + n for n in range(8)]
    expected = [layer(x) for x in inputs]
    wrong = []

    def work(n):
        for _ in range(200):
            if not np.array_equal(layer(inputs[n]), expected[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
