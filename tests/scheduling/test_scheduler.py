"""The scheduler under a fake engine with a virtual clock: whatever happens, each run gets one result and none is lost."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.base import SlotView
from harness.errors import EngineError
from harness.execution.job import Finished, Job, RunResult
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.scheduling.board import DONE, NO_INPUT, PlannedInput
from harness.scheduling.entrants import StoreState
from harness.scheduling.scheduler import QUARANTINE_AFTER, Scheduler
from harness.store.rounds import unpack_bits
from harness.tracks import Threat
from tests.helpers.fakes import IMAGES, FakeEngine, Ledger, good_result, make_board, make_field

SIZES = {"attacks": st.integers(0, 4), "defenses": st.integers(0, 4), "batches": st.integers(1, 4), "slots": st.integers(1, 4),
         "seed": st.integers(0, 2**32)}


def honest(job: Job) -> RunResult:
    return good_result(job)


def schedule(field_, board, store_state, engine, ledger) -> Scheduler:
    return Scheduler(field_, board, store_state, engine, ledger, clock=lambda: 0.0)


def test_every_run_gets_one_result_and_a_second_call_runs_nothing() -> None:
    field_ = make_field(3, 2, 2)
    ledger = Ledger()
    engine = FakeEngine(2, honest, random.Random(1))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger)
    progress = scheduler.run()
    expected = 3 * 2 + 2 * (2 + 3 * 2)
    assert progress.finished == len(ledger.accepted) == expected
    assert scheduler.board.complete
    assert scheduler.board.total == expected


def test_what_slots_have_had_is_no_longer_left() -> None:
    """A slot is also seen with a run that has just come back: nothing of that one is left to take off."""
    field_, engine = make_field(1, 0, 3), FakeEngine(2, honest, random.Random(1))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger())
    scheduler.step()
    (back,) = {job.run_id for job in engine.submitted} - set(scheduler._in_flight)
    views = [SlotView(slot, job, 0.25) for slot, job in zip(engine.slots, engine.submitted, strict=True)]
    engine.view = lambda: views
    assert back in {view.job.run_id for view in views}
    # Two runs of a second each, as the one that came back took.
    assert scheduler.remaining_s() == pytest.approx(2 * 1.0 - 0.25)


@pytest.mark.parametrize("change", [
    lambda job: {"attempt": job.attempt + 1}, lambda job: {"program": replace(job.program, digest="another")},
    lambda job: {"input_digest": "another"}, lambda job: {"served": True}, lambda job: {"limits": replace(job.limits, pids=7)}])
def test_a_result_counts_for_the_very_run_that_was_booked_and_no_other_of_its_number(change) -> None:
    """Numbers that a killed harness gave and that never reached the disk are given again."""
    field_ = make_field(1, 0, 1)
    engine, ledger = FakeEngine(1, honest, random.Random(1)), Ledger()
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger)
    wait, strange = engine.wait, []

    def wait_with_a_stranger(timeout_s: float):
        mine = wait(timeout_s)
        strange.extend(replace(f, job=replace(f.job, **change(f.job)), result=good_result(f.job, "strange")) for f in mine)
        return [*strange[-1:], *mine]

    engine.wait = wait_with_a_stranger
    scheduler.run()
    assert strange
    assert [made.digest for made in ledger.inputs.values()] == ["attack0-0"]
    assert list(ledger.accepted.values()) == [1]


def test_equal_adversarial_batches_share_predictions() -> None:
    field_ = make_field(3, 2, 2)
    ledger = Ledger()
    engine = FakeEngine(2, lambda job: good_result(job, f"same-{job.batch.index}"), random.Random(1))
    schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger).run()
    assert len(ledger.accepted) == 3 * 2 + 2 * (2 + 2)


def test_an_attack_that_changes_nothing_shares_the_clean_predictions() -> None:
    field_ = make_field(1, 2, 2)
    ledger = Ledger()
    engine = FakeEngine(2, lambda job: good_result(job, f"clean{job.batch.index}"), random.Random(1))
    schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger).run()
    assert len(ledger.accepted) == 2 + 2 * 2
    assert not ledger.inputs


def test_there_is_no_barrier_between_attacks_and_defenses() -> None:
    field_ = make_field(2, 1, 4)
    engine = FakeEngine(1, honest, random.Random(1))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger())
    scheduler.step()
    assert scheduler.board.ready("defense", 0) > 0  # type: ignore[arg-type]
    assert not scheduler.board.complete


def test_an_attack_without_output_needs_no_defense() -> None:
    field_ = make_field(1, 2, 1)
    ledger = Ledger()

    def nothing(job: Job) -> RunResult:
        return replace(good_result(job, outcome=Outcome.NO_OUTPUT), made=None, usable=0) if job.track == "attack" else honest(job)

    schedule(field_, make_board(field_), StoreState(next_input_id=10_001), FakeEngine(2, nothing, random.Random(1)), ledger).run()
    assert len(ledger.accepted) == 1 + 2


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """The facts of each line of this message."""
    return [vars(record)["facts"] for record in caplog.records if record.message == message]


def test_a_host_error_is_tried_again_and_given_up_after_three() -> None:
    field_ = make_field(1, 1, 2)
    tries: list[int] = []

    def failing(job: Job) -> RunResult:
        if job.track == "attack" and job.batch.index == 0:
            tries.append(job.attempt)
            return good_result(job, outcome=Outcome.HOST_ERROR)
        return honest(job)

    ledger = Ledger()
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), FakeEngine(2, failing, random.Random(3)),
                         ledger)
    progress = scheduler.run()
    assert tries == [1, 2, 3]
    assert progress.given_up.total() == 1
    assert len(ledger.accepted) == 1 + 2 + 1


@pytest.mark.parametrize(("why", "words"), [("node_lost", "was lost with its node"), ("others_may", "has no image on its node")])
def test_a_run_that_fails_with_one_node_after_another_is_never_given_up(
        why: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    field_ = make_field(1, 1, 1)
    losses = 2 * QUARANTINE_AFTER

    def lost(job: Job) -> RunResult:
        if job.track == "attack" and job.attempt <= losses:
            failed = good_result(job, outcome=Outcome.HOST_ERROR)
            return replace(failed, node_lost=why == "node_lost", others_may=why == "others_may")
        return honest(job)

    ledger = Ledger()
    engine = FakeEngine(1, lost, random.Random(3))
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger).run()
    assert len(ledger.accepted) == 1 + 2
    assert (progress.given_up, progress.left_out, engine.usable_slots()) == ({}, {}, 1)
    assert len(logged(caplog, f"A run {words} and starts again.")) == losses


@pytest.mark.parametrize(("lost", "left", "sentence"), [
    (("north", "south"), False, r"No machine is left: north, south were lost\."),
    (("north",), False, r"No machine is left: north was lost\."),
    (("north",), True, r"Every slot has failed .* side \(north was lost\); .*: node north was lost"),
    ((), True, r"Every slot has failed .*: no reason is known\."),
], ids=["two", "the only one", "and the others' slots have failed", "none"])
def test_where_no_slot_is_left_it_is_said_which_machines_were_lost_and_the_next_call_goes_on(lost, left, sentence) -> None:
    field_, ledger = make_field(2, 2, 3), Ledger()
    engine = FakeEngine(2, honest, random.Random(1))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger)
    for _ in range(5):
        scheduler.step()
    done = dict(ledger.accepted)
    gone = [Finished(job, slot, RunResult(outcome=Outcome.HOST_ERROR, node_lost=True, report=RunReport(
        Ending.HOST_ERROR, detail="node north was lost"))) for _, job, slot in engine._running] if lost else []
    engine.wait = lambda timeout_s: gone
    engine.usable_slots = lambda: 0
    engine.absent = lambda: dict.fromkeys(lost, "lost 1 s ago")
    engine.view = lambda: [SlotView(engine.slots[0], None, 0.0)] if left else []
    with pytest.raises(EngineError, match=sentence):
        scheduler.step()
    scheduler.cancel()
    assert ledger.accepted == done
    # Nothing that was lost is given up, or counted against anybody.
    assert not scheduler.progress.given_up
    assert not scheduler.progress.left_out


def test_a_slot_that_always_fails_is_quarantined_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    field_ = make_field(4, 2, 4)
    engine = FakeEngine(2, honest, random.Random(5))
    bad = engine.slots[0]
    wait = engine.wait

    def wait_with_a_bad_slot(timeout_s: float):
        return [replace(f, result=good_result(f.job, outcome=Outcome.HOST_ERROR)) if f.slot == bad else f for f in wait(timeout_s)]

    engine.wait = wait_with_a_bad_slot
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger())
    scheduler.run()
    assert engine.usable_slots() == 1
    assert [facts["slot"] for facts in logged(caplog, "A slot is out of service.")] == [bad.name]
    rests = [facts["seconds"] for facts in logged(caplog, "A slot backs off.")]
    assert rests
    assert rests == sorted(rests)


def test_a_submission_that_no_machine_can_run_is_given_up_at_once_and_no_slot_for_it(caplog: pytest.LogCaptureFixture) -> None:
    field_ = make_field(3, 1, 8)

    def nowhere(job: Job) -> RunResult:
        failed = good_result(job, outcome=Outcome.HOST_ERROR)
        return honest(job) if job.name == "attack2" else replace(
            failed, nobody_can=True, report=replace(failed.report, detail=f"No node can get the image of {job.name}"))

    engine = FakeEngine(1, nowhere, random.Random(2))
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger()).run()
    assert progress.left_out == {name: f"No node can get the image of {name}" for name in ("attack0", "attack1", "defense0")}
    assert (progress.finished, progress.given_up.total()) == (8, 8 + 8 + 8 + 8)
    assert not logged(caplog, "A slot backs off.")
    assert len(engine.submitted) <= 8 + 3


def test_one_submission_that_brings_the_host_to_fail_takes_no_slot_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    field_ = make_field(3, 3, 8)
    poisonous = {"attack0", "defense1"}
    engine = FakeEngine(2, lambda job: good_result(job, outcome=Outcome.HOST_ERROR) if job.name in poisonous else honest(job),
                        random.Random(2))
    ledger = Ledger()
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger)
    progress = scheduler.run()
    done = Counter(r["submission"] for r in ledger.runs.values() if r["state"] == DONE)
    assert [done[c.stored_id] for c in (*field_.attacks, *field_.defenses)] == [0, 8, 8, 8 + 16, 0, 8 + 16]
    assert set(progress.left_out) == poisonous
    assert {facts["submission"] for facts in logged(caplog, "A submission is left out for now: nothing but failures on the host's "
                                                            "side.")} == poisonous
    failed = logged(caplog, "A run failed on the host's side and is not scored.")
    assert len(failed) == progress.host_errors.total()
    assert {facts["submission"] for facts in failed} == poisonous
    assert progress.given_up.total() == 8 + 8 + 16
    assert scheduler.board.complete


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("poisonous", [
    {"attack0"}, {f"attack{n}" for n in range(6)}, {f"defense{n}" for n in range(6)},
    {f"{kind}{n}" for kind in ("attack", "defense") for n in range(6)}], ids=["one", "attacks", "defenses", "twelve"])
def test_no_number_of_submissions_that_bring_the_host_to_fail_stops_the_others(poisonous: set[str], slots: int) -> None:
    """At each call: the second one knows from the database whom to begin last."""
    field_ = make_field(8, 8, 3)
    ledger = Ledger()
    for call in range(3):
        board, store_state = resumed(field_, ledger)
        failed = {r["submission"] for r in ledger.runs.values() if r["outcome"] == Outcome.HOST_ERROR.value}
        engine = FakeEngine(
            slots, lambda job: good_result(job, outcome=Outcome.HOST_ERROR) if job.name in poisonous else honest(job),
            random.Random(call))
        scheduler = schedule(field_, board, replace(store_state, suspects=failed), engine, ledger)
        progress = scheduler.run()
        honest_attacks = [c for c in field_.attacks if c.name not in poisonous]
        done = Counter(r["submission"] for r in ledger.runs.values() if r["state"] == DONE)
        assert all(done[c.stored_id] == 3 for c in honest_attacks)
        assert all(done[c.stored_id] == 3 + 3 * len(honest_attacks) for c in field_.defenses if c.name not in poisonous)
        assert set(progress.left_out) == poisonous
        assert len([job for job in engine.submitted if job.name in poisonous]) <= (QUARANTINE_AFTER + slots) * len(poisonous)
        assert engine.usable_slots() >= 1


def test_a_host_that_breaks_in_the_middle_is_told_soon() -> None:
    field_ = make_field(3, 3, 20)
    finished: list[Job] = []

    def breaking(job: Job) -> RunResult:
        finished.append(job)
        return honest(job) if len(finished) < 30 else good_result(job, outcome=Outcome.HOST_ERROR)

    engine = FakeEngine(2, breaking, random.Random(2))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger())
    with contextlib.suppress(EngineError):
        assert scheduler.run().given_up
    assert len(engine.submitted) < 30 + 2 * 6 * QUARANTINE_AFTER


def on_a_busy_host(engine: FakeEngine) -> None:
    """Every run of this engine ends while the host is overloaded."""
    wait = engine.wait
    engine.wait = lambda timeout_s: [replace(finished, overloaded=True) for finished in wait(timeout_s)]


@pytest.mark.parametrize("again", [Outcome.OK, Outcome.TIME_LIMIT])
def test_a_limit_hit_on_an_overloaded_host_counts_only_after_one_repetition_alone(
        again: Outcome, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "harness")
    field_ = make_field(1, 1, 2)
    tries: list[tuple[int, bool]] = []

    def slow(job: Job) -> RunResult:
        if job.track == "attack" and job.batch.index == 0:
            tries.append((job.attempt, job.alone))
            return good_result(job, outcome=Outcome.TIME_LIMIT if len(tries) == 1 else again)
        return honest(job)

    ledger, engine = Ledger(), FakeEngine(2, slow, random.Random(3))
    on_a_busy_host(engine)
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger).run()
    assert tries == [(1, False), (2, True)]
    (facts,) = logged(caplog, "A run hit its time limit on an overloaded host and is repeated alone.")
    assert (facts["submission"], facts["batch"], facts["attempt"]) == ("attack0", 0, 1)
    assert len(caplog.records) == 1, "no line for an ordinary run"
    assert progress.repeated_alone == 1
    assert {job.alone for job in engine.submitted if job.attempt == 1} == {False}
    (first,) = [run for run, row in ledger.runs.items() if row["attempt"] == 2]
    assert ledger.runs[first]["outcome"] == again.value
    assert ledger.accepted == dict.fromkeys(ledger.runs, 1)


def test_a_submission_that_is_slow_alone_too_gets_the_machine_for_itself_once() -> None:
    """Its own threads may be what overloads the host."""
    field_ = make_field(1, 1, 8)
    engine = FakeEngine(1, lambda job: good_result(job, outcome=Outcome.TIME_LIMIT) if job.track == "attack" else honest(job),
                        random.Random(3))
    on_a_busy_host(engine)
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger()).run()
    assert progress.repeated_alone == sum(job.alone for job in engine.submitted) == 1


def test_a_limit_hit_on_a_quiet_host_counts_at_once() -> None:
    field_ = make_field(1, 0, 1)
    engine = FakeEngine(1, lambda job: good_result(job, outcome=Outcome.TIME_LIMIT), random.Random(3))
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger()).run()
    assert progress.repeated_alone == 0
    assert len(engine.submitted) == 1


def test_when_every_slot_is_out_the_person_is_told() -> None:
    field_ = make_field(4, 4, 4)
    engine = FakeEngine(1, lambda job: good_result(job, outcome=Outcome.HOST_ERROR), random.Random(5))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger())
    with pytest.raises(EngineError, match="doctor"):
        scheduler.run()
    # Each of the eight is tried before all of them say that it is the host: few of them could be bringing it to fail.
    assert len(engine.submitted) == 8


def test_an_input_that_is_damaged_again_and_again_is_given_up() -> None:
    field_ = make_field(1, 1, 1)

    def decide(job: Job) -> RunResult:
        if job.input_digest == "attack0-0":
            return replace(good_result(job, outcome=Outcome.HOST_ERROR), corrupt_input="attack0-0")
        return honest(job)

    engine = FakeEngine(1, decide, random.Random(7))
    progress = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, Ledger()).run()
    assert progress.given_up.total() == 1
    assert len(engine.submitted) < 10


def test_a_damaged_input_is_made_again_by_its_attack(caplog: pytest.LogCaptureFixture) -> None:
    field_ = make_field(2, 2, 1)
    damaged = {"attack0-0": 1}
    ledger = Ledger()

    def decide(job: Job) -> RunResult:
        if damaged.get(job.input_digest, 0):
            damaged[job.input_digest] -= 1
            return replace(good_result(job, outcome=Outcome.HOST_ERROR), corrupt_input=job.input_digest)
        return honest(job)

    engine = FakeEngine(1, decide, random.Random(5))
    scheduler = schedule(field_, make_board(field_), StoreState(next_input_id=10_001), engine, ledger)
    progress = scheduler.run()
    assert progress.corrupt_inputs == 1
    assert logged(caplog, "A stored adversarial batch is damaged and is made again.") == [{"digest": "attack0-0"}]
    assert [j.attempt for j in engine.submitted if j.name == "attack0"] == [1, 2]
    assert scheduler.board.complete
    assert {r["state"] for r in ledger.runs.values()} == {DONE}


def resumed(field_, ledger: Ledger):
    """A board and the state of the store as they would be read back from the ledger's rows."""
    board = make_board(field_)
    planned = {i: PlannedInput(n.batch_id - 1, n.digest, n.id, unpack_bits(n.produced, IMAGES)) for i, n in ledger.inputs.items()}
    planned |= {p.stored_id: p for p in board.inputs}
    done = ledger.done()
    for entry, entrant in enumerate(field_.attacks):
        for item, task_input in enumerate(field_.task_input_ids[Threat.LINF]):
            if (entrant.stored_id, task_input) in done:
                output = ledger.runs[done[entrant.stored_id, task_input][0]]["output"]
                board.attack_state[entry, item] = DONE
                board.attack_input[entry, item] = board.add_input(planned[output]) if output is not None else NO_INPUT
    for entry, entrant in enumerate(field_.defenses):
        for item, planned_input in enumerate(board.inputs):
            if (entrant.stored_id, planned_input.stored_id) in done:
                board.defense_state[item, entry] = DONE
    board.prune()
    attacks = {key: where for key, where in done.items() if key[0] <= len(field_.attacks)}
    next_run = max(ledger.runs, default=0) + 1
    return board, StoreState(next_run, max([10_000, *ledger.inputs]) + 1, ledger.unfinished(), attacks)


@settings(max_examples=150)
@given(**SIZES, steps=st.lists(st.integers(0, 12), max_size=6), flaky=st.floats(0, 0.3))
def test_crash_and_resume_at_any_moment_loses_nothing_and_repeats_nothing(
        attacks: int, defenses: int, batches: int, slots: int, seed: int, steps: list[int], flaky: float) -> None:
    field_ = make_field(attacks, defenses, batches)
    ledger = Ledger()
    rng = random.Random(seed)

    def decide(job: Job) -> RunResult:
        if rng.random() < flaky:
            return good_result(job, outcome=Outcome.HOST_ERROR)
        return good_result(job, outcome=rng.choice([Outcome.OK, Outcome.TIME_LIMIT, Outcome.EXITED_NONZERO]))

    for count in [*steps, None]:
        board, store_state = resumed(field_, ledger)
        last = count is None
        engine = FakeEngine(slots, honest if last else decide, rng)
        scheduler = schedule(field_, board, store_state, engine, ledger)
        try:
            for _ in range(count if count is not None else 10_000):
                if not scheduler.step():
                    break
        except EngineError:
            continue  # every slot was quarantined: as good as a crash
        if count is not None and rng.random() < 0.5:
            scheduler.cancel()  # Ctrl-C; otherwise it is a kill: rows stay "running"
    keys = {(r["submission"], r["input"]) for r in ledger.runs.values()}
    assert len(keys) == len(ledger.runs) == attacks * batches + defenses * batches * (attacks + 1)
    assert all(count == 1 for run, count in ledger.accepted.items())
    assert len(ledger.accepted) == len(ledger.runs)


@given(**SIZES)
@settings(max_examples=60)
def test_late_results_are_dropped(attacks: int, defenses: int, batches: int, slots: int, seed: int) -> None:
    field_ = make_field(attacks, defenses, batches)
    ledger = Ledger()
    schedule(field_, make_board(field_), StoreState(next_input_id=10_001), FakeEngine(slots, honest, random.Random(seed)),
             ledger).run()
    assert all(count == 1 for count in ledger.accepted.values())
