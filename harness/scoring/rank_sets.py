"""Ranks that hold for all entries at once: 95 % rank sets from simultaneous comparisons of all pairs.

Percentiles of resampled ranks, the obvious way, do not cover where it matters: of ten equal entries they cover all true ranks
at once in one data set of fifty, since a resample breaks the ties that the truth has. Instead (Mogstad, Romano, Shaikh and
Wilhelm, "Inference for Ranks with Applications to Mobility across Neighbourhoods and Academic Achievement across Countries",
Review of Economic Studies, 2024, 10.1093/restud/rdad006): entry i is better than j where

    (s_i - s_j) / se_ij > c,

c the 95 % quantile over the bootstrap resamples of

    max over pairs |(s*_i - s*_j) - (s_i - s_j)| / sd_ij,

sd_ij the standard deviation of the difference over the resamples, se_ij^2 = sd_ij^2 + (s_i - s_j)^2 / N on N images.

With B entries better than it and W worse, an entry's rank is between 1 + B and K - W. With 95 % all K sets hold together. The
step-down of Romano and Wolf ("Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing", Journal of the American
Statistical Association, 2005, 10.1198/016214504000000539) wins back width: statements already made leave the maximum, c falls,
and further statements may follow. A statement is about an ordered pair, so its reverse stays in the maximum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Share of a variance below which the variance of a difference is rounding: the two differ by the same in every resample. Two
# entries of a contest's size that differ on a single image have 1e-8.
_ROUNDING = 1e-12
# Counts of images tie often: a resample's deviation is then as large as the difference itself, but for float32's rounding.
_BEYOND = 1 + 1e-4
# Resamples looked at together: the differences of one entry to 161 others are 160 KB, which a processor's cache holds.
_CHUNK = 256


def rank_sets(
    scores: NDArray[np.float64], point: NDArray[np.float64], images: NDArray[np.int64], level: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best and worst rank of each entry, each int64[K]; together they hold all true ranks with probability ``level``.

    Entries without a score stand behind the others and take part in no comparison.

    Args:
        scores: float64[R, K], under each resample; the same resamples for all columns. NaN where an entry has none.
        point: float64[K], the scores themselves.
        images: int64[K], on how many images each score rests.
        level: In (0, 1).
    """
    known = np.flatnonzero(~np.isnan(point))
    low = np.full(len(point), len(known) + 1)
    high = np.full(len(point), len(point))
    better = _better(scores[:, known], point[known], images[known], level)
    low[known] = 1 + better.sum(0)
    high[known] = len(known) - better.sum(1)
    return low, high


def _better(scores: NDArray[np.float64], point: NDArray[np.float64], images: NDArray[np.int64], level: float) -> NDArray[np.bool_]:
    """Whether entry i is better than j beyond doubt, bool[K, K]."""
    count = len(point)
    found: NDArray[np.bool_] = np.zeros((count, count), np.bool_)
    if count < 2 or len(scores) < 2:  # noqa: PLR2004 - nothing to compare
        return found
    # A resample that has none of an entry's images says nothing of it. That happens only where the images are too few below.
    deviations = scores - point
    deviations[np.isnan(deviations)] = 0
    covariance = deviations - deviations.mean(0)
    covariance = covariance.T @ covariance / (len(scores) - 1)
    own = np.diagonal(covariance)
    variance = own[:, None] + own - 2 * covariance
    constant = variance <= _ROUNDING * (own[:, None] + own)
    inverse = np.where(constant, 0, 1 / np.sqrt(np.where(constant, 1, variance)))
    difference = point[:, None] - point
    # On few images all may speak for the same entry by chance, and the bootstrap then sees no variance at all. A sign test of n
    # images is never below 2 ** (1 - n), so fewer than these tell no pair apart (Bonferroni over the pairs).
    both = np.minimum(images[:, None], images)
    enough = both >= 1 + math.log2(count * (count - 1) / 2 / (1 - level))
    # The variance about no difference, as in McNemar's test: the one about the estimate is small just where the estimate errs.
    about_none = np.where(constant, 0, variance) + difference**2 / np.maximum(both, 1)
    statistic = np.where(enough, difference / np.sqrt(np.where(about_none > 0, about_none, 1)), -np.inf)
    comparable = ~np.eye(count, dtype=np.bool_)
    maxima = _Maxima(deviations, inverse, comparable)
    while True:
        new = maxima.left & (statistic > _BEYOND * maxima.quantile(level))
        if not new.any():
            return found
        found = found | new
        maxima.leave_out(new)


class _Maxima:
    """The largest studentised deviation of each resample, over the ordered pairs that are left."""

    def __init__(self, deviations: NDArray[np.float64], inverse: NDArray[np.float64], left: NDArray[np.bool_]) -> None:
        # A row per entry and half the bytes: one entry against all others then stays in the cache.
        self._deviations = np.ascontiguousarray(deviations.T, np.float32)
        self._inverse = inverse.astype(np.float32)
        self.left = left
        #: Exact at first; an upper bound once pairs have been left out.
        self._most = self._of(self._deviations)

    def leave_out(self, pairs: NDArray[np.bool_]) -> None:
        """Leave ordered pairs out, bool[K, K]."""
        self.left = self.left & ~pairs

    def quantile(self, level: float) -> float:
        """The quantile over the resamples."""
        resamples = len(self._most)
        place = resamples - math.ceil(level * resamples)
        order = np.argsort(-self._most)
        # The maxima only fall, so the largest bounds are looked at first, and most resamples not at all.
        looked_at = min(4 * (place + 1), resamples)
        while True:
            chosen = order[:looked_at]
            self._most[chosen] = self._of(self._deviations[:, chosen])
            found = -np.sort(-self._most[chosen])[place]
            if looked_at == resamples or found >= self._most[order[looked_at]]:
                return float(found)
            looked_at = min(2 * looked_at, resamples)

    def _of(self, deviations: NDArray[np.float32]) -> NDArray[np.float32]:
        most = np.zeros(deviations.shape[1], np.float32)
        for start in range(0, len(most), _CHUNK):
            part = np.ascontiguousarray(deviations[:, start:start + _CHUNK])
            self._raise(most[start:start + _CHUNK], part, np.empty_like(part))
        return most

    def _raise(self, most: NDArray[np.float32], deviations: NDArray[np.float32], room: NDArray[np.float32]) -> None:
        """Raise ``most`` to the maxima of these resamples; memory for each entry's differences is taken once."""
        for entry in range(len(deviations) - 1):
            upwards, downwards = self.left[entry, entry + 1:], self.left[entry + 1:, entry]
            for others, sign in ((upwards & downwards, 0), (upwards & ~downwards, 1), (downwards & ~upwards, -1)):
                if not others.any():
                    continue
                rows = deviations[entry + 1:] if others.all() else deviations[entry + 1:][others]
                inverse = self._inverse[entry, entry + 1:][others, None] * (sign or 1)
                studentised = np.subtract(deviations[entry], rows, out=room[:len(rows)])
                studentised *= inverse
                np.maximum(most, studentised.max(axis=0), out=most)
                if sign == 0:
                    np.maximum(most, -studentised.min(axis=0), out=most)
