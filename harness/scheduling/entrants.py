"""Who takes part in a round and on what, and what the store already has: the values that a scheduler starts from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.dataset.load import Batch
from harness.sandbox.base import Limits, Program
from harness.scheduling.board import NOBODY, Kind
from harness.tracks import Access, Threat


@dataclass(frozen=True)
class Duel:
    """The one opponent that an attack meets.

    Attributes:
        opponent: Its position among the defenses.
        input_ids: The store's id of each batch as it is given to the attack against this opponent.
        digests: Of the same.
        budget: Queries for each image.
        classes: Scores of an answer beside its label; 0 where labels are all.
    """

    access: Access
    opponent: int
    input_ids: tuple[int, ...]
    digests: tuple[str, ...]
    budget: int = 0
    classes: int = 0


@dataclass(frozen=True)
class Entrant:
    """One submission as the scheduler needs it; an attack that meets one defense at a time is one for each of them.

    Attributes:
        stored_id: The store's id.
        conditions_id: The conditions its runs are recorded under.
        expected_s: Expected wall clock of one run, NaN when unknown.
        duel: With whom, where an attack meets one defense alone.
    """

    stored_id: int
    name: str
    track: str
    program: Program
    limits: Limits
    conditions_id: int
    served: bool = False
    expected_s: float = math.nan
    threat: Threat = Threat.LINF
    duel: Duel | None = None


@dataclass(frozen=True)
class Lineup:
    """Who takes part and on what.

    Attributes:
        attacks: Those that meet all defenses, then the duels.
        task_input_ids: The store's id of each batch as attacks of a threat are given it.
        mixed: Whether defenses are run on mixed batches.
        detectors: Who is run on halves.
        secret: Decides which half shows an image attacked.
    """

    attacks: tuple[Entrant, ...]
    defenses: tuple[Entrant, ...]
    batches: tuple[Batch, ...]
    batch_ids: tuple[int, ...]
    task_input_ids: Mapping[Threat, tuple[int, ...]]
    mixed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    detectors: tuple[Entrant, ...] = ()
    secret: int = 0

    @cached_property
    def consumers(self) -> tuple[Entrant, ...]:
        """Defenses, then detectors, as the board has them."""
        return (*self.defenses, *self.detectors)

    def entrant(self, kind: Kind, entry: int) -> Entrant:
        """The attack or consumer at a position."""
        return (self.attacks if kind is Kind.ATTACK else self.consumers)[entry]

    def task(self, entry: int, item: int) -> tuple[Batch, int]:
        """A batch as an attack gets it, and the store's id of that."""
        return self.batches[item].under(self.attacks[entry].threat), self.given(entry)[item]

    def given(self, entry: int) -> tuple[int, ...]:
        """The store's ids of the batches as an attack is given them."""
        attack = self.attacks[entry]
        return self.task_input_ids[attack.threat] if attack.duel is None else attack.duel.input_ids

    def task_digest(self, entry: int, item: int) -> str:
        """What a batch is called as an attack is given it."""
        attack = self.attacks[entry]
        return self.batches[item].under(attack.threat).task_digest if attack.duel is None else attack.duel.digests[item]

    @cached_property
    def opponents(self) -> tuple[int, ...]:
        """Of each duel, whom what it makes is for; nobody where a duel's own run says everything."""
        return tuple(NOBODY if attack.duel.access is Access.QUERY else attack.duel.opponent
                     for attack in self.attacks if attack.duel is not None)

    def involved(self, kind: Kind, entry: int) -> tuple[int, ...]:
        """The submissions, by the store's id, whose programs a run needs: its own, and in a duel by queries its opponent's."""
        entrant = self.entrant(kind, entry)
        if entrant.duel is None or entrant.duel.access is not Access.QUERY:
            return (entrant.stored_id,)
        return entrant.stored_id, self.defenses[entrant.duel.opponent].stored_id

    @cached_property
    def everybody(self) -> Mapping[int, str]:
        """Names by the submission's id in the store."""
        return {entrant.stored_id: entrant.name for entrant in (*self.attacks, *self.consumers)}


@dataclass(frozen=True)
class KnownInput:
    """An input that the store has and the board has not: its id, and the consumers (by position) with a result on it."""

    stored_id: int
    done: tuple[int, ...] = ()


@dataclass(frozen=True)
class StoreState:
    """What the store already has, by (submission id, input id): (run id, last attempt).

    Attributes:
        unfinished: Runs that have begun but have no result.
        attacks: Attack runs that have one (needed again where an artifact turns out to be damaged).
        known_inputs: Inputs by (batch, digest) that no attack run of the board has made yet: one that is made again (after
            ``--fresh``, say) finds its row and its predictions.
        suspects: Submissions (by id) that have a run without a result, an attempt of which brought the host to fail.
    """

    next_run_id: int = 1
    next_input_id: int = 1
    unfinished: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    attacks: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    known_inputs: Mapping[tuple[int, str], KnownInput] = field(default_factory=dict)
    suspects: Collection[int] = ()
