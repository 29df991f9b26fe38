"""All tracks' scores in one or several views: raw, normalised, worst opponent, rank, interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import RESAMPLES, Intervals, intervals, resampled_sums
from harness.scoring.entry import Track
from harness.scoring.formula import Basis, TrackScores, formula_of, of_each_threat
from harness.scoring.ranking import ranks
from harness.scoring.results import Results
from harness.scoring.tally import Tally
from harness.scoring.views import View
from harness.tracks import TRACKS


def score_views(
    results: Results, counts: Tally, views: Sequence[View], resamples: int = RESAMPLES,
) -> dict[View, dict[Track, TrackScores]]:
    """Score all tracks in several views, with one pass over the verdicts and one bootstrap for all.

    Args:
        results: The verdicts; their images are read only for the intervals.
        counts: ``tally(results)``.
        views: The ways to score.
        resamples: Bootstrap resamples; 0 leaves the intervals out.
    """
    basis = Basis(results, counts)
    scores = {view: {track: _ranked(results, formula_of(track).score(basis, track, view)) for track in TRACKS} for view in views}
    if not resamples:
        return scores
    parts = {(view, track): formula_of(track).resampling(basis, track, view) for view in views for track in TRACKS}
    sums = iter(resampled_sums([term for part in parts.values() for term in part.terms], resamples))
    for (view, track), part in parts.items():
        found = scores[view][track]
        resampled = part.scores(*islice(sums, len(part.terms)))
        scores[view][track] = replace(found, intervals=_intervals(results, found, resampled, part.images))
    return scores


def competing(results: Results, scores: TrackScores) -> list[NDArray[np.int64]]:
    """Places of a track's entries that are ranked with each other: shares under different threats do not compare."""
    if not TRACKS[scores.track].takes_bound:
        return [np.arange(len(scores.members))]
    threats = of_each_threat([results.attacks[member] for member in scores.members])
    return [np.flatnonzero(which) for which in threats.values()]


def _ranked(results: Results, scores: TrackScores) -> TrackScores:
    groups = competing(results, scores)
    if len(groups) < 2:  # noqa: PLR2004 - one threat, which the formula has ranked
        return scores
    rank = scores.rank.copy()
    for group in groups:
        rank[group] = ranks(scores.score[group])
    return replace(scores, rank=rank)


def _intervals(results: Results, scores: TrackScores, resampled: NDArray[np.float64], images: NDArray[np.int64]) -> Intervals:
    groups = competing(results, scores)
    if len(groups) < 2:  # noqa: PLR2004 - one threat
        return intervals(resampled, scores.score, images)
    each = [intervals(resampled[:, group], scores.score[group], images[group]) for group in groups]
    order = np.argsort(np.concatenate(groups))
    return Intervals(*(np.concatenate([getattr(found, field.name) for found in each])[order] for field in fields(Intervals)))


def score_tracks(
    results: Results, counts: Tally, view: View = View.STANDARD, resamples: int = RESAMPLES,
) -> dict[Track, TrackScores]:
    """Score all tracks in one view; see ``score_views``."""
    return score_views(results, counts, [view], resamples)[view]
