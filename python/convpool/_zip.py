# SPDX-License-Identifier: MIT
"""What a zip file may hold, which .npz and .keras files are."""

from __future__ import annotations

import zipfile

from ._merge import UnsupportedError


def check_zip(path: str, most: int) -> None:
    """Refuses a zip file that holds more than that, or is packed in a way that does not keep to what it says."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > most:
        raise UnsupportedError("the file says that it holds more than a small network does")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise UnsupportedError("the file is compressed in a way that no network is")
