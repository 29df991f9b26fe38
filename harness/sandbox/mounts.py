"""The few mount calls that an output area needs, by libc, and which mounts of ours exist.

The ``mount`` command would cost a process per run (3 ms) and would need quoting of its option string; libc needs neither.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

#: The source name of every mount of ours: how a leftover is told from somebody else's tmpfs.
SOURCE = "harness-output"

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH = 2


def mount_tmpfs(target: Path, size_bytes: int, inodes: int) -> None:
    """Mount a private tmpfs of a fixed size at ``target``.

    Raises:
        OSError: Not root, not Linux, or the kernel refuses.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(38, "tmpfs mounts need Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size_bytes},nr_inodes={inodes},mode=0777".encode()
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    if libc.mount(SOURCE.encode(), os.fsencode(target), b"tmpfs", flags, options) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path) -> bool:
    """Detach a mount; lazily, so that a reader which still holds a file does not keep the path busy."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.umount2(os.fsencode(target), _MNT_DETACH) == 0)


def ours_under(root: Path) -> list[Path]:
    """Mount points of ours below ``root``, deepest first."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        left, _, right = line.partition(b" - ")
        kind, source = right.split(b" ")[:2]
        if kind != b"tmpfs" or source != SOURCE.encode():
            continue
        point = Path(os.fsdecode(_unescape(left.split(b" ")[4])))
        if point.is_relative_to(root.resolve()):
            found.append(point)
    return sorted(found, key=lambda point: len(point.parts), reverse=True)


def _unescape(field: bytes) -> bytes:
    for octal, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(octal, plain)
    return field
