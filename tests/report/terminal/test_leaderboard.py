"""The leaderboard on terminals of any width, dark or light, and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.report.terminal.columns import GAP, Column, fit
from harness.report.terminal.console import THEME, make_console
from harness.report.terminal.leaderboard import print_leaderboard, track_columns
from harness.scoring import RunCounts
from harness.scoring.leaderboard import build_leaderboard
from harness.views.leaderboard import footnotes


def tables(lines: list[str]) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize("width", [80, 90, 100, 130, 200])
@pytest.mark.parametrize("name_length", [0, 26, 64])
def test_it_fits_and_loses_no_name(results, screen, width: int, name_length: int) -> None:
    board = build_leaderboard(results(name_length=name_length), resamples=30)
    lines = screen(lambda console: print_leaderboard(board, console), width)
    assert max(map(len, lines)) <= width
    # A folded name goes on in the next line, so compare without blanks and line ends.
    shown = re.sub(r"\s", "", "".join(line[:width] for line in lines))
    for row in board.tracks["attack"]:
        head = row.name[:16]
        assert head in shown
    if width >= 100 and name_length == 26:
        assert all(row.name in tables(lines) for row in board.tracks["attack"])


def test_columns_come_back_as_the_terminal_grows(results) -> None:
    rows = build_leaderboard(results(name_length=26), resamples=30).tracks["defense"]
    kept = [len(fit(track_columns("defense", rows), width)) for width in range(60, 220, 10)]
    assert kept == sorted(kept)
    assert kept[-1] == len(track_columns("defense", rows))


def test_columns_leave_in_their_order_and_empty_ones_first() -> None:
    columns = [Column("keep", ("1234567890",)), Column("second", ("12345678",), drop=1), Column("first", ("12345678",), drop=2),
               Column("empty", ("",), drop=3)]
    assert [[c.title for c, _ in fit(columns, width)] for width in (100, 20, 12)] == [
        ["keep", "second", "first"], ["keep", "second"], ["keep"]]
    assert sum(wide + GAP for _, wide in fit(columns, 20)) - GAP <= 20


def test_baselines_are_marked_without_colour_too(results, screen) -> None:
    lines = screen(lambda console: print_leaderboard(build_leaderboard(results(), resamples=0), console))
    assert any("attack_0* " in line for line in lines)
    assert "* baseline." in lines


def test_a_pipe_gets_text_only(results) -> None:
    file = io.StringIO()
    print_leaderboard(build_leaderboard(results(), resamples=20), make_console(file, width=80))
    assert "\x1b" not in file.getvalue()
    assert "─" not in file.getvalue()


def test_no_color_leaves_no_colour(results, screen, monkeypatch) -> None:
    def draw(console) -> None:
        print_leaderboard(build_leaderboard(results(), resamples=0), console)

    assert "\x1b[1;32m" in tables(screen(draw, terminal=True))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", tables(screen(draw, terminal=True)))


def test_only_colours_that_hold_on_a_light_background() -> None:
    used = {THEME.styles[name].color.name for name in THEME.styles if THEME.styles[name].color is not None}
    assert used <= {"green", "red", "blue", "cyan", "magenta"}
    assert all(style.bgcolor is None for style in THEME.styles.values())


def test_what_is_not_there_yet_is_said(results, screen) -> None:
    made = results(targeted=0)
    begun = replace(made, attack_done=np.zeros_like(made.attack_done), run_done=np.zeros_like(made.run_done))
    lines = screen(lambda console: print_leaderboard(build_leaderboard(begun, resamples=20), console))
    assert "  none submitted" in lines
    assert any(re.match(r"-\s+-? *attack_1", line) for line in lines)


def test_a_board_of_no_runs_is_not_complete(results) -> None:
    board = build_leaderboard(results(), resamples=0)
    states = [footnotes(replace(board, runs=RunCounts(done, total)))[1] for done, total in ((0, 0), (1, 2), (2, 2))]
    assert ["complete" in state for state in states] == [False, False, True]
