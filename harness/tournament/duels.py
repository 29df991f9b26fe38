"""Which pairs a round has: each attack that meets one defense at a time, with every defense that is open to it.

A duel on a batch is an input of its own: its digest is of the batch as the attack is given it, of the access, and of all that the
attack may read or ask of its opponent. From that alone it follows that nothing is run again for an opponent that is the same, and
everything for one that changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.config import Rules
from harness.sandbox.base import Target
from harness.store import round_state, rounds
from harness.store.facade import Transaction
from harness.store.recorder import NewInput
from harness.store.values import StoredBatch, StoredSubmission, duel_kind, task_kind
from harness.tracks import Access, Threat, duellists, labellers


@dataclass(frozen=True)
class Pair:
    """An attack and its one opponent.

    Attributes:
        digests: Of each batch as this attack is given it against this opponent.
        inputs: The store's ids of the same, 0 for one that nobody has made yet.
    """

    attack: StoredSubmission
    opponent: StoredSubmission
    digests: tuple[str, ...]
    inputs: tuple[int, ...]

    @property
    def access(self) -> Access:
        """What the attack knows."""
        return Access(self.attack.access)

    @property
    def target(self) -> Target | None:
        """What of the opponent the attack may read."""
        parts = {Access.WHITE_BOX: "", Access.GREY_BOX: self.opponent.base}
        return Target(self.opponent.digest, parts[self.access]) if self.access in parts else None


def pairs(transaction: Transaction, members: Sequence[StoredSubmission], rules: Rules,
          batches: Sequence[StoredBatch]) -> list[Pair]:
    """The pairs of a round that are open, by attack and opponent; ``batches`` in their order."""
    attacks = [attack for attack in duellists(members) if attack.access in rules.access]
    if not attacks:
        return []
    known = round_state.digests_of_tasks(transaction, batches)
    bounds = rules.bounds
    return [_pair(attack, opponent, rules, [known[batch.id] for batch in batches], bounds)
            for attack in attacks for opponent in labellers(members) if opponent.is_open_to(attack.access)]


def _pair(attack: StoredSubmission, opponent: StoredSubmission, rules: Rules, batches: Sequence[Mapping[str, Mapping[str, int]]],
          bounds: Mapping[Threat, Sequence[int]]) -> Pair:
    threat, kind = Threat(attack.threat), duel_kind(attack.access)
    digests, inputs = [], []
    for position, known in enumerate(batches):
        (task,) = known[task_kind(threat, bounds[threat][position % len(bounds[threat])])]
        digests.append(_digest(task, attack.access, opponent, rules))
        inputs.append(known.get(kind, {}).get(digests[-1], 0))
    return Pair(attack, opponent, tuple(digests), tuple(inputs))


def _digest(task: str, access: str, opponent: StoredSubmission, rules: Rules) -> str:
    queries = rules.queries
    terms = {Access.GREY_BOX: opponent.base, Access.QUERY: f"{queries.budget} {queries.answers}"}.get(Access(access), "")
    return hashlib.sha256(f"harness duel 1\0{task}\0{access}\0{opponent.digest}\0{terms}".encode()).hexdigest()


def with_inputs(transaction: Transaction, planned: Iterable[Pair], batches: Sequence[StoredBatch]) -> list[Pair]:
    """The same pairs, each with the rows of its inputs; made where there are none."""
    _, next_input = round_state.next_ids(transaction)
    ids: dict[tuple[int, str, str], int] = {}
    made: list[NewInput] = []
    found = []
    for pair in planned:
        kind, inputs = duel_kind(pair.access), []
        for batch, digest, known in zip(batches, pair.digests, pair.inputs, strict=True):
            key = batch.id, kind, digest
            if not known and key not in ids:
                ids[key] = next_input + len(made)
                made.append(NewInput(ids[key], batch.id, kind, digest, rounds.pack_bits(np.ones(batch.size, bool)), 0))
            inputs.append(known or ids[key])
        found.append(Pair(pair.attack, pair.opponent, pair.digests, tuple(inputs)))
    round_state.add_inputs(transaction, made)
    return found
