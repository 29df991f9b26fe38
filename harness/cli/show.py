"""`harness show`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option


@click.command(epilog="Example: harness show my_defense")
@click.argument("name")
@round_option
@format_option
@config_option
def command(name: str, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print everything about one submission: opponents, outcomes and their reasons, times, how to repeat a failed run."""
    from harness.report.show import show_submission  # noqa: PLC0415
    from harness.tournament.results import load_results  # noqa: PLC0415
    from harness.views.submission_reader import SubmissionReader  # noqa: PLC0415

    with open_tournament(config_path) as tournament, tournament.read() as transaction:
        reader = SubmissionReader(tournament, transaction, round_name, config_path)
        reader.member(name)
        results = load_results(tournament, tournament.dataset(), round_name)
        view = reader.standing(name, results)
    show_submission(view, format_)
