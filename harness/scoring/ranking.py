"""Ranks: equal scores share a rank, and how entries of one rank are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.scoring.entry import Entry


def ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 + the number of strictly better entries, so 1, 1, 3 for a tie; int64 of the scores' shape.

    Args:
        scores: float64[..., K]; NaN (nothing to score yet) ranks behind every number.
    """
    behind = np.where(np.isnan(scores), np.inf, -scores)
    order = np.argsort(behind, axis=-1)
    sorted_ = np.take_along_axis(behind, order, -1)
    place = np.broadcast_to(np.arange(1, scores.shape[-1] + 1), scores.shape)
    # Equals share the place of the first of them.
    first = np.where(sorted_[..., 1:] > sorted_[..., :-1], place[..., 1:], 1)
    shared = np.maximum.accumulate(np.concatenate([place[..., :1], first], axis=-1), axis=-1)
    found = np.empty(scores.shape, np.int64)
    np.put_along_axis(found, order, shared, -1)
    return found


def lowest(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The lowest known score of each row, float64[K], and its column, int64[K]; NaN and -1 where nothing is known."""
    known = ~np.isnan(scores)
    if not scores.shape[1]:
        return np.full(len(scores), np.nan), np.full(len(scores), -1, np.int64)
    column = np.where(known, scores, np.inf).argmin(1)
    found = known.any(1)
    return np.where(found, scores[np.arange(len(scores)), column], np.nan), np.where(found, column, -1)


def display_order(scores: NDArray[np.float64], entries: Sequence[Entry]) -> list[int]:
    """Positions from the best to the last: by score, then lower median time, then earlier submission."""
    place = ranks(scores)

    def key(position: int) -> tuple[int, float, int]:
        time_s = entries[position].median_time_s
        return int(place[position]), np.inf if time_s is None else time_s, entries[position].order

    return sorted(range(len(entries)), key=key)
