"""What ends a program before it exits by itself: one small object that both sandboxes poll.

All times are the monotonic clock's: a host whose wall clock is set back or forward must not change a result.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.sandbox.host_memory import HostMemory
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea

#: Memory can be used up in tenths of a second; a check costs 50 microseconds.
_HOST_EVERY_S = 0.25


@dataclass(frozen=True)
class Verdict:
    """Why the harness ends a program, and one sentence of evidence."""

    ending: Ending
    detail: str


@dataclass
class Check:
    """One further condition to check now and then.

    Attributes:
        look: Returns a verdict, or None where all is well.
        every_s: How often a look is worth its cost.
    """

    look: Callable[[], Verdict | None]
    every_s: float
    due: float = 0.0


@dataclass
class Watch:
    """The limits of one batch, from ``begun`` on.

    Attributes:
        limit_s: Wall clock allowed.
        cancel: Set from outside to end the run.
        output: The area whose quota is watched, or None (while a served program starts).
        checks: Further looks.
        host: The host's memory meanwhile.
    """

    limit_s: float
    cancel: threading.Event
    output: OutputArea | None
    checks: list[Check] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    host: HostMemory = field(default_factory=HostMemory)

    def __post_init__(self) -> None:
        """Give the output area and the host their places among the checks."""
        self.checks = [*self.checks, Check(self.host.look, _HOST_EVERY_S)]
        if self.output is not None:
            self.checks = [Check(self.output_verdict, self.output.check_every_s), *self.checks]

    @property
    def elapsed_s(self) -> float:
        """Seconds since the batch began."""
        return time.monotonic() - self.begun

    def wait_s(self, most: float = 0.05) -> float:
        """How long to wait for output: short at first, so that the times of short programs are not rounded up."""
        return max(0.0, min(most, self.limit_s - self.elapsed_s))

    def look(self) -> Verdict | None:
        """The first reason to end the program now, if any."""
        if self.cancel.is_set():
            return Verdict(Ending.CANCELLED, "The run was cancelled.")
        now = time.monotonic()
        if now - self.begun >= self.limit_s:
            return Verdict(Ending.TIME_LIMIT, f"Killed after {now - self.begun:.2f} s; the limit is {self.limit_s:g} s.")
        for check in self.checks:
            if now >= check.due:
                # From now on, not from the last time: a slow check must not run again at once.
                verdict = check.look()
                check.due = time.monotonic() + check.every_s
                if verdict is not None:
                    return verdict
        return None

    def output_verdict(self) -> Verdict | None:
        """Whether the output area has passed its quota."""
        if self.output is None:
            return None
        usage = self.output.usage()
        if not usage.full:
            return None
        return Verdict(Ending.OUTPUT_LIMIT, f"{usage.bytes} bytes in {usage.files} files and directories were seen; "
                       f"{self.output.max_bytes} bytes and {self.output.max_files} are allowed.")
