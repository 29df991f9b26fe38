"""A tournament's progress, what failed and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.sandbox.outcomes import POLICY, Outcome
from harness.views.progress import SlotView


@dataclass(frozen=True)
class KindCounts:
    """Runs of one kind (attack, targeted attack, defense) by state; ``failed`` are those of the done ones that were not ``ok``."""

    kind: str
    done: int
    running: int
    waiting: int
    failed: int = 0

    @property
    def total(self) -> int:
        """All runs of this kind."""
        return self.done + self.running + self.waiting


@dataclass(frozen=True)
class DuelCounts:
    """Duels of one access: an attack, a defense that is open to it and a batch; their runs are among those of ``KindCounts``."""

    access: str
    done: int
    total: int


@dataclass(frozen=True)
class NodeView:
    """A machine of a running tournament on several.

    Attributes:
        hardware: In words.
        lost: Whether it went away; its runs restarted elsewhere.
    """

    name: str
    slots: int
    hardware: str
    lost: bool = False


@dataclass(frozen=True)
class StatusView:
    """A tournament's state, from its rows.

    Attributes:
        outcomes: Ended runs by outcome.
        slots: What a running harness does, where that is known.
        nodes: The machines of a running harness, where there are several.
        eta_s: Seconds left, from measured medians; None where nothing is known or nothing runs.
        spent_s: Seconds by stage (start, compute, lay out, read back and enforce, wait), where a run was measured.
        busy_share: Share of the slots' time spent running submissions.
        overhead_s: A slot's time per run in which no program computed.
        active: Whether a ``harness run`` holds the tournament now.
        rounds: Names of all rounds, newest first.
        duels: Those of each access that a pair is open to.
    """

    tournament: str
    round: str
    kinds: tuple[KindCounts, ...]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[SlotView, ...] = ()
    eta_s: float | None = None
    spent_s: Mapping[str, float] = field(default_factory=dict)
    busy_share: float | None = None
    overhead_s: float | None = None
    active: bool = False
    rounds: tuple[str, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    duels: tuple[DuelCounts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same for other programs, each outcome with its sentence."""
        return {**asdict(self), "outcomes": {
            name: {"runs": count, "sentence": sentence(name), "blame": blame(name)} for name, count in self.outcomes.items()}}


def sentence(outcome: str) -> str:
    """What an outcome means, for its author."""
    return POLICY[Outcome(outcome)].sentence if outcome in set(Outcome) else ""


def next_step(outcome: str) -> str:
    """What to do about an outcome."""
    return POLICY[Outcome(outcome)].next_step if outcome in set(Outcome) else ""


def blame(outcome: str) -> str:
    """Who has to act: nobody, the submission or the host."""
    return POLICY[Outcome(outcome)].blame if outcome in set(Outcome) else ""
