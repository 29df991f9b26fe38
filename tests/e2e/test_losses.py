"""A program that fails costs what it failed at and nothing else: batch by batch, and in what the scores are divided by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.formats.result_csv import NO_LABEL
from tests.e2e import make
from tests.e2e.conftest import Place
from tests.helpers import stored

#: Images in all, and in each of the three batches (names sorted, ten at a time).
IMAGES, BATCH = 30, 10
#: Long enough for Python to start on a busy host; only the programs that sleep past it wait for it.
TIME_LIMIT_S = 4


def outcomes(place: Place, name: str, kind: str) -> list[tuple[str, int]]:
    """Outcome and accepted outputs of a submission's runs on inputs of a kind, by batch."""
    found = [run for run in stored.runs(place.state) if run.done and (run.name, run.reads) == (name, kind)]
    return [(run.outcome, run.usable) for run in sorted(found, key=lambda run: run.position)]


def labels(place: Place, name: str) -> dict[int, list[int]]:
    """What a defense answered on the clean images, by batch."""
    return {run.position: list(run.labels) for run in stored.runs(place.state) if (run.name, run.reads) == (name, "clean")}


def board(place: Place) -> dict[str, dict[str, Any]]:
    """The leaderboard's rows by name."""
    done = place.harness("leaderboard", "--format", "json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for rows in json.loads(done.stdout)["tracks"].values() for row in rows}


def matrix(place: Place) -> dict[str, Any]:
    done = place.harness("matrix", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nothing_is_run_again(place: Place) -> None:
    before, started = stored.run_rows(place.state), place.started()
    assert "Nothing new to run" in place.run().stderr
    assert stored.run_rows(place.state) == before
    assert place.started() == started


def crashes() -> list[bool]:
    """The batches that defense-crash dies on: by the sum of the darkest image's pixels."""
    sums = [int(record.pixels.sum()) for record in make.records(IMAGES)]
    return [min(sums[at:at + BATCH]) // 6 % 2 == 1 for at in range(0, IMAGES, BATCH)]


def test_a_defense_that_crashes_on_one_batch_loses_that_batch_only(make_place) -> None:
    place = make_place(("attack-copy", "defense-crash", "defense-mean"))
    place.run()
    crashed = crashes()
    assert sum(crashed) == 1, "the data set must hold one such batch among others"
    # The copying attack left the clean images, so their runs are its runs.
    assert outcomes(place, "defense-crash", "clean") == [("exited_nonzero", 0) if at else ("ok", BATCH) for at in crashed]
    assert outcomes(place, "defense-mean", "clean") == [("ok", BATCH)] * 3
    truth = [record.label for record in make.records(IMAGES)]
    given, honest = labels(place, "defense-crash"), labels(place, "defense-mean")
    for batch, lost in enumerate(crashed):
        assert honest[batch] == truth[batch * BATCH:][:BATCH]
        assert given[batch] == ([NO_LABEL] * BATCH if lost else honest[batch])
    found = matrix(place)
    assert found["defenses"] == ["defense-crash", "defense-mean"]
    assert (found["labelled"], found["correct"], found["wrong"]) == ([[20, 30]], [[20, 30]], [[0, 0]])
    rows = board(place)
    assert rows["defense-crash"]["coverage"] == pytest.approx(20 / 30)
    # What it did not label is wrong: it stays in the defense's denominator, and pays the attack.
    assert rows["attack-copy"]["score"] == pytest.approx(10 / 60)
    assert rows["defense-crash"]["score"] == pytest.approx(20 / 30)
    assert rows["defense-crash"]["clean_accuracy"] == pytest.approx(20 / 30)
    assert rows["defense-crash"]["outcomes"] == {"ok": 2, "exited_nonzero": 1}
    assert (rows["defense-mean"]["score"], rows["defense-mean"]["coverage"]) == (1, 1)
    assert "crashed on purpose" in place.harness("logs", "defense-crash").stdout
    nothing_is_run_again(place)


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> tuple[Place, dict[str, dict[str, Any]]]:
    """Attacks that leave every second image out, by themselves or killed at the limit; and one that makes all."""
    place = Place(tmp_path_factory.mktemp("halves"))
    make.tournament(place.root, ("attack-half", "attack-slow", "attack-darken", "defense-mean"), tally=place.tally,
                    rules={"time_limit_s": TIME_LIMIT_S})
    place.run()
    return place, board(place)


@pytest.mark.parametrize(("name", "outcome"), [("attack-half", "ok"), ("attack-slow", "time_limit")])
def test_what_half_an_attack_made_counts_and_every_batch_is_tried(halves, name, outcome) -> None:
    place, rows = halves
    assert outcomes(place, name, "task") == [(outcome, BATCH // 2)] * 3
    assert rows[name]["coverage"] == 0.5
    assert rows[name]["outcomes"] == {outcome: 3}


def test_a_run_is_killed_at_its_limit(halves) -> None:
    place, _ = halves
    times = [run.wall_s for run in stored.runs(place.state) if run.name == "attack-slow"]
    assert all(TIME_LIMIT_S <= wall_s < TIME_LIMIT_S + 5 for wall_s in times), times


def test_scores_are_divided_by_what_there_is(halves) -> None:
    place, rows = halves
    found = matrix(place)
    made = dict(zip(found["attacks"], found["produced"], strict=True))
    assert made == {"attack-half": 15, "attack-slow": 15, "attack-darken": 30}
    correct = dict(zip(found["attacks"], (row[0] for row in found["correct"]), strict=True))
    wrong = dict(zip(found["attacks"], (row[0] for row in found["wrong"]), strict=True))
    # The copies are labelled correctly, all that there are; images that were never made are neither correct nor wrong.
    assert (correct["attack-half"], wrong["attack-half"]) == (correct["attack-slow"], wrong["attack-slow"]) == (15, 0)
    assert 0 < wrong["attack-darken"] < 30
    # A defense's score is of the images that were made, 15 + 15 + 30; an attack's of all images, made or not.
    assert rows["defense-mean"]["score"] == pytest.approx((15 + 15 + correct["attack-darken"]) / 60)
    assert rows["defense-mean"]["coverage"] == 1
    assert rows["attack-darken"]["score"] == pytest.approx(wrong["attack-darken"] / IMAGES)
    assert rows["attack-half"]["score"] == rows["attack-slow"]["score"] == 0
    # It was given the images that there were, and answered for each.
    given = outcomes(place, "defense-mean", "adversarial")
    assert set(given) == {("ok", BATCH // 2), ("ok", BATCH)}
    assert given.count(("ok", BATCH)) == 3


def test_a_lost_half_is_not_run_again(halves) -> None:
    place, _ = halves
    nothing_is_run_again(place)
    assert place.leftovers() == []
