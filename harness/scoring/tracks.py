"""All scores of a round: of every track in one or several views, of duels, robust accuracy; ranks and intervals of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import RESAMPLES, Intervals, intervals, percentiles, ratio, resampled_sums
from harness.scoring.duel_scores import duel_resampling, duel_scores
from harness.scoring.entry import Entry, Track
from harness.scoring.formula import Basis, TrackScores, formula_of, of_each_threat
from harness.scoring.ranking import ranks
from harness.scoring.results import Results
from harness.scoring.robust import Robust, robust
from harness.scoring.tally import Tally
from harness.scoring.views import View
from harness.tracks import TRACKS, Access


@dataclass(frozen=True, kw_only=True)
class RoundScores:
    """All scores of a round.

    Attributes:
        views: Of who meets all opponents alike.
        duels: Of attacks that meet one defense at a time, by access; the same in every view.
        robust: Robust accuracy of the defenses, by access.
    """

    views: dict[View, dict[Track, TrackScores]]
    duels: dict[Access, dict[Track, TrackScores]]
    robust: dict[Access, Robust]


def score_round(results: Results, counts: Tally, views: Sequence[View], resamples: int = RESAMPLES) -> RoundScores:
    """Score all that is scored, with one pass over the verdicts and one bootstrap for all.

    Args:
        results: The verdicts; their images are read only for the intervals.
        counts: ``tally(results)``.
        views: The ways to score.
        resamples: Bootstrap resamples; 0 leaves the intervals out.
    """
    basis, batch = Basis(results, counts), results.batch
    views_found = {view: {track: _ranked(formula_of(track).score(basis, track, view), results.attacks) for track in TRACKS}
                   for view in views}
    duels_found = {one.access: {track: _ranked(duel_scores(one, track, batch), one.attacks)
                                for track in TRACKS if any(entry.type == track for entry in one.attacks)} for one in results.duels}
    held = robust(basis)
    if not resamples:
        return RoundScores(views=views_found, duels=duels_found, robust=held)
    # Whose scores, who is scored, and what intervals follow from.
    parts = [(found, results.attacks, formula_of(track).resampling(basis, track, view))
             for view in views for track, found in views_found[view].items()]
    parts += [(found, one.attacks, duel_resampling(one, track, batch))
              for one in results.duels for track, found in duels_found[one.access].items()]
    terms = [term for _, _, part in parts for term in part.terms]
    terms += [term.astype(np.int8) for one in held.values() for term in (one.held, one.counted)]
    sums = iter(resampled_sums(terms, resamples))
    scored = iter([
        replace(found, intervals=_intervals(found, attacks, part.scores(*islice(sums, len(part.terms))), part.images))
        for found, attacks, part in parts])
    return RoundScores(
        views={view: dict(zip(tracks, scored, strict=False)) for view, tracks in views_found.items()},
        duels={access: dict(zip(tracks, scored, strict=False)) for access, tracks in duels_found.items()},
        robust={access: replace(one, ends=percentiles(ratio(*islice(sums, 2)), one.share)) for access, one in held.items()})


def competing(scores: TrackScores, attacks: Sequence[Entry]) -> list[NDArray[np.int64]]:
    """Places of a track's entries that are ranked with each other: shares under different threats do not compare."""
    if not TRACKS[scores.track].takes_bound:
        return [np.arange(len(scores.members))]
    threats = of_each_threat([attacks[member] for member in scores.members])
    return [np.flatnonzero(which) for which in threats.values()]


def _ranked(scores: TrackScores, attacks: Sequence[Entry]) -> TrackScores:
    groups = competing(scores, attacks)
    if len(groups) < 2:  # noqa: PLR2004 - one threat, which the formula has ranked
        return scores
    rank = scores.rank.copy()
    for group in groups:
        rank[group] = ranks(scores.score[group])
    return replace(scores, rank=rank)


def _intervals(scores: TrackScores, attacks: Sequence[Entry], resampled: NDArray[np.float64],
               images: NDArray[np.int64]) -> Intervals:
    groups = competing(scores, attacks)
    if len(groups) < 2:  # noqa: PLR2004 - one threat
        return intervals(resampled, scores.score, images)
    each = [intervals(resampled[:, group], scores.score[group], images[group]) for group in groups]
    order = np.argsort(np.concatenate(groups))
    return Intervals(*(np.concatenate([getattr(found, field.name) for found in each])[order] for field in fields(Intervals)))


def score_tracks(
    results: Results, counts: Tally, view: View = View.STANDARD, resamples: int = RESAMPLES,
) -> dict[Track, TrackScores]:
    """Score all tracks in one view; see ``score_round``."""
    return score_round(results, counts, [view], resamples).views[view]
