"""Only what is new is run, shown by counts: rows with a result, and programs that say themselves that they were started."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

import pytest

from tests.e2e import make
from tests.e2e.conftest import Place, differences
from tests.helpers import stored

BATCHES, DEFENSES = 3, 2


def copy_of(finished: tuple[Place, dict[str, Any]], tmp_path) -> Place:
    source = finished[0]
    root = tmp_path / "t"
    shutil.copytree(source.root, root)
    place = Place(root)
    place.tally.write_text("")
    # The copy's entries would tell the original's tally, so what counts the programs is the entries' own file.
    for told in root.rglob("tally.txt"):
        assert told.read_text() == str(source.tally)
    return place


@pytest.fixture
def again(finished, tmp_path) -> Place:
    """A finished tournament of one's own."""
    return copy_of(finished, tmp_path)


def test_the_honest_tournament_runs_what_is_needed_and_nothing_else(finished) -> None:
    place, tables = finished
    inputs = sum(kind != "task" for kind, _ in stored.inputs(place.state))
    runs = place.runs()
    attacks = {name: count for name, count in runs.items() if not name.startswith("defense")}
    assert attacks == dict.fromkeys(("attack-copy", "attack-noise", "attack-darken", "targeted-step"), BATCHES)
    assert runs["defense-mean"] == runs["defense-centre"] == inputs
    assert place.first_started == sum(runs.values())
    assert tables["leaderboard"]["runs"] == {"done": sum(runs.values()), "total": sum(runs.values()), "failed": 0}
    assert place.leftovers() == []


def test_an_attack_that_changes_nothing_shares_the_predictions_on_the_clean_images(finished) -> None:
    place, tables = finished
    assert {run.makes for run in stored.runs(place.state) if run.name == "attack-copy"} == {"clean"}
    row = tables["matrix"]["attacks"].index("attack-copy")
    assert tables["matrix"]["correct"][row] == [30, 30]


def test_two_attacks_that_make_the_same_share_predictions(make_place) -> None:
    place = make_place(("attack-darken", "defense-mean"))
    make.entry(place.root / "entries" / "attack-twin", "attack-darken", note="another digest, the same pixels")
    place.run()
    assert place.runs() == {"attack-darken": BATCHES, "attack-twin": BATCHES, "defense-mean": 2 * BATCHES}
    matrix = place.tables()["matrix"]
    assert matrix["correct"][0] == matrix["correct"][1]


def test_a_second_run_runs_nothing(again) -> None:
    before = stored.run_rows(again.state)
    done = again.run()
    assert "Nothing new to run" in done.stderr
    assert stored.run_rows(again.state) == before


def test_one_new_attack_costs_b_and_b_times_d(again) -> None:
    before = again.runs()
    make.entry(again.root / "entries" / "attack-bright", "attack-bright", tally=again.tally)
    again.run()
    new = Counter(again.runs()) - Counter(before)
    assert sum(new.values()) == BATCHES + BATCHES * DEFENSES
    assert new == {"attack-bright": BATCHES, "defense-mean": BATCHES, "defense-centre": BATCHES}
    assert again.started() == BATCHES


def test_one_new_defense_costs_one_run_for_every_input(again) -> None:
    before = again.runs()
    make.entry(again.root / "entries" / "defense-other", "defense-mean", note="other", tally=again.tally)
    again.run()
    assert Counter(again.runs()) - Counter(before) == {"defense-other": before["defense-mean"]}


def test_a_changed_directory_is_a_new_version_and_says_so(again) -> None:
    shutil.rmtree(again.root / "entries" / "attack-noise")
    make.entry(again.root / "entries" / "attack-noise", "attack-bright")
    done = again.run()
    assert "attack-noise changed: this is version 2." in done.stderr
    assert again.versions("attack-noise") == [(1, "superseded"), (2, "active")]
    names = again.tables()["matrix"]["attacks"]
    assert names.count("attack-noise") == 1


def test_an_old_version_put_back_has_its_results_still(again, finished) -> None:
    folder = again.root / "entries" / "attack-noise"
    shutil.move(folder, again.root / "kept")
    make.entry(folder, "attack-bright")
    again.run()
    shutil.rmtree(folder)
    shutil.move(again.root / "kept", folder)
    done = again.run()
    assert "Nothing new to run" in done.stderr
    assert differences(again.tables(), finished[1]) == []


def test_only_runs_what_concerns_the_named_submission(make_place) -> None:
    place = make_place()
    place.run("--only", "attack-darken")
    # Its attack runs, and every defense on what it made.
    assert place.runs() == {"attack-darken": BATCHES, "defense-mean": BATCHES, "defense-centre": BATCHES}
    place.run("--only", "defense-mean")
    # No attack is run for it: on what is there, the clean images included.
    assert place.runs() == {"attack-darken": BATCHES, "defense-mean": 2 * BATCHES, "defense-centre": BATCHES}


def test_only_an_unknown_name_is_refused(again) -> None:
    done = again.harness("run", "--only", "nobody")
    assert done.returncode == 2
    assert "nobody" in done.stderr


def test_fresh_runs_a_submission_again_and_what_depends_on_it_only_where_it_made_something_else(again, finished) -> None:
    before = stored.runs(again.state)
    done = again.run("--fresh", "attack-noise")
    assert f"{BATCHES} runs done" in done.stderr
    assert again.runs() == finished[0].runs()
    assert len(stored.runs(again.state)) == len(before)
    assert differences(again.tables(), finished[1]) == []


def test_fresh_of_a_defense(again, finished) -> None:
    done = again.run("--fresh", "defense-mean")
    assert f"{finished[0].runs()['defense-mean']} runs done" in done.stderr
    assert differences(again.tables(), finished[1]) == []


def test_one_run_alone_can_be_repeated(again, finished) -> None:
    for against in ("attack-darken", "clean"):
        done = again.run("--fresh", "defense-mean", "--only", "defense-mean", "--batch", "1", "--against", against)
        assert "1 runs done" in done.stderr
    assert differences(again.tables(), finished[1]) == []
    assert again.harness("run", "--batch", "1").returncode == 2


def test_fresh_of_an_unknown_name_is_refused(again) -> None:
    before = again.runs()
    done = again.harness("run", "--fresh", "nobody")
    assert done.returncode == 2
    assert again.runs() == before


def test_a_named_round_keeps_its_members(again) -> None:
    again.run("--round", "first")
    make.entry(again.root / "entries" / "attack-bright", "attack-bright")
    done = again.run("--round", "first")
    assert "Nothing new to run" in done.stderr
    board = again.harness("leaderboard", "--round", "first", "--format", "json")
    assert "attack-bright" not in board.stdout
    again.run("--round", "second")
    assert "attack-bright" in again.harness("leaderboard", "--round", "second", "--format", "json").stdout
    assert "attack-bright" not in again.harness("leaderboard", "--round", "first", "--format", "json").stdout


def test_other_limits_are_other_results_and_the_same_pixels_are_known(again, finished) -> None:
    text = again.config.read_text()
    again.config.write_text(text.replace("time_limit_s: 60", "time_limit_s: 50"))
    done = again.run()
    assert f"{sum(finished[0].runs().values())} runs done" in done.stderr
    assert again.tables()["matrix"] == finished[1]["matrix"]
    again.config.write_text(text)
    assert "Nothing new to run" in again.run().stderr
