"""Scores of detectors: how well their numbers tell attacked images from clean ones, against every attack.

The formulas are ``detection``'s; here they are asked of every pair of a detector and an attack, once for all that is shown. Only
images whose two runs have a result count, so a round that is still running has scores of what is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import ratio
from harness.scoring.detection import (
    FALSE_POSITIVES,
    Ordered,
    Pooled,
    against,
    f1_at,
    flagged_share,
    influence,
    pooled,
    threshold,
)
from harness.scoring.detections import Detections
from harness.scoring.entry import Entry, Track
from harness.scoring.formula import Basis, Resampling, TrackScores, members_of, of_each_threat
from harness.scoring.ranking import display_order, lowest, ranks
from harness.scoring.results import Results
from harness.scoring.views import View
from harness.tracks import TRACKS

T = TypeVar("T", bound=np.generic)

#: Beside the name of a detector that gave every image one score.
CONSTANT = "(constant)"
#: Detectors computed in parallel; sorting releases the lock.
_THREADS = 2


@dataclass(frozen=True, eq=False)
class Judged:
    """One detector on each of A attacks; NaN where there is no image.

    Attributes:
        counts: bool[A, N], the images that its figures rest on.
        area: float64[A], the area under the ROC curve.
        fooling: float64[A], the same over images that some defense mislabelled.
        influence: float64[N], what each image adds to the score; see ``detection.influence``.
        thresholds: By percent of the clean scores above it; None where the images are too few.
        flagged: By percent, float64[A]: the share of attacked images above the threshold.
        found: By percent, the same share over all attacks together.
        together: Figures over all attacks together.
        f1_frozen: F1 at the 5 % threshold.
        coverage: Share of the images, on both sides, that it gave a score.
        constant: Whether all scores that it gave are the same.
    """

    counts: NDArray[np.bool_]
    area: NDArray[np.float64]
    fooling: NDArray[np.float64]
    influence: NDArray[np.float64]
    thresholds: Mapping[int, float | None]
    flagged: Mapping[int, NDArray[np.float64]]
    found: Mapping[int, float]
    together: Pooled
    f1_frozen: float
    coverage: float
    constant: bool

    @property
    def score(self) -> float:
        """The unweighted mean area over attacks that changed an image; the same in whatever order they come."""
        return mean(self.area)


def mean(areas: NDArray[np.float64]) -> float:
    """The unweighted mean of what is known, rounded once, so that equal areas in another order make an equal score."""
    known = areas[~np.isnan(areas)]
    return math.fsum(known) / len(known) if len(known) else math.nan


def judge(basis: Basis) -> tuple[Judged, ...]:
    """Every detector of the round, in the order of ``Results.detectors``."""
    return basis.once("detectors", lambda: _judge(basis.results))


def _judge(results: Results) -> tuple[Judged, ...]:
    scored = results.detections
    if scored is None:
        return ()
    fooling = fooling_images(results)
    with ThreadPoolExecutor(_THREADS) as threads:
        return tuple(threads.map(lambda place: _one(scored, place, results.batch, fooling), range(len(scored.detectors))))


def sides(scored: Detections, detector: int, batch: NDArray[np.int32]) -> tuple[
        NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """A detector's images that count, bool[A, N], and its scores of them attacked and clean, float32[A, N] each."""
    counts = scored.shown & scored.done[detector][:, batch]
    return counts, against(scored.attacked[detector], adversarial=True), against(scored.clean[detector], adversarial=False)


def _one(scored: Detections, detector: int, batch: NDArray[np.int32], fooling: NDArray[np.bool_] | None) -> Judged:
    counts, attacked, clean = sides(scored, detector, batch)
    attacks, images = counts.shape
    pairs, mislabelled = [], np.full(attacks, np.nan)
    for attack, which in enumerate(counts):
        ordered = Ordered.of(_of(attacked[attack], which), _of(clean[attack], which))
        pairs.append(ordered.separation())
        if fooling is not None:
            mislabelled[attack] = ordered.area(_of(fooling[attack], which))
    areas = np.array([found for found, _ in pairs], np.float64)
    adversarial, unchanged = _of(attacked, counts), _of(clean, counts)
    thresholds = {percent: threshold(unchanged, int(counts.any(0).sum()), percent) for percent in FALSE_POSITIVES}
    given = np.isfinite(adversarial), np.isfinite(unchanged)
    numbers = _of(adversarial, given[0]), _of(unchanged, given[1])
    shown = counts.sum(1)
    return Judged(
        counts=counts, area=areas, fooling=mislabelled,
        influence=influence(areas, [(which, both) for which, (_, both) in zip(counts, pairs, strict=True)], images),
        thresholds=thresholds,
        flagged={percent: _flagged(attacked, counts, shown, limit) for percent, limit in thresholds.items()},
        found={percent: flagged_share(adversarial, limit) for percent, limit in thresholds.items()},
        together=pooled(adversarial, unchanged), f1_frozen=f1_at(adversarial, unchanged, thresholds[5]),
        coverage=float(np.mean([side.mean() for side in given])) if len(adversarial) else math.nan,
        constant=min(len(part) for part in numbers) > 0 and
        min(float(part.min()) for part in numbers) == max(float(part.max()) for part in numbers))


def _of(values: NDArray[T], which: NDArray[np.bool_]) -> NDArray[T]:
    """The chosen ones, concatenated; without a copy where that is all of them, as is usual."""
    return values.reshape(-1) if which.all() else values[which]


def _flagged(attacked: NDArray[np.float32], counts: NDArray[np.bool_], shown: NDArray[np.int64],
             limit: float | None) -> NDArray[np.float64]:
    if limit is None:
        return np.full(len(shown), np.nan)
    return ratio(((attacked > limit) & counts).sum(1), shown)


def fooling_images(results: Results) -> NDArray[np.bool_] | None:
    """Which images of each attack fooled some defense, bool[A, N]; None in a round without defenses.

    A defense is fooled if it did not label an image correctly, and did not reject it where it may.
    """
    if not results.defenses:
        return None
    layout = results.verdicts.layout
    found = np.zeros((len(results.attacks), results.images), np.bool_)
    labelled, right, target = results.verdicts.planes
    for attack in range(len(results.attacks)):
        # Without a rule for rejections no target lacks a label.
        correct = right[attack] | (target[attack] & ~labelled[attack])
        done = results.run_done[attack]
        asked = layout.pack(results.produced[attack] & done[:, results.batch])
        found[attack] = layout.unpack(np.bitwise_or.reduce(asked & ~correct, axis=0))
    return found


def undetected(basis: Basis) -> NDArray[np.float64]:
    """Of every attack the share of its changed images that the best detector does not flag at the 5 % threshold, float64[A]."""
    detectors = judge(basis)
    scores = np.array([detector.score for detector in detectors], np.float64)
    if np.isnan(scores).all():
        return np.full(len(basis.results.attacks), np.nan)
    return 1 - detectors[display_order(scores, basis.results.detectors)[0]].flagged[5]


class Areas:
    """The formula of a track whose entries are judged by the mean area under the ROC curve; the same in every view."""

    def entries(self, results: Results) -> tuple[Entry, ...]:
        """The detectors."""
        return results.detectors

    def opponents(self, results: Results) -> tuple[Entry, ...]:
        """The attacks."""
        return results.attacks

    def score(self, basis: Basis, track: Track, view: View) -> TrackScores:  # noqa: ARG002 - no view differs
        """Scores and figures from all detectors' areas."""
        members = members_of(basis.results, track)
        own = [judge(basis)[member] for member in members]
        score = np.array([one.score for one in own], np.float64)
        worst, opponent = lowest(np.array([one.area for one in own]).reshape(len(own), len(basis.results.attacks)))
        names = [figure.name for figure in TRACKS[track].figures]
        figures = {name: np.array([_FIGURES[name](one) for one in own], np.float64) for name in names}
        return TrackScores(
            track=track, members=members, raw=None, score=score, worst=worst, worst_opponent=opponent, rank=ranks(score),
            coverage=np.array([one.coverage for one in own], np.float64), figures=figures,
            by_threat={threat: np.array([mean(one.area[which]) for one in own], np.float64)
                       for threat, which in of_each_threat(basis.results.attacks).items()},
            remarks=tuple(CONSTANT if one.constant else "" for one in own))

    def resampling(self, basis: Basis, track: Track, view: View) -> Resampling:  # noqa: ARG002
        """The score is linear in the images' weights."""
        own = [judge(basis)[member] for member in members_of(basis.results, track)]
        score = np.array([one.score for one in own], np.float64)
        effect = np.array([one.influence for one in own], np.float64).reshape(len(own), basis.results.images)
        return Resampling((effect,), lambda sums: score + sums, np.array([one.counts.any(0).sum() for one in own], np.int64))


_FIGURES: Mapping[str, Callable[[Judged], float]] = {
    "auroc_fooling": lambda one: mean(one.fooling),
    "tpr_at_5_fpr": lambda one: one.found[5],
    "tpr_at_1_fpr": lambda one: one.found[1],
    "best_f1": lambda one: one.together.best_f1,
    "f1_frozen": lambda one: one.f1_frozen,
    "aupr": lambda one: one.together.aupr,
    "prevalence": lambda one: one.together.prevalence,
}

DETECTOR = Areas()
