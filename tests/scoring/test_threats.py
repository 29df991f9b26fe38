"""Attacks of several threats: who is ranked with whom, and a defense's score over each."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from harness.report.files.sheets import leaderboard_markdown, leaderboard_sheet, to_csv
from harness.report.terminal.console import make_console
from harness.report.terminal.leaderboard import print_leaderboard
from harness.scoring import Entry, View
from harness.scoring.leaderboard import Row, build_leaderboard
from harness.scoring.results import Results, complete
from harness.scoring.verdicts import CORRECT, LABELLED
from harness.tracks import Threat

IMAGES = 40
#: Of each attack its threat, and of how many images the first and the second defense get right.
ATTACKS = {"far": (Threat.L2, (10, 30)), "near": (Threat.LINF, (40, 40)), "hard": (Threat.LINF, (4, 20)),
           "any": (Threat.L2, (0, 0))}


def entry(name: str, track: str, order: int, threat: Threat = Threat.LINF) -> Entry:
    return Entry(name, "", track, baseline=False, order=order, digest=name, threat=threat)


def results(names=tuple(ATTACKS)) -> Results:
    codes = np.full((len(names), 2, IMAGES), LABELLED, np.uint8)
    for attack, name in enumerate(names):
        for defense, right in enumerate(ATTACKS[name][1]):
            codes[attack, defense, :right] |= CORRECT
    truth = np.zeros(IMAGES, np.int32)
    return complete(
        tuple(entry(name, "attack", order, ATTACKS[name][0]) for order, name in enumerate(names)),
        tuple(entry(name, "defense", 9) for name in ("one", "two")), truth=truth, target=truth + 1,
        produced=np.ones((len(names), IMAGES), bool), codes=codes, clean_codes=np.full((2, IMAGES), LABELLED | CORRECT, np.uint8))


@pytest.mark.parametrize("view", list(View))
def test_attacks_are_ranked_among_those_of_their_threat(view) -> None:
    board = build_leaderboard(results(), view, resamples=50)
    assert [(row.name, row.threat, row.rank) for row in board.tracks["attack"]] == [
        ("hard", "linf", 1), ("near", "linf", 2), ("any", "l2", 1), ("far", "l2", 2)]
    for threat in ("linf", "l2"):
        alone = build_leaderboard(results([name for name in ATTACKS if ATTACKS[name][0] == threat]), view, resamples=50)
        together = tuple(row for row in board.tracks["attack"] if row.threat == threat)
        assert together == alone.tracks["attack"]


def test_a_defense_has_one_score_over_all_and_one_for_each_threat() -> None:
    board = build_leaderboard(results(), resamples=0)
    rows = {row.name: row for row in board.tracks["defense"]}
    assert rows["one"].score == (10 + 40 + 4) / 160
    assert rows["one"].by_threat == {"linf": 44 / 80, "l2": 10 / 80}
    assert rows["two"].by_threat == {"linf": 60 / 80, "l2": 30 / 80}
    data = board.to_json()["tracks"]
    assert [row["threat"] for row in data["attack"]] == ["linf", "linf", "l2", "l2"]
    assert "by_threat" not in data["attack"][0]
    assert "threat" not in data["defense"][0]
    assert [Row.from_json(row) for rows in data.values() for row in rows] == [row for rows in board.tracks.values() for row in rows]


def test_tables_are_told_apart_where_there_are_several(capsys) -> None:
    def printed(names=tuple(ATTACKS)) -> tuple[str, str, str]:
        board = build_leaderboard(results(names), resamples=0)
        print_leaderboard(board, make_console())
        return capsys.readouterr().out, leaderboard_markdown(board), to_csv(leaderboard_sheet(board))

    terminal, markdown, sheet = printed()
    assert terminal.index("Non-targeted attacks, linf") < terminal.index("hard") < terminal.index("Non-targeted attacks, l2")
    assert terminal.index("Non-targeted attacks, l2") < terminal.index("far") < terminal.index("Defenses")
    assert {"linf", "l2"} <= set(terminal[terminal.index("Defenses"):].splitlines()[1].split())
    assert "## attack, linf (standard)" in markdown
    assert "## attack, l2 (standard)" in markdown
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(sheet))}
    columns = ("score_linf", "score_l2", "score_patch", "score_unrestricted")
    assert [rows["two"][column] for column in columns] == ["0.75", "0.375", "", ""]
    assert [rows["hard"][column] for column in ("threat", *columns)] == ["linf", "", "", "", ""]
    assert "score_linf | score_l2 |" in markdown[markdown.index("## defense"):]
    assert "score_linf" not in markdown[:markdown.index("## defense")]
    terminal, markdown, _ = printed(["hard", "near"])
    assert "linf" not in terminal
    assert "## attack (standard)" in markdown
    assert "score_linf" not in markdown
