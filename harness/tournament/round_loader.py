"""A round as the scheduler begins it: the store's rows become a lineup, a board with what is done, and the state of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from harness.config import Rules, TournamentConfig
from harness.dataset.load import Batch
from harness.sandbox.base import Profile, Program
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.outcomes import Outcome
from harness.scheduling.board import DONE, DROPPED, NO_INPUT, WAITING, Board, PlannedInput
from harness.scheduling.entrants import Entrant, KnownInput, Lineup, StoreState
from harness.scheduling.mixing import mixed_inputs
from harness.store import round_state, rounds
from harness.store.base_images import Moved
from harness.store.facade import Transaction
from harness.store.recorder import NewInput
from harness.store.values import StoredBatch, StoredRound, StoredSubmission, is_task, task_kind
from harness.tournament.conditions import limits_of
from harness.tracks import Threat, consumers, producers


@dataclass(frozen=True)
class Round:
    """A round ready to be scheduled.

    Attributes:
        moved: Names of base images that stand for others than when the last results were obtained.
    """

    name: str
    lineup: Lineup
    board: Board
    store_state: StoreState
    moved: tuple[Moved, ...] = ()


@dataclass
class RoundLoader:
    """Puts the store's results on a new board.

    Attributes:
        transaction: To write in: mixed inputs that a killed harness did not make are made.
        config: The tournament file.
        row: The round.
        rules: The rules that it was made with.
        images: What holds for images here.
        gpu: Whether runs will have a GPU.
    """

    transaction: Transaction
    config: TournamentConfig
    row: StoredRound
    rules: Rules
    images: ImageRules
    gpu: bool

    def load(self, members: Sequence[StoredSubmission], batches: tuple[Batch, ...], rows: Sequence[StoredBatch],
             only: frozenset[str]) -> Round:
        """The round of these members, on these batches with their rows; only runs that concern ``only``, where any are named."""
        inputs = round_state.inputs_of(self.transaction, rows)
        positions = {row.id: position for position, row in enumerate(rows)}
        task_ids = {(stored.batch_id, stored.kind): stored.id for stored in inputs.values()}
        given = {threat: [batch.under(threat) for batch in batches] for threat in self.rules.bounds}
        clean = sorted((i for i in inputs.values() if i.kind == "clean"), key=lambda i: positions[i.batch_id])
        medians = round_state.median_times(self.transaction, [m.id for m in members])
        attacks, defenses = producers(members), consumers(members)
        planned = {i.id: PlannedInput(positions[i.batch_id], i.digest, i.id, rounds.unpack_bits(
            i.produced, len(batches[positions[i.batch_id]].ids))) for i in inputs.values() if not is_task(i.kind)}
        lineup = Lineup(
            tuple(self._entrant(m, medians) for m in attacks), tuple(self._entrant(m, medians) for m in defenses),
            batches, tuple(row.id for row in rows), {threat: tuple(
                task_ids[row.id, task_kind(threat, batch.bound)] for row, batch in zip(rows, tasks, strict=True))
                for threat, tasks in given.items()},
            self.rules.mixed_batches,
            {"tournament": self.images.tournament})
        board = Board(len(attacks), len(defenses), [planned[i.id] for i in clean],
                      labelled="mixed" if self.rules.mixed_batches else "direct")
        store_state = self._fill(board, lineup, planned)
        board.prune()
        if only:
            _restrict(board, lineup, only)
        return Round(self.row.name, lineup, board, store_state)

    def _entrant(self, member: StoredSubmission, medians: dict[int, float]) -> Entrant:
        isolation = self.config.sandbox.isolation
        return Entrant(
            stored_id=member.id, name=member.name, track=member.type,
            program=self._program(member), limits=limits_of(self.rules, self.config.sandbox),
            conditions_id=self.row.conditions_of(member, isolation=isolation),
            served=isolation == "submission" and member.serves, expected_s=medians.get(member.id, float("nan")),
            threat=Threat(member.threat))

    def _program(self, member: StoredSubmission) -> Program:
        """What runs for a registered submission; whoever runs it knows where its code lies, by digest."""
        image = member.image(gpu=self.gpu)
        return Program(digest=member.digest, image=image or None, code_dir=None, entry_point=member.entry_point or None,
                       profile=cast("Profile", member.profile), serves=member.serves, rules=self.images)

    def _fill(self, board: Board, lineup: Lineup, planned: dict[int, PlannedInput]) -> StoreState:
        attacks_done = self._fill_attacks(board, lineup, planned)
        if lineup.mixed:
            self._fill_mixed(board, {(p.batch, p.digest): p.stored_id for p in planned.values()}, lineup.batch_ids)
        known_inputs = self._fill_defenses(board, lineup, planned)
        next_run, next_input = round_state.next_ids(self.transaction)
        conditions = {c.stored_id: c.conditions_id for c in (*lineup.attacks, *lineup.defenses)}
        unfinished = {(s, i): where for (s, i, c), where in round_state.unfinished_runs(self.transaction).items()
                      if conditions.get(s) == c}
        suspects = round_state.suspects(self.transaction, Outcome.HOST_ERROR)
        return StoreState(next_run, next_input, unfinished, attacks_done, known_inputs, suspects)

    def _fill_attacks(self, board: Board, lineup: Lineup,
                      planned: dict[int, PlannedInput]) -> dict[tuple[int, int], tuple[int, int]]:
        entry_of = {c.stored_id: entry for entry, c in enumerate(lineup.attacks)}
        item_of = {(c.stored_id, task): item for c in lineup.attacks for item, task in enumerate(lineup.task_input_ids[c.threat])}
        pairs = [(c.stored_id, c.conditions_id) for c in lineup.attacks]
        done = {}
        for submission, task_input, output, run, attempt in round_state.done_runs(self.transaction, pairs).tolist():
            item = item_of.get((submission, task_input))
            if item is None:
                continue
            made = NO_INPUT
            if output:
                made = board.add_input(planned[output])
            entry = entry_of[submission]
            board.attack_state[entry, item], board.attack_input[entry, item] = DONE, made
            done[submission, task_input] = (run, attempt)
        return done

    def _fill_mixed(self, board: Board, known: dict[tuple[int, str], int], batch_ids: Sequence[int]) -> None:
        """Put the mixed inputs of finished batches on the board, with rows for those that a killed harness did not make."""
        _, next_input = round_state.next_ids(self.transaction)
        made = []
        for batch in range(board.batches):
            sources = board.sources(batch)
            for planned, parts in mixed_inputs(board.inputs, sources, batch) if sources else ():
                stored = known.get((batch, planned.digest))
                if stored is None:
                    stored, next_input = next_input, next_input + 1
                    made.append(NewInput(
                        stored, batch_ids[batch], "mixed", planned.digest, rounds.pack_bits(planned.produced), 0,
                        parts.tobytes()))
                board.add_input(replace(planned, stored_id=stored), direct=True)
        round_state.add_inputs(self.transaction, made)

    def _fill_defenses(self, board: Board, lineup: Lineup,
                       planned: dict[int, PlannedInput]) -> dict[tuple[int, str], KnownInput]:
        """Put the defenses' results on the board; returns the inputs that are not on it, with theirs."""
        on_board = {p.stored_id for p in board.inputs}
        known_inputs = {p.stored_id: KnownInput(p.stored_id) for p in planned.values() if p.stored_id not in on_board}
        pairs = [(c.stored_id, c.conditions_id) for c in lineup.defenses]
        rows = round_state.done_pairs(self.transaction, pairs)
        if len(rows):
            self._mark_defenses(board, lineup, rows)
            position = {c.stored_id: entry for entry, c in enumerate(lineup.defenses)}
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
        for entry, entrant in enumerate(lineup.defenses):
            if entrant.stored_id < len(entry_of):
                entry_of[entrant.stored_id] = entry
        items = index_of[rows[:, 1]]
        known = items >= 0
        board.defense_state[items[known], entry_of[rows[known, 0]]] = DONE


def _restrict(board: Board, lineup: Lineup, only: frozenset[str]) -> None:
    """Set aside every waiting run that concerns none of the wanted submissions."""
    wanted_attacks = np.array([c.name in only for c in lineup.attacks], bool)
    wanted_defenses = np.array([c.name in only for c in lineup.defenses], bool)
    for entry in np.flatnonzero(~wanted_attacks):
        waiting = board.attack_state[entry] == WAITING
        board.attack_state[entry, waiting] = DROPPED
    made_by_wanted = set(board.attack_input[wanted_attacks].ravel().tolist()) - {NO_INPUT} if len(wanted_attacks) else set()
    for item in range(len(board.inputs)):
        if item not in made_by_wanted:
            waiting = (board.defense_state[item] == WAITING) & ~wanted_defenses
            board.defense_state[item, waiting] = DROPPED
    board.prune()
