"""What one query duel has spent and found: counts and observations, in memory only, and never a contestant's word.

A fact is kept as it was observed: which label an image got, at which query, how far from the clean image. Whether that label is a
wrong one is asked when it is scored, so no true label is needed here, and a corrected one needs no new duel.

An index is the attack's word in one respect: it says whose budget a row is charged to. What the row finds counts for that image
alone, within the bound around that image, so a row that shows another image costs its own and finds nothing for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.formats.threats import measure
from harness.tracks import Threat

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What the queries within the bound got, in the order in which it was seen.

    One row each time that an image got a label with a smaller change than before: the first row of an image and a label is the
    first query that got it, the last one its smallest change.

    Attributes:
        image: int32 [k], position in the batch.
        label: int16 [k], as answered.
        number: int32 [k], which query of this image it was, from 1.
        change: int64 [k], in the threat's unit, rounded up.
    """

    image: NDArray[np.int32]
    label: NDArray[np.int16]
    number: NDArray[np.int32]
    change: NDArray[np.int64]

    def by_label(self) -> list[tuple[int, int, int, int]]:
        """(image, label, number of the first query that got it, smallest change that did), by image and label."""
        best: dict[tuple[int, int], tuple[int, int]] = {}
        rows = zip(self.image.tolist(), self.label.tolist(), self.number.tolist(), self.change.tolist(), strict=True)
        for image, label, number, change in rows:
            best[image, label] = (best.get((image, label), (number, 0))[0], change)
        return [(*pair, *found) for pair, found in sorted(best.items())]


class QueryRecord:
    """Counts and observations of one duel.

    Args:
        clean: uint8 [n, h, w, 3].
        bound: In the threat's unit; what a query beyond it gets is answered and finds nothing.
        budget: Queries for each image.

    Attributes:
        counts: int32 [n], queries charged to each image.
    """

    def __init__(self, clean: Pixels, threat: Threat, bound: int, budget: int) -> None:
        self._clean, self._threat, self._bound, self._budget = clean, threat, bound, budget
        self.counts = np.zeros(len(clean), np.int32)
        self._smallest: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[int, int, int, int]] = []

    def charge(self, images: NDArray[np.intp]) -> NDArray[np.int32]:
        """Count one query for each row, in their order; int32 [m], its number for its image, 0 for one beyond the budget."""
        numbers = np.zeros(len(images), np.int32)
        for row, image in enumerate(images.tolist()):
            if self.counts[image] < self._budget:
                self.counts[image] += 1
                numbers[row] = self.counts[image]
        return numbers

    def observe(self, images: NDArray[np.intp], numbers: NDArray[np.int32], pixels: Pixels, labels: NDArray[np.int16]) -> None:
        """Keep what rows that were charged got."""
        changes = measure(self._threat, self._clean[images], pixels)
        rows = zip(images.tolist(), labels.tolist(), numbers.tolist(), changes.tolist(), strict=True)
        for image, label, number, change in rows:
            if change <= self._bound and change < self._smallest.get((image, label), change + 1):
                self._smallest[image, label] = change
                self._rows.append((image, label, number, change))

    def findings(self) -> Findings:
        """All that was found so far."""
        columns: list[NDArray[Any]] = list(np.array(self._rows, np.int64).reshape(-1, 4).T)
        return Findings(image=columns[0].astype(np.int32), label=columns[1].astype(np.int16),
                        number=columns[2].astype(np.int32), change=columns[3])
