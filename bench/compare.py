#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What two reports of convpool-bench --json say differs: compare.py BEFORE.json AFTER.json [--tolerance PERCENT]

Row by row, AFTER's time over BEFORE's. On one kind of CPU it is the time in units of the peak that was measured in the
same rounds, which a wandering clock and a busy neighbour change little; on two kinds it is the time itself. The ratio
is the median over all pairs of parts of the two measurements, with its 99 % interval (J. Hodges and E. Lehmann,
Estimates of location based on rank tests, 1963). Where the interval holds 1 the difference is noise. Exit status 1
where something got slower by more than the tolerance and it is no noise, 2 where a file is none of those.
"""
import argparse
import json
import math
import sys


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        rows = {}
        for kind in ("results", "networks"):
            for row in report.get(kind, ()):
                key = (row.get("shape") or row["network"], row["kernel"], row["threads"])
                rows[key] = (row["median_us"], row["part_medians_us"], row["part_peak_fractions"])
        identity = tuple(report[name] for name in ("cpu", "vendor", "family", "model"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{path}: no report of convpool-bench --json ({type(error).__name__}: {error})", file=sys.stderr)
        sys.exit(2)
    return report, identity, rows


def interval(before, after):
    """The median of all ratios, and the bounds between which it is with 99 %: as many ratios are left out at either end
    as the rank sum of two samples of one kind leaves with 0.5 %."""
    ratios = sorted(b / a for a in before for b in after)
    n, m = len(before), len(after)
    out = max(0, int(n * m / 2 - 2.576 * math.sqrt(n * m * (n + m + 1) / 12)))
    middle = len(ratios) // 2
    return (ratios[middle] + ratios[~middle]) / 2, ratios[out], ratios[~out]


def verdict(ratio, low, high, tolerance):
    if low <= 1 <= high:
        return "noise"
    if ratio < 1:
        return "faster"
    return "SLOWER" if ratio > 1 + tolerance else "slower, within the tolerance"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="BEFORE.json")
    parser.add_argument("after", metavar="AFTER.json")
    parser.add_argument("--tolerance", type=float, default=5, metavar="PERCENT", help="5 unless given")
    arguments = parser.parse_args()
    (first, cpu, before), (second, other_cpu, after) = read(arguments.before), read(arguments.after)
    for name, report in (("before", first), ("after", second)):
        print(f"{name + ':':8} {report['version']}, commit {report['commit']}, {report['cpu']}, {report['date']}")
    same = cpu == other_cpu
    print("One kind of CPU: times are compared in units of the peak in the same rounds." if same else
          "Two kinds of CPU: times themselves are compared.")
    common = [key for key in before if key in after]
    if not common:
        print("no row is in both", file=sys.stderr)
        sys.exit(2)
    print(f"\n{'layer or network':26} {'kernel':18} {'before us':>10} {'after us':>10}  {'after / before, 99 %':24}")
    ratios, slower = [], 0
    for key in common:
        (old_us, old_times, old_peaks), (new_us, new_times, new_peaks) = before[key], after[key]
        found = interval([1 / x for x in old_peaks], [1 / x for x in new_peaks]) if same else interval(old_times, new_times)
        says = verdict(*found, arguments.tolerance / 100)
        slower += says == "SLOWER"
        ratios.append(found[0])
        name = key[1] if key[2] == 1 else f"{key[1]} x{key[2]}"
        print(f"{key[0]:26} {name:18} {old_us:10.2f} {new_us:10.2f}  {found[0]:6.3f} ({found[1]:.3f} to {found[2]:.3f})  {says}")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"\n{len(common)} rows: geometric mean {mean:.3f}; {slower} slower by more than {arguments.tolerance:g} %")
    for name, rows, others in (("before", before, after), ("after", after, before)):
        alone = sum(key not in others for key in rows)
        if alone:
            print(f"{alone} rows are in the file {name} alone")
    sys.exit(slower > 0)


if __name__ == "__main__":
    main()
