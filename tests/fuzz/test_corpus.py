"""Every input that a fuzzer ever broke a reader with, and every seed, through the reader again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read_or_refused(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].read(seed)
        for cut in range(0, len(seed), max(1, len(seed) // 50)):
            TARGETS[name].read(seed[:cut])


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*-*")), ids=lambda path: f"{path.parent.name}/{path.name[:24]}")
def test_what_was_found_stays_fixed(path: Path) -> None:
    TARGETS[path.parent.name].read(path.read_bytes())
