"""The leaderboard on a terminal: three tables, from 80 columns upwards."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.leaderboard import Leaderboard, Row
from harness.report.terminal.columns import Column, draw
from harness.report.terminal.console import table_box
from harness.scoring import RESAMPLES, Track
from harness.tracks import TRACKS
from harness.views.words import percent, plural, rank_span, seconds, share, span

#: Follows a baseline's name, since dim text is lost in a pipe.
BASELINE_MARK = "*"


def shown_name(row: Row) -> str:
    """A row's name with its marks."""
    marks = (BASELINE_MARK if row.baseline else "") + (f" {row.mark}" if row.mark else "")
    return row.name + marks


def track_columns(track: Track, rows: Sequence[Row]) -> list[Column]:
    """All columns of one table; the ones with a ``drop`` leave a narrow terminal first."""
    full = all(row.coverage in {None, 1.0} for row in rows)
    calm = not any(row.failures for row in rows)

    def column(title: str, cells: list[str], drop: int = 0, style: str = "") -> Column:
        return Column(title, tuple(cells), drop=drop, style=style)

    columns = [
        column("#", [str(row.rank or "-") for row in rows]),
        column("ranks", [rank_span(row.rank_low, row.rank_high) for row in rows], 2, "quiet"),
        Column("name", tuple(shown_name(row) for row in rows), "left", shrink_to=27, fold=True, style="name"),
        Column("team", tuple(row.team for row in rows), "left", drop=9, shrink_to=10),
        column("score", [share(row.score) for row in rows], 0, "best"),
        column("95%", [span(row.score_low, row.score_high) for row in rows], 3, "quiet"),
        column("worst", [share(row.worst) for row in rows], 1),
        Column("against", tuple(row.worst_opponent or "-" for row in rows), "left", drop=4, shrink_to=9),
    ]
    columns += [column(figure.title, [share(row.figures[figure.name]) for row in rows], 5) for figure in TRACKS[track].figures]
    columns += [
        # A column that says the same of everyone leaves before one that tells entries apart.
        column("cover", [percent(row.coverage) for row in rows], 8 if full else 6),
        column("sec", [seconds(row.median_time_s) for row in rows], 5),
        column("fails", [str(row.failures) for row in rows], 8 if calm else 7, "bad"),
        column("raw", [f"{row.raw}" for row in rows], 10),
    ]
    return columns


def track_table(track: Track, rows: Sequence[Row], width: int, frame: box.Box | None) -> Table:
    """One track as a rich table."""
    styles = ["baseline" if row.baseline else "" for row in rows]
    return draw(track_columns(track, rows), styles, width, frame)


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the tables and what one needs to know to read them."""
    for track, rows in board.tracks.items():
        console.print(Text.assemble((TRACKS[track].title, "head"), (f"  score: {TRACKS[track].score}", "quiet")))
        if rows:
            console.print(track_table(track, rows, console.width, table_box(console)))
        else:
            console.print(Text("  none submitted", "quiet"))
        console.print()
    for line in footnotes(board):
        console.print(Text(line, "quiet"))


def footnotes(board: Leaderboard) -> list[str]:
    """What the tables do not say of themselves."""
    runs = board.runs
    state = "complete" if runs.done == runs.total else "the scores are of what is done so far"
    state = state if runs.total else "nobody takes part that could be run"
    rows = [row for track in board.tracks.values() for row in track]
    lines = [
        f"{board.tournament} / {board.round}, {board.scoring} scoring over {plural(board.images, 'image')}.",
        f"{runs.done:,} of {plural(runs.total, 'run')} done, {state}.",
    ]
    if any(row.rank_low is not None for row in rows):
        lines.append(f"95%: bootstrap over images, {RESAMPLES:,} resamples; ranks hold for all at once.")
        lines.append("sec: median per batch.")
    if any(row.baseline for row in rows):
        lines.append(f"{BASELINE_MARK} baseline.")
    lines += [f"{mark} its served answers depended on earlier batches; `harness show NAME` says how often."
              for mark in sorted({row.mark for row in rows if row.mark})]
    if runs.failed:
        lines.append(f"{plural(runs.failed, 'run')} failed; `harness show NAME` says why.")
    return lines
