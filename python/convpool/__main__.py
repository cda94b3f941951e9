# SPDX-License-Identifier: MIT
"""The command line: python -m convpool {show,bench,convert,info}."""

from __future__ import annotations

import argparse
import math
import os
import sys

from . import _library
from ._file import load
from ._network import Network


def _load(arguments: argparse.Namespace) -> Network:
    return load(arguments.model, output=arguments.output, in_shape=arguments.in_shape)


def show(arguments: argparse.Namespace) -> None:
    print(_load(arguments).summary())


def bench(arguments: argparse.Namespace) -> None:
    from . import _bench

    network = _load(arguments)
    others = {}
    if arguments.against:
        if not arguments.model.endswith(".onnx"):
            raise ValueError("--against is for .onnx files: onnxruntime reads no other")
        others["onnxruntime"] = _bench.onnxruntime_call(arguments.model, arguments.output, network.input_shape)
    print(_bench.report(network, others, arguments.seconds))


def convert(arguments: argparse.Namespace) -> None:
    if arguments.with_library and not arguments.to_c:
        raise ValueError("--with-library goes with --to-c FILE.h")
    network = _load(arguments)
    if arguments.to_c:
        network.to_c(arguments.to_c, arguments.name)
    if arguments.with_library:
        from . import _header

        _header.write_library(os.path.dirname(arguments.to_c))
    if arguments.to_npz:
        network.save(arguments.to_npz)
    if arguments.to_text:
        from . import _text

        with open(arguments.to_text, "w", encoding="ascii") as file:
            file.write(_text.text(network))
    if arguments.to_web:
        from . import _web

        title = arguments.title or os.path.splitext(os.path.basename(arguments.model))[0]
        given = {key: getattr(arguments, key) for key in ("text", "scale", "offset", "fit", "draw")}
        _web.write(network, arguments.to_web, title=title, classes=names(arguments.classes), **given)
    if not (arguments.to_c or arguments.to_npz or arguments.to_text or arguments.to_web):
        raise ValueError(
            "say what to convert to: --to-c FILE.h, --to-npz FILE.npz, --to-text FILE.txt, --to-web FOLDER"
        )


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


def extents(text: str) -> tuple[int, ...]:
    """The shape of an image: 28x28x1."""
    return tuple(int(n) for n in text.split("x"))


def names(text: str) -> list[str]:
    """What classes are called: by commas, or a line each in a file."""
    if os.path.isfile(text):
        with open(text, encoding="utf-8") as file:
            return file.read().splitlines()
    return [name.strip() for name in text.split(",")] if text else []


def numbers(text: str) -> list[float]:
    """Numbers by commas, which may be fractions such as 1/255."""
    values = []
    for part in text.split(","):
        above, _, below = part.partition("/")
        try:
            values.append(float(above) / float(below or 1))
        except (ValueError, ZeroDivisionError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no number, and no numbers by commas") from error
    if not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"{text!r} is not finite")
    return values


def add_conversions(command: argparse.ArgumentParser) -> None:
    command.add_argument("--to-c", metavar="FILE.h", help="one C header")
    command.add_argument("--to-npz", metavar="FILE.npz", help="what NumPy and convpool alone can read")
    command.add_argument(
        "--to-text", metavar="FILE.txt", help="its stages without weights, for convpool-bench and convpool-info"
    )
    command.add_argument(
        "--to-web", metavar="FOLDER", help="a page on which the network runs, to be served by any server of files"
    )
    command.add_argument("--name", default="network", help="what the header's names begin with")
    command.add_argument(
        "--with-library", action="store_true", help="beside the header, all that it needs: convpool.c and convpool.h"
    )
    page = command.add_argument_group("the page")
    page.add_argument("--title", help="its heading; by default the file's name")
    page.add_argument("--text", default="", help="a sentence below it")
    page.add_argument("--classes", default="", metavar="NAMES", help="by commas, or a file with a name a line")
    page.add_argument(
        "--scale",
        type=numbers,
        default=[1 / 255],
        metavar="S[,S,S]",
        help="what pixels, 0 to 255, are multiplied by: one number, or one for each channel (1/255)",
    )
    page.add_argument("--offset", type=numbers, default=[0.0], metavar="B[,B,B]", help="and what is added then (0)")
    page.add_argument(
        "--fit", choices=["crop", "stretch"], default="crop", help="how a picture of other proportions is fitted"
    )
    page.add_argument(
        "--draw",
        action=argparse.BooleanOptionalAction,
        help="whether one can draw the image; by default where it is grey, of 64x64 pixels or less",
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m convpool", description="Small convolutional neural networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function, text in (
        (show, "print a network's stages, kernels and sizes"),
        (bench, "time a network, whole and by stage"),
        (convert, "write a network as a C header, an .npz file, text, or a page"),
        (info, "print what is built and what this CPU can run"),
    ):
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function)
        if function is not info:
            command.add_argument("model", metavar="MODEL", help=".h5, .hdf5, .keras, .onnx or .npz")
            command.add_argument("--output", help="of a file with several outputs, the one that is wanted")
            command.add_argument(
                "--in-shape", type=extents, metavar="NxNxN", help="of one image, where the file leaves extents open"
            )
        if function is bench:
            command.add_argument("--against", choices=["onnxruntime"], help="time it, too")
            command.add_argument("--seconds", type=seconds, default=1.0, help="how long to measure")
        if function is convert:
            add_conversions(command)
    arguments = parser.parse_args(argv)
    try:
        arguments.function(arguments)
    except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as error:
        print(f"convpool: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
