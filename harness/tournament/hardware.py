"""Which hardware runs were measured on: times on different hardware do not compare."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.store import runs
from harness.store.facade import Transaction

#: Of a run whose slot was never described.
UNKNOWN = -1
_GIB = 1 << 30
_MANY = 100


def hardware_words(facts: Mapping[str, Any]) -> str:
    """A slot's hardware, without what is its own alone; ``kinds_of`` says which of these compare."""
    gpu = facts.get("gpu")
    return f"{gpu['name']}, {machine_words(facts)}" if gpu else machine_words(facts)


def machine_words(facts: Mapping[str, Any]) -> str:
    """A slot's machine."""
    memory = facts["memory_bytes"]
    size = "-" if memory is None else f"{memory / _GIB:.{int(memory < _MANY * _GIB)}f} GiB"
    return f"{facts['cores']} cores of {facts['machine']}, {size}"


@dataclass(frozen=True)
class Slot:
    """What is known of a slot.

    Attributes:
        hardware: Its kind, in words.
    """

    facts: Mapping[str, Any]
    hardware: str


def kinds_of(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which kind of hardware each of these is, in the words of the one of its kind that has most memory.

    What the kernel says of the memory changes by an update, and differs between machines that are alike. Those that are one step
    of less than a tenth apart are one kind: no fixed bounds, which two such machines could lie on either side of.
    """
    kinds = [""] * len(described)
    kind, larger = "", (("", "", 0), 0)
    for place in sorted(range(len(described)), key=lambda place: _order(described[place]), reverse=True):
        found = _order(described[place])
        if found[0] != larger[0] or 10 * found[1] <= 9 * larger[1]:
            kind = hardware_words(described[place])
        kinds[place], larger = kind, found
    return kinds


def _order(facts: Mapping[str, Any]) -> tuple[tuple[str, str, int], int]:
    return ((facts.get("gpu") or {}).get("name", ""), facts["machine"], facts["cores"] or 0), facts["memory_bytes"] or 0


class Slots:
    """What every slot was at any time: a GPU can be exchanged."""

    def __init__(self, transaction: Transaction) -> None:
        self._known: dict[str, tuple[list[float], list[Slot]]] = {}
        described = list(runs.slots(transaction))
        for (name, seen_at, facts), kind in zip(described, kinds_of([facts for *_, facts in described]), strict=True):
            times, seen = self._known.setdefault(name, ([], []))
            times.append(seen_at)
            seen.append(Slot(facts, kind))

    def at(self, name: str | None, began: float) -> Slot | None:
        """A slot as it was when a run began on it; None where it was not described."""
        times, seen = self._known.get(name or "", ([], []))
        place = bisect.bisect_right(times, began)
        return seen[place - 1] if place else None

    def kinds(self) -> list[str]:
        """All hardware in words."""
        return sorted({slot.hardware for _, seen in self._known.values() for slot in seen})


@dataclass(frozen=True, eq=False)
class Hardware:
    """The kinds of hardware that runs with a result were measured on.

    Attributes:
        kinds: In words; one or none where there is nothing to tell apart.
        of_run: By run id, int16: which of the kinds, ``UNKNOWN`` for none; a later run is as the last one.
    """

    kinds: tuple[str, ...] = ()
    of_run: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))

    @classmethod
    def read(cls, transaction: Transaction) -> Hardware:
        """Of all runs. Where all slots are of one kind, which is nearly always, no run is looked at."""
        slots = Slots(transaction)
        kinds = tuple(slots.kinds())
        if len(kinds) < 2:  # noqa: PLR2004 - two do not compare
            return cls(kinds)
        number = {kind: place for place, kind in enumerate(kinds)}
        measured = runs.slots_of_runs(transaction)
        # One more, which stands for all later runs.
        of_run = np.full(max((run for run, *_ in measured), default=0) + 2, UNKNOWN, np.int16)
        for run, slot, began in measured:
            found = slots.at(slot, began)
            if found is not None:
                of_run[run] = number[found.hardware]
        return cls(kinds, of_run)

    def times(self, run_ids: NDArray[Any], wall_s: NDArray[Any]) -> dict[str, tuple[int, float]]:
        """How many of some runs were measured on each kind, and their median in seconds; nothing where there is one kind."""
        if not len(self.of_run):
            return {}
        where = self.of_run[np.minimum(run_ids, len(self.of_run) - 1)]
        return {self.kinds[kind]: (int(np.count_nonzero(where == kind)), float(np.median(wall_s[where == kind])))
                for kind in np.unique(where[where != UNKNOWN]).tolist()}


Times = Mapping[str, tuple[int, float]]


def compared(times: Collection[Times]) -> tuple[list[str], bool]:
    """What times of entries can be compared on.

    Args:
        times: Of each entry, what ``Hardware.times`` says.

    Returns:
        The kinds of hardware, those that measured every entry first and then those with more runs first; whether the first one
        measured every entry that was measured.
    """
    known = [each for each in times if each]
    runs_on: dict[str, int] = {}
    for each in known:
        for kind, (count, _) in each.items():
            runs_on[kind] = runs_on.get(kind, 0) + count
    of_all = {kind for kind in runs_on if all(kind in each for each in known)}
    order = sorted(runs_on, key=lambda kind: (kind not in of_all, -runs_on[kind], kind))
    return order, bool(of_all)
