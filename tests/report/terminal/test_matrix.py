"""The matrix as a heat map."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.style import Style

from harness.report.terminal.matrix import _HEAT, print_matrix
from harness.scoring.leaderboard import build_matrix


@pytest.mark.parametrize(("defenses", "pages"), [(1, 1), (5, 1), (12, 1), (20, 1), (21, 2), (110, 8)])
@pytest.mark.parametrize("name_length", [0, 40])
def test_it_fits_80_columns(results, screen, defenses: int, pages: int, name_length: int) -> None:
    matrix = build_matrix(results(defenses=defenses, name_length=name_length))
    lines = screen(lambda console: print_matrix(matrix, console))
    assert max(map(len, lines)) <= 80
    if pages == 1:
        assert not any(line.startswith("defenses 1-") for line in lines)
    elif name_length:
        assert len([line for line in lines if re.match(r"defenses \d+-\d+ of", line)]) == pages


def test_numbers_remain_without_colour_and_all_is_told_from_nearly_all(results, screen) -> None:
    matrix = build_matrix(results(defenses=20))
    lines = screen(lambda console: print_matrix(matrix, console))
    clean = next(line for line in lines if line.startswith("clean"))
    assert clean.split() == ["clean"] + ["**"] * 20
    wide = screen(lambda console: print_matrix(matrix, console), 120)
    assert next(line for line in wide if line.startswith("clean")).split() == ["clean"] + ["100"] * 20


def test_strong_attacks_come_first_within_their_track(results, screen) -> None:
    lines = screen(lambda console: print_matrix(build_matrix(results()), console))
    names = [line.split()[0] for line in lines if re.match(r"(targeted_)?attack_", line)]
    assert names == ["attack_5", "attack_4", "attack_3", "attack_2", "attack_1", "attack_0*",
                     "targeted_attack_2", "targeted_attack_1", "targeted_attack_0*"]


def test_one_attack_track_shows_its_own_figure(results, screen) -> None:
    lines = screen(lambda console: print_matrix(build_matrix(results(), "targeted_attack"), console, "targeted_attack"))
    assert "target class" in lines[0]
    assert not any(line.startswith(("attack_", "clean")) for line in lines)


def test_every_cell_brings_its_own_foreground_and_background() -> None:
    for style in map(Style.parse, _HEAT):
        # Fixed entries of the 256-colour table, not the 16 that a terminal's theme redefines.
        assert style.color.number in {16, 231}
        assert style.bgcolor.number >= 16


def test_a_side_without_entries(results, screen) -> None:
    assert "nothing submitted" in screen(lambda console: print_matrix(build_matrix(results(defenses=0)), console))[1]


def test_a_pair_of_which_nothing_was_left_is_told_from_one_that_is_to_come(results, screen) -> None:
    found = results(attacks=3, targeted=0, defenses=4)
    produced, run_done = found.produced.copy(), found.run_done.copy()
    produced[1:] = False
    run_done[2, 3] = False
    lines = screen(lambda console: print_matrix(build_matrix(replace(found, produced=produced, run_done=run_done)), console))
    cells = {line.split()[0]: sorted(line.split()[1:]) for line in lines if line.startswith("attack_")}
    assert cells["attack_1"] == ["."] * 4
    assert cells["attack_2"] == ["-", ".", ".", "."]
    assert not set(cells["attack_0*"]) & {".", "-"}
    assert "** 100 %, . no image made, - nothing yet, name* baseline. Strongest first." in lines
