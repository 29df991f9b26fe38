"""What reports ask of one round: its members, its inputs, its runs.

Besides ``tournament/results.py``, which reads verdicts, the only way from views to the store. It asks for counts and for the few
runs that a person looks at, never for all 899,100.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from harness.config import Rules
from harness.scheduling import mixing
from harness.store import round_state, rounds, runs, submissions
from harness.store.facade import Transaction
from harness.store.runs import Scope, StoredRun
from harness.store.values import DONE, StoredSubmission, is_task, task_kind
from harness.tournament import duels
from harness.tournament.duels import Pair
from harness.tournament.tournament import Tournament
from harness.tracks import Access, Threat, attackers, consumes, detects, duellists, producers
from harness.views.matrix import CLEAN


class RoundReader:
    """One round, read in one transaction.

    Args:
        tournament: Open.
        transaction: Of its store.
        round_name: The newest round by default.

    Raises:
        UnknownNameError: There is no such round.
    """

    def __init__(self, tournament: Tournament, transaction: Transaction, round_name: str | None = None) -> None:
        self.tournament, self.transaction = tournament, transaction
        self.round = rounds.find(transaction, round_name)
        self.members = rounds.members(transaction, self.round.id)
        self.batches = rounds.batches(transaction, self.round.id)
        self.position = {batch.id: position for position, batch in enumerate(self.batches)}
        self._mixed: bool = json.loads(self.round.rules).get("mixed_batches", False)

    def _keys(self, members: Sequence[StoredSubmission]) -> tuple[tuple[int, int], ...]:
        """(submission id, conditions id): whose runs, and the conditions that they are recorded under."""
        isolation = self.tournament.config.sandbox.isolation
        return tuple((member.id, self.round.conditions_of(member, isolation=isolation)) for member in members)

    def own(self, members: Sequence[StoredSubmission]) -> Scope:
        """Runs of these members under the round's conditions, old inputs included."""
        return Scope(self._keys(members))

    def given(self, members: Sequence[StoredSubmission]) -> Scope:
        """Runs of these attacks under the round's conditions and bounds."""
        return Scope(self._keys(members), self._tasks[1])

    def relevant(self, members: Sequence[StoredSubmission]) -> Scope:
        """Runs of these members on this round's inputs: an old version's adversarial batches are none of them."""
        return Scope(self._keys(members), self._others)

    @cached_property
    def _others(self) -> frozenset[int]:
        """Ids of the inputs that are none of this round's."""
        own = self.in_play | self._halves.keys() | self._tasks[0] | self._duels.keys() | set(self._duel_outputs.values())
        return runs.every_input(self.transaction) - own

    @cached_property
    def pairs(self) -> list[Pair]:
        """The open pairs of attacks that meet one defense at a time."""
        return duels.pairs(self.transaction, self.members, Rules.stored(self.round.rules), self.batches)

    @cached_property
    def _duels(self) -> dict[int, Pair]:
        """Ids of the inputs that attacks are given against one opponent."""
        return {given: pair for pair in self.pairs for given in pair.inputs if given}

    @cached_property
    def _duel_outputs(self) -> dict[tuple[int, int], int]:
        """What each attack (its id) made of those, 0 for nothing; of who asks an opponent, none of it is kept."""
        attacks = {pair.attack.id: pair.attack for pair in self.pairs}
        found = runs.outputs(self.transaction, self.own(list(attacks.values()))) if attacks else {}
        return {(attack, given): made for (attack, given), made in found.items() if given in self._duels}

    def duel_counts(self) -> dict[Access, tuple[int, int]]:
        """Of each access, how many duels are done and how many there are; one is a pair that is open, on a batch."""
        found: dict[Access, tuple[int, int]] = {}
        made = {made for made in self._duel_outputs.values() if made}
        opponents = {pair.opponent.id: pair.opponent for pair in self.pairs if pair.access is not Access.QUERY}
        answered = runs.ended_on(self.transaction, self.own(list(opponents.values())), made) if made else frozenset()
        for pair in self.pairs:
            ended = [self._duel_outputs.get((pair.attack.id, given)) for given in pair.inputs]
            # Of one by queries nothing is kept as an input; of another there may be nothing to answer.
            done = sum(each is not None and (not each or (pair.opponent.id, each) in answered) for each in ended)
            before = found.get(pair.access, (0, 0))
            found[pair.access] = before[0] + done, before[1] + len(ended)
        return found

    @cached_property
    def _tasks(self) -> tuple[frozenset[int], frozenset[int]]:
        """Ids of the inputs that the round's attacks are given, and of those that they were given under other bounds."""
        # An L-infinity bound is part of the batch itself.
        bounds = Rules.stored(self.round.rules).bounds if "threats" in json.loads(self.round.rules) else {Threat.LINF: (0,)}
        kinds = {(batch.id, task_kind(threat, each[position % len(each)]))
                 for position, batch in enumerate(self.batches) for threat, each in bounds.items()}
        known = {task: (batch, kind) in kinds for batch, task, kind in runs.tasks(self.transaction, self.batches)}
        return frozenset(task for task, own in known.items() if own), frozenset(task for task, own in known.items() if not own)

    @cached_property
    def _halves(self) -> dict[int, int]:
        """Ids of the inputs that the round's detectors are run on, each with what the attack made of which it is a half."""
        if not any(detects(member.type) for member in self.members):
            return {}
        made = {made for _, made in self._outputs}
        found = round_state.halves_of(self.transaction, [batch.id for batch in self.batches])
        return {half: source for half, source in found.items() if source in made}

    @cached_property
    def in_play(self) -> frozenset[int]:
        """Ids of the inputs that the round's defenses are run on; results on others belong to earlier versions of attacks."""
        return frozenset(self._mixed_inputs() if self._mixed else self._direct_inputs())

    @cached_property
    def _outputs(self) -> list[tuple[int, int]]:
        """(batch id, input id) of what the round's attacks made; an input id of 0 for nothing."""
        return runs.made(self.transaction, self.given(attackers(self.members)), self.batches)

    @cached_property
    def _clean_inputs(self) -> list[tuple[int, int]]:
        return runs.inputs_of_kind(self.transaction, self.batches, CLEAN)

    def _direct_inputs(self) -> set[int]:
        return {made for _, made in (*self._clean_inputs, *self._outputs) if made}

    def _mixed_inputs(self) -> Iterator[int]:
        """Mixed inputs of the batches whose attack runs have all ended, as they are dealt from the present sources."""
        inputs = round_state.inputs_of(self.transaction, self.batches)
        mixed = {(i.batch_id, i.digest): i.id for i in inputs.values() if i.kind == "mixed"}
        sizes = {batch.id: batch.size for batch in self.batches}
        attacks = len(attackers(self.members))
        ended = Counter(batch for batch, _ in self._outputs)
        sources: dict[int, set[int]] = defaultdict(set)
        for batch, made in (*self._clean_inputs, *self._outputs):
            if made:
                sources[batch].add(made)
        for batch in (b for b, count in ended.items() if count == attacks):
            held = [inputs[made] for made in sorted(sources[batch])]
            masks = [rounds.unpack_bits(source.produced, sizes[batch]) for source in held]
            for mix in mixing.mix([source.digest for source in held], masks):
                if (batch, mix.digest) in mixed:
                    yield mixed[batch, mix.digest]

    def totals(self, states: Mapping[int, Counter[int]]) -> dict[int, int]:
        """Runs that each member has in all: an attack run still to come adds one to every defense, two to every detector.

        One of a duel adds one to its opponent.
        """
        attacks = attackers(self.members)
        unknown = len(attacks) * len(self.batches) - sum(states[m.id][DONE] for m in attacks)
        if self._mixed:
            ended = Counter(batch for batch, _ in self._outputs)
            to_come = sum(ended[batch.id] < len(attacks) for batch in self.batches) * (len(attacks) + 1)
        else:
            to_come = unknown
        per_side = {True: len(self._halves) + 2 * unknown, False: len(self.in_play) + to_come}
        totals = {m.id: per_side[detects(m.type)] if consumes(m.type) else len(self.batches) for m in self.members}
        totals |= {m.id: 0 for m in duellists(self.members)}
        answered: dict[int, set[int]] = defaultdict(set)
        for pair in self.pairs:
            totals[pair.attack.id] += len(self.batches)
            if pair.access is not Access.QUERY:
                made = [self._duel_outputs.get((pair.attack.id, given)) for given in pair.inputs]
                totals[pair.opponent.id] += made.count(None)
                answered[pair.opponent.id] |= {each for each in made if each}
        for opponent, inputs in answered.items():
            totals[opponent] += len(inputs - self.in_play)
        return totals

    def attack_states(self) -> dict[int, Counter[int]]:
        """How many ended runs each attack has, in the form that ``totals`` takes."""
        states: dict[int, Counter[int]] = defaultdict(Counter)
        for count in runs.counts(self.transaction, self.relevant(producers(self.members))):
            states[count.submission_id][count.state] += count.runs
        return states

    def bounds(self) -> dict[Threat, tuple[int, ...]]:
        """Of each threat of the round, what it allows on each batch."""
        given = Rules.stored(self.round.rules).bounds
        # An L-infinity bound is part of the batch itself.
        return {threat: tuple(batch.epsilon if threat is Threat.LINF else each[place % len(each)]
                              for place, batch in enumerate(self.batches)) for threat, each in given.items()}

    def member(self, name: str) -> StoredSubmission:
        """The round's own version of a submission, else the newest."""
        return next((m for m in self.members if m.name == name), None) or submissions.find(self.transaction, name)

    def against(self) -> dict[int, str]:
        """The attacks whose output each input is, by input id."""
        names: dict[int, list[str]] = defaultdict(list)
        for submission in producers(self.members):
            for made in runs.made_by_any(self.transaction, self.own([submission])):
                names[made].append(submission.name)
        return {made: ", ".join(found) for made, found in names.items()}

    def runs(self, member: StoredSubmission, *, failed_only: bool) -> list[tuple[StoredRun, int, str | None]]:
        """(run, batch, against) by batch."""
        against = self.against() if consumes(member.type) else {}
        found = []
        for run in runs.listed(self.transaction, self.relevant([member]), failed_only=failed_only):
            if is_task(run.kind):
                opponent = self._duels[run.input_id].opponent.name if run.input_id in self._duels else None
            else:
                made = self._halves.get(run.input_id, run.input_id)
                opponent = run.kind if run.kind in {CLEAN, "mixed"} else against.get(made, "?")
            found.append((run, self.position[run.batch_id], opponent))
        return sorted(found, key=lambda item: (item[1], item[2] or "", item[0].id))
