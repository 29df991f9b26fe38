"""Whether the kernel of the container would start a file: its first bytes, its mode, its interpreter, its architecture.

These are the reasons behind "exec format error" and "no such file or directory" for a file that is plainly there, which in 2017
participants saw scored as zero with no explanation.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from harness.submission.code_tree import open_inside
from harness.submission.problems import Problem

_HEAD_BYTES = 512
_ELF = b"\x7fELF"
_UTF8_MARK = b"\xef\xbb\xbf"
#: e_machine of the ELF header (System V ABI) by the names that Python and Docker give the architecture.
_MACHINES = {62: "amd64", 183: "arm64", 3: "386", 40: "arm", 243: "riscv64", 21: "ppc64le", 22: "s390x"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}
#: Places that exist on an author's own machine only.
_PRIVATE_PLACES = re.compile(rb"(/home/|/Users/|/mnt/|[A-Za-z]:|.*\\)")


def host_architecture() -> str:
    """This host's architecture as Docker names it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def first_bytes(root: Path, path: str) -> bytes:
    """The beginning of a submission's file; empty where it cannot be read."""
    try:
        with open_inside(root, path) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def crlf_problem(head: bytes, name: str) -> Problem | None:
    """Whether a script's first line ends as on Windows, so that the kernel looks for an interpreter ending in CR."""
    first = head.split(b"\n", 1)[0]
    if not head.startswith(b"#!") or not first.endswith(b"\r"):
        return None
    return Problem(name, "its first line ends in CRLF, so its interpreter is not found.", f"Run `sed -i 's/\\r$//' {name}`.")


def start_problems(root: Path, entry_point: str, *, lent: bool = False) -> list[Problem]:
    """Everything that keeps an entry point from being started, but CRLF; where an exec bit is lent, its absence does not."""
    path = root / entry_point
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return [Problem(entry_point, "it leads out of the submission.", "Name a file of the submission as entry_point.")]
    if path.is_dir():
        return [Problem(entry_point, "the entry point is a directory.", "Name a file of the submission as entry_point.")]
    if not path.is_file():
        return [Problem(entry_point, "the entry point does not exist.", "Add the file, or correct entry_point.")]
    problems = []
    if not lent and not path.stat().st_mode & 0o111:
        problems.append(Problem(entry_point, "it is not executable.", f"Run `chmod +x {entry_point}` and pack it again."))
    return problems + _format_problems(root, entry_point, first_bytes(root, entry_point))


def _format_problems(root: Path, name: str, head: bytes) -> list[Problem]:
    if not head:
        return [Problem(name, "it is empty, or cannot be read.", "Write the program.")]
    if head.startswith(_ELF):
        return _elf_problems(name, head)
    if head.startswith((_UTF8_MARK + b"#!", b"\xff\xfe#")):
        return [Problem(name, "a byte-order mark precedes its first line.", "Save it as UTF-8 without one.")]
    if not head.startswith(b"#!"):
        step = "Make its first line `#!/bin/bash` or `#!/usr/bin/env python3`."
        return [Problem(name, "it is neither a program nor a script with `#!` as its first two characters.", step)]
    return _interpreter_problems(root, name, head)


def _elf_problems(name: str, head: bytes) -> list[Problem]:
    machine = int.from_bytes(head[18:20], "big" if head[5:6] == b"\x02" else "little")
    made_for = _MACHINES.get(machine, f"machine {machine}")
    if made_for == host_architecture():
        return []
    sentence = f"it is a program for {made_for}, and this host is {host_architecture()}."
    return [Problem(name, sentence, f"Build it for {host_architecture()}.")]


def _interpreter_problems(root: Path, name: str, head: bytes) -> list[Problem]:
    words = head[2:].split(b"\n", 1)[0].split()
    step = "Use an interpreter of the image, as in `#!/bin/bash` or `#!/usr/bin/env python3`."
    if not words:
        return [Problem(name, "its first line names no interpreter.", step)]
    interpreter = words[0]
    shown = ascii(interpreter.decode("utf-8", "replace"))
    if _PRIVATE_PLACES.match(interpreter):
        return [Problem(name, f"its interpreter {shown} is a path on the author's own machine.", step)]
    if interpreter.startswith(b"/code/"):
        inside = interpreter.removeprefix(b"/code/").decode("utf-8", "replace")
        return [] if (root / inside).is_file() else [Problem(name, f"its interpreter {shown} is not there.", step)]
    if not interpreter.startswith(b"/"):
        return [Problem(name, f"its interpreter {shown} is not an absolute path.", step)]
    if interpreter.rsplit(b"/", 1)[-1] == b"env" and len(words) == 1:
        return [Problem(name, "its first line says `env` without a program.", step)]
    return []
