"""Figures of detectors: how well scores tell adversarial images from clean ones. numpy in, numbers out.

Positive means adversarial, and a higher score means more likely adversarial. An image without a score counts against the detector
on either side: a clean one is taken for the most suspect, an adversarial one for the least. All figures treat equal scores as
equal: nothing depends on the order in which they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

#: False positive rates of the two thresholds, in percent.
FALSE_POSITIVES = (5, 1)
#: Least number of false positives that a threshold must allow, else it says nothing.
_AT_LEAST = 10
#: Of a histogram.
_BINS = 16
#: A ROC curve is two long, both rates added.
_ROC_STEPS = 100
#: Thresholds computed together: their arrays stay in a processor's cache, and take half of the time of all at once.
_BLOCK = 1 << 13
#: Of a key, the half that holds a place.
_PLACE = np.uint64((1 << 32) - 1)


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
    """``Ordered.separation`` of two samples of one size."""
    return Ordered.of(adversarial, clean).separation()


@dataclass(frozen=True)
class Ordered:
    """The images of one attack in the order of their scores, attacked and clean ones together, equal ones clean first.

    Sorted once, for every figure that asks for the order.

    Attributes:
        place: int64[2 n], where each comes from: a clean one its image, an attacked one n more.
        attacked: bool[2 n], which are attacked.
        start: Of each group of equal scores that has both sides, where it begins.
        middle: Its first attacked one.
        end: Where it ends.
    """

    place: NDArray[np.int64]
    attacked: NDArray[np.bool_]
    start: NDArray[np.int64]
    middle: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, adversarial: Scores, clean: Scores) -> Ordered:
        """The same images on both sides: float32[n] each, no NaN.

        Whole numbers are sorted several times as fast as an argsort of the scores, and carry the place with them.
        """
        bits = np.concatenate([clean, adversarial]).view(np.int32)
        # Negative floats sort in the reverse order of their bits, and below the positive ones.
        keys = (bits ^ ((bits >> 31) | np.int32(-(1 << 31)))).view(np.uint32).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        place = (keys & _PLACE).view(np.int64)
        attacked = place >= len(clean)
        middle = np.flatnonzero(((keys[1:] ^ keys[:-1]) <= _PLACE) & (attacked[1:] > attacked[:-1])) + 1
        score = keys[middle] & ~_PLACE
        return cls(place, attacked, np.searchsorted(keys, score), middle, np.searchsorted(keys, score | _PLACE, "right"))

    def separation(self) -> tuple[float, NDArray[np.float64]]:
        """Area under the ROC curve of one attack, and what each image adds to it.

        The area is the probability that an adversarial score is above a clean one, equal ones counted half (Mann and Whitney,
        1947). The placement value of an adversarial score is the share of clean scores below it, of a clean score the share of
        adversarial scores above it (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

        Returns:
            The area in [0, 1] and float64[n], the sum of an image's two placement values; their mean is twice the area. NaN and
            an empty array where n is 0.
        """
        count = len(self.place) // 2
        if not count:
            return math.nan, np.empty(0)
        from_clean, from_attacked = np.flatnonzero(~self.attacked), np.flatnonzero(self.attacked)
        images = np.arange(count)
        # Equal ones are sorted clean first, so all of them are counted at first.
        below, above = (from_attacked - images).astype(np.float64), (count + images - from_clean).astype(np.float64)
        equal_clean, equal_attacked = self.middle - self.start, self.end - self.middle
        for counted, first, length, equal in (
                (below, np.searchsorted(from_attacked, self.middle), equal_attacked, equal_clean),
                (above, np.searchsorted(from_clean, self.start), equal_clean, equal_attacked)):
            counted[_ranges(first, length)] -= np.repeat(equal / 2, length)
        both = np.empty(count)
        both[self.place[from_clean]] = above
        both[self.place[from_attacked] - count] += below
        return float(below.sum() / count**2), both / count

    def area(self, which: NDArray[np.bool_]) -> float:
        """The area over some of the images, bool[n]; NaN where they are none."""
        count = int(np.count_nonzero(which))
        if not count:
            return math.nan
        asked = np.concatenate([which, which])[self.place]
        clean, attacked = asked & ~self.attacked, asked & self.attacked
        below = int(np.cumsum(clean, dtype=np.int32)[np.flatnonzero(attacked)].sum(dtype=np.int64))
        equal = 0
        if len(self.middle):
            equal = int(_sums(clean, self.start, self.middle) @ _sums(attacked, self.middle, self.end))
        return (below - equal / 2) / count**2


def _ranges(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers from each ``first`` on, of each ``length``, one after another."""
    found: NDArray[np.int64] = np.arange(int(length.sum())) + np.repeat(first - (np.cumsum(length) - length), length)
    return found


def _sums(flags: NDArray[np.bool_], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are set of each range, none of which is empty."""
    length = end - start
    found: NDArray[np.int64] = np.add.reduceat(flags[_ranges(start, length)], np.cumsum(length) - length, dtype=np.int64)
    return found


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
    # A threshold between two adversarial scores only adds false positives, so those at one of them are enough.
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
    """Counts of scores by bin.

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
