# SPDX-License-Identifier: MIT
"""Makes the networks that load.test.mjs runs, with an input each and the result's hash: python networks.py FOLDER.

Of every kind of stage, activation, padding and layout, with weights made by chance; and, where they are, the trained
ones in the folder CONVPOOL_NETWORKS.
"""
import os
import pathlib
import sys

import numpy as np

import convpool
import convpool._file
from convpool import (
    Activation, AveragePool, Dense, Depthwise, GlobalAverage, GlobalMax, Layer, LogSoftmax, MaxPool, Scale, Softmax,
)

rng = np.random.default_rng(60)


def weights(*shape):
    return rng.normal(0, 0.4, shape)


def layer(outputs, inputs, side=3, **options):
    return Layer(weights(outputs, inputs, side, side), weights(outputs), **{"pool": "none", **options})


made = {
    "seed": [layer(32, 16, 2, pool="max", in_shape=(16, 25, 25))],
    "winograd": [
        layer(24, 3, padding="same", in_shape=(40, 44, 3), layout="HWC"),
        layer(40, 24, padding=1, pool="max"),
        layer(17, 40, 5, padding="same", pool="ceil"),
        GlobalMax(),
    ],
    "pools": [
        layer(8, 1, 5, strides=2, in_shape=(1, 61, 60), activation="none"),
        MaxPool(3, 2, "same"),
        AveragePool(2),
        Scale(weights(8), weights(8)),
        GlobalAverage(),
        LogSoftmax(),
    ],
    "image": [layer(5, 4, in_shape=(4, 12, 9)), AveragePool((3, 2), (2, 1), (1, 0, 1, 1)), Activation("tanh")],
    "numbers": [
        Activation("prelu", slopes=weights(2)),
        Activation("prelu", slopes=weights(9, 8, 2)),
        layer(3, 2, 2, activation="none"),
        Scale(weights(8, 7, 3), weights(8, 7, 3)),
    ],
    "depthwise": [
        layer(13, 3, 1, in_shape=(21, 22, 3), layout="HWC"),
        Depthwise(weights(13, 1, 3, 3), weights(13), padding="same"),
        Depthwise(weights(13, 1, 3, 2), None, strides=(2, 1), activation="prelu", slopes=weights(13)),
        Depthwise(weights(13, 1, 5, 5), weights(13), padding=(4, 0, 5, 7), strides=3, activation="sigmoid"),
    ],
    "flat": [Dense(weights(9, 30), weights(9), activation="sigmoid"), Dense(weights(3, 9)), Softmax()],
}
for name, parameter in {"relu": 0, "none": 0, "relu6": 0, "leaky_relu": 0.2, "sigmoid": 0, "tanh": 0, "elu": 1.5}.items():
    options = {"activation": name, "activation_parameter": parameter}
    made[name] = [layer(6, 2, in_shape=(2, 9, 9), **options), Activation(**options)]
slopes = {"activation": "prelu", "slopes": weights(6)}
made["prelu"] = [layer(6, 2, in_shape=(2, 9, 9), **slopes), Activation("prelu", slopes=weights(6))]

networks = {}
for name, parts in made.items():
    networks[name] = convpool.Network(parts, in_shape={"flat": (30,), "numbers": (2, 9, 8)}.get(name))
trained = pathlib.Path(os.environ.get("CONVPOOL_NETWORKS", "."))
for file in sorted(trained.iterdir()) if "CONVPOOL_NETWORKS" in os.environ else []:
    if file.suffix in (".h5", ".hdf5", ".keras", ".onnx"):
        networks[file.stem] = convpool.load(file, output="conf" if file.stem == "mtcnn-rnet" else None)
folder = pathlib.Path(sys.argv[1])
for name, network in networks.items():
    network.save(folder / f"{name}.npz")
    x = convpool._file.random_input(network.input_shape, 1) - np.float32(0.5)
    x.astype("<f4").tofile(folder / f"{name}.input")
    y = convpool._file.by_family(network, x)["separate"]
    (folder / f"{name}.hash").write_text(convpool._file.bits_hash(y))
