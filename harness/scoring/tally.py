"""Verdicts counted: per pair (attack, defense), and per image where a bootstrap needs them.

Every score view is a ratio of sums of these counts, and the sums may be taken over images, over opponents or over both.
So one type, ``Cells``, holds counts at any of these grains, and a view's formula is written once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.scoring.results import CORRECT, LABELLED, TARGET, Results

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """Counts of images at one grain; all arrays int64 of one shape.

    Attributes:
        images: Images whose run has ended (N once the tournament is complete).
        produced: Of those, images that the attack left.
        labelled: Of those, images that the defense labelled.
        correct: Labels equal to the true label.
        target_hit: Labels equal to the target class.
    """

    images: Counts
    produced: Counts
    labelled: Counts
    correct: Counts
    target_hit: Counts

    @property
    def wrong(self) -> Counts:
        """Labels given that are not the true label."""
        return self.labelled - self.correct

    @property
    def void(self) -> Counts:
        """Images that were produced but not labelled: the defense's failure, not the attack's."""
        return self.produced - self.labelled

    def map(self, change: Callable[[Counts], Counts]) -> Cells:
        """The same five counts, each changed alike (summed, masked, transposed)."""
        return Cells(*(change(array) for array in (
            self.images, self.produced, self.labelled, self.correct, self.target_hit)))


@dataclass(frozen=True)
class Tally:
    """A tournament's counts per pair and per entry, enough for every view's scores (not for intervals).

    Attributes:
        pairs: Each int64[A, D].
        attack_images: int64[A], images of the attack's ended runs.
        attack_produced: int64[A], of those, the ones it left.
        clean_images: int64[D], clean images of the defense's ended runs.
        clean_labelled: int64[D].
        clean_correct: int64[D].
    """

    pairs: Cells
    attack_images: Counts
    attack_produced: Counts
    clean_images: Counts
    clean_labelled: Counts
    clean_correct: Counts


def _verdicts(results: Results, attack: int) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Which of one attack's verdicts are final, bool[D, N], and those verdicts, uint8[D, N] (0 elsewhere)."""
    done = results.run_done[attack]
    codes = results.codes[attack] * results.produced[attack]
    if done.all():
        return np.broadcast_to(np.True_, codes.shape), codes
    final = done[:, results.batch]
    return final, codes * final


def _bits(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Labelled, correct and target hit as 0/1 arrays of the codes' shape."""
    one, two = np.uint8(1), np.uint8(2)
    return codes & LABELLED, (codes & CORRECT) >> one, (codes & TARGET) >> two


def tally(results: Results) -> Tally:
    """Count every pair's verdicts."""
    attacks, defenses = len(results.attacks), len(results.defenses)
    counts = np.zeros((5, attacks, defenses), np.int64)
    for attack in range(attacks):
        final, codes = _verdicts(results, attack)
        counts[0, attack] = final.sum(1)
        counts[1, attack] = final @ results.produced[attack].astype(np.int64)
        for row, bits in enumerate(_bits(codes), start=2):
            counts[row, attack] = bits.sum(1, dtype=np.uint32)
    ended = results.attack_done[:, results.batch]
    clean_ended = results.clean_done[:, results.batch]
    clean = results.clean_codes * clean_ended
    return Tally(
        pairs=Cells(*counts),
        attack_images=ended.sum(1, dtype=np.int64),
        attack_produced=(ended & results.produced).sum(1, dtype=np.int64),
        clean_images=clean_ended.sum(1, dtype=np.int64),
        clean_labelled=(clean & LABELLED).sum(1, dtype=np.int64),
        clean_correct=(clean & CORRECT).astype(np.bool_).sum(1, dtype=np.int64),
    )


def image_cells(
    results: Results, counted_attacks: NDArray[np.bool_], counted_defenses: NDArray[np.bool_],
) -> tuple[Cells, Cells]:
    """Counts per image, summed over the opponents that count.

    Returns:
        For the attacks, each int64[A, N] over the counted defenses; for the defenses, each int64[D, N] over the counted
        attacks.
    """
    attacks, defenses, images = results.codes.shape
    by_attack = np.zeros((5, attacks, images), np.int64)
    # Sums over at most 65,535 opponents; an eighth of the memory traffic of int64.
    by_defense = np.zeros((5, defenses, images), np.uint16)
    for attack in range(attacks):
        final, codes = _verdicts(results, attack)
        layers = (final.view(np.uint8), final & results.produced[attack], *_bits(codes))
        for row, layer in enumerate(layers):
            by_attack[row, attack] = layer[counted_defenses].sum(0, dtype=np.uint16)
            if counted_attacks[attack]:
                by_defense[row] += layer
    return Cells(*by_attack), Cells(*by_defense.astype(np.int64))
