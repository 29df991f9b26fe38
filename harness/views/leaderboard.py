"""The leaderboard as it is shown: the columns of a track's table, each row's cells in words, and the lines below the tables.

Every output uses these, so that they agree; how wide a column is, and which are dropped on a narrow screen, is up to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from harness.scoring import RESAMPLES, Track
from harness.scoring.detectors import CONSTANT
from harness.scoring.leaderboard import Leaderboard, Row
from harness.tracks import TRACKS, Access, Figure
from harness.views.words import NOTHING, percent, plural, rank_span, seconds, share, span

#: Follows a baseline's name, because dim text is lost in a pipe.
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
_SECONDS = BoardColumn("sec", lambda row: seconds(row.median_time_s))
#: Kinds of hardware that have a column each, those with the most runs; `show` has all.
_MOST_COLUMNS = 4
_LAST = (
    BoardColumn("cover", lambda row: percent(row.coverage)),
    _SECONDS,
    BoardColumn("fails", lambda row: str(row.failures)),
    BoardColumn("raw", lambda row: NOTHING if row.raw is None else str(row.raw)),
)
_ROBUST = BoardColumn("robust", lambda row: share((row.robust or {}).get(Access.BLACK_BOX)))
#: Of attacks by queries, by the names of their figures.
_QUERIES = {
    "median_queries": BoardColumn("queries", lambda row: median_words(row.figures.get("median_queries"))),
    "median_distance": BoardColumn("distance", lambda row: median_words(row.figures.get("median_distance"))),
}


def median_words(value: float | None) -> str:
    """A median of whole numbers, which may be a half."""
    return NOTHING if value is None else f"{value:g}"


def columns(track: Track, rows: Sequence[Row]) -> tuple[BoardColumn, ...]:
    """All columns of a track's table; its own figures stand among those that every table has, where there are any."""
    figures = [figure for figure in TRACKS[track].figures if figure.title and _known(rows, figure.name)]
    last = [column for each in _LAST for column in (_by_hardware(rows) if each.title == "sec" else [each])
            if column.title != "raw" or any(row.raw is not None for row in rows)]
    asked = [column for name, column in _QUERIES.items() if _known(rows, name)]
    held = [_ROBUST] if any((row.robust or {}).get(Access.BLACK_BOX) is not None for row in rows) else []
    return (*_FIRST, *map(_of_threat, own_threats(rows)), *held, *asked, *map(_figure, figures), *last)


def _by_hardware(rows: Sequence[Row]) -> list[BoardColumn]:
    """The times: one column, or one for each kind of hardware where none measured every entry."""
    kinds = _apart(rows)
    return [BoardColumn(f"sec {letter}", _time_on(kind)) for letter, kind in kinds.items()] or [_SECONDS]


def _apart(rows: Sequence[Row]) -> dict[str, str]:
    """The kinds of hardware that have a column each, by letter."""
    kinds = next((list(row.by_hardware) for row in rows if row.by_hardware), [])
    known = any(time is not None for row in rows for time in (row.by_hardware or {}).values())
    if not known or any(row.median_time_s is not None for row in rows):
        return {}
    return {chr(ord("a") + place): kind for place, kind in enumerate(kinds[:_MOST_COLUMNS])}


def _time_on(kind: str) -> Callable[[Row], str]:
    return lambda row: seconds((row.by_hardware or {}).get(kind))


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
    """What a track's score is, and what its figures depend on that is the same for all."""
    shares = sorted({share(row.figures.get("prevalence")) for row in rows if _known((row,), "prevalence")})
    score = TRACKS[track].score
    if any(row.access not in {None, Access.BLACK_BOX} for row in rows):
        score += ", mean over the defenses open to it"
    return f"score: {score}" + (f"; prevalence {' to '.join(shares[::max(1, len(shares) - 1)])}" if shares else "")


def shown_tracks(board: Leaderboard) -> dict[Track, tuple[Row, ...]]:
    """The tables to show: a track that 2017 did not have and that has no entries is shown only on request."""
    return {track: rows for track, rows in board.tracks.items()
            if rows or TRACKS[track].ranking is not None or len(board.tracks) == 1}


def tables(rows: Sequence[Row]) -> list[tuple[str, tuple[Row, ...]]]:
    """The tables of a track, each with what its attacks may know and change: shares under different ones do not compare.

    What is the same for all is not repeated, nor is black box where there is nothing else.
    """
    groups = list(dict.fromkeys((row.access, row.threat) for row in rows))
    threats = len({threat for _, threat in groups}) > 1
    duels = any(access not in {None, Access.BLACK_BOX} for access, _ in groups)
    return [(", ".join([*([access_words(access)] if access and duels else []), *([threat] if threat and threats else [])]),
             tuple(row for row in rows if (row.access, row.threat) == (access, threat))) for access, threat in groups] or [("", ())]


def access_words(access: str) -> str:
    """``white box``."""
    return access.replace("_", " ")


def robust_columns(rows: Sequence[Row]) -> tuple[BoardColumn, ...]:
    """A table of defenses under each access: robust accuracy and the mean. None in a round without duels, whose columns say it."""
    accesses = list(dict.fromkeys(access for row in rows for access in row.robust or {}))
    if not set(accesses) - {Access.BLACK_BOX}:
        return ()
    name = BoardColumn("name", shown_name)
    return (name, *(column for access in accesses for column in _of_access(access)))


def _of_access(access: str) -> tuple[BoardColumn, ...]:
    return (BoardColumn(access_words(access), lambda row: share((row.robust or {}).get(access))),
            BoardColumn("95%", lambda row: span((row.robust_low or {}).get(access), (row.robust_high or {}).get(access))),
            BoardColumn("mean", lambda row: share((row.by_access or {}).get(access))))


def _times(rows: Sequence[Row]) -> list[str]:
    """What the times are, where there are any."""
    kinds = next((list(row.by_hardware) for row in rows if row.by_hardware), [])
    if not kinds:
        return ["sec: median per batch."] if any(row.rank_low is not None for row in rows) else []
    if apart := _apart(rows):
        on = "; ".join(f"{letter}: {kind}" for letter, kind in apart.items())
        return [f"sec: median per batch on different hardware, whose times do not compare ({on})."]
    return [f"sec: median per batch on {kinds[0]}, which ran every entry; `harness show NAME` has the times on other hardware."]


def footnotes(board: Leaderboard, shown: Collection[str] | None = None) -> list[str]:
    """The explanations below the tables; where ``shown`` names the columns that had room, only of these."""
    runs = board.runs
    state = "complete" if runs.done == runs.total else "the scores cover what is done so far"
    state = state if runs.total else "there is no entry to run"
    rows = [row for track in board.tracks.values() for row in track]
    lines = [
        f"{board.tournament} / {board.round}, {board.scoring} scoring over {plural(board.images, 'image')}.",
        f"{runs.done:,} of {plural(runs.total, 'run')} done, {state}.",
    ]
    if any(row.rank_low is not None for row in rows):
        lines.append(f"95%: bootstrap over images, {RESAMPLES:,} resamples; ranks hold for all at once.")
    lines += _times(rows)
    if any(row.robust for row in rows) and (shown is None or "robust" in shown):
        lines.append("robust: labelled correctly when clean and against every attack.")
    if any(_known((row,), name) for row in rows for name in _QUERIES):
        lines.append("queries, distance: medians; an image not earned counts as the budget, and as its distance to mid-grey.")
    if any(row.baseline for row in rows):
        lines.append(f"{BASELINE_MARK} baseline.")
    marks = sorted({mark for row in rows for mark in row.mark.split()})
    lines += [f"{mark} {_REMARKS.get(mark, _AUDITED)}" for mark in marks]
    if runs.failed:
        lines.append(f"{plural(runs.failed, 'run')} failed; `harness show NAME` says why.")
    return lines
