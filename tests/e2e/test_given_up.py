"""Runs given up for the host's fault: an unfinished round is said to be one, by `run` and by `export`."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from harness.cli.main import main
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending
from harness.sandbox.process import ProcessSandbox
from tests.e2e import make
from tests.helpers import stored

PROGRAMS = ("attack-darken", "attack-noise", "defense-mean")


def command(*words, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, capfd.readouterr()


@pytest.fixture
def failing(make_place, monkeypatch):
    """A host on which nothing of attack-noise can be started while the returned set holds its name."""
    place = make_place(PROGRAMS)
    monkeypatch.chdir(place.root)
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("harness.scheduling.scheduler.FIRST_REST_S", 0.0)
    monkeypatch.setattr("harness.scheduling.scheduler.QUARANTINE_AFTER", 1000)
    broken = {"attack-noise"}
    run = ProcessSandbox.run

    def run_or_fail(self, request, cancel):
        code = request.program.code_dir / "metadata.json"
        if any(name in code.read_text() for name in broken):
            return RunReport(Ending.HOST_ERROR, detail="The disk is on fire.")
        return run(self, request, cancel)

    monkeypatch.setattr(ProcessSandbox, "run", run_or_fail)
    return broken


@pytest.mark.parametrize("only", [(), ("--only", "attack-noise")], ids=["all", "only"])
def test_an_unfinished_round_is_no_success(failing, monkeypatch, capfd, only) -> None:
    code, said = command("run", *only, monkeypatch=monkeypatch, capfd=capfd)
    assert code == 2
    assert "The round default is not finished: 3 runs failed on the host's side" in said.err
    assert "3 of attack-noise" in said.err
    assert "The disk is on fire." in said.err
    assert "`harness run` again" in said.err
    code, said = command("export", "out", monkeypatch=monkeypatch, capfd=capfd)
    assert code == 0
    assert "not finished" in said.err
    failing.clear()
    assert command("run", monkeypatch=monkeypatch, capfd=capfd)[0] == 0
    assert "not finished" not in command("export", "out", monkeypatch=monkeypatch, capfd=capfd)[1].err


def test_nothing_new_is_said_of_what_was_asked_for(failing, monkeypatch, capfd) -> None:
    failing.clear()
    assert command("run", "--only", "attack-noise", monkeypatch=monkeypatch, capfd=capfd)[0] == 0
    code, said = command("run", "--only", "attack-noise", monkeypatch=monkeypatch, capfd=capfd)
    assert code == 0
    assert "every run that involves attack-noise has its result" in said.err


@pytest.mark.docker
def test_six_entries_whose_image_cannot_be_had_stop_nobody(make_place, light_image) -> None:
    """Hole 4.1: each counted as a failure of the host, and six of them ended the contest for everybody, at every call."""
    absent = [f"{name}/harness-test/absent-{number}:1" for number, name in enumerate(
        ("localhost", "localhost", "127.0.0.1:1", "localhost:1", "registry.invalid", "docker.io"))]
    place = make_place(("attack-darken", "defense-mean"), images=10, sandbox={"backend": "docker", "images": [light_image]})
    for number, container in enumerate(absent):
        kind = "attack-copy" if number % 2 else "defense-centre"
        make.entry(place.root / "entries" / f"absent-{number}", kind, note=str(number), metadata={"container": container})
    done = place.run()
    assert "given up" not in done.stderr
    for number in range(len(absent)):
        assert f"absent-{number}: " in done.stderr
    assert Counter((run.name, run.outcome) for run in stored.runs(place.state) if run.done) == {
        **{(f"absent-{number}", "image_missing"): 1 if number % 2 else 2 for number in range(len(absent))},
        ("attack-darken", "ok"): 1, ("defense-mean", "ok"): 2}
    assert "Nothing new to run" in place.run().stderr
    board = json.loads(place.harness("leaderboard", "--format", "json").stdout)
    assert board["runs"]["done"] == board["runs"]["total"]
    # No answer of a network, and nothing that only the engine knows, is shown to an author.
    shown = place.harness("show", "absent-2").stdout
    assert "image_missing" in shown
    assert "refused" not in shown.replace("127.0.0.1", "")
