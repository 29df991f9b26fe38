"""`harness submissions`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, say


@click.command(epilog="Example: harness submissions --format json")
@click.option("--all", "everything", is_flag=True, help="Also versions that were superseded or withdrawn.")
@click.option("--withdraw", metavar="NAME", help="Take this one out of the tournament; its results are kept.")
@format_option
@config_option
def command(everything: bool, withdraw: str | None, format_: str, config_path: Path) -> None:
    """List the submissions, with state and digest."""
    from harness.report.show import show_submissions  # noqa: PLC0415
    from harness.store import submissions  # noqa: PLC0415
    from harness.views.submissions import FIELDS  # noqa: PLC0415

    with open_tournament(config_path) as tournament:
        if withdraw is not None:
            name = tournament.withdraw(withdraw)
            say(f"{name} is withdrawn. Remove it from `submissions:` in the tournament file too, or the next run takes it in.")
        with tournament.read() as transaction:
            found = submissions.every(transaction) if everything else submissions.active(transaction)
    rows = sorted(found, key=lambda row: (row.type, row.id))
    records = [{name: getattr(row, name) for name in FIELDS} for row in rows]
    show_submissions(records, format_)
