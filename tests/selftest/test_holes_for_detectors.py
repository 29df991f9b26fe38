"""A hint beside pixels made on purpose: the rows that look for it do not pass, and the control says that pixels are seen."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from harness.execution import input_files
from harness.formats.png import encode_png
from harness.sandbox.process import ProcessSandbox
from harness.selftest import judge
from harness.selftest.run import examine
from harness.selftest.table import ROWS
from tests.detectors import contest

pytestmark = pytest.mark.slow


def packed(pixels: np.ndarray) -> bytes:
    """A PNG file that is the longer the farther its pixels are from the grey level of a class."""
    plain = encode_png(pixels)
    at = plain.index(b"IEND") - 4
    level = (float(pixels.mean()) - 12) / 25
    body = bytes(round(100 * abs(level - round(level))))
    chunk = b"tEXt" + body
    return plain[:at] + len(body).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + plain[at:]


def test_what_is_told_beside_pixels_is_noticed(monkeypatch, tmp_path, honest_in_processes) -> None:
    copy = input_files._copy

    def dated(source: Path, target: Path) -> None:
        copy(source, target)
        os.utime(target, (1, source.stat().st_size))

    monkeypatch.setattr(input_files, "encode_png", packed)
    monkeypatch.setattr(input_files, "_copy", dated)
    tell = {"detector-reads-sizes", "detector-reads-times"}
    asked = [row for row in ROWS if row.name in {*tell, "detector-reads-names", "detector-sees-pixels"}]
    findings = examine(asked, ProcessSandbox(tmp_path), alone=honest_in_processes)
    assert {verdict.row.name for verdict in findings.verdicts if not verdict.passed} == tell


# A score that says which half an image is in, and nothing else, says nothing; the hint is what it says of attacked ones.
@pytest.mark.parametrize(("hint", "noticed"), [(0.0, False), (0.3, True), (2.0, True)])
def test_an_area_is_that_of_chance_until_there_is_a_hint(hint: float, noticed: bool) -> None:
    generator = np.random.default_rng(5)
    half = generator.integers(0, 2, (5, 40)).astype(float)
    results = contest({"one": (half + hint, 1 - half)})
    assert bool(judge.AREAS["chance"]("one", results)) is noticed
    assert bool(judge.AREAS["tells"]("one", results)) is (hint < 2)
