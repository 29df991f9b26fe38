"""The matrix as it is shown: what a cell says, and rows and columns in the order in which its structure is seen at a glance.

Strong attacks come first and strong defenses leftmost; the clean images stand above, where they are comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.scoring import Entry, Track, mean_scores, pair_scores
from harness.scoring.leaderboard import Matrix
from harness.tracks import DEFENSE, TRACKS, consumes, produces

CLEAN = "clean"


@dataclass(frozen=True)
class MatrixLine:
    """One row.

    Attributes:
        scores: float64, one per column in the view's order, in [0, 1]; NaN where there is nothing yet.
        begins_track: Whether it is the first of its track.
    """

    name: str
    scores: NDArray[np.float64]
    baseline: bool = False
    begins_track: bool = False


@dataclass(frozen=True)
class MatrixView:
    """Scores of every attack against every defense.

    Attributes:
        figure: What a cell shows, in percent.
        columns: The defenses.
        lines: The clean images, then each attack track; none where nothing is submitted on one of the two sides.
    """

    figure: str
    columns: tuple[Entry, ...]
    lines: tuple[MatrixLine, ...]


def matrix_view(matrix: Matrix, track: Track = DEFENSE.name) -> MatrixView:
    """The matrix with the scores of one track, each by the standard view's formula."""
    scores, figure = pair_scores(matrix.cells, track), TRACKS[track].cell
    if not matrix.attacks or not matrix.defenses:
        return MatrixView(figure, (), ())
    columns = np.argsort(_rank(scores.T, strong_is_high=consumes(track)), kind="stable")
    lines = [MatrixLine(CLEAN, pair_scores(matrix.clean, track)[columns])] if consumes(track) else []
    order = np.argsort(_rank(scores, strong_is_high=produces(track)), kind="stable")
    for kind in (name for name in TRACKS if produces(name)):
        rows = [row for row in order.tolist() if matrix.attacks[row].type == kind]
        lines += [MatrixLine(matrix.attacks[row].name, scores[row, columns], matrix.attacks[row].baseline, place == 0)
                  for place, row in enumerate(rows)]
    return MatrixView(figure, tuple(matrix.defenses[column] for column in columns), tuple(lines))


def _rank(scores: NDArray[np.float64], *, strong_is_high: bool) -> NDArray[np.float64]:
    """What sorts the strongest first."""
    means = mean_scores(scores)
    return -means if strong_is_high else means
