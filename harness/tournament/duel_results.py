"""From what duels left to what scoring is given: what attacks made against one defense each, and what that one said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.formats.threats import measure
from harness.scoring import RunCounts, Verdicts
from harness.scoring.duels import Duels
from harness.store import round_state
from harness.store.recorder import PlayedDuel
from harness.store.values import StoredSubmission
from harness.tournament import duels
from harness.tournament.query_results import asked
from harness.tournament.round_records import NONE, Ended, RoundRecords, entry_of
from harness.tracks import Access, Threat, duellists, labellers

_MID_GREY = 128


@dataclass(eq=False)
class Played:
    """Duels of one access, A attacks in all: what is known of each pair, put together attack by attack and defense by defense.

    Attributes:
        pairs: Those that are open.
        made: int64 [A, D, B], positions of the inputs that attacks made, ``NONE`` for nothing.
        ended: bool [A, D, B], whether the attack's run has a result.
        done: The same of the duel.
        codes: uint8 [A, D, N], verdicts.
        runs: Of each attack.
    """

    access: Access
    attacks: list[StoredSubmission]
    pairs: list[duels.Pair]
    made: NDArray[np.int64]
    ended: NDArray[np.bool_]
    done: NDArray[np.bool_]
    codes: NDArray[np.uint8]
    runs: list[Ended]
    queries: list[tuple[int, int, int, PlayedDuel]] = field(default_factory=list)

    @classmethod
    def nothing(cls, access: Access, attacks: list[StoredSubmission], pairs: list[duels.Pair], defenses: int, batches: int,
                images: int) -> Self:
        """Attacks of which no run has ended."""
        shape = len(attacks), defenses, batches
        return cls(access, attacks, pairs, np.full(shape, NONE, np.int64), np.zeros(shape, bool), np.zeros(shape, bool),
                   np.zeros((*shape[:2], images), np.uint8), [])


def duels_played(records: RoundRecords, members: Sequence[StoredSubmission]) -> list[Played]:
    """What attacks made in duels, by access, and nothing yet of what their opponents said."""
    ways = records.rules.access
    pairs = duels.pairs(records.transaction, members, records.rules, records.rows) if ways else []
    return [_of_access(records, access, members, [pair for pair in pairs if pair.access == access]) for access in ways]


def _of_access(records: RoundRecords, access: Access, members: Sequence[StoredSubmission], pairs: list[duels.Pair]) -> Played:
    attacks = [attack for attack in duellists(members) if attack.access == access]
    opponents = {opponent.id: at for at, opponent in enumerate(labellers(members))}
    found = Played.nothing(access, attacks, pairs, len(opponents), len(records.batches), len(records.dataset.ids))
    for entry, attack in enumerate(attacks):
        place = np.full(len(records.ids) + 1, NONE, np.int64)
        for pair in pairs:
            if pair.attack.id == attack.id:
                given = [(at, each) for at, each in enumerate(pair.inputs) if each]
                at, inputs = np.array(given, np.int64).reshape(-1, 2).T
                place[records.index(inputs)] = opponents[pair.opponent.id] * len(records.batches) + at
        runs = records.of(attack.id)
        where = place[records.index(runs["input_id"])]
        runs, where = runs[where != NONE], where[where != NONE]
        found.runs.append(records.ended(runs))
        found.ended[entry].reshape(-1)[where] = True
        found.made[entry].reshape(-1)[where] = np.where(runs["output_id"] > 0, records.index(runs["output_id"]), NONE)
        if access is Access.QUERY:
            known = round_state.query_duels(records.transaction, runs["run_id"].tolist())
            found.queries += [(entry, *divmod(at, len(records.batches)), known[run])
                              for at, run in zip(where.tolist(), runs["run_id"].tolist(), strict=True)]
    return found


def made_against(records: RoundRecords, opponent: int, played: Sequence[Played]) -> NDArray[np.bool_]:
    """Which inputs were made against one defense."""
    own = np.zeros(len(records.ids), bool)
    for duel in played:
        own[duel.made[:, opponent][duel.made[:, opponent] >= 0]] = True
    return own


def answer(records: RoundRecords, opponent: int, played: Sequence[Played], runs: NDArray[Any], wanted: NDArray[np.bool_],
           own: NDArray[np.bool_]) -> RunCounts:
    """Put in what one defense said in its duels, on the inputs ``own``; counts the runs that are its own only for those."""
    if not own.any():
        for duel in played:
            duel.done[:, opponent] = duel.ended[:, opponent]
        return RunCounts()
    runs = runs[own[records.index(runs["input_id"])]]
    further = ~wanted[records.index(runs["input_id"])]
    verdicts, done = records.verdicts(runs)
    for duel in played:
        made = duel.made[:, opponent]
        duel.done[:, opponent] = duel.ended[:, opponent] & ((made < 0) | done[made])
        rows = records.in_rows(verdicts[made])
        for entry in range(len(duel.attacks)):
            duel.codes[entry, opponent] = Verdicts(records.layout, rows[:, entry][:, None, None]).codes(0)
    return RunCounts(done=int(further.sum()), total=int((own & ~wanted).sum()),
                     failed=int(np.count_nonzero(runs["usable"][further] == 0)))


def duels_of(records: RoundRecords, played: Played, defenses: Sequence[StoredSubmission], marks: Mapping[str, str],
             on: tuple[list[str], bool]) -> Duels:
    """Duels of one access as scoring has them; ``marks`` and ``on`` as for ``entry_of``."""
    position = {opponent.id: at for at, opponent in enumerate(defenses)}
    entries = {attack.id: at for at, attack in enumerate(played.attacks)}
    is_open = np.zeros(played.made.shape[:2], bool)
    for pair in played.pairs:
        is_open[entries[pair.attack.id], position[pair.opponent.id]] = True
    names = tuple(m.name for m in defenses)
    attacks = tuple(entry_of(m, runs, marks.get(m.name, ""), on) for m, runs in zip(played.attacks, played.runs, strict=True))
    if played.access is Access.QUERY:
        return asked(
            attacks, names, is_open, played.ended, played.queries, [(b.labels, b.targets) for b in records.batches],
            budget=records.rules.queries.budget, rejection=records.rules.rejection is not None,
            grey=_to_grey(records, played.attacks))
    there = np.where((played.made >= 0)[..., None], records.produced()[played.made], False)  # noqa: FBT003
    produced = records.images(there.reshape(-1, *there.shape[2:])).reshape(played.codes.shape)
    return Duels(
        access=played.access, attacks=attacks, defenses=names, open=is_open, done=played.done, produced=produced,
        counted=np.ones(played.codes.shape, bool), codes=played.codes)


def counted(counts: RunCounts, played: Sequence[Played], answers: Sequence[RunCounts]) -> RunCounts:
    """All runs of the round: a duel that is not decided has one run of the attack and probably one of its opponent."""
    batches = [(len(duel.pairs) * duel.ended.shape[-1], int(duel.ended.sum())) for duel in played]
    total = sum(planned if duel.access is Access.QUERY else 2 * planned - ended
                for duel, (planned, ended) in zip(played, batches, strict=True))
    return RunCounts(
        done=counts.done + sum(ended for _, ended in batches) + sum(each.done for each in answers),
        total=counts.total + total + sum(each.total for each in answers),
        failed=counts.failed + sum(runs.failed for duel in played for runs in duel.runs) + sum(each.failed for each in answers))


def _to_grey(records: RoundRecords, attacks: Sequence[StoredSubmission]) -> NDArray[np.int64] | None:
    """How far each image is from mid-grey, where somebody's distances are of that kind."""
    if all(attack.threat != Threat.L2 for attack in attacks):
        return None
    found = [records.dataset.pixels(batch) for batch in records.batches]
    return np.concatenate([measure(Threat.L2, pixels, np.full_like(pixels, _MID_GREY)) for pixels in found])
