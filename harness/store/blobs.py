"""Content under names that say what it is: written once, never changed, checked whenever it is read.

What machines share goes through here, whether it is in a directory or in an object store: what attacks made, code, clean images.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from harness import faults
from harness.errors import StoreError
from harness.event_log import facts

#: What a machine keeps of a store that lies elsewhere; least recently used out first.
CACHE_BYTES = 20 << 30

#: Begins and ends the name of a file that is being written.
WRITING = ".harness-", ".tmp"

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class DamagedError(Exception):
    """What is stored under a name is absent, or not what the name says."""


class Blobs(Protocol):
    """A place for contents. Names are relative paths; all methods may be called from several threads and machines at once."""

    def has(self, name: str) -> bool:
        """Whether something is stored under a name (its content is checked when it is read)."""

    def save(self, name: str, data: bytes) -> int:
        """Store a content unless the name has one; returns the size of what is stored, in bytes.

        Raises:
            StoreError: The place does not take it.
        """

    def load(self, name: str, check: Callable[[bytes], _T]) -> _T:
        """What ``check`` makes of the content. It raises ``DamagedError`` where that is not what the name says.

        Raises:
            DamagedError: Absent or damaged; what was damaged is set aside then.
            StoreError: The place does not answer.
        """

    def set_aside(self, name: str) -> None:
        """Rename a damaged blob, or the one made again would not be written; keep it as evidence."""


class FileBlobs:
    """A directory, also one that several machines see.

    A write goes to a temporary file, is flushed to the disk and renamed, so that a name that exists is complete.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where a content lies."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path(name).exists()

    def save(self, name: str, data: bytes) -> int:
        """Write a file unless it is there."""
        path = self.path(name)
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

    def load(self, name: str, check: Callable[[bytes], _T]) -> _T:
        """Read and check a file."""
        try:
            return check(self.path(name).read_bytes())
        except OSError as error:
            # One that exists and cannot be read would block the content made again, every time.
            self.set_aside(name)
            raise DamagedError(str(error.strerror)) from None
        except DamagedError:
            self.set_aside(name)
            raise

    def set_aside(self, name: str) -> None:
        """Rename a damaged file."""
        damaged = self.path(damaged_name(name))
        with contextlib.suppress(OSError):
            self.path(name).replace(damaged)
            _LOG.warning("A damaged artifact is set aside.", extra=facts(kept=damaged))


class CachedBlobs:
    """A store that lies elsewhere, with copies of what was used here last.

    Args:
        far: The store.
        near: The copies; nobody else writes there.
        limit: Bytes that they may have together.
    """

    def __init__(self, far: Blobs, near: FileBlobs, limit: int = CACHE_BYTES) -> None:
        self._far = far
        self._near = near
        self._limit = limit
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        kept = [(path.stat(), path) for path in near.root.rglob("*") if path.is_file()]
        for stat, path in sorted(kept, key=lambda found: found[0].st_mtime):
            self._sizes[str(path.relative_to(near.root))] = stat.st_size

    def has(self, name: str) -> bool:
        """Whether the store has it: what is here only would be there for nobody else."""
        return self._far.has(name)

    def save(self, name: str, data: bytes) -> int:
        """Store it there, and keep a copy."""
        size = self._far.save(name, data)
        self._keep(name, data)
        return size

    def load(self, name: str, check: Callable[[bytes], _T]) -> _T:
        """The copy that is here, else what is there; each is checked."""
        with contextlib.suppress(DamagedError):
            found = self._near.load(name, check)
            with self._lock:
                if name in self._sizes:
                    self._sizes.move_to_end(name)
            return found
        data, found = self._far.load(name, lambda data: (data, check(data)))
        self._keep(name, data)
        return found

    def set_aside(self, name: str) -> None:
        """There and here."""
        self._near.set_aside(name)
        self._far.set_aside(name)

    def _keep(self, name: str, data: bytes) -> None:
        try:
            self._near.save(name, data)
        except StoreError as error:
            _LOG.warning("No copy is kept here.", extra=facts(reason=error.problem))
            return
        with self._lock:
            self._sizes[name] = len(data)
            self._sizes.move_to_end(name)
            while sum(self._sizes.values()) > self._limit and len(self._sizes) > 1:
                oldest, _ = self._sizes.popitem(last=False)
                self._near.path(oldest).unlink(missing_ok=True)


def damaged_name(name: str) -> str:
    """The name that a damaged content is kept under."""
    return str(PurePosixPath(name).with_suffix(".damaged"))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is there complete or not at all, also after a crash of the host."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=WRITING[0], suffix=WRITING[1])
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
