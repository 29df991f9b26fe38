"""Our own checked unpacking of an untrusted ``.zip``, ``.tar`` or ``.tar.gz``.

The standard library only parses; every path is checked and every byte is written here (``extractall`` trusts the archive, and
its filters still leave size and count open). Refused: paths that are absolute or climb, devices, pipes, sparse files, links that
point outside, duplicate names, encrypted members, more bytes or entries than the limits, by what is declared and by what comes out.
Links are made last, so nothing is ever written through one. Of a mode only the exec bit survives.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from harness.errors import SubmissionError
from harness.submission.archive_members import ArchiveRefusedError, Member, tar_members, zip_members
from harness.submission.code_tree import MAX_DEPTH, MAX_PATH_BYTES, open_regular

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_BYTES = 8 << 30
MAX_ENTRIES = 100_000
#: Code and weights unpack to a few times their size; deflate can be driven to a thousand times.
MAX_RATIO = 200
_FREE_BYTES = 256 << 20

_MAX_NAME_BYTES = 255
_CHUNK_BYTES = 1 << 20
_MACOS_LEFTOVERS = "__MACOSX"
#: What people submit instead, by its first bytes.
_OTHER_KINDS = (
    (b"Rar!", "a RAR archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"), (b"\x28\xb5\x2f\xfd", "compressed with zstd"), (b"PK\x07\x08", "a part of a split zip"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file"), (b"<!DOCTYPE", "a web page"),
    (b"<!doctype", "a web page"), (b"<html", "a web page"), (b"%PDF", "a PDF"))
_PART = re.compile(r"\.(z\d\d|\d\d\d|part\d+)")


def bare_name(path: Path) -> str:
    """The archive's file name without its suffix."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def unpack(path: Path, target: Path) -> Path:
    """Unpack an archive into a new directory; nothing is left of it where it is refused.

    Args:
        path: The archive; its kind is told by its content.
        target: Directory to make.

    Returns:
        The submission's root: ``target``, or the one directory in it. A top-level ``__MACOSX`` is left out.

    Raises:
        SubmissionError: Not an archive, damaged, or refused.
    """
    target.mkdir(parents=True)
    try:
        _unpack(path, target)
    except BaseException:  # Ctrl-C too: nothing half unpacked may stay
        shutil.rmtree(target, ignore_errors=True)
        raise
    entries = list(target.iterdir())
    if not entries:
        shutil.rmtree(target, ignore_errors=True)
        raise SubmissionError(f"The archive {path} holds nothing.", "Pack the directory that holds metadata.json.")
    if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink():
        return entries[0]
    return target


def _unpack(path: Path, target: Path) -> None:
    writer = _Writer(target, min(MAX_BYTES, path.stat().st_size * MAX_RATIO + _FREE_BYTES))
    try:
        with open_regular(os.path.realpath(path)) as file:
            _refuse_other_kinds(file, path)
            for member in _members(file, writer.byte_limit):
                writer.add(member)
        writer.make_links()
    except SubmissionError:
        raise
    except ArchiveRefusedError as error:
        problem = f"The archive {path} is refused: {error}."
        raise SubmissionError(problem, "Pack plain files and directories again, with zip or tar and without a password.") from error
    except _WriteError as error:
        problem = f"The archive {path} cannot be unpacked ({error})."
        raise SubmissionError(problem, "Free some space for it, or shorten its paths.") from error
    # zipfile, tarfile and zlib raise whatever a malformed archive drives them into.
    except Exception as error:
        problem = f"The archive {path} is damaged, or not an archive ({type(error).__name__})."
        raise SubmissionError(problem, "Pack it again as .zip, .tar or .tar.gz.") from error


def _refuse_other_kinds(file: BinaryIO, path: Path) -> None:
    head = file.read(32).lstrip()
    file.seek(0)
    kind = next((kind for magic, kind in _OTHER_KINDS if head.startswith(magic)), "")
    if not kind and _PART.fullmatch(path.suffix):
        kind = "a part of a split archive"
    if kind:
        raise SubmissionError(f"{path} is {kind}.", "Pack the directory as one .zip, .tar or .tar.gz.")


def _members(file: BinaryIO, byte_limit: int) -> Iterator[Member]:
    magic = file.read(4)
    file.seek(0)
    if magic[:2] == b"PK":
        return zip_members(file, MAX_ENTRIES)
    if magic[:2] == b"\x1f\x8b":
        return tar_members(cast("BinaryIO", gzip.GzipFile(fileobj=file)), byte_limit)
    return tar_members(file, byte_limit)


class _WriteError(Exception):
    """The disk did not take a file."""


@dataclass
class _Writer:
    """Puts checked members below a directory.

    Attributes:
        root: Where to.
        byte_limit: Most bytes in all.
    """

    root: Path
    byte_limit: int
    written: int = 0
    entries: int = 0
    files: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, member: Member) -> None:
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            reason = f"it has more than {MAX_ENTRIES} entries"
            raise ArchiveRefusedError(reason)
        parts = _checked_parts(member.path)
        if not parts or parts[0] == _MACOS_LEFTOVERS:
            return
        path = "/".join(parts)
        if member.kind != "directory":
            if path in self.files or path in self.links:
                reason = f"it names {path[:200]!a} twice"
                raise ArchiveRefusedError(reason)
            if self.written + member.size > self.byte_limit:
                reason = f"it unpacks to more than {self.byte_limit} bytes"
                raise ArchiveRefusedError(reason)
        try:
            self._put(member, path)
        except OSError as error:
            if error.filename is None and not error.errno:  # from the reader, not from the disk
                raise
            raise _WriteError(error.strerror) from error

    def make_links(self) -> None:
        inside = os.path.realpath(self.root)
        for path, target in self.links.items():
            place = self.root / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(target)
            except OSError as error:
                raise _WriteError(error.strerror) from error
        for path in self.links:
            if os.path.commonpath((inside, os.path.realpath(self.root / path))) != inside:
                reason = f"its link {path[:200]!a} leads out of it"
                raise ArchiveRefusedError(reason)

    def _put(self, member: Member, path: str) -> None:
        place = self.root / path
        if member.kind == "directory":
            place.mkdir(parents=True, exist_ok=True)
            return
        if member.kind == "link":
            if member.target.startswith("/") or "\0" in member.target or len(member.target) > MAX_PATH_BYTES:
                reason = f"its link {path[:200]!a} leads out of it"
                raise ArchiveRefusedError(reason)
            self.links[path] = member.target
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == "copy":
            self._copy(member, path, place)
        else:
            with member.open() as source, place.open("xb") as file:
                self._pour(source, file)
            place.chmod(0o755 if member.executable else 0o644)
        self.files.add(path)

    def _copy(self, member: Member, path: str, place: Path) -> None:
        source = "/".join(_checked_parts(member.target))
        if source not in self.files:
            reason = f"its hard link {path[:200]!a} names no earlier file of it"
            raise ArchiveRefusedError(reason)
        with (self.root / source).open("rb") as earlier, place.open("xb") as file:
            self._pour(earlier, file)
        shutil.copymode(self.root / source, place)

    def _pour(self, source: BinaryIO, file: BinaryIO) -> None:
        while chunk := source.read(_CHUNK_BYTES):
            self.written += len(chunk)
            if self.written > self.byte_limit:
                reason = f"it unpacks to more than {self.byte_limit} bytes"
                raise ArchiveRefusedError(reason)
            file.write(chunk)


def _checked_parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or "\\" in path:
        reason = f"it holds the path {path[:200]!a}"
        raise ArchiveRefusedError(reason)
    too_long = len(os.fsencode(path)) > MAX_PATH_BYTES or any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in parts)
    if too_long or len(parts) > MAX_DEPTH:
        reason = f"it holds a path that is too long: {path[:60]!a}..."
        raise ArchiveRefusedError(reason)
    return parts
