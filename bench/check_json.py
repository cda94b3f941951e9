#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the shape of what convpool-bench --json wrote: check_json.py FILE [KERNEL], which times that kernel alone"""
import json
import math
import sys


def number(value, least=0.0):
    assert isinstance(value, (int, float)) and math.isfinite(value) and value > least, value


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    assert report["schema"] == 1, report["schema"]
    for name in ("version", "cpu", "compiler", "options", "flags", "commit", "date", "os"):
        assert isinstance(report[name], str) and report[name], name
    assert len(report["cache_bytes"]) == 3 and isinstance(report["features"], list), report
    for name in ("family", "model", "stepping"):
        assert isinstance(report[name], int), name
    number(report["clock_ghz"])
    assert set(report["peak_gflops"]) == set(report["peak_flop_per_cycle"]) and report["peak_gflops"]
    for peaks in (report["peak_gflops"], report["peak_flop_per_cycle"]):
        for value in peaks.values():
            number(value)
    number(report["baseline"]["published_seconds"])
    for name in ("measured_seconds", "best_numpy_seconds"):
        if report["baseline"][name] is not None:
            number(report["baseline"][name])
    assert report["results"] or report["networks"]
    for result in report["results"] + report["networks"]:
        for name in ("part_medians_us", "part_peak_fractions"):
            assert len(result[name]) == 8, result
            for value in result[name]:
                number(value)
    for result in report["networks"]:
        for name in ("median_us", "min_us", "p90_us", "gflops", "peak_fraction", "stages", "multiply_adds"):
            number(result[name])
        assert result["network"] and result["kernel"] in report["peak_gflops"], result
        assert 0 <= result["largest_difference"] <= 1e-5, result
    kernels, automatic = {}, {}
    for result in report["results"]:
        kernels.setdefault(result["shape"], []).append(result["kernel"])
        for name in ("median_us", "min_us", "p90_us", "gflops", "peak_fraction", "max_error_bound_ratio"):
            number(result[name])
        assert result["min_us"] <= result["median_us"] <= result["p90_us"], result
        assert result["max_error_bound_ratio"] <= 1, result
        assert result["kernel"].split("-")[0] in report["peak_gflops"], result
        if result["speedup_published"] is not None:
            number(result["speedup_published"])
        if result["automatic"]:
            automatic.setdefault((result["shape"], result["kernel"].split("-")[0]), set()).add(result["kernel"])
        number(result["threads"])
        if result["cold_median_us"] is not None:
            number(result["cold_median_us"])
    assert all(len(names) == 1 for names in automatic.values()), automatic
    if all(result["threads"] == 1 for result in report["results"]):
        assert len({tuple(sorted(names)) for names in kernels.values()}) == 1, kernels
    for name in sys.argv[2:]:
        assert all(set(names) == {name} for names in kernels.values()), kernels
    peers = {}
    for peer in report["peers"]:
        peers.setdefault(peer["shape"], []).append((peer["isa"], peer["peer"]))
        for name in ("median_us", "min_us", "p90_us", "peak_fraction", "ratio", "max_error_bound_ratio"):
            number(peer[name])
        assert peer["min_us"] <= peer["median_us"] <= peer["p90_us"], peer
        assert peer["max_error_bound_ratio"] <= 1, peer
        assert peer["isa"] in report["peak_gflops"], peer
        assert peer["fastest_kernel"] in kernels[peer["shape"]], peer
        assert peer["fastest_kernel"].split("-")[0] == peer["isa"], peer
        assert peer["layout"] and peer["set_up"], peer
    assert len({tuple(sorted(names)) for names in peers.values()}) <= 1 and peers.keys() <= kernels.keys(), peers
    print(f"{sys.argv[1]}: {len(report['results'])} results for {len(kernels)} layers, {len(report['peers'])} of peers")


if __name__ == "__main__":
    main()
