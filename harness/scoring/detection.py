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
_POSITIVE = np.uint64(1 << 31)
_INDEX = np.uint64((1 << 31) - 1)
_HALF = np.uint64(32)


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
    sorted_keys = _sorted(adversarial, clean)
    positive = (sorted_keys & _POSITIVE) != 0
    index = (sorted_keys & _INDEX).astype(np.int64)
    starts, sizes = _groups(sorted_keys)
    positives = np.add.reduceat(positive, starts, dtype=np.int64)
    negatives = sizes - positives
    below = np.cumsum(negatives) - negatives / 2
    above = count - np.cumsum(positives) + positives / 2
    placement = np.where(positive, np.repeat(below, sizes), np.repeat(above, sizes)) / count
    both = np.empty(count)
    both[index[positive]] = placement[positive]
    both[index[~positive]] += placement[~positive]
    return float(placement[positive].sum() / count), both


def pooled(adversarial: Scores, clean: Scores) -> Pooled:
    """Figures over all attacks.

    Args:
        adversarial: float32[P], scores of attacked images, no NaN.
        clean: float32[Q].

    Returns:
        The figures; NaN where there is no adversarial image.
    """
    total = len(adversarial) + len(clean)
    if not len(adversarial):
        return Pooled(math.nan, math.nan, math.nan)
    sorted_keys = _sorted(adversarial, clean)
    starts, sizes = _groups(sorted_keys)
    hits = np.add.reduceat((sorted_keys & _POSITIVE) != 0, starts, dtype=np.int64)[::-1]
    flagged = np.cumsum(sizes[::-1])
    found = np.cumsum(hits)
    f1 = 2 * found / (flagged + len(adversarial))
    return Pooled(len(adversarial) / total, float(f1.max()), float((hits * (found / flagged)).sum() / len(adversarial)))


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
    for area, (which, both) in zip(areas, values, strict=True):
        if not math.isnan(area):
            total[which] += (both - 2 * area) / len(both)
    return total / max(1, int((~np.isnan(areas)).sum()))


def _sorted(adversarial: Scores, clean: Scores) -> NDArray[np.uint64]:
    """Keys in ascending order of score: the score's order in the upper half, then the side, then the place in its array.

    Whole numbers are sorted several times as fast as an argsort of the scores, and carry the side with them.
    """
    keys = np.empty(len(adversarial) + len(clean), np.uint64)
    for part, into, side in ((adversarial, keys[:len(adversarial)], _POSITIVE), (clean, keys[len(adversarial):], np.uint64(0))):
        bits = np.ascontiguousarray(part, np.float32).view(np.int32)
        # Negative floats sort in the reverse order of their bits, and below the positive ones.
        order = (bits ^ ((bits >> 31) | np.int32(-(1 << 31)))).view(np.uint32)
        into[:] = (order.astype(np.uint64) << _HALF) | side | np.arange(len(part), dtype=np.uint64)
    keys.sort()
    return keys


def _groups(sorted_keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each group of equal scores begins, and how many it has."""
    value = (sorted_keys >> _HALF).astype(np.uint32)
    starts = np.concatenate([[0], np.flatnonzero(value[1:] != value[:-1]) + 1])
    return starts, np.diff(np.append(starts, len(value)))
