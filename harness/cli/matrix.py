"""`harness matrix`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, round_option
from harness.tracks import DEFENSE, Access, detects


@click.command(epilog="Example: harness matrix --track targeted_attack")
@click.option("--track", help="attack: its wrong labels; targeted_attack: its hits of the target class; "
                                "detector: areas under the ROC curve; else correct labels.")
@click.option("--access", help="grey_box, white_box or query: the duels of such attacks; by default what all defenses meet.")
@round_option
@format_option
@config_option
def command(track: str | None, access: str | None, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print every attack against every defense, in images; or against every detector, in areas under the ROC curve."""
    from harness.errors import UnknownNameError  # noqa: PLC0415
    from harness.report.show import show_matrix  # noqa: PLC0415
    from harness.scoring.leaderboard import (  # noqa: PLC0415
        build_detector_matrix,
        build_duel_matrix,
        build_matrix,
        parse_access,
        parse_track,
    )
    from harness.tournament.results import load_results  # noqa: PLC0415

    wanted = None if track is None else parse_track(track)
    known = Access.BLACK_BOX if access is None else parse_access(access)
    if wanted and detects(wanted) and known is not Access.BLACK_BOX:
        raise UnknownNameError("Detectors are not run on images made in duels.", "Leave out --access, or name another track.")
    with open_tournament(config_path) as tournament:
        results = load_results(tournament, tournament.dataset(), round_name)
    if wanted and detects(wanted):
        show_matrix(build_detector_matrix(results), format_, wanted)
    else:
        matrix = build_matrix(results, wanted) if known is Access.BLACK_BOX else build_duel_matrix(results, known, wanted)
        show_matrix(matrix, format_, wanted or DEFENSE.name)
