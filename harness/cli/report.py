"""`harness report`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, open_tournament, round_option, say
from harness.cli.values import Place


@click.command(epilog="Example: harness report --out report.html")
@click.option("--out", type=Place(), default=Path("report.html"), show_default=True, help="The file to write.")
@round_option
@config_option
def command(out: Path, round_name: str | None, config_path: Path) -> None:
    """Write a round as one HTML file: tables, charts, images, and every entry with its failures.

    It opens in any browser without a server, and loads nothing from anywhere.
    """
    from harness.files import probe  # noqa: PLC0415
    from harness.report.html.page import write_report  # noqa: PLC0415
    from harness.views.report_reader import read_report  # noqa: PLC0415

    probe(out)
    with open_tournament(config_path) as tournament:
        view = read_report(tournament, round_name, config_path)
    write_report(view, out)
    say(f"Written to {out}.")
