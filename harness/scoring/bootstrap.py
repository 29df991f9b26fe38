"""95 % bootstrap intervals over images for scores, and the resamples that rank sets are made of.

The images are the sample: the question is how the table would look with other images of the same kind, while the entries
and the set of opponents that count stay as they are. Percentile bootstrap (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13). A resample is a vector of multiplicities, so all resamples of a ratio are two matrix
products; the ratio is recomputed in each. Resampling a 5,000 x 162 x 110 array 2,000 times is never done.

The seed is fixed, so that a table is the same each time that it is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.scoring.rank_sets import rank_sets
from harness.scoring.tally import Counts

Numbers = NDArray[np.float64] | Counts

RESAMPLES = 2000
SEED = 2017
LEVEL = 0.95

# Resamples drawn at a time: 128 x 5,000 indices are 5 MB, so that memory does not grow with the number of resamples.
_CHUNK = 128
# Sums of whole numbers below this are exact in float32, whose matrix products take half the time of float64's.
_EXACT_IN_FLOAT32 = 1 << 24


@dataclass(frozen=True)
class Intervals:
    """Ends of the 95 % intervals and rank sets; each array has one value per entry.

    Attributes:
        score_low: float64[K], NaN where no resample has a score.
        score_high: float64[K].
        rank_low: int64[K], the best rank (the smallest number); see ``rank_sets``.
        rank_high: int64[K], the worst.
    """

    score_low: NDArray[np.float64]
    score_high: NDArray[np.float64]
    rank_low: NDArray[np.int64]
    rank_high: NDArray[np.int64]


def _multiplicities(generator: np.random.Generator, images: int, resamples: int) -> NDArray[np.int64]:
    """How often each image is in each resample, int64[resamples, images]; rows sum to ``images``."""
    drawn = generator.integers(0, images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    return np.bincount(drawn.ravel(), minlength=resamples * images).reshape(resamples, images)


def resampled_sums(
    terms: Sequence[Numbers], resamples: int = RESAMPLES, seed: int = SEED,
) -> list[NDArray[np.float64]]:
    """Sums over each resample of the images; the same resamples for all ``terms``, whose equal rows are summed once.

    Args:
        terms: Each [K, N], per image, whole numbers (whose sums are exact) or not; K may differ.
        resamples: How many, R.
        seed: Fixed, so that the same results give the same intervals.

    Returns:
        One float64[R, K] for each of ``terms``.
    """
    images = max((part.shape[1] for part in terms), default=0)
    largest = max((int(part.max()) for part in terms if part.size and np.issubdtype(part.dtype, np.integer)), default=0)
    dtype = np.dtype(np.float32 if largest * images < _EXACT_IN_FLOAT32 else np.float64)
    # Tracks and views share many rows: the denominator is often the same for all entries.
    unique: dict[bytes, int] = {}
    columns = [np.array([unique.setdefault(row.tobytes(), len(unique)) for row in part.astype(dtype)], np.int64)
               for part in terms]
    sums = np.zeros((resamples, len(unique)))
    if images and unique:
        factors: NDArray[Any] = np.frombuffer(b"".join(unique), dtype).reshape(len(unique), images).T
        generator = np.random.default_rng(seed)
        for start in range(0, resamples, _CHUNK):
            count = min(_CHUNK, resamples - start)
            sums[start:start + count] = _multiplicities(generator, images, count).astype(dtype) @ factors
    return [sums[:, column] for column in columns]


def resampled_scores(
    earned: Counts, possible: Counts, resamples: int = RESAMPLES, seed: int = SEED,
) -> NDArray[np.float64]:
    """Scores of all entries under each resample of the images, float64[resamples, K].

    Args:
        earned: int[K, N], per image, summed over the opponents that count.
        possible: int[K, N].
        resamples: How many.
        seed: See ``resampled_sums``.
    """
    return ratio(*resampled_sums([earned, possible], resamples, seed))


def intervals(scores: NDArray[np.float64], point: NDArray[np.float64], images: NDArray[np.int64]) -> Intervals:
    """Percentile intervals of one track's scores, and simultaneous rank sets.

    An interval is widened to the point estimate where the percentiles leave it out.

    Args:
        scores: float64[R, K], as from ``resampled_scores``; the columns compete with each other.
        point: float64[K], the scores themselves.
        images: int64[K], on how many images each score rests.
    """
    low, high = percentiles(scores, point)
    return Intervals(low, high, *rank_sets(scores, point, images, LEVEL))


def percentiles(scores: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Low and high ends of the intervals of shares, float64[2, K]; see ``intervals``."""
    tail = (1 - LEVEL) / 2
    known = ~np.isnan(scores).all(axis=0)
    ends = np.full((2, scores.shape[1]), np.nan)
    if known.any():
        # Where no resample is without a score, which is usual, a tenth of the time.
        quantile = np.nanquantile if np.isnan(scores[:, known]).any() else np.quantile
        # A linear resampling may leave the range of scores.
        ends[:, known] = np.clip(quantile(scores[:, known], [tail, 1 - tail], axis=0), 0, 1)
    return np.stack([np.fmin(ends[0], point), np.fmax(ends[1], point)])


def ratio(earned: Numbers, possible: Numbers) -> NDArray[np.float64]:
    """Earned over possible; NaN where nothing was possible."""
    quotient = np.full(earned.shape, np.nan)
    np.divide(earned, possible, out=quotient, where=possible > 0)
    return quotient
