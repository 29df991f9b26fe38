"""The private directory of one run without Docker: a copy of the code to write into, a home, a place for temporary files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.sandbox import owner
from harness.sandbox.base import Limits, Program
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import remove_tree, walk_usage
from harness.sandbox.target import copy_target
from harness.sandbox.watch import Verdict

_PREFIX = "harness-run-"
_OWNER_FILE = "owner"
#: Files and directories that a run may add to its private directory.
_MAX_FILES = 200_000


class Scratch:
    """The private directory; ``remove`` it at the end.

    Raises:
        OSError: It cannot be made (no space, no such code).
    """

    def __init__(self, root: Path, program: Program) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        (self.path / _OWNER_FILE).write_text(owner.myself(), encoding="ascii")
        self.code = self.path / "code"
        self.home = self.path / "home"
        self.tmp = self.path / "tmp"
        self.target = None if program.target is None else self.path / "target"
        try:
            shutil.copytree(program.code_dir or Path(), self.code, symlinks=True)
            entry_point = self.code / (program.entry_point or "")
            if program.lends_exec_bit and entry_point.is_file() and not entry_point.is_symlink():
                entry_point.chmod(entry_point.stat().st_mode | 0o111)
            if program.target is not None and self.target is not None:
                copy_target(program.target, self.target, writable=False)
            self.home.mkdir()
            self.tmp.mkdir()
            self._copied = walk_usage(self.path, sys.maxsize, sys.maxsize)
        except (OSError, shutil.Error):
            self.remove()
            raise

    def environment(self, limits: Limits, gpu: str | None) -> dict[str, str]:
        """All that the program finds in its environment."""
        return {
            # This interpreter first: `python3` in an entry point then finds the packages that the harness runs with.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath, "/usr/local/bin"]),
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": str(max(1, int(limits.cpus))),
            "CUDA_VISIBLE_DEVICES": gpu or "",
        }

    def check(self, limits: Limits) -> Callable[[], Verdict | None]:
        """A look that ends the program when it wrote too much here."""
        most_bytes, most_files = self._copied.bytes + limits.layer_bytes, self._copied.files + _MAX_FILES

        def look() -> Verdict | None:
            usage = walk_usage(self.path, most_bytes, most_files)
            if not usage.full:
                return None
            return Verdict(Ending.OUTPUT_LIMIT, f"{usage.bytes - self._copied.bytes} bytes in "
                           f"{usage.files - self._copied.files} files were written outside the output directory; "
                           f"{limits.layer_bytes} bytes are allowed.")

        return look

    def remove(self) -> None:
        """Remove it with all that the program wrote."""
        remove_tree(self.path)


def remove_leftovers(root: Path) -> list[str]:
    """Remove the private directories whose harness is dead; says which."""
    removed = []
    for path in root.glob(f"{_PREFIX}*"):
        try:
            name = (path / _OWNER_FILE).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            # Being made or removed right now, or not ours.
            continue
        if not owner.alive(name):
            remove_tree(path)
            removed.append(f"private directory {path}")
    return removed
