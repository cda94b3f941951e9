# SPDX-License-Identifier: MIT
"""A page on which a network runs in its visitor's browser."""

from __future__ import annotations

import json
import math
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from ._network import Network

LIBRARY = ("convpool.js", "convpool.wasm", "convpool-scalar.wasm", "LICENSES.txt")
PAGE = ("index.html", "page.css", "page.js")


def _find(name: str) -> pathlib.Path:
    here = pathlib.Path(__file__).parent
    places = (here / "web", *(here.parents[1] / "web" / folder for folder in ("dist", "page")))  # installed, or not
    for place in places:
        if (place / name).is_file():
            return place / name
    raise RuntimeError(f"{name} is missing from this installation of convpool")


def write(
    network: Network,
    folder: str,
    *,
    title: str,
    text: str = "",
    classes: Sequence[str] = (),
    scale: Sequence[float] = (1 / 255,),
    offset: Sequence[float] = (0.0,),
    fit: str = "crop",
    draw: bool | None = None,
) -> None:
    """Writes the page's files. A pixel, 0 to 255, comes in as `pixel * scale + offset`, by channel or alike."""
    channels, height, width = network._shape
    if len(network.input_shape) != 3 or channels not in (1, 3) or height * width == 1:
        raise ValueError(f"a page needs an image, of one channel or three, not {network.input_shape}")
    outputs = math.prod(network.output_shape)
    if len(classes) not in (0, outputs):
        raise ValueError(f"{len(classes)} classes are named, but {outputs} numbers come out")
    for what, numbers in (("scale", scale), ("offset", offset)):
        if len(numbers) not in (1, channels):
            raise ValueError(f"{what} must be a number, or one for each of {channels} channels, not {list(numbers)}")
    page: dict[str, Any] = {"title": title, "text": text, "classes": list(classes), "scale": list(scale)}
    page.update({"offset": list(offset), "fit": fit}, **({} if draw is None else {"draw": draw}))
    to = pathlib.Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    for name in LIBRARY + PAGE:
        shutil.copyfile(_find(name), to / name)
    network.save(to / "network.npz")
    (to / "page.json").write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
