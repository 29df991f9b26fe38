"""Files that a command writes for people: complete or not there at all, and known to be writable before the work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import StoreError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well; a device or a pipe is written as it is.

    Raises:
        StoreError: The directory cannot be written or is full.
    """
    with _explained(path):
        target = path.resolve()
        if target.exists() and not target.is_file() and not target.is_dir():
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        os.close(descriptor)
        try:
            # mkstemp makes the file for its owner alone; it is to be read by others.
            Path(temporary).chmod(0o644)
            yield Path(temporary)
            Path(temporary).replace(target)
        finally:
            Path(temporary).unlink(missing_ok=True)


def probe(path: Path) -> None:
    """Find out, before the work, whether a file can be written there; nothing is left of it.

    Raises:
        StoreError: It cannot.
    """
    with _explained(path):
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError(None, "it is a directory")
        if target.exists():
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK))
            if not target.is_file():
                return
        there = next(each for each in target.parents if each.exists())
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")


def found_below(root: Path, prefix: str, suffix: str) -> Iterator[Path]:
    """Files in a directory and below it, by both ends of their names; what vanishes meanwhile or cannot be read is passed over."""
    for place, _, names in os.walk(root):
        yield from (Path(place, name) for name in names if name.startswith(prefix) and name.endswith(suffix))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise StoreError(f"{path} cannot be written: {why or error}.", "Choose another place, or free some space.") from None
