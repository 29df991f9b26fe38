"""`harness matrix`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option
from harness.tracks import DEFENSE, detects


@click.command(epilog="Example: harness matrix --track targeted_attack")
@click.option("--track", help="attack: its wrong labels; targeted_attack: its hits of the target class; "
                                "detector: areas under the ROC curve; else correct labels.")
@round_option
@format_option
@config_option
def command(track: str | None, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print every attack against every defense, in images; or against every detector, in areas under the ROC curve."""
    from harness.report.show import show_matrix  # noqa: PLC0415
    from harness.scoring.leaderboard import build_detector_matrix, build_matrix, parse_track  # noqa: PLC0415
    from harness.tournament.results import load_results  # noqa: PLC0415

    wanted = None if track is None else parse_track(track)
    with open_tournament(config_path) as tournament:
        results = load_results(tournament, tournament.dataset(), round_name)
    matrix = build_detector_matrix(results) if wanted and detects(wanted) else build_matrix(results, wanted)
    show_matrix(matrix, format_, wanted or DEFENSE.name)
