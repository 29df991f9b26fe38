"""`harness status`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option


@click.command(epilog="Example: harness status --format json")
@round_option
@format_option
@config_option
def command(round_name: str | None, format_: str, config_path: Path) -> None:
    """Show what is done, running, waiting and failed, and the time left."""
    from harness.report.show import show_status  # noqa: PLC0415
    from harness.views.status_reader import StatusReader  # noqa: PLC0415

    with open_tournament(config_path) as tournament, tournament.read() as transaction:
        view = StatusReader(tournament, transaction, round_name).status()
    show_status(view, format_)
