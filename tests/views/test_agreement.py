"""All views of one contest agree: what one table says of a pair, an entry or the runs, every other table says too.

The contests hold what pulls careless formulas apart: runs that have not ended, attacks that leave half of their images, a defense
that crashes and leaves nothing, mixed batches, entries on which nothing has run yet.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.config import load
from harness.report.files.export import export_2017, export_all
from harness.sandbox.process import ProcessSandbox
from harness.scoring import Results
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Fresh, Tournament
from harness.tracks import TRACKS, consumes, detects
from harness.views.matrix import matrix_view
from harness.views.status_reader import StatusReader
from harness.views.submission_reader import SubmissionReader
from tests.e2e import make

PROGRAMS = ("attack-darken", "attack-half", "attack-copy", "targeted-step", "defense-mean", "defense-crash", "defense-centre")
CONTESTS: dict[str, tuple[dict[str, Any], tuple[Fresh, ...]]] = {
    "outstanding": ({"batch_size": 7}, (Fresh(["defense-mean"], batch=1), Fresh(["attack-half"], batch=2),
                                         Fresh(["defense-centre"]))),
    "mixed batches": ({"batch_size": 7, "mixed_batches": True}, ()),
    "mixed batches, outstanding": ({"batch_size": 7, "mixed_batches": True}, (Fresh(["defense-mean"], batch=1),
                                                                              Fresh(["attack-darken"], batch=0))),
}


@pytest.fixture(scope="module", params=CONTESTS)
def tournament(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tournament]:
    rules, dropped = CONTESTS[request.param]
    root = tmp_path_factory.mktemp("contest")
    config = load(make.tournament(root, PROGRAMS, rules=rules))
    with Tournament(config) as opened:
        opened.submit_configured()
        play_round(opened, opened.dataset(), ProcessSandbox(root / "scratch"), Options(), Watcher(), lambda: False)
        for fresh in dropped:
            opened.open_round(opened.dataset(), sandbox="process", fresh=fresh)
        yield opened


@pytest.fixture(scope="module")
def results(tournament: Tournament) -> Results:
    return load_results(tournament, tournament.dataset())


@pytest.fixture(scope="module")
def rows(results: Results) -> dict[str, dict[str, Any]]:
    """The leaderboard's rows by name."""
    board = build_leaderboard(results).to_json()
    return {row["name"]: {**row, "track": track} for track, found in board["tracks"].items() for row in found}


@pytest.fixture(scope="module")
def shown(tournament: Tournament, results: Results) -> dict[str, dict[str, Any]]:
    """What `harness show` says of each entry."""
    with tournament.read() as transaction:
        reader = SubmissionReader(tournament, transaction)
        return {name: reader.standing(name, results).to_json() for name in PROGRAMS}


@pytest.fixture(scope="module")
def counted(results: Results, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Counter[str]]:
    """Every pair's verdicts in the exported file, added up one by one."""
    directory = tmp_path_factory.mktemp("export")
    export_all(results, directory)
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in csv.DictReader((directory / "verdicts.csv").read_text().splitlines()):
        found[row["attack"], row["defense"]] += Counter(
            produced=1, labelled=int(row["labelled"]), correct=int(row["correct"]), target_hit=int(row["target_hit"]))
    return found


def earned(track: str, counts: Any) -> int:
    """The standard view's formula, written as the documentation says it."""
    if consumes(track):
        return counts["correct"]
    return counts["target_hit"] if TRACKS[track].takes_targets else counts["produced"] - counts["correct"]


def pair(name: str, opponent: str, track: str) -> tuple[str, str]:
    return (opponent, name) if consumes(track) else (name, opponent)


def test_show_counts_what_the_exported_verdicts_count(shown, rows, counted) -> None:
    for name, view in shown.items():
        opponents = [opponent for opponent in view["opponents"] if opponent["type"] in TRACKS]
        assert len(opponents) == sum(consumes(row["track"]) != consumes(rows[name]["track"]) for row in rows.values())
        for opponent in opponents:
            counts = counted[pair(name, opponent["name"], rows[name]["track"])]
            assert {key: opponent[key] for key in ("produced", "labelled", "correct", "target_hit")} == {
                key: counts[key] for key in ("produced", "labelled", "correct", "target_hit")}
            assert opponent["wrong"] == counts["labelled"] - counts["correct"]


def test_the_leaderboard_adds_up_what_show_lists(shown, rows) -> None:
    for name, row in rows.items():
        opponents = [opponent for opponent in shown[name]["opponents"] if opponent["type"] in TRACKS]
        assert row["raw"] == sum(earned(row["track"], opponent) for opponent in opponents)
        scores = {opponent["name"]: opponent["score"] for opponent in opponents if opponent["score"] is not None}
        assert row["worst"] == min(scores.values(), default=None)
        assert (row["worst_opponent"] is None) == (not scores)
        if scores:
            assert scores[row["worst_opponent"]] == row["worst"]
            assert min(scores.values()) <= row["score"] <= max(scores.values())
        if consumes(row["track"]):
            asked = sum(opponent["produced"] for opponent in opponents)
            assert row["score"] == (row["raw"] / asked if asked else None)
            assert row["coverage"] == (sum(opponent["labelled"] for opponent in opponents) / asked if asked else None)
        assert shown[name]["row"] == {key: value for key, value in row.items() if key != "track"}
        # No other track earns by an image without a label.
        assert shown[name]["unlabelled"] == (row["track"] == "attack") * sum(
            opponent["produced"] - opponent["labelled"] for opponent in opponents)


@pytest.mark.parametrize("track", [name for name in TRACKS if not detects(name)])
def test_the_matrix_shows_the_scores_that_show_lists(results: Results, shown, rows, track: str) -> None:
    view = matrix_view(build_matrix(results, track), track)
    columns = [entry.name for entry in view.columns]
    for line in view.lines:
        for column, score in zip(columns, line.scores.tolist(), strict=True):
            one, other = (column, line.name) if consumes(track) else (line.name, column)
            (opponent,) = [each for each in shown[one]["opponents"] if each["name"] == other]
            assert opponent["score"] == (None if np.isnan(score) else score)
            if line.name == "clean":
                assert rows[column]["clean_accuracy"] == opponent["score"]
    assert {line.name for line in view.lines} - {"clean"} == {
        name for name, row in rows.items() if not consumes(row["track"]) and (consumes(track) or row["track"] == track)}


def test_matrices_of_all_kinds_hold_the_same_counts(results: Results, counted, tmp_path: Path) -> None:
    data = build_matrix(results).to_json()
    for a, attack in enumerate(data["attacks"]):
        for d, defense in enumerate(data["defenses"]):
            assert {key: data[key][a][d] for key in ("labelled", "correct", "target_hit")} == {
                key: counted[attack, defense][key] for key in ("labelled", "correct", "target_hit")}
    export_2017(results, tmp_path)
    export_all(results, tmp_path)
    for row in csv.DictReader((tmp_path / "pairs.csv").read_text().splitlines()):
        assert int(row["correct"]) == counted[row["attack"], row["defense"]]["correct"]
    for row in csv.DictReader((tmp_path / "accuracy_matrix.csv").read_text().splitlines()):
        defense = row.pop("")
        assert {name: int(count) for name, count in row.items()} == {
            name: counted[name, defense]["correct"] for name in data["attacks"]}


def test_runs_are_counted_alike(tournament: Tournament, results: Results, shown, rows) -> None:
    with tournament.read() as transaction:
        status = StatusReader(tournament, transaction).status()
    assert sum(kind.done for kind in status.kinds) == results.runs.done == sum(view["done"] for view in shown.values())
    assert sum(kind.total for kind in status.kinds) == results.runs.total == sum(view["total"] for view in shown.values())
    for kind in status.kinds:
        names = [name for name, row in rows.items() if row["track"] == kind.kind]
        assert (kind.done, kind.total) == tuple(sum(shown[name][count] for name in names) for count in ("done", "total"))
        assert kind.failed == sum(len(shown[name]["failures"]) for name in names)
    outcomes = sum((Counter(row["outcomes"]) for row in rows.values()), Counter[str]())
    assert outcomes == status.outcomes == sum((Counter(view["entry"]["outcomes"]) for view in shown.values()), Counter[str]())


def test_nothing_has_ended_yet(results: Results) -> None:
    attacks, defenses, batches = results.run_done.shape
    nothing = replace(results, attack_done=np.zeros((attacks, batches), bool), clean_done=np.zeros((defenses, batches), bool),
                      run_done=np.zeros((attacks, defenses, batches), bool))
    board, view = build_leaderboard(nothing, resamples=0), matrix_view(build_matrix(nothing))
    assert all(row.score is None and row.raw == 0 and row.worst is None for track in board.tracks.values() for row in track)
    assert all(row.figures["clean_accuracy"] is None for row in board.tracks["defense"])
    assert all(np.isnan(line.scores).all() for line in view.lines)
