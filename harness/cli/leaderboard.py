"""`harness leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, format_option, open_tournament, read_config, round_option
from harness.tracks import TRACKS


@click.command(epilog="Example: harness leaderboard --track defense --scoring nips2017 --format json")
@click.option("--track", help=f"{', '.join(TRACKS)}; all of them by default.")
@click.option("--scoring", default="standard", show_default=True, help="standard, nips2017 or toolkit.")
@round_option
@format_option
@config_option
def command(track: str | None, scoring: str, round_name: str | None, format_: str, config_path: Path) -> None:
    """Print a table for each track: scores with their uncertainty, worst opponents, coverage, times."""
    from dataclasses import replace  # noqa: PLC0415

    from harness.report.show import show_leaderboard  # noqa: PLC0415
    from harness.scoring.leaderboard import parse_track, parse_view  # noqa: PLC0415
    from harness.tournament.leaderboard_cache import kept_leaderboard, load_leaderboards  # noqa: PLC0415

    view, chosen = parse_view(scoring), None if track is None else parse_track(track)
    board = kept_leaderboard(read_config(config_path), view, round_name)
    if board is None:
        with open_tournament(config_path) as tournament:
            board = load_leaderboards(tournament, tournament.dataset, (view,), round_name)[view]
    if chosen is not None:
        board = replace(board, tracks={chosen: board.tracks[chosen]})
    show_leaderboard(board, format_)
