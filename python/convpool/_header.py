# SPDX-License-Identifier: MIT
"""Writes a network as one C header."""

from __future__ import annotations

import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._file import SEED, by_family, random_input
from ._network import Network, describe

KIND = "CONVPOOL_STAGE_"
POOLS = {"max": "MAX_2X2", "ceil": "MAX_2X2_CEIL", "none": "NONE"}


def number(value: Any) -> str:
    """A float literal."""
    value = float(value)
    if value != value:
        return "NAN"
    if value in (float("inf"), float("-inf")):
        return "-INFINITY" if value < 0 else "INFINITY"
    text = f"{value:.9g}"
    return text + ("f" if any(c in text for c in ".e") else ".0f")


def table(name: str, values: NDArray[np.float32]) -> str:
    """A static array."""
    numbers = [number(value) for value in values.reshape(-1)]
    lines = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    return f"static const float {name}[{len(numbers)}] = {{\n    " + ",\n    ".join(lines) + "};\n"


def fnv(y: NDArray[np.float32]) -> int:
    """The hash of a result that the header computes: FNV-1a over its bits, zeros of either sign and any NaN alike."""
    bits = np.where(np.isnan(y), np.float32(np.nan), y + np.float32(0)).astype("<f4").view("<u4").reshape(-1)
    bits = np.where(np.isnan(y.reshape(-1)), np.uint32(0x7FC00000), bits)
    value = 0xCBF29CE484222325
    for pattern in bits.tolist():
        value = (value ^ pattern) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def stage_lines(network: Network, name: str) -> tuple[list[str], list[str]]:
    """The arrays, and the statements that fill the stages in."""
    arrays, lines, shape = [], [], network._shape
    last = len(network._stages) - 1
    for index, stage in enumerate(network._stages):
        s = f"stages[{index}]"
        lines.append(f"    /* {re.sub('[^A-Za-z0-9_ .,:()/-]', '', describe(stage)).replace('/', ' ')} */")
        if stage.kind != "layer":
            lines.append(f"    {s}.kind = {KIND}{stage.kind.upper()};")
        spec: dict[str, Any] = {}
        if index == 0:
            spec.update(zip(("in_channels", "in_height", "in_width"), shape))
            if network._outside[1] == "HWC":
                spec["input_layout"] = "CONVPOOL_IMAGE_HWC"
        if index == last and network._result[1] == "HWC":
            spec["output_layout"] = "CONVPOOL_IMAGE_HWC"
        if stage.by_number:
            spec.update(in_channels=math.prod(shape), in_height=1, in_width=1)
        if stage.has_window:
            spec.update(zip(("filter_height", "filter_width"), stage.window))
            spec.update(zip(("stride_height", "stride_width"), stage.strides))
            spec.update((k, v) for k, v in zip(("pad_top", "pad_left", "pad_bottom", "pad_right"), stage.pads) if v)
        if stage.kind == "layer" and stage.weights is not None:
            spec["out_channels"] = stage.weights.shape[0]
            spec["pool"] = "CONVPOOL_POOL_" + POOLS[stage.pool]
        if stage.convolves or stage.kind == "activation":
            spec["activation"] = "CONVPOOL_ACTIVATION_" + stage.activation.upper()
            if stage.parameter:
                spec["activation_parameter"] = number(np.float32(stage.parameter))
        if stage.kernel:
            spec["kernel"] = f'"{stage.kernel}"'
        lines += [f"    {s}.spec.{field} = {value};" for field, value in spec.items()]
        for field, values in stage.arrays().items():
            arrays.append(table(f"{name}_{field}_{index}", np.asarray(values, np.float32)))
            lines.append(f"    {s}.{'spec.slopes' if field == 'slopes' else field} = {name}_{field}_{index};")
        shape = stage.output_shape(shape)
    return arrays, lines


def sizes(network: Network) -> tuple[str, str]:
    """Constant expressions for the bounds on memory and scratch."""
    shape, images = network._shape, [4 * int(np.prod(network._shape))]
    memory, scratch = [], "0"
    for stage in network._stages:
        if stage.kind == "layer" and stage.weights is not None:
            outputs = stage.weights.shape[0]
            tall, wide = stage.window
            padded = (shape[1] + stage.pads[0] + stage.pads[2], shape[2] + stage.pads[1] + stage.pads[3])
            memory.append(f"CONVPOOL_LAYER_MEMORY_MAX_FILTER({shape[0]}, {outputs}, {tall}, {wide})")
            bound = (
                f"CONVPOOL_LAYER_SCRATCH_MAX_FILTER({shape[0]}, {padded[0]}, {padded[1]}, {outputs}, {tall}, {wide})"
            )
            scratch = bound if scratch == "0" else f"CONVPOOL_MORE({scratch}, {bound})"
        elif stage.kind == "depthwise":
            memory.append("CONVPOOL_LAYER_MEMORY_MAX_FILTER(1, {}, {}, {})".format(shape[0], *stage.window))
        elif stage.weights is not None or stage.slopes is not None:
            memory.append(f"8 * {math.prod(shape) if stage.by_number else shape[0]}")
        shape = stage.output_shape(shape)
        images.append(4 * int(np.prod(shape)))
    join = " + \\\n        ".join(memory or ["0"])
    return (
        f"CONVPOOL_NETWORK_MEMORY_MAX({len(network._stages)}, \\\n        {join})",
        f"CONVPOOL_NETWORK_SCRATCH_MAX({max(images)}, \\\n        {scratch})",
    )


TEMPLATE = """\
/* Written by convpool {version}: {repr}
 *
 *     input   {input_shape}, float: {inputs} numbers, {input_layout}
 *     output  {output_shape}, float: {outputs} numbers{output_layout}
 *
 * To be compiled as C11 or C++17 with convpool.h and linked with the library. With no heap:
 *
 *     static unsigned char memory[{NAME}_MEMORY_MAX], scratch[{NAME}_SCRATCH_MAX];
 *     convpool_network *network;
 *     if ({name}_create_in(memory, sizeof memory, &network) != CONVPOOL_OK) ...
 *     convpool_network_run(network, input, output, scratch);
 */
#ifndef {NAME}_NETWORK_H
#define {NAME}_NETWORK_H

#include "convpool.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define {NAME}_STAGES {stage_count}
#define {NAME}_INPUTS {inputs}
#define {NAME}_OUTPUTS {outputs}
#define {NAME}_MEMORY_MAX \\
    ({memory})
#define {NAME}_SCRATCH_MAX \\
    ({scratch})

#ifdef __cplusplus
#define {NAME}_FLOAT(number) static_cast<float>(number)
#else
#define {NAME}_FLOAT(number) ((float)(number))
#endif

{arrays}
/* Fills in the stages. */
static inline void {name}_stages(convpool_stage stages[{NAME}_STAGES]) {{
    memset(stages, 0, {NAME}_STAGES * sizeof *stages);
{lines}
}}

/* convpool_network_create() of them. */
static inline convpool_status {name}_create(convpool_network **network) {{
    convpool_stage stages[{NAME}_STAGES];
    {name}_stages(stages);
    return convpool_network_create(stages, {NAME}_STAGES, network);
}}

/* convpool_network_create_in(): at most {NAME}_MEMORY_MAX bytes are needed. */
static inline convpool_status {name}_create_in(void *memory, size_t memory_size, convpool_network **network) {{
    convpool_stage stages[{NAME}_STAGES];
    {name}_stages(stages);
    return convpool_network_create_in(stages, {NAME}_STAGES, memory, memory_size, network);
}}

/* Whether the network returns, to the last bit, what it did when this was written: with convpool {version}, and where
 * the library chooses its kernels itself. Writes {NAME}_INPUTS floats to input and {NAME}_OUTPUTS to output. */
static inline bool {name}_self_test(const convpool_network *network, float *input, float *output, void *scratch) {{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < {NAME}_INPUTS; i++) {{ /* splitmix64 */
        uint64_t z = {seed} + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        input[i] = {NAME}_FLOAT((z ^ z >> 31) >> 41) / 8388608.0f;
    }}
    if (convpool_network_run(network, input, output, scratch) != CONVPOOL_OK) return false;
    for (size_t i = 0; i < {NAME}_OUTPUTS; i++) {{ /* FNV-1a */
        float value = output[i] + 0.0f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if ((bits & 0x7fffffffu) > 0x7f800000u) bits = 0x7fc00000u;
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }}
    return {hashes};
}}

#endif
"""


def write(network: Network, file: str | os.PathLike[str], name: str) -> None:
    """Network.to_c()."""
    if (
        not isinstance(name, str)
        or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        or name.lower().startswith("convpool")
    ):
        raise ValueError(f"name must be a C identifier that does not begin with convpool, not {name!r}")
    x = random_input(network.input_shape, SEED)
    hashes = [f"hash == UINT64_C({fnv(y):#x})" for y in by_family(network, x).values()]
    arrays, lines = stage_lines(network, name)
    memory, scratch = sizes(network)
    layout = {"CHW": "[channels][height][width]", "HWC": "[height][width][channels]"}
    text = TEMPLATE.format(
        version=_library.version(),
        repr=f"a network of {len(network._stages)} stages",
        name=name,
        NAME=name.upper(),
        input_shape="x".join(map(str, network.input_shape)),
        output_shape="x".join(map(str, network.output_shape)),
        input_layout=layout[network._outside[1]] if len(network.input_shape) == 3 else "in order",
        output_layout=", " + layout[network._result[1]] if len(network.output_shape) == 3 else "",
        inputs=int(np.prod(network.input_shape)),
        outputs=int(np.prod(network.output_shape)),
        stage_count=len(network._stages),
        memory=memory,
        scratch=scratch,
        arrays="\n".join(arrays),
        lines="\n".join(lines),
        seed=SEED,
        hashes=" || ".join(hashes),
    )
    with open(file, "w", encoding="ascii", errors="replace", newline="\n") as target:
        target.write(text)


def write_library(folder: str) -> None:
    """Writes the library in one file, as tools/amalgamate does: convpool.c and convpool.h."""
    here = pathlib.Path(__file__).parent
    installed, tool = here / "c", here.parents[1] / "tools" / "amalgamate"
    if installed.is_dir():
        for name in ("convpool.c", "convpool.h"):
            shutil.copyfile(installed / name, os.path.join(folder, name))
    elif tool.is_file():
        subprocess.run([sys.executable, tool, folder or "."], check=True, stdout=subprocess.DEVNULL)
    else:
        raise RuntimeError("the C library's source is missing from this installation of convpool")
