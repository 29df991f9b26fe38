"""What the scheduler needs of whatever owns slots: this machine's threads, a cluster, or a test's fake with a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.execution.job import Finished, Job, Slot


@dataclass(frozen=True, slots=True)
class SlotView:
    """What a slot does now: for display."""

    slot: Slot
    job: Job | None
    since_s: float
    resting: bool = False


class Engine(Protocol):
    """Owns slots. Called from the scheduler's thread only."""

    def room(self) -> int:
        """How many more jobs it takes now without any waiting long for a slot."""

    def submit(self, job: Job) -> None:
        """Take a job; ``wait`` brings exactly one ``Finished`` for it, unless the engine is stopped first."""

    def wait(self, timeout_s: float) -> list[Finished]:
        """Ended jobs, as soon as there is one; an empty list at the timeout."""

    def open_programs(self) -> Mapping[str, int]:
        """How many programs each submission (by digest) has open."""

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no work for a while (after a host error), or forever with infinity."""

    def usable_slots(self) -> int:
        """Slots that are not out of service."""

    def view(self) -> list[SlotView]:
        """What every slot does."""

    def absent(self) -> Mapping[str, str]:
        """Machines that were lost, by name, and in words since when."""

    def stop(self) -> None:
        """Cancel running jobs and return when none is left; results that arrive meanwhile are dropped."""
