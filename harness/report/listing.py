"""The list of registered submissions, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.report.columns import Column, draw
from harness.report.console import make_console, table_box
from harness.report.writers import Sheet, to_csv, to_json, to_markdown

FIELDS = ("name", "version", "type", "team", "baseline", "state", "kind", "profile", "serves", "container", "entry_point",
          "digest", "source")


def print_submissions(records: Sequence[Mapping[str, object]], format_: str) -> str:
    """The list as text; a table goes to the terminal by itself and leaves nothing to print."""
    if format_ == "json":
        return to_json(list(records))
    if format_ != "table":
        sheet = Sheet("Submissions", FIELDS, tuple(tuple(record[name] for name in FIELDS) for record in records))
        return to_csv(sheet) if format_ == "csv" else to_markdown([sheet])
    console = make_console()
    console.print(draw(_columns(records), ["baseline" if r["baseline"] else "" for r in records], console.width,
                       table_box(console)))
    return ""


def _columns(records: Sequence[Mapping[str, object]]) -> list[Column]:
    def column(title: str, name: str, *, drop: int = 0, right: bool = False, cut: int | None = None) -> Column:
        cells = tuple(str(record[name])[:cut] for record in records)
        return Column(title, cells, justify="right" if right else "left", drop=drop, shrink_to=14 if name == "name" else None)

    return [column("name", "name"), column("version", "version", drop=2, right=True), column("type", "type"),
            column("team", "team", drop=5), column("state", "state", drop=1), column("profile", "profile", drop=4),
            column("container", "container", drop=6), column("digest", "digest", cut=12, drop=3)]
