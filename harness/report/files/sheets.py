"""The tables for other programs: JSON, CSV and Markdown, without the screen's library; only Markdown rounds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.scoring.duel_scores import QUERY_FIGURES
from harness.scoring.leaderboard import DetectorMatrix, DuelMatrix, Leaderboard, Matrix, Row, number
from harness.tracks import TRACKS, Access, Threat, figure_names
from harness.untrusted_text import csv_cell, json_text, markdown_cell
from harness.views.leaderboard import own_threats, shown_tracks, tables
from harness.views.words import counts

Format = Literal["table", "json", "csv", "markdown"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv", "markdown")


@dataclass(frozen=True)
class Sheet:
    """A plain table: what a CSV file or a Markdown table holds."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def to_json(data: object) -> str:
    """Indented JSON; a number that is not one (NaN) is a bug of ours and refused."""
    return json_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str)) + "\n"


def to_csv(sheet: Sheet) -> str:
    """One sheet as CSV with a header; None is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([csv_cell(title) for title in sheet.columns])
    writer.writerows([csv_cell(_plain(value)) for value in row] for row in sheet.rows)
    return text.getvalue()


def to_markdown(sheets: Sequence[Sheet]) -> str:
    """Sheets as Markdown tables under their titles, numbers rounded for reading."""
    blocks = []
    for sheet in sheets:
        lines = [f"## {markdown_cell(sheet.title)}", ""] if sheet.title else []
        titles = [markdown_cell(title) for title in sheet.columns]
        numeric = [any(_is_number(row[at]) for row in sheet.rows) for at in range(len(sheet.columns))]
        lines += [_line(titles), _line(["---:" if right else "---" for right in numeric])]
        lines += [_line([_cell(value) for value in row]) for row in sheet.rows]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return markdown_cell(str(_plain(value)))


def _plain(value: object) -> object:
    if value is None:
        return ""
    return counts(value) if isinstance(value, dict) else value


#: Columns of the score over the attacks of one threat alone; there whatever threats a round has, so that files compare.
OF_THREATS = {f"score_{threat}": threat for threat in Threat}
#: Columns of the CSV for what rows have by access: the field of the row, and the access.
OF_ACCESS = {f"{column}_{access}": (field, access) for access in Access for column, field in {
    "robust": "robust", "robust_low": "robust_low", "robust_high": "robust_high", "score": "by_access"}.items()}
#: Columns that only the Markdown of a leaderboard leaves out, for width; `by_hardware` is there where it is all there is of times.
_WIDE = ("rank_low", "rank_high", "score_low", "score_high", "outcomes", "mark", "threat", "access", "by_hardware")


def leaderboard_sheet(board: Leaderboard) -> Sheet:
    """All tracks in one sheet, with the JSON's fields as columns."""
    fields = ("rank", "rank_low", "rank_high", "name", "team", "baseline", "score", "score_low", "score_high", "raw", "worst",
              "worst_opponent", "coverage", *figure_names(), *QUERY_FIGURES, "median_time_s", "outcomes", "mark",
              "threat", *OF_THREATS, "access", *OF_ACCESS, "by_hardware")
    rows = [(track, *({**asdict(row), **row.figures, **_by_threat(row), **_by_access(row),
                     "by_hardware": times_apart(row.by_hardware)}.get(field) for field in fields))
            for track, entries in board.tracks.items() for row in entries]
    return Sheet("leaderboard", ("track", *fields), tuple(rows))


def times_apart(times: Mapping[str, float | None] | None) -> str | None:
    """Median times on several kinds of hardware, in seconds; None where there are not several."""
    return "; ".join(f"{kind}={time!r}" for kind, time in times.items() if time is not None) if times else None


def _by_threat(row: Row) -> dict[str, float | None]:
    return {column: (row.by_threat or {}).get(threat) for column, threat in OF_THREATS.items()}


def _by_access(row: Row) -> dict[str, float | None]:
    return {column: (getattr(row, field) or {}).get(access) for column, (field, access) in OF_ACCESS.items()}


def leaderboard_markdown(board: Leaderboard) -> str:
    """One table a track, with the intervals in one column."""
    sheets = []
    whole = leaderboard_sheet(board)
    special = {*_WIDE, *OF_THREATS, *OF_ACCESS, *QUERY_FIGURES, *figure_names(), "track"}
    for track, (words, part) in ((track, table) for track, rows in shown_tracks(board).items() for table in tables(rows)):
        own = {*(figure.name for figure in TRACKS[track].figures), *(f"score_{threat}" for threat in own_threats(part))}
        own |= {name for name in QUERY_FIGURES if any(row.figures.get(name) is not None for row in part)}
        own |= {"by_hardware"} if all(row.median_time_s is None for row in part) and any(row.by_hardware for row in part) else set()
        accesses = {access for row in part for access in row.robust or {}}
        own |= {f"robust_{access}" for access in accesses} | {f"score_{access}" for access in accesses if len(accesses) > 1}
        keep = [at for at, name in enumerate(whole.columns) if name not in special or name in own]
        names, named = {row.name for row in part}, whole.columns.index("name")
        rows = [row for row in whole.rows if row[0] == track and row[named] in names]
        title = f"{track}, {words}" if words else track
        sheets.append(Sheet(
            f"{title} ({board.scoring})", (*(whole.columns[at] for at in keep), "95 % interval"),
            tuple((*(row[at] for at in keep), _interval(row[whole.columns.index("score_low")],
                                                        row[whole.columns.index("score_high")])) for row in rows),
        ))
    return to_markdown(sheets)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f}-{high:.3f}"


COUNTS = ("produced", "labelled", "correct", "wrong", "target_hit", "rejected")


def matrix_sheet(matrix: Matrix | DetectorMatrix) -> Sheet:
    """One row per pair, all counts or areas."""
    if isinstance(matrix, DetectorMatrix):
        return _areas(matrix)
    rows = []
    for a, attack in enumerate(matrix.attacks):
        for d, defense in enumerate(matrix.defenses):
            made = matrix.cells.produced[a, d] if isinstance(matrix, DuelMatrix) else matrix.produced[a]
            counts = (made, *(getattr(matrix.cells, name)[a, d] for name in COUNTS[1:]))
            shown = map(int, counts) if is_open(matrix, a, d) else [None] * len(counts)
            rows.append((attack.name, attack.type, defense.name, *shown))
    return Sheet("matrix", ("attack", "track", "defense", *COUNTS), tuple(rows))


def is_open(matrix: Matrix, attack: int, defense: int) -> bool:
    """Whether the two meet."""
    return not isinstance(matrix, DuelMatrix) or bool(matrix.open[attack, defense])


def _areas(matrix: DetectorMatrix) -> Sheet:
    rows = [(attack.name, attack.type, detector.name, int(matrix.changed[a]), number(matrix.auroc[a, t]),
             number(matrix.auroc_fooling[a, t]))
            for a, attack in enumerate(matrix.attacks) for t, detector in enumerate(matrix.detectors)]
    return Sheet("detector_pairs", ("attack", "track", "detector", "changed", "auroc", "auroc_fooling"), tuple(rows))


def matrix_markdown(matrix: Matrix | DetectorMatrix) -> str:
    """Correct labels of each attack (rows) and defense (columns), or areas of each attack and detector."""
    if isinstance(matrix, DetectorMatrix):
        areas = [(attack.name, *map(number, matrix.auroc[a].tolist()), int(matrix.changed[a]))
                 for a, attack in enumerate(matrix.attacks)]
        return to_markdown([Sheet("AUROC", ("attack", *(entry.name for entry in matrix.detectors), "changed"), tuple(areas))])
    rows = [
        (attack.name, *(int(count) if is_open(matrix, a, d) else None for d, count in enumerate(matrix.cells.correct[a])),
         int(matrix.produced[a]))
        for a, attack in enumerate(matrix.attacks)
    ]
    return to_markdown([Sheet("correct labels", ("attack", *(d.name for d in matrix.defenses), "produced"), tuple(rows))])
