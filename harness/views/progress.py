"""A tournament at one moment, while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SlotView:
    """What one slot does.

    Attributes:
        what: The run ("pgd on batch 3"), empty where the slot is idle.
        since_s: Seconds since it began.
        limit_s: Its time limit, None where it has none.
        resting: Whether the slot rests after a host error.
        node: Name of its machine, where there are several.
    """

    name: str
    what: str
    since_s: float = 0.0
    limit_s: float | None = None
    resting: bool = False
    node: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A tournament at one moment.

    Attributes:
        eta_s: None while nothing is known.
        absent: Machines that were lost, by name, and in words since when.
    """

    done: int
    total: int
    failed: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[SlotView, ...] = ()
    eta_s: float | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
