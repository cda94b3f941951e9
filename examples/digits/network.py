# SPDX-License-Identifier: MIT
"""Makes one file of the network that train.py has trained, for Python and for C:

    python examples/digits/network.py FOLDER

writes FOLDER/digits.npz, which convpool.load() reads, and FOLDER/digits.h, which embedded.c includes.
"""

import pathlib
import sys

import numpy as np

import convpool

HERE = pathlib.Path(__file__).parent


def trained(name):
    return np.load(HERE / (name + ".npy"))


network = convpool.Network(
    [
        convpool.Layer(trained("layer1_weights"), trained("layer1_bias"), in_shape=(1, 27, 27), name="layer1"),
        convpool.Layer(trained("layer2_weights"), trained("layer2_bias"), name="layer2"),
        convpool.Dense(trained("dense_weights").reshape(10, -1), trained("dense_bias"), name="dense"),
        convpool.Softmax(),
    ]
)
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
network.save(folder / "digits.npz")
network.to_c(folder / "digits.h", name="digits")
print(network.summary())
