"""The matrix on a terminal: a heat map of small numbers that fits 80 columns for some twenty defenses or detectors.

Each cell carries its own foreground and background, so that it can be read on any terminal; without colour the numbers remain.
More than fit are shown page by page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from harness.scoring import Track
from harness.scoring.leaderboard import DetectorMatrix, Matrix
from harness.tracks import DEFENSE
from harness.views.matrix import MatrixView, detector_view, matrix_view
from harness.views.words import shorten

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
#: For a pair that is not run, and for one without an image.
_CLOSED, _EMPTY = "x", "."

#: What a pair did not leave.
_NONE = {"defenses": "no image made", "detectors": "no image changed"}


def print_matrix(matrix: Matrix | DetectorMatrix, console: Console, track: Track = DEFENSE.name) -> None:
    """Print the map, its legend and what its numbers are."""
    view = matrix_view(matrix, track) if isinstance(matrix, Matrix) else detector_view(matrix, track)
    console.print(Text.assemble(("Matrix", "head"), (f"  {view.figure}", "quiet")))
    if not view.lines:
        console.print(Text("  nothing submitted on one of the two sides", "quiet"))
        return
    label, cell, per_page = _layout(view, console.width)
    for start in range(0, len(view.columns), per_page):
        page = range(start, min(start + per_page, len(view.columns)))
        console.print()
        if len(view.columns) > per_page:
            console.print(Text(f"{view.kind} {start + 1}-{start + len(page)} of {len(view.columns)}", "quiet"))
        for text in _page(view, page, label, cell):
            console.print(text, no_wrap=True, crop=False, overflow="ignore")
        if cell < _CELL_NAMED:
            console.print()
            for text in _legend(view, page, console.width):
                console.print(text)
    marks = ((_CLOSED, "closed", "closed"), (_EMPTY, _NONE[view.kind], "empty"))
    told = "".join(f"{mark} {words}, " for mark, words, name in marks if any(getattr(line, name) for line in view.lines))
    console.print(Text(f"** 100 %, {told}- nothing yet, name* baseline. Strongest first.", "quiet"))


def _marked(name: str, *, baseline: bool) -> str:
    return name + ("*" if baseline else "")


def _layout(view: MatrixView, width: int) -> tuple[int, int, int]:
    """Width of the row labels, width of a cell, columns on one page."""
    count = len(view.columns)
    longest = max(len(_marked(line.name, baseline=line.baseline)) for line in view.lines)
    label = min(longest, max(_LABEL_LEAST, min(_LABEL_WIDEST, width - _CELL_LEAST * count)))
    cell = min((width - label) // count, _CELL_WIDEST)
    if cell >= _CELL_LEAST:
        names = max(len(entry.name) for entry in view.columns) + 1
        return label, min(cell, max(names, _CELL_NAMED)) if cell >= _CELL_NAMED else min(cell, 5), count
    return label, _CELL_LEAST + 1, max(1, (width - label) // (_CELL_LEAST + 1))


def _page(view: MatrixView, page: range, label: int, cell: int) -> Iterator[Text]:
    head = Text(" " * label)
    for column in page:
        title = shorten(view.columns[column].name, cell - 1) if cell >= _CELL_NAMED else str(column + 1)
        head.append(f"{title:>{cell}}"[-cell:], "head")
    yield head
    for line in view.lines:
        if line.begins_track:
            yield Text()
        name = shorten(_marked(line.name, baseline=line.baseline), label)
        text = Text.assemble((f"{name:<{label}}", "baseline" if line.baseline else ""))
        for column in page:
            mark = _CLOSED if column in line.closed else _EMPTY if column in line.empty else None
            text.append_text(_cell(float(line.scores[column]), cell) if mark is None else Text(f"{mark:>{cell}}", "quiet"))
        yield text


def _cell(value: float, width: int) -> Text:
    if math.isnan(value):
        return Text(f"{'-':>{width}}", "quiet")
    number = f"{_percent(value)}"
    shown = "**" if len(number) >= width else number
    return Text(f"{shown:>{width}}", _HEAT[min(int(value * len(_HEAT)), len(_HEAT) - 1)])


def _percent(value: float) -> int:
    """Rounded, but never to 100 or 0 from elsewhere."""
    return round(100 * value) if value in {0.0, 1.0} else min(max(round(100 * value), 1), 99)


def _legend(view: MatrixView, page: range, width: int) -> Iterator[Text]:
    """Which number is which column, in as many columns as fit, read downwards."""
    names = [f"{column + 1:>3} {_marked(view.columns[column].name, baseline=view.columns[column].baseline)}" for column in page]
    # One long name must not cost the legend its columns.
    wide = min(max(len(name) for name in names) + 1, width // 2)
    across = max(1, width // wide)
    down = -(-len(names) // across)
    for row in range(down):
        yield Text("".join(f"{shorten(name, wide - 1):<{wide}}" for name in names[row::down]).rstrip(), "quiet")
