"""What the store answers with: plain values, no rows of an open session."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypeVar, cast

from harness.tracks import Access, Threat

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: States of a run, as they are stored. Waiting is the absence of a row.
RUNNING, DONE, OPEN = 1, 2, 3

V = TypeVar("V", bound="DataclassInstance")


def crc_of(*parts: bytes | None) -> int | None:
    """The check that is kept beside an answer, CRC-32 of its parts; None where there is none, -1 where it is no longer bytes."""
    if None in parts:
        return None
    try:
        # Joining one part copies nothing. SQLite calls this for every run of a round.
        return zlib.crc32(b"".join(cast("tuple[bytes, ...]", parts)))
    except TypeError:  # a changed bit of a row's header makes text or a number of it
        return -1


@dataclass(frozen=True)
class StoredSubmission:
    """One version of one submission."""

    id: int
    name: str
    version: int
    type: str
    team: str
    baseline: bool
    digest: str
    kind: str
    container: str
    container_gpu: str
    entry_point: str
    profile: str
    serves: bool
    source: str
    submitted_at: float
    state: str
    threat: str = Threat.LINF
    access: str = Access.BLACK_BOX
    base: str = ""
    open_to: str = ""

    def is_open_to(self, access: str) -> bool:
        """Whether it can be the opponent in such a duel."""
        return access in self.open_to.split()

    def image(self, *, gpu: bool) -> str:
        """The image that it names for hosts with or without a GPU."""
        return self.container_gpu if gpu and self.container_gpu else self.container


@dataclass(frozen=True)
class Registered:
    """A submission as it is registered now, and what registering did.

    Attributes:
        change: ``new``; ``same``, its content takes part under this name already; ``version``, a new version of the name; ``back``,
            content that was superseded or withdrawn takes part again, and its results count again.
    """

    submission: StoredSubmission
    change: str


@dataclass(frozen=True)
class StoredRound:
    """A round; ``rules`` as JSON."""

    id: int
    name: str
    tournament: str
    dataset_digest: str
    rules: str
    conditions_id: int
    served_conditions_id: int
    created_at: float
    own_conditions: str = "{}"

    def conditions_of(self, submission: StoredSubmission, *, isolation: str) -> int:
        """The conditions that a submission's runs are recorded under in this round."""
        fresh, served = self.both_conditions_of(submission)
        return served if isolation == "submission" and submission.serves else fresh

    def both_conditions_of(self, submission: StoredSubmission) -> tuple[int, int]:
        """Those of a submission's fresh runs, and of its served ones."""
        fresh, served = self._own.get(str(submission.id), (self.conditions_id, self.served_conditions_id))
        return fresh, served

    @cached_property
    def _own(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = json.loads(self.own_conditions)
        return found


#: Kind of an input that is a batch as attacks are given it, under L-infinity bounds.
TASK = "task"


#: Begins the kind of an input that is a batch as an attack is given it against one opponent.
DUEL = "duel"


def is_task(kind: str) -> bool:
    """Whether inputs of this kind are for attacks."""
    return kind.startswith((TASK, DUEL))


def duel_kind(access: str) -> str:
    """The kind of an input that is a batch as attacks of this access are given it against one opponent."""
    return f"{DUEL} {access}"


def task_kind(threat: Threat, bound: int) -> str:
    """The kind of an input that is a batch as attacks of this threat are given it; a batch has one for each bound."""
    return TASK if threat is Threat.LINF else f"{TASK} {threat} {bound}"


@dataclass(frozen=True)
class StoredBatch:
    """A batch; its number in a round is its place among the round's."""

    id: int
    task_digest: str
    size: int
    epsilon: int


@dataclass(frozen=True)
class StoredInput:
    """An input row, with the masks of images still packed."""

    id: int
    batch_id: int
    kind: str
    digest: str
    produced: bytes
    parts: bytes | None
    changed: bytes | None = None


@cache
def _names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def value_of(kind: type[V], row: object) -> V:
    """A value with what a row has under the names of its fields."""
    return kind(**{name: getattr(row, name) for name in _names(kind)})


def values_of(kind: type[V], rows: Iterable[object]) -> list[V]:
    """``value_of`` each row."""
    return [value_of(kind, row) for row in rows]
