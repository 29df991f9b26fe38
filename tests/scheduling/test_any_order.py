"""A contest under whatever can happen to it, in any order: the tables come out as if nothing had.

Board, scheduler, recorder and database are real, the machines are not. A run ends when the test says so, or too late, or is lost
with its node; the harness is killed before all that it recorded is on the disk; entries come, and stored inputs are damaged.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from benchmarks.synthetic import NullExecutor, Size, make_tournament, read_tournament
from harness.engine.base import SlotView
from harness.errors import EngineError
from harness.execution.job import Finished, Job, RunResult, Slot
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.scheduling.board import WAITING
from harness.scheduling.scheduler import Scheduler
from harness.scoring.leaderboard import build_leaderboard
from harness.store.recorder import Item, Recorder, RunFinish, RunStart
from harness.store.round_state import suspects
from harness.store.values import DONE
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament
from tests.helpers import stored

SIZE = Size(attacks=3, defenses=2, batches=2, images_per_batch=4)
#: Those of ``SIZE`` that come later, if they do.
LATE = ("a002", "d001")
NODES = {"north": 2, "south": 1}
#: Calls of `harness run` after which all must be done once nothing happens any more.
PATIENCE = 5
#: More than a call can need.
STEPS = 2000


@cache
def template() -> Path:
    """A tournament of the entries that are there from the beginning; the others lie beside it."""
    root = Path(tempfile.mkdtemp(prefix="any-order-"))
    make_tournament(root, SIZE)
    (root / "later").mkdir()
    for name in LATE:
        (root / "submissions" / name).rename(root / "later" / name)
    return root


@cache
def executor() -> NullExecutor:
    with Tournament(read_tournament(template())) as tournament:
        return NullExecutor(tournament.dataset().batches(SIZE.images_per_batch, (4, 8, 12, 16)))


def copy(added: frozenset[str] = frozenset()) -> Path:
    root = Path(tempfile.mkdtemp(prefix="any-order-")) / "contest"
    shutil.copytree(template(), root, ignore=shutil.ignore_patterns("state"))
    for name in added:
        add(root, name)
    return root


def add(root: Path, name: str) -> None:
    (root / "later" / name).rename(root / "submissions" / name)


def answer(job: Job) -> RunResult:
    """What a run of this job results in: always the same."""
    made_up = executor()
    return made_up.collect(made_up.perform(made_up.prepare(job), None, threading.Event()))


def host_error(why: str, corrupt_input: str | None = None, *, node_lost: bool = False,
               others_may: bool = False) -> RunResult:
    return RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=why), corrupt_input=corrupt_input,
                     node_lost=node_lost, others_may=others_may)


class Fleet:
    """Machines on a virtual clock; only the test ends a run."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running: list[tuple[Job, Slot]] = []
        self.ended: list[Finished] = []
        self.down: set[str] = set()
        self.damaged: set[str] = set()
        self._slots = [Slot(f"{node}{number}", None, node) for node, count in NODES.items() for number in range(count)]
        self._rest_until: dict[Slot, float] = {}

    def finish(self, job: Job) -> RunResult:
        """The result of a run that ends now; one whose input is damaged finds that out."""
        if job.input_digest in self.damaged:
            return host_error("a damaged input", job.input_digest)
        result = answer(job)
        if result.made is not None:
            self.damaged.discard(result.made.digest)  # stored anew
        return result

    def _free(self) -> list[Slot]:
        busy = {slot for _, slot in self.running}
        return [s for s in self._slots if s not in busy and s.node not in self.down and self._rest_until.get(s, 0.0) <= self.now]

    def room(self) -> int:
        return len(self._free())

    def submit(self, job: Job) -> None:
        self.running.append((job, self._free()[0]))

    def wait(self, timeout_s: float) -> list[Finished]:
        self.now += timeout_s
        ended, self.ended = self.ended, []
        return ended

    def open_programs(self) -> Mapping[str, int]:
        return {}

    def rest(self, slot: Slot, seconds: float) -> None:
        self._rest_until[slot] = self.now + seconds

    def usable_slots(self) -> int:
        return sum(not math.isinf(self._rest_until.get(slot, 0.0)) for slot in self._slots)

    def absent(self) -> dict[str, str]:
        return {}

    def view(self) -> list[SlotView]:
        return []

    def stop(self) -> None:
        self.running.clear()
        self.ended.clear()

    def restarted(self) -> None:
        """A new harness has slots of its own; machines and files stay as they are."""
        self._rest_until.clear()


class Disk:
    """What the scheduler records reaches the database in order, and only when the test lets it: a crash loses the end of it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.pending: list[tuple[Item, ...]] = []
        self.done: set[int] = set()
        self.accepted: Counter[tuple[int, int]] = Counter()

    def put(self, *items: Item) -> None:
        self.pending.append(items)

    def commit(self, count: int | None = None) -> None:
        taken = self.pending[:count]
        del self.pending[:count]
        for items in taken:
            self._recorder.put(*items)
            for item in items:
                if isinstance(item, RunStart):
                    self.done.discard(item.id)
                elif isinstance(item, RunFinish) and item.state == DONE:
                    self.done.add(item.id)
                    self.accepted[item.id, item.attempt] += 1
        self._recorder.flush()


class Call:
    """One call of `harness run`, from the rows that it finds."""

    def __init__(self, root: Path, fleet: Fleet) -> None:
        self._stack = contextlib.ExitStack()
        self.tournament = self._stack.enter_context(Tournament(read_tournament(root)))
        self.tournament.submit_configured()
        round_ = self.tournament.open_round(self.tournament.dataset(), sandbox="process")
        logs = self.tournament.store.logs()
        self._stack.callback(logs.close)
        recorder = self.tournament.store.recorder(logs)
        self._stack.callback(recorder.close)
        self.disk = Disk(recorder)
        self.scheduler = Scheduler(round_.lineup, round_.board, round_.store_state, fleet, self.disk, clock=lambda: fleet.now)

    def runs(self) -> list[tuple[tuple[int, int, int], int, bool]]:
        """Key, id and whether there is a result, of every run."""
        with self.tournament.read() as transaction:
            return stored.run_keys(transaction)

    def tables(self) -> str:
        """The leaderboard as it is published."""
        board = build_leaderboard(load_results(self.tournament, self.tournament.dataset()), resamples=10).to_json()
        return json.dumps(board, sort_keys=True)

    def close(self) -> None:
        self._stack.close()


def run_to_its_end(call: Call, fleet: Fleet) -> bool:
    """Whether all was done in this call; nothing happens to it meanwhile."""
    steps = 0
    with contextlib.suppress(EngineError):
        while call.scheduler.step():
            steps += 1
            assert steps < STEPS, "it never ends"
            fleet.ended += [Finished(job, slot, fleet.finish(job)) for job, slot in fleet.running]
            fleet.running.clear()
    call.disk.commit()
    counts = call.scheduler.board.counts()
    return counts[DONE] == call.scheduler.board.total


@cache
def straight(added: frozenset[str]) -> tuple[str, int]:
    """The tables of a contest to which nothing happens, and its runs."""
    root, fleet = copy(added), Fleet()
    call = Call(root, fleet)
    try:
        assert run_to_its_end(call, fleet)
        return call.tables(), len(call.runs())
    finally:
        call.close()
        shutil.rmtree(root.parent)


class Contest(RuleBasedStateMachine):
    """All that can happen."""

    @initialize()
    def begin(self) -> None:
        self.root = copy()
        self.fleet = Fleet()
        self.added: frozenset[str] = frozenset()
        self.has_damaged = False
        #: Runs that somebody may still bring a result of: their node or their harness was lost, and they went on.
        self.lost: list[tuple[Job, Slot]] = []
        self.call: Call | None = Call(self.root, self.fleet)

    def running(self) -> bool:
        return bool(self.fleet.running)

    @precondition(lambda self: self.call is not None)
    @rule()
    def step(self) -> None:
        try:
            if not self.call.scheduler.step(1.0):
                assert self.call.scheduler.in_flight == 0
        except EngineError:
            self.kill()

    @precondition(lambda self: self.call is not None)
    @rule(count=st.integers(1, 12), durable=st.booleans())
    def work_on(self, count: int, durable: bool) -> None:
        """Nothing happens for a while."""
        for _ in range(count):
            self.step()
            if self.call is None:
                return
            self.fleet.ended += [Finished(job, slot, self.fleet.finish(job)) for job, slot in self.fleet.running]
            self.fleet.running.clear()
            if durable:
                self.call.disk.commit()

    @precondition(running)
    @rule(which=st.integers(0, 2))
    def finish(self, which: int) -> None:
        job, slot = self.fleet.running.pop(which % len(self.fleet.running))
        self.fleet.ended.append(Finished(job, slot, self.fleet.finish(job)))

    @precondition(lambda self: self.call is not None and self.lost)
    @rule(which=st.integers(0, 5), keep=st.booleans())
    def finish_late(self, which: int, keep: bool) -> None:
        job, slot = self.lost[which % len(self.lost)]
        if not keep:
            self.lost.remove((job, slot))
        self.fleet.ended.append(Finished(job, slot, self.fleet.finish(job)))

    @rule(node=st.sampled_from(sorted(NODES)), heals=st.booleans())
    def lose_a_node(self, node: str, heals: bool) -> None:
        """Where it was only cut off, its results come after its runs were begun again elsewhere."""
        self.fleet.down.add(node)
        gone = [(job, slot) for job, slot in self.fleet.running if slot.node == node]
        self.lost += gone
        self.fleet.running = [(job, slot) for job, slot in self.fleet.running if slot.node != node]
        self.fleet.ended += [Finished(job, slot, host_error(f"node {node} was lost", node_lost=True)) for job, slot in gone]
        if heals and self.call is not None:
            self.fleet.down.discard(node)
            self.step()
            self.fleet.ended += [Finished(job, slot, self.fleet.finish(job)) for job, slot in gone]

    @precondition(lambda self: self.fleet.down)
    @rule()
    def a_node_comes_back(self) -> None:
        self.fleet.down.discard(min(self.fleet.down))

    @precondition(lambda self: self.call is not None and self.call.disk.pending)
    @rule(count=st.integers(1, 4))
    def reach_the_disk(self, count: int) -> None:
        self.call.disk.commit(count)

    @precondition(lambda self: self.call is not None)
    @rule()
    def kill(self) -> None:
        """What was not on the disk is lost, and what ran may still run."""
        self.check_rows()
        self.lost += self.fleet.running
        self.fleet.stop()
        self.call.close()
        self.call = None

    @precondition(lambda self: self.call is not None)
    @rule()
    def interrupt(self) -> None:
        self.call.scheduler.cancel()
        self.call.disk.commit()
        self.kill()

    @precondition(lambda self: self.call is None)
    @rule(late=st.booleans())
    def resume(self, late: bool = False) -> None:
        """With results that runs of the harness that was killed bring when the new one has begun its own."""
        self.fleet.restarted()
        self.call = Call(self.root, self.fleet)
        if late:
            self.step()
            self.fleet.ended += [Finished(job, slot, self.fleet.finish(job)) for job, slot in self.lost]

    @precondition(lambda self: self.call is None and len(self.added) < len(LATE))
    @rule()
    def add_an_entry(self) -> None:
        name = LATE[len(self.added)]
        add(self.root, name)
        self.added |= {name}

    def waited_for(self) -> list[str]:
        """Digests of stored inputs that somebody has still to be run on."""
        board = self.call.scheduler.board if self.call is not None else None
        return [] if board is None else [made.digest for index, made in enumerate(board.inputs)
                                         if index >= SIZE.batches and (board.defense_state[index] == WAITING).any()]

    @precondition(lambda self: bool(self.waited_for()))
    @rule(which=st.integers(0, 20))
    def damage_an_artifact(self, which: int) -> None:
        digests = self.waited_for()
        self.has_damaged = True
        self.fleet.damaged.add(digests[which % len(digests)])

    @invariant()
    def no_attempt_has_two_results(self) -> None:
        if getattr(self, "call", None) is not None:
            assert all(count == 1 for count in self.call.disk.accepted.values())

    @invariant()
    def nobody_pays_for_a_lost_node(self) -> None:
        if getattr(self, "call", None) is not None and not self.has_damaged:
            progress = self.call.scheduler.progress
            assert not progress.given_up
            assert not progress.left_out

    def check_rows(self) -> None:
        runs = self.call.runs()
        assert len({key for key, _, _ in runs}) == len(runs), "a key has two rows"
        assert self.call.disk.done <= {run for _, run, done in runs if done}, "a result that was on the disk is gone"

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        try:
            if self.call is not None:
                self.step()
            if self.call is not None:
                self.call.disk.commit()
                self.kill()
            self.fleet.down.clear()
            for _ in range(PATIENCE):
                self.resume()
                complete = run_to_its_end(self.call, self.fleet)
                self.check_rows()
                if complete:
                    break
                self.kill()
            assert complete, "something is never done"
            tables, runs = straight(self.added)
            assert all(done for _, _, done in self.call.runs())
            assert len(self.call.runs()) == runs, "a run is lost, or made twice"
            assert self.call.tables() == tables
        finally:
            if self.call is not None:
                self.call.close()
            shutil.rmtree(self.root.parent)


@pytest.mark.parametrize("why", ["node_lost", "others_may", ""])
def test_the_next_call_suspects_nobody_for_a_node(why) -> None:
    root, fleet = copy(), Fleet()
    call = Call(root, fleet)
    try:
        call.scheduler.step(1.0)
        failed = host_error("it went away", node_lost=why == "node_lost", others_may=why == "others_may")
        fleet.ended += [Finished(job, slot, failed) for job, slot in fleet.running]
        fleet.running.clear()
        call.scheduler.step(1.0)
        call.disk.commit()
        with call.tournament.read() as transaction:
            assert bool(suspects(transaction, Outcome.HOST_ERROR)) is not bool(why)
    finally:
        call.close()
        shutil.rmtree(root.parent)


@pytest.fixture(scope="module", autouse=True)
def _tidy():
    yield
    shutil.rmtree(template())


TestContest = Contest.TestCase
TestContest.settings = settings(max_examples=15, stateful_step_count=30,
                                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
