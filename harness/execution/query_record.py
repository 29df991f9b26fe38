"""What one query duel has spent and found: counts and observations, in memory only, never what a submission claims.

A fact is kept as it was observed: which label an image got, at which query, how far from the clean image. Whether that label is a
wrong one is asked when it is scored, so no true label is needed here, and a corrected one needs no new duel.

An index is the attack's claim about which image a row is about. What the row finds counts for that image alone, within the bound
around that image. So that nobody asks about one image on another's budget, a row that shows another image of the batch is charged
to it as well, and is within the budget only where it is within both. It shows the image that it lies nearest to (L2), where it is
within the bound around that one or less than half as far from it as from its own: one pixel beyond the bound hides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.formats.threats import measure
from harness.tracks import Threat

Pixels = NDArray[np.uint8]

_ROW = np.dtype([("image", "<i4"), ("label", "<i2"), ("number", "<i4"), ("change", "<i8")])


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

    def stored(self) -> bytes:
        """As it is kept."""
        rows = np.zeros(len(self.image), _ROW)
        for name in _ROW.names or ():
            rows[name] = getattr(self, name)
        return rows.tobytes()

    @classmethod
    def read(cls, stored: bytes) -> Self:
        """What was kept."""
        rows = np.frombuffer(stored, _ROW)
        return cls(**{name: rows[name] for name in _ROW.names or ()})

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
        self._flat = _flat(clean)
        self._squares = (self._flat**2).sum(axis=1)
        self._smallest: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[int, int, int, int]] = []

    def charge(self, images: NDArray[np.intp], pixels: Pixels) -> NDArray[np.int32]:
        """Count one query for each row, in their order; int32 [m], its number for its image, 0 for one beyond a budget."""
        numbers = np.zeros(len(images), np.int32)
        nearest = self._nearest(images, pixels)
        for row, charged in enumerate(zip(images.tolist(), nearest.tolist(), strict=True)):
            each = list(set(charged))
            if (self.counts[each] < self._budget).all():
                self.counts[each] += 1
                numbers[row] = self.counts[charged[0]]
        return numbers

    def _nearest(self, images: NDArray[np.intp], pixels: Pixels) -> NDArray[np.intp]:
        """The image that each row is charged to besides: the nearest one, where the row shows it; else its own."""
        # Squared distances but for each row's own square, which is the same for all images.
        nearest = (self._squares - 2 * _flat(pixels) @ self._flat.T).argmin(axis=1)
        found = images.copy()
        rows = np.flatnonzero(nearest != images)
        if len(rows):
            other = nearest[rows]
            # Those few exactly: single precision does not tell apart what lies nearly as far.
            apart, apart_of_own = (_apart(self._clean[image], pixels[rows]) for image in (other, images[rows]))
            within = measure(self._threat, self._clean[other], pixels[rows]) <= self._bound
            shows = (apart < apart_of_own) & (within | (4 * apart < apart_of_own))
            found[rows[shows]] = other[shows]
        return found

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


def _flat(pixels: Pixels) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = pixels.reshape(len(pixels), math.prod(pixels.shape[1:])).astype(np.float32) - 128
    return flat


def _apart(one: Pixels, other: Pixels) -> NDArray[np.int64]:
    """Squared L2 distances, int64 [n]."""
    apart = (one.astype(np.int64) - other).reshape(len(one), -1)
    squares: NDArray[np.int64] = (apart * apart).sum(axis=1)
    return squares
