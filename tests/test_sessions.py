"""The pool of open programs with a sandbox that opens nothing: who is lent, kept, closed, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending
from harness.sessions import Loan, SessionPool

MIB = 1 << 20
LIMITS = Limits(memory_bytes=100 * MIB)


@dataclass
class FakeSession:
    name: str
    memory_bytes: int
    accepts_arrays: bool = False
    alive: bool = True
    closed: bool = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@dataclass
class FakeSandbox:
    size: int = 10 * MIB
    arrays: bool = False
    refuses: bool = False
    opened: list[FakeSession] = field(default_factory=list)

    def open(self, program: Program, kind: str, workspace: Path, limits: Limits, gpu: str | None, labels: dict,
             cancel: threading.Event | None = None) -> FakeSession | RunReport:
        workspace.mkdir()
        if self.refuses:
            return RunReport(Ending.START_FAILED, detail="refused")
        self.opened.append(FakeSession(program.digest, self.size, self.arrays))
        return self.opened[-1]

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


def test_another_gpu_is_another_program(pool) -> None:
    use(pool, "a", gpu="0")
    use(pool, "a", gpu="1")
    assert pool.opened == 2


def test_a_dead_program_is_not_lent_again_and_its_files_go(pool, sandbox) -> None:
    with lent(pool, "a") as loan:
        loan.session.alive = False
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
