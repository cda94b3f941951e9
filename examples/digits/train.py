#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws images of digits, trains the network of digits.c on them, and checks digits.c against NumPy.

The network: image [1][27][27], grey in 0 to 1
    -> layer 1, 2x2 cross-correlation, bias, 2x2 max-pooling, ReLU: [8][13][13]
    -> layer 2, the same: [16][6][6]
    -> dense layer and softmax: [10]
N is the number of images in a batch.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

SIDE, CHANNELS1, CHANNELS2, FEATURES = 27, 8, 16, 16 * 6 * 6
HELD_OUT_IMAGES, STEPS, BATCH, RATE = 2000, 3000, 64, 0.008
PAIRS = ((0, 0), (0, 1), (1, 0), (1, 1))
TRAINING_SEED, HELD_OUT_SEED = 1, 2
SHAPES = {"layer1_weights": (CHANNELS1, 1, 2, 2), "layer1_bias": (CHANNELS1,),
          "layer2_weights": (CHANNELS2, CHANNELS1, 2, 2), "layer2_bias": (CHANNELS2,),
          "dense_weights": (10, FEATURES), "dense_bias": (10,)}

# Ways to write each digit. A pair of figures is a pen position, x then y downwards, a comma lifts the pen; the stroke
# rounds its corners, except where a position is given twice.
GLYPHS = (
    ("40 80 89 09 00 40", "60 20 05 09 79 84 80 50"),
    ("40 49", "13 40 40 49", "12 40 40 49,19 79"),
    ("02 00 80 84 09 09 89", "02 00 80 84 29 07 27 89", "00 80 80 85 07 09 89"),
    ("01 00 80 84 34 34 84 89 09 08", "00 80 80 34 34 94 89 19 08"),
    ("60 06 06 86,60 69", "10 05 05 85,62 69", "10 06 55 81 81 69"),
    ("80 10 10 04 04 83 89 49 08", "10 04 94 89 09,10 80"),
    ("70 00 09 89 84 14 06", "60 03 09 79 85 05 07"),
    ("00 80 80 39", "02 00 00 80 80 49", "00 80 80 29,15 75"),
    ("40 00 04 85 89 09 05 84 80 40", "40 80 84 04 00 40,44 94 99 09 04 44"),
    ("82 80 00 05 85 81 81 69", "82 80 00 05 85 80 89 09"),
)


def pen_strokes(glyph, rng):
    """The S straight pieces of a glyph, in some hand: starts and ways, [S][1][1] each, complex x + iy in pixels."""
    turn, slant = np.exp(1j * rng.normal(0, 0.13)), rng.normal(0.1, 0.2)
    width, height = rng.uniform(3.5, 7.5), rng.uniform(6.5, 10.5)
    wave, phase, wobble = rng.uniform(-2.5, 2.5, (2, 2)), rng.uniform(0, 2 * np.pi, 2), rng.uniform(0, 0.17, 2)
    centre = complex(*rng.uniform(-2.5, 2.5, 2)) + SIDE / 2 * (1 + 1j)
    starts, ways = [], []
    for stroke in glyph.split(","):
        points = np.array([[int(x), int(y)] for x, y in stroke.split()]) / (4.0, 4.5) - 1
        for _ in range(2):  # Chaikin's rounding: every side loses a quarter at both ends
            cut = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1)
            points = np.concatenate([points[:1], cut.reshape(-1, 2), points[-1:]])
        x, y = (points + wobble * np.sin(points @ wave + phase)).T
        points = (width * x + height * (1j - slant) * y) * turn + centre
        starts.append(points[:-1])
        ways.append(points[1:] - points[:-1])
    return [np.concatenate(parts).astype(np.complex64)[:, np.newaxis, np.newaxis] for parts in (starts, ways)]


def draw(digit, rng):
    """One image of a digit, uint8 [27][27], light on dark."""
    starts, ways = pen_strokes(GLYPHS[digit][rng.randint(len(GLYPHS[digit]))], rng)
    middles = np.arange(SIDE, dtype=np.float32) + 0.5
    x, y, way_x, way_y = middles - starts.real, middles[:, np.newaxis] - starts.imag, ways.real, ways.imag
    along = np.clip((x * way_x + y * way_y) / np.maximum(way_x * way_x + way_y * way_y, 1e-6), 0, 1)  # [S][27][27]
    distance = np.sqrt(((x - along * way_x) ** 2 + (y - along * way_y) ** 2).min(axis=0))
    ink = np.clip((rng.uniform(0.6, 2) - distance) / rng.uniform(1, 2.4) + 0.5, 0, 1)
    tilt_x, tilt_y = rng.uniform(-0.006, 0.006, 2)
    paper = rng.uniform(0, 0.35) + tilt_x * (middles - SIDE / 2) + tilt_y * (middles[:, np.newaxis] - SIDE / 2)
    grey = paper + rng.uniform(0.35, 0.8) * ink + rng.normal(0, rng.uniform(0.02, 0.12), ink.shape)
    return np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def draw_set(count, rng):
    """Images, uint8 [count][27][27], and their classes [count]."""
    images, classes = np.empty((count, SIDE, SIDE), np.uint8), np.empty(count, int)
    for i in range(count):
        classes[i] = rng.randint(10)
        images[i] = draw(classes[i], rng)
    return images, classes


def as_input(images):
    """uint8 [N][27][27] -> float32 [N][1][27][27]"""
    return images[:, np.newaxis].astype(np.float32) / np.float32(255)


def layer(x, weights, bias):
    """x [N][C][H][W], weights [O][C][2][2], bias [O] -> y [N][O][P][Q] and what layer_gradients() needs.

    P = (H - 1) / 2, Q = (W - 1) / 2, H and W odd. The four places in a pooling window are along axis 0 of the sums.
    """
    n, c, h, w = x.shape
    windows = np.stack([np.stack([x[:, :, i + u:i + u + h - 2:2, j + v:j + v + w - 2:2] for u, v in PAIRS], axis=2)
                        for i, j in PAIRS]).reshape(4, n, 4 * c, -1)
    sums = weights.reshape(len(weights), -1) @ windows + bias[:, np.newaxis]  # [4][N][O][PQ]
    y = np.maximum(sums.max(axis=0), 0)
    return y.reshape(n, -1, (h - 1) // 2, (w - 1) // 2), (x.shape, windows, sums, y)


def layer_gradients(dy, weights, kept):
    """dy as y of layer() -> the gradients dx, dweights, dbias."""
    (n, c, h, w), windows, sums, y = kept
    largest = sums == y  # in no place where ReLU made a 0
    dsums = largest * (dy.reshape(y.shape) / np.maximum(largest.sum(axis=0, dtype=np.float32), 1))
    dweights = (dsums @ windows.swapaxes(2, 3)).sum(axis=(0, 1)).reshape(weights.shape)
    dwindows = (weights.reshape(len(weights), -1).T @ dsums).reshape(4, n, c, 4, (h - 1) // 2, (w - 1) // 2)
    dx = np.zeros((n, c, h, w), np.float32)
    for place, (i, j) in enumerate(PAIRS):
        for weight, (u, v) in enumerate(PAIRS):
            dx[:, :, i + u:i + u + h - 2:2, j + v:j + v + w - 2:2] += dwindows[place, :, :, weight]
    return dx, dweights, dsums.sum(axis=(0, 1, 3))


def network(x, p):
    """x [N][1][27][27] -> probabilities [N][10] and what network_gradients() needs."""
    y1, kept1 = layer(x, p["layer1_weights"], p["layer1_bias"])
    y2, kept2 = layer(y1, p["layer2_weights"], p["layer2_bias"])
    features = y2.reshape(len(x), FEATURES)
    scores = features @ p["dense_weights"].T + p["dense_bias"]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), (kept1, kept2, features)


def network_gradients(probabilities, classes, p, kept):
    """The gradients of the mean cross-entropy, by name."""
    kept1, kept2, features = kept
    dscores = (probabilities - np.eye(10, dtype=np.float32)[classes]) / np.float32(len(classes))
    dy2 = dscores @ p["dense_weights"]
    dy1, dweights2, dbias2 = layer_gradients(dy2, p["layer2_weights"], kept2)
    _, dweights1, dbias1 = layer_gradients(dy1, p["layer1_weights"], kept1)
    return {"layer1_weights": dweights1, "layer1_bias": dbias1, "layer2_weights": dweights2, "layer2_bias": dbias2,
            "dense_weights": dscores.T @ features, "dense_bias": dscores.sum(axis=0)}


def classify(images, p):
    """uint8 [N][27][27] -> probabilities [N][10]"""
    return np.concatenate([network(as_input(images[i:i + BATCH]), p)[0] for i in range(0, len(images), BATCH)])


def train(folder, steps=STEPS):
    """Draws every batch anew, so that no image is seen twice; writes the weights. Are they any good?"""
    os.makedirs(folder, exist_ok=True)  # before the work, so that a bad name is seen at once
    rng = np.random.RandomState(TRAINING_SEED)
    p = {}
    for name, shape in SHAPES.items():  # weights as K. He et al., 2015; biases 0
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0
        p[name] = (scale * rng.normal(size=shape)).astype(np.float32)
    mean, square = ({name: np.zeros_like(p[name]) for name in p} for _ in range(2))
    right = 0
    for step in range(1, steps + 1):
        images, classes = draw_set(BATCH, rng)
        probabilities, kept = network(as_input(images), p)
        right += (probabilities.argmax(axis=1) == classes).sum()
        rate = RATE * (1 - (step - 1) / steps) * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
        for name, gradient in network_gradients(probabilities, classes, p, kept).items():
            mean[name] += np.float32(0.1) * (gradient - mean[name])  # Adam, its rate falling to 0
            square[name] += np.float32(0.001) * (gradient * gradient - square[name])
            p[name] -= np.float32(rate) * mean[name] / (np.sqrt(square[name]) + np.float32(1e-8))
        if step % 200 == 0:
            print(f"{step * BATCH} images: {right / (200 * BATCH):.1%} of the last {200 * BATCH} right", flush=True)
            right = 0
    for name in p:
        np.save(os.path.join(folder, name + ".npy"), p[name])
    images, classes = draw_set(HELD_OUT_IMAGES, np.random.RandomState(HELD_OUT_SEED))
    right = (classify(images, p).argmax(axis=1) == classes).mean()
    print(f"{right:.2%} of {HELD_OUT_IMAGES} held-out images right")
    return right > 0.95


def write_images(folder, count):
    """Writes held-out images as binary PGM files; returns their names, the images and their classes."""
    images, classes = draw_set(count, np.random.RandomState(HELD_OUT_SEED))
    names = [f"{i:05}-{digit}.pgm" for i, digit in enumerate(classes)]
    os.makedirs(folder, exist_ok=True)
    for name, image in zip(names, images):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"P5\n%d %d\n255\n" % (SIDE, SIDE) + image.tobytes())
    return names, images, classes


def check(command):
    """Runs a program, the last word of command, on held-out images: are its classes NumPy's, and mostly right?"""
    folder = os.path.dirname(os.path.abspath(__file__))
    p = {name: np.load(os.path.join(folder, name + ".npy")) for name in SHAPES}
    command = command[:-1] + [os.path.abspath(command[-1])]
    output = ""
    with tempfile.TemporaryDirectory() as temporary:
        names, images, classes = write_images(temporary, HELD_OUT_IMAGES)
        for i in range(0, len(names), 500):  # Windows has at most 32767 characters for a command
            output += subprocess.run(command + names[i:i + 500], cwd=temporary, stdout=subprocess.PIPE, check=True,
                                     universal_newlines=True).stdout
    lines = [re.fullmatch(r"(\S+): (\d) \((\d\.\d{3})\)", line) for line in output.splitlines()]
    if not all(lines) or [line[1] for line in lines] != names:
        print("the program's output is not one line for each file, in order")
        return False
    probabilities, program = classify(images, p), np.array([int(line[2]) for line in lines])
    numpy, likeliest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for i in np.flatnonzero(program != numpy):
        print(f"{names[i]}: the program says {program[i]}, NumPy {numpy[i]} ({likeliest[i]:.3f})")
    print(f"NumPy has {(numpy == classes).mean():.2%} of {len(names)} held-out images right, the program "
          f"{(program == classes).mean():.2%}; {(program != numpy).sum()} of their classes differ, and the "
          f"probabilities by at most {abs(likeliest - [float(line[3]) for line in lines]).max():.4f}")
    return (program == numpy).all() and (program == classes).mean() > 0.95


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("train", help="train the network and write its weights, in a minute or two")
    sub.add_argument("folder", help="where the .npy files go")
    sub.add_argument("--steps", type=int, default=STEPS, help=f"of {BATCH} images each; default: %(default)s")
    sub = commands.add_parser("images", help="write held-out images, named INDEX-CLASS.pgm")
    sub.add_argument("folder")
    sub.add_argument("count", nargs="?", type=int, default=HELD_OUT_IMAGES, help="default: %(default)s")
    sub = commands.add_parser("check", help="compare a program's answers on held-out images with NumPy's and the truth")
    sub.add_argument("program", nargs=argparse.REMAINDER, help="digits, or words to run it by: wine64 digits.exe")
    arguments = parser.parse_args()
    if arguments.command == "train":
        sys.exit(0 if train(arguments.folder, arguments.steps) else 1)
    elif arguments.command == "images":
        write_images(arguments.folder, arguments.count)
    elif not arguments.program:
        parser.error("check needs a program")
    elif not check(arguments.program):
        sys.exit(1)


if __name__ == "__main__":
    main()
