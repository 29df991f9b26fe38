"""`harness export`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import config_option, open_tournament, round_option, say, tell
from harness.cli.values import Place


@click.command(epilog="Example: harness export results/")
@click.argument("directory", type=Place(file_okay=False))
@round_option
@config_option
def command(directory: Path, round_name: str | None, config_path: Path) -> None:
    """Write the 2017 CSV files to DIRECTORY/2017, and everything as CSV and Parquet to DIRECTORY."""
    from harness.files import probe  # noqa: PLC0415
    from harness.report.files.export import export_2017, export_all  # noqa: PLC0415
    from harness.tournament.results import load_results  # noqa: PLC0415

    for place in (directory, directory / "2017"):
        probe(place / "entries.csv")
    with open_tournament(config_path) as tournament:
        results = load_results(tournament, tournament.dataset(), round_name)
    if results.runs.done < results.runs.total:
        say(f"The round {results.round} is not finished: {results.runs.done} of {results.runs.total} runs are done, and the files "
            "hold their results. `harness run` resumes.")
    paths, notes = export_all(results, directory)
    for path in (*paths, *export_2017(results, directory / "2017")):
        tell(str(path))
    for note in notes:
        say(note)
