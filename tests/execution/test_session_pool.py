"""The pool of open programs with a sandbox that opens nothing: who is lent, kept, closed, and in which order."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness.execution.session_pool import Loan, SessionPool, Wanted
from harness.sandbox.base import Limits, Program, RunReport, Target
from harness.sandbox.outcomes import Ending

MIB = 1 << 20
LIMITS = Limits(memory_bytes=100 * MIB)


@dataclass
class FakeSession:
    name: str
    memory_bytes: int
    accepts_arrays: bool = False
    alive: bool = True
    closed: bool = False
    gpu: str | None = None

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@dataclass
class FakeSandbox:
    size: int = 10 * MIB
    arrays: bool = False
    refuses: bool | set[str] = False
    opened: list[FakeSession] = field(default_factory=list)
    crowd: int = 0

    def open(self, program: Program, track: str, workspace: Path, limits: Limits, gpu: str | None, labels: dict,
             cancel: threading.Event | None = None) -> FakeSession | RunReport:
        workspace.mkdir()
        if self.refuses is True or (self.refuses and program.digest in self.refuses):
            return RunReport(Ending.START_FAILED, detail="refused")
        session = FakeSession(program.digest, self.size, self.arrays, gpu=gpu)
        self.opened.append(session)
        self.crowd = max(self.crowd, sum(not session.closed and session.gpu == gpu for session in list(self.opened)))
        time.sleep(0.0005)
        return session

    def living(self) -> list[str]:
        return [session.name for session in self.opened if not session.closed]


def program(name: str) -> Program:
    return Program(name, None, None, None, serves=True)


@pytest.fixture
def sandbox() -> FakeSandbox:
    return FakeSandbox()


@pytest.fixture
def pool(sandbox, tmp_path) -> SessionPool:
    return SessionPool(sandbox, tmp_path, 100 * MIB)


@contextmanager
def lent(pool: SessionPool, name: str, gpu: str | None = None) -> Iterator[Loan]:
    with pool.lend(program(name), "attack", LIMITS, gpu, {}, threading.Event()) as loan:
        yield loan


def use(pool: SessionPool, *names: str, gpu: str | None = None) -> None:
    for name in names:
        with lent(pool, name, gpu):
            pass


def test_a_program_stays_open_for_the_next_batch(pool, sandbox) -> None:
    use(pool, "a", "a", "a")
    assert pool.opened == 1
    assert sandbox.living() == ["a"]


def test_a_program_is_lent_to_one_at_a_time(pool) -> None:
    with lent(pool, "a") as first, lent(pool, "a") as second:
        assert first.session is not second.session
        assert first.workspace != second.workspace
    assert pool.opened == 2


def test_a_host_short_of_memory_has_the_one_that_was_used_longest_ago_closed(pool, sandbox) -> None:
    use(pool, "a", "b")
    with lent(pool, "a"):
        assert pool.close_idle()
        assert sandbox.living() == ["a"]
        assert not pool.close_idle()  # at work: it cannot be closed
    assert pool.evicted == 1
    assert pool.open_programs() == {"a": 1}


def test_another_gpu_is_another_program(pool) -> None:
    use(pool, "a", gpu="0")
    use(pool, "a", gpu="1")
    assert pool.opened == 2


def test_a_gpu_holds_one_program_for_each_slot(pool, sandbox) -> None:
    use(pool, "a", gpu="0")
    use(pool, "b", gpu="1")
    use(pool, "c")
    use(pool, "d", gpu="0")  # host memory is free for all of them; the memory of GPU 0 is a's until it is closed
    assert sandbox.living() == ["b", "c", "d"]
    assert pool.evicted == 1
    use(pool, "d", gpu="0")
    assert pool.opened == 4


def test_a_fresh_program_finds_its_gpu_free_of_idle_ones(pool, sandbox) -> None:
    use(pool, "a", gpu="0")
    use(pool, "b", gpu="1")
    with pool.beside("0"):
        assert [session.closed for session in sandbox.opened] == [True, False]
        assert pool.open_on("0") == 1
    assert pool.open_on("0") == 0
    with lent(pool, "b", "1"), pool.beside("1"):
        assert not sandbox.opened[1].closed  # at work: it cannot be closed


def test_a_gpu_that_two_slots_share_holds_two(sandbox, tmp_path) -> None:
    pool = SessionPool(sandbox, tmp_path, 1000 * MIB, per_gpu=2)
    use(pool, "a", "b", gpu="0")
    assert sandbox.living() == ["a", "b"]
    with lent(pool, "a", "0"):
        use(pool, "c", gpu="0")
        assert sandbox.living() == ["a", "c"]


def test_slots_that_open_at_the_same_time_do_not_crowd_a_gpu(sandbox, tmp_path) -> None:
    pool = SessionPool(sandbox, tmp_path, 1000 * MIB, per_gpu=3)

    def work(names: str) -> None:
        for name in names:
            with lent(pool, name, "0") as loan:
                loan.session.alive = name != "d"  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=[order * 10]) for order in ("abcde", "edcba", "cadbe")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.crowd == 3
    assert pool.open_on("0") == len(sandbox.living()) <= 3


def test_how_many_are_open_on_a_gpu(pool, sandbox) -> None:
    assert pool.open_on("0") == 0
    with lent(pool, "a", "0") as loan:
        assert (pool.open_on("0"), pool.open_on("1")) == (1, 0)
    assert pool.open_on("0") == 1
    with lent(pool, "a", "0") as loan:
        loan.session.alive = False  # type: ignore[misc]
    assert pool.open_on("0") == 0
    sandbox.refuses = True
    with lent(pool, "a", "0"):
        assert pool.open_on("0") == 0


def test_a_dead_program_is_not_lent_again_and_its_files_go(pool, sandbox) -> None:
    with lent(pool, "a") as loan:
        loan.session.alive = False  # type: ignore[misc]
    assert sandbox.living() == []
    assert not loan.workspace.exists()
    use(pool, "a")
    assert pool.opened == 2


def test_a_fault_in_the_middle_gives_the_program_back(pool, sandbox) -> None:
    with pytest.raises(KeyError), lent(pool, "a"):
        raise KeyError
    use(pool, "a")
    assert pool.opened == 1


def test_one_that_does_not_come_up_leaves_nothing(pool, sandbox, tmp_path) -> None:
    sandbox.refuses = True
    with lent(pool, "a") as loan:
        assert loan.session is None
        assert loan.report.ending is Ending.START_FAILED
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_goes_first(pool, sandbox) -> None:
    sandbox.size = 40 * MIB
    use(pool, "a", "b")
    use(pool, "a")
    use(pool, "c")  # 25 MiB are reckoned with, until it has been seen
    assert sandbox.living() == ["a", "c"]
    assert pool.evicted == 1


def test_how_many_fit_is_measured(pool, sandbox) -> None:
    sandbox.size = 30 * MIB
    use(pool, "a", "b", "c")
    assert sorted(sandbox.living()) == ["a", "b", "c"]  # 90 of 100
    use(pool, "d")
    assert len(sandbox.living()) == 3


def test_what_is_lent_is_never_closed(pool, sandbox) -> None:
    sandbox.size = 90 * MIB
    with lent(pool, "a"), lent(pool, "b"):
        assert sandbox.living() == ["a", "b"]
    use(pool, "c")
    assert sandbox.living() == ["c"]


def test_whether_it_takes_arrays_is_remembered(pool, sandbox) -> None:
    sandbox.arrays = True
    assert not pool.takes_arrays(program("a"))
    use(pool, "a")
    assert pool.takes_arrays(program("a"))


def test_closing_closes_all(pool, sandbox, tmp_path) -> None:
    use(pool, "a", "b", "c")
    pool.close()
    assert sandbox.living() == []
    assert list(tmp_path.iterdir()) == []


def test_many_threads(pool, sandbox) -> None:
    sandbox.size = 40 * MIB
    threads = [threading.Thread(target=use, args=(pool, *"abcde" * 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert sandbox.living() == []


def wanted(name: str) -> Wanted:
    return Wanted(program(name), "attack", LIMITS)


@contextmanager
def both(pool: SessionPool, first: str, second: str, gpu: str | None = None) -> Iterator[tuple[Loan, Loan]]:
    with pool.lend_both(wanted(first), wanted(second), gpu, {}, threading.Event()) as loans:
        yield loans


def test_two_that_want_each_others_programs_both_have_them(pool, sandbox) -> None:
    with both(pool, "a", "b") as (a, b), both(pool, "b", "a") as (other_b, other_a):
        assert [loan.session.name for loan in (a, b, other_b, other_a)] == ["a", "b", "b", "a"]  # type: ignore[attr-defined]
        assert len({id(loan.session) for loan in (a, b, other_b, other_a)}) == 4
    with both(pool, "b", "a"), both(pool, "a", "b"):
        assert pool.opened == 4, "what is idle is lent again"


def test_a_program_against_itself_is_two(pool) -> None:
    with both(pool, "a", "a") as (one, other):
        assert one.session is not other.session


@pytest.mark.parametrize("refused", ["a", "b"])
def test_both_or_neither(pool, sandbox, tmp_path, refused) -> None:
    use(pool, "a", "b")
    with lent(pool, refused):
        sandbox.refuses = {refused}
        with both(pool, "a", "b") as loans:
            assert [loan.session for loan in loans] == [None, None]
            reports = {name: loan.report for name, loan in zip("ab", loans, strict=True)}
            assert reports.pop(refused).ending is Ending.START_FAILED
            assert list(reports.values()) == [None]
            with lent(pool, "b" if refused == "a" else "a"):
                assert pool.opened == 2, "the one that was there was given back at once"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_wanted_makes_no_room_for_the_other(pool, sandbox) -> None:
    sandbox.size = 40 * MIB
    use(pool, "b", "c")
    with both(pool, "a", "b"):
        assert sorted(sandbox.living()) == ["a", "b"], "c was used last, but b is wanted"
    assert pool.opened == 3


def test_a_gpu_has_both_only_as_long_as_they_play(pool, sandbox) -> None:
    with both(pool, "a", "b", "0"):
        assert pool.open_on("0") == 2
    assert pool.open_on("0") == 1
    with both(pool, "a", "b", "0"):
        assert len(sandbox.living()) == 2


NAMES = st.sampled_from("abc")


class Lending(RuleBasedStateMachine):
    """Duels and single runs that begin and end in any order: each call comes back at once, whatever the others hold."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.sandbox = FakeSandbox()
        self.pool = SessionPool(self.sandbox, self.root, 45 * MIB)  # type: ignore[arg-type]
        self.threads = ThreadPoolExecutor(1)
        self.held: list[tuple[ExitStack, list[Any]]] = []

    def entered(self, lending: AbstractContextManager) -> list[Any]:
        stack = ExitStack()
        # In a thread of its own: a call that waits for what is held here would never come back.
        loans = self.threads.submit(stack.enter_context, lending).result(timeout=20)
        self.held.append((stack, list(loans) if isinstance(loans, tuple) else [loans]))
        return self.held[-1][1]

    @rule(first=NAMES, second=NAMES, gpu=st.sampled_from([None, "0"]))
    def begins_a_duel(self, first: str, second: str, gpu: str | None) -> None:
        there = [loan.session is not None for loan in self.entered(both(self.pool, first, second, gpu))]
        assert there in ([True, True], [False, False])
        assert all(there) or {first, second} & self.refused()

    @rule(name=NAMES, gpu=st.sampled_from([None, "0"]))
    def begins_a_run(self, name: str, gpu: str | None) -> None:
        (loan,) = self.entered(lent(self.pool, name, gpu))
        assert loan.session is not None or name in self.refused()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        stack, _ = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.threads.submit(stack.close).result(timeout=20)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def dies(self, data: st.DataObject) -> None:
        for loan in data.draw(st.sampled_from(self.held))[1]:
            if loan.session is not None:
                loan.session.alive = False

    @rule()
    def is_short_of_memory(self) -> None:
        self.pool.close_idle()

    @rule(names=st.sets(NAMES, max_size=1))
    def fails_to_start_from_now_on(self, names: set[str]) -> None:
        self.sandbox.refuses = names

    def refused(self) -> set[str]:
        return self.sandbox.refuses if isinstance(self.sandbox.refuses, set) else set()

    @invariant()
    def each_is_lent_once_and_open(self) -> None:
        sessions = [loan.session for _, loans in self.held for loan in loans if loan.session is not None]
        assert len({id(session) for session in sessions}) == len(sessions)
        assert not any(session.closed for session in sessions)
        assert len(list(self.root.iterdir())) == len(self.sandbox.living()) == self.pool.open_programs().total()

    def teardown(self) -> None:
        for stack, _ in self.held:
            stack.close()
        assert self.pool.open_on("0") <= 1
        self.pool.close()
        assert self.sandbox.living() == []
        assert list(self.root.iterdir()) == []
        self.threads.shutdown()
        self.directory.cleanup()


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_one_that_has_read_an_opponents_code_is_never_lent_for_another(pool, sandbox) -> None:
    opponents = [None, Target("d1"), Target("d2"), Target("d1", "base")]
    for _ in range(2):
        for target in opponents:
            with pool.lend(replace(program("a"), target=target), "attack", LIMITS, None, {}, threading.Event()):
                pass
    assert len(sandbox.opened) == len(opponents)
    assert pool.open_programs() == {"a": len(opponents)}
    elsewhere = replace(program("a"), target=Target("d2", directory=Path("elsewhere")))
    with pool.lend(elsewhere, "attack", LIMITS, None, {}, threading.Event()):
        assert len(sandbox.opened) == len(opponents), "where its code lies on this host makes no difference"
