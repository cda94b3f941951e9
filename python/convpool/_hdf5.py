# SPDX-License-Identifier: MIT
"""Reads an HDF5 file in a process of its own: there are damaged files at which HDF5 never ends, or crashes.

The process runs this file as a program, and needs NumPy and h5py alone.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from typing import Any

SECONDS = 30
MOST_NUMBERS = 1 << 27  # of all datasets
MOST_BYTES = 6 << 30  # of memory, where there are limits


@dataclasses.dataclass
class Group:
    """A group: what is in it, by name, and its attributes that are texts."""

    children: dict[str, Group | Any] = dataclasses.field(default_factory=dict)
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)

    def group(self, name: str) -> Group | None:
        """The group of this name, if there is one."""
        child = self.children.get(name)
        return child if isinstance(child, Group) else None

    def arrays(self) -> dict[str, Any]:
        """All datasets below, by the last part of their names."""
        found: dict[str, Any] = {}
        for name, child in self.children.items():
            found.update(child.arrays() if isinstance(child, Group) else {name: child})
        return found


def read(path: str | None, content: bytes = b"") -> Group:
    """The file at this path, or of this content; ValueError where it is none, or damaged."""
    if getattr(sys, "frozen", False) or not sys.executable:  # a program that holds its own Python
        return unpack(pack(path, content))
    command = [sys.executable, os.path.abspath(__file__), *([path] if path is not None else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        ended = subprocess.run(
            command, input=content, capture_output=True, timeout=SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"HDF5 did not end in {SECONDS} seconds: the file is damaged") from None
    if ended.returncode != 0 or not ended.stdout:
        lines = ended.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"not a readable HDF5 file: {lines[-1] if lines else 'HDF5 crashed'}")
    return unpack(ended.stdout)


def unpack(packed: bytes) -> Group:
    """What pack() has made."""
    import numpy as np

    root = Group()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        listing = json.loads(str(arrays["listing"]))
        for path, attributes in listing["groups"]:
            group = root
            for part in path:
                child = group.children.setdefault(part, Group())
                assert isinstance(child, Group)
                group = child
            group.attributes = attributes
        for index, path in enumerate(listing["datasets"]):
            group = root
            for part in path[:-1]:
                child = group.children[part]
                assert isinstance(child, Group)
                group = child
            group.children[path[-1]] = arrays[str(index)]
    return root


def pack(path: str | None, content: bytes) -> bytes:
    """Every group and dataset of a file but the optimizer's, as an .npz file."""
    import h5py
    import numpy as np

    groups: list[Any] = []
    datasets: list[Any] = []
    arrays: dict[str, Any] = {}
    held = [0]

    def walk(group: Any, at: list[str]) -> None:
        if len(at) > 100 or len(groups) > 100000:
            raise ValueError("too many groups")
        attributes = {}
        for key in ("model_config", "keras_version", "backend", "name"):
            value = group.attrs.get(key) if key in group.attrs else None
            if isinstance(value, (str, bytes, np.bytes_, np.str_)):
                attributes[key] = value.decode() if isinstance(value, bytes) else str(value)
        groups.append((at, attributes))
        for name in group:
            if name in ("optimizer_weights", "optimizer"):
                continue
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"{name!r} lies in another file")
            if not isinstance(link, h5py.HardLink):
                continue
            child = group[name]
            if isinstance(child, h5py.Group):
                walk(child, [*at, name])
            elif isinstance(child, h5py.Dataset):
                if child.is_virtual or child.external:
                    raise ValueError(f"{name!r} lies in another file")
                bfloat16 = child.dtype.kind == "V" and child.dtype.itemsize == 2 and not child.dtype.names
                if child.dtype.kind not in "biuf" and not bfloat16:
                    continue
                held[0] += child.size or 0
                if held[0] > MOST_NUMBERS:
                    raise ValueError(f"{name!r} of shape {child.shape} is too large for a small network")
                array = child[()]
                if bfloat16:  # the upper half of a float32
                    array = (np.asarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
                arrays[str(len(datasets))] = array
                datasets.append([*at, name])

    with h5py.File(io.BytesIO(content) if path is None else path, "r") as file:
        walk(file, [])
    packed = io.BytesIO()
    np.savez(packed, listing=np.array(json.dumps({"groups": groups, "datasets": datasets})), **arrays)
    return packed.getvalue()


def main() -> None:
    """What the process does: a path, or the content on stdin; the result on stdout."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    path = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        packed = pack(path, b"" if path is not None else sys.stdin.buffer.read())
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        sys.exit(1)
    sys.stdout.buffer.write(packed)


if __name__ == "__main__":
    main()
