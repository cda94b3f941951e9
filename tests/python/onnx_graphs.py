# SPDX-License-Identifier: MIT
"""ONNX graphs with what exporters leave."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def weights(*shape, scale=0.5, seed=None):
    chance = np.random.default_rng(sum(shape) if seed is None else seed)
    return chance.normal(0, scale, shape).astype(np.float32)


class Graph:
    """Nodes one after the other, each fed by the one before."""

    def __init__(self, shape, opset=17):
        self.shape, self.opset = shape, opset
        self.nodes, self.initializers, self.last = [], [], "input"

    def add(self, kind, *constants, first=False, **attributes):
        names = []
        for constant in constants:
            if isinstance(constant, str) or constant is None:
                names.append(constant or "")
                continue
            names.append(f"c{len(self.initializers)}")
            self.initializers.append(numpy_helper.from_array(np.asarray(constant), names[-1]))
        inputs = [*names, self.last] if first else [self.last, *names]
        return self.node(kind, inputs, **attributes)

    def node(self, kind, inputs, **attributes):
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.last], name=f"{kind}_{len(self.nodes)}", **attributes))
        return self

    def model(self, outputs=None):
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs or [self.last]],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def conv(graph, outputs, channels, height, width, bias=True, **attributes):
    constants = [weights(outputs, channels, height, width)] + ([weights(outputs)] if bias else [])
    return graph.add("Conv", *constants, **attributes)


def normalized(graph, channels):
    return graph.add(
        "BatchNormalization",
        weights(channels),
        weights(channels, seed=1),
        weights(channels, seed=2),
        np.abs(weights(channels, seed=3)) + 0.3,
    )


def lenet():
    g = conv(Graph(["batch", 1, 20, 20]), 6, 1, 5, 5).add("Tanh").add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g = g.add("Flatten", axis=1).add("Gemm", weights(30, 384), weights(30), transB=1).add("Relu")
    return g.add("Gemm", weights(30, 10), weights(10), alpha=0.5, beta=2.0).add("Softmax", axis=-1)


def nhwc():
    g = Graph([None, 12, 13, 3]).add("Transpose", perm=[0, 3, 1, 2])
    g = conv(g, 8, 3, 3, 3, pads=[1, 1, 1, 1]).add("Relu").add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g = g.add("Transpose", perm=[0, 2, 3, 1]).add("Reshape", np.array([-1, 288]))
    return g.add("MatMul", weights(288, 5)).add("Add", weights(5))


def shapes():
    g = (
        conv(Graph(["n", 3, 10, 12]), 4, 3, 3, 3, bias=False)
        .add("Add", weights(1, 4, 1, 1))
        .add("Clip", np.float32(0), np.float32(6))
    )
    image = g.last
    g.add("Shape")
    g.add("Gather", np.array(0), axis=0).add("Unsqueeze", np.array([0]))
    first = g.last
    g.initializers.append(numpy_helper.from_array(np.array([-1]), "minus"))
    g.node("Concat", [first, "minus"], axis=0)
    return g.node("Reshape", [image, g.last]).add("Gemm", weights(7, 320), weights(7), transB=1)


def turned():
    g = conv(Graph([1, 2, 9, 7]), 4, 2, 3, 3).add("PRelu", weights(4, 1, 1)).add("Transpose", perm=[0, 1, 3, 2])
    return g.add("Flatten").add("Gemm", weights(6, 140), weights(6), transB=1).add("PRelu", weights(6))


def pools():
    g = Graph([1, 3, 23, 25]).add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    g = g.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    g = g.add("AveragePool", kernel_shape=[2, 3], pads=[0, 1, 1, 1], strides=[1, 1])
    return conv(g, 5, 3, 1, 1).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1).add("GlobalAveragePool")


def arithmetic():
    g = Graph([1, 3, 8, 8]).add("Sub", np.float32([0.5])).add("Div", weights(3, 1, 1) + 2).add("Mul", np.float32(3))
    g = conv(g, 4, 3, 3, 3, pads=[1, 1, 1, 1])
    return normalized(g, 4).add("LeakyRelu", alpha=0.2).add("Neg").add("Sub", np.float32(1), first=True)


def merged():
    g = conv(Graph([1, 3, 16, 16]), 6, 3, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2])
    g = normalized(g, 6).add("Relu")
    g = normalized(g, 6).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return (
        conv(g, 5, 6, 2, 2).add("Elu", alpha=0.5).add("ReduceMean", axes=[2, 3], keepdims=0).add("LogSoftmax", axis=1)
    )


def padded():
    g = Graph([1, 3, 9, 9]).add("Pad", np.array([0, 0, 1, 2, 0, 0, 0, 1]), np.float32(0))
    g = (
        conv(g, 4, 3, 3, 3)
        .add("Relu")
        .add("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
        .add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    )
    return (
        g.add("Pad", np.zeros(8, np.int64))
        .add("Identity")
        .add("Dropout")
        .add("GlobalMaxPool")
        .add("Squeeze", np.array([2, 3]))
    )


def grouped():
    g = conv(Graph([1, 4, 9, 9]), 6, 2, 3, 3, group=2, dilations=[2, 1]).add("Selu")
    return conv(g, 6, 1, 3, 3, group=6, auto_pad="SAME_LOWER", strides=[2, 1]).add("Sigmoid")


def depthwise():
    g = conv(Graph([1, 6, 14, 13]), 6, 1, 3, 3, group=6, pads=[1, 0, 2, 3]).add("Clip", np.float32(0), np.float32(6))
    g = conv(g, 6, 1, 5, 2, bias=False, group=6, strides=[2, 1], dilations=[1, 2])
    g = normalized(g, 6).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g = conv(g, 6, 1, 1, 1, group=6).add("PRelu", weights(6, 1, 1))
    return conv(g, 6, 1, 2, 2, group=6, pads=[3, 3, 3, 3]).add("LeakyRelu", alpha=0.2)


def depthwise_sequence():
    return Graph([1, 4, 30]).add("Conv", weights(4, 1, 5), weights(4), group=4, dilations=[2]).add("Relu")


def dense_alone():
    g = Graph(["n", 20]).add("MatMul", weights(20, 9)).add("Add", weights(9)).add("Relu")
    return g.add("Gemm", weights(9, 1), weights(1)).add("Sigmoid")


def logarithm():
    return conv(Graph([1, 1, 5, 5]), 10, 1, 5, 5).add("Flatten").add("Softmax", axis=1).add("Log")


def old_softmax():
    g = conv(Graph([1, 1, 5, 5], opset=8), 10, 1, 5, 5)
    g.opset = 8
    return g.add("Softmax", axis=1).add("Reshape", np.array([1, -1]))


def constants():
    g = Graph([1, 2, 6, 6])
    g.nodes.append(helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weights(3, 3, 2, 4))))
    g.nodes.append(helper.make_node("Transpose", ["w"], ["v"], perm=[3, 2, 0, 1]))
    g.nodes.append(helper.make_node("Constant", [], ["b"], value_floats=[0.5, -0.5, 1.0, 0.0]))
    return g.node("Conv", ["input", "v", "b"]).add("Relu")


def padded_by_a_computation():
    """What PyTorch's older exporter writes for a pad."""
    g = conv(Graph([1, 3, 9, 9]), 4, 3, 3, 3).add("Tanh")
    image = g.last
    g.initializers += [
        numpy_helper.from_array(np.array([4]), "n"),
        numpy_helper.from_array(np.array([1, 2, 0, 1]), "own"),
        numpy_helper.from_array(np.array([-1, 2]), "two"),
        numpy_helper.from_array(np.array([-1]), "flat"),
        numpy_helper.from_array(np.array([-1]), "first"),
        numpy_helper.from_array(np.array([-9223372036854775807]), "last"),
        numpy_helper.from_array(np.array([0]), "zero"),
    ]
    g.node("ConstantOfShape", ["n"], value=numpy_helper.from_array(np.array([0])))
    g.node("Concat", ["own", g.last], axis=0).node("Reshape", [g.last, "two"])
    g.node("Slice", [g.last, "first", "last", "zero", "first"]).node("Transpose", [g.last], perm=[1, 0])
    g.node("Reshape", [g.last, "flat"]).node("Cast", [g.last], to=7)
    return g.node("Pad", [image, g.last]).add("MaxPool", kernel_shape=[3, 3], strides=[2, 2])


def wide_padding_before_a_pool():
    g = conv(Graph([1, 1, 12, 12]), 6, 1, 5, 5).add("Relu").add("Pad", np.array([0, 0, 2, 2, 0, 0, 2, 2]))
    return g.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).add("Flatten").add("Gemm", weights(216, 5))


def average_in_ceil_mode():
    g = Graph([1, 3, 21, 21], opset=19).add(
        "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, count_include_pad=1
    )
    return conv(g, 4, 3, 2, 2).add("Sigmoid")


def averages_with_zeros_around():
    g = Graph([1, 3, 10, 11])
    for pad, stride in (("SAME_UPPER", 1), ("SAME_LOWER", 2), ("VALID", 1)):
        g = g.add("AveragePool", kernel_shape=[3, 2], strides=[stride, stride], auto_pad=pad, count_include_pad=1)
    return conv(g, 4, 3, 2, 2)


def clipped():
    g = conv(Graph([1, 3, 9, 9]), 4, 3, 3, 3).add("Clip", np.float32(-1), np.float32(0.5))
    g = conv(g, 4, 4, 2, 2).add("Clip", np.float32(-0.25)).add("HardSigmoid", alpha=0.3)
    g = conv(g, 4, 4, 2, 2).add("Clip", None, np.float32(0.5)).add("Clip", np.float32(0), np.float32(0.4))
    return conv(g, 4, 4, 2, 2).add("Clip", np.finfo(np.float32).min, np.finfo(np.float32).max)


def sequence():
    """What PyTorch makes of Conv1d and its like."""
    g = (
        Graph([1, 3, 40])
        .add("Pad", np.array([0, 0, 1, 0, 0, 2]))
        .add("Conv", weights(6, 3, 5), weights(6), pads=[2, 1], strides=[2])
    )
    g = (
        normalized(g, 6)
        .add("PRelu", weights(6, 1))
        .add("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1], ceil_mode=1)
    )
    g = g.add("Conv", weights(4, 3, 3), dilations=[2], group=2, pads=[2, 2]).add("Relu")
    g = g.add("AveragePool", kernel_shape=[2], strides=[1], pads=[1, 0], count_include_pad=1)
    return g.add("Conv", weights(5, 4, 1), weights(5)).add("Flatten").add("Gemm", weights(55, 4))


def sequence_turned():
    """What tf2onnx makes of Keras' Conv1D: a row for convolutions, a column for pools."""
    g = Graph(["n", 20, 3], opset=13).add("Unsqueeze", np.array([-3])).add("Transpose", perm=[0, 3, 1, 2])
    g = g.add("Conv", weights(6, 3, 1, 4), weights(6)).add("Squeeze", np.array([2])).add("Relu")
    g = g.add("Reshape", np.array([-1, 6, 17, 1])).add(
        "MaxPool", kernel_shape=[3, 1], strides=[2, 1], pads=[0, 0, 1, 0]
    )
    g = g.add("Conv", weights(5, 6, 2, 1), weights(5), pads=[1, 0, 0, 0]).add("Squeeze", np.array([3]))
    return g.add("Transpose", perm=[0, 2, 1]).add("Reshape", np.array([-1, 40])).add("MatMul", weights(40, 3))


def sequence_averaged():
    g = (
        normalized(Graph(["n", 2, 30]), 2)
        .add("Conv", weights(8, 2, 7), weights(8), kernel_shape=[7], strides=[3])
        .add("Relu")
    )
    return g.add("GlobalAveragePool").add("Squeeze", np.array([2])).add("Gemm", weights(8, 3)).add("Softmax", axis=1)


def padded_by_axes():
    g = Graph([1, 3, 9, 9], opset=18).add("Pad", np.array([1, 0, 2, 3]), np.float32(0), np.array([-2, -1]))
    return conv(g.add("Pad", np.array([0, 2]), np.float32(0), np.array([3])), 4, 3, 3, 3)


def maxima_with_constants():
    g = conv(Graph([1, 3, 9, 9]), 4, 3, 3, 3).add("Max", np.float32(0.0))
    return conv(g, 4, 4, 3, 3).add("Relu").add("Min", np.float32([6.0]))


def mean_by_mean():
    g = conv(Graph([1, 3, 9, 8]), 4, 3, 3, 3).add("Relu").add("ReduceMean", axes=[3], keepdims=0)
    return g.add("ReduceMean", axes=[2], keepdims=0).add("Gemm", weights(4, 5))


def mean_of_flat_pixels():
    g = conv(Graph([1, 3, 9, 8]), 4, 3, 3, 3).add("Relu").add("Reshape", np.array([1, 4, -1]))
    return g.add("ReduceMean", axes=[-1], keepdims=0).add("Gemm", weights(4, 5))


def sum_of_pixels():
    return conv(Graph([1, 3, 9, 8]), 4, 3, 3, 3).add("ReduceSum", np.array([2, 3]), keepdims=0).add("Celu", alpha=1.0)


def indexed_pixel():
    g = conv(Graph([1, 3, 9, 8]), 4, 3, 3, 3).add("GlobalAveragePool").add("Gather", np.array(0), axis=2)
    return g.add("Gather", np.array(0), axis=2).add("Gemm", weights(4, 5))


def broadcast_normalization():
    mean = np.broadcast_to(np.float32([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1), (1, 3, 8, 9))
    return conv(Graph([1, 3, 8, 9]).add("Sub", mean).add("Div", weights(1, 3, 1, 1) + 2), 4, 3, 3, 3, pads=[1, 1, 1, 1])


def mean_image():
    return Graph([1, 1, 6, 6]).add("Sub", weights(1, 6, 6)).add("Flatten").add("Gemm", weights(36, 4))


def normalized_weights():
    g = Graph([1, 2, 6, 6])
    g.initializers.append(numpy_helper.from_array(weights(3, 2, 3, 3), "v"))
    g.node("ReduceL2", ["v"], axes=[1, 2, 3], keepdims=1).node("Div", ["v", g.last])
    return g.node("Conv", ["input", g.last]).add("Relu")


def shaped_at_the_end():
    return conv(Graph([1, 3, 5, 5]), 4, 3, 5, 5).add("Flatten").add("Reshape", np.array([-1, 2, 2]))


def grey_without_a_channel():
    return (
        conv(Graph([16, 16]).add("Unsqueeze", np.array([0, 1])), 4, 1, 3, 3).add("Flatten").add("Gemm", weights(784, 3))
    )


def vector_without_a_batch():
    g = Graph([64]).add("Reshape", np.array([1, 1, 8, 8]))
    return conv(g, 4, 1, 3, 3).add("Flatten").add("Gemm", weights(144, 3))


def prelu_of_relus():
    """What tf2onnx makes of Keras' PReLU."""
    g = conv(Graph([1, 3, 9, 9]), 4, 3, 3, 3)
    x = g.last
    positive = g.add("Relu").last
    g.node("Neg", [x]).add("Relu").add("Mul", -weights(1, 4, 1, 1), first=True)
    return conv(g.node("Add", [positive, g.last]), 5, 4, 3, 3)


def prelu_by_a_magnitude():
    g = conv(Graph(["n", 3, 9, 9]), 4, 3, 3, 3)
    x = g.last
    positive = g.add("Relu").last
    g.node("Abs", [x])
    g.node("Sub", [x, g.last]).add("Mul", weights(4, 1, 1)).add("Mul", np.float32(0.5))
    return g.node("Add", [positive, g.last]).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])


def leaky_as_a_maximum():
    g = conv(Graph([1, 3, 9, 9]), 4, 3, 3, 3)
    x = g.last
    g.add("Mul", np.float32(0.1))
    g = conv(g.node("Max", [g.last, x]), 4, 4, 3, 3)
    x = g.last
    g.add("LeakyRelu", alpha=0.3).add("Div", np.float32([2.0]))
    half = g.last
    g.node("Shape", [x])
    return g.node("Sub", [x, half]).add("Flatten").add("Gemm", weights(100, 3))


def numbers_of_their_own():
    """Scales and slopes that differ from pixel to pixel, before it is said where the channels are, and after."""
    g = (
        Graph([1, 8, 9, 3])
        .add("Sub", weights(8, 9, 3))
        .add("Transpose", perm=[0, 3, 1, 2])
        .add("Div", weights(3, 8, 9) + 3)
    )
    g = conv(g.add("PRelu", weights(9)), 4, 3, 3, 3, pads=[1, 1, 1, 1]).add("PRelu", weights(4, 8, 9))
    g = g.add("Mul", weights(4, 8, 9)).add("Add", weights(4, 1, 1)).add("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
    return conv(g.add("Mul", weights(1, 3, 4) - 1).add("LeakyRelu"), 2, 4, 1, 1, pads=[1, 0, 0, 1]).add(
        "Mul", weights(4, 5)
    )


def numbers_of_a_vector():
    g = Graph([1, 72]).add("Add", weights(72)).add("Reshape", np.array([1, 2, 6, 6])).add("Mul", weights(2, 1, 1))
    return conv(g, 4, 2, 3, 3).add("Flatten").add("Mul", weights(64)).add("Gemm", weights(64, 3))


def squeezed():
    return conv(Graph([1, 2, 5, 5]), 1, 2, 5, 5).add("Flatten").add("Sigmoid").add("Squeeze", np.array([1]))


def shaped_and_scaled():
    g = conv(Graph([1, 2, 5, 5]), 3, 2, 2, 2).add("Reshape", np.array([1, 4, 12])).add("Tanh").add("Mul", np.float32(3))
    return g.add("Cast", to=TensorProto.FLOAT)


def bounded():
    g = conv(Graph([1, 2, 5, 5]), 3, 2, 2, 2).add("Max", np.float32(-0.2)).add("Min", np.float32(0.3))
    g = conv(g, 3, 3, 1, 1).add("Max", np.float32(0)).add("Min", np.float32(6))
    return conv(g, 3, 3, 1, 1).add("Celu", alpha=0.4).add("Abs").add("HardSigmoid")


def cropped():
    g = conv(Graph([1, 3, 12, 13]), 4, 3, 2, 2).add("Slice", np.array([1, -9]), np.array([-2, 2**31]), np.array([2, 3]))
    return conv(g, 2, 4, 3, 3).add("Slice", np.array([0]), np.array([4]), np.array([-1]), np.array([1]))


def cropped_first():
    g = (
        Graph([1, 12, 13, 3])
        .add("Slice", np.array([2]), np.array([11]), np.array([2]))
        .add("Slice", np.array([4]), np.array([12]), np.array([1]))
        .add("Transpose", perm=[0, 3, 1, 2])
    )
    return conv(g, 2, 3, 3, 3)


def sequence_cropped_and_padded():
    g = (
        Graph([1, 20, 5])
        .add("Slice", np.array([3]), np.array([19]), np.array([1]))
        .add("Pad", np.array([0, 4, 0, 0, 0, 0]))
    )
    return g.add("Transpose", perm=[0, 2, 1]).add("Conv", weights(3, 5, 3), weights(3), dilations=[2])


MODELS = {
    function.__name__: function
    for function in (
        lenet, nhwc, shapes, turned, pools, arithmetic, merged, padded, grouped, depthwise, depthwise_sequence, dense_alone, logarithm, old_softmax, constants,
        padded_by_a_computation, wide_padding_before_a_pool, average_in_ceil_mode, maxima_with_constants, mean_by_mean,
        mean_of_flat_pixels, sum_of_pixels, indexed_pixel, broadcast_normalization, mean_image, normalized_weights,
        shaped_at_the_end, grey_without_a_channel, vector_without_a_batch, prelu_of_relus, prelu_by_a_magnitude,
        leaky_as_a_maximum, averages_with_zeros_around, padded_by_axes, clipped, sequence, sequence_turned, sequence_averaged,
        squeezed, cropped, cropped_first, sequence_cropped_and_padded, shaped_and_scaled, bounded, numbers_of_their_own, numbers_of_a_vector,
    )
}  # fmt: skip
