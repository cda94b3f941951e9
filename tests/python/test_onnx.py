# SPDX-License-Identifier: MIT
"""ONNX files with what exporters leave, held to onnxruntime where it is installed, else to onnx's own evaluator."""

import itertools
import pathlib

import numpy as np
import pytest

import convpool
from convpool import _graph

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_graphs import MODELS, Graph, conv, lenet, weights  # noqa: E402


def evaluated(model, x):
    try:
        import onnxruntime
    except ImportError:
        if any(attribute.name == "auto_pad" for node in model.graph.node for attribute in node.attribute):
            pytest.skip("onnx's own evaluator pads otherwise than its definition")
        reference = pytest.importorskip("onnx.reference", reason="neither onnxruntime nor onnx's own evaluator is here")
        return reference.ReferenceEvaluator(model).run(None, {"input": x})[0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


@pytest.mark.parametrize("name", MODELS)
def test_agrees(name, tmp_path):
    model = MODELS[name]().model()
    onnx.save(model, tmp_path / "model.onnx")
    network = convpool.load(tmp_path / "model.onnx")
    x = np.random.default_rng(3).random((1, *network.input_shape), np.float32) * 2 - 1
    expected = evaluated(model, x.reshape([d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]))
    result = network(x)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_peers_get_the_same_network(name, tmp_path, monkeypatch):
    """As bench/models and web/bench write it."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "bench/peers")
    from onnx_export import Exporter

    onnx.save(MODELS[name]().model(), tmp_path / "model.onnx")
    network = convpool.load(tmp_path / "model.onnx")
    x = np.random.default_rng(3).random((1, *network.input_shape), np.float32) * 2 - 1
    result, expected = network(x), evaluated(Exporter(network).model, x)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-3)


def test_average_pools(tmp_path):
    """Of every extent, window, stride, padding and way to count, in ceil mode or not, as onnxruntime has them."""
    pytest.importorskip("onnxruntime", reason="onnx's own evaluator counts padding otherwise")
    seen = 0
    for extent, window, stride, before, after, ceil, count in itertools.product(
        (2, 3, 5, 8), (1, 2, 3), (1, 2, 3), (0, 1, 2), (0, 1, 2), (0, 1), (0, 1)
    ):
        if max(before, after) >= window or window > before + extent + after:
            continue
        g = Graph([1, 1, extent, extent + 1], 19).add(
            "AveragePool",
            kernel_shape=[window, window],
            strides=[stride, stride],
            pads=[before, after, after, before],
            ceil_mode=ceil,
            count_include_pad=count,
        )
        onnx.save(g.model(), tmp_path / "model.onnx")
        x = np.random.default_rng(3).random((1, 1, extent, extent + 1), np.float32)
        expected, result = evaluated(g.model(), x), convpool.load(tmp_path / "model.onnx")(x)
        where = (extent, window, stride, before, after, ceil, count)
        assert result.shape == expected.shape and np.allclose(result, expected, atol=1e-6), where
        seen += 1
    assert seen > 300


def test_layers_take_a_part_of_max_pools(tmp_path):
    """Pools of even windows become the layer's 2x2 pool and a smaller one, where that is the same."""
    seen, fused = 0, 0
    for extent, channels, window, stride, before, after, ceil in itertools.product(
        (10, 11), (3, 8), (2, 3, 4, 6), (2, 3, 4), (0, 1, 2), (0, 1, 2, 3), (0, 1)
    ):
        if max(before, after) >= window or window > before + extent + after:
            continue
        g = conv(Graph([1, channels, extent, extent + 1]), channels, channels, 3, 3).add("Relu")
        g.add(
            "MaxPool",
            kernel_shape=[window, window],
            strides=[stride, stride],
            pads=[before, before, after, after],
            ceil_mode=ceil,
        )
        onnx.save(g.model(), tmp_path / "model.onnx")
        x = np.random.default_rng(3).random((1, channels, extent, extent + 1), np.float32)
        expected, network = evaluated(g.model(), x), convpool.load(tmp_path / "model.onnx")
        where = (extent, channels, window, stride, before, after, ceil)
        assert network(x).shape == expected.shape and np.allclose(network(x), expected, atol=1e-5), where
        seen += 1
        fused += "max-pool" in network.summary()
    assert seen > 500 and 150 < fused < seen / 2


def test_the_first_dimension_is_the_batch(tmp_path):
    """For what knows channels, in three dimensions, too."""
    for shape, kind, constants in (
        ([1, 3, 5], "GlobalAveragePool", ()),
        ([1, 3, 5], "GlobalMaxPool", ()),
        ([3, 3, 5], "BatchNormalization", (weights(3), weights(3), weights(3), np.abs(weights(3)) + 1)),
    ):
        g = Graph(shape).add(kind, *constants)
        onnx.save(g.model(), tmp_path / "model.onnx")
        x = np.random.default_rng(3).random(shape, np.float32)
        expected, result = evaluated(g.model(), x), convpool.load(tmp_path / "model.onnx")(x)
        assert np.allclose(result.reshape(expected.shape), expected, atol=1e-6), (shape, kind)


def test_nodes_in_any_order(tmp_path):
    model = lenet().model()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "model.onnx")
    onnx.save(lenet().model(), tmp_path / "sorted.onnx")
    x = weights(1, 20, 20)
    assert (convpool.load(tmp_path / "model.onnx")(x) == convpool.load(tmp_path / "sorted.onnx")(x)).all()


def test_open_extents(tmp_path):
    g = conv(Graph(["n", 3, "h", "w"]), 4, 3, 3, 3).add("GlobalAveragePool")
    onnx.save(g.model(), tmp_path / "model.onnx")
    with pytest.raises(convpool.UnsupportedError, match=r"\(3, None, None\).*in_shape"):
        convpool.load(tmp_path / "model.onnx")
    x = weights(1, 3, 8, 9)
    assert np.allclose(
        convpool.load(tmp_path / "model.onnx", in_shape=(3, 8, 9))(x), evaluated(g.model(), x), atol=1e-6
    )


def test_many_channels_are_cropped_and_padded(tmp_path):
    """By a filter each, not by as many as there are pairs of channels."""
    g = Graph([1, 20000, 4, 4]).add("Slice", np.array([1]), np.array([4]), np.array([2]))
    g.add("Pad", np.array([0, 0, 1, 2, 0, 0, 0, 1]))
    onnx.save(g.model(), tmp_path / "model.onnx")
    x = np.random.default_rng(5).random((1, 20000, 4, 4), np.float32)
    network = convpool.load(tmp_path / "model.onnx")
    assert np.array_equal(network(x)[0], np.pad(x[0, :, 1:], ((0, 0), (1, 0), (2, 1))))


def test_integers_are_divided_towards_zero(tmp_path):
    g = Graph([1, 4])
    for name, values in (("a", [-7]), ("b", [2]), ("c", [9])):
        g.initializers.append(numpy_helper.from_array(np.array(values), name))
    g.node("Div", ["a", "b"]).node("Add", [g.last, "c"]).node("Cast", [g.last], to=TensorProto.FLOAT)
    g.node("Mul", ["input", g.last])
    onnx.save(g.model(), tmp_path / "model.onnx")
    x = weights(1, 4)
    assert np.allclose(convpool.load(tmp_path / "model.onnx")(x), evaluated(g.model(), x))


def test_reductions_over_nothing(tmp_path):
    for noop in (0, 1):
        g = conv(Graph([1, 2, 5, 5]), 3, 2, 2, 2).add("ReduceSum", np.array([], np.int64), noop_with_empty_axes=noop)
        onnx.save(g.model(), tmp_path / "model.onnx")
        if noop == 0:
            with pytest.raises(convpool.UnsupportedError, match="over all dimensions"):
                convpool.load(tmp_path / "model.onnx")
            continue
        x = weights(1, 2, 5, 5)
        assert np.allclose(convpool.load(tmp_path / "model.onnx")(x), evaluated(g.model(), x), atol=1e-6)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, 21])
def test_opsets(opset, tmp_path):
    g = conv(Graph([1, 3, 8, 8], opset), 4, 3, 3, 3).add("Relu").add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g = g.add("Flatten").add("Gemm", weights(36, 5), weights(5)).add("Softmax", axis=1)
    onnx.save(g.model(), tmp_path / "model.onnx")
    x = np.random.default_rng(3).random((1, 3, 8, 8), np.float32)
    assert np.allclose(convpool.load(tmp_path / "model.onnx")(x), evaluated(g.model(), x), atol=1e-6)


def test_outputs_are_named(tmp_path):
    g = conv(Graph([1, 3, 8, 8]), 4, 3, 3, 3)
    trunk = g.last
    first = g.add("Relu").last
    g.last = trunk
    second = g.add("Tanh").last
    onnx.save(g.model([first, second]), tmp_path / "model.onnx")
    with pytest.raises(convpool.UnsupportedError, match=f"{first}, {second}"):
        convpool.load(tmp_path / "model.onnx")
    with pytest.raises(convpool.UnsupportedError, match="no output 'x'"):
        convpool.load(tmp_path / "model.onnx", output="x")
    x = weights(1, 3, 8, 8)
    assert (convpool.load(tmp_path / "model.onnx", output=trunk)(x) < 0).any()
    assert (convpool.load(tmp_path / "model.onnx", output=first)(x) >= 0).all()
    assert (convpool.load(tmp_path / "model.onnx", output=second)(x) < 0).any()


def test_what_follows_the_output_is_not_read(tmp_path):
    g = conv(Graph([1, 3, 8, 8]), 4, 3, 8, 8).add("Flatten").add("Softmax", axis=1)
    before = g.last
    onnx.save(g.add("ArgMax", axis=1).model(), tmp_path / "model.onnx")
    with pytest.raises(convpool.UnsupportedError, match="ArgMax"):
        convpool.load(tmp_path / "model.onnx")
    x = weights(1, 3, 8, 8)
    result = convpool.load(tmp_path / "model.onnx", output=before)(x)
    assert np.allclose(result, evaluated(g.model([before]), x), atol=1e-6)


def test_external_data_is_beside_the_file(tmp_path, monkeypatch):
    model = lenet().model()
    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)  # where older versions of onnx write it
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    if not (folder / "weights.bin").exists():
        pytest.skip("this version of onnx writes no external data here")
    x = weights(1, 1, 20, 20)
    assert np.allclose(convpool.load(folder / "model.onnx")(x), evaluated(lenet().model(), x), atol=1e-6)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    for location in ("../weights.bin", str(tmp_path / "weights.bin"), "sub/../../weights.bin"):
        loaded = onnx.load(folder / "model.onnx", load_external_data=False)
        for tensor in loaded.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        (folder / "evil.onnx").write_bytes(loaded.SerializeToString())
        with pytest.raises(convpool.UnsupportedError, match="not beside the file"):
            convpool.load(folder / "evil.onnx")
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(convpool.UnsupportedError, match="not beside the file"):
        convpool.load(folder / "model.onnx")


def test_what_is_wrong_is_named(tmp_path, monkeypatch):
    def load(nodes, arrays, shape=(1, 3, 8, 8), opset=13, attributes=None):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        return convpool.load(tmp_path / "m.onnx", check=False)

    w, node = weights(4, 3, 3, 3), helper.make_node
    for nodes, arrays, options, words in (
        ([node("Conv", ["x", "w", "b"], ["y"])], {"w": w, "b": weights(1)}, {}, r"bias of shape \(1,\) for 4"),
        ([node("Conv", ["x", "w", "b"], ["y"])], {"w": w, "b": weights(9)}, {}, r"bias of shape \(9,\) for 4"),
        ([node("Relu", ["x"], ["y"])], {}, {"opset": 6}, "opset 6"),
        ([node("Conv", ["x", "w"], ["y"], strides=1.5)], {"w": w}, {}, "damaged"),
        ([node("Conv", ["x", "w"], ["y"], dilations=[4000, 4000], pads=[4000] * 4)], {"w": w}, {}, "small network"),
        (
            [node("AveragePool", ["x"], ["y"], kernel_shape=[3000, 3000])],
            {},
            {"shape": (1, 1, 9000, 9000)},
            "small network",
        ),
        ([node("Pad", ["x", "p"], ["y"])], {"p": np.array([0, 0, 7000, 7000] * 2)}, {}, "an image of"),
        (
            [node("Add", ["a", "b"], ["c"]), node("Mul", ["x", "c"], ["y"])],
            {"a": np.ones((30000, 1)), "b": np.ones((1, 30000))},
            {},
            "constants are too large",
        ),
        (
            [node("Where", ["t", "a", "b"], ["c"]), node("Mul", ["x", "c"], ["y"])],
            {"t": np.array(True), "a": np.ones((300000, 1)), "b": np.ones((1, 300000))},
            {},
            "constants are too large",
        ),
        (
            [node("Concat", ["a"] * 90000, ["c"], axis=0), node("Mul", ["x", "c"], ["y"])],
            {"a": np.ones(100000)},
            {},
            "constants are too large",
        ),
        (
            [node("Expand", ["a", "n"], ["c"]), node("Mul", ["x", "c"], ["y"])],
            {"a": np.ones(1), "n": np.array([1 << 20, 1 << 20])},
            {},
            "constants are too large",
        ),
        (
            [node("ConstantOfShape", ["n"], ["c"]), node("Mul", ["x", "c"], ["y"])],
            {"n": np.array([1 << 20, 1 << 20])},
            {},
            "constants are too large",
        ),
        (
            [node("Gather", ["a", "i"], ["c"]), node("Mul", ["x", "c"], ["y"])],
            {"a": np.ones((1, 100000)), "i": np.zeros(100000, np.int64)},
            {},
            "constants are too large",
        ),
    ):
        with pytest.raises(convpool.UnsupportedError, match=words):
            load(nodes, arrays, **options)
    names = ["x", *(f"t{n}" for n in range(20)), "y"]
    monkeypatch.setattr(_graph, "MOST_HELD", 100000)
    for chain, values in (
        (
            [node("Conv", [a, "w"], [b], dilations=[99, 99], pads=[50] * 4) for a, b in zip(names, names[1:])],
            w[:1, :1, :2, :2],
        ),
        ([node("Mul", [a, "w"], [b]) for a, b in zip(names, names[1:])], np.arange(100.0)[:, None]),
    ):  # each within bounds, all together not
        with pytest.raises(convpool.UnsupportedError, match="too many weights"):
            load(chain, {"w": values}, (1, 1, 100, 100))
    branches = [node("Relu", ["x"], [f"b{n}"]) for n in range(50)] + [node("Add", ["b0", "b0"], ["s0"])]
    branches += [node("Add", [f"s{n}", f"b{n + 1}"], [f"s{n + 1}" if n < 48 else "y"]) for n in range(49)]
    with pytest.raises(convpool.UnsupportedError, match="branches"):
        load(branches, {})
    many = [node("Relu", [f"t{n}" if n else "x"], [f"t{n + 1}" if n < 5999 else "y"]) for n in range(6000)]
    with pytest.raises(convpool.UnsupportedError, match="6000 nodes"):
        load(many, {})
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(convpool.UnsupportedError, match="damaged"):
        convpool.load(tmp_path / "m.onnx")


def add_branch(g):
    trunk = g.last
    conv(g, 4, 4, 1, 1)
    return g.node("Add", [trunk, g.last])


def residual(g):
    trunk = g.last
    conv(g, 4, 4, 3, 3, pads=[1, 1, 1, 1])
    return g.node("Add", [trunk, g.last])


def swish(g):
    trunk = g.last
    g.add("Sigmoid")
    return g.node("Mul", [trunk, g.last])


def magnitude(g):
    trunk = g.last
    g.add("Abs")
    return g.node("Sub", [g.last, trunk])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.add("HardSwish"), "HardSwish"),
        (lambda g: g.add("Clip", np.float32(1), np.float32(-1)), "clips to"),
        (lambda g: g.add("Clip", np.float32(-1000), np.float32(1000)), "clips to"),
        (lambda g: g.add("ConvTranspose", weights(4, 4, 3, 3)), "ConvTranspose"),
        (lambda g: g.add("Softmax", axis=1), "softmax over one of several dimensions"),
        (lambda g: g.add("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), None, mode="reflect"), "reflect"),
        (lambda g: g.add("Pad", np.array([0, 1, 0, 0, 0, 0, 0, 0])), "pads"),
        (lambda g: g.add("Reshape", np.array([1, 6, 4, 6])).add("MaxPool", kernel_shape=[2, 2]), "makes other pixels"),
        (lambda g: g.add("InstanceNormalization", weights(4), weights(4)), "InstanceNormalization"),
        (add_branch, "branches"),
        (residual, "branches"),
        (swish, "Sigmoid.*branches"),
        (magnitude, "come to no activation"),
    ],
)
def test_what_is_not_supported_is_named(change, words, tmp_path):
    g = change(conv(Graph([1, 3, 8, 8]), 4, 3, 3, 3))
    onnx.save(g.model(), tmp_path / "model.onnx")
    with pytest.raises(convpool.UnsupportedError, match=words) as raised:
        convpool.load(tmp_path / "model.onnx")
    assert "node '" in str(raised.value)
