"""``harness doctor``: what works on this host, what does not, what to do."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import config_option, format_option

if TYPE_CHECKING:
    from harness.doctor import Check

_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command("doctor", epilog="Example: harness doctor --config tournament.yaml --clean")
@config_option
@format_option
@click.option("--clean", is_flag=True, help="Remove leftovers of a killed harness, and this tournament's code images.")
@click.option("--all", "everything", is_flag=True, help="With --clean: the code images of every tournament on this engine.")
def command(config_path: Path, format_: str, *, clean: bool, everything: bool) -> None:
    """Check this host: engine, limits, GPUs, disk, clocks, images. With workers.engine: ray, every machine as well.

    Exits 2 where something that the tournament asks for is missing.
    """
    from harness import doctor as room  # noqa: PLC0415 - it imports the Docker client, a quarter of a second
    from harness.config import TournamentConfig, load  # noqa: PLC0415 - pydantic: --help does not need it

    # Without a tournament file the defaults are what is asked for: a doctor is called before there is one.
    default = config_path == Path("tournament.yaml") and not config_path.exists()
    config = TournamentConfig(name="none", dataset=Path("dataset")) if default else load(config_path)
    checks = room.examine(config, clean=clean, everything=everything)
    _show(checks, format_)
    if not room.usable(checks):
        sys.exit(2)


def _show(checks: Sequence[Check], style: str) -> None:
    from harness.report.files.sheets import Sheet, to_csv, to_json, to_markdown  # noqa: PLC0415

    rows = [dataclasses.asdict(check) for check in checks]
    names = ("name", "state", "what", "next_step")
    cells = tuple(tuple(row[name] for name in names) for row in rows)
    if style == "json":
        click.echo(to_json({"usable": all(check.state != "fail" for check in checks), "checks": rows}), nl=False)
    elif style == "csv":
        click.echo(to_csv(Sheet("", names, cells)), nl=False)
    elif style == "markdown":
        click.echo(to_markdown([Sheet("", ("check", "state", "found", "what to do"), cells)]), nl=False)
    else:
        _table(checks)


def _table(checks: Sequence[Check]) -> None:
    from rich.table import Table  # noqa: PLC0415 - only the table needs rich
    from rich.text import Text  # noqa: PLC0415

    from harness.report.terminal.console import make_console  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="head")
    for heading in ("check", "state", "found, and what to do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        found = Text(check.what)
        if check.next_step and check.state != "ok":
            found.append(f"\n{check.next_step}", style="italic")
        table.add_row(check.name, Text(check.state, style=_STYLE[check.state]), found)
    make_console().print(table)
