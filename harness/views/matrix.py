"""The matrix as it is shown: what a cell says, and rows and columns in an order that shows its structure at a glance.

Strong attacks come first and strong defenses leftmost; the clean images stand above, where they are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring import Entry, Track, mean_scores, pair_scores
from harness.scoring.leaderboard import DetectorMatrix, DuelMatrix, Matrix
from harness.tracks import DEFENSE, TRACKS, consumes, produces

CLEAN = "clean"


@dataclass(frozen=True)
class MatrixLine:
    """One row.

    Attributes:
        scores: float64, one per column in the view's order, in [0, 1]; NaN where there is nothing.
        begins_track: Whether it is the first of its track.
        closed: Columns that the attack does not meet, as their defenses are closed to it.
        empty: Columns without a score of which none is to come: all has ended, and nothing was left.
    """

    name: str
    scores: NDArray[np.float64]
    baseline: bool = False
    begins_track: bool = False
    closed: frozenset[int] = frozenset()
    empty: frozenset[int] = frozenset()


@dataclass(frozen=True)
class MatrixView:
    """Scores of every attack against every defense.

    Attributes:
        figure: What a cell shows, in percent.
        columns: The defenses, or the detectors.
        lines: The clean images, then each attack track; none where nothing is submitted on one of the two sides.
        kind: What the columns are, in the plural.
    """

    figure: str
    columns: tuple[Entry, ...]
    lines: tuple[MatrixLine, ...]
    kind: str = "defenses"


def matrix_view(matrix: Matrix, track: Track = DEFENSE.name) -> MatrixView:
    """The matrix with the scores of one track, each by the standard view's formula."""
    figure, duels = TRACKS[track].cell, matrix if isinstance(matrix, DuelMatrix) else None
    scores = pair_scores(matrix.cells, track) if duels is None or consumes(track) else duels.shares
    if duels is not None:
        figure += f"; duels, {duels.access.replace('_', ' ')}"
    if not matrix.attacks or not matrix.defenses:
        return MatrixView(figure, (), ())
    columns = np.argsort(_rank(scores.T, strong_is_high=consumes(track)), kind="stable")
    lines = [MatrixLine(CLEAN, pair_scores(matrix.clean, track)[columns])] if consumes(track) else []
    closed = None if duels is None else ~duels.open[:, columns]
    lines += _by_track(matrix.attacks, scores[:, columns], _rank(scores, strong_is_high=produces(track)), matrix.ended[:, columns],
                       closed)
    return MatrixView(figure, tuple(matrix.defenses[column] for column in columns), tuple(lines))


def detector_view(matrix: DetectorMatrix, track: Track) -> MatrixView:
    """The areas of every attack and detector; an attack is strong if few detectors tell it from clean images."""
    view = MatrixView(TRACKS[track].cell, (), (), kind="detectors")
    if not matrix.attacks or not matrix.detectors:
        return view
    columns = np.argsort(_rank(matrix.auroc.T, strong_is_high=True), kind="stable")
    # Those without an opponent come last.
    means = mean_scores(matrix.auroc)
    lines = _by_track(matrix.attacks, matrix.auroc[:, columns], np.where(means < 0, np.inf, means), matrix.ended[:, columns])
    return replace(view, columns=tuple(matrix.detectors[column] for column in columns), lines=tuple(lines))


def _by_track(attacks: Sequence[Entry], scores: NDArray[np.float64], rank: NDArray[np.float64], ended: NDArray[np.bool_],
              closed: NDArray[np.bool_] | None = None) -> list[MatrixLine]:
    lines = []
    order = np.argsort(rank, kind="stable").tolist()
    shut = np.zeros(scores.shape, np.bool_) if closed is None else closed
    empty = np.isnan(scores) & ended & ~shut
    for kind in (name for name in TRACKS if produces(name)):
        rows = [row for row in order if attacks[row].type == kind]
        lines += [MatrixLine(attacks[row].name, scores[row], attacks[row].baseline, place == 0, _places(shut[row]),
                             _places(empty[row]))
                  for place, row in enumerate(rows)]
    return lines


def _places(which: NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(which).tolist())


def _rank(scores: NDArray[np.float64], *, strong_is_high: bool) -> NDArray[np.float64]:
    """What sorts the strongest first."""
    means = mean_scores(scores)
    return -means if strong_is_high else means
