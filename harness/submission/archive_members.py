"""What an archive claims to hold, member by member, with bounds around the standard library's parsers.

``zipfile`` reads a whole directory of members into memory, so its size is checked first. ``tarfile`` reads extended headers
of any length into memory, so it is given a file that refuses long reads.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

#: Longest read that tarfile may ask for at once: extended headers are far shorter, and file content comes in these pieces.
_MAX_READ_BYTES = 1 << 20
_ZIP_END = struct.Struct("<4s4H2IH")
_ZIP64_END = struct.Struct("<4sQ2H2I4Q")
_ZIP64_LOCATOR_BYTES = 20
_ZIP_ENTRY_BYTES = 46
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_TARGET_BYTES = 1024


class ArchiveRefusedError(Exception):
    """An archive holds what must not be unpacked."""


@dataclass(frozen=True)
class Member:
    """One entry, as the archive claims it; nothing here is checked yet.

    Attributes:
        path: As written in the archive.
        kind: What it is; ``copy`` is a hard link to an earlier file of the archive.
        size: Declared bytes.
        executable: Whether a file has an exec bit.
        target: Of a link or copy.
        open: A file's content; reads at most a megabyte at once.
    """

    path: str
    kind: Literal["file", "directory", "link", "copy"]
    size: int = 0
    executable: bool = False
    target: str = ""
    open: Callable[[], BinaryIO] = lambda: cast("BinaryIO", None)


def zip_members(file: BinaryIO, max_entries: int) -> Iterator[Member]:
    """Members of a zip file, in order.

    Raises:
        ArchiveRefusedError: Encrypted, special, an unusual compression, or too many entries.
    """
    _check_zip_directory(file, max_entries)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield _zip_member(archive, info)


def _check_zip_directory(file: BinaryIO, max_entries: int) -> None:
    """Refuse a directory that is larger than ``max_entries`` entries with long names could make it."""
    length = file.seek(0, 2)
    start = max(0, length - _ZIP_END.size - 0xFFFF)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _ZIP_END.size:
        raise zipfile.BadZipFile
    disk, _, _, entries, directory_bytes = _ZIP_END.unpack_from(tail, place)[1:6]
    if 0 < disk < 0xFFFF:  # noqa: PLR2004 - all ones: a zip64 record says it
        reason = "it is a part of a split zip"
        raise ArchiveRefusedError(reason)
    zip64 = start + place - _ZIP64_LOCATOR_BYTES - _ZIP64_END.size
    if zip64 >= 0:
        file.seek(zip64)
        record = file.read(_ZIP64_END.size)
        if record[:4] == b"PK\x06\x06":
            entries, directory_bytes = _ZIP64_END.unpack(record)[7:9]
    file.seek(0)
    if entries > max_entries or directory_bytes > max_entries * (_ZIP_ENTRY_BYTES + 256):
        reason = f"it has more than {max_entries} entries"
        raise ArchiveRefusedError(reason)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if info.flag_bits & 0x1:
        reason = "it is encrypted"
        raise ArchiveRefusedError(reason)
    if info.is_dir():
        return Member(info.filename, "directory")
    if info.compress_type not in _PLAIN_METHODS:
        reason = f"{info.filename[:200]!a} is compressed in an unusual way"
        raise ArchiveRefusedError(reason)
    if kind == stat.S_IFLNK:
        if info.file_size > _MAX_TARGET_BYTES:
            reason = f"its link {info.filename[:200]!a} is too long"
            raise ArchiveRefusedError(reason)
        with archive.open(info) as content:
            return Member(info.filename, "link", target=content.read(_MAX_TARGET_BYTES).decode("utf-8", "replace"))
    if kind not in (0, stat.S_IFREG):
        reason = f"{info.filename[:200]!a} is neither a file nor a directory"
        raise ArchiveRefusedError(reason)
    return Member(
        info.filename, "file", info.file_size, bool(mode & 0o111), open=lambda: cast("BinaryIO", archive.open(info))
    )


class _ShortReads:
    """A seekable file that gives no long piece at once, and nothing beyond a limit."""

    def __init__(self, file: BinaryIO, byte_limit: int) -> None:
        self._file = file
        self._byte_limit = byte_limit

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= _MAX_READ_BYTES:
            reason = "it has a header of more than a megabyte"
            raise ArchiveRefusedError(reason)
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence or offset > self._byte_limit:
            reason = f"it unpacks to more than {self._byte_limit} bytes"
            raise ArchiveRefusedError(reason)
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def tar_members(file: BinaryIO, byte_limit: int) -> Iterator[Member]:
    """Members of an uncompressed tar stream, in order; each must be read before the next is asked for.

    Raises:
        ArchiveRefusedError: Devices, pipes, sparse files, overlong headers.
    """
    leash = cast("BinaryIO", _ShortReads(file, 2 * byte_limit))
    with tarfile.open(fileobj=leash, mode="r:") as archive:
        while (info := archive.next()) is not None:
            vars(archive)["members"].clear()  # tarfile keeps every member it has read
            yield _tar_member(archive, info)


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(info.name, "directory")
    if info.issym():
        return Member(info.name, "link", target=info.linkname)
    if info.islnk():
        return Member(info.name, "copy", target=info.linkname)
    if not info.isreg() or info.issparse():
        reason = f"{info.name[:200]!a} is neither a plain file nor a directory nor a link"
        raise ArchiveRefusedError(reason)
    return Member(
        info.name, "file", info.size, bool(info.mode & 0o111), open=lambda: cast("BinaryIO", archive.extractfile(info))
    )
