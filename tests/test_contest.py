"""A round run to its end in this process: the lock, the slots, what an earlier harness left, the trace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.config import load
from harness.contest import Options, Summary, Watcher, choose_slots, run_round
from harness.errors import EngineError, StoreError
from harness.sandbox.process import ProcessSandbox
from harness.store.lock import writer_lock
from harness.tournament import Tournament
from tests.e2e import make


@pytest.fixture
def root(tmp_path) -> Path:
    make.tournament(tmp_path, ("attack-darken", "defense-mean"))
    return tmp_path


@pytest.fixture
def tournament(root):
    with Tournament(load(root / "tournament.yaml")) as opened:
        yield opened


def finish(tournament: Tournament, root: Path, **options) -> Summary:
    return run_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(**options), Watcher(),
                     lambda: False)


def test_stopping_before_the_first_step(root, tournament) -> None:
    tournament.submit_configured()
    summary = run_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(), Watcher(), lambda: True)
    assert summary.stopped
    assert summary.progress.finished == 0


def test_a_round_is_run_by_one_at_a_time(root, tournament) -> None:
    tournament.submit_configured()
    with writer_lock(tournament.config.state), pytest.raises(StoreError, match="Another `harness run`"):
        finish(tournament, root)


def test_a_gpu_that_is_not_there_costs_nothing(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    with pytest.raises(EngineError, match="no GPU 9"):
        finish(tournament, root, gpus=("9",), fresh=["attack-darken"])
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete


def test_slots_are_what_the_command_line_says_else_the_file(tournament) -> None:
    assert [slot.name for slot in choose_slots(tournament, Options())] == ["cpu0", "cpu1"]
    assert len(choose_slots(tournament, Options(slots=5))) == 5


def test_half_written_files_of_a_killed_harness_are_removed(root, tournament) -> None:
    tournament.submit_configured()
    state = tournament.config.state
    (state / "artifacts" / "ab").mkdir(parents=True)
    (state / "artifacts" / "ab" / ".x.tmp").write_bytes(b"half")
    old, new = state / "submissions" / ".abc-old", state / "submissions" / ".abc-new"
    for path in (old, new):
        path.mkdir()
    os.utime(old, (1, 1))
    summary = finish(tournament, root)
    assert len([what for what in summary.removed if "half-written" in what]) == 2
    assert not (state / "artifacts" / "ab" / ".x.tmp").exists()
    assert not old.exists()
    assert new.exists()  # somebody may be writing it right now


def test_the_trace_is_written(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root, trace=root / "trace.json")
    events = json.loads((root / "trace.json").read_text())["traceEvents"]
    assert {event.get("cat") for event in events} >= {"run", "prepare", "collect"}
