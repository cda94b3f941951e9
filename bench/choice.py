# SPDX-License-Identifier: MIT
"""How good the automatic choice is: bench/choice [--assert] [--isa NAME]... [LAYER]...

Times every kernel of each instruction set on layers as small networks have them, and prints what the chosen one takes
over what the fastest takes, of their least times: the geometric mean, and the layers where that is most. With --assert
it fails where the mean is above 1.02 or a layer above 1.10 with AVX2, 1.15 elsewhere: a check by hand, on a quiet
machine.
"""
import argparse
import json
import math
import random
import subprocess
import sys
import tempfile

BENCH = "build/bench/bench/convpool-bench"
MEAN, MOST, MOST_ELSEWHERE = 1.02, 1.10, 1.15


def networks():
    """The layers of some made-up networks: images halve and channels double, now and then without pooling, not all of
    them square; filters of 2x2 and 3x3 for the most part, with zeros around the image or without. Always the same."""
    chance = random.Random(5)
    layers = ["16x25x25:32", "1x53x53:16", "3x225x225:32", "32x13x13:64", "64x57x57:64", "128x29x29:256", "512x9x9:512"]
    for size in (10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48, 64, 96):
        for channels in (1, 3):
            height, width = size, size if chance.random() < 0.7 else max(4, int(size * chance.choice((0.5, 0.75, 1.5, 2))))
            outputs = chance.choice((8, 16, 24, 32))
            layout = chance.choice(("", ":hwc"))
            while min(height, width) >= 4:
                pooled = chance.random() < 0.7
                filter_size, stride = chance.choice(((2, 1), (2, 1), (2, 1), (3, 1), (3, 1), (3, 1), (5, 1), (1, 1), (3, 2)))
                same = filter_size > 2 and chance.random() < 0.6 or min(height, width) < 2 * filter_size + 1
                layers.append("%dx%dx%d:%d%s%s%s%s%s" % (
                    channels, height, width, outputs, "" if filter_size == 2 else ":k%dx%d" % (filter_size, filter_size),
                    "" if stride == 1 else ":s%dx%d" % (stride, stride), ":same" if same else "",
                    "" if pooled else ":none", layout))
                height, width = (((side + (stride - 1 if same else stride - filter_size)) // stride) // (2 if pooled else 1)
                                 for side in (height, width))
                if not pooled and height > 24:
                    height, width = height // 2, width // 2
                channels, outputs = outputs, chance.choice((outputs, 2 * outputs if outputs < 128 else outputs, outputs + 8))
    return list(dict.fromkeys(layers))


def time_layers(isa, layers):
    """For each layer, {kernel: microseconds} and the kernel that is chosen."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [BENCH, "--kernel", isa, "--min-time", "8", "--json", report.name]
        for layer in layers:
            command += ["--shape", layer]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        results = json.load(open(report.name, encoding="utf-8"))["results"]
    times, chosen = {}, {}
    for result in results:
        times.setdefault(result["shape"], {})[result["kernel"]] = result["min_us"]
        if result["automatic"]:
            chosen[result["shape"]] = result["kernel"]
    return times, chosen


def main():
    parser = argparse.ArgumentParser(prog="bench/choice", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assert", dest="held", action="store_true", help="fail where a limit is passed")
    parser.add_argument("--isa", action="append", help="this instruction set alone (may be repeated)")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="as convpool-bench takes it")
    options = parser.parse_args()
    info = json.loads(subprocess.run(["build/bench/tools/convpool-info", "--json"], check=True, stdout=subprocess.PIPE,
                                     encoding="utf-8").stdout)
    isas = options.isa or list(dict.fromkeys(kernel["isa"] for kernel in info["kernels"] if kernel["supported"]))
    layers, passed = options.layers or networks(), True
    for isa in isas:
        times, chosen = time_layers(isa, layers)
        losses = sorted(((times[layer][chosen[layer]] / min(times[layer].values()), layer) for layer in times), reverse=True)
        mean = math.exp(sum(math.log(loss) for loss, _ in losses) / len(losses))
        most = MOST if isa == "avx2" else MOST_ELSEWHERE
        above = [(loss, layer) for loss, layer in losses if loss > most]
        print("%s: %d layers, the chosen kernel's time over the fastest's: mean %.3f, %d above %.2f" % (
            isa, len(losses), mean, len(above), most))
        for loss, layer in above or losses[:1]:
            print("  %.2f  %-20s %s" % (loss, layer, ", ".join("%s%s %.2f us" % (
                "*" if kernel == chosen[layer] else "", kernel.split("-")[1], time)
                for kernel, time in sorted(times[layer].items()))))
        passed = passed and mean <= MEAN and not above
    return 0 if passed or not options.held else 1


if __name__ == "__main__":
    sys.exit(main())
