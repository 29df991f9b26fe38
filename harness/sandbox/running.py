"""A started program as both sandboxes have it, and the steps of a run that both share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending
from harness.sandbox.tail import LogTail
from harness.sandbox.watch import Verdict, Watch

#: A check of the clock this late means that the harness was stopped or starved, not that the program was slow to die.
OVERSLEPT_S = 1.0


class NotStartedError(Exception):
    """The program did not start.

    Args:
        verdict: Why.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


@dataclass(frozen=True)
class State:
    """What is known of a program that has ended by itself.

    Attributes:
        exit_code: What it returned; 128 + its number for a signal.
        out_of_memory: Whether the kernel ended a process of it for lack of memory.
        within_memory: Whether it was not seen near its own limit of memory.
        wall_s: From its start to its end as somebody else than we measured it, None where nobody did.
    """

    exit_code: int
    out_of_memory: bool = False
    within_memory: bool = False
    wall_s: float | None = None


@dataclass(frozen=True)
class ResourceUsage:
    """What a program used; None where unknown."""

    cpu_s: float | None = None
    peak_memory_bytes: int | None = None


class Running(Protocol):
    """A started program. Used by one thread at a time.

    Attributes:
        began: When it was told to start: not after its clock began.
    """

    began: float
    stdout: LogTail
    stderr: LogTail

    def pump(self, timeout_s: float) -> None:
        """Take what it prints, waiting up to ``timeout_s`` for something."""

    def take_log(self) -> None:
        """Take what it had printed before it was frozen."""

    def ended(self) -> bool:
        """Whether it seems to have ended."""

    def settle(self, watch: Watch) -> State | Verdict:
        """Wait until it has really ended; a verdict where a limit or a failure comes first."""

    def kill(self) -> Verdict | None:
        """End it and all that it started. None on success, otherwise why it failed."""

    def judge(self, state: State) -> Verdict | None:
        """What an exit by itself may mean other than "finished"."""

    def send(self, data: bytes, timeout_s: float) -> bool:
        """Write to its stdin; False where it does not take it in time."""

    @property
    def left(self) -> bool:
        """Whether it is known to have ended, after ``freeze`` or ``thaw``; nothing of it lives then."""

    def freeze(self) -> Verdict | None:
        """Freeze it. None on success or where it has ended, otherwise why it failed."""

    def thaw(self) -> Verdict | None:
        """Thaw it. None on success, otherwise why it failed."""

    def held_bytes(self) -> int:
        """Memory that it holds now."""

    def use(self) -> ResourceUsage:
        """What it used so far."""

    def remove(self) -> None:
        """Remove all of it; never raises."""


def to_the_end(running: Running, watch: Watch) -> RunReport:
    """Watch a program until it has ended or has been ended; its report without ``start_s``."""
    state, verdict = _wait(running, watch)
    return conclude(running, state, verdict, watch)


def conclude(running: Running, state: State | None, verdict: Verdict | None, watch: Watch) -> RunReport:
    """The report of a program that ended by itself (``state``), or that has to be ended now (``verdict``)."""
    wall_s = watch.elapsed_s
    if state is not None:
        if overslept(watch) and state.wall_s is not None:
            wall_s = min(wall_s, state.wall_s)
        if wall_s > watch.limit_s + OVERSLEPT_S:
            late = Verdict(Ending.TIME_LIMIT, f"It ended after {wall_s:.2f} s; the limit is {watch.limit_s:g} s.")
            return report(running, None, late, wall_s)
        verdict = running.judge(state) or watch.output_verdict()
        return report(running, state, _of_the_host(running, state, verdict, watch) or verdict, wall_s)
    # A program that cannot be ended may still write: then nothing of its output may be read.
    verdict = running.kill() or verdict
    return report(running, None, _of_the_host(running, None, verdict, watch) or verdict, watch.elapsed_s)


def _of_the_host(running: Running, state: State | None, verdict: Verdict | None, watch: Watch) -> Verdict | None:
    """Whether the host's lack of memory explains this end: the kernel killed a process of it, or one that others wait for."""
    if verdict is None:
        explained = state is not None and state.exit_code != 0
    elif verdict.ending is Ending.MEMORY_LIMIT:
        explained = state is not None and state.within_memory
    else:
        explained = verdict.ending is Ending.TIME_LIMIT
    said = watch.host.ran_out(running.use().peak_memory_bytes or 0) if explained else ""
    return Verdict(Ending.HOST_ERROR, said) if said else None


def overslept(watch: Watch) -> bool:
    """Whether the harness itself was stopped for so long that its own clock says nothing of the program."""
    return watch.elapsed_s > watch.limit_s + OVERSLEPT_S


def report(running: Running, state: State | None, verdict: Verdict | None, wall_s: float) -> RunReport:
    """Join what was seen."""
    use = running.use()
    return RunReport(
        ending=verdict.ending if verdict else Ending.FINISHED,
        exit_code=state.exit_code if state else None,
        detail=verdict.detail if verdict else "",
        wall_s=wall_s, cpu_s=use.cpu_s, peak_memory_bytes=use.peak_memory_bytes,
        stdout=running.stdout.text(), stderr=running.stderr.text())


def _wait(running: Running, watch: Watch) -> tuple[State | None, Verdict | None]:
    while True:
        running.pump(watch.wait_s())
        # Its end comes before its limit: when we wake late, the program may have ended in time.
        if running.ended():
            settled = running.settle(watch)
            return (None, settled) if isinstance(settled, Verdict) else (settled, None)
        verdict = watch.look()
        if verdict is not None:
            return None, verdict
