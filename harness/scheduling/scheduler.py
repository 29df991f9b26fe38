"""Hands ready runs to free slots and records their results; the only writer of runs.

It holds no state of its own: the board says what is ready, the rows say what is done, and the same events bring both to the same
state. A result is accepted once, from the attempt that is recorded as current. Host errors are retried elsewhere; everything else
counts as it is.

One submission cannot stop the others: a slot backs off after host errors of several submissions in a row, and a submission that
only makes the host fail is given up until the next call, when it comes last.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.dataset.load import UnlabelledBatch
from harness.engine.base import Engine
from harness.errors import EngineError
from harness.event_log import facts
from harness.execution.job import Finished, Job, Opponent, RunResult, Slot
from harness.execution.query_broker import DuelResult
from harness.sandbox.outcomes import POLICY, Outcome
from harness.scheduling.board import NO_INPUT, Board, Kind, PlannedInput, Task
from harness.scheduling.entrants import Entrant, KnownInput, Lineup, StoreState
from harness.scheduling.mixing import halves, mixed_inputs
from harness.scheduling.priority import Choice
from harness.scoring.records import make_record
from harness.store.recorder import Evidence, Item, Log, NewInput, PlayedDuel, RunFinish, RunStart
from harness.store.rounds import pack_bits
from harness.store.values import DONE, OPEN
from harness.tracks import Access, labels

#: Attempts of one run before the harness gives up on it until the next `harness run`.
MAX_ATTEMPTS = 3
#: Host errors in a row after which a slot gets no more work, and after which a submission gets no more slots.
QUARANTINE_AFTER = 5
#: First back-off of a slot after host errors of two submissions in a row, seconds; doubled for each further one.
FIRST_REST_S = 1.0
#: Longest back-off: where the host is at fault, every submission has to show it before a slot is put out of service.
LONGEST_REST_S = 8.0

_LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """Where records go (the store's recorder)."""

    def put(self, *items: Item) -> None:
        """Take items to be made durable in order."""


@dataclass
class Progress:
    """What happened so far in this call of the scheduler.

    Attributes:
        left_out: Submissions that were given up for now, with the last failure of each.
    """

    started: int = 0
    finished: int = 0
    failed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    corrupt_inputs: int = 0
    repeated_alone: int = 0
    host_errors: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)


class Scheduler:
    """Runs a board to its end.

    Args:
        lineup: Who takes part.
        board: The runs, with the store's results already on it.
        store_state: What the store has of runs without a result.
        engine: Where jobs execute.
        sink: Where records go.
        clock: Wall clock, for records only.
        on_finished: Called after each accepted result.
        progress: Counted on, where several boards make one call of `harness run`.
    """

    def __init__(self, lineup: Lineup, board: Board, store_state: StoreState, engine: Engine, sink: Sink,
                 clock: Callable[[], float] = time.time,
                 on_finished: Callable[[Finished], None] | None = None, progress: Progress | None = None) -> None:
        self.lineup = lineup
        self.board = board
        # Jobs travel; true labels stay here.
        self._shown = [batch.unlabelled() for batch in lineup.batches]
        self.progress = progress or Progress()
        self._engine = engine
        self._sink = sink
        self._clock = clock
        self._on_finished = on_finished
        self._next_run_id = store_state.next_run_id
        self._next_input_id = store_state.next_input_id
        self._unfinished = dict(store_state.unfinished)
        self._attacks_done = dict(store_state.attacks)
        self._known_inputs = dict(store_state.known_inputs)
        self._alone: set[Task] = set()
        self._slow: set[int] = set()
        self._choice = Choice(lineup, board)
        for submission in set(lineup.everybody).intersection(store_state.suspects):
            self._choice.suspect(submission)
        self._in_flight: dict[int, tuple[Task, Job]] = {}
        self._tries: Counter[int] = Counter()
        self._bad_in_a_row: dict[Slot, list[int]] = {}
        self._failures: Counter[int] = Counter()
        self._proven = {entrant.stored_id for entrant in (*lineup.attacks, *lineup.consumers) if not math.isnan(entrant.expected_s)}

    def step(self, timeout_s: float = 0.25) -> bool:
        """Fill free slots, then wait for results; False when nothing is left to do.

        Raises:
            EngineError: Every slot is out of service.
            StoreError: Results can no longer be recorded.
        """
        if self._choice.serving:
            self._choice.opened(self._engine.open_programs())
        while self._engine.room() > 0:
            task = self._choice.next()
            if task is None:
                break
            self._start(task)
        if not self._in_flight:
            self._give_up()
            return False
        for finished in self._engine.wait(timeout_s):
            self._accept(finished)
        if self._engine.usable_slots() == 0:
            raise self._nowhere_left()
        return True

    def _nowhere_left(self) -> EngineError:
        names = sorted(self._engine.absent())
        lost = f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} lost" if names else ""
        if lost and not self._engine.view():
            return EngineError(f"No machine is left: {lost}.",
                               "Start Ray there again, or on other machines, then `harness run` again; nothing recorded is lost.")
        reason = next((reason for reason, _ in self.progress.host_errors.most_common(1)), "no reason is known.")
        return EngineError(f"Every slot has failed repeatedly on the host's side{lost and f' ({lost})'}; no usable slot is left: "
                           f"{reason}", "Run `harness doctor`, then `harness run` again; nothing recorded is lost.")

    def run(self) -> Progress:
        """Step until nothing is left."""
        while self.step():
            pass
        return self.progress

    def cancel(self) -> None:
        """Cancel running jobs and record that they were cancelled; ``harness run`` resumes them."""
        self._engine.stop()
        for run_id, (_, job) in self._in_flight.items():
            self._sink.put(RunFinish(run_id, job.attempt, OPEN, Outcome.CANCELLED.value, None, None, 0, 0.0, 0.0, None, None))
        self._in_flight.clear()

    def remaining_s(self) -> float | None:
        """Expected run time of everything that has no result yet, over all slots, seconds; None while nothing is known."""
        given = ((view.since_s, self._in_flight.get(view.job.run_id)) for view in self._engine.view() if view.job is not None)
        return self._choice.remaining_s({booked[0]: since_s for since_s, booked in given if booked is not None})

    @property
    def in_flight(self) -> int:
        """Runs given to the engine and not returned yet."""
        return len(self._in_flight)

    def _start(self, task: Task) -> None:
        entrant, input_id, digest, batch_position, produced = self._describe(task)
        known = self._unfinished.pop((entrant.stored_id, input_id), None)
        run_id, attempt = (known[0], known[1] + 1) if known else (self._next_run_id, 1)
        if known is None:
            self._next_run_id += 1
        self._choice.started(task)
        self._sink.put(RunStart(run_id, entrant.stored_id, input_id, entrant.conditions_id, attempt, self._clock(),
                                new=known is None))
        self.progress.started += 1
        job = Job(
            run_id=run_id, attempt=attempt, name=entrant.name, track=entrant.track, program=entrant.program,
            batch=self._shown_to(task, batch_position), input_digest=digest, produced=produced, limits=entrant.limits,
            clean=task.kind is Kind.DEFENSE and task.item < self.board.batches, served=entrant.served,
            alone=task in self._alone, parts=self._parts(task), labels=self.lineup.labels, opponent=self._opponent(entrant))
        self._in_flight[run_id] = (task, job)
        self._engine.submit(job)

    def _opponent(self, entrant: Entrant) -> Opponent | None:
        """The opponent that an attack queries."""
        if entrant.duel is None or entrant.duel.access is not Access.QUERY:
            return None
        other = self.lineup.defenses[entrant.duel.opponent]
        return Opponent(name=other.name, track=other.track, program=other.program, limits=other.limits,
                        budget=entrant.duel.budget, classes=entrant.duel.classes)

    def _shown_to(self, task: Task, batch: int) -> UnlabelledBatch:
        """A defense knows no bound, so any will do."""
        return self._shown[batch] if task.kind is Kind.DEFENSE else self.lineup.task(task.entry, batch)[0].unlabelled()

    def _parts(self, task: Task) -> tuple[tuple[str, bool, NDArray[np.intp]], ...]:
        parts = self.board.inputs[task.item].parts if task.kind is Kind.DEFENSE else None
        if parts is None:
            return ()
        return tuple((self.board.inputs[source].digest, source < self.board.batches, np.flatnonzero(parts == source))
                     for source in np.unique(parts[parts >= 0]).tolist())

    def _describe(self, task: Task) -> tuple[Entrant, int, str, int, NDArray[np.bool_]]:
        if task.kind is Kind.ATTACK:
            batch, task_input = self.lineup.task(task.entry, task.item)
            digest = self.lineup.task_digest(task.entry, task.item)
            return self.lineup.attacks[task.entry], task_input, digest, task.item, np.ones(len(batch.ids), bool)
        planned = self.board.inputs[task.item]
        return self.lineup.consumers[task.entry], planned.stored_id, planned.digest, planned.batch, planned.produced

    def _accept(self, finished: Finished) -> None:
        job, result = finished.job, finished.result
        booked = self._in_flight.get(job.run_id)
        if booked is None or not (job is booked[1] or _same(booked[1], job)):
            _LOG.info("A late result of an attempt that was given up is dropped.", extra=_facts(finished))
            return
        task = self._in_flight.pop(job.run_id)[0]
        submission = self.lineup.entrant(task.kind, task.entry).stored_id
        self._choice.ended(task)
        final = POLICY[result.outcome].final
        limited = final and Outcome.TIME_LIMIT in {result.outcome, result.duel and result.duel.opponent.outcome}
        if limited and task in self._alone:
            # Slow on an idle host too. Its own threads may be what overloads the host: do not rerun it exclusively again.
            self._slow.add(submission)
        elif limited and finished.overloaded and submission not in self._slow:
            # The rule of docs/scoring.md: once more, alone, before it counts.
            final = False
            self._alone.add(task)
            self.progress.repeated_alone += 1
            _LOG.info("A run hit its time limit on an overloaded host and is repeated alone.", extra=_facts(
                finished, load_per_core=finished.load_per_core))
        made, new_inputs = self._put_made(task, result) if final else (NO_INPUT, [])
        self._record(task, finished, DONE if final else OPEN, made, new_inputs)
        if final:
            self._bad_in_a_row.pop(finished.slot, None)
            for each in self.lineup.involved(task.kind, task.entry):
                self._failures.pop(each, None)
                self._proven.add(each)
            self.board.finish(task, made)
            if task.kind is Kind.ATTACK:
                self._attacks_done[self._key(task)] = (job.run_id, job.attempt)
                if self.lineup.attacks[task.entry].duel is None:
                    self._mix(task.item)
            self.progress.finished += 1
            self._choice.learn(task, result.report.wall_s + (result.duel.opponent.report.wall_s if result.duel else 0.0))
        else:
            self._retry(task, finished)
        self.progress.outcomes[result.outcome.value] += 1
        self.progress.failed += result.outcome is not Outcome.OK
        if self._on_finished is not None:
            self._on_finished(finished)

    def _put_made(self, task: Task, result: RunResult) -> tuple[int, list[NewInput]]:
        """Put what an attack made on the board, and its halves; the records for those that the store has not got yet."""
        made = result.made
        if task.kind is Kind.DEFENSE or made is None:
            return NO_INPUT, []
        records = []
        duel = self.lineup.attacks[task.entry].duel
        opponent = None if duel is None else duel.opponent
        index = self.board.find_input(task.item, made.digest)
        if index is not None:
            self.board.inputs[index] = replace(self.board.inputs[index], changed=made.changed)
            self.board.add_input(self.board.inputs[index], opponent=opponent)
            self.board.revive_input(index)
        else:
            planned = PlannedInput(task.item, made.digest, 0, made.produced, changed=made.changed)
            known_inputs = self._known_inputs.pop((task.item, made.digest), None)
            if known_inputs is not None:
                index = self._unshelve(replace(planned, stored_id=known_inputs.stored_id), known_inputs, opponent=opponent)
            else:
                records.append(NewInput(
                    self._next_input_id, self.lineup.batch_ids[task.item], "adversarial", made.digest,
                    pack_bits(made.produced), made.stored_bytes, changed=pack_bits(made.changed)))
                self._next_input_id += 1
                index = self.board.add_input(replace(planned, stored_id=records[0].id), opponent=opponent)
        if self.lineup.detectors and duel is None:
            ids = self.lineup.batches[task.item].ids
            records += self._compose("half", task.item, halves(self.board.inputs, index, ids, self.lineup.secret))
        return index, records

    def _unshelve(self, planned: PlannedInput, known_inputs: KnownInput, *, direct: bool | None = None,
                  opponent: int | None = None) -> int:
        index = self.board.add_input(planned, direct=direct, opponent=opponent)
        self.board.mark_done(index, known_inputs.done)
        return index

    def _mix(self, batch: int) -> None:
        """With mixed batches: once every attack has made its part of a batch, distribute it to the defenses."""
        sources = self.board.sources(batch) if self.lineup.mixed else None
        if sources is None:
            return
        for record in self._compose("mixed", batch, mixed_inputs(self.board.inputs, sources, batch)):
            self._sink.put(record)

    def _compose(self, kind: str, batch: int, composed: Iterable[tuple[PlannedInput, NDArray[np.int32]]]) -> list[NewInput]:
        """Put inputs that are put together of others on the board; the records of those that the store has not got yet."""
        records = []
        for planned, stored in composed:
            found = self.board.find_input(batch, planned.digest)
            if found is not None:
                self.board.revive_input(found)
                continue
            known_inputs = self._known_inputs.pop((batch, planned.digest), None)
            if known_inputs is not None:
                self._unshelve(replace(planned, stored_id=known_inputs.stored_id), known_inputs, direct=True)
                continue
            records.append(NewInput(self._next_input_id, self.lineup.batch_ids[batch], kind, planned.digest,
                                    pack_bits(planned.produced), 0, stored.tobytes()))
            self._next_input_id += 1
            self.board.add_input(replace(planned, stored_id=records[-1].id), direct=True)
        return records

    def _record(self, task: Task, finished: Finished, state: int, made: int, new_inputs: Sequence[NewInput]) -> None:
        job, result, report = finished.job, finished.result, finished.result.report
        items: list[Item] = [*new_inputs]
        output_id = self.board.inputs[made].stored_id if made != NO_INPUT else None
        record = None
        if state == DONE:
            entrant, input_id, _, position, _ = self._describe(task)
            batch = self.lineup.batches[position]
            record = make_record(
                run_id=job.run_id, submission_id=entrant.stored_id, conditions_id=entrant.conditions_id, input_id=input_id,
                output_id=output_id, usable=result.usable, outcome=result.outcome, wall_s=report.wall_s,
                labels=result.answers.values if result.answers is not None and labels(entrant.track) else None,
                truth=batch.labels, target=batch.targets)
        items.append(RunFinish(
            job.run_id, job.attempt, state, result.outcome.value, output_id,
            result.answers.stored() if result.answers is not None else None, result.usable, report.wall_s, report.start_s,
            report.cpu_s, report.peak_memory_bytes, finished.slot.name, round(1000 * result.prepare_s),
            round(1000 * finished.waited_s), round(1000 * result.collect_s), finished.busy - 1,
            None if finished.load_per_core is None else round(100 * finished.load_per_core), record,
            _played(result.duel) if state == DONE and result.duel is not None else None))
        evidence = _evidence(finished)
        if evidence is not None:
            items.append(Evidence(job.run_id, job.attempt, result.outcome.value, finished.began_at, finished.slot.name,
                                  report.exit_code, report.wall_s, evidence))
        if report.stdout or report.stderr:
            items.append(Log(job.run_id, job.attempt, report.stdout, report.stderr))
        self._sink.put(*items)

    def _retry(self, task: Task, finished: Finished) -> None:
        job = finished.job
        self._unfinished[self._key(task)] = (job.run_id, job.attempt)
        if finished.result.outcome is Outcome.HOST_ERROR:
            self.progress.host_errors[finished.result.report.detail or "no reason is known."] += 1
            if finished.result.node_lost or finished.result.others_may:
                said = "was lost with its node" if finished.result.node_lost else "has no image on its node"
                _LOG.warning(f"A run {said} and starts again.", extra=_facts(finished, reason=finished.result.report.detail))
                self.board.release(task)
                return
            if finished.result.nobody_can:
                # No slot is at fault, and no further try finds another machine.
                self._leave_out([self._at_fault(task, finished.result)], finished.result.report.detail)
                self.board.release(task)
                return
            self._tries[job.run_id] += 1
            _LOG.warning("A run failed on the host's side and is not scored.", extra=_facts(
                finished, tries=self._tries[job.run_id], reason=finished.result.report.detail))
            if finished.result.corrupt_input is not None and self._tries[job.run_id] < MAX_ATTEMPTS:
                self._remake(task, finished.result.corrupt_input)
                return
            self._blame(task, finished)
        if self._tries[job.run_id] >= MAX_ATTEMPTS:
            self.progress.given_up[job.name] += 1
            _LOG.warning("A run is given up until the next `harness run`.", extra=_facts(finished))
            self.board.fail(task)
        else:
            self.board.release(task)

    def _blame(self, task: Task, finished: Finished) -> None:
        """A failure of the host: the slot's, that of the submission on it, or (until more is known) unattributed."""
        key = self._at_fault(task, finished.result)
        self._choice.suspect(key)
        self._failures[key] += 1
        reason = finished.result.report.detail or "no reason is known."
        if self._failures[key] >= QUARANTINE_AFTER:
            self._leave_out([key], reason)
        row = self._bad_in_a_row.setdefault(finished.slot, [])
        row.append(key)
        several = len(set(row))
        if several == 1:
            return
        # Only a submission that has worked before can show that it is the slot. Where none ever has, all must have failed.
        shown = [each for each in row if each in self._proven] if self._proven else row
        out = len(shown) >= QUARANTINE_AFTER and len(set(shown)) > 1 and (bool(self._proven) or not self._choice.trusts_anybody())
        if out and self._engine.usable_slots() == 1 and not self._choice.suspects_everybody():
            # The last slot, and others have just worked: these few are given up, and the round comes to its end.
            self._leave_out(set(row), reason)
            self._bad_in_a_row.pop(finished.slot)
            return
        seconds = math.inf if out else min(FIRST_REST_S * 2 ** (several - 2), LONGEST_REST_S)
        self._engine.rest(finished.slot, seconds)
        if out:
            _LOG.error("A slot is out of service.", extra=facts(slot=finished.slot.name, reason=reason))
        else:
            _LOG.warning("A slot backs off.", extra=facts(slot=finished.slot.name, seconds=seconds, reason=reason))

    def _at_fault(self, task: Task, result: RunResult) -> int:
        """Whose program the host failed with: of a duel by queries, either side's."""
        entrant = self.lineup.entrant(task.kind, task.entry)
        if result.duel is None or entrant.duel is None or not POLICY[result.duel.attack.outcome].final:
            return entrant.stored_id
        return self.lineup.defenses[entrant.duel.opponent].stored_id

    def _leave_out(self, submissions: Iterable[int], reason: str) -> None:
        for submission in submissions:
            self._choice.leave_out(submission)
            name = self.lineup.everybody[submission]
            self.progress.left_out[name] = reason
            _LOG.warning("A submission is left out for now: nothing but failures on the host's side.", extra=facts(
                submission=name, reason=reason))

    def _give_up(self) -> None:
        """At the end: what still waits of submissions that were left out."""
        for task in list(self.board.waiting()):
            if self._choice.is_left_out(task.kind, task.entry):
                self.board.fail(task)
                self.progress.given_up[self.lineup.entrant(task.kind, task.entry).name] += 1

    def _remake(self, task: Task, digest: str) -> None:
        """A stored input is damaged: have the attacks that made it make it again, and the run wait for that."""
        self.progress.corrupt_inputs += 1
        _LOG.warning("A stored adversarial batch is damaged and is made again.", extra=facts(digest=digest))
        damaged = self.board.find_input(self.board.inputs[task.item].batch, digest)
        self.board.release(task)
        self.board.set_aside(task.item)
        for again in self.board.lose_input(damaged) if damaged is not None else ():
            self._unfinished[self._key(again)] = self._attacks_done.pop(self._key(again))

    def _key(self, task: Task) -> tuple[int, int]:
        entrant, input_id, *_ = self._describe(task)
        return entrant.stored_id, input_id


def _facts(finished: Finished, **more: object) -> dict[str, Mapping[str, object]]:
    """Which run, for the log."""
    job = finished.job
    return facts(submission=job.name, batch=job.batch.index, attempt=job.attempt, slot=finished.slot.name, run=job.run_id, **more)


def _same(booked: Job, job: Job) -> bool:
    """Whether a result is of the attempt that was booked.

    Its numbers alone do not say so: those that a harness gave before it was killed, and that never reached the disk, are given
    again, perhaps to another run, and a machine may bring its result late.
    """
    return all(getattr(booked, what) == getattr(job, what) for what in ("attempt", "input_digest", "limits", "served")) and (
        booked.program.digest == job.program.digest)


def _played(duel: DuelResult) -> PlayedDuel:
    return PlayedDuel(duel.opponent.outcome.value, duel.opponent.report.wall_s, duel.batches, duel.counts.tobytes(),
                      duel.findings.stored())


def _evidence(finished: Finished) -> str | None:
    """What is worth keeping of an attempt besides its row, as JSON; None for a plain good run."""
    result, report = finished.result, finished.result.report
    facts: dict[str, object] = {}
    if report.detail:
        facts["detail"] = report.detail
    if result.refused:
        facts["refused"] = result.refused
    if result.notes:
        facts["notes"] = list(result.notes)
    if result.measured is not None and result.beyond:
        facts[finished.job.batch.threat.value] = result.measured
        facts["beyond"] = result.beyond
    if result.duel is not None and result.duel.opponent.outcome is not Outcome.OK:
        other = result.duel.opponent
        facts["opponent"] = {"outcome": other.outcome.value, "detail": other.report.detail, "notes": list(other.notes)}
    if not facts and result.outcome is Outcome.OK:
        return None
    facts["usable"], facts["expected"] = result.usable, result.expected
    facts["waited_s"], facts["runs_beside"] = round(finished.waited_s, 3), finished.busy - 1
    facts["load_per_core"] = finished.load_per_core
    if finished.overloaded:
        facts["host_overloaded"] = True
    if result.node_lost:
        facts["node_lost"] = True
    if result.others_may:
        facts["image_elsewhere"] = True
    return json.dumps(facts)
