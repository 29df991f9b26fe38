"""A round as the scheduler begins it: the store's rows become a lineup, a board with what is done, and the state of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules, TournamentConfig
from harness.dataset.load import Batch, Dataset
from harness.formats.images import changed_images
from harness.sandbox.base import Limits, Profile, Program
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.outcomes import Outcome
from harness.scheduling.board import DONE, DROPPED, NO_INPUT, SPARE, WAITING, Board, PlannedInput
from harness.scheduling.entrants import Duel, Entrant, KnownInput, Lineup, StoreState
from harness.scheduling.mixing import halves, mixed_inputs
from harness.store import counters, round_state, rounds
from harness.store.artifacts import ArtifactStore, CorruptArtifactError
from harness.store.base_images import Moved
from harness.store.facade import Transaction
from harness.store.recorder import NewInput
from harness.store.values import StoredBatch, StoredInput, StoredRound, StoredSubmission, is_task, task_kind
from harness.tournament import duels
from harness.tracks import Access, Threat, attackers, detectors, duellists, labellers


@dataclass(frozen=True)
class Round:
    """A round ready to be scheduled.

    Attributes:
        moved: Names of base images that stand for others than when the last results were obtained.
        unmet: Attacks that meet one defense at a time and that none is open to.
        damaged: How many stored answers of each submission, by name, were damaged and are to come again.
    """

    name: str
    lineup: Lineup
    board: Board
    store_state: StoreState
    moved: tuple[Moved, ...] = ()
    unmet: tuple[tuple[str, Access], ...] = ()
    damaged: Mapping[str, int] = field(default_factory=dict)


@dataclass
class RoundLoader:
    """Puts the store's results on a new board.

    Attributes:
        transaction: To write in: mixed inputs that a killed harness did not make are made, and halves for new detectors.
        config: The tournament file.
        row: The round.
        rules: The rules that it was made with.
        images: The rules for images here.
        gpu: Whether runs will have a GPU.
        dataset: The round's.
        artifacts: What attacks made.
        limits: What a member's runs may use.
    """

    transaction: Transaction
    config: TournamentConfig
    row: StoredRound
    rules: Rules
    images: ImageRules
    gpu: bool
    dataset: Dataset
    artifacts: ArtifactStore
    limits: Callable[[StoredSubmission], Limits]

    def load(self, members: Sequence[StoredSubmission], batches: tuple[Batch, ...], rows: Sequence[StoredBatch],
             only: frozenset[str]) -> Round:
        """The round of these members, on these batches with their rows; only runs that concern ``only``, where any are named."""
        inputs = round_state.inputs_of(self.transaction, rows)
        positions = {row.id: position for position, row in enumerate(rows)}
        task_ids = {(stored.batch_id, stored.kind): stored.id for stored in inputs.values()}
        given = {threat: [batch.under(threat) for batch in batches] for threat in self.rules.bounds}
        clean = sorted((i for i in inputs.values() if i.kind == "clean"), key=lambda i: positions[i.batch_id])
        medians = round_state.median_times(self.transaction, [m.id for m in members])
        planned = {i.id: _planned(i, positions[i.batch_id], len(batches[positions[i.batch_id]].ids))
                   for i in inputs.values() if not is_task(i.kind)}
        attacks, defenses, scorers = (tuple(self._entrant(m, medians) for m in those(members))
                                      for those in (attackers, labellers, detectors))
        attacks += tuple(self._duels(members, rows, medians))
        lineup = Lineup(
            attacks, defenses, batches, tuple(row.id for row in rows), {threat: tuple(
                task_ids[row.id, task_kind(threat, batch.bound)] for row, batch in zip(rows, tasks, strict=True))
                for threat, tasks in given.items()},
            self.rules.mixed_batches, {"tournament": self.images.tournament}, scorers,
            counters.secret(self.transaction, "halves") if scorers else 0)
        board = Board(len(attacks) - len(lineup.opponents), len(defenses), [planned[i.id] for i in clean],
                      labelled="mixed" if self.rules.mixed_batches else "direct", detectors=len(scorers),
                      opponents=lineup.opponents)
        store_state = self._fill(board, lineup, planned)
        board.prune()
        if only:
            _restrict(board, lineup, only)
        met = {entrant.stored_id for entrant in attacks if entrant.duel is not None}
        unmet = tuple((attack.name, Access(attack.access)) for attack in duellists(members)
                      if attack.id not in met and attack.access in self.rules.access)
        return Round(self.row.name, lineup, board, store_state, unmet=unmet)

    def _entrant(self, member: StoredSubmission, medians: dict[int, float]) -> Entrant:
        isolation = self.config.sandbox.isolation
        return Entrant(
            stored_id=member.id, name=member.name, track=member.type,
            program=self._program(member), limits=self.limits(member),
            conditions_id=self.row.conditions_of(member, isolation=isolation),
            served=isolation == "submission" and member.serves, expected_s=medians.get(member.id, float("nan")),
            threat=Threat(member.threat))

    def _duels(self, members: Sequence[StoredSubmission], rows: Sequence[StoredBatch],
               medians: dict[int, float]) -> Iterator[Entrant]:
        position = {opponent.id: at for at, opponent in enumerate(labellers(members))}
        pairs = duels.with_inputs(self.transaction, duels.pairs(self.transaction, members, self.rules, rows), rows)
        queries, (low, high) = self.rules.queries, self.dataset.label_range
        classes = high - low + 1 if queries.answers == "scores" else 0
        for pair in pairs:
            entrant = self._entrant(pair.attack, medians)
            yield replace(entrant, program=replace(entrant.program, target=pair.target),
                          duel=Duel(pair.access, position[pair.opponent.id], pair.inputs, pair.digests, queries.budget, classes))

    def _program(self, member: StoredSubmission) -> Program:
        """What runs for a registered submission; whoever runs it knows where its code lies, by digest."""
        image = member.image(gpu=self.gpu)
        return Program(digest=member.digest, image=image or None, code_dir=None, entry_point=member.entry_point or None,
                       profile=cast("Profile", member.profile), serves=member.serves, rules=self.images)

    def _fill(self, board: Board, lineup: Lineup, planned: dict[int, PlannedInput]) -> StoreState:
        attacks_done = self._fill_attacks(board, lineup, planned)
        again = self._look_at_changes(board, lineup) if lineup.detectors else []
        known = {(p.batch, p.digest): p.stored_id for p in planned.values()}
        if lineup.mixed:
            self._compose(board, "mixed", known, lineup, (
                made for batch in range(board.batches) if (sources := board.sources(batch))
                for made in mixed_inputs(board.inputs, sources, batch)))
        if lineup.detectors:
            self._compose(board, round_state.HALF, known, lineup, (
                half for source in sorted(set(board.attack_input[: board.attacks].ravel().tolist()) - {NO_INPUT})
                for half in halves(board.inputs, source, lineup.batches[board.inputs[source].batch].ids, lineup.secret)))
        known_inputs = self._fill_defenses(board, lineup, planned)
        next_run, next_input = round_state.next_ids(self.transaction)
        conditions = {c.stored_id: c.conditions_id for c in (*lineup.attacks, *lineup.consumers)}
        unfinished = {(s, i): where for (s, i, c), where in round_state.unfinished_runs(self.transaction).items()
                      if conditions.get(s) == c}
        unfinished |= {key: attacks_done.pop(key) for key in again}
        suspects = round_state.suspects(self.transaction, Outcome.HOST_ERROR)
        return StoreState(next_run, next_input, unfinished, attacks_done, known_inputs, suspects)

    def _fill_attacks(self, board: Board, lineup: Lineup,
                      planned: dict[int, PlannedInput]) -> dict[tuple[int, int], tuple[int, int]]:
        place_of = {(c.stored_id, given): (entry, item)
                    for entry, c in enumerate(lineup.attacks) for item, given in enumerate(lineup.given(entry))}
        pairs = list({(c.stored_id, c.conditions_id): None for c in lineup.attacks})
        done = {}
        for submission, task_input, output, run, attempt in round_state.done_runs(self.transaction, pairs).tolist():
            if (submission, task_input) not in place_of:
                continue
            entry, item = place_of[submission, task_input]
            made, duel = NO_INPUT, lineup.attacks[entry].duel
            if output:
                made = board.add_input(planned[output], opponent=None if duel is None else duel.opponent)
            board.attack_state[entry, item], board.attack_input[entry, item] = DONE, made
            done[submission, task_input] = (run, attempt)
        return done

    def _look_at_changes(self, board: Board, lineup: Lineup) -> list[tuple[int, int]]:
        """Compute which images attacks changed where that is unknown; the attack runs whose files turn out to be damaged.

        Those runs wait again, as where a consumer finds the damage.
        """
        found, again = {}, []
        for index in sorted(set(board.attack_input[: board.attacks].ravel().tolist()) - {NO_INPUT, *range(board.batches)}):
            planned = board.inputs[index]
            if planned.changed is not None:
                continue
            clean = self.dataset.pixels(lineup.batches[planned.batch])
            try:
                changed = changed_images(clean, self.artifacts.load(planned.digest, clean)[0])
            except CorruptArtifactError:
                again += [(lineup.attacks[task.entry].stored_id, lineup.task(task.entry, task.item)[1])
                          for task in board.lose_input(index)]
                continue
            board.inputs[index] = replace(planned, changed=changed)
            found[planned.stored_id] = rounds.pack_bits(changed)
        round_state.keep_changed(self.transaction, found)
        return again

    def _compose(self, board: Board, kind: str, known: Mapping[tuple[int, str], int], lineup: Lineup,
                 composed: Iterable[tuple[PlannedInput, NDArray[np.int32]]]) -> None:
        """Put inputs that are put together of others on the board, with rows for those that are new."""
        _, next_input = round_state.next_ids(self.transaction)
        made = []
        for planned, parts in composed:
            stored = known.get((planned.batch, planned.digest))
            if stored is None:
                stored, next_input = next_input, next_input + 1
                made.append(NewInput(stored, lineup.batch_ids[planned.batch], kind, planned.digest,
                                     rounds.pack_bits(planned.produced), 0, parts.tobytes()))
            board.add_input(replace(planned, stored_id=stored), direct=True)
        round_state.add_inputs(self.transaction, made)

    def _fill_defenses(self, board: Board, lineup: Lineup,
                       planned: dict[int, PlannedInput]) -> dict[tuple[int, str], KnownInput]:
        """Put the consumers' results on the board; returns the inputs that are not on it, with theirs."""
        on_board = {p.stored_id for p in board.inputs}
        known_inputs = {p.stored_id: KnownInput(p.stored_id) for p in planned.values() if p.stored_id not in on_board}
        pairs = [(c.stored_id, c.conditions_id) for c in lineup.consumers]
        rows = round_state.done_pairs(self.transaction, pairs)
        if len(rows):
            self._mark_defenses(board, lineup, rows)
            position = {c.stored_id: entry for entry, c in enumerate(lineup.consumers)}
            for submission, input_id in rows[np.isin(rows[:, 1], list(known_inputs))].tolist():
                found = known_inputs[input_id]
                known_inputs[input_id] = replace(found, done=(*found.done, position[submission]))
        return {(planned[stored].batch, planned[stored].digest): found for stored, found in known_inputs.items()}

    @staticmethod
    def _mark_defenses(board: Board, lineup: Lineup, rows: round_state.Rows) -> None:
        stored_ids = [planned.stored_id for planned in board.inputs]
        index_of = np.full(max(int(rows[:, 1].max()), *stored_ids) + 1, -1, np.int64)
        index_of[stored_ids] = np.arange(len(board.inputs))
        entry_of = np.zeros(int(rows[:, 0].max()) + 1, np.int64)
        for entry, entrant in enumerate(lineup.consumers):
            if entrant.stored_id < len(entry_of):
                entry_of[entrant.stored_id] = entry
        items = index_of[rows[:, 1]]
        known = items >= 0
        at = items[known], entry_of[rows[known, 0]]
        board.defense_state[at] = np.where(board.defense_state[at] == WAITING, DONE, SPARE)


def _planned(stored: StoredInput, batch: int, images: int) -> PlannedInput:
    changed = None if stored.changed is None else rounds.unpack_bits(stored.changed, images)
    return PlannedInput(batch, stored.digest, stored.id, rounds.unpack_bits(stored.produced, images), changed=changed)


def _restrict(board: Board, lineup: Lineup, only: frozenset[str]) -> None:
    """Set aside every waiting run that concerns none of the wanted submissions."""
    wanted_attacks = np.array([c.name in only or (c.duel is not None and lineup.defenses[c.duel.opponent].name in only)
                               for c in lineup.attacks], bool)
    wanted_defenses = np.array([c.name in only for c in lineup.consumers], bool)
    for entry in np.flatnonzero(~wanted_attacks):
        waiting = board.attack_state[entry] == WAITING
        board.attack_state[entry, waiting] = DROPPED
    made_by_wanted = set(board.attack_input[wanted_attacks].ravel().tolist()) - {NO_INPUT} if len(wanted_attacks) else set()
    for item, planned in enumerate(board.inputs):
        if made_by_wanted.isdisjoint((item, planned.half_of)):
            waiting = (board.defense_state[item] == WAITING) & ~wanted_defenses
            board.defense_state[item, waiting] = DROPPED
    board.prune()
