"""The leaderboard's and matrix's values and their JSON, which other programs rely on."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UnknownNameError
from harness.scoring import Entry, Results, RunCounts, View, complete
from harness.scoring.leaderboard import build_leaderboard, build_matrix, parse_track, parse_view
from tests.helpers.verdicts import codes_from_labels

ROW = ["rank", "rank_low", "rank_high", "name", "team", "baseline", "score", "score_low", "score_high", "raw", "worst",
       "worst_opponent", "coverage", "median_time_s", "outcomes"]


def entry(name: str, kind: str, order: int, time_s: float | None = 1.0, **more) -> Entry:
    return Entry(name, f"team of {name}", kind, more.pop("baseline", False), order, "d" * 64, time_s, **more)


def results() -> Results:
    """The rules' test vector with times, teams and outcomes."""
    truth, target = np.array([10, 20, 30, 40], np.int32), np.array([11, 21, 31, 41], np.int32)
    produced = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
    labels = np.array([
        [[10, 99, 30, 99], [10, 20, 99, -1]], [[10, 20, 99, -1], [99, 99, 30, -1]], [[11, 20, 99, 40], [11, 21, 30, 41]],
    ], np.int32)
    made = complete(
        (entry("A1", "attack", 0, outcomes={"ok": 1}), entry("A2", "attack", 1, outcomes={"time_limit": 1}, baseline=True),
         entry("T1", "targeted_attack", 2)),
        (entry("D1", "defense", 3), entry("D2", "defense", 4, outcomes={"ok": 2, "bad_output": 1, "exited_nonzero": 1})),
        truth=truth, target=target, produced=produced, codes=codes_from_labels(labels, truth, target, produced[:, None]),
        clean_codes=codes_from_labels(np.array([[10, 20, 30, 40], [10, 20, 1, -1]], np.int32), truth, target),
    )
    return replace(made, tournament="vector", round="main", runs=RunCounts(9, 9, 1))


def test_the_json_has_exactly_the_agreed_fields() -> None:
    board = json.loads(json.dumps(build_leaderboard(results(), resamples=50).to_json()))
    assert list(board) == ["tournament", "round", "scoring", "images", "runs", "tracks"]
    assert (board["tournament"], board["round"], board["scoring"], board["images"]) == ("vector", "main", "standard", 4)
    assert board["runs"] == {"done": 9, "total": 9, "failed": 1}
    assert list(board["tracks"]) == ["attack", "targeted_attack", "defense", "detector"]
    for track, rows in board["tracks"].items():
        for row in rows:
            own: tuple[str, ...] = ("undetected", "threat", "access")
            if track == "defense":
                own = ("clean_accuracy", "rejected", "clean_rejected", "by_threat", "robust", "robust_low", "robust_high",
                       "by_access")
            assert list(row) == [*ROW, *own]


def test_the_matrix_json_has_exactly_the_agreed_fields() -> None:
    matrix = json.loads(json.dumps(build_matrix(results()).to_json()))
    assert matrix == {
        "attacks": ["A1", "A2", "T1"], "defenses": ["D1", "D2"],
        "correct": [[2, 2], [2, 1], [2, 1]], "wrong": [[2, 1], [1, 2], [2, 3]],
        "target_hit": [[0, 0], [0, 0], [1, 3]], "produced": [4, 3, 4], "labelled": [[4, 3], [3, 3], [4, 4]],
    }


def test_rows_say_rank_worst_opponent_coverage_and_clean_accuracy() -> None:
    tracks = build_leaderboard(results(), resamples=0).tracks
    first, second = tracks["defense"]
    assert (first.rank, first.name, first.score, first.coverage, first.figures["clean_accuracy"]) == (1, "D1", 6 / 11, 1.0, 1.0)
    assert (second.rank, second.worst, second.worst_opponent, second.coverage) == (2, 1 / 4, "T1", 10 / 11)
    assert (second.figures["clean_accuracy"], second.failures) == (0.5, 2)
    assert [(row.name, row.baseline, row.coverage) for row in tracks["attack"]] == [("A1", False, 1.0), ("A2", True, 0.75)]


def test_the_views_rank_differently() -> None:
    order = {view: [row.name for row in build_leaderboard(results(), view, resamples=0).tracks["attack"]] for view in View}
    assert order == {View.STANDARD: ["A1", "A2"], View.NIPS2017: ["A1", "A2"], View.TOOLKIT: ["A2", "A1"]}


def test_a_tournament_that_has_not_begun_has_no_scores_and_no_ranks() -> None:
    nothing = replace(
        results(), attack_done=np.zeros((3, 1), bool), run_done=np.zeros((3, 2, 1), bool), clean_done=np.zeros((2, 1), bool))
    board = json.dumps(build_leaderboard(nothing, resamples=20).to_json(), allow_nan=False)
    for row in itertools.chain.from_iterable(json.loads(board)["tracks"].values()):
        assert [row[field] for field in ("rank", "rank_low", "score", "score_high", "worst", "worst_opponent")] == [None] * 6
        assert row["raw"] == 0


def test_no_entries_at_all() -> None:
    empty = complete((), (), truth=np.zeros(3, np.int32), target=np.ones(3, np.int32), produced=np.zeros((0, 3), bool),
                     codes=np.zeros((0, 0, 3), np.uint8), clean_codes=np.zeros((0, 3), np.uint8))
    assert build_leaderboard(empty).tracks == {"attack": (), "targeted_attack": (), "defense": (), "detector": ()}
    assert build_matrix(empty).to_json()["correct"] == []


def test_one_track_only() -> None:
    assert list(build_leaderboard(results(), tracks=("defense",), resamples=0).tracks) == ["defense"]
    assert [entry.name for entry in build_matrix(results(), "targeted_attack").attacks] == ["T1"]


def test_unknown_names_say_which_are_known() -> None:
    with pytest.raises(UnknownNameError, match=r"no scoring view 'elo'.*standard, nips2017, toolkit"):
        parse_view("elo")
    with pytest.raises(UnknownNameError, match=r"no track 'referee'.*attack, targeted_attack, defense, detector"):
        parse_track("referee")
