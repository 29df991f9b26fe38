"""Ranks: equal scores share a rank, and how entries of one rank are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.scoring.results import Entry


def ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 + the number of strictly better entries, so 1, 1, 3 for a tie; int64 of the scores' shape.

    Args:
        scores: float64[..., K]; NaN (nothing to score yet) ranks behind every number.
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    better: NDArray[np.int64] = (known[..., None, :] > known[..., :, None]).sum(-1, dtype=np.int64)
    return better + 1


def display_order(scores: NDArray[np.float64], entries: Sequence[Entry]) -> list[int]:
    """Positions from the best to the last: by score, then lower median time, then earlier submission."""
    place = ranks(scores)

    def key(position: int) -> tuple[int, float, int]:
        time_s = entries[position].median_time_s
        return int(place[position]), np.inf if time_s is None else time_s, entries[position].order

    return sorted(range(len(entries)), key=key)
