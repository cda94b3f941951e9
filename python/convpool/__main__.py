# SPDX-License-Identifier: MIT
"""The command line: python -m convpool {show,bench,convert,info}."""

from __future__ import annotations

import argparse
import sys

from . import _library
from ._file import load
from ._network import Network


def _load(arguments: argparse.Namespace) -> Network:
    return load(arguments.model, output=arguments.output)


def show(arguments: argparse.Namespace) -> None:
    print(_load(arguments).summary())


def bench(arguments: argparse.Namespace) -> None:
    from . import _bench

    network = _load(arguments)
    others = {}
    if arguments.against:
        if not arguments.model.endswith(".onnx"):
            raise ValueError("--against is for .onnx files: onnxruntime reads no other")
        others["onnxruntime"] = _bench.onnxruntime_call(arguments.model, arguments.output)
    print(_bench.report(network, others, arguments.seconds))


def convert(arguments: argparse.Namespace) -> None:
    network = _load(arguments)
    if arguments.to_c:
        network.to_c(arguments.to_c, arguments.name)
    if arguments.to_npz:
        network.save(arguments.to_npz)
    if arguments.to_text:
        from . import _text

        with open(arguments.to_text, "w", encoding="ascii") as file:
            file.write(_text.text(network))
    if not (arguments.to_c or arguments.to_npz or arguments.to_text):
        raise ValueError("say what to convert to: --to-c FILE.h, --to-npz FILE.npz, --to-text FILE.txt")


def info(arguments: argparse.Namespace) -> None:
    print(f"convpool {_library.version()}, {_library._find()}")
    for row in _library.kernels():
        print(f"{row['name']:20} {'yes' if row['supported'] else 'no: ' + row['reason']}")


def seconds(text: str) -> float:
    """A length of time, as an argument."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is no length of time")
    return value


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m convpool", description="Small convolutional neural networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function, text in (
        (show, "print a network's stages, kernels and sizes"),
        (bench, "time a network, whole and by stage"),
        (convert, "write a network as a C header, an .npz file, or text"),
        (info, "print what is built and what this CPU can run"),
    ):
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function)
        if function is not info:
            command.add_argument("model", metavar="MODEL", help=".h5, .hdf5, .keras, .onnx or .npz")
            command.add_argument("--output", help="of an ONNX file with several outputs, the one that is wanted")
        if function is bench:
            command.add_argument("--against", choices=["onnxruntime"], help="time it, too")
            command.add_argument("--seconds", type=seconds, default=1.0, help="how long to measure")
        if function is convert:
            command.add_argument("--to-c", metavar="FILE.h", help="one C header")
            command.add_argument("--to-npz", metavar="FILE.npz", help="what NumPy and convpool alone can read")
            command.add_argument(
                "--to-text", metavar="FILE.txt", help="its stages without weights, for convpool-bench and convpool-info"
            )
            command.add_argument("--name", default="network", help="what the header's names begin with")
    arguments = parser.parse_args(argv)
    try:
        arguments.function(arguments)
    except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as error:
        print(f"convpool: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
