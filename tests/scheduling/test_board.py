"""The board under any order of events: counts that add up, nothing taken twice, nothing lost."""

from __future__ import annotations

import random
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scheduling.board import (
    DONE,
    DROPPED,
    FAILED,
    NO_INPUT,
    NOBODY,
    RUNNING,
    SPARE,
    WAITING,
    Board,
    Kind,
    PlannedInput,
    Task,
)
from tests.helpers.fakes import IMAGES, clean_inputs

SIZES = {"attacks": st.integers(0, 4), "defenses": st.integers(0, 4), "batches": st.integers(1, 4), "seed": st.integers(0, 2**32)}


def make(batch: int, digest: str, stored: int = 100) -> PlannedInput:
    return PlannedInput(batch, digest, stored, np.ones(IMAGES, bool))


def counted(board: Board) -> Counter[int]:
    """The states, counted slowly."""
    known = board.defense_state[: len(board.inputs)]
    return Counter(board.attack_state.ravel().tolist()) + Counter(known.ravel().tolist())


def agree(board: Board) -> None:
    slow = counted(board)
    assert {state: count for state, count in board.counts().items() if count} \
        == {state: count for state, count in slow.items() if state not in {DROPPED, SPARE}}


def take_any(board: Board, rng: random.Random) -> Task | None:
    found = list(board.waiting())
    if not found:
        return None
    wanted = rng.choice(found)
    task = board.take(wanted.kind, wanted.entry)
    assert task is not None
    assert task.entry == wanted.entry
    return task


def test_a_new_board_waits_for_attacks_and_for_the_clean_images() -> None:
    board = Board(3, 2, clean_inputs(4))
    assert board.counts()[WAITING] == 3 * 4 + 2 * 4
    assert board.total == 3 * 4 + 2 * 4 * (1 + 3)
    assert not board.complete


def test_what_an_attack_made_makes_its_defense_runs_ready_at_once() -> None:
    board = Board(1, 2, clean_inputs(2))
    task = board.take(Kind.ATTACK, 0)
    before = board.ready(Kind.DEFENSE, 1)
    board.finish(task, board.add_input(make(task.item, "x")))
    assert board.ready(Kind.DEFENSE, 1) == before + 1


def test_equal_pixels_are_one_input_and_of_another_batch_another() -> None:
    board = Board(2, 1, clean_inputs(2))
    first = board.add_input(make(0, "x"))
    assert board.add_input(make(0, "x")) == first
    assert board.add_input(make(1, "x")) != first
    assert board.add_input(make(0, "clean0")) == 0


def test_only_a_waiting_run_starts() -> None:
    board = Board(1, 1, clean_inputs(1))
    task = Task(Kind.ATTACK, 0, 0)
    board.start(task)
    with pytest.raises(ValueError, match="not waiting"):
        board.start(task)


def test_a_released_run_is_taken_again_and_a_failed_one_is_not() -> None:
    board = Board(1, 0, clean_inputs(1))
    task = board.take(Kind.ATTACK, 0)
    assert board.take(Kind.ATTACK, 0) is None
    board.release(task)
    assert board.take(Kind.ATTACK, 0) == task
    board.fail(task)
    assert board.take(Kind.ATTACK, 0) is None
    assert board.state(task) == FAILED
    assert board.complete


def test_a_lost_input_waits_for_its_attacks_and_keeps_its_results() -> None:
    board = Board(2, 2, clean_inputs(1))
    for entry in range(2):
        task = board.take(Kind.ATTACK, entry)
        board.finish(task, board.add_input(make(0, "same")))
    index = board.find_input(0, "same")
    done = Task(Kind.DEFENSE, 0, index)
    board.start(done)
    board.finish(done)
    again = board.lose_input(index)
    assert again == [Task(Kind.ATTACK, 0, 0), Task(Kind.ATTACK, 1, 0)]
    assert board.state(done) == DONE
    assert board.state(Task(Kind.DEFENSE, 1, index)) == DROPPED
    agree(board)
    board.revive_input(index)
    assert board.state(Task(Kind.DEFENSE, 1, index)) == WAITING
    agree(board)


@given(**SIZES)
@settings(max_examples=150)
def test_any_course_of_events_ends_with_every_run_done_once(attacks: int, defenses: int, batches: int, seed: int) -> None:
    rng = random.Random(seed)
    board = Board(attacks, defenses, clean_inputs(batches))
    running: list[Task] = []
    finished: Counter[Task] = Counter()
    while True:
        agree(board)
        assert board.counts()[RUNNING] == len(running)
        task = take_any(board, rng) if len(running) < 3 else None
        if task is not None:
            assert task not in running
            running.append(task)
        elif not running:
            break
        if running and rng.random() < 0.6:
            ended = running.pop(rng.randrange(len(running)))
            if rng.random() < 0.2:
                board.release(ended)
                continue
            finished[ended] += 1
            made = NO_INPUT
            if ended.kind is Kind.ATTACK and rng.random() < 0.8:
                digest = rng.choice([f"{ended.entry}", "shared", f"clean{ended.item}"])
                made = board.add_input(make(ended.item, digest, 100 + len(board.inputs)))
            board.finish(ended, made)
    assert board.complete
    assert set(finished.values()) <= {1}
    assert sum(finished.values()) == board.total == attacks * batches + len(board.inputs) * defenses


@given(**SIZES, labelled=st.sampled_from(["direct", "mixed"]), pairs=st.integers(0, 5), detectors=st.integers(0, 1))
@settings(max_examples=150)
def test_a_duel_is_one_run_and_one_of_its_opponent_whatever_else_happens(
        attacks: int, defenses: int, batches: int, seed: int, labelled: Literal["direct", "mixed"], pairs: int,
        detectors: int) -> None:
    rng = random.Random(seed)
    opponents = [rng.choice([NOBODY, *range(defenses)]) for _ in range(pairs)]
    board = Board(attacks, defenses, clean_inputs(batches), labelled=labelled, opponents=opponents, detectors=detectors)
    # Results that the store has from elsewhere, of whoever asks for them or not.
    elsewhere = {digest: {d for d in range(defenses) if rng.random() < 0.3} for digest in ("shared", "0", f"{attacks}")}
    finished: set[Task] = set()
    wanted = {(entry, batch) for entry in range(defenses) for batch in range(batches)} if labelled == "direct" else set()
    while (task := take_any(board, rng)) is not None:
        agree(board)
        assert task not in finished
        if rng.random() < 0.2:
            board.release(task)
            continue
        finished.add(task)
        made = NO_INPUT
        opponent = opponents[task.entry - attacks] if task.kind is Kind.ATTACK and task.entry >= attacks else None
        if task.kind is Kind.ATTACK and opponent != NOBODY and rng.random() < 0.8:
            digest = rng.choice([f"{task.entry}", "shared", f"clean{task.item}"])
            is_new = board.find_input(task.item, digest) is None
            made = board.add_input(make(task.item, digest, 100 + len(board.inputs)), opponent=opponent)
            if is_new:
                board.mark_done(made, elsewhere.get(digest, ()))
            if opponent is not None:
                wanted.add((opponent, made))
            elif labelled == "direct":
                wanted |= {(entry, made) for entry in range(defenses)}
        board.finish(task, made)
    agree(board)
    assert board.complete
    known = {(entry, made) for made, planned in enumerate(board.inputs) for entry in elsewhere.get(planned.digest, ())}
    assert {(task.entry, task.item) for task in finished if task.kind is Kind.DEFENSE} == wanted - known
    assert board.total == board.counts()[DONE] == (attacks + pairs) * batches + len(wanted)


def test_what_a_duel_made_waits_for_its_opponent_when_it_is_made_again() -> None:
    board = Board(1, 3, clean_inputs(1), opponents=[1, 2])
    first, second = (Task(Kind.ATTACK, row, 0) for row in (1, 2))
    for task in (first, second):
        board.start(task)
        board.finish(task, board.add_input(make(0, "same"), opponent=task.entry))
    made = board.find_input(0, "same")
    board.start(Task(Kind.DEFENSE, 1, made))
    board.finish(Task(Kind.DEFENSE, 1, made))
    assert board.lose_input(made) == [first, second]
    assert [board.state(Task(Kind.DEFENSE, entry, made)) for entry in range(3)] == [DROPPED, DONE, DROPPED]
    board.revive_input(made)
    assert [board.state(Task(Kind.DEFENSE, entry, made)) for entry in range(3)] == [DROPPED, DONE, WAITING]
    # And once the one that meets everybody makes the same.
    board.add_input(make(0, "same"))
    assert [board.state(Task(Kind.DEFENSE, entry, made)) for entry in range(3)] == [WAITING, DONE, WAITING]
    agree(board)


@given(**SIZES, share=st.floats(0, 1))
@settings(max_examples=80)
def test_a_board_filled_from_the_store_offers_the_rest(attacks: int, defenses: int, batches: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    board = Board(attacks, defenses, clean_inputs(batches))
    for entry in range(attacks):
        for item in range(batches):
            if rng.random() < share:
                board.attack_state[entry, item] = DONE
                board.attack_input[entry, item] = board.add_input(make(item, f"{entry}", 100 + entry * batches + item))
    known = board.defense_state[: len(board.inputs)]
    known[rng.random(known.shape) < share] = DONE
    board.prune()
    agree(board)
    waiting = set(board.waiting())
    taken = set()
    for kind, count in ((Kind.ATTACK, attacks), (Kind.DEFENSE, defenses)):
        for entry in range(count):
            while (task := board.take(kind, entry)) is not None:
                taken.add(task)
    assert taken == waiting


def test_a_final_of_2017_fits_in_little_memory() -> None:
    board = Board(162, 110, clean_inputs(50))
    assert board.total == 162 * 50 + 110 * 50 * 163
    assert board.attack_state.nbytes + board.attack_input.nbytes + board.defense_state.nbytes < 2 << 20
