"""All tracks' scores in one or several views: raw, normalised, worst opponent, rank, interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from harness.scoring.bootstrap import RESAMPLES, intervals, resampled_sums
from harness.scoring.formula import Basis, TrackScores, formula_of
from harness.scoring.results import Results, Track
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
    scores = {view: {track: formula_of(track).score(basis, track, view) for track in TRACKS} for view in views}
    if not resamples:
        return scores
    parts = {(view, track): formula_of(track).resampling(basis, track, view) for view in views for track in TRACKS}
    sums = iter(resampled_sums([term for part in parts.values() for term in part.terms], resamples))
    for (view, track), part in parts.items():
        found = scores[view][track]
        resampled = part.scores(*islice(sums, len(part.terms)))
        scores[view][track] = replace(found, intervals=intervals(resampled, found.score, part.images))
    return scores


def score_tracks(
    results: Results, counts: Tally, view: View = View.STANDARD, resamples: int = RESAMPLES,
) -> dict[Track, TrackScores]:
    """Score all tracks in one view; see ``score_views``."""
    return score_views(results, counts, [view], resamples)[view]
