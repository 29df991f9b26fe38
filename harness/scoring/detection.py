"""Figures of detectors: how well scores tell adversarial images from clean ones. numpy in, numbers out.

Positive means adversarial, and a higher score means more likely adversarial. An image without a score counts against the
detector on whichever side it stands: a clean one is taken for the most suspect, an adversarial one for the least. All figures
treat equal scores as equal: nothing depends on the order in which they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

#: Percent of the clean scores that the two thresholds let through.
FALSE_POSITIVES = (5, 1)
#: At least so many clean images may be let through, else a threshold says nothing.
_AT_LEAST = 10
#: Of a histogram.
_BINS = 16
#: A ROC curve is two long, both rates added.
_ROC_STEPS = 100
#: Thresholds looked at together: their arrays stay in a processor's cache, and take a half of the time of all at once.
_BLOCK = 1 << 13
#: A key and its halves, the lower one first on any machine.
_WHOLE, _HALVES = np.dtype("<u8"), np.dtype("<u4")


@dataclass(frozen=True)
class Pooled:
    """Figures over the images of all attacks together.

    Attributes:
        prevalence: Share of adversarial images among all.
        best_f1: Highest F1 over all thresholds; an image is flagged at or above the threshold.
        aupr: Average precision: the sum over distinct thresholds of precision times the recall that is won there.
    """

    prevalence: float
    best_f1: float
    aupr: float


def against(scores: Scores, *, adversarial: bool) -> Scores:
    """The scores with missing ones (NaN) replaced by the value that costs the detector most."""
    # -0.0 and 0.0 are the same score; their bits are not.
    return np.where(np.isnan(scores), np.float32(-math.inf if adversarial else math.inf), scores + np.float32(0))


def separation(adversarial: Scores, clean: Scores) -> tuple[float, NDArray[np.float64]]:
    """Area under the ROC curve of one attack, and what each image adds to it.

    The area is the probability that an adversarial score is above a clean one, equal ones counted half (Mann and Whitney,
    1947). The placement value of an adversarial score is the share of clean scores below it, of a clean score the share of
    adversarial scores above it (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    Args:
        adversarial: float32[n], scores of the attacked images, no NaN.
        clean: float32[n], scores of the same images unchanged.

    Returns:
        The area in [0, 1] and float64[n], the sum of an image's two placement values; their mean is twice the area. NaN and
        an empty array where n is 0.
    """
    count = len(adversarial)
    if not count:
        return math.nan, np.empty(0)
    sides = _sorted(adversarial, clean)
    # Clean ones below an adversarial score, adversarial ones above a clean score. Equal ones are sorted clean first, so all of them
    # are counted at first.
    place = np.cumsum(sides.positive, dtype=np.int32)
    beaten = np.where(sides.positive, np.arange(1, 2 * count + 1, dtype=np.int32) - place, count - place).astype(np.float64)
    start, middle, end = sides.ties()
    if len(middle):
        half = np.zeros(2 * count + 1)
        half[start] -= (end - middle) / 2
        half[middle] += (end - middle) / 2 - (middle - start) / 2
        half[end] += (middle - start) / 2
        beaten += np.cumsum(half[:-1])
    by_place = np.empty(2 * count)
    by_place[sides.place] = beaten
    return float(by_place[count:].sum() / count**2), (by_place[:count] + by_place[count:]) / count


def area(adversarial: Scores, clean: Scores) -> float:
    """The area alone, of any two samples; NaN where one of them is empty."""
    if not len(adversarial) or not len(clean):
        return math.nan
    sides = _sorted(adversarial, clean)
    start, middle, end = sides.ties()
    found, others = len(adversarial), len(clean)
    ranks = int(np.flatnonzero(sides.positive).sum()) - found * (found - 1) // 2
    return float((ranks - ((end - middle) * (middle - start)).sum() / 2) / (found * others))


def pooled(adversarial: Scores, clean: Scores) -> Pooled:
    """Figures over all attacks.

    Args:
        adversarial: float32[P], scores of attacked images, no NaN.
        clean: float32[Q].

    Returns:
        The figures; NaN where there is no adversarial image.
    """
    if not len(adversarial):
        return Pooled(math.nan, math.nan, math.nan)
    # A threshold between two adversarial scores flags clean images for nothing, so those at one of them are enough.
    scores, others = np.sort(adversarial), np.sort(clean)
    first = np.append(0, np.flatnonzero(scores[1:] != scores[:-1]) + 1)
    end = np.append(first[1:], len(scores))
    best_f1, precisions, low = 0.0, [], 0
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        limits = scores[first[part]]
        high = int(np.searchsorted(others, limits[-1]))
        below = low + np.searchsorted(others[low:high], limits)
        low = high
        found = len(scores) - first[part]
        flagged = found + len(others) - below
        best_f1 = max(best_f1, 2 * float((found / (flagged + len(scores))).max()))
        precisions.append(float((end[part] - first[part]) @ (found / flagged)))
    return Pooled(len(scores) / (len(scores) + len(others)), best_f1, math.fsum(precisions) / len(scores))


def threshold(clean: Scores, images: int, percent: int) -> float | None:
    """The lowest threshold above which at most a share of the clean scores lies; an image above it is flagged.

    Args:
        clean: float32[Q], all clean scores of the round.
        images: How many different clean images they are of.
        percent: The share.

    Returns:
        The threshold; None where fewer than ten clean images may be let through, too few to say anything.
    """
    if images * percent // 100 < _AT_LEAST:
        return None
    through = len(clean) * percent // 100
    return float(np.partition(clean, len(clean) - 1 - through)[len(clean) - 1 - through])


def flagged_share(scores: Scores, limit: float | None) -> float:
    """Share of scores above a threshold; NaN without scores or threshold."""
    return float((scores > limit).mean()) if limit is not None and len(scores) else math.nan


def f1_at(adversarial: Scores, clean: Scores, limit: float | None) -> float:
    """F1 where images above a threshold are flagged; NaN without adversarial images or threshold."""
    if limit is None or not len(adversarial):
        return math.nan
    found = int((adversarial > limit).sum())
    flagged = found + int((clean > limit).sum())
    return 2 * found / (flagged + len(adversarial))


def roc(adversarial: Scores, clean: Scores) -> list[tuple[float, float]]:
    """Points of the ROC curve, (false positive rate, true positive rate), from (0, 0) to (1, 1).

    An image is flagged at or above a score. Along the curve, both rates added, one point is kept in each hundredth.
    """
    if not len(adversarial) or not len(clean):
        return []
    limits = np.unique(np.concatenate([adversarial, clean]))[::-1]
    rates = [1 - np.searchsorted(np.sort(part), limits) / len(part) for part in (clean, adversarial)]
    along = np.floor((rates[0] + rates[1]) * _ROC_STEPS)
    kept = np.flatnonzero(np.append(along[1:] != along[:-1], True))
    return [(0.0, 0.0), *zip(rates[0][kept].tolist(), rates[1][kept].tolist(), strict=True)]


@dataclass(frozen=True)
class Histogram:
    """How many scores lie where.

    Attributes:
        edges: Of the B bins, B + 1 values; what lies beyond the first or last is counted in the bin there.
        attacked: Scores of attacked images by bin.
        clean: Of clean ones.
        attacked_missing: Attacked images without a score.
        clean_missing: Clean ones.
    """

    edges: tuple[float, ...]
    attacked: tuple[int, ...]
    clean: tuple[int, ...]
    attacked_missing: int
    clean_missing: int


def histogram(adversarial: Scores, clean: Scores) -> Histogram | None:
    """Scores of both sides in bins of equal width; None where there is none.

    The bins span all but the outermost hundredth at each end, so that a few huge scores do not push all others into one.
    """
    given = [part[np.isfinite(part)].astype(np.float64) for part in (adversarial, clean)]
    together = np.concatenate(given)
    if not len(together):
        return None
    low, high = np.quantile(together, [0.01, 0.99])
    edges = np.linspace(low, high, _BINS + 1) if low < high else np.array([low, high])
    attacked, unchanged = (
        tuple(np.histogram(np.clip(part, low, high), edges)[0].tolist()) if low < high else (len(part),) for part in given)
    return Histogram(tuple(edges.tolist()), attacked, unchanged, len(adversarial) - len(given[0]), len(clean) - len(given[1]))


def influence(
    areas: NDArray[np.float64], values: Sequence[tuple[NDArray[np.bool_], NDArray[np.float64]]], images: int,
) -> NDArray[np.float64]:
    """What each image adds to a detector's score, the mean area over attacks: its derivative by the image's weight.

    Args:
        areas: float64[A], per attack; NaN where an attack left no changed image.
        values: Per attack, which images count (bool[N]) and their sums of placement values, as from ``separation``.
        images: N.

    Returns:
        float64[N] whose sum is 0: the score under weights w (which sum to N) is the score + w @ influence, to first order.
    """
    total = np.zeros(images)
    for one, (which, both) in zip(areas, values, strict=True):
        if not math.isnan(one):
            total[which] += (both - 2 * one) / len(both)
    return total / max(1, int((~np.isnan(areas)).sum()))


@dataclass(frozen=True)
class _Sides:
    """Scores of both sides in ascending order, equal ones clean first.

    Attributes:
        place: int64, where each comes from: a clean one its place, an adversarial one its place behind all clean ones.
        positive: Whether it is adversarial.
        order: uint32, equal for equal scores.
    """

    place: NDArray[np.int64]
    positive: NDArray[np.bool_]
    order: NDArray[np.uint32]

    def ties(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of each group of equal scores that has both sides: where it begins, its first adversarial one, and its end."""
        order, positive = self.order, self.positive
        last_clean = np.flatnonzero((order[1:] == order[:-1]) & (positive[1:] > positive[:-1]))
        value = order[last_clean]
        return np.searchsorted(order, value), last_clean + 1, np.searchsorted(order, value, "right")


def _sorted(adversarial: Scores, clean: Scores) -> _Sides:
    """Whole numbers are sorted several times as fast as an argsort of the scores, and carry the place with them."""
    keys = np.empty((len(clean) + len(adversarial), 2), _HALVES)
    keys[:, 0] = np.arange(len(keys))
    for part, into in ((clean, keys[:len(clean)]), (adversarial, keys[len(clean):])):
        bits = np.ascontiguousarray(part, np.float32).view(np.int32)
        # Negative floats sort in the reverse order of their bits, and below the positive ones.
        into[:, 1] = (bits ^ ((bits >> 31) | np.int32(-(1 << 31)))).view(np.uint32)
    keys.view(_WHOLE).ravel().sort()
    place = keys[:, 0].astype(np.int64)
    return _Sides(place, place >= len(clean), keys[:, 1].astype(np.uint32))
