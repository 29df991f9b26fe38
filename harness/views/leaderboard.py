"""The leaderboard as it is shown: the columns of a track's table, each row's cells in words, and what stands below the tables.

Every front takes these, so that they agree; how wide a column is, and which leave where there is no room, is a matter of the front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.scoring import RESAMPLES, Track
from harness.scoring.detectors import CONSTANT
from harness.scoring.leaderboard import Leaderboard, Row
from harness.tracks import TRACKS, Figure
from harness.views.words import NOTHING, percent, plural, rank_span, seconds, share, span

#: Follows a baseline's name, since dim text is lost in a pipe.
BASELINE_MARK = "*"


@dataclass(frozen=True)
class BoardColumn:
    """One column.

    Attributes:
        title: Its heading.
        cell: What it says of a row.
    """

    title: str
    cell: Callable[[Row], str]
#: What the marks beside names mean; the other marks are an audit's.
_REMARKS = {
    CONSTANT: "gave every image the same score, as one that flags everything does: AUROC .5, best F1 2p/(1+p) at prevalence p, "
              "below every detector that is better than chance.",
}
_AUDITED = "its served answers depended on earlier batches; `harness show NAME` says how often."


def shown_name(row: Row) -> str:
    """A row's name with its marks."""
    marks = (BASELINE_MARK if row.baseline else "") + (f" {row.mark}" if row.mark else "")
    return row.name + marks


_FIRST = (
    BoardColumn("#", lambda row: str(row.rank or NOTHING)),
    BoardColumn("ranks", lambda row: rank_span(row.rank_low, row.rank_high)),
    BoardColumn("name", shown_name),
    BoardColumn("team", lambda row: row.team),
    BoardColumn("score", lambda row: share(row.score)),
    BoardColumn("95%", lambda row: span(row.score_low, row.score_high)),
    BoardColumn("worst", lambda row: share(row.worst)),
    BoardColumn("against", lambda row: row.worst_opponent or NOTHING),
)
_LAST = (
    BoardColumn("cover", lambda row: percent(row.coverage)),
    BoardColumn("sec", lambda row: seconds(row.median_time_s)),
    BoardColumn("fails", lambda row: str(row.failures)),
    BoardColumn("raw", lambda row: NOTHING if row.raw is None else str(row.raw)),
)


def columns(track: Track, rows: Sequence[Row]) -> tuple[BoardColumn, ...]:
    """All columns of a track's table; its own figures stand among those that every table has, where there are any."""
    figures = [figure for figure in TRACKS[track].figures if figure.title and _known(rows, figure.name)]
    last = [column for column in _LAST if column.title != "raw" or any(row.raw is not None for row in rows)]
    return (*_FIRST, *map(_of_threat, own_threats(rows)), *map(_figure, figures), *last)


def own_threats(rows: Sequence[Row]) -> list[str]:
    """The threats that these entries have a score over each; none where there is one, which the score itself is over."""
    threats = list(dict.fromkeys(threat for row in rows for threat in row.by_threat or {}))
    return threats if len(threats) > 1 else []


def _of_threat(threat: str) -> BoardColumn:
    return BoardColumn(threat, lambda row: share((row.by_threat or {}).get(threat)))


def _known(rows: Sequence[Row], figure: str) -> bool:
    return any(row.figures.get(figure) is not None for row in rows)


def _figure(figure: Figure) -> BoardColumn:
    return BoardColumn(figure.title, lambda row: share(row.figures.get(figure.name)))


def heading(track: Track, rows: Sequence[Row]) -> str:
    """What a track's score is, and what its figures hang on that is the same of all."""
    shares = sorted({share(row.figures.get("prevalence")) for row in rows if _known((row,), "prevalence")})
    return f"score: {TRACKS[track].score}" + (f"; prevalence {' to '.join(shares[::max(1, len(shares) - 1)])}" if shares else "")


def shown_tracks(board: Leaderboard) -> dict[Track, tuple[Row, ...]]:
    """The tables to show: a kind of entry that 2017 did not have and that nobody submitted is shown only where it is asked for."""
    return {track: rows for track, rows in board.tracks.items()
            if rows or TRACKS[track].ranking is not None or len(board.tracks) == 1}


def tables(rows: Sequence[Row]) -> list[tuple[str, tuple[Row, ...]]]:
    """The tables of a track, each with its threat: shares under different threats do not compare. No threat where there is one."""
    threats = list(dict.fromkeys(row.threat for row in rows))
    if len(threats) < 2:  # noqa: PLR2004 - nothing to tell apart
        return [("", tuple(rows))]
    return [(threat or "", tuple(row for row in rows if row.threat == threat)) for threat in threats]


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
    marks = sorted({mark for row in rows for mark in row.mark.split()})
    lines += [f"{mark} {_REMARKS.get(mark, _AUDITED)}" for mark in marks]
    if runs.failed:
        lines.append(f"{plural(runs.failed, 'run')} failed; `harness show NAME` says why.")
    return lines
