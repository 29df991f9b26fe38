"""A directory that a program may fill up to its limit and no further.

As root it is a private tmpfs with a size and an inode limit: the kernel enforces the quota, checking it costs one ``statvfs``, and
discarding it is one lazy unmount however many files lie in it. Where mounting is refused it is a plain directory that a bounded
walk watches: a fast program overshoots there until the next check. A project quota of the file system would need a set-up that few
hosts have; a loop device would need root as well, and is slower.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from harness.sandbox import mounts

_PAGE = 4096


class Usage(NamedTuple):
    """What an output area holds: bytes allocated, files and directories, and whether the limit was reached."""

    bytes: int
    files: int
    full: bool


class OutputArea:
    """An empty host directory with a quota; a context manager that makes and removes it.

    Anybody may write into it (mode 0777), because the program's user is not ours; keep its parent private.

    Args:
        path: Where it shall be; made with its parents, must be empty.
        max_bytes: Bytes that fit.
        max_files: Files and directories that fit.
    """

    def __init__(self, path: Path, max_bytes: int, max_files: int) -> None:
        self.path = path.absolute()
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.mounted = False

    @property
    def check_every_s(self) -> float:
        """How often checking ``usage`` is worth its cost."""
        return 0.1 if self.mounted else 0.5

    def __enter__(self) -> Self:
        """Make the directory, mounted where that is allowed."""
        self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            # One page and two inodes more than may be used: a program that uses all it may have is not at fault.
            size = -(-self.max_bytes // _PAGE) * _PAGE + _PAGE
            mounts.mount_tmpfs(self.path, size, self.max_files + 2)
            self.mounted = True
        if not self.mounted:
            self.path.chmod(0o777)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Discard the directory with all that is in it."""
        self.close()

    def usage(self) -> Usage:
        """How full it is; cheap (one system call) where it is mounted, a bounded walk elsewhere."""
        if not self.mounted:
            return walk_usage(self.path, self.max_bytes, self.max_files)
        facts = os.statvfs(self.path)
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        files = facts.f_files - facts.f_ffree - 1
        return Usage(used, files, used > self.max_bytes or files > self.max_files)

    def clear(self) -> bool:
        """Remove what lies in it, for the next batch of a served program that is frozen; False where something stayed."""
        for entry in list(self.path.iterdir()):
            remove_tree(entry)
        return not list(self.path.iterdir())

    def close(self) -> None:
        """Unmount or remove; never raises."""
        if self.mounted:
            mounts.unmount(self.path)
            self.mounted = False
        remove_tree(self.path)


def walk_usage(root: Path, max_bytes: int, max_files: int) -> Usage:
    """Bytes and files below ``root``, never following a link; stops as soon as a limit is passed."""
    total = files = 0
    stack = [str(root)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    files += 1
                    with contextlib.suppress(FileNotFoundError):
                        # Blocks, not size: a sparse file takes no room, and a size can be any number.
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if files > max_files or total > max_bytes:
                        return Usage(total, files, full=True)
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                # Nested so deep that no path reaches it: its content is unknown.
                return Usage(total, files, full=True)
    return Usage(total, files, full=False)


def remove_tree(path: Path) -> None:
    """Remove a file or tree that an untrusted program wrote; never raises, never follows a link."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
    except (OSError, RecursionError):
        # Thousands of nested directories pass both Python's recursion and PATH_MAX; rm walks by file descriptors. From a directory
        # that its owner may not write even that removes nothing.
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf", "--one-file-system"]):
            subprocess.run([*command, "--", str(path)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def unmount_leftovers(work: Path) -> list[str]:
    """Unmount and remove what a killed harness left mounted below its own work directory.

    Call it only while holding the tournament's lock: a living harness's areas look the same.
    """
    removed = []
    for point in mounts.ours_under(work):
        if mounts.unmount(point):
            remove_tree(point)
            removed.append(f"output area {point}")
    return removed
