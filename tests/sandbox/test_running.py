"""What becomes of a program's end, with a clock that is bent."""

from __future__ import annotations

import threading
import time

import pytest

from harness.sandbox.outcomes import Ending
from harness.sandbox.running import ResourceUsage, State, conclude
from harness.sandbox.tail import LogTail
from harness.sandbox.watch import Check, Verdict, Watch


class Ended:
    """A program that has ended."""

    def __init__(self, killed: Verdict | None = None, judged: Verdict | None = None) -> None:
        self.stdout, self.stderr = LogTail(), LogTail()
        self._killed, self._judged = killed, judged

    def kill(self) -> Verdict | None:
        return self._killed

    def judge(self, _state: State) -> Verdict | None:
        return self._judged

    def use(self) -> ResourceUsage:
        return ResourceUsage(1.0, 2)


def watch(elapsed_s: float) -> Watch:
    return Watch(5.0, threading.Event(), None, begun=time.monotonic() - elapsed_s)


LIMIT = Verdict(Ending.TIME_LIMIT, "late")
GONE = Verdict(Ending.HOST_ERROR, "gone")

ROWS = {
    "in time": (1.0, State(0), None, Ended(), Ending.FINISHED, 0),
    "in time, with a code": (1.0, State(3), None, Ended(), Ending.FINISHED, 3),
    "killed at the limit": (5.0, None, LIMIT, Ended(), Ending.TIME_LIMIT, None),
    "cannot be killed": (5.0, None, LIMIT, Ended(killed=GONE), Ending.HOST_ERROR, None),
    "the sandbox knows more": (1.0, State(137), None, Ended(judged=GONE), Ending.HOST_ERROR, 137),
    "we woke late, it was in time": (60.0, State(0, wall_s=4.0), None, Ended(), Ending.FINISHED, 0),
    "we woke late, and so was it": (60.0, State(0, wall_s=30.0), None, Ended(), Ending.TIME_LIMIT, None),
    "we woke late, nobody knows": (60.0, State(0), None, Ended(), Ending.TIME_LIMIT, None),
    "a wall clock that was set forward": (1.0, State(0, wall_s=9999.0), None, Ended(), Ending.FINISHED, 0),
}


@pytest.mark.parametrize("row", ROWS)
def test_conclude(row) -> None:
    elapsed_s, state, verdict, running, ending, exit_code = ROWS[row]
    report = conclude(running, state, verdict, watch(elapsed_s))  # type: ignore[arg-type]
    assert (report.ending, report.exit_code) == (ending, exit_code)


OOM = Verdict(Ending.MEMORY_LIMIT, "killed")
EXHAUSTED = "The host ran out of memory"

#: What the kernel did not end, or ended for the program's own limit, stays what it is.
HOST_ROWS = {
    "ended by the host": (State(137), None, None, EXHAUSTED, Ending.HOST_ERROR),
    "a child was, and it failed": (State(1), None, None, EXHAUSTED, Ending.HOST_ERROR),
    "it went on without, and is through": (State(0), None, None, EXHAUSTED, Ending.FINISHED),
    "it waits for a child that was ended": (None, LIMIT, None, EXHAUSTED, Ending.HOST_ERROR),
    "said to be out of memory, far from its limit": (State(137, True, within_memory=True), None, OOM, EXHAUSTED, Ending.HOST_ERROR),
    "its own limit": (State(137, True), None, OOM, EXHAUSTED, Ending.MEMORY_LIMIT),
    "measured beyond its own limit": (None, OOM, None, EXHAUSTED, Ending.MEMORY_LIMIT),
    "wrote too much": (None, Verdict(Ending.OUTPUT_LIMIT, "full"), None, EXHAUSTED, Ending.OUTPUT_LIMIT),
    "stopped": (None, Verdict(Ending.CANCELLED, "stopped"), None, EXHAUSTED, Ending.CANCELLED),
    "ended by itself": (State(137), None, None, "", Ending.FINISHED),
    "slow": (None, LIMIT, None, "", Ending.TIME_LIMIT),
    "out of memory": (State(137, True, within_memory=True), None, OOM, "", Ending.MEMORY_LIMIT),
}


@pytest.mark.parametrize("row", HOST_ROWS)
def test_a_host_without_memory_is_to_blame(row, monkeypatch) -> None:
    state, verdict, judged, said, ending = HOST_ROWS[row]
    watched = watch(1.0)
    monkeypatch.setattr(watched.host, "ran_out", lambda given_back: said if given_back == 2 else "")
    report = conclude(Ended(judged=judged), state, verdict, watched)  # type: ignore[arg-type]
    assert report.ending is ending
    assert (report.detail == EXHAUSTED) == (ending is Ending.HOST_ERROR)


def test_a_check_is_made_when_it_is_due() -> None:
    looks = []
    watched = watch(1.0)
    watched.checks.append(Check(lambda: looks.append(1), 60.0))
    assert [watched.look() for _ in range(5)] == [None] * 5
    assert len(looks) == 1


def test_the_first_reason_counts() -> None:
    watched = watch(9.0)
    assert watched.look().ending is Ending.TIME_LIMIT
    watched.cancel.set()
    assert watched.look().ending is Ending.CANCELLED
