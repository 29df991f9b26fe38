"""What attacks made, as files: one compressed perturbation per adversarial batch, named by the digest of its pixels.

A write goes to a temporary file, is flushed to the disk and renamed, so that a name that exists is complete. The flush costs a
few milliseconds per attack run (not per defense run), paid beside the containers.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness import faults
from harness.errors import StoreError
from harness.event_log import facts
from harness.formats import images

_LOG = logging.getLogger(__name__)


class CorruptArtifactError(Exception):
    """An artifact on disk is absent or no longer what its digest says."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"adversarial batch {digest[:12]}: {problem}")
        self.digest = digest


class ArtifactStore:
    """Adversarial batches on disk, content-addressed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the adversarial batch with this pixel digest lies."""
        return self.root / digest[:2] / f"{digest}.pert"

    def has(self, digest: str) -> bool:
        """Whether the file is there (its content is checked when it is read)."""
        return self.path(digest).exists()

    def save(self, digest: str, data: bytes) -> int:
        """Write an encoded perturbation unless it is there; returns its size in bytes.

        Raises:
            StoreError: The disk is full or cannot be written.
        """
        path = self.path(digest)
        if path.exists():
            return path.stat().st_size
        try:
            write_atomic(path, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"The disk that holds {self.root} is full.",
                                 "Free some space, then run `harness run` again; nothing recorded is lost.") from None
            raise StoreError(f"{path} cannot be written: {error.strerror}.") from None
        return len(data)

    def load(self, digest: str, clean: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read an adversarial batch back to pixels and check it against its digest.

        Args:
            digest: The pixel digest.
            clean: uint8 [n, height, width, 3], the clean batch it was made from.

        Returns:
            The adversarial pixels (clean ones where none was produced) and which were produced.

        Raises:
            CorruptArtifactError: The file is absent or its content does not match.
        """
        try:
            adversarial, produced = images.decode_perturbation(self.path(digest).read_bytes(), clean)
        except OSError as error:
            # One that is there and cannot be read would stand in the way of the batch made anew, time and again.
            self._set_aside(digest)
            raise CorruptArtifactError(digest, str(error.strerror)) from None
        except images.CorruptArtifactError as error:
            self._set_aside(digest)
            raise CorruptArtifactError(digest, str(error)) from None
        if images.pixel_digest(adversarial, produced) != digest:
            self._set_aside(digest)
            raise CorruptArtifactError(digest, "its pixels do not match its digest")
        return adversarial, produced

    def _set_aside(self, digest: str) -> None:
        """Take its name from a damaged file, or the batch made anew would not be written; keep it as evidence."""
        path = self.path(digest)
        damaged = path.with_suffix(".damaged")
        with contextlib.suppress(OSError):
            path.replace(damaged)
            _LOG.warning("A damaged artifact is set aside.", extra=facts(kept=damaged))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is there complete or not at all, also after a crash of the host."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        faults.reach("artifact-written")
        Path(temporary).replace(path)
        faults.reach("artifact-named")
    except BaseException:  # Ctrl-C too: no half-written file may stay
        Path(temporary).unlink(missing_ok=True)
        raise
