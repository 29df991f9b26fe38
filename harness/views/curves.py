"""Scores against the bound: of each attack over what its threat allows, of who meets attacks over those of each threat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.scoring import Results, Track
from harness.scoring.leaderboard import Leaderboard, build_leaderboard
from harness.scoring.parts import Point, easier_at_larger, of_threat, on_batches
from harness.tracks import Threat, producers

#: Bounds with a point of the curves each, at most.
MOST_BOUNDS = 8
#: What is bounded, in words. What may change at will has no curve.
BOUND_WORDS = {Threat.LINF: "epsilon", Threat.L2: "L2 norm", Threat.PATCH: "side of the patch"}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One entry's score against the bound.

    Attributes:
        easier: Two bounds of which the larger did less harm, beyond doubt.
        threat: Of whose attacks; with one threat in the round, of all.
    """

    name: str
    track: Track
    baseline: bool
    points: tuple[Point, ...]
    easier: tuple[int, int] | None = None
    threat: Threat = Threat.LINF

    @property
    def bound(self) -> str:
        """What is bounded, in words."""
        return BOUND_WORDS[self.threat]

    @property
    def flag(self) -> str:
        """What is anomalous about it, as a sentence; empty where nothing is."""
        return "" if self.easier is None else (
            f"{self.bound[0].upper()}{self.bound[1:]} {self.easier[1]} does less harm than {self.easier[0]}.")


def curves(results: Results, bounds: Mapping[Threat, Sequence[int]], board: Leaderboard) -> Iterator[Curve]:
    """Curves of the entries that a leaderboard shows, in its order, one threat after the other.

    Args:
        results: Of the round.
        bounds: Of each threat, of each batch; a threat with one bound has no curve, nor has one that nobody attacks under.
        board: Of the round, or a part of its tracks.
    """
    used = {entry.threat for entry in producers(results.entries)}
    for threat, allowed in bounds.items():
        if threat not in used & BOUND_WORDS.keys() or len(set(allowed)) < 2:  # noqa: PLR2004 - one bound is the whole
            continue
        own = of_threat(results, threat) if len(used) > 1 else results
        boards = {bound: build_leaderboard(on_batches(own, np.array(allowed) == bound), tracks=tuple(board.tracks))
                  for bound in spread(allowed)}
        found = {bound: {row.name: row for rows in part.tracks.values() for row in rows} for bound, part in boards.items()}
        for track, rows in board.tracks.items():
            for row in rows:
                own_rows = [(bound, at[row.name]) for bound, at in found.items() if row.name in at]
                points = tuple(Point(bound=bound, score=each.score, low=each.score_low, high=each.score_high)
                               for bound, each in own_rows)
                if any(point.score is not None for point in points):
                    yield Curve(name=row.name, track=track, baseline=row.baseline, points=points, threat=threat,
                                easier=easier_at_larger(points, track))


def spread(bounds: Sequence[int]) -> list[int]:
    """The different ones of a threat's bounds, at most so many as a curve has points."""
    different = sorted(set(bounds))
    return different[::-(-len(different) // MOST_BOUNDS)]
