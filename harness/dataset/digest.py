"""One digest of a data set's content: names, labels, targets and pixels.

It is taken over decoded pixels, not over files, so that a data set written by another version of Pillow or zlib is
still the same data set. Nothing here reads a disk: the builders and the loader hand over what they have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Record(NamedTuple):
    """One image of a data set.

    Attributes:
        image_id: Name of the image without its ``.png``.
        label: True label.
        target: Target class.
        pixels: uint8, [height, width, 3], RGB.
    """

    image_id: str
    label: int
    target: int
    pixels: NDArray[np.uint8]


class HashedRecord(NamedTuple):
    """One image of a data set, its pixels as a digest.

    Attributes:
        image_id: Name of the image without its ``.png``.
        label: True label.
        target: Target class.
        pixel_sha256: ``pixel_sha256`` of its pixels.
    """

    image_id: str
    label: int
    target: int
    pixel_sha256: str


def pixel_sha256(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 (hex) of the raw RGB bytes of one image, row by row."""
    return hashlib.sha256(np.ascontiguousarray(pixels, dtype=np.uint8).data).hexdigest()


def dataset_digest(label_range: tuple[int, int], size: tuple[int, int], records: Iterable[Record]) -> str:
    """Return the digest that ``dataset.yaml`` carries, as 64 hex digits.

    One line ``low,high,width,height``, then one line ``id,label,target,sha256(pixels)`` per image, sorted by id.

    Args:
        label_range: Lowest and highest label, both included.
        size: Width and height in pixels.
        records: The images, in any order; each is reduced to its line at once, so a generator keeps memory small.
    """
    hashed = (HashedRecord(*record[:3], pixel_sha256(record.pixels)) for record in records)
    return digest_of_hashes(label_range, size, hashed)


def digest_of_hashes(label_range: tuple[int, int], size: tuple[int, int], records: Iterable[HashedRecord]) -> str:
    """Return the same digest where the digests of the pixels are known already."""
    whole = hashlib.sha256(f"{label_range[0]},{label_range[1]},{size[0]},{size[1]}\n".encode())
    for image_id, label, target, pixels in sorted(records):
        whole.update(f"{image_id},{int(label)},{int(target)},{pixels}\n".encode())
    return whole.hexdigest()
