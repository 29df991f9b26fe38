"""How a track is scored: what its formula is asked for, and what comes of it.

A track's row names its formula (``Track.formula``), so a further kind of submission brings its own, and no second table is kept
beside the rows. What all have in common - ranks, intervals, rank sets, the order of the rows - is not a formula's.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import Intervals
from harness.scoring.entry import Entry, Track
from harness.scoring.results import Results
from harness.scoring.tally import Cells, Counts, Tally, image_cells
from harness.scoring.views import View, counted
from harness.tracks import TRACKS, Threat

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrackScores:
    """Scores of one track's K entries, in submission order.

    Attributes:
        members: int64[K], positions among the formula's entries.
        raw: int64[K], what the entry earned in images; None where a score is no share of images.
        score: float64[K] in [0, 1], NaN where nothing could be earned yet.
        worst: float64[K], the lowest score against one opponent that counts; NaN where there is none.
        worst_opponent: int64[K], that opponent's position among the formula's opponents, -1 where there is none.
        coverage: float64[K], the share of what was asked that the entry left.
        figures: float64[K] each, what the track's table shows beside the columns that all have, by name.
        rank: int64[K], 1 for the best; equal scores share a rank.
        by_threat: Of a consumer, float64[K] of each threat that there are attacks of: the score over those alone.
        remarks: K short remarks that are shown beside the names, or none at all.
        intervals: None where they were not asked for.
    """

    track: Track
    members: NDArray[np.int64]
    raw: Counts | None
    score: NDArray[np.float64]
    worst: NDArray[np.float64]
    worst_opponent: NDArray[np.int64]
    coverage: NDArray[np.float64]
    figures: Mapping[str, NDArray[np.float64]]
    rank: NDArray[np.int64]
    by_threat: Mapping[Threat, NDArray[np.float64]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    intervals: Intervals | None = None


@dataclass(frozen=True)
class Resampling:
    """How scores follow from sums over resampled images.

    Attributes:
        terms: Per image, each [K, N].
        scores: From the terms' sums, each float64[R, K], to scores, float64[R, K].
        images: int64[K], on how many images each score rests.
    """

    terms: tuple[NDArray[Any], ...]
    scores: Callable[..., NDArray[np.float64]]
    images: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Basis:
    """What all formulas are given; what several of them need is computed once."""

    results: Results
    counts: Tally

    _known: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """The value computed under this name before, else computed now."""
        if name not in self._known:
            self._known[name] = compute()
        return cast("T", self._known[name])

    def image_cells(self, view: View) -> tuple[Cells, Cells]:
        """Counts per image over the opponents that count in a view; see ``tally.image_cells``."""
        opponents = counted(view, self.counts)
        # Views differ in their formulas more often than in who counts.
        key = "|".join(side.tobytes().hex() for side in opponents)
        return self.once(key, lambda: image_cells(self.results, *opponents))


class Formula(Protocol):
    """How entries of a track are scored in each view."""

    def entries(self, results: Results) -> tuple[Entry, ...]:
        """The entries that those of the track are among."""

    def opponents(self, results: Results) -> tuple[Entry, ...]:
        """Those that they are scored against."""

    def score(self, basis: Basis, track: Track, view: View) -> TrackScores:
        """Scores without intervals."""

    def resampling(self, basis: Basis, track: Track, view: View) -> Resampling:
        """What intervals follow from."""


@lru_cache
def _named(name: str) -> Formula:
    return cast("Formula", pkgutil.resolve_name(name))


def formula_of(track: Track) -> Formula:
    """The formula that a track's row names."""
    return _named(TRACKS[track].formula)


def of_each_threat(attacks: Sequence[Entry]) -> dict[Threat, NDArray[np.bool_]]:
    """Which attacks are of each threat, bool[A]; the threats in their order, without those of nobody."""
    found = {threat: np.array([attack.threat is threat for attack in attacks], np.bool_) for threat in Threat}
    return {threat: which for threat, which in found.items() if which.any()}


def members_of(results: Results, track: Track) -> NDArray[np.int64]:
    """Positions of a track's entries among those of its formula."""
    entries = formula_of(track).entries(results)
    return np.array([place for place, entry in enumerate(entries) if entry.type == track], np.int64)
