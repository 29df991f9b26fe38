"""Runs given up for the host's fault: an unfinished round is said to be one, by `run` and by `export`."""

from __future__ import annotations

import sys

import pytest

from harness.cli.main import main
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending
from harness.sandbox.process import ProcessSandbox

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
    monkeypatch.setattr("harness.scheduler.FIRST_REST_S", 0.0)
    monkeypatch.setattr("harness.scheduler.QUARANTINE_AFTER", 1000)
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
    assert "every run that concerns attack-noise has its result" in said.err
