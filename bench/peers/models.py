# SPDX-License-Identifier: MIT
"""Times whole networks beside onnxruntime, OpenVINO and LiteRT, as they are called from Python: see bench/models.

One thread, one image a call, samples by turns; every result is held to convpool's. An ONNX file is given to the others
as it is. What came from another format they get as ONNX written from convpool's stages, LiteRT as a Keras model of
them, which needs tensorflow-cpu.
"""
import argparse
import functools
import json
import os
import statistics
import sys
import tempfile

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import onnxruntime
import openvino

import convpool
import convpool._bench
from onnx_export import Exporter


def to_tflite(network):
    """The stages as a Keras model, converted; None where there is no tensorflow."""
    try:
        import tensorflow as tf
    except ImportError:
        return None
    layers = tf.keras.layers
    shape = network._shape
    x = inputs = layers.Input(network.input_shape, batch_size=1)
    if network._outside[1] == "CHW" and shape[0] > 1:
        x = layers.Permute((2, 3, 1))(layers.Reshape(shape)(x))
    x = layers.Reshape((*shape[1:], shape[0]))(x)

    def activate(stage, x):
        if stage.activation == "prelu":
            alpha = stage.slopes.reshape(1, 1, -1) if stage.slopes.ndim == 1 else stage.slopes
            shared = [1, 2] if stage.slopes.ndim == 1 else None
            return layers.PReLU(shared_axes=shared, alpha_initializer=tf.keras.initializers.Constant(alpha))(x)
        if stage.activation == "leaky_relu":
            return layers.LeakyReLU(stage.parameter)(x)
        if stage.activation == "elu":
            return layers.ELU(stage.parameter)(x)
        return x if stage.activation == "none" else layers.Activation(stage.activation)(x)

    def padded(stage, x, value=0.0):
        top, left, bottom, right = stage.pads
        if not any(stage.pads):
            return x
        if value == 0.0:
            return layers.ZeroPadding2D(((top, bottom), (left, right)))(x)
        return tf.keras.layers.Lambda(lambda t: tf.pad(t, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=value))(x)

    for stage in network._stages:
        if stage.convolves:
            bias = np.zeros(stage.weights.shape[0], np.float32) if stage.bias is None else stage.bias
            if stage.kind == "layer" and stage.window == shape[1:] and not any(stage.pads):
                x = layers.Flatten()(x)
                dense = layers.Dense(stage.weights.shape[0])
                x = dense(x)
                dense.set_weights([stage.weights.transpose(2, 3, 1, 0).reshape(-1, stage.weights.shape[0]), bias])
                x = layers.Reshape((1, 1, -1))(x)
            else:
                same = stage.pads == convpool._stages.pads("same", shape, stage.window, stage.strides)
                depthwise, options = stage.kind == "depthwise", (stage.window, stage.strides, "same" if same else "valid")
                convolution = layers.DepthwiseConv2D(*options) if depthwise else layers.Conv2D(stage.weights.shape[0], *options)
                x = convolution(x if same else padded(stage, x))
                convolution.set_weights([stage.weights.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), bias])
            x = activate(stage, x)
            if stage.pool != "none":
                x = layers.MaxPool2D(2, 2, "same" if stage.pool == "ceil" else "valid")(x)
        elif stage.kind in ("max_pool", "average_pool"):
            kind = layers.MaxPool2D if stage.kind == "max_pool" else layers.AveragePooling2D
            same = stage.pads == convpool._stages.pads("same", shape, stage.window, stage.strides)
            x = kind(stage.window, stage.strides, "same" if same and any(stage.pads) else "valid")(
                x if same or not any(stage.pads) else padded(stage, x, -1e30))
        elif stage.kind in ("global_max", "global_average"):
            kind = layers.GlobalMaxPool2D if stage.kind == "global_max" else layers.GlobalAveragePooling2D
            x = layers.Reshape((1, 1, -1))(kind()(x))
        elif stage.kind == "scale" and stage.by_number:
            x = layers.Lambda(lambda t, s=stage: t * s.weights + (0.0 if s.bias is None else s.bias))(x)
        elif stage.kind == "scale":
            bias = np.zeros_like(stage.weights) if stage.bias is None else stage.bias
            normalization = layers.BatchNormalization(epsilon=0.0)
            x = normalization(x)
            normalization.set_weights([stage.weights, bias, np.zeros_like(bias), np.ones_like(bias)])
        elif stage.kind == "activation":
            x = activate(stage, x)
        else:
            x = layers.Softmax()(x) if stage.kind == "softmax" else layers.Activation("log_softmax")(x)
        shape = stage.output_shape(shape)
    if network._result[1] == "CHW" and shape[1:] != (1, 1):
        x = layers.Permute((3, 1, 2))(x)
    x = layers.Reshape(network.output_shape)(x)
    with tempfile.TemporaryDirectory() as folder:
        tf.keras.Model(inputs, x).export(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def litert(content):
    """A call of LiteRT with XNNPACK, one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def call(x):
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return call


def peers(path, output, network):
    """{name: a function of the input with a leading 1}."""
    calls = {}
    model = onnx.load(path) if path.endswith(".onnx") else Exporter(network).model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name, wanted = session.get_inputs()[0].name, [output] if output else None
    calls["onnxruntime"] = lambda x: session.run(wanted, {name: x})[0]
    core = openvino.Core()
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.save(model, file.name)
        read = core.read_model(file.name)
    read.reshape([1, *network.input_shape])
    compiled = core.compile_model(read, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                                                "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    port = compiled.output(output) if output else compiled.output(0)
    calls["OpenVINO"] = lambda x: request.infer([x], share_inputs=True)[port]
    content = to_tflite(network)
    if content is not None:
        calls["LiteRT"] = litert(content)
    return calls


def compare(path, output, seconds):
    """Times one network; returns {name: median seconds} and the ratios, medians over samples taken by turns."""
    network = convpool.load(path, output=output)
    x = np.random.default_rng(7).random((1, *network.input_shape), np.float32)
    calls = {"convpool": network, **peers(path, output, network)}
    expected = network(x)
    for name, call in calls.items():
        off = np.abs(np.asarray(call(x)).reshape(-1) - expected.reshape(-1)).max()
        if not off <= 1e-4 * np.abs(expected).max():
            sys.exit("%s: %s is off by %g" % (path, name, off))
    times = convpool._bench.times({name: functools.partial(call, x) for name, call in calls.items()}, seconds)
    ratios = {name: statistics.median(a / b for a, b in zip(values, times["convpool"])) for name, values in times.items()}
    return {name: statistics.median(values) for name, values in times.items()}, ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="FILE[:OUTPUT]")
    parser.add_argument("--seconds", type=float, default=3, help="for each network")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    rows, worst = [], []
    print("%-22s %12s  times as long as convpool" % ("network", "convpool us"))
    for model in arguments.models:
        path, _, output = model.partition(":")
        times, ratios = compare(path, output or None, arguments.seconds)
        name = os.path.splitext(os.path.basename(path))[0]
        others = {peer: ratio for peer, ratio in ratios.items() if peer != "convpool"}
        worst.append(min(others.values()))
        print("%-22s %12.1f  %s" % (name, 1e6 * times["convpool"], "  ".join(
            "%s %.1f us (%.2f)" % (peer, 1e6 * times[peer], ratio) for peer, ratio in others.items())), flush=True)
        rows.append({"network": name, "median_us": {peer: 1e6 * value for peer, value in times.items()}, "ratios": ratios})
    print("of the fastest other: least %.2f, geometric mean %.2f" % (min(worst), np.exp(np.mean(np.log(worst)))))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"onnxruntime": onnxruntime.__version__, "openvino": openvino.__version__, "networks": rows}, file, indent=1)


if __name__ == "__main__":
    main()
