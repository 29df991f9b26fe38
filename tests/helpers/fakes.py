"""A lineup, an engine and a sink that do nothing but what the test says, on a virtual clock."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.dataset.load import Batch
from harness.engine.base import SlotView
from harness.execution.job import AdversarialBatch, Finished, Job, RunResult, Slot
from harness.formats.answers import Answers
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.scheduling.board import Board, PlannedInput
from harness.scheduling.entrants import Entrant, Lineup
from harness.store.recorder import Evidence, Item, Log, NewInput, RunFinish, RunStart
from harness.store.values import DONE, OPEN, RUNNING
from harness.tracks import Threat

IMAGES = 3


def make_batches(count: int, images: int = IMAGES) -> tuple[Batch, ...]:
    def batch(index: int) -> Batch:
        ids = tuple(f"{index:04d}{i:04d}" for i in range(images))
        return Batch(index=index, ids=ids, labels=np.zeros(images, np.int32), targets=np.ones(images, np.int32), bound=16,
                     clean_digest=f"clean{index}", task_digest=f"task{index}")

    return tuple(batch(index) for index in range(count))


def make_field(attacks: int, defenses: int, batches: int, images: int = IMAGES) -> Lineup:
    def entrant(number: int, name: str, role: str) -> Entrant:
        return Entrant(number, name, role, Program(name, None, None, None), Limits(), 1)

    return Lineup(
        tuple(entrant(1 + a, f"attack{a}", "attack") for a in range(attacks)),
        tuple(entrant(1 + attacks + d, f"defense{d}", "defense") for d in range(defenses)),
        make_batches(batches, images), tuple(range(1, batches + 1)), {Threat.LINF: tuple(range(1, batches + 1))})


def clean_inputs(batches: int, images: int = IMAGES) -> list[PlannedInput]:
    return [PlannedInput(b, f"clean{b}", batches + 1 + b, np.ones(images, bool)) for b in range(batches)]


def make_board(lineup: Lineup) -> Board:
    return Board(len(lineup.attacks), len(lineup.defenses), clean_inputs(len(lineup.batches), len(lineup.batches[0].ids)))


def good_result(job: Job, digest: str | None = None, outcome: Outcome = Outcome.OK) -> RunResult:
    """What an honest run leaves: one perturbed batch per attack and batch, or one label per image."""
    n = len(job.batch.ids)
    if outcome in (Outcome.HOST_ERROR, Outcome.CANCELLED):
        return RunResult(outcome=outcome, report=RunReport(Ending(outcome.value)))
    report = RunReport(Ending.FINISHED, exit_code=0, wall_s=1.0)
    if job.track == "defense":
        answers = Answers(np.zeros(n, np.int16), np.ones(n, bool))
        return RunResult(outcome=outcome, report=report, usable=n, expected=n, answers=answers)
    made = AdversarialBatch(digest or f"{job.name}-{job.batch.index}", np.ones(n, bool), np.ones(n, bool), 10)
    return RunResult(outcome=outcome, report=report, usable=n, expected=n, made=made)


@dataclass
class Ledger:
    """A sink that keeps rows as the database would, and counts what must not happen."""

    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[int, NewInput] = field(default_factory=dict)
    accepted: Counter[int] = field(default_factory=Counter)
    fail_after: float = math.inf

    def put(self, *items: Item) -> None:
        for item in items:
            self._put(item)

    def _put(self, item: Item) -> None:
        match item:
            case RunStart():
                if item.new:
                    assert item.id not in self.runs
                    keys = {(r["submission"], r["input"]) for r in self.runs.values()}
                    assert (item.submission_id, item.input_id) not in keys
                    self.runs[item.id] = {"submission": item.submission_id, "input": item.input_id}
                else:
                    assert item.attempt == self.runs[item.id]["attempt"] + 1
                self.runs[item.id] |= {"attempt": item.attempt, "state": RUNNING}
            case RunFinish():
                row = self.runs[item.id]
                assert row["attempt"] == item.attempt
                assert row["state"] == RUNNING
                row |= {"state": item.state, "output": item.output_id, "outcome": item.outcome}
                self.accepted.update([item.id] if item.state == DONE else [])
                if item.output_id is not None and item.output_id > 10_000:
                    assert item.output_id in self.inputs
            case NewInput():
                assert item.id not in self.inputs
                self.inputs[item.id] = item
            case Evidence() | Log():
                pass

    def unfinished(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {(r["submission"], r["input"]): (run, r["attempt"]) for run, r in self.runs.items() if r["state"] in (RUNNING, OPEN)}

    def done(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {(r["submission"], r["input"]): (run, r["attempt"]) for run, r in self.runs.items() if r["state"] == DONE}


class FakeEngine:
    """Slots on a virtual clock: each job takes a random time; what it results in is the test's choice."""

    def __init__(self, slots: int, decide: Callable[[Job], RunResult], rng: random.Random) -> None:
        self.slots = [Slot(f"s{i}") for i in range(slots)]
        self._decide = decide
        self._rng = rng
        self.now = 0.0
        self._running: list[tuple[float, Job, Slot]] = []
        self._rest_until: dict[Slot, float] = {}
        self.submitted: list[Job] = []
        self.stopped = False
        self.held: list[Finished] = []

    def _free(self) -> list[Slot]:
        busy = {slot for _, _, slot in self._running}
        return [s for s in self.slots if s not in busy and not math.isinf(self._rest_until.get(s, 0.0))]

    def room(self) -> int:
        return len(self._free())

    def submit(self, job: Job) -> None:
        slot = self._rng.choice(self._free())
        self.submitted.append(job)
        start = max(self.now, self._rest_until.get(slot, 0.0))
        self._running.append((start + self._rng.random() + 0.01, job, slot))

    def wait(self, timeout_s: float) -> list[Finished]:
        late, self.held = self.held, []
        if not self._running:
            return late
        self._running.sort(key=lambda entry: entry[0])
        until, job, slot = self._running.pop(0)
        self.now = max(self.now, until)
        result = self._decide(job)
        finished = Finished(job, slot, result)
        if self._rng.random() < 0.1:
            self.held.append(finished)  # the same result comes a second time, late
        return [*late, finished]

    def open_programs(self) -> dict[str, int]:
        return {}

    def rest(self, slot: Slot, seconds: float) -> None:
        self._rest_until[slot] = self.now + seconds

    def usable_slots(self) -> int:
        return sum(not math.isinf(self._rest_until.get(s, 0.0)) for s in self.slots)

    def absent(self) -> dict[str, str]:
        return {}

    def view(self) -> list[SlotView]:
        return []

    def stop(self) -> None:
        self.stopped = True
        self._running.clear()
