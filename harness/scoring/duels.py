"""What scoring is given of duels: how each attack that meets one defense at a time did against it, image by image.

An attack that knows its opponent, or may ask it, is played against one defense after the other. So what it made is no opponent of
anybody else, and none of it is among the verdicts of ``Results``. There is one value for each access that a round allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring.entry import Entry
from harness.tracks import Access, Threat

#: One row for each query that earned an image of a duel with a smaller change than any before it.
STEP = np.dtype([("attack", np.int32), ("defense", np.int32), ("image", np.int32), ("query", np.int32), ("distance", np.int64)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Queries:
    """What only duels by queries have.

    Attributes:
        budget: Queries for each image.
        charged: int32[A, D, N], queries that were counted.
        steps: Of the type ``STEP``, in the order in which they were seen: positions of attack, defense and image, the number of
            the query, from 1, and its distance from the clean image, in the threat's unit.
        grey: int64[N], the L2 distance of each clean image to mid-grey, which is what an image counts for that was not changed to
            any avail; None where no attack of the round is an ``l2`` one.
    """

    budget: int
    charged: NDArray[np.int32]
    steps: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, STEP))
    grey: NDArray[np.int64] | None = None

    def first(self, attack: int) -> NDArray[np.int32]:
        """int32[D, N], the number of the first query that earned an image for this attack; 0 where none did."""
        return self._lowest("query", attack, self.budget, 0).astype(np.int32)

    def smallest(self, attack: int, queries: int) -> NDArray[np.int64]:
        """int64[D, N], the smallest change that earned an image within so many of its queries; -1 where none did."""
        return self._lowest("distance", attack, queries, -1)

    def on_images(self, images: NDArray[np.bool_]) -> Queries:
        """The same of these images, bool[N], alone."""
        steps = self.steps[images[self.steps["image"]]]
        steps["image"] = (np.cumsum(images) - 1)[steps["image"]]
        return replace(self, charged=self.charged[..., images], steps=steps, grey=None if self.grey is None else self.grey[images])

    def of_attacks(self, attacks: NDArray[np.bool_]) -> Queries:
        """The same of these attacks, bool[A], alone."""
        steps = self.steps[attacks[self.steps["attack"]]]
        steps["attack"] = (np.cumsum(attacks) - 1)[steps["attack"]]
        return replace(self, charged=self.charged[attacks], steps=steps)

    def _lowest(self, name: str, attack: int, queries: int, none: int) -> NDArray[np.int64]:
        steps = self.steps[(self.steps["attack"] == attack) & (self.steps["query"] <= queries)]
        found = np.full(self.charged.shape[1:], np.iinfo(np.int64).max, np.int64)
        np.minimum.at(found, (steps["defense"], steps["image"]), steps[name].astype(np.int64))
        return np.where(found == np.iinfo(np.int64).max, none, found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Duels:
    """All duels of one access: A attacks of both tracks, D defenses, N images, B batches.

    What lies at pairs that are closed, or whose duel is not done, is ignored.

    Attributes:
        access: None of ``black_box``.
        attacks: Those of this access that take part, in submission order; they are not among ``Results.attacks``.
        defenses: Names, as ``Results.defenses`` has them and in that order.
        open: bool[A, D], whether the defense is open to the attack; a closed pair is not played and counts for nobody.
        done: bool[A, D, B], whether the duel has its result: both runs have ended, or the one of a duel by queries.
        counted: bool[A, D, N], in the attack's denominator: all images of its duels, also those that it left out, but for what
            its opponent failed to answer before it was decided.
        produced: bool[A, D, N], in the defense's denominator: the attack left the image, or its queries were about it.
        codes: uint8[A, D, N], the verdict, as ``Results.clean_codes`` has it; without ``LABELLED``, ``TARGET`` says that the image
            was rejected. Of a duel by queries it is the worst answer to a change within the bound: the target class before another
            wrong label, that before a rejection, that before the true label; 0 where the opponent failed before any wrong one.
        queries: Of duels by queries, otherwise None.
    """

    access: Access
    attacks: tuple[Entry, ...]
    defenses: tuple[str, ...]
    open: NDArray[np.bool_]
    done: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    produced: NDArray[np.bool_]
    codes: NDArray[np.uint8]
    queries: Queries | None = None

    def on_batches(self, batches: NDArray[np.bool_], images: NDArray[np.bool_]) -> Duels:
        """The same of these batches, bool[B], and their images, bool[N], alone."""
        return replace(
            self, done=self.done[..., batches], counted=self.counted[..., images], produced=self.produced[..., images],
            codes=self.codes[..., images], queries=None if self.queries is None else self.queries.on_images(images))

    def of_threat(self, threat: Threat) -> Duels:
        """The same of the attacks of one threat alone."""
        which = np.array([entry.threat is threat for entry in self.attacks], np.bool_)
        return replace(
            self, attacks=tuple(entry for entry in self.attacks if entry.threat is threat), open=self.open[which],
            done=self.done[which], counted=self.counted[which], produced=self.produced[which], codes=self.codes[which],
            queries=None if self.queries is None else self.queries.of_attacks(which))

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together: a silent broadcast would be a silent wrong score."""
        pairs, images = (len(self.attacks), len(self.defenses)), self.counted.shape[-1]
        each = (*pairs, images)
        expected = {"open": pairs, "done": (*pairs, self.done.shape[-1]), "counted": each, "produced": each, "codes": each}
        for name, shape in expected.items():
            found, dtype = getattr(self, name), np.uint8 if name == "codes" else np.bool_
            if found.shape != shape or found.dtype != dtype:
                message = f"{name} is {found.dtype}{list(found.shape)}, expected {np.dtype(dtype)}{list(shape)}"
                raise ValueError(message)
        if (self.queries is None) is (self.access is Access.QUERY):
            message = f"duels of the access {self.access} {'without' if self.queries is None else 'with'} queries"
            raise ValueError(message)
        if self.queries is not None and self.queries.charged.shape != each:
            message = f"queries of {self.queries.charged.shape}, expected {each}"
            raise ValueError(message)
