# SPDX-License-Identifier: MIT
"""Times a network: whole, and stage by stage."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _library
from ._network import Network, describe, from_chw
from ._stages import Plan, Stage

SAMPLE_SECONDS = 0.002


def sample(call: Callable[[], Any], count: int) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def times(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Samples of each, taken by turns."""
    counts = {name: max(1, int(SAMPLE_SECONDS / max(sample(call, 3), 1e-7))) for name, call in calls.items()}
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, found.values())) < 9:
        for name, call in calls.items():
            found[name].append(sample(call, counts[name]))
    return found


def c_call(network: Network) -> Callable[[], Any]:
    """convpool_network_run() alone, without what Python adds."""
    runner = network._runner
    x, out = np.ones(network.input_shape, np.float32), np.empty(network.output_shape, np.float32)
    scratch = np.empty(runner._scratch_size + 64, np.uint8)
    pointers = (runner.handle.pointer, *map(_library.address, (x, out, scratch)))

    def call(_kept: Any = (runner, x, out, scratch)) -> int:
        return int(runner._run(*pointers))

    return call


def peak() -> Callable[[], float] | None:
    """Measures what the CPU can do at most, in flop/s; None where nothing that does is built in."""
    isa = next((row["isa"] for row in _library.kernels() if row["supported"]), None)
    try:
        probe = getattr(_library.library(), f"convpool_probe_{isa}")
    except AttributeError:
        return None
    probe.restype, probe.argtypes = ctypes.c_double, [ctypes.c_uint64]

    def measure() -> float:
        start = time.perf_counter()
        done = probe(20000)
        return float(done) / (time.perf_counter() - start)

    return measure


def stages(network: Network) -> list[tuple[str, str, Network, int]]:
    """Each stage as a network of its own: what it is, its kernel, and its multiply-adds."""
    rows, shape, last = [], network._shape, len(network._stages) - 1
    for index, (stage, kernel) in enumerate(zip(network._stages, network.kernels())):
        after = stage.output_shape(shape)
        first, final = ("HWC" if index else network._outside[1]), ("HWC" if index < last else network._result[1])
        parts = [Stage("activation"), stage] if stage.by_number else [stage]
        alone = Network._of(Plan(parts, shape, (from_chw(shape, first), first), (from_chw(after, final), final)))
        rows.append((describe(stage), kernel, alone, stage.multiply_adds(shape)))
        shape = after
    return rows


def onnxruntime_call(path: str, output: str | None, in_shape: tuple[int, ...]) -> Callable[[], Any]:
    """The same file by onnxruntime, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    given = [*[1] * (len(entry.shape) - len(in_shape)), *in_shape]
    shape = [n if isinstance(n, int) and n > 0 else m for n, m in zip(entry.shape, given)]
    feed, wanted = {entry.name: np.ones(shape, np.float32)}, [output] if output else None
    return lambda: session.run(wanted, feed)


def report(network: Network, others: dict[str, Callable[[], Any]], seconds: float) -> str:
    """A table: the whole network, beside others, and each stage with the fraction of the CPU's peak."""
    x = np.ones(network.input_shape, np.float32)
    calls: dict[str, Callable[[], Any]] = {"convpool": lambda: network(x), "its C function": c_call(network), **others}
    found = times(calls, seconds)
    lines = []
    for name, values in found.items():
        ratio = statistics.median(a / b for a, b in zip(values, found["convpool"]))
        beside = "" if name == "convpool" else f"  {ratio:.2f} of convpool's"
        lines.append(f"{name:16} {1e6 * statistics.median(values):10.1f} us{beside}")
    lines.append("medians over all rounds, of times and of ratios")
    nothing = Network._of(Plan([Stage("activation")], (1, 1, 1), ((1,), "CHW"), ((1,), "CHW")))
    rows = stages(network)
    parts = {str(index): c_call(row[2]) for index, row in enumerate(rows)}
    measure = peak()
    found = times({"nothing": c_call(nothing), **parts}, seconds)
    most = statistics.median(measure() for _ in range(31)) if measure else None
    empty = statistics.median(found["nothing"])
    lines.append("")
    for index, (what, kernel, _, adds) in enumerate(rows):
        taken = max(statistics.median(found[str(index)]) - empty, 1e-9)
        share = f"{100 * 2 * adds / taken / most:4.0f} % of the peak" if most and adds else ""
        lines.append(f"{1e6 * taken:10.2f} us  {kernel or '-':18} {share:18}  {what}")
    return "\n".join(lines)
