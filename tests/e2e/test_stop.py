"""Two at once, Ctrl-C, SIGTERM: the person is told, and nothing is left running."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e import make
from tests.e2e.conftest import Place, differences, eventually, kill_group
from tests.helpers import stored

#: Ctrl-C must stop within this; measured from the signal to the end of the process.
STOP_S = 5.0
SLEEPERS = ("attack-darken", "attack-slow", "defense-mean", "defense-pause")


@pytest.fixture
def sleeping(make_place) -> Place:
    """A tournament with a program that sleeps for minutes."""
    return make_place(SLEEPERS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_stops_the_run_and_says_how_to_go_on(sleeping, number) -> None:
    process = sleeping.start("run")
    try:
        sleeping.until(lambda: sleeping.done() >= 3, process)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        kill_group(process)
    assert process.returncode == 130, err
    assert took < STOP_S
    assert "`harness run` resumes" in err
    assert "Traceback" not in err
    assert sleeping.leftovers() == []
    # What was recorded is kept, what ran is on record as stopped and waits again.
    assert not any(run.running for run in stored.runs(sleeping.state))
    assert sleeping.done() >= 3


def test_an_impatient_second_signal_changes_nothing(sleeping) -> None:
    process = sleeping.start("run")
    try:
        sleeping.until(lambda: sleeping.done() >= 1, process)
        # To the very end: the last ones come while the interpreter ends.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
        _, err = process.communicate(timeout=60)
    finally:
        kill_group(process)
    assert process.returncode == 130, err
    assert sleeping.leftovers() == []


def test_a_stopped_tournament_goes_on_to_the_same_tables(place, finished) -> None:
    process = place.start("run")
    place.until(lambda: place.done() >= 5, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    before = place.done()
    done = place.run()
    assert f"{sum(finished[0].runs().values()) - before} runs done" in done.stderr
    assert differences(place.tables(), finished[1]) == []


def test_the_second_of_two_at_once_says_so_and_leaves(sleeping) -> None:
    process = sleeping.start("run")
    try:
        sleeping.until(lambda: sleeping.done() >= 1, process)
        # A directory that changed meanwhile is none of the second one's business.
        make.entry(sleeping.root / "entries" / "attack-late", "attack-bright")
        submissions = stored.submission_rows(sleeping.state)
        second = sleeping.harness("run")
        assert second.returncode == 2
        assert f"Another `harness run` (process {process.pid})" in second.stderr
        assert stored.submission_rows(sleeping.state) == submissions
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert sleeping.leftovers() == []


def test_others_may_look_while_it_runs(sleeping) -> None:
    process = sleeping.start("run")
    try:
        sleeping.until(lambda: sleeping.done() >= 1, process)
        for command in ("status", "leaderboard", "matrix", "submissions"):
            seen = sleeping.harness(command)
            assert seen.returncode == 0, seen.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_lock_is_gone_with_a_killed_process(sleeping) -> None:
    process = sleeping.start("run")
    sleeping.until(lambda: sleeping.done() >= 1, process)
    kill_group(process)
    assert eventually(lambda: not sleeping.processes())
    second = sleeping.start("run")
    sleeping.until(lambda: any(run.attempt > 1 for run in stored.runs(sleeping.state)), second)
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert "Removed leftovers of an earlier harness" in err


@pytest.mark.docker
@pytest.mark.slow
def test_ctrl_c_leaves_no_container(make_place, docker_client, light_image) -> None:
    assert light_image == make.IMAGE
    place = make_place(SLEEPERS, sandbox={"backend": "docker"})
    process = place.start("run")
    label = {"label": f"harness.tournament=tiny@{place.state}"}
    try:
        place.until(lambda: place.done() >= 3 and docker_client.containers.list(ignore_removed=True, filters=label), process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        kill_group(process)
    assert process.returncode == 130, err
    assert took < STOP_S
    assert docker_client.containers.list(all=True, ignore_removed=True, filters=label) == []
    assert place.leftovers() == []
