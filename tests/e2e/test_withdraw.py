"""An entry that is withdrawn is off the tables at once, its results stay, and it comes back without a run."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.e2e import make
from tests.e2e.conftest import Place, differences
from tests.helpers import stored

PROGRAMS = ("attack-copy", "attack-darken", "defense-mean", "defense-centre")
#: The entries of the tournament file but the withdrawn one, as the organiser leaves it.
WITHDRAWN = "attack-darken"


def names(place: Place, *args: str) -> set[str]:
    done = place.harness("leaderboard", "--format", "json", *args)
    assert done.returncode == 0, done.stderr
    return {row["name"] for rows in json.loads(done.stdout)["tracks"].values() for row in rows}


def withdraw(place: Place, name: str = WITHDRAWN) -> str:
    done = place.harness("submissions", "--withdraw", name, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert f"{name} is withdrawn" in done.stderr
    assert name not in {row["name"] for row in json.loads(done.stdout)}
    return done.stderr


@pytest.fixture
def place(make_place) -> Place:
    """A finished tournament; its withdrawn entry's directory stands beside the others, so that its line can go."""
    place = make_place(PROGRAMS)
    place.run("--round", "kept")
    place.run()
    return place


def out_of_the_file(place: Place) -> None:
    shutil.move(place.root / "entries" / WITHDRAWN, place.root / WITHDRAWN)


def test_a_withdrawn_entry_leaves_and_its_results_stay(place) -> None:
    before = stored.run_rows(place.state)
    assert WITHDRAWN in names(place, "--round", "default")
    out_of_the_file(place)
    withdraw(place)
    # At once, and still after the next run, which has nothing to do.
    for _ in range(2):
        assert names(place, "--round", "default") == set(PROGRAMS) - {WITHDRAWN}
        matrix = json.loads(place.harness("matrix", "--round", "default", "--format", "json").stdout)
        assert matrix["attacks"] == ["attack-copy"]
        assert "Nothing new to run" in place.run().stderr
    assert stored.run_rows(place.state) == before
    # A round that somebody named is a record of what was.
    assert names(place, "--round", "kept") == set(PROGRAMS)
    listed = json.loads(place.harness("submissions", "--all", "--format", "json").stdout)
    assert {row["name"]: row["state"] for row in listed} == {**dict.fromkeys(PROGRAMS, "active"), WITHDRAWN: "withdrawn"}


def test_the_same_content_comes_back_without_a_run(place) -> None:
    tables, started = place.tables(), place.started()
    before = stored.run_rows(place.state)
    out_of_the_file(place)
    withdraw(place)
    place.run()
    done = place.harness("submit", str(place.root / WITHDRAWN))
    assert done.returncode == 0, done.stderr
    assert f"{WITHDRAWN} takes part again as version 1" in done.stderr
    assert "Nothing new to run" in place.run().stderr
    assert differences(place.tables(), tables) == []
    assert WITHDRAWN in names(place, "--round", "default")
    assert place.started() == started
    assert stored.run_rows(place.state) == before


def test_a_line_in_the_file_takes_it_in_again(place) -> None:
    assert "Remove it from `submissions:`" in withdraw(place)
    assert WITHDRAWN not in names(place, "--round", "default")
    done = place.run()
    assert f"{WITHDRAWN} takes part again as version 1" in done.stderr
    assert "Nothing new to run" in done.stderr
    assert WITHDRAWN in names(place, "--round", "default")


def test_an_old_version_that_was_put_back_can_be_withdrawn(place) -> None:
    first = place.root / WITHDRAWN
    shutil.copytree(place.root / "entries" / WITHDRAWN, first)
    make.entry(place.root / "second" / WITHDRAWN, "attack-bright")
    shutil.rmtree(place.root / "entries" / WITHDRAWN)
    for version in (place.root / "second" / WITHDRAWN, first):
        assert place.harness("submit", str(version), "--replace").returncode == 0
    assert place.versions(WITHDRAWN) == [(1, "active"), (2, "superseded")]
    withdraw(place)
    assert place.versions(WITHDRAWN) == [(1, "withdrawn"), (2, "superseded")]
    again = place.harness("submissions", "--withdraw", WITHDRAWN)
    assert again.returncode == 2
    assert f"{WITHDRAWN} no longer takes part" in again.stderr


def test_withdrawn_content_under_another_name_supersedes_who_had_it(place) -> None:
    out_of_the_file(place)
    shutil.move(place.root / "entries" / "attack-copy", place.root / "attack-copy")
    withdraw(place)
    done = place.harness("submit", str(place.root / WITHDRAWN), "--name", "attack-copy", "--replace")
    assert done.returncode == 0, done.stderr
    taking_part = [found for found in stored.submissions(place.state) if (found.state, found.type) == ("active", "attack")]
    assert [(found.name, found.version) for found in taking_part] == [("attack-copy", 2)]
    place.run()
    assert names(place, "--round", "default") == {"attack-copy", "defense-mean", "defense-centre"}


def test_an_unknown_name_is_refused(place) -> None:
    done = place.harness("submissions", "--withdraw", "nobody")
    assert done.returncode == 2
    assert "There is no submission 'nobody'" in done.stderr
