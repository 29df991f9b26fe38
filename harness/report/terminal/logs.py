"""``harness logs``: what runs printed, for a person or a program."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.views.logs import LoggedRun


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
