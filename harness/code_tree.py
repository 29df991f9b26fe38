"""A directory of code as content: walked, digested and copied without following anything out of it.

The digest is of what makes the program behave: relative path, exec bit and bytes of each file, the text of each link, and
directories that hold nothing. Times, owners and other mode bits are no part of it. ``__pycache__``, ``*.pyc`` and ``.git``
are left out, so that running an entry in place does not make it another submission.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import SubmissionError

#: What one submission may hold; above it is a data set or a mistake.
MAX_BYTES = 16 << 30
MAX_ENTRIES = 100_000
_LEFT_OUT_DIRECTORIES = frozenset({"__pycache__", ".git"})
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, order=True)
class Node:
    """Something in a directory of code.

    Attributes:
        path: Relative to the root, with ``/``.
        kind: What it is; ``empty`` is a directory that holds nothing.
        executable: Whether a file has an exec bit.
        size: Bytes of a file.
        target: Text of a link.
    """

    path: str
    kind: Literal["file", "link", "empty"]
    executable: bool = False
    size: int = 0
    target: str = ""


def walk(root: Path) -> list[Node]:
    """Everything below a directory, sorted by path.

    Raises:
        SubmissionError: It holds a device, socket or pipe, a link that leads out of it, or too much.
    """
    nodes: list[Node] = []
    total = 0
    for node in _below(root, root, ""):
        nodes.append(node)
        total += node.size
        if len(nodes) > MAX_ENTRIES or total > MAX_BYTES:
            problem = f"{root} holds more than {MAX_ENTRIES} files or {MAX_BYTES >> 30} GiB."
            raise SubmissionError(problem, "Leave out what the program does not need.")
    return sorted(nodes)


def digest(root: Path) -> str:
    """SHA-256 (hex) of the content of a directory of code.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
    """
    whole = hashlib.sha256(b"harness code tree 1\0")
    for node in walk(root):
        content = _file_sha256(root / node.path) if node.kind == "file" else node.target
        line = f"{node.kind}\0{'x' if node.executable else '-'}\0{content}\0{node.path}\0"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def copy(root: Path, target: Path) -> None:
    """Copy what counts to a new directory; files become read-only, 0444 or 0555.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
    """
    target.mkdir()
    for node in walk(root):
        place = target / node.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if node.kind == "empty":
            place.mkdir()
        elif node.kind == "link":
            place.symlink_to(node.target)
        else:
            with _open(root / node.path) as source, place.open("xb") as written:
                shutil.copyfileobj(source, written, _CHUNK_BYTES)
            place.chmod(0o555 if node.executable else 0o444)


def _below(root: Path, directory: Path, prefix: str) -> Iterator[Node]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        problem = f"{directory} cannot be read ({error.strerror})."
        raise SubmissionError(problem) from error
    empty = True
    for entry in entries:
        if entry.name in _LEFT_OUT_DIRECTORIES or entry.name.endswith(".pyc"):
            continue
        empty = False
        path = prefix + entry.name
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            yield from _below(root, directory / entry.name, f"{path}/")
        elif stat.S_ISREG(found.st_mode):
            yield Node(path, "file", bool(found.st_mode & 0o111), found.st_size)
        elif stat.S_ISLNK(found.st_mode):
            yield Node(path, "link", target=_inner_link(root, directory / entry.name))
        else:
            problem = f"{directory / entry.name} is neither a file nor a directory nor a link."
            raise SubmissionError(problem, "Leave it out.")
    if empty and prefix:
        yield Node(prefix.rstrip("/"), "empty")


def _inner_link(root: Path, link: Path) -> str:
    target = str(link.readlink())
    inside = os.path.realpath(root)
    plain = os.path.normpath(os.path.join(os.path.relpath(link.parent, root), target))  # noqa: PTH118 - text only
    leads_out = os.path.isabs(target) or plain == ".." or plain.startswith("../")  # noqa: PTH117 - text only
    if leads_out or os.path.commonpath((inside, os.path.realpath(link))) != inside:
        problem = f"The link {link} leads out of the submission."
        raise SubmissionError(problem, "Copy what it points to into the submission.")
    return target


def _open(path: Path) -> io.BufferedReader:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})."
        raise SubmissionError(problem) from error
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, so that no link is followed


def _file_sha256(path: Path) -> str:
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
