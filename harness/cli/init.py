"""`harness init`: write a commented tournament file."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import say
from harness.cli.values import Place


@click.command(epilog="Example: harness init --like nips2017 my_contest")
@click.argument("directory", type=Place(file_okay=False))
@click.option("--like", type=click.Choice(["digits", "photos", "nips2017"]), default="digits", show_default=True,
              help="Start from the default tournament, from photographs, or from the rules of the 2017 contest.")
def command(directory: Path, like: str) -> None:
    """Write a commented tournament file into DIRECTORY: every field with its value and meaning."""
    from harness.tournament.new_file import DATA_SET, create  # noqa: PLC0415

    path = create(directory, like)
    say(f"Wrote {path}. Next, in {directory}:")
    say(f"  {DATA_SET[like]}")
    say("  harness doctor")
    say("  harness run          # after putting submissions into submissions/, one directory or archive each")
