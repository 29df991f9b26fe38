"""From score records to ``Results``: what scoring is given, read from the store in one pass, verdicts packed from end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules
from harness.dataset.load import Batch, Dataset
from harness.errors import DatasetError
from harness.formats.threats import measure
from harness.sandbox.outcomes import NUMBERS
from harness.scheduling.mixing import mix
from harness.scoring import Detections, Entry, Layout, Results, RunCounts, Verdicts
from harness.scoring.duels import Duels
from harness.scoring.records import comparison, record_type, row_bytes, verdict_planes, whole
from harness.scoring.verdicts import rejections_as_labels
from harness.store import round_state, rounds
from harness.store.facade import Transaction
from harness.store.recorder import PlayedDuel
from harness.store.rounds import unpack_bits
from harness.store.values import StoredRound, StoredSubmission, task_kind
from harness.tournament import audit, duels
from harness.tournament.hardware import Hardware, Times, compared
from harness.tournament.query_results import asked
from harness.tournament.tournament import Tournament
from harness.tracks import Access, Answers, Threat, attackers, detectors, duellists, labellers

S = TypeVar("S", bound=np.generic)

_NONE = -1
_MID_GREY = 128


@dataclass(frozen=True)
class _Ended:
    """What the ended runs of one submission have in common."""

    runs: int
    failed: int
    median_s: float | None
    outcomes: dict[str, int]
    times: Times

    @classmethod
    def of(cls, records: NDArray[Any], hardware: Hardware) -> _Ended:
        counts = np.bincount(records["outcome"], minlength=max(NUMBERS.values()) + 1)
        return cls(len(records), int(np.count_nonzero(records["usable"] == 0)),
                   float(np.median(records["wall_s"])) if len(records) else None,
                   {name.value: int(counts[number]) for name, number in NUMBERS.items() if counts[number]},
                   hardware.times(records["run_id"], records["wall_s"]))


@dataclass(eq=False)
class _Played:
    """Duels of one access, A attacks in all: what is known of each pair, put together attack by attack and defense by defense.

    Attributes:
        pairs: Those that are open.
        made: int64 [A, D, B], positions of the inputs that attacks made, ``_NONE`` for nothing.
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
    runs: list[_Ended]
    queries: list[tuple[int, int, int, PlayedDuel]] = field(default_factory=list)

    @classmethod
    def nothing(cls, access: Access, attacks: list[StoredSubmission], pairs: list[duels.Pair], defenses: int, batches: int,
                images: int) -> Self:
        shape = len(attacks), defenses, batches
        return cls(access, attacks, pairs, np.full(shape, _NONE, np.int64), np.zeros(shape, bool), np.zeros(shape, bool),
                   np.zeros((*shape[:2], images), np.uint8), [])


@dataclass(frozen=True, eq=False)
class _Halves:
    """What detectors are run on, I inputs in all.

    Attributes:
        of: int64 [I + 1, 2], the two halves of an input, -1 where it has none.
        sides: int8 [I + 1, widest batch], of a half: 1 where it shows an image attacked, -1 clean, 0 not at all.
        in_play: bool [I], which inputs are halves of what this round's attacks made.
    """

    of: NDArray[np.int64]
    sides: NDArray[np.int8]
    in_play: NDArray[np.bool_]


class _Records:
    """The score records of all members on this round's inputs."""

    def __init__(self, records: NDArray[Any]) -> None:
        self._records = records
        # Of two bytes where they fit, which are sorted several times as quickly.
        ids = records["submission_id"]
        ids = ids.astype(np.uint16) if len(ids) and ids.max() <= np.iinfo(np.uint16).max else ids
        self._order = np.argsort(ids, kind="stable")
        self._ends = np.append(0, np.cumsum(np.bincount(ids)))

    def of(self, submission_id: int) -> NDArray[Any]:
        """One submission's, a copy."""
        first, last = self._ends[np.minimum([submission_id, submission_id + 1], len(self._ends) - 1)]
        mine: NDArray[Any] = self._records[self._order[first:last]]
        return mine


def load_results(tournament: Tournament, dataset: Dataset, round_name: str | None = None) -> Results:
    """The verdicts of a round.

    Args:
        tournament: An open tournament.
        dataset: The data set of the round, for true labels and target classes.
        round_name: Which round; the newest by default.

    Raises:
        UnknownNameError: There is no such round.
        DatasetError: The round was made with another data set.
    """
    with tournament.store.read() as transaction:
        row = rounds.find(transaction, round_name)
        if row.dataset_digest != dataset.digest:
            raise DatasetError(f"The round {row.name} was made with another data set than {dataset.root}.",
                               "Name the round's data set in the tournament file.")
        return _Reader(transaction, row, dataset, tournament.config.sandbox.isolation).read()


class _Reader:
    def __init__(self, transaction: Transaction, row: StoredRound, dataset: Dataset, isolation: str) -> None:
        rules = Rules.stored(row.rules)
        self._rules = rules
        self._mixed = rules.mixed_batches
        self._rejection = rules.rejection
        self._transaction = transaction
        self._row = row
        self._isolation = isolation
        self._planned: list[duels.Pair] | None = None
        self._hardware = Hardware.read(transaction)
        self._dataset = dataset
        self._batches = dataset.batches(rules.batch_size, rules.bounds)
        self._width = max(len(batch.ids) for batch in self._batches)
        self._layout = Layout.of_batches([len(batch.ids) for batch in self._batches], row_bytes(self._width))
        rows = self._rows = rounds.batches(transaction, row.id)
        self._position = {stored.id: position for position, stored in enumerate(rows)}
        self._inputs = round_state.inputs_of(transaction, rows)
        self._tasks = self._given(rules)
        self._ids = np.array(sorted(self._inputs), np.int64)
        self._place = np.zeros(int(self._ids[-1]) + 2, np.int64)
        self._place[self._ids] = np.arange(len(self._ids))
        self._batch_of = np.array([self._position[self._inputs[int(i)].batch_id] for i in self._ids], np.int64)
        # What 0.1.0 compared says nothing of rejections, and is as good where there are none.
        self._compared_with = np.array([[comparison(batch.labels, batch.targets, rejections=rejections) for batch in self._batches]
                                        for rejections in ((True, False) if rules.rejection is None else (True,))], np.uint64)

    def _given(self, rules: Rules) -> dict[Threat, list[int]]:
        """Ids of the inputs that attacks are given under each threat; a batch may have others, of earlier bounds."""
        known = {(self._position[i.batch_id], i.kind): i.id for i in self._inputs.values()}
        given = ((threat, batch.index, batch.under(threat).bound) for threat in rules.bounds for batch in self._batches)
        found: dict[Threat, list[int]] = {threat: [] for threat in Threat}
        for threat, position, bound in given:
            found[threat].append(known[position, task_kind(threat, bound)])
        return found

    def read(self) -> Results:
        members = rounds.members(self._transaction, self._row.id)
        attacks, defenses, scorers = attackers(members), labellers(members), detectors(members)
        records = self._records(members)
        played = [self._duel_attacks(access, members, records) for access in self._rules.access]
        batches, images = len(self._batches), len(self._dataset.ids)
        made = np.full((len(attacks), batches), _NONE, np.int64)
        attack_done = np.zeros((len(attacks), batches), bool)
        ended = {}
        for entry, member in enumerate(attacks):
            runs = records.of(member.id)
            runs = runs[np.isin(runs["input_id"], self._tasks[Threat(member.threat)])]
            ended[member.id] = _Ended.of(runs, self._hardware)
            where = self._batch_of[self._index(runs["input_id"])]
            attack_done[entry, where] = True
            made[entry, where] = np.where(runs["output_id"] > 0, self._index(runs["output_id"]), _NONE)
        produced = self._images(np.where((made >= 0)[..., None], self._produced()[made], False))  # noqa: FBT003
        planes = np.zeros((3, len(attacks), len(defenses), self._layout.width), np.uint8)
        run_done = np.zeros((len(attacks), len(defenses), batches), bool)
        clean = self._clean_inputs()
        in_play = self._in_play(made, attack_done)
        wanted = np.zeros(len(self._ids), bool)
        wanted[in_play] = True
        clean_codes = np.zeros((len(defenses), images), np.uint8)
        clean_done = np.zeros((len(defenses), batches), bool)
        further = []
        # Of a defense its duels too, which are counted apart.
        shown = {}
        for entry, member in enumerate(defenses):
            every = runs = records.of(member.id)
            asked = wanted[self._index(runs["input_id"])]
            runs = runs if asked.all() else runs[asked]
            ended[member.id] = _Ended.of(runs, self._hardware)
            duelled = self._duelled(entry, played)
            further.append(self._duel_answers(entry, played, every, wanted, duelled))
            # Its time is that of batches which all defenses have: it orders those of equal scores.
            shown[member.id] = replace(_Ended.of(every[asked | duelled[self._index(every["input_id"])]], self._hardware),
                                       median_s=ended[member.id].median_s, times=ended[member.id].times)
            verdicts, done = self._verdicts(runs)
            if self._mixed:
                verdicts, done = self._dealt_back(verdicts, done, in_play)
            # A row more than there are inputs: what was not made has no verdicts.
            planes[:, :, entry] = self._in_rows(verdicts[made])
            run_done[:, entry] = attack_done & ((made < 0) | done[made])
            clean_codes[entry] = Verdicts(self._layout, self._in_rows(verdicts[clean][None])[:, :, None]).codes(0)
            clean_done[entry] = done[clean]
        halves = self._halves(made) if scorers else None
        for member in scorers:
            runs = records.of(member.id)
            ended[member.id] = _Ended.of(runs if halves is None else runs[halves.in_play[self._index(runs["input_id"])]],
                                         self._hardware)
        audited = audit.findings(self._transaction, self._row)
        marks = {name: audit.MARK for name, finding in audited.items() if finding.marked}
        on = compared([runs.times for runs in (*ended.values(), *(each for duel in played for each in duel.runs))])
        entries = {m.id: _entry(m, shown.get(m.id, ended[m.id]), marks.get(m.name, ""), on)
                   for m in (*attacks, *defenses, *scorers)}
        return Results(
            attacks=tuple(entries[m.id] for m in attacks), defenses=tuple(entries[m.id] for m in defenses),
            truth=self._dataset.labels, target=self._dataset.targets,
            batch=np.repeat(np.arange(batches), [len(b.ids) for b in self._batches]).astype(np.int32), produced=produced,
            verdicts=Verdicts(self._layout, planes), attack_done=attack_done, run_done=run_done, clean_codes=clean_codes,
            clean_done=clean_done, tournament=self._row.tournament, round=self._row.name, image_ids=self._dataset.ids,
            runs=_with_duels(self._counts(ended, attack_done, len(in_play), defenses, scorers, halves), played, further),
            detectors=tuple(entries[m.id] for m in scorers),
            detections=None if halves is None else self._detections(attacks, scorers, records, halves, made, attack_done),
            max_clean_rejections=None if self._rejection is None else self._rejection.max_clean,
            duels=tuple(self._duels(each, defenses, marks, on) for each in played))

    def _duel_attacks(self, access: Access, members: Sequence[StoredSubmission], records: _Records) -> _Played:
        """What attacks made in duels of this access, and nothing yet of what their opponents said."""
        attacks = [attack for attack in duellists(members) if attack.access == access]
        pairs = [pair for pair in self._pairs(members) if pair.access == access]
        opponents = {opponent.id: at for at, opponent in enumerate(labellers(members))}
        played = _Played.nothing(access, attacks, pairs, len(opponents), len(self._batches), len(self._dataset.ids))
        for entry, attack in enumerate(attacks):
            place = np.full(len(self._ids) + 1, _NONE, np.int64)
            for pair in pairs:
                if pair.attack.id == attack.id:
                    given = [(at, each) for at, each in enumerate(pair.inputs) if each]
                    at, inputs = np.array(given, np.int64).reshape(-1, 2).T
                    place[self._index(inputs)] = opponents[pair.opponent.id] * len(self._batches) + at
            runs = records.of(attack.id)
            where = place[self._index(runs["input_id"])]
            runs, where = runs[where != _NONE], where[where != _NONE]
            played.runs.append(_Ended.of(runs, self._hardware))
            played.ended[entry].reshape(-1)[where] = True
            played.made[entry].reshape(-1)[where] = np.where(runs["output_id"] > 0, self._index(runs["output_id"]), _NONE)
            if access is Access.QUERY:
                known = round_state.query_duels(self._transaction, runs["run_id"].tolist())
                played.queries += [(entry, *divmod(at, len(self._batches)), known[run])
                                   for at, run in zip(where.tolist(), runs["run_id"].tolist(), strict=True)]
        return played

    def _pairs(self, members: Sequence[StoredSubmission]) -> list[duels.Pair]:
        if self._planned is None:
            self._planned = duels.pairs(self._transaction, members, self._rules, self._rows)
        return self._planned

    def _duelled(self, opponent: int, played: Sequence[_Played]) -> NDArray[np.bool_]:
        """Which inputs were made against one defense."""
        own = np.zeros(len(self._ids), bool)
        for duel in played:
            own[duel.made[:, opponent][duel.made[:, opponent] >= 0]] = True
        return own

    def _duel_answers(self, opponent: int, played: Sequence[_Played], runs: NDArray[Any], wanted: NDArray[np.bool_],
                      own: NDArray[np.bool_]) -> RunCounts:
        """What one defense said in its duels, on the inputs ``own``; the runs that are its own only for those."""
        if not own.any():
            for duel in played:
                duel.done[:, opponent] = duel.ended[:, opponent]
            return RunCounts()
        runs = runs[own[self._index(runs["input_id"])]]
        further = ~wanted[self._index(runs["input_id"])]
        verdicts, done = self._verdicts(runs)
        for duel in played:
            made = duel.made[:, opponent]
            duel.done[:, opponent] = duel.ended[:, opponent] & ((made < 0) | done[made])
            rows = self._in_rows(verdicts[made])
            for entry in range(len(duel.attacks)):
                duel.codes[entry, opponent] = Verdicts(self._layout, rows[:, entry][:, None, None]).codes(0)
        return RunCounts(done=int(further.sum()), total=int((own & ~wanted).sum()),
                         failed=int(np.count_nonzero(runs["usable"][further] == 0)))

    def _duels(self, played: _Played, defenses: Sequence[StoredSubmission], marks: Mapping[str, str],
               on: tuple[list[str], bool]) -> Duels:
        position = {opponent.id: at for at, opponent in enumerate(defenses)}
        entries = {attack.id: at for at, attack in enumerate(played.attacks)}
        is_open = np.zeros(played.made.shape[:2], bool)
        for pair in played.pairs:
            is_open[entries[pair.attack.id], position[pair.opponent.id]] = True
        names = tuple(m.name for m in defenses)
        attacks = tuple(_entry(m, runs, marks.get(m.name, ""), on) for m, runs in zip(played.attacks, played.runs, strict=True))
        if played.access is Access.QUERY:
            return asked(
                attacks, names, is_open, played.ended, played.queries, [(b.labels, b.targets) for b in self._batches],
                budget=self._rules.queries.budget, rejection=self._rejection is not None, grey=self._to_grey(played.attacks))
        there = np.where((played.made >= 0)[..., None], self._produced()[played.made], False)  # noqa: FBT003
        produced = self._images(there.reshape(-1, *there.shape[2:])).reshape(played.codes.shape)
        return Duels(
            access=played.access, attacks=attacks, defenses=names, open=is_open, done=played.done, produced=produced,
            counted=np.ones(played.codes.shape, bool), codes=played.codes)

    def _to_grey(self, attacks: Sequence[StoredSubmission]) -> NDArray[np.int64] | None:
        """How far each image is from mid-grey, where somebody's distances are of that kind."""
        if all(attack.threat != Threat.L2 for attack in attacks):
            return None
        found = [self._dataset.pixels(batch) for batch in self._batches]
        return np.concatenate([measure(Threat.L2, pixels, np.full_like(pixels, _MID_GREY)) for pixels in found])

    def _halves(self, made: NDArray[np.int64]) -> _Halves:
        """The halves of what this round's attacks made."""
        of = np.full((len(self._ids) + 1, 2), _NONE, np.int64)
        in_play = np.zeros(len(self._ids), bool)
        sides = np.zeros((len(self._ids) + 1, self._width), np.int8)
        wanted = set(made[made >= 0].tolist())
        for place, stored_id in enumerate(self._ids.tolist()):
            stored = self._inputs[stored_id]
            if stored.kind != round_state.HALF:
                continue
            source = int(self._index(np.array(round_state.half_of(stored.parts))))
            if source in wanted:
                of[source, int(of[source, 0] != _NONE)] = place
                in_play[place] = True
                parts = np.frombuffer(stored.parts or b"", np.int32)
                sides[place, :len(parts)] = np.sign(parts)
        return _Halves(of, sides, in_play)

    def _detections(self, attacks: Sequence[StoredSubmission], scorers: Sequence[StoredSubmission], records: _Records,
                    halves: _Halves, made: NDArray[np.int64], attack_done: NDArray[np.bool_]) -> Detections:
        shape = (len(scorers), len(attacks), len(self._dataset.ids))
        attacked, clean = np.empty(shape, np.float32), np.empty(shape, np.float32)
        done = np.zeros((len(scorers), *made.shape), bool)
        of = halves.of[made]
        nothing_changed = (of == _NONE).all(axis=-1)
        # What the first half shows of each image, [A, B, widest batch]; the other one shows the opposite.
        first = halves.sides[of[..., 0]]
        places = np.flatnonzero(halves.in_play)
        scores, answered = self._scores([records.of(member.id) for member in scorers], places)
        here = np.full(len(self._ids) + 1, len(places), np.int64)
        here[places] = np.arange(len(places))
        of = here[of]
        for entry in range(len(scorers)):
            one, other = scores[entry, of[..., 0]], scores[entry, of[..., 1]]
            for into, given, none in ((attacked, np.where(first > 0, one, other), -np.inf),
                                      (clean, np.where(first > 0, other, one), np.inf)):
                into[entry] = self._images(np.where(np.isnan(given) | (first == 0), np.float32(none), given))
            done[entry] = attack_done & (nothing_changed | answered[entry, of].all(axis=-1))
        return Detections(tuple(m.name for m in attacks), tuple(m.name for m in scorers), attacked, clean,
                          self._images(first != 0), done)

    def _scores(self, runs: Sequence[NDArray[Any]], places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Of detectors: float32 [T, inputs + 1, widest batch], NaN for none, and on which of these inputs each has a result.

        Args:
            runs: Of each detector, its score records.
            places: Ascending indices of the inputs; behind them stands one that nobody has a result on.
        """
        scores = np.full((len(runs), len(places) + 1, self._width), np.nan, np.float32)
        done = np.zeros(scores.shape[:2], bool)
        given = np.concatenate([np.stack([found["run_id"], np.full(len(found), entry), self._index(found["input_id"])], axis=1)
                                for entry, found in enumerate(runs)])
        given = given[np.isin(given[:, 2], places)]
        given = given[np.argsort(given[:, 0])]
        given[:, 2] = np.searchsorted(places, given[:, 2])
        done[given[:, 1], given[:, 2]] = True
        kind = np.dtype(Answers.SCORES.value)
        for size in {len(batch.ids) for batch in self._batches}:
            for ids, answers in round_state.answers_of(self._transaction, given[:, 0].tolist(), size * kind.itemsize):
                _, entry, place = given[np.searchsorted(given[:, 0], ids)].T
                scores[entry, place, :size] = np.frombuffer(answers, kind).reshape(-1, size)
        return scores, done

    def _in_play(self, made: NDArray[np.int64], attack_done: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Indices of the inputs that this round's defenses are run on; results on others belong to earlier versions."""
        clean = self._clean_inputs()
        if not self._mixed:
            return np.unique(np.append(made[made >= 0], clean))
        in_order = [self._inputs[int(i)] for i in self._ids]
        index_of = {(self._position[i.batch_id], i.digest): n for n, i in enumerate(in_order) if i.kind == "mixed"}
        found = []
        for batch in np.flatnonzero(attack_done.all(axis=0)).tolist():
            made_here = made[made[:, batch] >= 0, batch]
            sources = [self._inputs[int(self._ids[i])] for i in np.unique(np.append(made_here, clean[batch]))]
            masks = [unpack_bits(s.produced, len(self._batches[batch].ids)) for s in sources]
            digests = [(batch, dealt.digest) for dealt in mix([s.digest for s in sources], masks)]
            found += [index_of[digest] for digest in digests if digest in index_of]
        return np.array(sorted(found), np.int64)

    def _dealt_back(self, verdicts: NDArray[np.uint8], done: NDArray[np.bool_],
                    in_play: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Verdicts on mixed inputs, given back to the inputs that the images came from."""
        bits = np.unpackbits(verdicts, axis=-1, bitorder="little")
        by_source, source_done = np.zeros_like(bits), np.zeros_like(done)
        missing = np.zeros_like(done)
        for index in in_play.tolist():
            parts = np.frombuffer(self._inputs[int(self._ids[index])].parts or b"", np.int32)
            at = np.flatnonzero(parts)
            sources = self._index(parts[at].astype(np.int64))
            by_source[sources, :, at] = bits[index][:, at].T
            source_done[sources] = True
            if not done[index]:
                missing[sources] = True
        return np.packbits(by_source, axis=-1, bitorder="little"), source_done & ~missing

    def _counts(self, ended: dict[int, _Ended], attack_done: NDArray[np.bool_], in_play: int,
                defenses: Sequence[StoredSubmission], scorers: Sequence[StoredSubmission], halves: _Halves | None) -> RunCounts:
        attacks, batches = attack_done.shape
        unknown = to_come = int(np.count_nonzero(~attack_done))
        if self._mixed:
            unknown = int((~attack_done).any(axis=0).sum()) * (attacks + 1)
        total = attacks * batches + len(defenses) * (in_play + unknown)
        if halves is not None:
            total += len(scorers) * (int(halves.in_play.sum()) + 2 * to_come)
        done = int(attack_done.sum()) + sum(ended[member.id].runs for member in (*defenses, *scorers))
        return RunCounts(done=done, total=total, failed=sum(e.failed for e in ended.values()))

    def _records(self, members: Sequence[StoredSubmission]) -> _Records:
        conditions = {m.id: self._row.conditions_of(m, isolation=self._isolation) for m in members}
        counts_for = np.full(max(conditions, default=0) + 2, _NONE, np.int64)
        counts_for[list(conditions)] = list(conditions.values())
        widest = record_type(self._width)
        # Room for every run there is; what is not filled never becomes memory.
        records, filled = np.empty(round_state.next_ids(self._transaction)[0], widest), 0
        for kind in {record_type(len(batch.ids)) for batch in self._batches}:
            for data in round_state.score_records(self._transaction, kind.itemsize):
                found = np.frombuffer(data, kind)
                # Only records that belong to the round.
                known = counts_for[np.minimum(found["submission_id"], len(counts_for) - 1)]
                keep = (known == found["conditions_id"]) & self._known(found["input_id"]) & whole(found)
                found = found if keep.all() else found[keep]
                records[filled: filled + len(found)] = found if kind == widest else _widened(found, widest)
                filled += len(found)
        return _Records(records[:filled])

    def _index(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Positions of input ids among all inputs of the round (0 for an id of 0 and of another round, which callers mask)."""
        place: NDArray[np.int64] = self._place[np.minimum(ids, len(self._place) - 1)]
        return place

    def _known(self, ids: NDArray[Any]) -> NDArray[np.bool_]:
        """Which input ids are of this round."""
        known: NDArray[np.bool_] = self._ids[self._index(ids)] == ids
        return known

    def _produced(self) -> NDArray[np.bool_]:
        """bool [inputs, widest batch]."""  # noqa: D403 - a dtype
        masks = [unpack_bits(self._inputs[int(i)].produced, len(self._batches[b].ids))
                 for i, b in zip(self._ids, self._batch_of, strict=True)]
        return self._padded(masks)

    def _clean_inputs(self) -> NDArray[np.int64]:
        by_batch = {self._position[i.batch_id]: i.id for i in self._inputs.values() if i.kind == "clean"}
        return self._index(np.array([by_batch[b] for b in range(len(self._batches))], np.int64))

    def _verdicts(self, runs: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Of one defense: uint8 [inputs + 1, 3, row bytes] verdicts, the last of nothing, and which inputs it has a result for."""
        verdicts = np.zeros((len(self._ids) + 1, 3, row_bytes(self._width)), np.uint8)
        done = np.zeros(len(self._ids) + 1, bool)
        where = self._index(runs["input_id"])
        self._compare_again(runs, self._batch_of[where])
        done[where] = True
        verdicts[where] = runs["planes"]
        if self._rejection is None:
            rejections_as_labels(np.moveaxis(verdicts, 1, 0))
        return verdicts, done

    def _compare_again(self, runs: NDArray[Any], batches: NDArray[np.int64]) -> None:
        """Recompute verdicts whose true labels or target classes changed."""
        stale = np.flatnonzero((runs["compared_with"] != self._compared_with[:, batches]).all(axis=0))
        labels = round_state.labels_of(self._transaction, runs["run_id"][stale].tolist())
        answered = np.array([at for at in stale.tolist() if int(runs["run_id"][at]) in labels], np.int64)
        for number in np.unique(batches[answered]).tolist():
            at = answered[batches[answered] == number]
            batch = self._batches[number]
            given = np.stack([labels[run] for run in runs["run_id"][at].tolist()])
            planes = verdict_planes(given, batch.labels, batch.targets)
            runs["planes"][at, :, :planes.shape[-1]] = planes

    def _in_rows(self, verdicts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [entries, batches, 3, row bytes] as rows of the layout, uint8 [3, entries, width]."""
        rows = np.zeros((3, len(verdicts), self._layout.width), np.uint8)
        used = verdicts.shape[1] * verdicts.shape[-1]
        rows[..., :used] = np.moveaxis(verdicts, 2, 0).reshape(3, len(verdicts), used)
        return rows

    def _padded(self, rows: Sequence[NDArray[S]]) -> NDArray[S]:
        """Rows of up to the widest batch as one array."""
        if all(len(r) == self._width for r in rows):
            return np.stack(rows)
        padded = np.zeros((len(rows), self._width), rows[0].dtype)
        for target, source in zip(padded, rows, strict=True):
            target[: len(source)] = source
        return padded

    def _images(self, by_batch: NDArray[S]) -> NDArray[S]:
        """[entries, batches, widest batch] as [entries, images]: the padding of a short batch is cut out."""
        keep = np.concatenate([np.arange(self._width) < len(b.ids) for b in self._batches])
        return by_batch.reshape(len(by_batch), len(keep))[:, keep]


def _with_duels(counts: RunCounts, played: Sequence[_Played], answers: Sequence[RunCounts]) -> RunCounts:
    """All runs of the round: a duel that is not decided has one run of the attack and probably one of its opponent."""
    batches = [(len(duel.pairs) * duel.ended.shape[-1], int(duel.ended.sum())) for duel in played]
    total = sum(planned if duel.access is Access.QUERY else 2 * planned - ended
                for duel, (planned, ended) in zip(played, batches, strict=True))
    return RunCounts(
        done=counts.done + sum(ended for _, ended in batches) + sum(each.done for each in answers),
        total=counts.total + total + sum(each.total for each in answers),
        failed=counts.failed + sum(runs.failed for duel in played for runs in duel.runs) + sum(each.failed for each in answers))


def _widened(records: NDArray[Any], into: np.dtype[np.void]) -> NDArray[Any]:
    """Records of a smaller batch as those of a larger one."""
    wide = np.zeros(len(records), into)
    for name in into.names or ():
        if name != "planes":
            wide[name] = records[name]
    wide["planes"][..., :records["planes"].shape[-1]] = records["planes"]
    return wide


def _entry(member: StoredSubmission, runs: _Ended, mark: str, on: tuple[list[str], bool]) -> Entry:
    kinds, comparable = on
    apart = {kind: runs.times[kind][1] if kind in runs.times else None for kind in kinds} if len(kinds) > 1 else {}
    median_s = runs.median_s if not apart else apart[kinds[0]] if comparable else None
    return Entry(name=member.name, team=member.team, type=member.type, baseline=member.baseline, order=member.id,
                 digest=member.digest, median_time_s=median_s, by_hardware=apart, outcomes=runs.outcomes, mark=mark,
                 threat=Threat(member.threat), access=Access(member.access))


def rules_of(row: StoredRound) -> Rules:
    """The rules a round was made with."""
    return Rules.stored(row.rules)


def batches_of(row: StoredRound, dataset: Dataset) -> tuple[Batch, ...]:
    """The batches of a round."""
    rules = rules_of(row)
    return dataset.batches(rules.batch_size, rules.bounds)
