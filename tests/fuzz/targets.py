"""The readers of untrusted data as functions of bytes: each may raise its own error and nothing else.

One table, used by the coverage-guided fuzzer (``tests/fuzz/fuzz.py``) and by the tests, which replay every kept input through it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.errors import SubmissionError
from harness.execution.outputs.npy import read_array, read_rows
from harness.execution.outputs.safe_open import RefusedFileError
from harness.formats import images
from harness.formats.perturbation import CorruptArtifactError, decode_perturbation, encode_perturbation
from harness.formats.result_csv import read_labels
from harness.formats.scores_csv import read_scores
from harness.sandbox.protocol import LineReader, parse
from harness.submission.archive import unpack
from harness.submission.metadata import read_metadata

SIZE = (8, 8)
NAMES = [f"{index:016x}.png" for index in range(4)]
CLEAN = np.full((2, 4, 4, 3), 100, np.uint8)


def image(data: bytes) -> None:
    try:
        decoded = images.decode(data, SIZE)
    except images.UnreadableImageError:
        return
    assert decoded.pixels.shape == (SIZE[1], SIZE[0], 3)
    assert decoded.pixels.dtype == np.uint8


def predictions(data: bytes) -> None:
    labels = read_labels(data, NAMES).answers.values
    assert labels.shape == (len(NAMES),)
    assert labels.dtype == "int16"


def scores(data: bytes) -> None:
    answers = read_scores(data, NAMES).answers
    assert answers.values.shape == (len(NAMES),)
    assert answers.values.dtype == "float32"
    assert np.isfinite(answers.values[answers.given]).all()


def metadata(data: bytes) -> None:
    found, problems = read_metadata(data)
    assert (found is None) == bool(problems)


def archive(data: bytes) -> None:
    """Whatever the archive says, nothing appears outside the target and no link leaves it."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        (place / "a.zip").write_bytes(data)
        (place / "out").mkdir()
        try:
            root = unpack(place / "a.zip", place / "out" / "code")
        except SubmissionError:
            root = None
        assert sorted(os.listdir(place)) == ["a.zip", "out"]
        assert set(os.listdir(place / "out")) <= {"code"}
        if root is not None:
            for path in root.rglob("*"):
                assert path.resolve().is_relative_to((place / "out").resolve())
    finally:
        shutil.rmtree(place, ignore_errors=True)


def serve_lines(data: bytes) -> None:
    reader = LineReader()
    for start in range(0, len(data), 7):
        reader.feed(data[start : start + 7])
    for line in data.split(b"\n"):
        parse(line)


def perturbation(data: bytes) -> None:
    try:
        adversarial, produced = decode_perturbation(data, CLEAN)
    except CorruptArtifactError:
        return
    assert adversarial.shape == CLEAN.shape
    assert produced.shape == (len(CLEAN),)


def array(data: bytes) -> None:
    place = tempfile.mkdtemp(prefix="fuzz-")
    try:
        Path(place, "images.npy").write_bytes(data)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for row, dtype, most in (((4, 4, 3), np.uint8, 5), ((), np.int64, 5)):
                with contextlib.suppress(RefusedFileError):
                    rows = read_rows(descriptor, "images.npy", dtype, row, most)
                    assert rows is not None
                    assert len(rows) <= most
                    assert rows.shape[1:] == row
            found = read_array(descriptor, (2, 4, 4, 3))
        except RefusedFileError:
            return
        finally:
            os.close(descriptor)
        assert found is not None
        assert found.shape == (2, 4, 4, 3)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class Target:
    """One reader, with inputs to begin from."""

    read: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


def _picture(mode: str, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, SIZE, 1).save(buffer, format_, **options)
    return buffer.getvalue()


def image_seeds() -> Iterator[bytes]:
    for mode, format_ in (("RGB", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("1", "PNG"), ("RGB", "JPEG"),
                          ("CMYK", "JPEG"), ("RGB", "WEBP"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "TIFF"), ("RGB", "PPM")):
        yield _picture(mode, format_)
    text = b"zTXtComment\0\0" + zlib.compress(bytes(10_000))
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    plain = _picture("RGB", "PNG")
    yield plain[:33] + chunk + plain[33:]


def archive_seeds() -> Iterator[bytes]:
    import tarfile
    import zipfile

    for mode in ("w", "w:gz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as made:
            for kind, name, link in ((tarfile.REGTYPE, "a/run.sh", ""), (tarfile.SYMTYPE, "a/l", "run.sh"),
                                     (tarfile.LNKTYPE, "a/h", "a/run.sh"), (tarfile.SYMTYPE, "a/out", "/etc/passwd")):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, link
                made.addfile(member)
        yield buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a/run.sh", "#!/bin/sh\n")
        zipped.writestr("../b", "x")
    yield buffer.getvalue()


def array_seeds() -> Iterator[bytes]:
    for made in (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3), np.float32), np.zeros(3, np.uint8)):
        buffer = io.BytesIO()
        np.save(buffer, made)
        yield buffer.getvalue()


TARGETS = {
    "image": Target(image, image_seeds),
    "scores": Target(scores, lambda: iter([
        b"", b"".join(f"{name},{index / 3}\n".encode() for index, name in enumerate(NAMES)), f"{NAMES[0]},-1e999\n".encode(),
    ])),
    "predictions": Target(predictions, lambda: iter([
        b"0000000000000000.png,3\n0000000000000001,4\r\n", b'"a\nb",1\n\x00,\xff\n', b"0000000000000002.jpg, 5 ,x\n"])),
    "metadata": Target(metadata, lambda: iter([
        b'{"type": "attack", "container": "a/b:1", "entry_point": "run.sh"}',
        b'{"type": "defense", "container": "x", "entry_point": "../r", "protocol": "serve", "baseline": 1, "profile": "s"}'])),
    "archive": Target(archive, archive_seeds),
    "serve_lines": Target(serve_lines, lambda: iter([
        b'{"ready": true, "arrays": true}\n{"batch": "x", "done": true}\n', b'{"batch": "x", "error": "y"}\nprint\n'])),
    "perturbation": Target(perturbation, lambda: iter([
        encode_perturbation(CLEAN, CLEAN + 1, np.array([True, False]))])),
    "array": Target(array, array_seeds),
}
