"""The watch on a container's layer: where nobody here sees it or the engine's disk, and where others free what it takes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.docker import layer
from harness.sandbox.docker.layer import layer_check
from harness.sandbox.outcomes import Ending

from .conftest import LIMITS


class Asked:
    """A container whose layer's size is what the engine says, None where it does not say."""

    upper_directory = None

    def __init__(self, *told: int | None) -> None:
        self._told = list(told)

    def layer_bytes(self) -> int | None:
        return self._told.pop(0)


def verdicts(container: Asked, looks: int) -> list[Any]:
    look = layer_check(container, replace(LIMITS, layer_bytes=1000), Path("/nowhere/docker"))  # type: ignore[arg-type]
    return [look() for _ in range(looks)]


def test_an_engine_that_does_not_say_is_asked_again() -> None:
    seen = verdicts(Asked(None, 2000), 20)
    assert seen[:19] == [None] * 19
    assert seen[19].ending is Ending.OUTPUT_LIMIT


def test_what_is_within_the_limit_is_no_matter() -> None:
    assert verdicts(Asked(10, 1000), 20) == [None] * 20


class Walked:
    """A container whose layer is a directory here."""

    ident = "none"

    def __init__(self, upper: Path) -> None:
        self.upper_directory, self.sampler = str(upper), self

    def threads(self) -> list[int]:
        return []


def test_what_others_free_meanwhile_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's free space rises all the while: other containers are being removed."""
    free = iter(range(1 << 30, 1 << 50, 1 << 30))
    monkeypatch.setattr(layer, "_free", lambda root: (next(free), 1 << 20))
    look = layer_check(Walked(tmp_path), replace(LIMITS, layer_bytes=1 << 16), tmp_path)  # type: ignore[arg-type]
    (tmp_path / "little").write_bytes(bytes(1 << 14))
    assert look() is None
    (tmp_path / "much").write_bytes(bytes(1 << 17))
    later = time.monotonic() + 10
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert look().ending is Ending.OUTPUT_LIMIT


def test_walks_are_rare_where_they_are_dear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk of a second is made again after twenty, or as soon as the disk says that something was written."""
    clock, walks, free = [0.0], [], [1 << 30]

    def walk(*_: object) -> tuple[int, int, bool]:
        walks.append(clock[0])
        clock[0] += 1.0
        return 0, 0, False

    monkeypatch.setattr(layer, "_free", lambda root: (free[0], 1 << 20))
    monkeypatch.setattr(layer, "_used", walk)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    look = layer_check(Walked(tmp_path), replace(LIMITS, layer_bytes=1 << 20), tmp_path)  # type: ignore[arg-type]
    for _ in range(30):
        look()
        clock[0] += 1.0
    assert walks == [0.0, 21.0]
    free[0] -= 1 << 20
    look()
    assert walks[2:] == [clock[0] - 1.0]
