"""An opponent's code as an attack sees it: a copy for each program, discarded with it.

Not the frozen code itself, though that is mounted read-only: programs that see the same file share its inode, and locks and watches
on that carry information from one run to the next. Without Docker nothing would keep a program from writing into it either.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.sandbox.base import Target
from harness.sandbox.output_area import remove_tree


def copy_target(target: Target, place: Path, *, writable: bool) -> None:
    """Copy what an attack is shown to a new, world-readable directory.

    Its directories stay ``writable`` for their owner where a mount keeps the program from writing.

    Raises:
        OSError: It is not there, or cannot be copied.
    """
    if target.directory is None:
        raise FileNotFoundError(None, "the directory of the target's code was not given", target.digest)
    root = target.directory.resolve()
    source = (root / target.part).resolve()
    if not source.is_relative_to(root):
        raise FileNotFoundError(None, "it is outside its submission", str(source))
    try:
        shutil.copytree(source, place, symlinks=True, copy_function=shutil.copyfile)
    except shutil.Error as error:
        raise OSError(None, f"{len(error.args[0])} of its files could not be copied", str(source)) from error
    for folder, _, names in os.walk(place, topdown=False):
        for path in (Path(folder) / name for name in names):
            if not path.is_symlink():
                executable = (source / path.relative_to(place)).stat().st_mode & 0o111
                path.chmod(0o555 if executable else 0o444)
        Path(folder).chmod(0o755 if writable else 0o555)


@contextmanager
def shown(target: Target | None, beside: Path) -> Iterator[Path | None]:
    """A copy in a directory of ours, to be mounted; None where there is no target.

    Raises:
        OSError: As ``copy_target``.
    """
    if target is None:
        yield None
        return
    place = beside / f"target-{secrets.token_hex(8)}"
    try:
        copy_target(target, place, writable=True)
        yield place
    finally:
        remove_tree(place)
