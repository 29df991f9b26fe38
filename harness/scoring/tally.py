"""Verdicts counted: per pair (attack, defense), and per image where a bootstrap needs them.

Every score view is a ratio of sums of these counts, and the sums may be taken over images, over opponents or over both.
So one type, ``Cells``, holds counts at any of these grains, and a view's formula is written once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.scoring.results import Results
from harness.scoring.verdicts import BITS, Layout, Planes, add_planes, count_bits, rejections_apart

Counts = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Cells:
    """Counts of images at one grain; all arrays of one shape and type (int32 per image, int64 else).

    Attributes:
        images: Images whose run has ended (N once the tournament is complete).
        produced: Of those, images that the attack left.
        labelled: Of those, images that the defense labelled.
        correct: Labels equal to the true label.
        target_hit: Labels equal to the target class.
        rejected: Images called adversarial instead of being labelled; none without ``rules.rejection``.
        credited: Of those, images that count as correct for the defense: all, or none where it rejects too many clean images.
    """

    images: Counts
    produced: Counts
    labelled: Counts
    correct: Counts
    target_hit: Counts
    rejected: Counts
    credited: Counts

    @property
    def wrong(self) -> Counts:
        """Labels given that are not the true label."""
        return self.labelled - self.correct

    @property
    def unlabelled(self) -> Counts:
        """Images that were produced and got no answer."""
        return self.produced - self.labelled - self.rejected

    @property
    def not_correct(self) -> Counts:
        """Images that were produced, not rejected, and not labelled correctly: without a label or with another."""
        return self.produced - self.correct - self.rejected

    def map(self, change: Callable[[Counts], Counts]) -> Cells:
        """The same counts, each changed alike (summed, masked, transposed)."""
        return Cells(*(change(getattr(self, part.name)) for part in fields(self)))


@dataclass(frozen=True)
class Tally:
    """A tournament's counts per pair and per entry, enough for every view's scores (not for intervals).

    Attributes:
        pairs: Each int64[A, D].
        attack_images: int64[A], images of the attack's ended runs.
        attack_produced: int64[A], of those, the ones it left.
        clean: Each int64[D], of the defense's ended runs on the clean images.
    """

    pairs: Cells
    attack_images: Counts
    attack_produced: Counts
    clean: Cells


class _Settled:
    """Verdicts that count, as planes: labelled, correct, target, and rejected where a rule lets defenses reject."""

    def __init__(self, results: Results) -> None:
        self._planes, self._layout, self._batch = results.verdicts.planes, results.verdicts.layout, results.batch
        self._produced = self._layout.pack(results.produced)
        self._done = results.run_done
        self._rejecting = results.max_clean_rejections is not None

    def of_attack(self, attack: int) -> Planes:
        """Of one attack, uint8[3 or 4, D, width]."""
        return self._masked(self._planes[:, attack], self._produced[attack], self._done[attack])

    def of_defense(self, defense: int) -> Planes:
        """Of one defense, uint8[3 or 4, A, width]."""
        return self._masked(self._planes[:, :, defense], self._produced, self._done[:, defense])

    def _masked(self, planes: Planes, produced: Planes, done: NDArray[np.bool_]) -> Planes:
        settled: Planes = planes & (produced if done.all() else produced & self._layout.pack(done[:, self._batch]))
        return rejections_apart(settled) if self._rejecting else settled


def tally(results: Results) -> Tally:
    """Count every pair's verdicts."""
    attacks, defenses = len(results.attacks), len(results.defenses)
    counts = np.zeros((6, attacks, defenses), np.int64)
    batches = results.attack_done.shape[1]
    settled = _Settled(results)
    counts[0] = results.run_done @ np.bincount(results.batch, minlength=batches)
    for attack in range(attacks):
        left = np.bincount(results.batch[results.produced[attack]], minlength=batches)
        counts[1, attack] = results.run_done[attack] @ left
        found = count_bits(settled.of_attack(attack))
        counts[2:2 + len(found), attack] = found
    ended = results.attack_done[:, results.batch]
    clean_ended = results.clean_done[:, results.batch]
    asked = clean_ended.sum(1, dtype=np.int64)
    clean = _clean_counts(results, clean_ended)
    credit = may_reject(results, clean[3], asked)
    return Tally(
        pairs=Cells(*(*counts, counts[5] * credit)),
        attack_images=ended.sum(1, dtype=np.int64),
        attack_produced=(ended & results.produced).sum(1, dtype=np.int64),
        # What is rejected of the clean images is an error, whatever the rule.
        clean=Cells(*(asked, asked, *clean, np.zeros_like(asked))),
    )


def _clean_counts(results: Results, ended: NDArray[np.bool_]) -> Counts:
    """int64[4, D]: labelled, correct, target and rejected clean images."""
    labelled, correct, target = ((results.clean_codes & bit) > 0 for bit in BITS)
    # Without a rule for rejections there is no target without a label.
    counts: Counts = (np.stack([labelled, correct, target & labelled, target & ~labelled]) & ended).sum(-1, dtype=np.int64)
    return counts


def may_reject(results: Results, rejected: Counts, asked: Counts) -> NDArray[np.bool_]:
    """Which defenses' rejections of adversarial images count as correct, bool[D].

    Args:
        results: With the rule; without one nobody's do.
        rejected: int64[D], clean images that each rejected.
        asked: int64[D], clean images that each was asked about so far.
    """
    if results.max_clean_rejections is None:
        return np.zeros(len(results.defenses), np.bool_)
    # One division, rounded as the rule's own number is: 5 of 100 are at most .05.
    share = np.divide(rejected, asked, out=np.full(len(asked), np.inf), where=asked > 0)
    allowed: NDArray[np.bool_] = share <= results.max_clean_rejections
    return allowed


def image_cells(
    results: Results, counted_attacks: NDArray[np.bool_], counted_defenses: NDArray[np.bool_],
) -> tuple[Cells, Cells]:
    """Counts per image, summed over the opponents that count.

    Returns:
        For the attacks, each int32[A, N] over the counted defenses; for the defenses, each int32[D, N] over the counted
        attacks.
    """
    attacks, defenses, _ = results.verdicts.shape
    layout, settled = results.verdicts.layout, _Settled(results)
    by_attack, by_defense = _Digits(attacks, layout), _Digits(defenses, layout)
    for attack in range(attacks):
        by_attack.put(attack, _only(settled.of_attack(attack), counted_defenses))
    for defense in range(defenses):
        by_defense.put(defense, _only(settled.of_defense(defense), counted_attacks))
    # Runs end batch by batch, so what was asked and produced needs no bits.
    done = results.run_done[:, counted_defenses].sum(1, dtype=np.int32)[:, results.batch]
    asked = results.run_done[counted_attacks].sum(0, dtype=np.int32)[:, results.batch]
    produced = np.zeros_like(asked)
    # Whole numbers far below 2^24 as float32, whose matrix products are quicker than integers' and as exact.
    done_by, left = results.run_done[counted_attacks].T.astype(np.float32), results.produced[counted_attacks].astype(np.float32)
    for batch in range(results.attack_done.shape[1]):
        images = results.batch == batch
        produced[:, images] = done_by[batch] @ left[:, images]
    clean_ended = results.clean_done[:, results.batch]
    credit = may_reject(results, _clean_counts(results, clean_ended)[3], clean_ended.sum(1, dtype=np.int64))[:, None]
    attacked, defended = by_attack.counts(), by_defense.counts()
    # For attacks a rejected image is not fooled, whatever the defense has of it.
    return (Cells(*(done, done * results.produced, *attacked, np.zeros_like(done))),
            Cells(*(asked, produced, *defended, defended[3] * credit)))


def _only(planes: Planes, opponents: NDArray[np.bool_]) -> Planes:
    """uint8[..., K, width] of the opponents that count."""
    return planes if opponents.all() else planes[:, opponents]


class _Digits:
    """Labelled, correct, target and rejected counts per image of each of K entries, held as binary digits until all are there."""

    def __init__(self, entries: int, layout: Layout) -> None:
        self._layout = layout
        self._shape = (4, entries, layout.width)
        self._digits: list[Planes] = []

    def put(self, entry: int, planes: Planes) -> None:
        """What counts of one entry, uint8[3 or 4, opponents, width]."""
        for place, digit in enumerate(add_planes(planes)):
            if place == len(self._digits):
                self._digits.append(np.zeros(self._shape, np.uint8))
            self._digits[place][:len(digit), entry] = digit

    def counts(self) -> Counts:
        """int32[4, K, N]."""
        # At most 65,535 opponents; half the memory traffic of int32.
        found = np.zeros((*self._shape[:2], 8 * self._layout.width), np.uint16)
        for place, digit in enumerate(self._digits):
            found |= np.unpackbits(digit, axis=-1, bitorder="little").astype(np.uint16) << np.uint16(place)
        return found[..., self._layout.columns].astype(np.int32)
