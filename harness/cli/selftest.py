"""`harness selftest`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

import click

from harness.cli.common import format_option, say, tell
from harness.cli.values import A_WEEK_S, MOST_SLOTS, Seconds, Whole, label
from harness.ending import held
from harness.untrusted_text import plain

if TYPE_CHECKING:
    from harness.selftest.row import Row
    from harness.selftest.run import Findings


@click.command(epilog="Example: harness selftest --sandbox docker --only fork-bomb")
@click.option("--sandbox", type=click.Choice(["docker", "process"]), default="docker", show_default=True,
              help="Which sandbox to test; the process sandbox covers only some rows.")
@click.option("--only", multiple=True, metavar="ROW", help="Only this row (repeatable).")
@click.option("--runtime", callback=label, help="Docker runtime, such as runsc; the engine's default otherwise.")
@click.option("--slots", type=Whole(1, MOST_SLOTS), help="Concurrent runs; two per core by default.")
@click.option("--time-limit", type=Seconds(1, A_WEEK_S),
              help="Time limit in seconds of runs that must be killed at it, 6 by default; all others get 5 times as long.")
@format_option
def command(sandbox: str, only: tuple[str, ...], runtime: str | None, slots: int | None, time_limit: float | None,
            format_: str) -> int:
    """Run the hostile corpus on this host, in one tournament beside honest entries; exit code 1 on any difference."""
    from harness.selftest.run import TIME_LIMIT_S, examine  # noqa: PLC0415
    from harness.tournament.choose_sandbox import choose_sandbox  # noqa: PLC0415 - the Docker client, pydantic, SQLAlchemy

    rows = _rows(sandbox, only)
    chosen, warning = choose_sandbox(cast("Literal['docker', 'process']", sandbox), runtime)
    if warning:
        say(f"harness: {warning}")
    say(f"Running {len(rows)} hostile rows together with honest entries ...")
    with held():
        findings = examine(rows, chosen, time_limit_s=time_limit or TIME_LIMIT_S, slots=slots, told=_progress)
    _tell(findings, format_)
    return 0 if findings.passed else 1


def _rows(sandbox: str, only: Sequence[str]) -> list[Row]:
    from harness.errors import UnknownNameError  # noqa: PLC0415
    from harness.selftest.table import ROWS  # noqa: PLC0415

    known = {row.name: row for row in ROWS if sandbox == "docker" or row.process}
    for name in only:
        if name not in known:
            problem = f"There is no row {name!r} for the {sandbox} sandbox."
            raise UnknownNameError(problem, "docs/threat-model.md names every row.")
    return [known[name] for name in only] if only else list(known.values())


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K  {plain(line, 100)}", nl=False, err=True)


def _tell(findings: Findings, format_: str) -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if format_ == "table":
        _table(findings)
        return
    from harness.report.files.sheets import Sheet, to_csv, to_json, to_markdown  # noqa: PLC0415

    if format_ == "json":
        rows = [{"row": verdict.row.name, "tries": verdict.row.tries, "outcome": verdict.got, "expected": verdict.row.expected,
                 "passed": verdict.passed, "problems": list(verdict.problems)} for verdict in findings.verdicts]
        click.echo(to_json({"passed": findings.passed, "rows": rows, "scores": list(findings.scores),
                            "host": list(findings.host), "notes": list(findings.notes)}), nl=False)
        return
    # "no" in words: Markdown leaves the cell of a False empty, and it is the one that a reader looks for.
    cells = [(verdict.row.name, verdict.row.tries, verdict.got, verdict.row.expected, "yes" if verdict.passed else "no",
              "; ".join(verdict.problems)) for verdict in findings.verdicts]
    sheet = Sheet("", ("row", "tries", "outcome", "expected", "passed", "problems"), tuple(cells))
    click.echo(to_csv(sheet) if format_ == "csv" else to_markdown([sheet]), nl=False)
    # One table has no room for what is no row; the exit code says it too.
    for line in (*findings.scores, *findings.host, *findings.notes):
        say(line)


def _table(findings: Findings) -> None:
    from rich.table import Table  # noqa: PLC0415 - only the table needs rich
    from rich.text import Text  # noqa: PLC0415

    from harness.report.terminal.console import make_console  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="head")
    for heading in ("row", "outcome", "expected", ""):
        table.add_column(heading, overflow="fold")
    for verdict in findings.verdicts:
        mark = Text("pass", style="green") if verdict.passed else Text("FAIL", style="bold red")
        table.add_row(verdict.row.name, verdict.got, verdict.row.expected, mark)
        for problem in verdict.problems:
            table.add_row("", Text(problem, style="italic"), "", "")
    make_console().print(table)
    passed = sum(verdict.passed for verdict in findings.verdicts)
    tell(f"{passed} of {len(findings.verdicts)} rows as expected.")
    compared = {"The honest entries' verdicts with and without the hostile ones": findings.scores,
                "The host before and after": findings.host}
    for what, problems in compared.items():
        tell(f"{what}: {'equal' if not problems else 'DIFFERENT'}.")
        for problem in problems:
            tell(f"  {problem}")
    for note in findings.notes:
        tell(note)
