#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the shape of what convpool-bench --json wrote: check_json.py FILE"""
import json
import math
import sys


def number(value, least=0.0):
    assert isinstance(value, (int, float)) and math.isfinite(value) and value > least, value


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    assert report["schema"] == 1, report["schema"]
    for name in ("version", "cpu", "compiler", "options"):
        assert isinstance(report[name], str) and report[name], name
    number(report["clock_ghz"])
    assert set(report["peak_gflops"]) == set(report["peak_flop_per_cycle"]) and report["peak_gflops"]
    for peaks in (report["peak_gflops"], report["peak_flop_per_cycle"]):
        for value in peaks.values():
            number(value)
    number(report["baseline"]["published_seconds"])
    if report["baseline"]["measured_seconds"] is not None:
        number(report["baseline"]["measured_seconds"])
    assert report["results"]
    kernels = {}
    for result in report["results"]:
        kernels.setdefault(result["shape"], []).append(result["kernel"])
        for name in ("median_us", "min_us", "p90_us", "gflops", "peak_fraction", "max_error_bound_ratio"):
            number(result[name])
        assert result["min_us"] <= result["median_us"] <= result["p90_us"], result
        assert result["max_error_bound_ratio"] <= 1, result
        assert result["kernel"].split("-")[0] in report["peak_gflops"], result
        if result["speedup_published"] is not None:
            number(result["speedup_published"])
    assert len({tuple(sorted(names)) for names in kernels.values()}) == 1, kernels
    assert isinstance(report["peers"], list)
    print(f"{sys.argv[1]}: {len(report['results'])} results for {len(kernels)} layers")


if __name__ == "__main__":
    main()
