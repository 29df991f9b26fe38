"""The rows of one round that reports ask for: its members, its inputs, its runs.

Beside ``standings``, which reads verdicts, the only way from ``report`` to the store. It asks for counts and for the few
runs that a person looks at, never for all 899,100.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import Session

from harness import mixing
from harness.store import registry, round_state, rounds
from harness.store.facade import Transaction
from harness.store.models import DONE, InputRow, RoundRow, RunRow, SubmissionRow
from harness.tournament import Tournament
from harness.tracks import consumes, producers

CLEAN = "clean"


class RoundReader:
    """One round's rows, read in one session.

    Args:
        tournament: Open.
        session: Of that tournament.
        round_name: The newest round by default.

    Raises:
        UnknownNameError: There is no such round.
    """

    def __init__(self, tournament: Tournament, session: Session, round_name: str | None = None) -> None:
        self.tournament, self.session = tournament, session
        self.row: RoundRow = registry.find_round(session, round_name)
        self.members = registry.round_submissions(session, self.row.id)
        self.transaction = Transaction(session)
        self.batches = rounds.batches(self.transaction, self.row.id)
        self.position = {batch.id: position for position, batch in enumerate(self.batches)}
        self._mixed: bool = json.loads(self.row.rules).get("mixed_batches", False)
        self._in_play: frozenset[int] | None = None
        self._others: frozenset[int] | None = None

    def conditions(self, member: SubmissionRow) -> int:
        """The conditions that a member's runs are recorded under."""
        served = self.tournament.config.sandbox.isolation == "submission" and member.serves
        return self.row.served_conditions_id if served else self.row.conditions_id

    def own(self, members: Sequence[SubmissionRow]) -> ColumnElement[bool]:
        """Runs of these members under the round's conditions, old inputs included."""
        ids: dict[int, list[int]] = defaultdict(list)
        for member in members:
            ids[self.conditions(member)].append(member.id)
        return or_(false(), *(and_(RunRow.conditions_id == c, RunRow.submission_id.in_(those)) for c, those in ids.items()))

    def in_play(self) -> frozenset[int]:
        """Ids of the inputs that the round's defenses are run on; results on others belong to earlier versions of attacks."""
        if self._in_play is None:
            self._in_play = frozenset(self._mixed_inputs() if self._mixed else self._direct_inputs())
        return self._in_play

    def _outputs(self) -> list[tuple[int, int]]:
        """(batch id, input id) of what the round's attacks made; an input id of 0 for nothing."""
        attacks = producers(self.members)
        rows = self.session.execute(
            select(InputRow.batch_id, RunRow.output_id).join(InputRow, InputRow.id == RunRow.input_id)
            .where(self.own(attacks), RunRow.state == DONE, InputRow.batch_id.in_(self.position)))
        return [(batch, made or 0) for batch, made in rows]

    def _clean_inputs(self) -> list[tuple[int, int]]:
        rows = self.session.execute(
            select(InputRow.batch_id, InputRow.id).where(InputRow.batch_id.in_(self.position), InputRow.kind == CLEAN))
        return [(batch, clean) for batch, clean in rows]

    def _direct_inputs(self) -> set[int]:
        return {made for _, made in (*self._clean_inputs(), *self._outputs()) if made}

    def _mixed_inputs(self) -> Iterator[int]:
        """Mixed inputs of the batches whose attack runs have all ended, as they are dealt from the present sources."""
        inputs = round_state.inputs_of(self.transaction, self.batches)
        mixed = {(i.batch_id, i.digest): i.id for i in inputs.values() if i.kind == "mixed"}
        outputs, sizes = self._outputs(), {batch.id: batch.size for batch in self.batches}
        attacks = len(producers(self.members))
        ended = Counter(batch for batch, _ in outputs)
        sources: dict[int, set[int]] = defaultdict(set)
        for batch, made in (*self._clean_inputs(), *outputs):
            if made:
                sources[batch].add(made)
        for batch in (b for b, count in ended.items() if count == attacks):
            held = [inputs[made] for made in sorted(sources[batch])]
            masks = [rounds.unpack_bits(source.produced, sizes[batch]) for source in held]
            for mix in mixing.mix([source.digest for source in held], masks):
                if (batch, mix.digest) in mixed:
                    yield mixed[batch, mix.digest]

    def relevant(self, members: Sequence[SubmissionRow]) -> ColumnElement[bool]:
        """Runs of these members on this round's inputs: an old version's adversarial batches are none of them."""
        if self._others is None:
            tasks = set(self.session.scalars(
                select(InputRow.id).where(InputRow.batch_id.in_(self.position), InputRow.kind == "task")))
            self._others = frozenset(self.session.scalars(select(InputRow.id))) - self.in_play() - tasks
        if not self._others:
            return self.own(members)
        # Those that do not belong are the few. One parameter, however many: SQLite takes 32,766 at most.
        others = func.json_each(json.dumps(sorted(self._others))).table_valued("value")
        return and_(self.own(members), RunRow.input_id.not_in(select(others.c.value)))

    def totals(self, states: Mapping[int, Counter[int]]) -> dict[int, int]:
        """Runs that each member has in all: an attack run still to come adds one run to every defense."""
        attacks = producers(self.members)
        if self._mixed:
            ended = Counter(batch for batch, _ in self._outputs())
            to_come = sum(ended[batch.id] < len(attacks) for batch in self.batches) * (len(attacks) + 1)
        else:
            to_come = len(attacks) * len(self.batches) - sum(states[m.id][DONE] for m in attacks)
        inputs = len(self.in_play()) + to_come
        return {m.id: inputs if consumes(m.type) else len(self.batches) for m in self.members}

    def attack_states(self) -> dict[int, Counter[int]]:
        """How many ended runs each attack has, in the form that ``totals`` takes."""
        states: dict[int, Counter[int]] = defaultdict(Counter)
        attacks = producers(self.members)
        if attacks:
            for submission, count in self.session.execute(
                    select(RunRow.submission_id, func.count()).where(self.relevant(attacks), RunRow.state == DONE)
                    .group_by(RunRow.submission_id)):
                states[submission][DONE] = count
        return states

    def member(self, name: str) -> SubmissionRow:
        """The round's own version of a submission, else the newest."""
        return next((m for m in self.members if m.name == name), None) or registry.find(self.session, name)

    def against(self) -> dict[int, str]:
        """The attacks whose output each input is, by input id."""
        names: dict[int, list[str]] = defaultdict(list)
        for submission in producers(self.members):
            for made in self.session.scalars(
                    select(RunRow.output_id).where(self.own([submission]), RunRow.output_id.is_not(None))):
                names[made or 0].append(submission.name)
        return {made: ", ".join(found) for made, found in names.items()}

    def runs(self, member: SubmissionRow, *, failed_only: bool) -> list[tuple[RunRow, int, str | None]]:
        """(run, batch, against) by batch."""
        against = self.against() if consumes(member.type) else {}
        query = select(RunRow, InputRow).join(InputRow, InputRow.id == RunRow.input_id).where(self.relevant([member]))
        if failed_only:
            query = query.where(RunRow.outcome.is_not(None), RunRow.outcome != "ok")
        found = []
        for run, source in self.session.execute(query):
            named = source.kind if source.kind in {CLEAN, "mixed"} else against.get(source.id, "?")
            opponent = None if source.kind == "task" else named
            found.append((run, self.position[source.batch_id], opponent))
        return sorted(found, key=lambda item: (item[1], item[2] or "", item[0].id))
