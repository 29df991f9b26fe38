"""The score views: the ways to score the same results, and who counts in each."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from harness.scoring.tally import Tally


class View(StrEnum):
    """A way to score; ``standard`` is the default, the others reproduce 2017's programs."""

    STANDARD = "standard"
    NIPS2017 = "nips2017"
    TOOLKIT = "toolkit"


def counted(view: View, counts: Tally) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which attacks count for the defenses' scores, bool[A], and which defenses for the attacks', bool[D].

    In ``nips2017`` those are X* (attacks that produced every image) and D* (defenses that labelled every produced image
    of every attack). While runs are outstanding, "every" means every one of the ended runs.
    """
    attacks, defenses = counts.pairs.images.shape
    if view is not View.NIPS2017:
        return np.ones(attacks, np.bool_), np.ones(defenses, np.bool_)
    return counts.attack_produced == counts.attack_images, (counts.pairs.unlabelled == 0).all(axis=0)
