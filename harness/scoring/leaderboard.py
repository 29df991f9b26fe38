"""The tables as values: results scored, ranked and ordered, and their JSON, on which other programs rely.

A leaderboard or matrix is made once and shown in many ways (screen, JSON, CSV, Markdown), so that no two of them can disagree.
A number that does not exist yet (nothing ended, no opponent counts) is None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UnknownNameError
from harness.scoring import (
    RESAMPLES,
    Basis,
    Cells,
    Duels,
    Entry,
    Results,
    RoundScores,
    RunCounts,
    Track,
    TrackScores,
    View,
    display_order,
    formula_of,
    score_round,
    tally,
)
from harness.scoring.detectors import judge
from harness.scoring.duel_scores import duel_cells, pair_shares
from harness.scoring.tally import may_reject
from harness.tracks import TRACKS, Access, Threat, consumes, labels, produces

#: Fields of a row that only some tracks or rounds have.
_OF_SOME = ("threat", "access", "by_threat", "robust", "robust_low", "robust_high", "by_access", "by_hardware")


@dataclass(frozen=True)
class Row:
    """One entry of one track.

    Attributes:
        rank: Shared by equal scores; None while nothing can be scored.
        rank_low: Best rank of the 95 % interval, None without intervals.
        rank_high: Worst rank of it.
        score: Normalised, in [0, 1].
        raw: What the entry earned, in images; None in a track whose score is no share of images.
        worst: Lowest score against one opponent that counts.
        coverage: Produced / asked images of an attack, labelled / produced images of a defense.
        figures: What the track's table shows beside the columns that all have (``Track.figures``), by name.
        mark: A remark beside the name; not part of the JSON unless there is one.
        threat: Of an attack; it is ranked among those of the same one. None for others, and then not part of the JSON.
        by_threat: Of who meets attacks, its score over those of each threat; None for attacks, and then not part of the JSON.
        access: Of an attack; it is ranked among those of the same one. None for others, and then not part of the JSON.
        robust: Of a defense, its robust accuracy by access: the share of images that it labels correctly when clean and against
            every attack of that access. None for others, and then not part of the JSON, nor is what follows.
        robust_low: Low ends of the intervals, by access.
        robust_high: High ends.
        by_access: Its score over the attacks of each access.
        by_hardware: Its median time on each kind of hardware, where the round was measured on several (``Entry.by_hardware``).
            None elsewhere, and then not part of the JSON.
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
    raw: int | None
    worst: float | None
    worst_opponent: str | None
    coverage: float | None
    median_time_s: float | None
    outcomes: dict[str, int]
    figures: Mapping[str, float | None] = field(default_factory=dict)
    mark: str = ""
    threat: str | None = None
    by_threat: Mapping[str, float | None] | None = None
    access: str | None = None
    robust: Mapping[str, float | None] | None = None
    robust_low: Mapping[str, float | None] | None = None
    robust_high: Mapping[str, float | None] | None = None
    by_access: Mapping[str, float | None] | None = None
    by_hardware: Mapping[str, float | None] | None = None

    @property
    def failures(self) -> int:
        """Ended runs that were anything but ``ok``."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "ok")

    def to_json(self) -> dict[str, Any]:
        """The row as other programs read it: its figures stand among the other fields."""
        data = {**vars(self), "outcomes": dict(self.outcomes)}
        figures, mark = data.pop("figures"), data.pop("mark")
        only = {name: value for name in _OF_SOME if (value := data.pop(name)) is not None}
        return {**data, **figures, **only, **({"mark": mark} if mark else {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """The row that ``to_json`` wrote."""
        own = {name: value for name, value in data.items() if name in cls.__dataclass_fields__}
        return cls(**own, figures={name: value for name, value in data.items() if name not in own})


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
            "tracks": {track: [row.to_json() for row in rows] for track, rows in self.tracks.items()},
        }


@dataclass(frozen=True)
class Matrix:
    """Every attack against every defense, in images.

    Attributes:
        attacks: Rows.
        defenses: Columns.
        cells: Counts, each int64[A, D].
        produced: int64[A], images that each attack left.
        clean: The row of the built-in opponent ``clean``, each int64[D]; counts in no score.
        ended: bool[A, D], whether nothing is to come of a pair, also where nothing came.
    """

    attacks: tuple[Entry, ...]
    defenses: tuple[Entry, ...]
    cells: Cells
    produced: NDArray[np.int64]
    clean: Cells
    ended: NDArray[np.bool_]

    def to_json(self) -> dict[str, Any]:
        """What ``harness matrix --format json`` prints."""
        return {
            "attacks": [entry.name for entry in self.attacks], "defenses": [entry.name for entry in self.defenses],
            "correct": self.cells.correct.tolist(), "wrong": self.cells.wrong.tolist(),
            "target_hit": self.cells.target_hit.tolist(), "produced": self.produced.tolist(),
            "labelled": self.cells.labelled.tolist(),
        }


@dataclass(frozen=True, eq=False)
class DuelMatrix(Matrix):
    """The attacks of one access against every defense that is open to them; ``produced`` is summed over these.

    Attributes:
        access: What the attacks know.
        open: bool[A, D]; a closed pair is not played.
        shares: float64[A, D], what the attack earned of the images that count, NaN where there are none.
    """

    access: Access
    open: NDArray[np.bool_]
    shares: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """What ``harness matrix --access`` prints: as the others, null where a pair is closed, and ``produced`` of each pair."""
        cells = {name: [[count if is_open else None for count, is_open in zip(counts, row, strict=True)]
                        for counts, row in zip(getattr(self.cells, name).tolist(), self.open.tolist(), strict=True)]
                 for name in ("correct", "wrong", "target_hit", "produced", "labelled")}
        return {"attacks": [entry.name for entry in self.attacks], "defenses": [entry.name for entry in self.defenses], **cells}


@dataclass(frozen=True, eq=False)
class DetectorMatrix:
    """Every attack against every detector.

    Attributes:
        attacks: Rows.
        detectors: Columns.
        auroc: float64[A, T], NaN where there is no image.
        auroc_fooling: The same over images that some defense did not label correctly.
        changed: int64[A], images of each attack that detectors are shown.
        ended: bool[A, T], whether nothing is to come of a pair.
    """

    attacks: tuple[Entry, ...]
    detectors: tuple[Entry, ...]
    auroc: NDArray[np.float64]
    auroc_fooling: NDArray[np.float64]
    changed: NDArray[np.int64]
    ended: NDArray[np.bool_]

    def to_json(self) -> dict[str, Any]:
        """What ``harness matrix --track detector --format json`` prints."""
        return {
            "attacks": [entry.name for entry in self.attacks], "detectors": [entry.name for entry in self.detectors],
            "auroc": [list(map(number, row)) for row in self.auroc.tolist()],
            "auroc_fooling": [list(map(number, row)) for row in self.auroc_fooling.tolist()], "changed": self.changed.tolist(),
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


def parse_access(name: str) -> Access:
    """An access by name.

    Raises:
        UnknownNameError: There is none of that name.
    """
    try:
        return Access(name)
    except ValueError:
        raise UnknownNameError(f"There is no access {name!r}.", f"Use one of: {', '.join(Access)}.") from None


def build_leaderboards(
    results: Results, views: Sequence[View], tracks: Sequence[Track] | None = None, resamples: int = RESAMPLES,
) -> dict[View, Leaderboard]:
    """Score, rank and order the entries in several views; what the views share is computed once.

    Args:
        results: The verdicts.
        views: The formulas.
        tracks: The tracks to show; all by default.
        resamples: For the intervals; 0 leaves them out.
    """
    found = score_round(results, tally(results), views, resamples)
    shown = TRACKS if tracks is None else tracks
    return {
        view: Leaderboard(results.tournament, results.round, view, results.images, results.runs,
                          {track: tuple(_track_rows(results, found, view, track)) for track in shown})
        for view in found.views
    }


def build_leaderboard(
    results: Results, view: View = View.STANDARD, tracks: Sequence[Track] | None = None, resamples: int = RESAMPLES,
) -> Leaderboard:
    """Score, rank and order the entries in one view; see ``build_leaderboards``."""
    return build_leaderboards(results, [view], tracks, resamples)[view]


def _track_rows(results: Results, found: RoundScores, view: View, track: Track) -> Iterator[Row]:
    """Who meets all opponents alike, then the attacks of each access."""
    formula = formula_of(track)
    rows = _rows(found.views[view][track], formula.entries(results), formula.opponents(results))
    yield from (replace(row, **_robust(results, found, row.name)) for row in rows) if labels(track) else rows
    for duels in results.duels:
        if (scores := found.duels[duels.access].get(track)) is not None:
            yield from _rows(scores, duels.attacks, results.defenses)


def _robust(results: Results, found: RoundScores, name: str) -> dict[str, Any]:
    place = [entry.name for entry in results.defenses].index(name)
    each = {access.value: one for access, one in found.robust.items()}
    ends = {access: (None, None) if one.ends is None else tuple(number(end) for end in one.ends[:, place].tolist())
            for access, one in each.items()}
    return {
        "robust": {access: number(one.share[place]) for access, one in each.items()},
        "robust_low": {access: low for access, (low, _) in ends.items()},
        "robust_high": {access: high for access, (_, high) in ends.items()},
        "by_access": {access: number(one.mean[place]) for access, one in each.items()},
    }


def _rows(scores: TrackScores, own: Sequence[Entry], others: Sequence[Entry]) -> Iterator[Row]:
    """Rows of some of ``own``, best first.

    Args:
        scores: Whose ``members`` are positions among ``own``, and whose worst opponents are among ``others``.
        own: Entries of one side.
        others: Of the other.
    """
    entries = [own[member] for member in scores.members]
    order = display_order(scores.score, entries)
    makes = produces(scores.track)
    if makes:
        order.sort(key=lambda place: list(Threat).index(entries[place].threat))
    for place in order:
        entry, scored = entries[place], not math.isnan(scores.score[place])
        ends, opponent = scores.intervals if scored else None, int(scores.worst_opponent[place])
        yield Row(
            rank=int(scores.rank[place]) if scored else None,
            rank_low=int(ends.rank_low[place]) if ends else None,
            rank_high=int(ends.rank_high[place]) if ends else None,
            name=entry.name, team=entry.team, baseline=entry.baseline,
            score=number(scores.score[place]),
            score_low=number(ends.score_low[place]) if ends else None,
            score_high=number(ends.score_high[place]) if ends else None,
            raw=None if scores.raw is None else int(scores.raw[place]), worst=number(scores.worst[place]),
            worst_opponent=others[opponent].name if opponent >= 0 else None,
            coverage=number(scores.coverage[place]), median_time_s=entry.median_time_s, outcomes=dict(entry.outcomes),
            figures={name: number(values[place]) for name, values in scores.figures.items()},
            mark=" ".join(filter(None, (entry.mark, scores.remarks[place] if scores.remarks else ""))),
            threat=entry.threat.value if makes else None, access=entry.access.value if makes else None,
            by_hardware=entry.by_hardware or None,
            by_threat=None if makes else {threat.value: number(values[place]) for threat, values in scores.by_threat.items()},
        )


def build_matrix(results: Results, track: Track | None = None) -> Matrix:
    """Count every pair; with an attack track, its attacks only."""
    counts = tally(results)
    rows = [place for place, entry in enumerate(results.attacks) if track is None or consumes(track) or track == entry.type]
    return Matrix(
        tuple(results.attacks[row] for row in rows), results.defenses, counts.pairs.map(lambda array: array[rows]),
        counts.attack_produced[rows], counts.clean, np.logical_and.reduce(results.run_done[rows], axis=2),
    )


def build_duel_matrix(results: Results, access: Access, track: Track | None = None) -> DuelMatrix:
    """Count every pair of one access; with an attack track, its attacks only.

    Raises:
        UnknownNameError: The round has no such duels.
    """
    duels = duels_of(results, access)
    counts = tally(results)
    cells = duel_cells(duels, results.batch, may_reject(results, counts.clean.rejected, counts.clean.images))
    rows = [place for place, entry in enumerate(duels.attacks) if track is None or consumes(track) or track == entry.type]
    cells = cells.map(lambda array: array[rows])
    return DuelMatrix(
        tuple(duels.attacks[row] for row in rows), results.defenses, cells, cells.produced.sum(1), counts.clean,
        np.logical_and.reduce(duels.done[rows], axis=2), access, duels.open[rows], pair_shares(duels, results.batch)[rows])


def duel_matrices(results: Results) -> list[DuelMatrix]:
    """Of each access that the round has."""
    return [build_duel_matrix(results, duels.access) for duels in results.duels]


def duels_of(results: Results, access: Access) -> Duels:
    """The duels of one access.

    Raises:
        UnknownNameError: The round has none.
    """
    found = next((duels for duels in results.duels if duels.access is access), None)
    if found is None:
        known = ", ".join(duels.access for duels in results.duels)
        raise UnknownNameError(f"The round {results.round} has no duels of the access {access}.",
                               f"It has: {known}." if known else "`rules.access` in the tournament file allows duels.")
    return found


def build_detector_matrix(results: Results) -> DetectorMatrix:
    """Judge every detector on every attack."""
    judged, attacks = judge(Basis(results, tally(results))), len(results.attacks)
    scored = results.detections
    area, fooling = (np.array(each, np.float64).reshape(len(judged), attacks).T
                     for each in ([one.area for one in judged], [one.fooling for one in judged]))
    changed, ended = np.zeros(attacks, np.int64), np.zeros(area.shape, np.bool_)
    if scored is not None:
        changed, ended = scored.shown.sum(1), np.logical_and.reduce(scored.done, axis=2).T
    return DetectorMatrix(results.attacks, results.detectors, area, fooling, changed, ended)


def number(value: float) -> float | None:
    """A score as it is shown; None where there is none."""
    return None if math.isnan(value) else float(value)
