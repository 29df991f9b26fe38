"""Which run goes next, decided from values alone: no engine, no clock, no program."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import nan

import pytest

from harness.scheduling.board import Board, Kind, Task
from harness.scheduling.entrants import Duel, Entrant
from harness.scheduling.priority import REORDER_SHARE, WORTH_ANOTHER_S, Choice
from harness.tracks import Access
from tests.helpers.fakes import clean_inputs, make_board, make_field

ATTACK, DEFENSE = Kind.ATTACK, Kind.DEFENSE
Who = tuple[Kind, int]


def make(attacks: Sequence[float], defenses: Sequence[float] = (), *, batches: int = 1,
         served: Collection[str] = ()) -> tuple[Choice, Board]:
    """A choice and its board from the expected seconds of every submission (attack0, defense0, ...)."""
    plain = make_field(len(attacks), len(defenses), batches)

    def known(entrants: Sequence[Entrant], seconds: Sequence[float]) -> tuple[Entrant, ...]:
        return tuple(replace(c, expected_s=s, served=c.name in served) for c, s in zip(entrants, seconds, strict=True))

    field = replace(plain, attacks=known(plain.attacks, attacks), defenses=known(plain.defenses, defenses))
    board = make_board(field)
    return Choice(field, board), board


def start(choice: Choice) -> Task:
    task = choice.next()
    assert task is not None
    choice.started(task)
    return task


def starts(choice: Choice, count: int) -> list[Who]:
    """Whose runs start, one after another, while none ends."""
    return [(task.kind, task.entry) for task in (start(choice) for _ in range(count))]


def test_attacks_go_before_defenses_however_long_these_take() -> None:
    choice, _ = make([1.0, 1.0], [100.0], batches=2)
    assert [kind for kind, _ in starts(choice, 6)] == [ATTACK] * 4 + [DEFENSE] * 2
    assert choice.next() is None


def test_the_longest_expected_goes_first_and_the_unknown_before_it() -> None:
    choice, _ = make([2.0, 9.0, nan, 5.0], [1.0, 3.0])
    assert starts(choice, 6) == [(ATTACK, 2), (ATTACK, 1), (ATTACK, 3), (ATTACK, 0), (DEFENSE, 1), (DEFENSE, 0)]


@pytest.mark.parametrize(("took", "first"), [
    pytest.param([50.0], 1, id="longer than it was expected to"),
    pytest.param([4.0, 50.0, 4.0], 0, id="one slow run says little"),
    pytest.param([50.0] * 20 + [1.0] * 20, 0, id="long ago does not count"),
    pytest.param([1.0] * 20 + [50.0] * 20, 1, id="the last runs count"),
    pytest.param([4.0 * (1 + REORDER_SHARE / 2)], 0, id="hardly longer"),
])
def test_what_was_learned_decides_the_order(took: list[float], first: int) -> None:
    choice, _ = make([4.01, 4.0], batches=2)
    task = start(choice)
    assert task.entry == 0
    for seconds in took:
        choice.learn(Task(ATTACK, 1, 0), seconds)
    assert starts(choice, 1) == [(ATTACK, first)]


def test_an_unknown_attack_that_proves_short_waits_behind_the_others() -> None:
    choice, _ = make([nan, 5.0], batches=2)
    choice.learn(start(choice), 0.1)
    assert starts(choice, 3) == [(ATTACK, 1), (ATTACK, 1), (ATTACK, 0)]


def test_what_was_learned_says_how_much_is_left() -> None:
    choice, board = make([nan], [nan], batches=2)
    assert choice.remaining_s({}) is None
    task = start(choice)
    choice.learn(task, 10.0)
    # Two attack runs and, on the clean images and on what will be made, four defense runs: taken to be as long.
    assert choice.remaining_s({}) == pytest.approx(2 * 10 + 4 * 10)
    choice.learn(Task(DEFENSE, 0, 0), 1.0)
    assert choice.remaining_s({}) == pytest.approx(2 * 10 + 4 * 1)
    board.finish(task)  # made nothing: one defense run fewer
    assert choice.remaining_s({}) == pytest.approx(1 * 10 + 3 * 1)


def test_time_that_a_run_has_had_is_not_left() -> None:
    choice, _ = make([10.0], [1.0], batches=2)
    task = start(choice)
    assert choice.remaining_s({task: 4.0}) == pytest.approx(2 * 10 + 4 * 1 - 4)
    assert choice.remaining_s({task: 40.0}) == pytest.approx(2 * 10 + 4 * 1 - 10), "late, not a promise for the others"


@pytest.mark.parametrize(("first", "running", "duels"), [
    pytest.param(nan, {}, 1 + 1, id="nothing is known of queries: as long as others take"),
    pytest.param(nan, {1: 600.0}, 600, id="but no shorter than the first has been running"),
    pytest.param(900.0, {}, 900 + 900, id="as long as against another opponent"),
    pytest.param(900.0, {2: 950.0}, 900, id="the same, and one that takes longer"),
])
def test_duels_are_not_taken_to_be_as_short_as_the_runs_before_them(first: float, running: dict[int, float], duels: float) -> None:
    plain = make_field(2, 2, 1)
    once, queries = plain.attacks
    rows = (replace(once, expected_s=1.0),
            *(replace(queries, expected_s=known, duel=Duel(Access.QUERY, opponent, (9,), ("asked",)))
              for opponent, known in enumerate((first, nan))))
    field = replace(plain, attacks=rows, defenses=tuple(replace(d, expected_s=1.0) for d in plain.defenses))
    board = Board(1, 2, clean_inputs(1), opponents=field.opponents)
    tasks = {Task(ATTACK, row, 0): since_s for row, since_s in running.items()}
    # The attack on all, and both defenses on the clean images and on what it makes.
    assert Choice(field, board).remaining_s(tasks) == pytest.approx(1 + 4 + duels)


def test_an_attack_of_which_nothing_is_known_takes_as_long_against_the_next_as_it_does_now() -> None:
    plain = make_field(2, 2, 1)
    rows = tuple(replace(attack, expected_s=known, duel=Duel(Access.WHITE_BOX, opponent, (9,), ("given",)))
                 for attack, known in zip(plain.attacks, (2.0, nan), strict=True) for opponent in (0, 1))
    field = replace(plain, attacks=rows, defenses=tuple(replace(d, expected_s=1.0) for d in plain.defenses))
    choice = Choice(field, Board(0, 2, clean_inputs(1), opponents=field.opponents))
    before = choice.remaining_s({})
    assert before is not None
    assert choice.remaining_s({Task(ATTACK, 2, 0): 300.0}) == pytest.approx(before - 2 * 2 + 2 * 300 - 300)


def test_an_open_program_is_fed_before_all_others_with_one_run_laid_out_beside_the_running_one() -> None:
    choice, _ = make([100.0], [1.0], batches=4, served=["defense0"])
    choice.opened({"defense0": 1})
    first = start(choice)
    assert (first.kind, first.entry) == (DEFENSE, 0)
    assert starts(choice, 2) == [(DEFENSE, 0), (ATTACK, 0)]
    choice.ended(first)
    assert starts(choice, 2) == [(DEFENSE, 0), (ATTACK, 0)]


def test_of_two_open_programs_the_one_with_less_to_do_is_fed() -> None:
    choice, _ = make([], [1.0, 1.0], batches=3, served=["defense0", "defense1"])
    choice.opened({"defense0": 1, "defense1": 1})
    assert starts(choice, 4) == [(DEFENSE, 0), (DEFENSE, 1), (DEFENSE, 0), (DEFENSE, 1)]


#: Expected seconds of a run, of which three are left, and whether a second program is opened for them.
SECOND = [(WORTH_ANOTHER_S / 3 * 1.1, True), (WORTH_ANOTHER_S / 3 * 0.9, False), (nan, False)]


@pytest.mark.parametrize(("expected_s", "worth"), SECOND)
def test_a_second_program_is_opened_only_where_enough_is_left(expected_s: float, worth: bool) -> None:
    choice, _ = make([expected_s], batches=4, served=["attack0"])
    first = start(choice)
    assert (choice.next() is not None) is worth
    if not worth:
        choice.learn(first, WORTH_ANOTHER_S)
        assert choice.next() is not None


def test_a_second_program_waits_for_the_runs_of_everybody_else() -> None:
    choice, _ = make([100.0, 1.0], [1.0], batches=2, served=["attack0"])
    assert starts(choice, 6) == [(ATTACK, 0), (ATTACK, 1), (ATTACK, 1), (DEFENSE, 0), (DEFENSE, 0), (ATTACK, 0)]


def test_a_program_that_is_started_for_each_run_may_run_twice_at_once() -> None:
    choice, _ = make([0.1], batches=2)
    assert starts(choice, 2) == [(ATTACK, 0)] * 2


@pytest.mark.parametrize("served", [(), ("attack0",)])
def test_whoever_brought_the_host_to_fail_goes_last_until_a_run_succeeds(served: Collection[str]) -> None:
    choice, board = make([9.0, 1.0], batches=3, served=served)
    choice.opened(dict.fromkeys(served, 1))
    failed = start(choice)
    choice.ended(failed)
    choice.suspect(1 + failed.entry)
    board.release(failed)
    assert starts(choice, 1) == [(ATTACK, 1)]
    choice.learn(failed, 9.0)
    assert starts(choice, 1) == [(ATTACK, 0)]


def test_whoever_brought_the_host_to_fail_runs_where_nobody_else_can() -> None:
    choice, _ = make([9.0], batches=2)
    failed = start(choice)
    choice.ended(failed)
    choice.suspect(1 + failed.entry)
    assert starts(choice, 1) == [(ATTACK, 0)]
