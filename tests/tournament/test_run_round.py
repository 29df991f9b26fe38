"""A round run to its end in this process: the lock, the slots, what an earlier harness left, the trace."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from harness.config import Require, load
from harness.engine import node
from harness.engine.node import choose_slots
from harness.errors import EngineError, StoreError
from harness.execution.job import Finished, Job
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.process import ProcessSandbox
from harness.scoring import View
from harness.store import rounds, submissions
from harness.store.lock import writer_lock
from harness.tournament import machine
from harness.tournament.leaderboard_cache import kept_leaderboard, load_leaderboards
from harness.tournament.machine import Machine, Summary, Watcher
from harness.tournament.run_round import Options, play_round, run_round
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.helpers import stored


@pytest.fixture
def root(tmp_path) -> Path:
    make.tournament(tmp_path, ("attack-darken", "defense-mean"))
    return tmp_path


@pytest.fixture
def tournament(root):
    with Tournament(load(root / "tournament.yaml")) as opened:
        yield opened


def finish(tournament: Tournament, root: Path, **options) -> Summary:
    return play_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(**options), Watcher(),
                     lambda: False)


def test_stopping_before_the_first_step(root, tournament) -> None:
    tournament.submit_configured()
    summary = play_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(), Watcher(), lambda: True)
    assert summary.stopped
    assert summary.progress.finished == 0


class Told(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, text: str) -> None:
        self.sentences.append(text)


class LockWitness(Watcher):
    """Tries the lock at everything that it is told."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.locked: dict[str, bool] = {}

    def _look(self, what: str) -> None:
        try:
            with writer_lock(self._state):
                self.locked[what] = False
        except StoreError:
            self.locked[what] = True

    def say(self, text: str) -> None:
        self._look(text)

    def prepared(self, *_: object) -> None:
        self._look("prepared")

    def ended(self, summary: Summary) -> None:
        self._look("ended")


def test_one_lock_holds_from_the_first_registration_to_the_last_table(root) -> None:
    config = load(root / "tournament.yaml")
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": "process"})})
    with writer_lock(config.state), pytest.raises(StoreError, match="Another `harness run`"):
        run_round(config, Options(), Watcher(), lambda: False)
    with Tournament(config) as opened, opened.read() as transaction:
        assert not submissions.every(transaction), "who finds it locked registers nothing"
    assert run_round(config, Options(), Watcher(), lambda: False).waiting == 0
    assert {view: kept_leaderboard(config, view) is not None for view in View} == dict.fromkeys(View, True)
    (root / "entries" / "attack-darken" / "note").write_text("another version")
    witness = LockWitness(config.state)
    run_round(config, Options(), witness, lambda: False)
    (warning,) = (text for text in witness.locked if text.startswith("harness: "))
    assert witness.locked == {warning: False, "attack-darken changed: this is version 2.": True, "prepared": True, "ended": True}


class _Collector(Watcher):
    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def finished(self, finished: Finished) -> None:
        self.jobs.append(finished.job)


def test_a_job_could_be_done_elsewhere(root, tournament) -> None:
    """It travels; nothing in it is of this host, but for the label that names the tournament, and nothing says what is true."""
    tournament.submit_configured()
    dataset, collector = tournament.dataset(), _Collector()
    play_round(tournament, dataset, ProcessSandbox(root / "scratch"), Options(), collector, lambda: False)
    assert {job.track for job in collector.jobs} == {"attack", "defense"}
    labels = [batch.labels.tobytes() for batch in dataset.batches(10, [8, 16, 32])]
    for job in collector.jobs:
        assert job.program.entry_point
        sent = pickle.dumps(replace(job, labels={}, program=replace(job.program, rules=ImageRules())))
        assert str(root).encode() not in sent
        assert labels[job.batch.index] not in sent
        assert pickle.loads(sent).batch.ids == job.batch.ids


def test_a_gpu_that_is_not_there_costs_nothing(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    with pytest.raises(EngineError, match="no GPU 9"):
        finish(tournament, root, gpus=("9",), fresh=["attack-darken"])
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete


def far(tournament: Tournament, **workers) -> Tournament:
    """The same on a cluster that is not there."""
    config = tournament.config
    own = config.workers.model_copy(update={"engine": "ray", "address": "127.0.0.1:1", **workers})
    return Tournament(config.model_copy(update={"workers": own}))


@pytest.mark.parametrize(("options", "words"), [
    ({}, None),
    ({"only": ["attack-darken"]}, None),
    ({"gpus": "none"}, None),
    ({"fresh": ["attack-darken"]}, "Ray"),
    ({"round_name": "another"}, "Ray"),
    ({"gpus": ("0",)}, "Ray"),
], ids=["all have their results", "of one", "as it ran", "one is dropped", "a new round", "not as it ran"])
def test_a_cluster_is_joined_only_where_there_is_a_run_for_it(root, tournament, options, words) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    before = stored.run_rows(tournament.config.state)
    with far(tournament) as elsewhere:
        if words is None:
            assert finish(elsewhere, root, **options).progress.started == 0
        else:
            with pytest.raises(EngineError, match=words):
                finish(elsewhere, root, **options)
    assert stored.run_rows(tournament.config.state) == before


@pytest.mark.parametrize("change", ["rules", "entry", "damage"])
def test_a_cluster_that_cannot_be_joined_changes_nothing_of_the_round(root, tournament, change) -> None:
    """Neither its rules, nor its members, nor its results: what a person sees of it stays complete."""
    tournament.submit_configured()
    finish(tournament, root)

    def seen() -> tuple[object, ...]:
        with tournament.read() as transaction:
            row = rounds.find(transaction, "default")
            members = {(member.name, member.version) for member in rounds.members(transaction, row.id)}
        board = load_leaderboards(tournament, tournament.dataset, (View.STANDARD,))[View.STANDARD]
        return row, members, board.runs, stored.run_rows(tournament.config.state)

    if change == "damage":
        stored.flip_a_bit(tournament.config.state, "run", "labels", next(
            run.id for run in stored.runs(tournament.config.state) if run.name == "defense-mean"))
    before = seen()
    with far(tournament) as elsewhere:
        if change == "rules":
            rules = elsewhere.config.rules
            elsewhere.config = elsewhere.config.model_copy(update={"rules": rules.model_copy(update={"batch_size": 5})})
        if change == "entry":
            (root / "entries" / "attack-darken" / "note").write_text("another version")
            elsewhere.submit_configured()
        told = Told()
        with pytest.raises(EngineError, match="Ray"):
            play_round(elsewhere, elsewhere.dataset(), ProcessSandbox(root / "scratch"), Options(), told, lambda: False)
    assert seen() == before
    assert not told.sentences  # which belong to the run that does something about it


@pytest.mark.parametrize(("workers", "option", "had_gpu", "gpu"), [
    ({}, None, True, True),
    ({}, None, False, False),
    ({"gpus": "none"}, None, True, False),
    ({}, "none", True, False),
    ({"gpus": ("0",)}, None, False, True),
    ({"gpus": "none"}, ("0",), False, True),
    ({"require": Require(gpu="H100")}, None, False, True),
], ids=["as before", "as before, without", "none in the file", "none at the command", "one in the file", "one at the command",
        "a kind"])
def test_whether_runs_would_have_a_gpu_is_said_without_the_cluster(root, tournament, workers, option, had_gpu, gpu) -> None:
    with far(tournament, **{"gpus": "auto", **workers}) as elsewhere:
        machine = Machine(elsewhere, elsewhere.dataset(), ProcessSandbox(root / "scratch"), gpus=option, had_gpu=had_gpu)
        assert (machine.gpu, machine.known) == (gpu, False)


def test_a_new_entry_needs_the_cluster(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    with far(tournament) as elsewhere:
        (root / "entries" / "attack-darken" / "note").write_text("another version")
        elsewhere.submit_configured()
        with pytest.raises(EngineError, match="Ray"):
            finish(elsewhere, root)


def test_slots_are_what_the_command_line_says_else_the_file(tournament) -> None:
    assert [slot.name for slot in choose_slots(tournament.config)] == ["cpu0", "cpu1"]
    assert len(choose_slots(tournament.config, 5)) == 5


def test_half_written_files_of_a_killed_harness_are_removed(root, tournament) -> None:
    tournament.submit_configured()
    state = tournament.config.state
    halves = [state / place / "ab" / ".x.tmp" for place in ("artifacts", "cache")]
    for half in halves:
        half.parent.mkdir(parents=True)
        half.write_bytes(b"half")
    old, new = state / "submissions" / ".abc-old", state / "submissions" / ".abc-new"
    slow = state / "submissions" / ".abc-slow"
    for path in (old, new, slow):
        path.mkdir()
    (slow / "code").mkdir()
    (slow / "code" / "weights").write_bytes(b"half")
    for path in (old, slow, slow / "code"):
        os.utime(path, (1, 1))
    summary = finish(tournament, root)
    assert len([what for what in summary.removed if "half-written" in what]) == 3
    assert not any(half.exists() for half in halves)
    assert not old.exists()
    assert new.exists()  # somebody may be writing it right now
    assert slow.exists()  # the directories were made long ago, and a file in them is still being copied


def test_a_copy_that_vanishes_while_it_is_looked_at_is_nobodys_to_remove(tmp_path) -> None:
    assert node._half_written(tmp_path) == []
    workshop = tmp_path / "submissions" / ".abc-old"
    workshop.mkdir(parents=True)
    os.utime(workshop, (1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "walk", _and_then(os.walk, workshop.rmdir))
        assert node._half_written(tmp_path) == []
    assert not workshop.exists()


def _and_then(walk, happens):
    def walked(root):
        for found in walk(root):
            if Path(root).name == "submissions":
                happens()
            yield found
    return walked


def test_a_shared_store_is_searched_once_and_only_where_something_runs(root, tournament, monkeypatch) -> None:
    tournament.submit_configured()
    searched = []

    def search(place: str | None) -> list[str]:
        searched.append(place)
        return ["half-written x"]

    monkeypatch.setattr(machine, "remove_half_written", search)
    assert finish(tournament, root).removed[-1:] == ("half-written x",)
    assert finish(tournament, root).removed == ()
    assert searched == [tournament.config.store.artifacts]


def test_the_trace_is_written(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root, trace=root / "trace.json")
    events = json.loads((root / "trace.json").read_text())["traceEvents"]
    assert {event.get("cat") for event in events} >= {"run", "prepare", "collect"}
