"""Robust accuracy: the share of images that a defense labels correctly when clean and against every attack of one access.

The per-image union over attacks, which RobustBench (Croce et al., NeurIPS 2021 Datasets and Benchmarks) and others call worst-case
accuracy. An image counts once everything that is to be known of it is known; one that an attack did not leave is no harm. A
rejection counts as correct as it does in the defense's score, never on the clean image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import ratio
from harness.scoring.duel_scores import played
from harness.scoring.duels import Duels
from harness.scoring.formula import Basis
from harness.scoring.results import Results
from harness.scoring.tally import may_reject
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET
from harness.tracks import Access


@dataclass(frozen=True, kw_only=True, eq=False)
class Robust:
    """Of one access, of each of D defenses.

    Attributes:
        held: bool[D, N], images labelled correctly when clean and against every attack.
        counted: bool[D, N], images of which all that is to be known is known; none without an attack that meets the defense.
        mean: float64[D], the score over the attacks of this access, as a defense's score is; NaN where there is nothing.
        ends: float64[2, D], ends of the share's 95 % interval; None where they were not asked for.
    """

    held: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    mean: NDArray[np.float64]
    ends: NDArray[np.float64] | None = None

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Robust accuracy, float64[D]; NaN where no image counts yet."""
        return ratio(self.held.sum(1), self.counted.sum(1))


def robust(basis: Basis) -> dict[Access, Robust]:
    """Of each access that there are attacks of, in their order; none in a round without defenses."""
    results = basis.results
    if not results.defenses:
        return {}
    clean = basis.counts.clean
    credit = may_reject(results, clean.rejected, clean.images)
    ended = results.clean_done[:, results.batch]
    right = ended & ((results.clean_codes & CORRECT) > 0)
    found = {Access.BLACK_BOX: _of_all(basis, right, ended, credit)} if results.attacks else {}
    for duels in results.duels:
        if duels.attacks:
            found[duels.access] = _of_duels(duels, results.batch, right, ended, credit)
    return {access: found[access] for access in Access if access in found}


def _of_all(basis: Basis, right: NDArray[np.bool_], ended: NDArray[np.bool_], credit: NDArray[np.bool_]) -> Robust:
    """Against what meets all defenses alike, eight images at a time."""
    results: Results = basis.results
    layout, left_out = results.verdicts.layout, ~results.verdicts.layout.pack(results.produced)
    held = np.zeros_like(right)
    for defense in range(len(results.defenses)):
        labelled, correct, target = results.verdicts.planes[:, :, defense]
        fine = correct | left_out
        if credit[defense]:
            fine = fine | (target & ~labelled)
        held[defense] = layout.unpack(np.bitwise_and.reduce(fine, axis=0)).astype(np.bool_)
    counted = ended & np.logical_and.reduce(results.run_done, axis=0)[:, results.batch]
    pairs = basis.counts.pairs
    mean = ratio((pairs.correct + pairs.credited).sum(0), pairs.produced.sum(0))
    return Robust(held=held & right & counted, counted=counted, mean=mean)


def _of_duels(duels: Duels, batch: NDArray[np.int32], right: NDArray[np.bool_], ended: NDArray[np.bool_],
              credit: NDArray[np.bool_]) -> Robust:
    labelled, correct, target = ((duels.codes & bit) > 0 for bit in (LABELLED, CORRECT, TARGET))
    fine = correct | (target & ~labelled & credit[:, None])
    shown = played(duels, batch) & duels.produced
    met = np.logical_or.reduce(duels.open, axis=0)[:, None]
    counted = ended & met & (~duels.open[..., None] | duels.done[..., batch]).all(axis=0)
    mean = ratio((fine & shown).sum((0, 2)), shown.sum((0, 2)))
    return Robust(held=right & counted & (fine | ~shown).all(axis=0), counted=counted, mean=mean)
