"""The matrix on a terminal: a heat map of small numbers that fits 80 columns for some twenty defenses.

Each cell carries its own foreground and background, so that it can be read on any terminal; without colour the numbers remain.
Strong attacks come first and strong defenses leftmost, so that the map has its structure at a glance. More defenses than
fit are shown page by page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from harness.leaderboard import Matrix
from harness.report.words import shorten
from harness.scoring import Track
from harness.tracks import DEFENSE, TRACKS, consumes, produces

#: Light to dark in about equal steps, 256-colour codes. Black and white are the fixed 16 and 231: the basic "white" is a dark
#: grey on many light terminals, and would vanish on the dark cells.
_HEAT = (*(f"color(16) on color({shade})" for shade in (231, 195, 153, 117, 75)),
         *(f"color(231) on color({shade})" for shade in (32, 25, 18)))

_LABEL_WIDEST, _LABEL_LEAST = 30, 18
#: A gap and two digits; 100 is written ``**`` there.
_CELL_LEAST = 3
#: From here on a column is headed by its (shortened) name instead of its number.
_CELL_NAMED = 9
_CELL_WIDEST = 14


@dataclass(frozen=True)
class _Line:
    """One row of the map: values in [0, 1], NaN where there is nothing yet."""

    label: str
    values: NDArray[np.float64]
    baseline: bool = False
    gap_before: bool = False


def _shares(matrix: Matrix, track: Track) -> NDArray[np.float64]:
    cells = matrix.cells
    if consumes(track):
        part, whole = cells.correct, cells.produced
    else:
        part, whole = (cells.target_hit if TRACKS[track].takes_targets else cells.not_correct), cells.images
    shares = np.full(part.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else -1.0


def _lines(matrix: Matrix, shares: NDArray[np.float64], track: Track) -> list[_Line]:
    """Clean first, then each attack track from its strongest attack to its weakest."""
    lines = []
    if consumes(track):
        clean = np.full(len(matrix.defenses), np.nan)
        np.divide(matrix.clean_correct, matrix.clean_images, out=clean, where=matrix.clean_images > 0)
        lines.append(_Line("clean", clean))
    for kind in (name for name in TRACKS if produces(name)):
        rows = [row for row, entry in enumerate(matrix.attacks) if entry.type == kind]
        rows.sort(key=lambda row: _mean(shares[row]), reverse=produces(track))
        for place, row in enumerate(rows):
            entry = matrix.attacks[row]
            lines.append(_Line(entry.name + ("*" if entry.baseline else ""), shares[row], entry.baseline, place == 0))
    return lines


def print_matrix(matrix: Matrix, console: Console, track: Track = DEFENSE.name) -> None:
    """Print the map, its legend and what its numbers are."""
    shares = _shares(matrix, track)
    console.print(Text.assemble(("Matrix", "head"), (f"  {TRACKS[track].cell}", "quiet")))
    if not matrix.attacks or not matrix.defenses:
        console.print(Text("  nothing submitted on one of the two sides", "quiet"))
        return
    lines = _lines(matrix, shares, track)
    columns = sorted(range(len(matrix.defenses)), key=lambda at: _mean(shares[:, at]), reverse=consumes(track))
    label, cell, per_page = _layout([line.label for line in lines], matrix, console.width)
    for start in range(0, len(columns), per_page):
        page = columns[start:start + per_page]
        console.print()
        if len(columns) > per_page:
            console.print(Text(f"defenses {start + 1}-{start + len(page)} of {len(columns)}", "quiet"))
        for text in _page(matrix, lines, page, start, label, cell):
            console.print(text, no_wrap=True, crop=False, overflow="ignore")
        if cell < _CELL_NAMED:
            console.print()
            for text in _legend(matrix, page, start, console.width):
                console.print(text)
    console.print(Text("** 100 %, - nothing yet, name* baseline. Strongest first.", "quiet"))


def _layout(labels: Sequence[str], matrix: Matrix, width: int) -> tuple[int, int, int]:
    """Width of the row labels, width of a cell, columns on one page."""
    count = len(matrix.defenses)
    longest = max(len(label) for label in labels)
    label = min(longest, max(_LABEL_LEAST, min(_LABEL_WIDEST, width - _CELL_LEAST * count)))
    cell = min((width - label) // count, _CELL_WIDEST)
    if cell >= _CELL_LEAST:
        names = max(len(entry.name) for entry in matrix.defenses) + 1
        return label, min(cell, max(names, _CELL_NAMED)) if cell >= _CELL_NAMED else min(cell, 5), count
    return label, _CELL_LEAST + 1, max(1, (width - label) // (_CELL_LEAST + 1))


def _page(matrix: Matrix, lines: Sequence[_Line], page: Sequence[int], start: int, label: int, cell: int) -> Iterator[Text]:
    head = Text(" " * label)
    for place, column in enumerate(page):
        title = shorten(matrix.defenses[column].name, cell - 1) if cell >= _CELL_NAMED else str(start + place + 1)
        head.append(f"{title:>{cell}}"[-cell:], "head")
    yield head
    for line in lines:
        if line.gap_before:
            yield Text()
        text = Text.assemble((f"{shorten(line.label, label):<{label}}", "baseline" if line.baseline else ""))
        for column in page:
            text.append_text(_cell(float(line.values[column]), cell))
        yield text


def _cell(value: float, width: int) -> Text:
    if np.isnan(value):
        return Text(f"{'-':>{width}}", "quiet")
    number = f"{_percent(value)}"
    shown = "**" if len(number) >= width else number
    return Text(f"{shown:>{width}}", _HEAT[min(int(value * len(_HEAT)), len(_HEAT) - 1)])


def _percent(value: float) -> int:
    """100 is only said of everything, 0 only of nothing."""
    return round(100 * value) if value in {0.0, 1.0} else min(max(round(100 * value), 1), 99)


def _legend(matrix: Matrix, page: Sequence[int], start: int, width: int) -> Iterator[Text]:
    """Which number is which defense, in as many columns as fit, read downwards."""
    names = [f"{start + place + 1:>3} {matrix.defenses[column].name}{'*' if matrix.defenses[column].baseline else ''}"
             for place, column in enumerate(page)]
    # One long name must not cost the legend its columns.
    wide = min(max(len(name) for name in names) + 1, width // 2)
    across = max(1, width // wide)
    down = -(-len(names) // across)
    for row in range(down):
        yield Text("".join(f"{shorten(name, wide - 1):<{wide}}" for name in names[row::down]).rstrip(), "quiet")
