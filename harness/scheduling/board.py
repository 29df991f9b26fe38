"""Which runs are needed, and what each depends on; pure.

The board is three arrays: the state of every attack run [attack, batch], the input each one made, and the state of every
consumer's run [input, consumer]: detectors stand behind the defenses, and are run on halves alone. One byte a run: 899,100 runs
are under a megabyte. There is no barrier: recording what an attack run made makes the runs on it ready. Equal inputs are one input,
so two attacks that made the same pixels share predictions.

An attack that meets one defense at a time has a row for each of them. What it makes there is for that opponent alone: it is neither
mixed nor shown to detectors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

WAITING, RUNNING, DONE, FAILED, DROPPED = 0, 1, 2, 3, 4
#: The store has a result that the round does not need (yet): if it does, it is not run again.
SPARE = 5
NO_INPUT = -1
#: A duel whose single run gives the whole result: no run of the opponent follows.
NOBODY = -1


class Kind(StrEnum):
    """What kind of submission a run executes."""

    ATTACK = "attack"
    DEFENSE = "defense"


class Task(NamedTuple):
    """One run by position on the board: an attack on a batch, or a defense on an input."""

    kind: Kind
    entry: int
    item: int


@dataclass(frozen=True, slots=True)
class PlannedInput:
    """Something a consumer can be run on.

    Attributes:
        batch: Position of its batch.
        digest: Digest of its pixels.
        stored_id: The store's id.
        produced: bool [n], which images of the batch it holds.
        parts: For a mixed input or a half, int32 [n]: the board's index of the input that each image is taken from, -1 for none.
        changed: bool [n], which of its images differ from the clean ones; None where nobody asked.
        half_of: For a half, the board's index of what the attack made; -1 for all others.
    """

    batch: int
    digest: str
    stored_id: int
    produced: NDArray[np.bool_]
    parts: NDArray[np.int32] | None = None
    changed: NDArray[np.bool_] | None = None
    half_of: int = NO_INPUT


class Board:
    """The runs of a round and their states.

    Args:
        attacks: Number of attacks that meet all defenses, both tracks.
        defenses: Number of defenses.
        clean: One input per batch: the clean images, which every defense is run on.
        labelled: What defenses are run on: every input (``direct``), only inputs added as direct ones, which hold the images
            of the others (``mixed``), or only what a caller asks for (``listed``, an audit).
        detectors: Number of detectors, which are run on every half.
        opponents: Of each attack that meets one defense, which: further rows behind the others.
    """

    def __init__(self, attacks: int, defenses: int, clean: Sequence[PlannedInput], *,
                 labelled: Literal["direct", "mixed", "listed"] = "direct", detectors: int = 0,
                 opponents: Sequence[int] = ()) -> None:
        batches = len(clean)
        self.labelled = labelled
        self.direct = direct = labelled == "direct"
        self.attacks, self.defenses, self.detectors, self.batches = attacks, defenses, detectors, batches
        self.opponents = tuple(opponents)
        self.consumers = defenses + detectors
        rows = attacks + len(self.opponents)
        self.inputs: list[PlannedInput] = list(clean)
        self._by_digest = {(planned.batch, planned.digest): index for index, planned in enumerate(clean)}
        self.attack_state: NDArray[np.uint8] = np.zeros((rows, batches), np.uint8)
        self.attack_input: NDArray[np.int32] = np.full((rows, batches), NO_INPUT, np.int32)
        room = batches * ((attacks + 1) * (1 if direct else 2) + (2 * attacks if detectors else 0) + len(self.opponents))
        self.defense_state: NDArray[np.uint8] = np.full((room, self.consumers), DROPPED, np.uint8)
        self.defense_state[:batches, :defenses] = WAITING if direct else DROPPED
        self._meant: list[Collection[int]] = [range(defenses) if direct else range(0)] * batches
        self._counts = [rows * batches, 0, 0, 0, batches * detectors, 0]
        self._counts[WAITING if direct else DROPPED] += batches * defenses
        self._ready_attacks: list[list[int]] = [list(range(batches - 1, -1, -1)) for _ in range(rows)]
        self._ready_defenses: list[list[int]] = [list(range(batches - 1, -1, -1)) for _ in range(defenses)]
        self._ready_defenses += [[] for _ in range(detectors)]

    def find_input(self, batch: int, digest: str) -> int | None:
        """The index of an input with these pixels, None where there is none yet."""
        return self._by_digest.get((batch, digest))

    def add_input(self, planned: PlannedInput, *, direct: bool | None = None, opponent: int | None = None) -> int:
        """Put an input on the board; its runs become ready if it is direct. An equal one is found, not added.

        A half is direct, but for an audit. What was made against one opponent is direct for that one.
        """
        if direct is None:
            direct = self.direct or (planned.half_of != NO_INPUT and self.labelled != "listed")
        index = self.find_input(planned.batch, planned.digest)
        if index is None:
            index = len(self.inputs)
            self.inputs.append(planned)
            self._by_digest[planned.batch, planned.digest] = index
            if index == len(self.defense_state):
                # Attacks made again can leave more distinct inputs than there are attack runs.
                more = np.full((len(self.inputs), self.consumers), DROPPED, np.uint8)
                self.defense_state = np.concatenate([self.defense_state, more])
            self._meant.append(range(0))
            self._counts[DROPPED] += self.consumers
        if opponent is not None:
            self._mean(index, range(opponent, opponent + 1) if self.labelled != "listed" else range(0))
        elif direct:
            detects = self.inputs[index].half_of != NO_INPUT
            self._mean(index, range(self.defenses, self.consumers) if detects else range(self.defenses))
        return index

    def _mean(self, index: int, more: range) -> None:
        """Add these consumers to an input: they have a result on it, or wait."""
        before = self._meant[index]
        if before == more or all(entry in before for entry in more):
            return
        self._meant[index] = {*before, *more} if before else more
        states = self.defense_state[index, more.start: more.stop]
        if (states == DROPPED).all():
            states[:] = WAITING
            self._counts[WAITING] += len(more)
            self._counts[DROPPED] -= len(more)
            for ready in self._ready_defenses[more.start: more.stop]:
                ready.append(index)
            return
        for entry in more:
            task = Task(Kind.DEFENSE, entry, index)
            if self.state(task) == SPARE:
                self._set(task, DONE)
            elif entry not in before:
                self.release(task)

    def mark_done(self, index: int, defenses: Iterable[int]) -> None:
        """The store has these defenses' results on an input already."""
        for entry in defenses:
            self._set(Task(Kind.DEFENSE, entry, index), DONE if entry in self._meant[index] else SPARE)

    def sources(self, batch: int) -> list[int] | None:
        """The distinct inputs that attacks made of a batch for all, the clean one first; None while an attack run is missing."""
        if (self.attack_state[: self.attacks, batch] != DONE).any():
            return None
        made = self.attack_input[: self.attacks, batch]
        return [batch, *sorted({int(index) for index in made} - {NO_INPUT, batch})]

    def state(self, task: Task) -> int:
        """The state of a run."""
        if task.kind is Kind.ATTACK:
            return int(self.attack_state[task.entry, task.item])
        return int(self.defense_state[task.item, task.entry])

    def _set(self, task: Task, state: int) -> None:
        self._counts[self.state(task)] -= 1
        self._counts[state] += 1
        if task.kind is Kind.ATTACK:
            self.attack_state[task.entry, task.item] = state
        else:
            self.defense_state[task.item, task.entry] = state

    def start(self, task: Task) -> None:
        """A waiting run starts."""
        if self.state(task) != WAITING:
            message = f"{task} is not waiting"
            raise ValueError(message)
        self._set(task, RUNNING)

    def finish(self, task: Task, made: int = NO_INPUT) -> None:
        """A run has its result; ``made`` is the input that an attack run produced, if any."""
        self._set(task, DONE)
        if task.kind is Kind.ATTACK:
            self.attack_input[task.entry, task.item] = made

    def fail(self, task: Task) -> None:
        """A run got no result and is not tried again now (the host failed it too often)."""
        self._set(task, FAILED)

    def release(self, task: Task) -> None:
        """A run ended without a result and waits again."""
        self._set(task, WAITING)
        ready = self._ready_attacks if task.kind is Kind.ATTACK else self._ready_defenses
        ready[task.entry].append(task.item)

    def ready(self, kind: Kind, entry: int) -> int:
        """How many runs of a submission could start now (an upper bound: results found in the store are skipped lazily)."""
        return len((self._ready_attacks if kind is Kind.ATTACK else self._ready_defenses)[entry])

    def with_ready(self, kind: Kind, entries: Iterable[int]) -> Iterator[int]:
        """Those of some submissions of which a run could start now (as ``ready`` says it), in their order.

        A call of ``ready`` for each of 110 defenses, before each of 900,000 runs, took a fifth of the scheduler's time.
        """
        stacks = self._ready_attacks if kind is Kind.ATTACK else self._ready_defenses
        return (entry for entry in entries if stacks[entry])

    def take(self, kind: Kind, entry: int) -> Task | None:
        """Take the next waiting run of a submission and mark it running; None where it has none."""
        stack = (self._ready_attacks if kind is Kind.ATTACK else self._ready_defenses)[entry]
        while stack:
            task = Task(kind, entry, stack.pop())
            if self.state(task) == WAITING:
                self._set(task, RUNNING)
                return task
        return None

    def prune(self) -> None:
        """Take results that were put into the arrays directly (once, when the store's are loaded) into account."""
        known = self.defense_state[: len(self.inputs)]
        states = np.bincount(self.attack_state.ravel(), minlength=6) + np.bincount(known.ravel(), minlength=6)
        self._counts = [int(count) for count in states]
        for entry, stack in enumerate(self._ready_attacks):
            stack[:] = [item for item in stack if self.attack_state[entry, item] == WAITING]
        for entry, stack in enumerate(self._ready_defenses):
            waiting = known[:, entry] == WAITING
            stack[:] = [item for item in stack if waiting[item]]

    def list_ready(self) -> None:
        """Make ready whatever was marked as waiting in the arrays directly (a board of listed runs)."""
        self._ready_attacks = [np.flatnonzero(states == WAITING)[::-1].tolist() for states in self.attack_state]
        known = self.defense_state[: len(self.inputs)]
        self._ready_defenses = [np.flatnonzero(known[:, d] == WAITING)[::-1].tolist() for d in range(self.consumers)]
        self.prune()

    def lose_input(self, index: int) -> list[Task]:
        """What attacks made is lost: the attacks run again, and the waiting defense runs on it are set aside.

        Results on it stay: they were obtained from the right pixels. Running ones continue and may fail.

        Returns:
            The attack runs that wait again.
        """
        again = []
        for entry in np.flatnonzero((self.attack_input == index).any(axis=1)):
            for item in np.flatnonzero(self.attack_input[entry] == index):
                self.attack_input[entry, item] = NO_INPUT
                again.append(Task(Kind.ATTACK, int(entry), int(item)))
                self.release(again[-1])
        for lost, planned in enumerate(self.inputs):
            if index in {lost, planned.half_of}:
                self.set_aside(lost)
        return again

    def set_aside(self, index: int) -> None:
        """The waiting defense runs on an input wait until it is made again (``revive_input``)."""
        for entry in np.flatnonzero(self.defense_state[index] == WAITING):
            self._set(Task(Kind.DEFENSE, int(entry), index), DROPPED)

    def revive_input(self, index: int) -> None:
        """An attack made these pixels (again): the runs on them that were set aside are ready."""
        for entry in self._meant[index]:
            if self.defense_state[index, entry] == DROPPED:
                self.release(Task(Kind.DEFENSE, entry, index))

    def counts(self) -> dict[int, int]:
        """Runs by state, over what is on the board so far; set-aside ones are left out."""
        return {state: self._counts[state] for state in (WAITING, RUNNING, DONE, FAILED)}

    @property
    def total(self) -> int:
        """Runs in the whole tournament: those on the board and those that attack runs still to come will add."""
        known = self.attack_state.size + len(self.inputs) * self.consumers - self._counts[DROPPED] - self._counts[SPARE]
        return known + int(self.to_come().sum())

    def to_come(self) -> NDArray[np.int64]:
        """Runs that attack runs without a result will probably add, of each consumer."""
        unknown = self.attack_state[: self.attacks] < DONE
        attacks = int(np.count_nonzero(unknown))
        per_defense = {"direct": attacks, "mixed": int(unknown.any(axis=0).sum()) * (self.attacks + 1), "listed": 0}[self.labelled]
        per_detector = 0 if self.labelled == "listed" else 2 * attacks
        to_come = np.repeat(np.array([per_defense, per_detector], np.int64), [self.defenses, self.detectors])
        if self.labelled != "listed":
            for opponent, states in zip(self.opponents, self.attack_state[self.attacks:], strict=True):
                if opponent != NOBODY:
                    to_come[opponent] += np.count_nonzero(states < DONE)
        return to_come

    @property
    def complete(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return self._counts[WAITING] == 0 and self._counts[RUNNING] == 0

    def waiting(self) -> Iterator[Task]:
        """Every run that could start now (for tests and small boards)."""
        for entry, item in np.argwhere(self.attack_state == WAITING):
            yield Task(Kind.ATTACK, int(entry), int(item))
        for item, entry in np.argwhere(self.defense_state[: len(self.inputs)] == WAITING):
            yield Task(Kind.DEFENSE, int(entry), int(item))
