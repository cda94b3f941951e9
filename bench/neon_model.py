# SPDX-License-Identifier: MIT
"""Models the inner loops of the NEON kernels, where there is no Arm CPU to time them on: bench/neon_model [--all]

Of the kernels that bench/neon_model has built, as kernels/meson.build has them, finds the loops that hold the
multiply-adds, and has llvm-mca simulate each on three CPUs. Prints for each loop its instructions and multiply-adds
(FMA, of four lanes) per pass, the cycles that a pass and an FMA take, the share of the model's peak, and what limits
it: the units that are busy all the time, by the model's names (V0 and V1 of N1, W and X of A57: the vector pipes; VM of
Cyclone: the vector multipliers; L: loads), or else latency, with the busiest unit. Then what that allows the seed
layer. --all adds the blocks that only remainders get.

This is a model, not a measurement. It knows the execution units, latencies and dispatch of a CPU; every load finds
its data in the L1 cache, branches are foretold, and what surrounds the loops costs nothing.

Fails where an inner loop touches the stack: those are sums that did not fit the registers.
"""
import json
import os
import re
import subprocess
import sys

FOLDER = "build/neon-model"
# What llvm-mca calls it, and what it stands for here.
CPUS = {
    "neoverse-n1": "Neoverse N1",
    "cortex-a57": "Cortex-A57 (for A72)",
    "cyclone": "Cyclone (for Apple)",
}
ITERATIONS = 1000
BRANCH = re.compile(r"(?:b\.?[a-z]{2}|b|cbn?z|tbn?z)\s+(?:.*\s)?([0-9a-f]+) <")


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="ascii", **options).stdout


def functions(listing):
    """Of objdump's listing: (name, [(address, instruction)]) for every function."""
    name, code = None, []
    for line in listing.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:", line)
        body = re.match(r" +([0-9a-f]+):\s+(\S.*)", line)
        if head:
            if name:
                yield name, code
            name, code = head[1], []
        elif body:
            code.append((int(body[1], 16), body[2].split("//")[0].strip()))
    if name:
        yield name, code


def inner_loops(code):
    """The instructions of each loop that holds multiply-adds, and no other loop or branch."""
    spans = []
    for address, instruction in code:
        branch = BRANCH.match(instruction)
        if branch and code[0][0] <= int(branch[1], 16) <= address:
            spans.append((int(branch[1], 16), address))
    for first, last in spans:
        if any((first, last) != span and first <= span[0] and span[1] <= last for span in spans):
            continue
        loop = [instruction for address, instruction in code if first <= address <= last]
        if any(instruction.startswith("fmla") for instruction in loop):
            if sum(bool(BRANCH.match(instruction)) for instruction in loop) == 1:
                yield loop


def spills(loop, code):
    """Loads and stores through sp, or through a register that the function made of it."""
    of_stack = {"sp"}
    for _, instruction in code:
        made = re.match(r"(?:add|sub|mov)\s+(x\d+), sp\b", instruction)
        if made:
            of_stack.add(made[1])
    return [instruction for instruction in loop if set(re.findall(r"\[(\w+)", instruction)) & of_stack]


def simulate(cpu, loops):
    """For each loop its cycles a pass and what limits it."""
    text = ""
    for name, loop in loops.items():
        text += "# LLVM-MCA-BEGIN %s\n" % name
        for instruction in loop:
            branch = BRANCH.match(instruction)
            if branch:
                instruction = instruction[:branch.start(1)] + "top"
            if cpu == "cyclone":
                # The model lacks the FMA by a lane of four lanes, and would take it for a move. Its units and
                # latency are those of the FMA by a vector.
                instruction = re.sub(r"(fmla.*\.4s, v\d+)\.s\[\d\]", r"\1.4s", instruction)
            text += instruction + "\n"
        text += "# LLVM-MCA-END %s\n" % name
    report = json.loads(run("llvm-mca-19", "-mtriple=aarch64", "-mcpu=" + cpu, "-iterations=%d" % ITERATIONS,
                            "-instruction-info=0", "-json", input=text))
    units = report["TargetInfo"]["Resources"]
    results = {}
    for region in report["CodeRegions"]:
        summary, pressure = region["SummaryView"], {}
        cycles = summary["TotalCycles"] / ITERATIONS
        for use in region["ResourcePressureView"]["ResourcePressureInfo"]:
            if use["InstructionIndex"] == len(region["Instructions"]):
                unit = re.sub(r"^(N1|A57|Cy)Unit|\.?[\x00-\x1f]$", "", units[use["ResourceIndex"]])
                pressure[unit] = max(pressure.get(unit, 0), use["ResourceUsage"] / cycles)
        busy = sorted(unit for unit, share in pressure.items() if share > 0.98)
        if not busy and summary["TotaluOps"] / summary["DispatchWidth"] > 0.98 * summary["TotalCycles"]:
            busy = ["dispatch"]
        if not busy:
            unit = max(pressure, key=pressure.get)
            busy = ["latency; %s (%.0f %%)" % (unit, 100 * pressure[unit])]
        results[region["Name"]] = cycles, ", ".join(busy)
    return results


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if sys.argv[1:] not in ([], ["--all"]):
        print(__doc__)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    listing = run("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", FOLDER + "/kernels/libconvpool-neon.a")
    vocabulary = open("kernels/vector/neon.h", encoding="ascii").read()
    sums, *blocks = (int(re.search(r"%s = (\d+)" % name, vocabulary)[1])
                     for name in ("tune_sums", "tune_vecs", "tune_tile_vecs"))
    products = ["product_%d_%d" % (sums // block, block) for block in dict.fromkeys(blocks)]

    loops, spilled = {}, {}
    for name, code in functions(listing):
        if re.match(r"pixel_direct_[a-z]+_\d|windows_\d|product_\d+_\d", name):
            found = list(inner_loops(code))
            # There are groups and blocks that are more than a vocabulary's.
            assert found or name.startswith(("product_", "windows_")), "no inner loop in " + name
            for n, loop in enumerate(found):
                key = name if n == 0 else "%s, %d" % (name, n + 1)  # GCC made several of it
                loops[key] = loop
                spilled[key] = spills(loop, code)
    direct = max(name for name in loops if re.fullmatch(r"pixel_direct_pooled_\d", name))
    windows = max(name for name in loops if re.fullmatch(r"windows_\d", name))
    others = [direct.replace("pooled", kind) for kind in ("filters", "squares", "points")]
    whole = [direct, *others, windows, *products]
    shown = list(loops) if "--all" in sys.argv else whole

    print("Modelled by %s, compiled by %s; nothing here was measured." % (
        re.search(r"LLVM version \S+", run("llvm-mca-19", "--version"))[0],
        run("aarch64-linux-gnu-gcc", "--version").splitlines()[0]))
    print("%-27s %5s %4s %6s  %-20s %6s %10s %8s  %s" % (
        "inner loop", "instr", "FMA", "spills", "model", "cycles", "cycles/FMA", "of peak", "limited by"))
    independent = ["fmla v%d.4s, v30.4s, v31.4s" % n for n in range(24)]
    models = {}
    for cpu in CPUS:
        results = simulate(cpu, dict(loops, independent=independent))
        models[cpu] = round(len(independent) / results["independent"][0]), results
    for name in shown:
        fmas = sum(instruction.startswith("fmla") for instruction in loops[name])
        left = "%-27s %5d %4d %6d" % (name, len(loops[name]), fmas, len(spilled[name]))
        for cpu, title in CPUS.items():
            peak, results = models[cpu]
            cycles, busy = results[name]
            print("%-45s %-20s %6.2f %10.3f %7.0f%%  %s" % (
                left, title, cycles, cycles / fmas, 100 * fmas / cycles / peak, busy))
            left = ""

    print()
    print("Modelled upper bounds of the rate on the seed layer, 16x25x25:32, over the FMA peak: the share above, times")
    print("36/16 or 16/9 where Winograd's algorithm saves that many multiplications. The transforms come on top.")
    for cpu, title in CPUS.items():
        peak, results = models[cpu]
        bounds = []
        for algorithm, name, saves in (("direct", direct, 1), ("winograd22", windows, 16 / 9),
                                       ("winograd32", products[-1], 36 / 16)):
            fmas = sum(instruction.startswith("fmla") for instruction in loops[name])
            bounds.append("%s %.2f" % (algorithm, saves * fmas / results[name][0] / peak))
        print("  %-20s  peak %d FMA a cycle: %s" % (title, peak, ", ".join(bounds)))

    failed = [name for name in loops if spilled[name]]
    for name in failed:
        print("%s spills: %s" % (name, "; ".join(spilled[name])), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
