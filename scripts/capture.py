#!/usr/bin/env python3
"""A leaderboard as a picture and as text, from any tournament that has been run.

    scripts/capture.py --config tournament.yaml

writes docs/img/leaderboard.svg and puts the same tables as text between the markers of README.md. What it shows is what
`harness leaderboard` prints: the same functions draw it.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from harness.config import load
from harness.report.terminal.console import THEME
from harness.report.terminal.leaderboard import print_leaderboard
from harness.scoring import View
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.tournament import Tournament

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- capture -->\n", "<!-- /capture -->"
SVG_WIDTH, TEXT_WIDTH = 100, 80


def main() -> None:
    """Draw the newest round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "tournament.yaml")
    parser.add_argument("--svg", type=Path, default=ROOT / "docs" / "img" / "leaderboard.svg")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    given = parser.parse_args()
    with Tournament(load(given.config), create=False) as tournament:
        board = load_leaderboards(tournament, tournament.dataset)[View.STANDARD]

    picture = Console(record=True, file=io.StringIO(), width=SVG_WIDTH, theme=THEME, force_terminal=True,
                      color_system="standard", highlight=False, markup=False, emoji=False)
    picture.print("$ harness leaderboard", style="bold")
    print_leaderboard(board, picture)
    given.svg.parent.mkdir(parents=True, exist_ok=True)
    # One fixed id: a picture of the same tables is the same file. No fonts from elsewhere: a README must not fetch any.
    svg = picture.export_svg(title="harness leaderboard", theme=DEFAULT_TERMINAL_THEME, unique_id="leaderboard")
    given.svg.write_text(re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")

    text = io.StringIO()
    print_leaderboard(board, Console(file=text, width=TEXT_WIDTH, theme=THEME, highlight=False, markup=False, emoji=False))
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    before, found, rest = given.readme.read_text(encoding="utf-8").partition(BEGIN)
    if found:
        given.readme.write_text(f"{before}{BEGIN}```\n$ harness leaderboard\n{lines}\n```\n{END}{rest.partition(END)[2]}",
                                encoding="utf-8")


if __name__ == "__main__":
    main()
