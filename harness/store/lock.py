"""One writer: the lock that `harness run` holds on a state directory.

An advisory lock of the kernel, not a file that says "locked": it is gone with the process that held it, however that ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import StoreError


@contextmanager
def writer_lock(state: Path) -> Iterator[None]:
    """Hold the state directory for writing.

    Raises:
        StoreError: Another harness holds it, or the directory cannot be written.
    """
    path = state / "run.lock"
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"The state directory {state} is not writable: {error.strerror}.",
                         "Make it writable, or choose another `state:` in tournament.yaml.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
            raise StoreError(f"Another `harness run` (process {holder}) is working on {state}.",
                             "Wait for it, or stop it; `harness status` shows how far it is.") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
