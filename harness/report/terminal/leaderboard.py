"""The leaderboard on a terminal: one table a track, from 80 columns upwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.terminal.columns import Column, draw
from harness.report.terminal.console import table_box
from harness.scoring import Track
from harness.scoring.leaderboard import Leaderboard, Row
from harness.tracks import TRACKS, Access
from harness.views.leaderboard import BoardColumn, access_words, columns, footnotes, heading, robust_columns, shown_tracks, tables

#: How a column is laid out (see ``Column``): those with the highest ``drop`` leave a narrow terminal first.
_LAYOUT: dict[str, dict[str, Any]] = {
    "#": {}, "ranks": {"drop": 2, "style": "quiet"}, "name": {"justify": "left", "shrink_to": 27, "fold": True, "style": "name"},
    "team": {"justify": "left", "drop": 9, "shrink_to": 10}, "score": {"style": "best"}, "95%": {"drop": 3, "style": "quiet"},
    "worst": {"drop": 1}, "against": {"justify": "left", "drop": 4, "shrink_to": 9}, "cover": {"drop": 6}, "sec": {"drop": 5},
    "fails": {"drop": 7, "style": "bad"}, "raw": {"drop": 10}, "mean": {"drop": 4}, "robust": {"drop": 5},
    **{title: {} for title in map(access_words, Access)},
}
#: Of a track's own figures.
_FIGURE = {"drop": 5}
#: A column with one value for all is dropped before one that distinguishes entries.
_SAME_OF_ALL = {"drop": 8}


def track_columns(track: Track, rows: Sequence[Row]) -> list[Column]:
    """All columns of one table."""
    return _columns(columns(track, rows), rows)


def _columns(shown: Sequence[BoardColumn], rows: Sequence[Row]) -> list[Column]:
    same = {"cover": all(row.coverage in {None, 1.0} for row in rows), "fails": not any(row.failures for row in rows)}
    return [Column(column.title, tuple(map(column.cell, rows)),
                   **_LAYOUT.get(column.title, _FIGURE) | (_SAME_OF_ALL if same.get(column.title) else {})) for column in shown]


def track_table(track: Track, rows: Sequence[Row], width: int, frame: box.Box | None) -> Table:
    """One track as a rich table."""
    return _table(columns(track, rows), rows, width, frame)


def _table(shown: Sequence[BoardColumn], rows: Sequence[Row], width: int, frame: box.Box | None) -> Table:
    return draw(_columns(shown, rows), ["baseline" if row.baseline else "" for row in rows], width, frame)


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the tables and the notes needed to read them."""
    shown: set[str] = set()
    for track, rows in shown_tracks(board).items():
        for words, part in tables(rows):
            title = f"{TRACKS[track].title}, {words}" if words else TRACKS[track].title
            console.print(Text.assemble((title, "head"), (f"  {heading(track, part)}", "quiet")))
            if part:
                table = track_table(track, part, console.width, table_box(console))
                shown |= {str(column.header) for column in table.columns}
                console.print(table)
            else:
                console.print(Text("  none submitted", "quiet"))
            console.print()
        if held := robust_columns(rows):
            console.print(Text.assemble((f"{TRACKS[track].title}, robust accuracy", "head"),
                                        ("  by what attacks know; mean: of all attacks of that access", "quiet")))
            console.print(_table(held, rows, console.width, table_box(console)))
            console.print()
    for line in footnotes(board, shown):
        console.print(Text(line, "quiet"))
