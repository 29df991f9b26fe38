"""Scores of attacks that meet one defense at a time, and how they came by them: fooled and distance against queries.

An attack's score is the unweighted mean, over the defenses that are open to it, of the share of images that it earned: a defense
that failed before some images were decided weighs as much as another. The same in every view, as 2017 had no duels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import ratio
from harness.scoring.duels import Duels
from harness.scoring.entry import Track
from harness.scoring.formula import Resampling, TrackScores
from harness.scoring.ranking import lowest, ranks
from harness.scoring.tally import Cells, Counts
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET
from harness.tracks import TRACKS, Threat

#: What the rows of query attacks have besides the figures of their track.
QUERY_FIGURES = ("median_queries", "median_distance")
#: Points of a curve over the queries of an image, at most.
_POINTS = 32


@dataclass(frozen=True, kw_only=True)
class QueryPoint:
    """What an attack had after so many queries of each image.

    Attributes:
        queries: For each image.
        earned: Share of images fooled, or labelled as the target class; the mean over opponents, as its score is.
        distance: Median of the smallest changes that earned an image, over all images of all opponents; images that were not earned
            count as their distance to mid-grey. None where the threat has no such distance.
    """

    queries: int
    earned: float
    distance: float | None


def played(duels: Duels, batch: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Images of open pairs whose duel has its result, bool[A, D, N].

    Args:
        duels: Of one access.
        batch: int32[N], the batch of each image.
    """
    return duels.open[..., None] & duels.done[..., batch]


def earned(duels: Duels, batch: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Images that the attack earned, bool[A, D, N]: taken for the target class, or neither labelled correctly nor rejected."""
    labelled, correct, target = ((duels.codes & bit) > 0 for bit in (LABELLED, CORRECT, TARGET))
    targeted = np.array([TRACKS[entry.type].takes_targets for entry in duels.attacks], np.bool_)
    won = np.where(targeted[:, None, None], labelled & target, ~correct & (labelled | ~target))
    return won & duels.produced & duels.counted & played(duels, batch)


def possible(duels: Duels, batch: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Images that the attack could have earned, bool[A, D, N]."""
    return duels.counted & played(duels, batch)


def duel_cells(duels: Duels, batch: NDArray[np.int32], credit: NDArray[np.bool_]) -> Cells:
    """Counts of every pair, each int64[A, D]; 0 where it is closed.

    Args:
        duels: Of one access.
        batch: int32[N].
        credit: bool[D], whose rejections count as correct (``tally.may_reject``).
    """
    asked = played(duels, batch)
    shown = asked & duels.produced
    labelled, correct, target = (((duels.codes & bit) > 0) & shown for bit in (LABELLED, CORRECT, TARGET))
    rejected = target & ~labelled
    parts = (asked, shown, labelled, correct, target & labelled, rejected, rejected & credit[:, None])
    return Cells(*(part.sum(-1, dtype=np.int64) for part in parts))


def pair_shares(duels: Duels, batch: NDArray[np.int32]) -> NDArray[np.float64]:
    """What each attack earned of the images that count, against each defense, float64[A, D]; NaN where there are none."""
    return ratio(*(part(duels, batch).sum(-1, dtype=np.int64) for part in (earned, possible)))


def duel_scores(duels: Duels, track: Track, batch: NDArray[np.int32]) -> TrackScores:
    """Scores of one track's attacks of one access, without intervals; ``members`` are positions among ``Duels.attacks``."""
    members = _members(duels, track)
    won, could = (part(duels, batch)[members].sum(-1, dtype=np.int64) for part in (earned, possible))
    asked = played(duels, batch)[members]
    pairs = ratio(won, could)
    score = _mean(pairs)
    worst, opponent = lowest(pairs)
    figures = {figure.name: np.full(len(members), np.nan) for figure in TRACKS[track].figures}
    if duels.queries is not None:
        end = [_medians(duels, member, batch, [duels.queries.budget])[0] for member in members.tolist()]
        figures |= dict(zip(QUERY_FIGURES, np.array(end, np.float64).reshape(-1, 2).T, strict=True))
    return TrackScores(
        track=track, members=members, raw=won.sum(1), score=score, worst=worst, worst_opponent=opponent, rank=ranks(score),
        coverage=ratio((asked & duels.produced[members]).sum((1, 2)), asked.sum((1, 2))), figures=figures)


def duel_resampling(duels: Duels, track: Track, batch: NDArray[np.int32]) -> Resampling:
    """The means of each pair's ratio."""
    members = _members(duels, track)
    won, could = (part(duels, batch)[members] for part in (earned, possible))
    attacks, defenses, images = won.shape

    def scores(won_sums: NDArray[np.float64], could_sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return _mean(ratio(won_sums, could_sums).reshape(-1, attacks, defenses))

    terms = tuple(part.reshape(attacks * defenses, images).astype(np.int8) for part in (won, could))
    return Resampling(terms, scores, could.any(1).sum(1, dtype=np.int64))


def query_curve(duels: Duels, attack: int, batch: NDArray[np.int32]) -> tuple[QueryPoint, ...]:
    """What an attack had after 1, 2, ... queries of each image, at ever wider steps; none before its first duel.

    Args:
        duels: Of one access; only queries have such a curve.
        attack: Its position.
        batch: int32[N].
    """
    if duels.queries is None:
        return ()
    could = possible(duels, batch)[attack]
    if not could.any():
        return ()
    marks, first = _marks(duels.queries.budget), duels.queries.first(attack)
    won = earned(duels, batch)[attack] & (first > 0)
    shares = [float(_mean(ratio((won & (first <= queries)).sum(-1), could.sum(-1)))) for queries in marks]
    distances = [distance for _, distance in _medians(duels, attack, batch, marks)]
    return tuple(QueryPoint(queries=queries, earned=share, distance=None if np.isnan(distance) else distance)
                 for queries, share, distance in zip(marks, shares, distances, strict=True))


def _medians(duels: Duels, attack: int, batch: NDArray[np.int32], marks: Sequence[int]) -> list[tuple[float, float]]:
    """Medians over an attack's images: of the first query that earned one, and of the smallest change within so many queries."""
    counted = possible(duels, batch)[attack]
    if duels.queries is None or not counted.any():
        return [(np.nan, np.nan)] * len(marks)
    queries = duels.queries
    won, first = earned(duels, batch)[attack], queries.first(attack)
    needed = float(np.median(np.where(won & (first > 0), first, queries.budget)[counted]))
    if queries.grey is None or duels.attacks[attack].threat is not Threat.L2:
        return [(needed, np.nan)] * len(marks)
    smallest = (queries.smallest(attack, within) for within in marks)
    return [(needed, float(np.median(np.where(won & (found >= 0), found, queries.grey)[counted]))) for found in smallest]


def _marks(budget: int) -> list[int]:
    """Numbers of queries at which a curve has points: from 1 to the budget, evenly on a logarithmic scale."""
    return sorted({int(mark) for mark in np.rint(np.geomspace(1, max(1, budget), _POINTS))})


def _members(duels: Duels, track: Track) -> Counts:
    return np.array([place for place, entry in enumerate(duels.attacks) if entry.type == track], np.int64)


def _mean(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unweighted mean over the last axis of what is known; NaN where nothing is."""
    known = ~np.isnan(pairs)
    return ratio(np.where(known, pairs, 0.0).sum(-1), known.sum(-1))
