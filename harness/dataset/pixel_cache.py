"""Pixels of a whole data set as one array, decoded once.

A small data set is decoded at every start and kept in memory (400 images of 32x32: 20 ms). A large one is decoded once into
``.cache/pixels.npy`` beside the images and mapped into memory afterwards. Beside that file lies a stamp: size, times and inode
of every image file. While these hold, the pixels and their digests are taken from the cache without reading the images again;
``harness dataset verify`` reads everything. Where the data set's directory cannot be written, the array lives in an unlinked
temporary file for as long as the process does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.digest import pixel_sha256
from harness.dataset.files import DESCRIPTION, IMAGES, METADATA
from harness.errors import DatasetError
from harness.formats.images import UnreadableImageError, decode

CACHE = ".cache"
#: Up to here a data set is decoded at every start instead of being kept twice on the disk: 0.1 s for 1,000 images of
#: 32x32, 0.3 s on two cores for 250 of 299x299.
SMALL_BYTES = 64 << 20
SMALL_IMAGES = 1000


@dataclass(frozen=True)
class PixelStore:
    """All pixels, and a digest of each image.

    Attributes:
        pixels: uint8[N, h, w, 3], read-only, in memory or mapped.
        digests: SHA-256 (hex) of each image's pixels.
        checked: The data set digest that these pixels once matched, or None where that must still be checked.
    """

    pixels: NDArray[np.uint8]
    digests: tuple[str, ...]
    checked: str | None


def read_image(root: Path, image_id: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels of one image of a data set: uint8[h, w, 3].

    Raises:
        DatasetError: Missing, unreadable, or of another size.
    """
    path = root / IMAGES / f"{image_id}.png"
    try:
        decoded = decode(path.read_bytes(), size)
    except OSError as error:
        problem = f"The image {path} cannot be read ({error.strerror})."
        raise DatasetError(problem, "Run `harness dataset verify` to see all that is wrong.") from error
    except UnreadableImageError as error:
        problem = f"The image {path} cannot be decoded ({error.reason})."
        raise DatasetError(problem, "Run `harness dataset verify` to see all that is wrong.") from error
    if decoded.resized:
        problem = f"The image {path} is not {size[0]}x{size[1]} pixels as dataset.yaml says."
        raise DatasetError(problem, "Import the images again with `harness dataset import --size`.")
    return decoded.pixels


def load_pixels(root: Path, image_ids: Sequence[str], size: tuple[int, int]) -> PixelStore:
    """Pixels of the named images, from the cache where it holds.

    Raises:
        DatasetError: An image is missing, unreadable or of another size.
    """
    shape = (len(image_ids), size[1], size[0], 3)
    if np.prod(shape) <= SMALL_BYTES and len(image_ids) <= SMALL_IMAGES:
        pixels = np.empty(shape, np.uint8)
        return _filled(root, image_ids, size, pixels)
    stamp = _stamp(root, image_ids)
    return _from_cache(root, shape, stamp) or _into_cache(root, image_ids, size, shape)


def remember(root: Path, image_ids: Sequence[str], store: PixelStore, digest: str) -> None:
    """Note that the cached pixels match the data set's digest, so that the next start need not read them."""
    if not isinstance(store.pixels, np.memmap) or not (root / CACHE / "pixels.npy").exists():
        return
    note = {"stamp": _stamp(root, image_ids), "digest": digest, "images": store.digests}
    target = root / CACHE / "stamp.json"
    unfinished = target.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):  # the next start decodes again, no more
        unfinished.write_text(json.dumps(note), encoding="utf-8")
        unfinished.replace(target)


def _filled(root: Path, image_ids: Sequence[str], size: tuple[int, int], pixels: NDArray[np.uint8]) -> PixelStore:
    def one(index: int) -> str:
        pixels[index] = read_image(root, image_ids[index], size)
        return pixel_sha256(pixels[index])

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        digests = tuple(threads.map(one, range(len(image_ids))))
    pixels.flags.writeable = False
    return PixelStore(pixels, digests, None)


def _stamp(root: Path, image_ids: Sequence[str]) -> str:
    """Changes whenever a file of the data set was written, replaced or renamed."""
    digest = hashlib.sha256()
    names = [DESCRIPTION, METADATA, *(f"{IMAGES}/{image_id}.png" for image_id in image_ids)]
    for name in names:
        try:
            found = os.stat(f"{root}/{name}")  # noqa: PTH116 - 50,000 paths take a second as objects
        except OSError:
            continue
        digest.update(f"{name},{found.st_size},{found.st_mtime_ns},{found.st_ctime_ns},{found.st_ino}\n".encode())
    return digest.hexdigest()


def _from_cache(root: Path, shape: tuple[int, ...], stamp: str) -> PixelStore | None:
    try:
        note = json.loads((root / CACHE / "stamp.json").read_bytes())
        pixels = np.load(root / CACHE / "pixels.npy", mmap_mode="r", allow_pickle=False)
        kept = (note["stamp"], tuple(note["images"]), note["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if kept[0] != stamp or pixels.shape != shape or pixels.dtype != np.uint8:
        return None
    return PixelStore(pixels, kept[1], kept[2])


def _into_cache(root: Path, image_ids: Sequence[str], size: tuple[int, int], shape: tuple[int, ...]) -> PixelStore:
    unfinished = root / CACHE / f"pixels.{os.getpid()}.npy"
    try:
        (root / CACHE).mkdir(exist_ok=True)
        pixels = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
    except OSError:
        with tempfile.TemporaryFile() as file:
            held = np.memmap(file, np.uint8, "w+", shape=shape)
        return _filled(root, image_ids, size, held)
    try:
        store = _filled(root, image_ids, size, pixels)
        pixels.flush()
        unfinished.replace(root / CACHE / "pixels.npy")
    finally:
        unfinished.unlink(missing_ok=True)
    return store
