# SPDX-License-Identifier: MIT
"""Networks as ONNX files, for systems that read these."""
import numpy as np
from onnx import helper, numpy_helper

NAMES = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "leaky_relu": "LeakyRelu", "elu": "Elu", "prelu": "PRelu"}


def planes(values):
    """Numbers of each channel, or of each number of an image [height][width][channels], as ONNX has its images."""
    return values.reshape(-1, 1, 1) if values.ndim == 1 else values.transpose(2, 0, 1)


class Exporter:
    """A network's stages as ONNX, in [channels][height][width] between a Transpose at either end where images are not."""

    def __init__(self, network):
        self.nodes, self.initializers, self.count = [], [], 0
        self.shape = network._shape
        last = self.begin(network)
        for stage in network._stages:
            last = self.stage(stage, last)
            self.shape = stage.output_shape(self.shape)
        last = self.end(network, last)
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("input", 1, (1, *network.input_shape))],
            [helper.make_tensor_value_info(last, 1, (1, *network.output_shape))], self.initializers)
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)

    def constant(self, array):
        self.count += 1
        self.initializers.append(numpy_helper.from_array(np.asarray(array), "c%d" % self.count))
        return "c%d" % self.count

    def node(self, kind, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, ["n%d" % self.count], **attributes))
        return "n%d" % self.count

    def begin(self, network):
        channels, height, width = self.shape
        if network._outside[1] == "CHW" or channels == 1:
            return self.node("Reshape", "input", self.constant(np.array([1, channels, height, width])))
        image = (height, width, channels)  # of a sequence [length][channels], too
        last = "input" if network.input_shape == image else self.node("Reshape", "input", self.constant(np.array([1, *image])))
        return self.node("Transpose", last, perm=[0, 3, 1, 2])

    def end(self, network, last):
        if network._result[1] == "HWC" and self.shape[0] > 1 and self.shape[1:] != (1, 1):
            last = self.node("Transpose", last, perm=[0, 2, 3, 1])
        return self.node("Reshape", last, self.constant(np.array([1, *network.output_shape])))

    def activation(self, stage, last):
        if stage.activation == "relu6":
            return self.node("Clip", last, self.constant(np.float32(0)), self.constant(np.float32(6)))
        if stage.activation == "prelu":
            return self.node("PRelu", last, self.constant(planes(stage.slopes)))
        attributes = {"alpha": stage.parameter} if stage.activation in ("leaky_relu", "elu") else {}
        return last if stage.activation == "none" else self.node(NAMES[stage.activation], last, **attributes)

    def stage(self, stage, last):
        window, strides = {"kernel_shape": stage.window, "pads": stage.pads}, {"strides": stage.strides}
        if stage.convolves:
            if stage.kind == "layer" and stage.window == self.shape[1:] and not any(stage.pads):  # as exporters write it
                flat = self.node("Flatten", last)
                weights = self.constant(stage.weights.reshape(stage.weights.shape[0], -1))
                operands = [flat, weights] + ([] if stage.bias is None else [self.constant(stage.bias)])
                dense = self.node("Gemm", *operands, transB=1)
                last = self.node("Reshape", dense, self.constant(np.array([1, stage.weights.shape[0], 1, 1])))
            else:
                operands = [last, self.constant(stage.weights)] + ([] if stage.bias is None else [self.constant(stage.bias)])
                group = 1 if stage.kind == "layer" else self.shape[0]
                last = self.node("Conv", *operands, group=group, **window, **strides)
            last = self.activation(stage, last)
            if stage.pool == "none":
                return last
            return self.node("MaxPool", last, kernel_shape=(2, 2), strides=(2, 2), ceil_mode=int(stage.pool == "ceil"))
        if stage.kind in ("max_pool", "average_pool"):
            return self.node("MaxPool" if stage.kind == "max_pool" else "AveragePool", last, **window, **strides)
        if stage.kind in ("global_max", "global_average"):
            return self.node("GlobalMaxPool" if stage.kind == "global_max" else "GlobalAveragePool", last)
        if stage.kind == "scale":
            last = self.node("Mul", last, self.constant(planes(stage.weights)))
            return last if stage.bias is None else self.node("Add", last, self.constant(planes(stage.bias)))
        if stage.kind == "activation":
            return self.activation(stage, last)
        return self.node("Softmax" if stage.kind == "softmax" else "LogSoftmax", last, axis=1)
