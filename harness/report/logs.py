"""``harness logs``: what runs printed, for a person or a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from harness.report.writers import Sheet


@dataclass(frozen=True)
class LoggedRun:
    """What one attempt of a run printed: the last 64 KiB of each stream, control characters removed.

    Attributes:
        against: The attack whose output a defense was run on (``clean`` for the clean images), None for an attack.
    """

    batch: int
    against: str | None
    outcome: str
    attempt: int
    stdout: str
    stderr: str


def logs_sheet(runs: Sequence[LoggedRun]) -> Sheet:
    """One row per attempt."""
    fields = tuple(LoggedRun.__dataclass_fields__)
    return Sheet("logs", fields, tuple(tuple(getattr(run, name) for name in fields) for run in runs))


def print_logs(runs: Sequence[LoggedRun], console: Console) -> None:
    """Print the streams as they are under a line that says whose they are."""
    for run in runs:
        against = f" against {run.against}" if run.against else ""
        again = f", attempt {run.attempt}" if run.attempt > 1 else ""
        console.print(Text.assemble((f"batch {run.batch}{against}{again}: ", "head"),
                                    (run.outcome, "good" if run.outcome == "ok" else "bad")), soft_wrap=True)
        for name, text in (("stdout", run.stdout), ("stderr", run.stderr)):
            if text:
                console.print(Text(f"--- {name}", "quiet"))
                console.print(Text(text.rstrip("\n")), soft_wrap=True)
        if not run.stdout and not run.stderr:
            console.print(Text("nothing printed", "quiet"))
        console.print()
