# SPDX-License-Identifier: MIT
"""Writes networks as each system of measure.mjs reads them, and prints their names: python models.py FOLDER MODEL...

convpool gets FOLDER/NAME.npz, onnxruntime-web NAME.onnx, TensorFlow.js the stages, NAME.json, and their numbers, NAME.bin.
"""
import json
import pathlib
import sys

import numpy as np

import convpool

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench/peers"))
from onnx_export import Exporter

folder = pathlib.Path(sys.argv[1])
for model in sys.argv[2:]:
    name = pathlib.Path(model).stem.replace(" ", "-")
    network = convpool.load(model)
    network.save(folder / f"{name}.npz")
    (folder / f"{name}.onnx").write_bytes(Exporter(network).model.SerializeToString())
    numbers, count, stages, shape = [], 0, [], network._shape
    for stage in network._stages:
        entry = {key: getattr(stage, key) for key in ("kind", "window", "strides", "pads", "pool", "activation", "parameter")}
        entry["into"] = shape
        for field in ("weights", "bias", "slopes"):
            values = getattr(stage, field)
            if values is not None:
                entry[field] = [count, *values.shape]
                count += values.size
                numbers.append(np.ravel(values))
        stages.append(entry)
        shape = stage.output_shape(shape)
    plan = {"shape": network._shape, "outside": network._outside[1], "result": network._result[1], "stages": stages}
    (folder / f"{name}.json").write_text(json.dumps(plan))
    np.concatenate(numbers).astype("<f4").tofile(folder / f"{name}.bin")
    print(name)
