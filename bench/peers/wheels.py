# SPDX-License-Identifier: MIT
"""Times layers beside onnxruntime, OpenVINO and ncnn, as a user would install them: see bench/wheels.

Every system runs BRANCHES layers of one shape and different weights in one call, so that a call's own cost is shared and
weights are not all in the nearest cache; so does convpool, in as many calls. One thread, float32, [channels][height]
[width] in and out. Samples are taken by turns; every result is held to onnxruntime's.
"""
import argparse
import ctypes
import json
import os
import re
import statistics
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import ncnn
import numpy as np
import onnx
import onnxruntime
import openvino

BRANCHES, SAMPLE_SECONDS = 8, 0.002
LAYERS = """16x25x25:32 1x53x53:16 3x225x225:32 64x57x57:64 512x9x9:512 16x112x112:32 64x8x8:128 32x8x8:64 64x4x4:128:none
16x26x26:32:k3x3 32x34x34:64:k3x3 64x58x58:64:k3x3 128x30x30:256:k3x3 64x6x6:128:k3x3 1x28x28:32:k3x3 1x28x28:32:k5x5
3x32x32:32:k3x3:same 32x14x14:64:k5x5:same 3136x1x1:128:k1x1:none 3x224x224:16:same""".split()


class Spec(ctypes.Structure):
    """convpool_layer_spec."""
    _fields_ = ([(name, ctypes.c_size_t) for name in ("in_channels", "in_height", "in_width", "out_channels")] +
                [(name, ctypes.c_int) for name in ("filter", "pool", "activation")] + [("kernel", ctypes.c_char_p)] +
                [(name, ctypes.c_size_t) for name in ("filter_height", "filter_width", "stride_height", "stride_width",
                                                      "pad_top", "pad_left", "pad_bottom", "pad_right")] +
                [(name, ctypes.c_int) for name in ("weights_layout", "input_layout", "output_layout")] +
                [("activation_parameter", ctypes.c_float), ("slopes", ctypes.c_void_p)])


class Layer:
    """A layer as convpool-bench writes it, with pads (top, left, bottom, right)."""

    def __init__(self, text):
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+):(\d+)((?::[a-z0-9,]+)*)", text)
        if match is None:
            sys.exit("not a layer: " + text)
        self.text = text
        self.channels, self.height, self.width, self.outputs = map(int, match.groups()[:4])
        self.filter, self.strides, self.pads, self.pool, same = (2, 2), (1, 1), (0, 0, 0, 0), "pool", False
        for option in match.group(5).split(":")[1:]:
            if option in ("none", "ceil"):
                self.pool = option
            elif option == "same":
                same = True
            elif option[0] in "ksp":
                numbers = tuple(map(int, re.split("[x,]", option[1:])))
                setattr(self, {"k": "filter", "s": "strides", "p": "pads"}[option[0]], numbers)
            else:
                sys.exit("not a layer that the peers compute: " + text)
        if same:
            missing = [max((side - 1) // stride * stride + size - side, 0) for side, size, stride in
                       zip((self.height, self.width), self.filter, self.strides)]
            self.pads = (missing[0] // 2, missing[1] // 2, missing[0] - missing[0] // 2, missing[1] - missing[1] // 2)


class Convpool:
    """The library, as a shared one."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        for name in ("convpool_layer_kernel", "convpool_version"):
            getattr(self.library, name).restype = ctypes.c_char_p
        self.library.convpool_layer_scratch_size.restype = ctypes.c_size_t
        self.name = "convpool " + self.library.convpool_version().decode()

    def make(self, layer, image, weights, biases):
        spec = Spec(layer.channels, layer.height, layer.width, layer.outputs, filter_height=layer.filter[0],
                    filter_width=layer.filter[1], stride_height=layer.strides[0], stride_width=layer.strides[1],
                    pool={"pool": 0, "none": 1, "ceil": 2}[layer.pool])
        spec.pad_top, spec.pad_left, spec.pad_bottom, spec.pad_right = layer.pads
        calls = []
        for weight, bias in zip(weights, biases):
            made, shape = ctypes.c_void_p(), [ctypes.c_size_t() for _ in range(3)]
            status = self.library.convpool_layer_create(ctypes.byref(spec), ctypes.c_void_p(weight.ctypes.data),
                                                        ctypes.c_void_p(bias.ctypes.data), ctypes.byref(made))
            if status != 0:
                sys.exit("%s: status %d" % (layer.text, status))
            self.library.convpool_layer_output_shape(made, *map(ctypes.byref, shape))
            output = np.empty([extent.value for extent in shape], np.float32)
            scratch = np.empty(self.library.convpool_layer_scratch_size(made), np.uint8)
            calls.append((made, ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(output.ctypes.data),
                          ctypes.c_void_p(scratch.ctypes.data), output, scratch))
        self.kernel = self.library.convpool_layer_kernel(calls[0][0]).decode()

        def run():
            for call in calls:
                self.library.convpool_layer_run(*call[:4])
            return calls[0][4]
        return run


def onnx_model(layer, weights, biases):
    nodes, values, results = [], [], []
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        names = ["%s%d" % (letter, i) for letter in "wbcry"]
        values += [onnx.numpy_helper.from_array(weight, names[0]), onnx.numpy_helper.from_array(bias, names[1])]
        nodes.append(onnx.helper.make_node("Conv", ["x", names[0], names[1]], [names[2]], kernel_shape=layer.filter,
                                           strides=layer.strides, pads=layer.pads))
        nodes.append(onnx.helper.make_node("Relu", [names[2]], [names[3]]))
        if layer.pool != "none":
            nodes.append(onnx.helper.make_node("MaxPool", [names[3]], [names[4]], kernel_shape=[2, 2], strides=[2, 2],
                                               ceil_mode=int(layer.pool == "ceil")))
        results.append(onnx.helper.make_tensor_value_info(names[3 if layer.pool == "none" else 4], onnx.TensorProto.FLOAT, None))
    image = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, layer.channels, layer.height, layer.width])
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "layers", [image], results, values),
                                   opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


def with_onnxruntime(layer, image, weights, biases):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_model(layer, weights, biases), options, providers=["CPUExecutionProvider"])
    feed = {"x": image[np.newaxis]}
    return lambda: session.run(None, feed)[0][0]


def with_openvino(layer, image, weights, biases):
    core = openvino.Core()
    model = core.compile_model(core.read_model(onnx_model(layer, weights, biases)), "CPU", {
        "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()
    feed = image[np.newaxis].copy()
    request.set_input_tensor(openvino.Tensor(feed, shared_memory=True))

    def run():
        request.infer()
        return np.array(request.get_output_tensor(0).data)[0]
    run.keep = feed
    return run


def with_ncnn(layer, image, weights, biases):
    (height, width), (down, across), (top, left, bottom, right) = layer.filter, layer.strides, layer.pads
    lines = ["Input in 0 1 x 0=%d 1=%d 2=%d" % (layer.width, layer.height, layer.channels),
             "Split s 1 %d x %s" % (BRANCHES, " ".join("x%d" % i for i in range(BRANCHES)))]
    for i in range(BRANCHES):
        lines.append("Convolution c%d 1 1 x%d c%d 0=%d 1=%d 11=%d 3=%d 13=%d 4=%d 14=%d 15=%d 16=%d 5=1 6=%d 9=1" % (
            i, i, i, layer.outputs, width, height, across, down, left, top, right, bottom, weights[i].size))
        if layer.pool != "none":
            lines.append("Pooling p%d 1 1 c%d y%d 0=0 1=2 2=2 5=%d" % (i, i, i, layer.pool == "pool"))
    blobs = 1 + BRANCHES * (2 if layer.pool == "none" else 3)
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/param", "w", encoding="ascii") as file:
            file.write("7767517\n%d %d\n%s\n" % (len(lines), blobs, "\n".join(lines)))
        with open(folder + "/bin", "wb") as file:
            for weight, bias in zip(weights, biases):
                file.write(bytes(4) + weight.tobytes() + bias.tobytes())
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = net.opt.use_bf16_storage = False
        net.load_param(folder + "/param")
        net.load_model(folder + "/bin")

    def run():
        extractor = net.create_extractor()
        extractor.input("x", ncnn.Mat(image))
        return np.array([extractor.extract(("c%d" if layer.pool == "none" else "y%d") % i)[1] for i in range(BRANCHES)][0])
    return run


PEERS = {"onnxruntime " + onnxruntime.__version__: with_onnxruntime, "OpenVINO " + openvino.__version__.split("-")[0]: with_openvino,
         "ncnn " + ncnn.__version__: with_ncnn}


def time_layer(layer, convpool, seconds):
    """The median microseconds of one layer, by system."""
    chance = np.random.default_rng(1)
    image = chance.uniform(-1, 1, (layer.channels, layer.height, layer.width)).astype(np.float32)
    weights = [chance.uniform(-0.3, 0.3, (layer.outputs, layer.channels) + layer.filter).astype(np.float32)
               for _ in range(BRANCHES)]
    biases = [chance.uniform(-1, 1, layer.outputs).astype(np.float32) for _ in range(BRANCHES)]
    runs = {convpool.name: convpool.make(layer, image, weights, biases)}
    for name, make in PEERS.items():
        runs[name] = make(layer, image, weights, biases)
    results = {name: run().copy() for name, run in runs.items()}
    expected = results[next(iter(PEERS))]
    for name, result in results.items():
        if result.shape != expected.shape or not np.allclose(result, expected, atol=1e-3 * (1 + np.abs(expected).max())):
            sys.exit("%s: %s computes something else" % (layer.text, name))
    samples, repeats, end = {name: [] for name in runs}, dict.fromkeys(runs, 1), time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples[convpool.name]) < 9:
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            taken = (time.perf_counter() - start) / repeats[name]
            samples[name].append(taken / BRANCHES * 1e6)
            repeats[name] = max(1, int(SAMPLE_SECONDS / taken))
    ratios = {name: statistics.median(theirs / ours for theirs, ours in zip(samples[name][1:], samples[convpool.name][1:]))
              for name in PEERS}
    return {name: statistics.median(values[1:]) for name, values in samples.items()}, ratios


def main():
    parser = argparse.ArgumentParser(prog="bench/wheels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3, help="for each layer (default 3)")
    parser.add_argument("--json", help="writes the figures to this file")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="as convpool-bench takes it, but for :hwc")
    options = parser.parse_args()
    convpool, figures = Convpool(options.library), []
    print("\n%-24s %-18s %10s   %s: us (times as long)" % ("layer", "kernel", "us", ", ".join(PEERS)))
    for text in options.layers or LAYERS:
        times, ratios = time_layer(Layer(text), convpool, options.seconds)
        print("%-24s %-18s %10.1f   %s" % (text, convpool.kernel, times[convpool.name], "  ".join(
            "%8.1f (%5.2f)" % (times[name], ratios[name]) for name in PEERS)), flush=True)
        figures += [{"shape": text, "kernel": convpool.kernel, "peer": name, "median_us": times[name],
                     "convpool_us": times[convpool.name], "ratio": ratios[name]} for name in PEERS]
    print("in brackets: how many times as long as convpool that takes, the median over samples taken by turns")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "layers": figures}, file, indent=1)


if __name__ == "__main__":
    main()
