"""The local engine with an executor that does only what the test says: events instead of times."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from harness.engine.local import LocalEngine
from harness.engine.node import LATE_S, Node
from harness.execution.input_files import Layout
from harness.execution.job import Job, Performed, Prepared, RunResult, Slot
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from tests.helpers.fakes import make_batches

PATIENCE_S = 30.0


def make_job(run: int) -> Job:
    batch = make_batches(1)[0]
    return Job(run_id=run, attempt=1, name=f"entry{run}", track="attack", program=Program("d", None, None, None),
               batch=batch.unlabelled(), input_digest="", produced=np.ones(len(batch.ids), bool), limits=Limits())


@dataclass
class FakeExecutor:
    """Each stage waits until it is let go, and tells that it was reached."""

    hold: dict[str, threading.Event] = field(default_factory=dict)
    reached: list[tuple[str, int]] = field(default_factory=list)
    gpus: dict[int, str | None] = field(default_factory=dict)
    report: RunReport = field(default_factory=lambda: RunReport(Ending.FINISHED, exit_code=0))
    breaks: str = ""

    def _stage(self, stage: str, run: int, cancel: threading.Event | None = None) -> None:
        self.reached.append((stage, run))
        if self.breaks == stage:
            raise RuntimeError(stage)
        held = self.hold.get(stage) or self.hold.get(f"{stage}{run}")
        until = time.monotonic() + PATIENCE_S
        while held is not None and not held.wait(0.01) and not (cancel and cancel.is_set()):
            assert time.monotonic() < until

    def bring(self, job: Job) -> None:
        """Nothing has to come."""

    def prepare(self, job: Job) -> Prepared:
        self._stage("prepare", job.run_id)
        return Prepared(job=job, directory=Path(), layout=Layout.draw(job.produced), arrays=False, prepare_s=0.0)

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        assert isinstance(stage, Prepared)
        self.gpus[stage.job.run_id] = gpu
        self._stage("perform", stage.job.run_id, cancel)
        report = replace(self.report, ending=Ending.CANCELLED) if cancel.is_set() else self.report
        return Performed(prepared=stage, report=report, output=None)

    def collect(self, stage: Performed | RunResult) -> RunResult:
        assert isinstance(stage, Performed)
        self._stage("collect", stage.prepared.job.run_id)
        return RunResult(outcome=Outcome.OK, report=stage.report)

    def close(self) -> None:
        self.reached.append(("close", 0))

    def has(self, stage: str, run: int) -> bool:
        until = time.monotonic() + PATIENCE_S
        while (stage, run) not in self.reached:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True


@pytest.fixture
def engines():
    made: list[LocalEngine] = []
    nodes: list[Node] = []

    def make(executor: FakeExecutor, slots: int = 2, **more) -> LocalEngine:
        nodes.append(Node(executor, **more))
        made.append(LocalEngine(nodes[-1], [Slot(f"s{i}") for i in range(slots)]))
        return made[-1]

    yield make
    for engine in made:
        engine.stop()
    for node in nodes:
        node.close()


def results(engine: LocalEngine, count: int) -> list[int]:
    found: list[int] = []
    until = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < until:
        found += [finished.job.run_id for finished in engine.wait(0.05)]
    return sorted(found)


def test_each_job_comes_back_once(engines) -> None:
    engine = engines(FakeExecutor())
    for run in range(20):
        engine.submit(make_job(run))
    assert results(engine, 20) == list(range(20))
    assert engine.wait(0.05) == []


def test_it_takes_one_job_per_slot_and_one_ahead(engines) -> None:
    let = threading.Event()
    executor = FakeExecutor({"perform": let})
    engine = engines(executor)
    assert engine.room() == 4
    for run in range(4):
        engine.submit(make_job(run))
    assert engine.room() == 0
    # The ones ahead are laid out while the slots are busy: no slot waits for an input.
    assert all(executor.has("prepare", run) for run in range(4))
    assert executor.has("perform", 0)
    assert executor.has("perform", 1)
    assert ("perform", 2) not in executor.reached
    let.set()
    assert results(engine, 4) == [0, 1, 2, 3]
    assert engine.room() == 4


def test_a_slot_runs_the_next_while_the_last_is_read_back(engines) -> None:
    let = threading.Event()
    executor = FakeExecutor({"collect0": let})
    engine = engines(executor, 1)
    engine.submit(make_job(0))
    engine.submit(make_job(1))
    assert executor.has("collect", 0)
    assert executor.has("perform", 1)
    let.set()
    assert results(engine, 2) == [0, 1]


def test_reading_back_that_lags_behind_stops_new_work(engines) -> None:
    let = threading.Event()
    executor = FakeExecutor({"collect": let})
    engine = engines(executor, 1)
    for run in range(3):
        engine.submit(make_job(run))
        assert executor.has("perform", run)
    until = time.monotonic() + PATIENCE_S
    while engine.room() and time.monotonic() < until:
        time.sleep(0.002)
    assert engine.room() == 0
    let.set()
    assert results(engine, 3) == [0, 1, 2]
    assert engine.room() == 2


def test_a_resting_slot_gets_nothing_and_the_other_goes_on(engines) -> None:
    executor = FakeExecutor()
    engine = engines(executor)
    engine.rest(Slot("s0"), 3600)
    for run in range(10):
        engine.submit(make_job(run))
    slots = set()
    found = 0
    until = time.monotonic() + PATIENCE_S
    while found < 10 and time.monotonic() < until:
        for finished in engine.wait(0.05):
            slots.add(finished.slot.name)
            found += 1
    assert found == 10
    assert slots == {"s1"}
    assert engine.usable_slots() == 2
    assert [view.resting for view in engine.view()] == [True, False]


def test_a_slot_in_quarantine_counts_no_more(engines) -> None:
    engine = engines(FakeExecutor())
    engine.rest(Slot("s0"), math.inf)
    assert engine.usable_slots() == 1
    assert engine.room() == 2
    engine.rest(Slot("s1"), math.inf)
    assert engine.usable_slots() == 0
    assert engine.room() == 0


def test_a_rested_slot_works_again(engines) -> None:
    engine = engines(FakeExecutor(), 1)
    engine.rest(Slot("s0"), 0.05)
    engine.submit(make_job(0))
    assert results(engine, 1) == [0]


def test_stopping_cancels_what_runs_and_returns_when_nothing_does(engines) -> None:
    executor = FakeExecutor({"perform": threading.Event()})
    engine = engines(executor)
    for run in range(4):
        engine.submit(make_job(run))
    assert executor.has("perform", 1)
    engine.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("job")]


def test_stopping_while_every_slot_rests(engines) -> None:
    engine = engines(FakeExecutor())
    for slot in ("s0", "s1"):
        engine.rest(Slot(slot), math.inf)
    engine.submit(make_job(0))
    engine.stop()


@pytest.mark.parametrize("stage", ["prepare", "perform", "collect"])
def test_a_bug_of_ours_ends_the_command_instead_of_hanging_it(engines, stage) -> None:
    engine = engines(FakeExecutor(breaks=stage))
    engine.submit(make_job(0))
    with pytest.raises(RuntimeError, match=stage):
        results(engine, 1)


@pytest.mark.parametrize(("over", "overloaded"), [(LATE_S / 2, False), (LATE_S * 2, True)])
def test_a_program_killed_long_after_its_limit_was_not_watched(engines, monkeypatch, over, overloaded) -> None:
    monkeypatch.setattr("harness.engine.host_load.OVERLOADED", math.inf)
    limit = Limits().time_limit_s
    engine = engines(FakeExecutor(report=RunReport(Ending.TIME_LIMIT, wall_s=limit + over)), 1)
    engine.submit(make_job(0))
    found = engine.wait(PATIENCE_S)
    assert [finished.overloaded for finished in found] == [overloaded]


def test_a_run_that_must_be_alone_runs_alone(engines) -> None:
    let = threading.Event()
    executor = FakeExecutor({"perform0": let})
    engine = engines(executor)
    engine.submit(make_job(0))
    assert executor.has("perform", 0)
    engine.submit(replace(make_job(1), alone=True))
    engine.submit(make_job(2))
    time.sleep(0.1)
    assert ("perform", 1) not in executor.reached
    let.set()
    assert results(engine, 3) == [0, 1, 2]


def test_a_job_learns_its_slots_gpu() -> None:
    executor = FakeExecutor()
    node = Node(executor)
    engine = LocalEngine(node, [Slot("gpu0", "GPU-abc")])
    engine.submit(make_job(0))
    assert results(engine, 1) == [0]
    engine.stop()
    node.close()
    assert executor.gpus == {0: "GPU-abc"}
