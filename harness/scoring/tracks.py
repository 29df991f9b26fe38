"""One track's scores in one view: raw, normalised, worst opponent, rank, interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import RESAMPLES, Intervals, intervals, ratio, resampled_sums
from harness.scoring.ranking import ranks
from harness.scoring.results import Entry, Results, Track
from harness.scoring.tally import Cells, Counts, Tally, image_cells
from harness.scoring.views import FORMULAS, View, counted
from harness.tracks import TRACKS, consumes


@dataclass(frozen=True)
class TrackScores:
    """Scores of one track's K entries, in submission order.

    Attributes:
        members: int64[K], positions among ``Results.attacks`` or ``Results.defenses``.
        raw: int64[K], what the entry earned.
        score: float64[K] in [0, 1], NaN where nothing could be earned yet.
        worst: float64[K], the lowest score against one opponent that counts; NaN where there is none.
        worst_opponent: int64[K], that opponent's position on the other side, -1 where there is none.
        rank: int64[K], 1 for the best; equal scores share a rank.
        intervals: None where they were not asked for.
    """

    track: Track
    members: NDArray[np.int64]
    raw: Counts
    score: NDArray[np.float64]
    worst: NDArray[np.float64]
    worst_opponent: NDArray[np.int64]
    rank: NDArray[np.int64]
    intervals: Intervals | None = None


def track_members(attacks: Sequence[Entry], defenses: Sequence[Entry], track: Track) -> NDArray[np.int64]:
    """Positions of a track's entries on their side."""
    side = defenses if consumes(track) else attacks
    return np.array([place for place, entry in enumerate(side) if entry.type == track], np.int64)


def score_track(counts: Tally, members: NDArray[np.int64], track: Track, view: View) -> TrackScores:
    """Score one track from counts per pair, without intervals."""
    formula = FORMULAS[view][track]
    attacks_count, defenses_count = counted(view, counts)
    # Rows are the track's entries, columns the opponents that count.
    if consumes(track):
        opponents = np.flatnonzero(attacks_count)
        cells = counts.pairs.map(lambda array: array.T[members][:, opponents])
    else:
        opponents = np.flatnonzero(defenses_count)
        cells = counts.pairs.map(lambda array: array[members][:, opponents])
    earned, possible = formula.earned(cells), formula.possible(cells)
    score = ratio(earned.sum(1), possible.sum(1))
    worst, worst_opponent = np.full(len(members), np.nan), np.full(len(members), -1, np.int64)
    if len(opponents):
        each = np.nan_to_num(ratio(earned, possible), nan=np.inf)
        column = each.argmin(1)
        lowest = each[np.arange(len(members)), column]
        met = np.isfinite(lowest)
        worst[met], worst_opponent[met] = lowest[met], opponents[column[met]]
    return TrackScores(track, members, earned.sum(1), score, worst, worst_opponent, ranks(score))


def score_views(
    results: Results, counts: Tally, views: Sequence[View], resamples: int = RESAMPLES,
) -> dict[View, dict[Track, TrackScores]]:
    """Score all three tracks in several views, with one pass over the verdicts and one bootstrap for all.

    Args:
        results: The verdicts; their images are read only for the intervals.
        counts: ``tally(results)``.
        views: The formulas.
        resamples: Bootstrap resamples; 0 leaves the intervals out.
    """
    members = {track: track_members(results.attacks, results.defenses, track) for track in TRACKS}
    scores = {view: {track: score_track(counts, members[track], track, view) for track in TRACKS} for view in views}
    if not resamples:
        return scores
    terms = _terms(results, counts, views, members)
    sums = iter(resampled_sums(terms, resamples))
    rests_on = iter([(possible > 0).sum(1) for possible in terms[1::2]])
    for view in views:
        for track in FORMULAS[view]:
            found = scores[view][track]
            scores[view][track] = replace(found, intervals=intervals(ratio(next(sums), next(sums)), found.score, next(rests_on)))
    return scores


def _terms(results: Results, counts: Tally, views: Sequence[View], members: Mapping[Track, NDArray[np.int64]]) -> list[Counts]:
    """What was earned and what was possible per image, int32[K, N] each, of every track of every view."""
    cells: dict[bytes, tuple[Cells, Cells]] = {}
    terms: list[Counts] = []
    for view in views:
        opponents = counted(view, counts)
        # Views differ in their formulas more often than in who counts.
        key = b"|".join(side.tobytes() for side in opponents)
        if key not in cells:
            cells[key] = image_cells(results, *opponents)
        by_attack, by_defense = cells[key]
        for track, formula in FORMULAS[view].items():
            side = by_defense if consumes(track) else by_attack
            terms += [formula.earned(side)[members[track]], formula.possible(side)[members[track]]]
    return terms


def score_tracks(
    results: Results, counts: Tally, view: View = View.STANDARD, resamples: int = RESAMPLES,
) -> dict[Track, TrackScores]:
    """Score all three tracks in one view; see ``score_views``."""
    return score_views(results, counts, [view], resamples)[view]
