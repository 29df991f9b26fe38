"""The tables as values: results scored, ranked and ordered, and their JSON, on which other programs rely.

A leaderboard or matrix is made once and shown in many ways (screen, JSON, CSV, Markdown), so that no two of them can disagree.
A number that does not exist yet (nothing ended, no opponent counts) is None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UnknownNameError
from harness.scoring import (
    RESAMPLES,
    Cells,
    Entry,
    Results,
    RunCounts,
    Tally,
    Track,
    TrackScores,
    View,
    display_order,
    score_views,
    tally,
)
from harness.tracks import TRACKS, consumes, produces


@dataclass(frozen=True)
class Row:
    """One entry of one track.

    Attributes:
        rank: Shared by equal scores; None while nothing can be scored.
        rank_low: Best rank of the 95 % interval, None without intervals.
        rank_high: Worst rank of it.
        score: Normalised, in [0, 1].
        raw: What the entry earned, in images.
        worst: Lowest score against one opponent that counts.
        coverage: Produced / asked images of an attack, labelled / produced images of a defense.
        clean_accuracy: Of a defense.
        mark: A remark beside the name; not part of the JSON unless there is one.
    """

    rank: int | None
    rank_low: int | None
    rank_high: int | None
    name: str
    team: str
    baseline: bool
    score: float | None
    score_low: float | None
    score_high: float | None
    raw: int
    worst: float | None
    worst_opponent: str | None
    coverage: float | None
    median_time_s: float | None
    outcomes: dict[str, int]
    clean_accuracy: float | None = None
    mark: str = ""

    @property
    def failures(self) -> int:
        """Ended runs that were anything but ``ok``."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "ok")

    def to_json(self, track: Track) -> dict[str, Any]:
        """The row as other programs read it."""
        data = {**vars(self), "outcomes": dict(self.outcomes)}
        if produces(track):
            del data["clean_accuracy"]
        if not self.mark:
            del data["mark"]
        return data


@dataclass(frozen=True)
class Leaderboard:
    """The tables of one tournament, or one track of it, in one view."""

    tournament: str
    round: str
    scoring: View
    images: int
    runs: RunCounts
    tracks: dict[Track, tuple[Row, ...]]

    def to_json(self) -> dict[str, Any]:
        """What ``harness leaderboard --format json`` prints."""
        return {
            "tournament": self.tournament, "round": self.round, "scoring": str(self.scoring), "images": self.images,
            "runs": asdict(self.runs),
            "tracks": {track: [row.to_json(track) for row in rows] for track, rows in self.tracks.items()},
        }


@dataclass(frozen=True)
class Matrix:
    """Every attack against every defense, in images.

    Attributes:
        attacks: Rows.
        defenses: Columns.
        cells: Counts, each int64[A, D].
        produced: int64[A], images that each attack left.
        clean_correct: int64[D], the row of the built-in opponent ``clean``; counts in no score.
        clean_labelled: int64[D].
        clean_images: int64[D].
    """

    attacks: tuple[Entry, ...]
    defenses: tuple[Entry, ...]
    cells: Cells
    produced: NDArray[np.int64]
    clean_correct: NDArray[np.int64]
    clean_labelled: NDArray[np.int64]
    clean_images: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """What ``harness matrix --format json`` prints."""
        return {
            "attacks": [entry.name for entry in self.attacks], "defenses": [entry.name for entry in self.defenses],
            "correct": self.cells.correct.tolist(), "wrong": self.cells.wrong.tolist(),
            "target_hit": self.cells.target_hit.tolist(), "produced": self.produced.tolist(),
            "labelled": self.cells.labelled.tolist(),
        }


def parse_view(name: str) -> View:
    """A score view by name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    try:
        return View(name)
    except ValueError:
        raise UnknownNameError(f"There is no scoring view {name!r}.", f"Use one of: {', '.join(View)}.") from None


def parse_track(name: str) -> Track:
    """A track by name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name in TRACKS:
        return name
    raise UnknownNameError(f"There is no track {name!r}.", f"Use one of: {', '.join(TRACKS)}.")


def build_leaderboards(
    results: Results, views: Sequence[View], tracks: Sequence[Track] = tuple(TRACKS), resamples: int = RESAMPLES,
) -> dict[View, Leaderboard]:
    """Score, rank and order the entries in several views; what the views share is computed once.

    Args:
        results: The verdicts.
        views: The formulas.
        tracks: The tracks to show.
        resamples: For the intervals; 0 leaves them out.
    """
    counts = tally(results)
    return {
        view: Leaderboard(results.tournament, results.round, view, results.images, results.runs,
                          {track: _rows(results, counts, scores[track]) for track in tracks})
        for view, scores in score_views(results, counts, views, resamples).items()
    }


def build_leaderboard(
    results: Results, view: View = View.STANDARD, tracks: Sequence[Track] = tuple(TRACKS), resamples: int = RESAMPLES,
) -> Leaderboard:
    """Score, rank and order the entries in one view; see ``build_leaderboards``."""
    return build_leaderboards(results, [view], tracks, resamples)[view]


def _rows(results: Results, counts: Tally, scores: TrackScores) -> tuple[Row, ...]:
    defends = consumes(scores.track)
    own, others = (results.defenses, results.attacks) if defends else (results.attacks, results.defenses)
    entries = [own[member] for member in scores.members]
    rows = []
    for place in display_order(scores.score, entries):
        entry, member, scored = entries[place], int(scores.members[place]), not math.isnan(scores.score[place])
        ends, opponent = scores.intervals if scored else None, int(scores.worst_opponent[place])
        if defends:
            coverage = _share(counts.pairs.labelled[:, member].sum(), counts.pairs.produced[:, member].sum())
        else:
            coverage = _share(counts.attack_produced[member], counts.attack_images[member])
        rows.append(Row(
            rank=int(scores.rank[place]) if scored else None,
            rank_low=int(ends.rank_low[place]) if ends else None,
            rank_high=int(ends.rank_high[place]) if ends else None,
            name=entry.name, team=entry.team, baseline=entry.baseline,
            score=_number(scores.score[place]),
            score_low=_number(ends.score_low[place]) if ends else None,
            score_high=_number(ends.score_high[place]) if ends else None,
            raw=int(scores.raw[place]), worst=_number(scores.worst[place]),
            worst_opponent=others[opponent].name if opponent >= 0 else None,
            coverage=coverage, median_time_s=entry.median_time_s, outcomes=dict(entry.outcomes),
            clean_accuracy=_share(counts.clean_correct[member], counts.clean_images[member]) if defends else None,
            mark=entry.mark,
        ))
    return tuple(rows)


def build_matrix(results: Results, track: Track | None = None) -> Matrix:
    """Count every pair; with an attack track, its attacks only."""
    counts = tally(results)
    rows = [place for place, entry in enumerate(results.attacks) if track is None or consumes(track) or track == entry.type]
    return Matrix(
        tuple(results.attacks[row] for row in rows), results.defenses, counts.pairs.map(lambda array: array[rows]),
        counts.attack_produced[rows], counts.clean_correct, counts.clean_labelled, counts.clean_images,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
