"""A directory of code as content: walked, digested, copied and kept without following anything out of it.

The digest is of what makes the program behave: relative path, exec bit and bytes of each file, the text of each link, and
directories that hold nothing. Times, owners and other mode bits are no part of it. ``.git`` and compiled Python files beside
their source are left out, so that running an entry in place does not make it another submission; a ``.pyc`` without its source
is code. The author of a directory is an opponent: nothing in it is waited for, followed or descended into without end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from harness.errors import SubmissionError

#: What one submission may hold; anything larger is a data set or a mistake.
MAX_BYTES = 16 << 30
MAX_ENTRIES = 100_000
MAX_PATH_BYTES = 1024
#: Nested directories. Python walks and removes trees by recursion, which ends at a thousand.
MAX_DEPTH = 100
_COMPILED = "compiled Python files that lie beside their source"
_VERSIONS = "`.git`"
_CACHE = "__pycache__"
#: A layered file system takes such a name for a deletion marker: the file would not be there when the program runs.
_WHITEOUT = ".wh."
_CHUNK_BYTES = 1 << 20
#: Size of the largest file from which an earlier copy of it is looked for: less is copied faster.
_WORTH_A_SEARCH = 1 << 20
#: Begins the text that a digest is taken of.
_FIRST = b"harness code tree 1\0"
_SHOWN = 200
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
          stat.S_IFDIR: "a directory", stat.S_IFLNK: "a link"}


Kind = Literal["file", "link", "empty"]


@dataclass(frozen=True, order=True)
class Node:
    """An item in a directory of code.

    Attributes:
        path: Relative to the root, with ``/``.
        kind: What it is; ``empty`` is a directory that holds nothing.
        executable: Whether a file has an exec bit.
        size: Bytes of a file.
        target: Text of a link.
    """

    path: str
    kind: Kind
    executable: bool = False
    size: int = 0
    target: str = ""


@dataclass(frozen=True)
class Tree:
    """What a directory of code holds.

    Attributes:
        nodes: What counts, sorted by path.
        left_out: How many of what kind were left out, by words for the kind.
    """

    nodes: tuple[Node, ...]
    left_out: Mapping[str, int]


def survey(root: Path) -> Tree:
    """Everything below a directory.

    Raises:
        SubmissionError: It holds a device, socket or pipe, a link that leads out of it, a name that would not survive, or too
            much of anything.
    """
    walker = _Walker(root)
    try:
        walker.walk()
    except OSError as error:
        problem = f"{shown(error.filename or root)} cannot be read ({error.strerror})."
        raise SubmissionError(problem, "Make it readable, or leave it out.") from error
    return Tree(tuple(sorted(walker.nodes)), dict(walker.left_out))


def walk(root: Path) -> tuple[Node, ...]:
    """What counts of a directory, sorted by path; raises as ``survey``."""
    return survey(root).nodes


def shown(name: object) -> str:
    """A path that an author chose, as one short line that is safe for a terminal."""
    text = str(name)
    if len(text) <= _SHOWN and text.isprintable():
        return text
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN // 2]}...{text[-_SHOWN // 2:]}"
    return ascii(short)


def open_regular(path: str | Path) -> io.BufferedReader:
    """A file for reading; never waits, and follows no link at the end of the path.

    Raises:
        OSError: It cannot be read, or is no file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'no file')}, not a file", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, so that no link is followed


def open_inside(root: Path, path: str) -> io.BufferedReader:
    """As ``open_regular``, for a path below a root whose links lead to what lies below it too.

    Raises:
        OSError: It cannot be read, is no file, or lies elsewhere.
    """
    inside, real = os.path.realpath(root), os.path.realpath(root / path)
    if os.path.commonpath((inside, real)) != inside:
        raise OSError(errno.EINVAL, "it leads out of the submission", path)
    return open_regular(real)


def digest(root: Path) -> str:
    """SHA-256 (hex) of the content of a directory of code.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
    """
    return hashlib.sha256(contents(root)).hexdigest()


def contents(root: Path) -> bytes:
    """The text that the digest is taken of: it names everything, and every file's own digest.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
    """
    whole = [_FIRST]
    for node in walk(root):
        content = _file_sha256(root / node.path) if node.kind == "file" else node.target
        line = f"{node.kind}\0{'x' if node.executable else '-'}\0{content}\0{node.path}\0"
        whole.append(line.encode("utf-8", "surrogateescape"))
    return b"".join(whole)


def listed(text: bytes) -> Iterator[tuple[Node, str]]:
    """What ``contents`` names, each with the SHA-256 (hex) of a file; only for a text whose digest was checked."""
    fields = text.removeprefix(_FIRST).decode("utf-8", "surrogateescape").split("\0")[:-1]
    for kind, executable, content, path in zip(*[iter(fields)] * 4, strict=True):
        is_link = kind == "link"
        yield Node(path, cast("Kind", kind), executable == "x", target=content if is_link else ""), "" if is_link else content


def keep(root: Path, place: Path, content: str, *, apart: str) -> bool:
    """Ensure that the content with a digest is at a place, read-only and complete: a copy of a directory, if it is not there yet.

    Args:
        root: The directory.
        place: Where to; other copies lie beside it.
        content: The digest.
        apart: As for ``twin``.

    Returns:
        False where the directory holds something else by now.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
        OSError: It cannot be written.
    """
    if _is_kept(place, content):
        return True
    place.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{content[:16]}-", dir=place.parent))
    try:
        copy(root, workshop / "code", twin(root, place.parent, apart=apart))
        if digest(workshop / "code") != content:
            return False
        if place.exists():  # damaged, or half of it removed by hand
            place.rename(workshop / "damaged")
        (workshop / "code").rename(place)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return True


def _is_kept(place: Path, content: str) -> bool:
    try:
        return place.is_dir() and digest(place) == content
    except SubmissionError:
        return False


def copy(root: Path, target: Path, like: Path | None = None) -> None:
    """Copy what counts to a new directory; files become read-only, 0444 or 0555.

    Args:
        root: What is copied.
        target: Where to.
        like: An earlier copy on the same file system: of a file that both hold, the new copy is another name.

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
        elif like is None or not _linked(root / node.path, node, like / node.path, place):
            with _open(root / node.path) as source, place.open("xb") as written:
                shutil.copyfileobj(source, written, _CHUNK_BYTES)
            place.chmod(_mode(node))


def twin(root: Path, copies: Path, *, apart: str) -> Path | None:
    """An earlier copy whose largest file is that of a directory: what else is equal is found file by file; for small ones, none.

    Args:
        root: The directory.
        copies: Where earlier copies lie.
        apart: A path that is not looked at.

    Raises:
        SubmissionError: As ``walk``, or a file cannot be read.
    """
    files = [node for node in walk(root) if node.kind == "file" and node.path != apart]
    largest = max(files, key=lambda node: node.size, default=None)
    if largest is None or largest.size < _WORTH_A_SEARCH:
        return None
    there = (place for place in copies.iterdir() if not place.name.startswith("."))
    return next((place for place in there if _same(root / largest.path, largest, place / largest.path)), None)


def _mode(node: Node) -> int:
    return 0o555 if node.executable else 0o444


def _same(path: Path, node: Node, copied: Path) -> bool:
    """Whether a copy that nobody may write holds the same as a file."""
    try:
        facts = copied.lstat()
        if (facts.st_size, facts.st_mode, facts.st_uid) != (node.size, stat.S_IFREG | _mode(node), os.geteuid()):
            return False
        other = open_regular(copied)
    except OSError:
        return False
    with _open(path) as source, other:
        while (piece := source.read(_CHUNK_BYTES)) == other.read(_CHUNK_BYTES):
            if not piece:
                return True
    return False


def _linked(path: Path, node: Node, copied: Path, place: Path) -> bool:
    """Give an equal copy of a file one more name; False where there is none, or the file system has no second names."""
    if not _same(path, node, copied):
        return False
    with contextlib.suppress(OSError):
        place.hardlink_to(copied)
        return True
    return False


class _Walker:
    """Walks a directory without recursion, and stops at the first unacceptable item."""

    def __init__(self, root: Path) -> None:
        self.nodes: list[Node] = []
        self.left_out: Counter[str] = Counter()
        self._root = root
        self._seen = 0
        self._bytes = 0
        #: Directories to look into, each with the names of the Python sources beside it.
        self._pending: list[tuple[str, Collection[str]]] = [("", ())]

    def walk(self) -> None:
        while self._pending:
            prefix, sources = self._pending.pop()
            entries = self._list(prefix)
            kept = [entry for entry in entries if not self._is_left_out(prefix, entry, entries, sources)]
            for entry in kept:
                self._add(prefix, entry, entries)
            if prefix and not kept:
                self.nodes.append(Node(prefix.rstrip("/"), "empty"))

    def _list(self, prefix: str) -> list[os.DirEntry[str]]:
        found = []
        with os.scandir(self._root / prefix) as entries:
            for entry in entries:
                self._seen += 1
                if self._seen > MAX_ENTRIES:
                    raise SubmissionError(f"{shown(self._root)} holds more than {MAX_ENTRIES} files.",
                                          "Leave out what the program does not need.")
                found.append(entry)
        return found

    def _is_left_out(self, prefix: str, entry: os.DirEntry[str], beside: list[os.DirEntry[str]], sources: Collection[str]) -> bool:
        """Whether it is not part of the content; counts it if so."""
        if entry.name == ".git":
            self.left_out[_VERSIONS] += 1
            return True
        if entry.name == _CACHE and entry.is_dir(follow_symlinks=False):
            return self._is_cache(f"{prefix}{_CACHE}/", _sources(beside))
        cached = prefix.endswith(f"/{_CACHE}/") or prefix == f"{_CACHE}/"
        if _is_compiled(entry, sources if cached else _sources(beside), cached=cached):
            self.left_out[_COMPILED] += 1
            return True
        return False

    def _is_cache(self, prefix: str, sources: Collection[str]) -> bool:
        """Whether a directory holds nothing but compiled files of the sources beside it."""
        held = self._list(prefix)
        if not all(_is_compiled(entry, sources, cached=True) for entry in held):
            self._seen -= len(held)  # it is listed again in its turn
            return False
        self.left_out[_COMPILED] += len(held)
        return True

    def _add(self, prefix: str, entry: os.DirEntry[str], beside: list[os.DirEntry[str]]) -> None:
        path = prefix + entry.name
        self._check_name(path, entry.name)
        facts = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(facts.st_mode):
            self._pending.append((f"{path}/", _sources(beside) if entry.name == _CACHE else ()))
        elif stat.S_ISREG(facts.st_mode):
            self._bytes += facts.st_size
            if self._bytes > MAX_BYTES:
                raise SubmissionError(f"{shown(self._root)} holds more than {MAX_BYTES >> 30} GiB.",
                                      "Leave out what the program does not need.")
            self.nodes.append(Node(path, "file", bool(facts.st_mode & 0o111), facts.st_size))
        elif stat.S_ISLNK(facts.st_mode):
            self.nodes.append(Node(path, "link", target=_inner_link(self._root, self._root / path)))
        else:
            problem = f"{shown(self._root / path)} is neither a file nor a directory nor a link."
            raise SubmissionError(problem, "Leave it out.")

    def _check_name(self, path: str, name: str) -> None:
        if path.count("/") >= MAX_DEPTH or len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise SubmissionError(f"{shown(self._root)} nests directories too deeply: {shown(path)}.",
                                  f"Use at most {MAX_DEPTH} nested directories, and paths of at most {MAX_PATH_BYTES} bytes.")
        if name.startswith(_WHITEOUT):
            raise SubmissionError(f"{shown(self._root / path)} has a name that Docker takes for the removal of a file.",
                                  f"Give it a name that does not begin with `{_WHITEOUT}`.")


def _sources(entries: list[os.DirEntry[str]]) -> Collection[str]:
    """Names of the modules whose source lies among these: plain files, because Python takes nothing else for a source."""
    return {entry.name.removesuffix(".py") for entry in entries
            if entry.name.endswith(".py") and entry.is_file(follow_symlinks=False)}


def _is_compiled(entry: os.DirEntry[str], sources: Collection[str], *, cached: bool) -> bool:
    """Whether it is made of one of these sources: ``x.pyc``, or ``x.cpython-311.pyc`` in a cache."""
    if not entry.name.endswith(".pyc") or not entry.is_file(follow_symlinks=False):
        return False
    module, tag, _ = entry.name.removesuffix(".pyc").partition(".cpython-" if cached else "\0")
    return module in sources and bool(tag) is cached


def _inner_link(root: Path, link: Path) -> str:
    target = str(link.readlink())
    inside = os.path.realpath(root)
    plain = os.path.normpath(os.path.join(os.path.relpath(link.parent, root), target))  # noqa: PTH118 - text only
    leads_out = os.path.isabs(target) or plain == ".." or plain.startswith("../")  # noqa: PTH117 - text only
    if leads_out or os.path.commonpath((inside, os.path.realpath(link))) != inside:
        problem = f"The link {shown(link)} leads out of the submission."
        raise SubmissionError(problem, "Copy what it points to into the submission.")
    return target


def _open(path: Path) -> io.BufferedReader:
    try:
        return open_regular(path)
    except OSError as error:
        problem = f"{shown(path)} cannot be read ({error.strerror})."
        raise SubmissionError(problem, "Make it readable, or leave it out.") from error


def _file_sha256(path: Path) -> str:
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
