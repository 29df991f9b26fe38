r"""Standard output and standard error as a command needs them: data must arrive or fail loudly, messages may be lost.

Messages (progress, sentences) that cannot be written are dropped, so that a closed pipe or a lost terminal ends no contest. Data
that cannot be written is an error with a sentence; a reader that has exited (``| head``) ends the command quietly. Characters that
the stream's encoding lacks are written as ``\\uXXXX``, which is right in JSON and readable elsewhere.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ESCAPED = "harness-escaped"


class ReaderLeft(BaseException):
    """Nobody reads standard output any more."""


class OutputError(HarnessError):
    """Standard output cannot be written."""


class _Stream(io.RawIOBase):
    """Writes all of what it is given to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[os.write(self._descriptor, left):]
        return size


class _Talk(_Stream):
    def write(self, data: ReadableBuffer) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


class _Data(_Stream):
    lost = False

    def write(self, data: ReadableBuffer) -> int:
        if self.lost:  # what is still in the buffer when all has been said
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self.lost = True
            raise ReaderLeft from None
        except OSError as error:
            self.lost = True
            what = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OutputError(f"Standard output cannot be written: {what}.",
                              "Send it to a terminal, a pipe or a disk with free space.") from None


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start:error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2)), error.end


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Put both in place until the block ends; what is still to be written of the data is written then.

    Raises:
        OutputError: Data cannot be written.
        ReaderLeft: Nobody reads it.
    """
    codecs.register_error(_ESCAPED, _escaped)
    # A descriptor that is closed would be given to the next file that is opened, the database for one. Reading what is for
    # writing, and the reverse, fails as the closed one does.
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    before = sys.stdout, sys.stderr
    for stream in before:
        if stream is not None:
            stream.flush()
    out, err = (getattr(stream, "encoding", None) or "utf-8" for stream in before)
    # Line by line: data and talk of one command stand in order on a terminal and in a file that takes both.
    data = io.TextIOWrapper(_Data(1), encoding=out, errors=_ESCAPED, line_buffering=os.isatty(1))  # type: ignore[type-var]
    talk = io.TextIOWrapper(_Talk(2), encoding=err, errors=_ESCAPED, line_buffering=True)  # type: ignore[type-var]
    sys.stdout, sys.stderr = data, talk
    try:
        yield
        data.flush()
    finally:
        with contextlib.suppress(OutputError, ReaderLeft):
            data.flush()
        sys.stdout, sys.stderr = before
