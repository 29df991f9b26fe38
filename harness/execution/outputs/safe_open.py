"""Read a file from a directory that an untrusted program has written.

Only names that the harness expects are asked for; the directory is never listed, so a million files in it cost nothing. No link
is followed, nothing but a regular file with one name is opened, and what is read is bounded. The program that wrote it has been
stopped or frozen before; the checks on the open descriptor hold even if it were not.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class RefusedFileError(Exception):
    """A file is there but does not count.

    Attributes:
        reason: Short, for the author of the submission.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_KINDS = (
    (stat.S_ISLNK, "it is a symbolic link"),
    (stat.S_ISDIR, "it is a directory"),
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISBLK, "it is a device"),
    (stat.S_ISCHR, "it is a device"),
)


def open_directory(path: Path) -> int | None:
    """A descriptor of the output directory, None where it is gone or is no directory any more; the caller closes it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def open_file(directory: int, name: str, byte_limit: int) -> int | None:
    """A descriptor of one regular file, None where there is none; the caller closes it.

    Args:
        directory: Descriptor of the directory.
        name: Plain file name, chosen by the harness.
        byte_limit: Largest size that counts.

    Raises:
        RefusedFileError: It is no regular file, has several names, is too large, or cannot be opened.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        msg = f"{name!r} is not a plain file name"
        raise ValueError(msg)
    try:
        # Looked at before it is opened: opening a device can already do something.
        _check(os.stat(name, dir_fd=directory, follow_symlinks=False), byte_limit)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"it cannot be opened ({error.strerror})"
        raise RefusedFileError(reason) from error
    try:
        _check(os.fstat(descriptor), byte_limit)
    except RefusedFileError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(directory: int, name: str, byte_limit: int) -> bytes | None:
    """The content of one regular file, None where there is none.

    Raises:
        RefusedFileError: As ``open_file``, or it cannot be read.
    """
    descriptor = open_file(directory, name, byte_limit)
    if descriptor is None:
        return None
    try:
        return read_descriptor(descriptor, byte_limit)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, byte_limit: int) -> bytes:
    """The content of an open regular file, from its beginning.

    Raises:
        RefusedFileError: It is too large, or cannot be read.
    """
    pieces, size = [], 0
    try:
        # One byte more than it has now: a file that grows meanwhile is noticed, and no larger buffer is set up.
        most = min(os.fstat(descriptor).st_size, byte_limit) + 1
        while size < most and (piece := os.pread(descriptor, most - size, size)):
            pieces.append(piece)
            size += len(piece)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
        raise RefusedFileError(reason) from error
    if size > byte_limit:
        raise RefusedFileError(_too_large(byte_limit))
    return b"".join(pieces)


def _check(found: os.stat_result, byte_limit: int) -> None:
    for is_kind, reason in _KINDS:
        if is_kind(found.st_mode):
            raise RefusedFileError(reason)
    if not stat.S_ISREG(found.st_mode):
        reason = "it is not a regular file"
        raise RefusedFileError(reason)
    if found.st_nlink != 1:
        reason = "it is a hard link"
        raise RefusedFileError(reason)
    if found.st_size > byte_limit:
        raise RefusedFileError(_too_large(byte_limit))


def _too_large(byte_limit: int) -> str:
    return f"it has more than {byte_limit} bytes"
