"""The watch on a container's layer where the harness sees neither it nor the engine's disk: the engine is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


def verdicts(container: Asked, looks: int) -> list[object]:
    look = layer_check(container, replace(LIMITS, layer_bytes=1000), Path("/nowhere/docker"))
    return [look() for _ in range(looks)]


def test_an_engine_that_does_not_say_is_asked_again() -> None:
    seen = verdicts(Asked(None, 2000), 20)
    assert seen[:19] == [None] * 19
    assert seen[19].ending is Ending.OUTPUT_LIMIT


def test_what_is_within_the_limit_is_no_matter() -> None:
    assert verdicts(Asked(10, 1000), 20) == [None] * 20
