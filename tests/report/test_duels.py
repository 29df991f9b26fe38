"""Duels in what a round is shown as: tables, matrix, one submission, files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from harness.errors import UnknownNameError
from harness.report.files.export import export_2017, export_all
from harness.report.files.sheets import leaderboard_markdown, leaderboard_sheet, matrix_markdown, matrix_sheet, to_csv
from harness.report.terminal.console import make_console
from harness.report.terminal.leaderboard import print_leaderboard
from harness.report.terminal.matrix import print_matrix
from harness.report.terminal.submission import print_submission
from harness.scoring import CORRECT, LABELLED, Entry, Queries, Results, complete
from harness.scoring.duels import STEP
from harness.scoring.leaderboard import build_duel_matrix, build_leaderboard, build_matrix, duel_matrices
from harness.tracks import TARGETED_ATTACK, Access, Threat
from harness.views.matrix import matrix_view
from harness.views.submission import Opponent, SubmissionView, curve_of, met
from tests.docs.test_tables import example
from tests.scoring.duels import duels, entry


@pytest.fixture(scope="module", name="results")
def results_fixture() -> Results:
    return duel_round()


def duel_round() -> Results:
    """``open`` is open to all, ``shut`` to nobody; both label each clean image correctly, and one of two images of ``plain``."""
    white = duels([entry("strong"), entry("aimed", TARGETED_ATTACK.name)], ["open", "shut"], "www.", "closed", "tw..", "closed")
    steps = np.array([(0, 0, 0, 2, 900), (0, 0, 0, 60, 300), (0, 0, 3, 40, 500)], STEP)
    queries = Queries(budget=100, charged=np.full((1, 2, 4), 100, np.int32), steps=steps, grey=np.full(4, 2000, np.int64))
    asked = duels([entry("asks", access=Access.QUERY, threat=Threat.L2)], ["open", "shut"], "w..w", "closed", access=Access.QUERY,
                  queries=queries)
    truth, right = np.zeros(4, np.int32), LABELLED | CORRECT
    return replace(complete(
        (entry("plain", access=Access.BLACK_BOX),),
        tuple(Entry(name, "", "defense", baseline=False, order=9, digest=name) for name in ("open", "shut")),
        truth=truth, target=truth + 1, produced=np.ones((1, 4), np.bool_),
        codes=np.tile(np.array([LABELLED, right], np.uint8), (1, 2, 2)), clean_codes=np.full((2, 4), right, np.uint8),
    ), duels=(white, asked), tournament="t", round="r")


def printed(show: Any, width: int = 80) -> str:
    console = make_console()
    console.width = width
    with console.capture() as capture:
        show(console)
    return capture.get()


def test_each_access_has_its_table_and_defenses_one_of_robust_accuracy(results: Results) -> None:
    def show(console: Console) -> None:
        print_leaderboard(build_leaderboard(results, resamples=20), console)

    text = printed(show, 150)
    titles = [line.split("  ")[0] for line in text.splitlines() if "  score: " in line or "robust accuracy" in line]
    assert titles == ["Non-targeted attacks, black box, linf", "Non-targeted attacks, white box, linf",
                      "Non-targeted attacks, query, l2", "Targeted attacks, white box", "Defenses", "Defenses, robust accuracy"]
    lines = [line.split() for line in text.splitlines()]
    assert ["name", "black", "box", "95%", "mean", "white", "box", "95%", "mean", "query", "95%", "mean"] in lines
    (asks,) = [line for line in lines if "asks" in line]
    assert {"0.500", "70", "1250"} <= set(asks), "two of four, by queries 2 and 40 of 100, changes of 300 and 500 against 2000"
    (held,) = [line for line in lines if line[:1] == ["open"]]
    assert [number for number in held[1:] if not number.startswith(".")] == ["0.500", "0.500", "0.250", "0.375", "0.500", "0.500"]
    assert next(line for line in lines if line[:1] == ["shut"])[-6:] == ["-"] * 6
    assert all(len(line) <= 80 for line in printed(show, 80).splitlines())


def test_nothing_is_said_of_access_where_a_round_has_no_duels(results: Results) -> None:
    board = build_leaderboard(replace(results, duels=()), resamples=20)
    text = printed(lambda console: print_leaderboard(board, console), 150)
    for word in ("box", "query", "queries", "robust accuracy", "linf"):
        assert word not in text
    assert "## attack (standard)" in leaderboard_markdown(board)
    assert "score_black_box" not in leaderboard_markdown(board)


def test_csv_and_markdown_have_what_json_has(results: Results) -> None:
    board = build_leaderboard(results, resamples=20)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(to_csv(leaderboard_sheet(board))))}
    data = {row["name"]: row for track in json.loads(json.dumps(board.to_json()))["tracks"].values() for row in track}
    assert [rows["asks"][name] for name in ("access", "median_queries", "median_distance")] == ["query", "70.0", "1250.0"]
    assert (data["asks"]["median_queries"], data["asks"]["median_distance"]) == (70, 1250)
    assert data["open"]["robust"] == {"black_box": .5, "white_box": .25, "query": .5}
    assert data["shut"]["robust"] == {"black_box": .5, "white_box": None, "query": None}
    for access, share in data["open"]["robust"].items():
        assert float(rows["open"][f"robust_{access}"]) == share
        assert float(rows["open"][f"robust_low_{access}"]) == data["open"]["robust_low"][access] <= share
        assert float(rows["open"][f"robust_high_{access}"]) == data["open"]["robust_high"][access] >= share
        assert float(rows["open"][f"score_{access}"]) == data["open"]["by_access"][access]
    assert "## attack, query, l2 (standard)" in leaderboard_markdown(board)


def test_the_matrix_of_an_access_is_null_where_a_pair_is_closed(results: Results) -> None:
    matrix = build_duel_matrix(results, Access.WHITE_BOX)
    data = matrix.to_json()
    assert list(data) == list(example("matrix --access white_box"))
    assert data["correct"] == [[1, None], [2, None]]
    assert data["target_hit"] == [[0, None], [1, None]]
    assert data["produced"] == [[4, None], [4, None]]
    (only,) = matrix_sheet(build_duel_matrix(results, Access.WHITE_BOX, TARGETED_ATTACK.name)).rows[:1]
    assert only == ("aimed", "targeted_attack", "open", 4, 4, 2, 2, 1, 0)
    assert matrix_sheet(matrix).rows[1][3:] == (None,) * 6
    assert "| strong | 1 |  | 4 |" in matrix_markdown(matrix)
    line = printed(lambda console: print_matrix(matrix, console)).splitlines()
    assert ["strong", "25", "x"] in map(str.split, line)
    hits = matrix_view(build_duel_matrix(results, Access.WHITE_BOX, TARGETED_ATTACK.name), TARGETED_ATTACK.name)
    assert hits.lines[0].scores[hits.columns.index(results.defenses[0])] == .25


def test_a_matrix_of_duels_that_the_round_has_not_is_refused(results: Results) -> None:
    with pytest.raises(UnknownNameError, match="no duels of the access grey_box"):
        build_duel_matrix(results, Access.GREY_BOX)


def opponents(results: Results, name: str) -> dict[str, Opponent]:
    own = next(entry for entry in results.entries if entry.name == name)
    return {other.name: other for other in met(build_matrix(results), duel_matrices(results), own)[0]}


def test_who_met_whom_in_duels(results: Results) -> None:
    against = opponents(results, "open")
    assert {name: (other.access, other.score) for name, other in against.items()} == {
        "strong": ("white_box", .25), "aimed": ("white_box", .5), "asks": ("query", .5), "plain": ("black_box", .5),
        "clean": ("", 1.0)}
    assert next(iter(against)) == "strong", "hardest first"
    assert {name: (other.closed, other.score) for name, other in opponents(results, "aimed").items()} == {
        "open": (False, .25), "shut": (True, None)}
    assert {name: other.closed for name, other in opponents(results, "shut").items()} == {
        "plain": False, "clean": False, "strong": True, "aimed": True, "asks": True}


def test_an_attack_by_queries_is_shown_with_its_curve(results: Results) -> None:
    own = next(entry for entry in results.entries if entry.name == "asks")
    view = SubmissionView(own, curve=curve_of(results, "asks"), opponents=tuple(opponents(results, "asks").values()))
    points = {point["queries"]: (point["earned"], point["distance"]) for point in json.loads(json.dumps(view.to_json()))["curve"]}
    assert (points[1], points[2], points[100]) == ((0, 2000), (.25, 2000), (.5, 1250))
    lines = [line.split() for line in printed(lambda console: print_submission(view, console)).splitlines()]
    assert ["100", "0.500", "1250", "#" * 20] in lines
    assert ["shut", "closed"] in [line[:2] for line in lines]
    assert curve_of(results, "strong") == curve_of(results, "open") == ()


def test_files_have_a_row_for_every_duel_and_image(results: Results, tmp_path: Path) -> None:
    paths, _ = export_all(results, tmp_path)
    with (tmp_path / "duels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4, "three pairs meet"
    asks = {row["image"]: row for row in rows if row["attack"] == "asks"}
    assert [[asks[image][name] for name in ("earned", "queries", "first_query", "distance")] for image in "01"] == [
        ["1", "100", "2", "300"], ["0", "100", "", ""]]
    assert {row["queries"] for row in rows if row["attack"] == "strong"} == {""}
    assert pq.read_table(tmp_path / "duels.parquet").num_rows == 12
    with (tmp_path / "duel_pairs.csv").open() as file:
        assert [(row["attack"], row["defense"], row["share"]) for row in csv.DictReader(file)] == [
            ("strong", "open", "0.75"), ("aimed", "open", "0.25"), ("asks", "open", "0.5")]
    assert {"duels.csv", "duel_pairs.parquet"} <= {path.name for path in paths}
    export_2017(results, tmp_path / "2017")
    assert (tmp_path / "2017" / "attack_ranking.csv").read_text() == "AttackName,Score\nplain,4\n"
    paths, _ = export_all(replace(results, duels=()), tmp_path / "none")
    assert not [path for path in paths if "duel" in path.name]
