"""`harness logs`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option, say
from harness.cli.values import MANY, Whole


@click.command(epilog="Example: harness logs my_defense --batch 3 --against pgd")
@click.argument("name")
@click.option("--batch", type=Whole(0, MANY), help="Only runs on this batch.")
@click.option("--against", metavar="ATTACK", help="Only a defense's runs against this attack, or `clean`.")
@round_option
@format_option
@config_option
def command(name: str, batch: int | None, against: str | None, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print what a submission's runs wrote to stdout and stderr: by default those that failed."""
    from harness.report.show import show_logs  # noqa: PLC0415
    from harness.views.submission_reader import SubmissionReader  # noqa: PLC0415

    with open_tournament(config_path) as tournament, tournament.read() as transaction:
        found = SubmissionReader(tournament, transaction, round_name).logs(name, batch, against)
    if not found:
        say(f"No such run of {name} has been recorded.")
    show_logs(found, format_)
