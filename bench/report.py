#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what convpool-bench --json wrote as one page of HTML: report.py REPORT.json PAGE.html; REPORT may be -

The page needs nothing else: no script, no font, no picture. It has bars for all that the report holds, in light and
dark, and is as wide as its window.
"""
import html
import json
import math
import sys

STYLE = """
:root { color-scheme: light dark; --ground: #fcfcfa; --text: #1c1d22; --quiet: #62656f; --line: #dcdcd6; --bar: #8fa3bf;
  --ours: #c2571a; }
@media (prefers-color-scheme: dark) { :root { --ground: #16171b; --text: #e8e8e4; --quiet: #9a9da6; --line: #34363d;
  --bar: #55647c; --ours: #e08a4c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 58rem; background: var(--ground); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
p { margin: .2rem 0 .6rem; color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .8rem 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: 10.5rem 1fr 13rem; gap: .6rem; align-items: center; padding: .12rem 0;
  border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
.name { overflow-wrap: anywhere; } .value { text-align: right; white-space: nowrap; }
.value small { color: var(--quiet); }
.track { height: .8rem; } .bar { height: 100%; min-width: 2px; background: var(--bar); border-radius: 0 3px 3px 0; }
.ours .bar { background: var(--ours); } .ours .name { font-weight: 600; }
@media (max-width: 40rem) { body { font-size: 15px; } .row { grid-template-columns: 1fr max-content; row-gap: 0; }
  .track { grid-column: 1 / 3; grid-row: 2; margin-bottom: .25rem; } }
"""


def text(value):
    return html.escape(str(value))


def time(microseconds):
    """With three digits, in the unit that suits."""
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1)):
        if microseconds >= size or unit == "µs":
            value = microseconds / size
            return f"{value:.{max(0, 2 - int(math.floor(math.log10(max(value, 0.01)))))}f} {unit}"


def row(name, share, value, note="", ours=False):
    """A bar of this share of the width."""
    note = f" <small>{text(note)}</small>" if note else ""
    return (f'<div class="row{" ours" if ours else ""}"><span class="name">{text(name)}</span>'
            f'<div class="track"><div class="bar" style="width:{100 * min(max(share, 0), 1):.1f}%"></div></div>'
            f'<span class="value">{text(value)}{note}</span></div>\n')


def groups(rows, key):
    """{what a row is of: its rows}, in order."""
    found = {}
    for one in rows:
        found.setdefault(one[key], []).append(one)
    return found


def machine(report):
    caches = " / ".join(f"{size // 1024} KiB" for size in report["cache_bytes"] if size) or "unknown"
    identity = f"{report['vendor']}, family {report['family']}, model {report['model']}, stepping {report['stepping']}"
    peaks = ", ".join(f"{isa} {rate:.0f} GFLOP/s ({report['peak_flop_per_cycle'][isa]:.1f} a cycle)"
                      for isa, rate in report["peak_gflops"].items())
    facts = (("CPU", report["cpu"]), ("", identity if report["vendor"] else ""), ("features", " ".join(report["features"])),
             ("caches", caches), ("clock", f"about {report['clock_ghz']:.2f} GHz"), ("measured peaks", peaks),
             ("system", report["os"]), ("compiler", report["compiler"]), ("options", report["options"]),
             ("flags", report["flags"]), ("commit", report["commit"]), ("date", report["date"]))
    return "<h2>Machine</h2>\n<dl>" + "".join(
        f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts if value) + "</dl>\n"


def seed_layer(report):
    """What the project is measured against, on a logarithmic scale."""
    rows = [one for one in report["results"] if one["speedup_published"] and one["threads"] == 1]
    if not rows:
        return ""
    baseline = report["baseline"]
    bars = [("NumPy/SciPy, as published", baseline["published_seconds"] * 1e6, False)]
    for name, key in (("that program, here", "measured_seconds"), ("the best NumPy known, here", "best_numpy_seconds")):
        if baseline[key]:
            bars.append((name, baseline[key] * 1e6, False))
    for isa, kernels in groups([dict(one, isa=one["kernel"].split("-")[0]) for one in rows], "isa").items():
        chosen = next((one for one in kernels if one["automatic"]), kernels[0])
        bars.append((chosen["kernel"], chosen["median_us"], True))
    bars.sort(key=lambda bar: -bar[1])
    least, fastest = math.log(bars[-1][1]) - 1, min(bar[1] for bar in bars if bar[2])
    scale = math.log(bars[0][1]) - least
    return ("<h2>The seed layer</h2>\n<p>16x25x25:32: 2x2 convolution and bias, 2x2 max-pooling, ReLU. Bars are logarithmic; "
            "in brackets, times the fastest.</p>\n" + "".join(
                row(name, (math.log(value) - least) / scale, time(value), f"({value / fastest:,.{0 if value > 99 * fastest else 1}f}x)", ours)
                for name, value, ours in bars))


def layers(report):
    rows = [one for one in report["results"] if one["threads"] == 1]
    if not rows:
        return ""
    most = max(max(one["peak_fraction"] for one in rows), 1)
    page = ("<h2>Layers</h2>\n<p>Bars are fractions of the instruction set's peak, in the operations of a direct "
            "convolution: Winograd's algorithms need fewer, and may pass 1. The choice at each instruction set is "
            f"marked. The full width is {most:.2f}.</p>\n")
    for shape, kernels in groups(rows, "shape").items():
        page += f"<h3>{text(shape)}</h3>\n" + "".join(
            row(one["kernel"], one["peak_fraction"] / most, f"{one['peak_fraction']:.2f}",
                "  " + time(one["median_us"]) + (f", cold {time(one['cold_median_us'])}" if one["cold_median_us"] else ""),
                one["automatic"]) for one in kernels)
    return page


def threads(report):
    page = ""
    for shape, rows in groups([one for one in report["results"] if one["threads"] > 1], "shape").items():
        alone = [one for one in report["results"] if one["shape"] == shape and one["threads"] == 1]
        slowest = max(one["median_us"] for one in alone + rows)
        page += f"<h3>{text(shape)}</h3>\n" + "".join(
            row(f"{one['kernel']}, {one['threads']} threads", one["median_us"] / slowest, time(one["median_us"]))
            for one in alone + rows)
    return "<h2>Threads</h2>\n<p>Bars are times.</p>\n" + page if page else ""


def networks(report):
    page = ""
    for name, rows in groups(report.get("networks", ()), "network").items():
        slowest = max(one["median_us"] for one in rows)
        page += f"<h3>{text(name)}: {rows[0]['stages']} stages, {rows[0]['multiply_adds'] / 1e6:.2f} million " \
            "multiplications</h3>\n" + "".join(
                row(one["kernel"], one["median_us"] / slowest, time(one["median_us"]), f"{one['peak_fraction']:.2f} of peak",
                    one is rows[0]) for one in rows)
    return "<h2>Whole networks</h2>\n<p>One image, by each instruction set. Bars are times.</p>\n" + page if page else ""


def peers(report):
    page = ""
    for (shape, isa), rows in groups([dict(one, of=(one["shape"], one["isa"])) for one in report["peers"]], "of").items():
        bars = [(1.0, rows[0]["fastest_kernel"], True)] + sorted((one["ratio"], one["peer"], False) for one in rows)
        most = max(bar[0] for bar in bars)
        page += f"<h3>{text(shape)}, {text(isa)}</h3>\n" + "".join(
            row(name, ratio / most, f"{ratio:.2f}x", "", ours) for ratio, name, ours in bars)
    return ("<h2>Beside other libraries</h2>\n<p>Time over the fastest kernel's, on one thread, at the same instruction "
            "set.</p>\n" + page if page else "")


def page(report):
    return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
            "content=\"width=device-width, initial-scale=1\">\n"
            f"<title>convpool {text(report['version'])} on {text(report['cpu'])}</title>\n<style>{STYLE}</style></head>\n<body>\n"
            f"<h1>convpool {text(report['version'])} on {text(report['cpu'])}</h1>\n"
            "<p>Medians, of samples taken by turns, each result verified first.</p>\n"
            + seed_layer(report) + networks(report) + peers(report) + threads(report) + layers(report) + machine(report)
            + "</body></html>\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    if source == "-":
        report = json.load(sys.stdin)
    else:
        with open(source, encoding="utf-8") as file:
            report = json.load(file)
    whole = page(report)
    with open(target, "w", encoding="utf-8") as file:
        file.write(whole)


if __name__ == "__main__":
    main()
