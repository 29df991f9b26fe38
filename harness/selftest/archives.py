"""Archives and metadata that are built to be refused, or to be taken without harm."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

from harness.selftest.build import BASE_IMAGE, PROGRAMS, Bench, Source, program_text, write_entry
from harness.selftest.row import Row

Files = dict[str, tuple[bytes, int]]
Trick = Callable[[Files, str], bytes]

_MILLION = 1_000_000


def archive(row: Row, bench: Bench) -> Source:
    """An archive of a well-behaved entry, with the row's trick."""
    files: Files = {
        "metadata.json": (_metadata(row), 0o644), "run": (program_text(row.file).encode(), 0o755),
        "kit.py": ((PROGRAMS / "shared-kit.py").read_bytes(), 0o644)}
    path = bench.root / f"{row.name}.archive"
    path.write_bytes(TRICKS[row.name](files, bench.planted["canary"]))
    # A row that must be refused is loaded under its own name, so that this is never the reason.
    return Source(str(path), row.name)


def metadata(row: Row, bench: Bench) -> Source:
    """A directory whose metadata.json holds the row's fields."""
    folder = bench.root / row.name
    facts = {"type": row.track, "container": BASE_IMAGE, "entry_point": "run", **row.options}
    write_entry(folder, program_text(row.file), facts)
    if "raw" in row.options:
        (folder / "metadata.json").write_text(str(row.options["raw"]), encoding="utf-8")
    return Source(str(folder), None)


def tree(row: Row, bench: Bench) -> Source:
    """A directory that holds a link out of it, or an item that is not a file."""
    folder = bench.root / row.name
    write_entry(folder, program_text(row.file), {"type": row.track, "container": BASE_IMAGE, "entry_point": "run"})
    if "link" in row.options:
        (folder / "model").symlink_to(str(row.options["link"]).format(canary=bench.planted["canary"]))
    if "fifo" in row.options:
        os.mkfifo(folder / "model")
    if "metadata" in row.options:
        (folder / "metadata.json").unlink()
        os.mkfifo(folder / "metadata.json")
    if "file" in row.options:
        (folder / str(row.options["file"])).touch()
    if "nested" in row.options:
        (folder / "/".join("d" * int(str(row.options["nested"])))).mkdir(parents=True)
    return Source(str(folder), row.name)


def _metadata(row: Row) -> bytes:
    return json.dumps({"type": row.track, "container": BASE_IMAGE, "entry_point": "run"}).encode()


def _zip(files: Files, *more: tuple[str, bytes, int]) -> bytes:
    spool = io.BytesIO()
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data, mode in (*((name, *held) for name, held in files.items()), *more):
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return spool.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


def _tar(files: Files, *more: tarfile.TarInfo, tail: bytes = b"") -> bytes:
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name, (data, mode) in files.items():
            member = _member(name, size=len(data))
            member.mode = mode
            made.addfile(member, io.BytesIO(data))
        for member in more:
            made.addfile(member, io.BytesIO(bytes(member.size)) if member.size < 1 << 24 else None)
    # Without the two blocks that end an archive, where something follows.
    return spool.getvalue() if not tail else spool.getvalue()[: made.offset - 2 * tarfile.BLOCKSIZE] + tail


def _sparse(files: Files, _: str) -> bytes:
    """An old GNU sparse member: one piece of data at the end of a terabyte."""
    header = bytearray(_member("sparse", tarfile.GNUTYPE_SPARSE, size=0).tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return _tar(files, tail=bytes(header) + bytes(1024))


def _lies(files: Files, _: str) -> bytes:
    """A deflated member of 256 MB whose headers say that it has 10 bytes."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(squeezed.compress(bytes(1 << 24)) for _ in range(16)) + squeezed.flush()
    made = bytearray(_zip(files, ("bomb", b"0123456789", 0o644)))
    local = made.rindex(b"PK\x03\x04")
    directory = made.index(b"PK\x01\x02")
    _, _, _, _, _, _, _, packed, _, name, extra = struct.unpack_from("<4s5H3I2H", made, local)
    start = local + 30 + name + extra
    tail, grown = bytes(made[directory:]), len(data) - packed
    made[local + 18:local + 22] = struct.pack("<I", len(data))
    head = bytes(made[:start]) + data
    entry = tail.rindex(b"PK\x01\x02")
    end = tail.rindex(b"PK\x05\x06")
    changed = bytearray(tail)
    changed[entry + 20:entry + 24] = struct.pack("<I", len(data))
    changed[end + 16:end + 20] = struct.pack("<I", directory + grown)
    return head + bytes(changed)


def _bomb(files: Files, _: str) -> bytes:
    """A member that declares, and would unpack to, far more than its own size."""
    made = bytearray(_zip(files, ("bomb", bytes(1 << 20), 0o644)))
    size = struct.pack("<I", 0xFFFFFFF0)
    entry = made.rindex(b"PK\x01\x02")
    made[entry + 24:entry + 28] = size
    local = made.rindex(b"PK\x03\x04")
    made[local + 22:local + 26] = size
    return bytes(made)


def _million(files: Files, _: str) -> bytes:
    names = (b"%07d" % number for number in range(_MILLION))
    entries = b"".join(struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0) + name
                       for name in names)
    start = _zip(files)
    start = start[: start.index(b"PK\x01\x02")]
    zip64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, _MILLION, _MILLION, len(entries), len(start))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(start) + len(entries), 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return start + entries + zip64 + locator + end


def _million_in_tar(files: Files, _: str) -> bytes:
    block = _member("d", tarfile.DIRTYPE).tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(_tar(files, tail=block * _MILLION), 1)


def _huge_header(files: Files, _: str) -> bytes:
    text = b"2097164 comment=" + b"x" * (2 << 20)
    header = _member("pax", tarfile.XHDTYPE, size=len(text)).tobuf(tarfile.USTAR_FORMAT)
    return _tar(files, tail=header + text + bytes(-len(text) % 512) + bytes(1024))


def _encrypted(files: Files, _: str) -> bytes:
    made = bytearray(_zip(files))
    for place in (made.rindex(b"PK\x01\x02") + 8, made.rindex(b"PK\x03\x04") + 6):
        made[place] |= 1
    return bytes(made)


def _rooted(files: Files, root: str) -> Files:
    return {f"{root}/{name}": held for name, held in files.items()}


def _crlf(files: Files) -> Files:
    return {**files, "run": (b"#!/bin/bash\r\ntrue\r\n", 0o755)}


def _mode(files: Files, mode: int) -> Files:
    return {**files, "run": (files["run"][0], mode)}


_SYM, _HARD = tarfile.SYMTYPE, tarfile.LNKTYPE

TRICKS: dict[str, Trick] = {
    "archive-that-climbs": lambda files, _: _zip(files, ("x/../../../climbed", b"x", 0o644)),
    "archive-that-climbs-in-tar": lambda files, _: _tar(files, _member("../climbed")),
    "archive-with-absolute-path": lambda files, canary: _tar(files, _member(canary)),
    "archive-with-backslashes": lambda files, _: _zip(files, ("..\\..\\climbed", b"x", 0o644)),
    "archive-with-link-out": lambda files, canary: _tar(files, _member("link", _SYM, canary)),
    "archive-with-link-chain": lambda files, _: _tar(
        files, _member("d/e", tarfile.DIRTYPE), _member("d/up", _SYM, ".."), _member("d/e/out", _SYM, "../up/../../..")),
    "archive-with-zip-link": lambda files, canary: _zip(files, ("link", canary.encode(), 0o120777)),
    "archive-that-writes-through-a-link": lambda files, _: _tar(files, _member("link", _SYM, "d"), _member("link/file")),
    "archive-with-hard-link-out": lambda files, canary: _tar(files, _member("link", _HARD, canary)),
    "archive-with-hard-link-ahead": lambda files, _: _tar(files, _member("link", _HARD, "etc/passwd")),
    "archive-with-device": lambda files, _: _tar(files, _member("device", tarfile.CHRTYPE)),
    "archive-with-fifo": lambda files, _: _tar(files, _member("pipe", tarfile.FIFOTYPE)),
    "archive-with-sparse-file": _sparse,
    "archive-bomb": _bomb,
    "archive-bomb-that-lies": _lies,
    "archive-bomb-in-tar": lambda files, _: _tar(files, tail=_member("big", size=1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(1024)),
    "archive-of-a-million-entries": _million,
    "archive-of-a-million-entries-in-tar": _million_in_tar,
    "archive-with-a-huge-header": _huge_header,
    "archive-with-a-name-twice": lambda files, _: _tar(files, _member("run")),
    "archive-with-a-long-name": lambda files, _: _tar(files, _member("x/" * 2500 + "x")),
    "archive-with-a-whiteout": lambda files, _: _tar(files, _member(".wh.run")),
    "archive-that-is-encrypted": _encrypted,
    "archive-cut-short": lambda files, _: _zip(files)[:-40],
    "archive-that-is-none": lambda *_: b"not an archive\n" * 100,
    "archive-of-two-roots": lambda files, _: _zip({**_rooted(files, "one"), **_rooted(files, "two")}),
    "archive-with-metadata-link": lambda files, canary: _tar(
        {name: held for name, held in files.items() if name != "metadata.json"}, _member("metadata.json", _SYM, canary)),
    "archive-from-a-mac": lambda files, _: _zip({**_rooted(files, "entry"), "__MACOSX/entry/._run": (b"\0", 0o644)}),
    "archive-with-set-uid-bit": lambda files, _: _tar(_mode(files, 0o6777)),
    "archive-without-exec-bit": lambda files, _: _tar(_mode(files, 0o644)),
    "archive-with-crlf": lambda files, _: _tar(_crlf(files)),
}
