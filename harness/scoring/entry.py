"""A submission as scores and tables know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.tracks import Access, Threat

#: The name of a track.
Track = str


@dataclass(frozen=True)
class Entry:
    """One submission as the tables show it.

    Attributes:
        order: Submission order; the earlier of two else equal entries is shown first.
        median_time_s: Median wall clock of its ended runs (one batch each), None before the first. Where a round was measured on
            several kinds of hardware, of those on the one that measured every entry; None where there is none such.
        by_hardware: The median on each of several kinds, in one order for all entries, None where it has no run on one; nothing
            where there is one kind.
        outcomes: Ended runs by outcome.
        mark: A short remark shown beside the name (an audit's disagreement, for example).
        threat: What an attack may change.
        access: What it may know of its opponents.
    """

    name: str
    team: str
    type: Track
    baseline: bool
    order: int
    digest: str
    median_time_s: float | None = None
    by_hardware: Mapping[str, float | None] = field(default_factory=dict, kw_only=True)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    mark: str = ""
    threat: Threat = Threat.LINF
    access: Access = Access.BLACK_BOX
