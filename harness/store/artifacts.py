"""What attacks made: one compressed perturbation per adversarial batch, named by the digest of its pixels.

It is kept as a difference, so the name says too what it is a difference to: an attack that may change anything can make the same
pixels of two batches.

In a directory the flush to the disk costs a few milliseconds per attack run (not per defense run), paid beside the containers.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.files import found_below
from harness.formats import images
from harness.store.blobs import WRITING, Blobs, CachedBlobs, DamagedError, FileBlobs

#: Nobody writes one content for so long, seconds: the largest takes minutes, and a node ends a minute after its head.
SURELY_DEAD_S = 3600.0


class CorruptArtifactError(Exception):
    """An artifact is absent or no longer what its digest says."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"adversarial batch {digest[:12]}: {problem}")
        self.digest = digest


class ArtifactStore:
    """Adversarial batches, content-addressed.

    Args:
        blobs: Where they lie.
    """

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs

    def has(self, digest: str, clean: NDArray[np.uint8]) -> bool:
        """Whether it is stored (its content is checked when it is read)."""
        return self.blobs.has(artifact_name(digest, clean))

    def save(self, digest: str, clean: NDArray[np.uint8], data: bytes) -> int:
        """Store an encoded perturbation of clean images unless it is there; returns its size in bytes.

        Raises:
            StoreError: The place does not take it.
        """
        return self.blobs.save(artifact_name(digest, clean), data)

    def load(self, digest: str, clean: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read an adversarial batch back to pixels and check it against its digest.

        Args:
            digest: The pixel digest.
            clean: uint8 [n, height, width, 3], the clean batch it was made from.

        Returns:
            The adversarial pixels (clean ones where none was produced) and which were produced.

        Raises:
            CorruptArtifactError: It is absent or its content does not match.
            StoreError: The place does not answer.
        """
        def check(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
            try:
                adversarial, produced = images.decode_perturbation(data, clean)
            except images.CorruptArtifactError as error:
                raise DamagedError(str(error)) from None
            if images.pixel_digest(adversarial, produced) != digest:
                raise DamagedError("its pixels do not match its digest")
            return adversarial, produced

        try:
            try:
                return self.blobs.load(artifact_name(digest, clean), check)
            except DamagedError:
                # As version 0.1.0 named them.
                if not self.blobs.has(f"{digest[:2]}/{digest}.pert"):
                    raise
                return self.blobs.load(f"{digest[:2]}/{digest}.pert", check)
        except DamagedError as error:
            raise CorruptArtifactError(digest, str(error)) from None


def artifact_name(digest: str, clean: NDArray[np.uint8]) -> str:
    """The name of an adversarial batch's content, made of clean pixels."""
    return f"{digest[:2]}/{digest}-{images.checksum(clean):08x}.pert"


def open_blobs(place: str | None, state: Path, *, cached: bool = True) -> Blobs:
    """The store that a tournament file names (`store.artifacts`); the state directory where it names none.

    Args:
        place: ``file:`` with an absolute path, or an object store's URL.
        state: The state directory; what is used of an object store is kept there as well.
        cached: Whether it is kept there.

    Raises:
        StoreError: The object store cannot be used.
    """
    if place is None:
        return FileBlobs(state / "artifacts")
    if place.startswith("file:"):
        return FileBlobs(Path(place.removeprefix("file:")))
    from harness.store.objects import ObjectBlobs  # noqa: PLC0415 - its library is an extra

    far = ObjectBlobs(place)
    return CachedBlobs(far, FileBlobs(state / "cache")) if cached else far


def remove_half_written(place: str | None) -> list[str]:
    """Remove what killed nodes were writing to a directory beside the state directory and had not named yet.

    Nodes of other contests may be writing there now: what goes is this user's, has been untouched for long, and has the name of a
    file that is being written.

    Args:
        place: As for ``open_blobs``.

    Returns:
        What was removed, in words.
    """
    removed: list[str] = []
    if place is None or not place.startswith("file:"):
        return removed
    old = time.time() - SURELY_DEAD_S
    for path in found_below(Path(place.removeprefix("file:")), *WRITING):
        with contextlib.suppress(OSError):  # another head removes it at this moment, or the file system fails
            found = path.lstat()
            if found.st_uid == os.geteuid() and found.st_mtime < old:
                path.unlink()
                removed.append(f"half-written {path}")
    return removed
