"""Scores that are shares of images, from verdicts on labels: attacks, targeted attacks and defenses, in every view.

A view says what an entry earned and what it could have earned, both linear in the counts of ``Cells``, and which opponents count.
So one ratio serves the score (summed over opponents), the score against one opponent (not summed) and the bootstrap (summed over
resampled images).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring.bootstrap import ratio
from harness.scoring.detectors import undetected
from harness.scoring.entry import Entry, Track
from harness.scoring.figures import clean_accuracy, coverage, rejected
from harness.scoring.formula import Basis, Resampling, TrackScores, formula_of, members_of, of_each_threat
from harness.scoring.ranking import lowest, ranks
from harness.scoring.results import Results
from harness.scoring.tally import Cells, Counts
from harness.scoring.views import View, counted
from harness.tracks import TRACKS


@dataclass(frozen=True)
class Ratio:
    """What an entry earned (the raw score) and what it could have earned, from counts at any grain."""

    earned: Callable[[Cells], Counts]
    possible: Callable[[Cells], Counts]


@dataclass(frozen=True)
class Shares:
    """A track that is scored by verdicts on labels.

    Attributes:
        by_view: Its ratio in each view.
        defends: Whether its entries give the labels, or are what labels are given to.
    """

    by_view: Mapping[View, Ratio]
    defends: bool = False

    def entries(self, results: Results) -> tuple[Entry, ...]:
        """Those on its side."""
        return results.defenses if self.defends else results.attacks

    def opponents(self, results: Results) -> tuple[Entry, ...]:
        """Those on the other."""
        return results.attacks if self.defends else results.defenses

    def score(self, basis: Basis, track: Track, view: View) -> TrackScores:
        """Scores from counts per pair."""
        members = members_of(basis.results, track)
        attacks, defenses = counted(view, basis.counts)
        opponents = np.flatnonzero(attacks if self.defends else defenses)
        # Rows are the track's entries, columns the opponents that count.
        cells = basis.counts.pairs.map(lambda array: (array.T if self.defends else array)[members][:, opponents])
        earned, possible = self.by_view[view].earned(cells), self.by_view[view].possible(cells)
        score = ratio(earned.sum(1), possible.sum(1))
        worst, column = lowest(ratio(earned, possible))
        return TrackScores(
            track=track, members=members, raw=earned.sum(1), score=score, worst=worst,
            worst_opponent=np.where(column >= 0, np.append(opponents, -1)[column], -1), rank=ranks(score),
            coverage=coverage(basis.counts, track)[members],
            figures={figure.name: _FIGURES[figure.name](basis)[members] for figure in TRACKS[track].figures},
            by_threat={threat: ratio(earned[:, which[opponents]].sum(1), possible[:, which[opponents]].sum(1))
                       for threat, which in (of_each_threat(basis.results.attacks) if self.defends else {}).items()})

    def resampling(self, basis: Basis, track: Track, view: View) -> Resampling:
        """Ratios of what was earned and what was possible per image."""
        cells = basis.image_cells(view)[self.defends]
        members = members_of(basis.results, track)
        earned, possible = (part(cells)[members] for part in (self.by_view[view].earned, self.by_view[view].possible))
        return Resampling((earned, possible), ratio, (possible > 0).sum(1))


def _ratio(track: Track, view: View) -> Ratio:
    formula = formula_of(track)
    if not isinstance(formula, Shares):
        message = f"the score of the track {track} is no share of images"
        raise TypeError(message)
    return formula.by_view[view]


def pair_scores(cells: Cells, track: Track, view: View = View.STANDARD) -> NDArray[np.float64]:
    """What an entry of this track scored against each opponent, float64 of the cells' shape, in [0, 1]."""
    part = _ratio(track, view)
    return ratio(part.earned(cells), part.possible(cells))


def unlabelled_earned(cells: Cells, track: Track, view: View = View.STANDARD) -> Counts:
    """What an entry earned by images that got no label: it would not have, had each of them been labelled correctly."""
    part = _ratio(track, view)
    answered = replace(cells, labelled=cells.produced - cells.rejected, correct=cells.correct + cells.unlabelled)
    lost: Counts = np.maximum(0, part.earned(cells) - part.earned(answered))
    return lost


#: How the figures of these tracks are computed, by their names: one number for every entry on the track's side.
_FIGURES: Mapping[str, Callable[[Basis], NDArray[np.float64]]] = {
    "clean_accuracy": lambda basis: clean_accuracy(basis.counts), "undetected": undetected,
    "rejected": lambda basis: rejected(basis.results, basis.counts.pairs),
    "clean_rejected": lambda basis: rejected(basis.results, basis.counts.clean)}

_ALL: Callable[[Cells], Counts] = lambda cells: cells.images  # noqa: E731 - one row of a table
_DEFENDED: Callable[[Cells], Counts] = lambda cells: cells.correct + cells.credited  # noqa: E731 - the same

# In the standard view an image without a label is a wrong label: a defense that abstains does to others what one that errs does.
# The toolkit's pays an attack for images that it never produced; the toolkit published raw scores only.
ATTACK = Shares({
    View.STANDARD: Ratio(lambda cells: cells.not_correct, _ALL),
    View.NIPS2017: Ratio(lambda cells: cells.wrong, _ALL),
    View.TOOLKIT: Ratio(lambda cells: cells.images - cells.correct - cells.rejected, _ALL),
})
TARGETED_ATTACK = Shares(dict.fromkeys(View, Ratio(lambda cells: cells.target_hit, _ALL)))
DEFENSE = Shares({
    View.STANDARD: Ratio(_DEFENDED, lambda cells: cells.produced),
    View.NIPS2017: Ratio(_DEFENDED, _ALL),
    View.TOOLKIT: Ratio(_DEFENDED, _ALL),
}, defends=True)
