#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws doc/winograd.svg, the figure of doc/algorithms.md: tools/winograd_figure.py [FILE]"""
import os
import sys

WIDTH, HEIGHT = 960, 556
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

# What the classes of the drawing look like on a light and on a dark page.
LIGHT = {
    "page": "fill: #ffffff; stroke: #d0d7de",
    "text": "fill: #1f2328",
    "note": "fill: #59636e",
    "line": "stroke: #59636e; fill: none",
    "head": "fill: #59636e",
    "inputs": "fill: #cfe3fa; stroke: #6b8cae",
    "weights": "fill: #fde3c0; stroke: #b3875a",
    "sums": "fill: #bfe5c4; stroke: #6a9a72",
    "other": "fill: #ecf8ee; stroke: #6a9a72",
    "hot-inputs": "fill: #3f86d6; stroke: #2c5f99",
    "hot-weights": "fill: #ec9a3c; stroke: #a3641b",
    "hot-sums": "fill: #46a758; stroke: #2c6e3a",
    "window": "fill: none; stroke: #1f2328",
    "pixel": "fill: #e6dcf8; stroke: #1f2328",
}
DARK = {
    "page": "fill: #0d1117; stroke: #30363d",
    "text": "fill: #f0f6fc",
    "note": "fill: #a5b0bc",
    "line": "stroke: #a5b0bc; fill: none",
    "head": "fill: #a5b0bc",
    "inputs": "fill: #16304d; stroke: #5580ad",
    "weights": "fill: #4a3216; stroke: #a97b43",
    "sums": "fill: #24582f; stroke: #5c9167",
    "other": "fill: #0f2416; stroke: #5c9167",
    "hot-inputs": "fill: #4d94e6; stroke: #a9cef7",
    "hot-weights": "fill: #e6983f; stroke: #f7d3a5",
    "hot-sums": "fill: #4fb263; stroke: #b2e3bb",
    "window": "fill: none; stroke: #f0f6fc",
    "pixel": "fill: #3b2d5c; stroke: #f0f6fc",
}

out = []


def text(x, y, words, kind="note", size=13, anchor="middle", weight="normal"):
    out.append('<text x="%d" y="%d" class="%s" font-size="%d" font-weight="%s" text-anchor="%s">%s</text>' % (
        x, y, kind, size, weight, anchor, words))


def square(x, y, kind, width, height=None, stroke=1, corner=0):
    out.append('<rect x="%d" y="%d" width="%d" height="%d" rx="%d" class="%s" stroke-width="%g"/>' % (
        x, y, width, height or width, corner, kind, stroke))


def grid(x, y, rows, columns, cell, kind):
    """kind: of a cell, by its row and column."""
    for row in range(rows):
        for column in range(columns):
            square(x + column * cell, y + row * cell, kind(row, column), cell)


def sheets(x, y, side, cell, kind, hot=None):
    """A square of side x side cells in several channels; `hot` is the kind of one position, in all of them."""
    for n in (2, 1, 0):
        grid(x + 8 * n, y - 8 * n, side, side, cell,
             lambda row, column: hot if hot and (row, column) == (1, 2) else kind)


def arrow(x, y, length):
    out.append('<path d="M %d %d h %d" class="line" stroke-width="1.5"/>' % (x, y, length - 8))
    out.append('<path d="M %d %d l -10 -5 v 10 z" class="head"/>' % (x + length, y))


def step(x, y, length, above, below):
    arrow(x, y, length)
    text(x + length // 2, y - 10, above, "text")
    for n, words in enumerate(below):
        text(x + length // 2, y + 20 + 16 * n, words, size=12)


def tile():
    text(32, 38, "One tile of winograd32", "text", 16, "start", "bold")
    top, cell, middle = 104, 24, 152
    for x, side, kind, hot, name, where in (
            (40, 4, "inputs", None, "input tile", "4x4, in C channels"),
            (296, 4, "inputs", "hot-inputs", "transformed tile", "16 positions, in C channels"),
            (552, 4, "sums", "hot-sums", "products", "16 positions, in O channels"),
            (808, 3, "sums", None, "output tile", "3x3, in O channels")):
        y = top if side == 4 else top + cell // 2
        sheets(x, y, side, cell, kind, hot)
        center = x + side * cell // 2 + 8
        text(center, 76, name, "text")
        text(center, 224, where, size=12)
    step(168, middle, 112, "transform", ("32 additions", "for each input", "channel"))
    step(424, middle, 112, "x weights", ("16 multiply-adds", "for each pair of", "channels, not 36"))
    step(680, middle, 112, "transform", ("28 additions", "for each output", "channel"))


def product():
    text(32, 276, "One position of many tiles: a matrix product", "text", 16, "start", "bold")
    top, cell = 348, 16

    def matrix(x, y, rows, columns, kind, hot, hot_rows, hot_columns, name, down, across):
        grid(x, y, rows, columns, cell,
             lambda row, column: hot if row in hot_rows and column in hot_columns else kind)
        text(x + columns * cell // 2, 316, name, "text")
        text(x + columns * cell // 2, y - 8, across, size=12)
        text(x - 10, y + rows * cell // 2 + 4, down, size=12)

    matrix(56, top, 6, 5, "weights", "hot-weights", range(4), (2,), "weights", "O", "C")
    text(156, top + 52, "x", "text", 16)
    matrix(188, top, 5, 12, "inputs", "hot-inputs", (2,), range(8), "transformed", "C", "tiles")
    text(400, top + 52, "=", "text", 16)
    matrix(432, top, 6, 12, "sums", "hot-sums", range(4), range(8), "products", "O", "tiles")
    for x, rows in ((188, 5), (432, 6)):  # between vectors of four lanes
        for n in (4, 8):
            out.append('<path d="M %d %d v %d" class="line" stroke-width="2"/>' % (x + n * cell, top, rows * cell))
    for x, words in ((96, ("4 weights", "in all lanes")), (284, ("2 vectors of 4 tiles",)),
                     (528, ("8 vectors of sums, in registers", "while c runs over C channels"))):
        for n, line in enumerate(words):
            text(x, top + 118 + 16 * n, line, size=12)


def unit():
    text(664, 276, "Four tiles: one unit", "text", 16, "start", "bold")
    x, y, cell = 672, 340, 22
    text(x + 3 * cell, 316, "6x6 outputs", "text")
    grid(x, y, 6, 6, cell, lambda row, column: "sums" if (row < 3) == (column < 3) else "other")
    for row in range(3):
        for column in range(3):
            square(x + 2 * cell * column + 2, y + 2 * cell * row + 2, "window", 2 * cell - 4, stroke=2, corner=4)
    arrow(820, y + 3 * cell, 28)
    text(894, 316, "3x3 pixels", "text")
    grid(862, y + 3 * cell - 33, 3, 3, 22, lambda row, column: "pixel")
    text(x + 3 * cell, y + 154, "tiles: shades of green", size=12)
    text(x + 3 * cell, y + 170, "pooling windows: outlined", size=12)
    text(894, y + 118, "maximum,", size=12)
    text(894, y + 134, "bias, ReLU", size=12)


def style(classes):
    return "\n".join(".%s { %s }" % item for item in classes.items())


def main():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(top, "doc", "winograd.svg")
    square(1, 1, "page", WIDTH - 2, HEIGHT - 2, corner=8)
    tile()
    product()
    unit()
    text(32, 534, "winograd22 works alike, with 3x3 inputs, 9 positions and 2x2 outputs: one of its tiles is one "
         "pooling window, and a unit.", anchor="start")
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
                   'font-family="%s" role="img">\n' % (WIDTH, HEIGHT, WIDTH, HEIGHT, FONT))
        file.write("<!-- SPDX-License-Identifier: MIT; drawn by tools/winograd_figure.py -->\n")
        file.write("<title>How Winograd's algorithm computes a layer</title>\n")
        file.write("<style>\n%s\n@media (prefers-color-scheme: dark) {\n%s\n}\n</style>\n" % (
            style(LIGHT), style(DARK)))
        file.write("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
