"""The numbers that tables show beside the scores. Each is written here, once, whatever shows it: two views of one contest agree.

Numbers that do not exist yet (nothing ended, nothing asked) are NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import ratio
from harness.scoring.entry import Track
from harness.scoring.results import Results
from harness.scoring.tally import Cells, Tally
from harness.tracks import consumes


def mean_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unweighted means over the last axis of what is known; -1 where nothing is, which sorts after every score."""
    known = ~np.isnan(scores)
    means = ratio(np.ascontiguousarray(np.where(known, scores, 0.0)).sum(-1), known.sum(-1))
    return np.nan_to_num(means, nan=-1.0)


def coverage(counts: Tally, track: Track) -> NDArray[np.float64]:
    """Of every entry on the track's side: produced / asked images of an attack, answered / produced images of a defense."""
    if consumes(track):
        return ratio((counts.pairs.labelled + counts.pairs.rejected).sum(0), counts.pairs.produced.sum(0))
    return ratio(counts.attack_produced, counts.attack_images)


def rejected(results: Results, cells: Cells) -> NDArray[np.float64]:
    """Share of the images that each defense rejects as adversarial, float64[D]; NaN where no rule lets it.

    Args:
        results: With the rule.
        cells: Counts of the images in question: of pairs [A, D], or of clean images [D].
    """
    share = ratio(np.atleast_2d(cells.rejected).sum(0), np.atleast_2d(cells.produced).sum(0))
    return np.full(len(share), np.nan) if results.max_clean_rejections is None else share


def clean_accuracy(counts: Tally) -> NDArray[np.float64]:
    """Share of the clean images that each defense labels correctly, float64[D]; it counts in no score."""
    return ratio(counts.clean.correct, counts.clean.produced)
