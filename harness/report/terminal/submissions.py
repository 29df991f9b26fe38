"""The list of registered submissions on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from harness.report.terminal.columns import Column, draw
from harness.report.terminal.console import table_box


def print_submissions(records: Sequence[Mapping[str, object]], console: Console) -> None:
    """Print one line each."""
    styles = ["baseline" if record["baseline"] else "" for record in records]
    console.print(draw(_columns(records), styles, console.width, table_box(console)))


def _columns(records: Sequence[Mapping[str, object]]) -> list[Column]:
    def column(title: str, name: str, *, drop: int = 0, right: bool = False, cut: int | None = None) -> Column:
        cells = tuple(str(record[name])[:cut] for record in records)
        return Column(title, cells, justify="right" if right else "left", drop=drop, shrink_to=14 if name == "name" else None)

    return [column("name", "name"), column("version", "version", drop=2, right=True), column("type", "type"),
            column("team", "team", drop=5), column("state", "state", drop=1), column("profile", "profile", drop=4),
            column("container", "container", drop=6), column("digest", "digest", cut=12, drop=3)]
