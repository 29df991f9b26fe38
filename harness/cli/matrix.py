"""`harness matrix`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option
from harness.tracks import DEFENSE


@click.command(epilog="Example: harness matrix --track targeted_attack")
@click.option("--track", help="attack: its wrong labels; targeted_attack: its hits of the target class; else correct labels.")
@round_option
@format_option
@config_option
def command(track: str | None, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print every attack against every defense, in images."""
    from harness.report.show import show_matrix  # noqa: PLC0415
    from harness.scoring.leaderboard import build_matrix, parse_track  # noqa: PLC0415
    from harness.tournament.results import load_results  # noqa: PLC0415

    wanted = None if track is None else parse_track(track)
    with open_tournament(config_path) as tournament:
        results = load_results(tournament, tournament.dataset(), round_name)
    show_matrix(build_matrix(results, wanted), format_, wanted or DEFENSE.name)
