"""The score views as one frozen table of ratios; how they are summed and ranked follows from it.

A view gives each track what an entry earned and what it could have earned, both linear in the counts of ``Cells``, and
says which opponents count. So one formula serves the score (summed over opponents), the score against one opponent (not
summed) and the bootstrap (summed over resampled images).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from harness.scoring.results import Track
from harness.scoring.tally import Cells, Counts, Tally


class View(StrEnum):
    """A way to score; ``standard`` is the default, the others reproduce 2017's programs."""

    STANDARD = "standard"
    NIPS2017 = "nips2017"
    TOOLKIT = "toolkit"


@dataclass(frozen=True)
class Formula:
    """What an entry earned (the raw score) and what it could have earned, from counts at any grain."""

    earned: Callable[[Cells], Counts]
    possible: Callable[[Cells], Counts]


_ALL: Callable[[Cells], Counts] = lambda cells: cells.images  # noqa: E731 - one row of a table

FORMULAS: Mapping[View, Mapping[Track, Formula]] = {
    View.STANDARD: {
        # An image without a label is a wrong label: a defense that abstains does to others what one that errs does.
        "attack": Formula(lambda cells: cells.not_correct, _ALL),
        "targeted_attack": Formula(lambda cells: cells.target_hit, _ALL),
        "defense": Formula(lambda cells: cells.correct, lambda cells: cells.produced),
    },
    View.NIPS2017: {
        "attack": Formula(lambda cells: cells.wrong, _ALL),
        "targeted_attack": Formula(lambda cells: cells.target_hit, _ALL),
        "defense": Formula(lambda cells: cells.correct, _ALL),
    },
    # Pays an attack for images that it never produced; the toolkit published raw scores only.
    View.TOOLKIT: {
        "attack": Formula(lambda cells: cells.images - cells.correct, _ALL),
        "targeted_attack": Formula(lambda cells: cells.target_hit, _ALL),
        "defense": Formula(lambda cells: cells.correct, _ALL),
    },
}


def counted(view: View, counts: Tally) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which attacks count for the defenses' scores, bool[A], and which defenses for the attacks', bool[D].

    In ``nips2017`` those are X* (attacks that produced every image) and D* (defenses that labelled every produced image
    of every attack). While runs are outstanding, "every" means every one of the ended runs.
    """
    attacks, defenses = counts.pairs.images.shape
    if view is not View.NIPS2017:
        return np.ones(attacks, np.bool_), np.ones(defenses, np.bool_)
    return counts.attack_produced == counts.attack_images, (counts.pairs.unlabelled == 0).all(axis=0)
