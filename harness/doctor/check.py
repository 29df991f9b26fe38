"""A check's result as data: screens, JSON and tests read the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """The result of one check of the host.

    Attributes:
        name: What was checked, a few words, stable.
        state: ``ok``; ``warn`` where a contest can run but an organiser should know; ``fail`` where what was asked for is
            missing or a promise of the sandbox does not hold here.
        what: What was found, one sentence or less.
        next_step: What to do about it; empty where nothing is to be done.
    """

    name: str
    state: State
    what: str
    next_step: str = ""


def usable(checks: list[Check]) -> bool:
    """Whether nothing that was asked for is missing."""
    return all(check.state != "fail" for check in checks)
