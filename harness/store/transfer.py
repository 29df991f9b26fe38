"""What a machine that performs jobs needs of others: directories of code and clean images, each under its own digest.

A directory of code goes as the text that its digest is taken of, and its files one by one under theirs: weights that several
submissions share go once. An object is held in memory while it is moved.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.digest import pixel_sha256
from harness.dataset.load import UnlabelledBatch, clean_digest
from harness.errors import StoreError
from harness.store.blobs import Blobs, DamagedError
from harness.submission import code_tree

#: Clean batches that a machine keeps in memory.
_KEPT_BATCHES = 16
_DIMENSIONS = 4


def publish_code(blobs: Blobs, code: Path, digest: str) -> None:
    """Store a directory of code under its digest.

    Raises:
        StoreError: It is not what its digest says, or cannot be stored.
        SubmissionError: It cannot be read.
    """
    contents = code_tree.contents(code)
    if _sha256(contents) != digest:
        raise StoreError(f"The code in {code} is no longer what was submitted.", "Restore it, or submit it again.")
    for node, sha256 in code_tree.listed(contents):
        if node.kind == "file" and not blobs.has(_file_name(sha256)):
            blobs.save(_file_name(sha256), (code / node.path).read_bytes())
    # Last: whoever finds it finds its files.
    blobs.save(_code_name(digest), contents)


class FetchedCode:
    """Directories of code of a store, each fetched on first use.

    Args:
        blobs: Where they were published.
        root: Where they are put.
    """

    def __init__(self, blobs: Blobs, root: Path) -> None:
        self._blobs = blobs
        self._root = root
        self._lock = threading.Lock()

    def __call__(self, digest: str) -> Path:
        """The directory of the code.

        Raises:
            StoreError: It is not available.
        """
        place = self._root / digest
        with self._lock:
            if not place.exists():
                try:
                    self._fetch(digest, place)
                except DamagedError as error:
                    raise StoreError(f"The code {digest[:12]} cannot be fetched from the store: {error}.",
                                     "Run `harness run` again: it stores what is missing.") from None
                except OSError as error:
                    raise StoreError(f"The code {digest[:12]} cannot be written to {place} ({error.strerror}).") from None
        return place

    def _fetch(self, digest: str, place: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        contents = self._blobs.load(_code_name(digest), lambda data: _matching(data, digest))
        workshop = Path(tempfile.mkdtemp(prefix=f".{digest[:16]}-", dir=self._root))
        try:
            code = workshop / "code"
            code.mkdir()
            for node, content in code_tree.listed(contents):
                target = code / node.path
                target.parent.mkdir(parents=True, exist_ok=True)
                if node.kind == "empty":
                    target.mkdir()
                elif node.kind == "link":
                    target.symlink_to(node.target)
                else:
                    target.write_bytes(self._blobs.load(_file_name(content), lambda data, own=content: _matching(data, own)))  # type: ignore[misc]
                    target.chmod(0o555 if node.executable else 0o444)
            code.rename(place)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


def publish_pixels(blobs: Blobs, batch: UnlabelledBatch, pixels: NDArray[np.uint8]) -> None:
    """Store a batch's clean images.

    Raises:
        StoreError: They cannot be stored.
    """
    name = _pixels_name(batch.clean_digest)
    if not blobs.has(name):
        file = io.BytesIO()
        np.save(file, pixels)
        blobs.save(name, file.getvalue())


class StoredPixels:
    """Clean images of a store: replaces the data set on other machines.

    Args:
        blobs: Where they were published.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()

    def pixels(self, batch: UnlabelledBatch) -> NDArray[np.uint8]:
        """Clean images of a batch: uint8 [n, height, width, 3], read-only.

        Raises:
            StoreError: They are not available.
        """
        digest = batch.clean_digest
        with self._lock:
            found = self._kept.get(digest)
            if found is None:
                try:
                    found = self._blobs.load(_pixels_name(digest), lambda data: _pixels(data, digest))
                except DamagedError as error:
                    raise StoreError(f"The images of batch {batch.index} cannot be fetched from the store: {error}.",
                                     "Run `harness run` again: it stores what is missing.") from None
            self._kept[digest] = found
            self._kept.move_to_end(digest)
            while len(self._kept) > _KEPT_BATCHES:
                self._kept.popitem(last=False)
        return found


def _pixels(data: bytes, digest: str) -> NDArray[np.uint8]:
    try:
        pixels: NDArray[np.uint8] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DamagedError(str(error)) from None
    if pixels.dtype != np.uint8 or pixels.ndim != _DIMENSIONS:
        raise DamagedError("they are not images")
    if clean_digest((pixels.shape[2], pixels.shape[1]), [pixel_sha256(image) for image in pixels]) != digest:
        raise DamagedError("they do not match their digest")
    pixels.flags.writeable = False
    return pixels


def _matching(data: bytes, sha256: str) -> bytes:
    if _sha256(data) != sha256:
        raise DamagedError("it does not match its digest")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code_name(digest: str) -> str:
    return f"code/{digest}"


def _file_name(sha256: str) -> str:
    return f"files/{sha256[:2]}/{sha256}"


def _pixels_name(digest: str) -> str:
    return f"images/{digest}"
