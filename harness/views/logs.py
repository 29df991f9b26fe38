"""What runs printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoggedRun:
    """What one attempt of a run printed: the last 64 KiB of each stream, control characters removed.

    Attributes:
        against: The attack whose output a defense was run on (``clean`` for the clean images), None for an attack.
    """

    batch: int
    against: str | None
    outcome: str
    attempt: int
    stdout: str
    stderr: str
