"""From rows to ``Results``: what scoring is given, read from the store in one pass.

Labels become one-byte verdicts as they are read, so that the labels of a 2017-size final (180 MB) never lie in memory at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from harness import audit
from harness.config import Rules
from harness.dataset import Batch, Dataset
from harness.errors import DatasetError
from harness.mixing import mix
from harness.scoring import Entry, Results, RunCounts, codes_from_labels
from harness.scoring.results import Track
from harness.store import registry, round_state
from harness.store.models import RoundRow, SubmissionRow
from harness.tournament import Tournament

S = TypeVar("S", bound=np.generic)

_NONE = -1
_NO_ROWS: tuple[NDArray[Any], ...] = (*(np.zeros(0, np.int64) for _ in range(4)), np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class _Ended:
    """The ended runs of one submission: parallel arrays; ``at`` is where its verdicts are among all."""

    input_ids: NDArray[np.int64]
    output_ids: NDArray[np.int64]
    at: NDArray[np.int64]
    median_s: float | None
    outcomes: dict[str, int]
    failed: int


@dataclass(frozen=True)
class _Rows:
    """The ended runs of all members on this round's inputs, sorted by submission; outcomes as indices into ``names``.

    The verdicts, a hundred times as many, are not sorted with them: those of row i are ``verdicts[at[i]]``.
    """

    submission_ids: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    output_ids: NDArray[np.int64]
    usable: NDArray[np.int64]
    wall_s: NDArray[np.float64]
    outcomes: NDArray[np.int64]
    at: NDArray[np.int64]
    verdicts: NDArray[np.uint8]
    names: tuple[str, ...]

    def of(self, submission_id: int, on: NDArray[np.int64] | None) -> _Ended:
        """One submission's runs, those on the inputs with the ids ``on`` only (all by default)."""
        mine = np.arange(*np.searchsorted(self.submission_ids, [submission_id, submission_id + 1]))
        if on is not None:
            mine = mine[np.isin(self.input_ids[mine], on)]
        times = self.wall_s[mine]
        times = times[~np.isnan(times)]
        counts = np.bincount(self.outcomes[mine], minlength=len(self.names))
        return _Ended(
            self.input_ids[mine], self.output_ids[mine], self.at[mine], float(np.median(times)) if len(times) else None,
            {name: int(count) for name, count in zip(self.names, counts, strict=True) if count},
            int(np.count_nonzero(self.usable[mine] == 0)))


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
    with tournament.session() as session:
        # One snapshot for all that is read: beside a running harness, a run read late could name an input that was not read early.
        session.connection().exec_driver_sql("BEGIN")
        row = registry.find_round(session, round_name)
        if row.dataset_digest != dataset.digest:
            raise DatasetError(f"The round {row.name} was made with another data set than {dataset.root}.",
                               "Name the round's data set in the tournament file.")
        return _Reader(session, row, dataset, tournament.config.sandbox.isolation).read()


class _Reader:
    def __init__(self, session: Session, row: RoundRow, dataset: Dataset, isolation: str) -> None:
        rules = Rules.model_validate_json(row.rules)
        self._mixed = rules.mixed_batches
        self._session = session
        self._row = row
        self._isolation = isolation
        self._dataset = dataset
        self._batches = dataset.batches(rules.batch_size, rules.max_epsilon)
        self._width = max(len(batch.ids) for batch in self._batches)
        rows = registry.round_batches(session, row.id)
        self._position = {stored.id: position for position, stored in enumerate(rows)}
        self._inputs = round_state.inputs_of(session, rows)
        self._ids = np.array(sorted(self._inputs), np.int64)
        self._batch_of = np.array([self._position[self._inputs[int(i)].batch_id] for i in self._ids], np.int64)
        # Of the type that labels are stored in, so that comparing converts nothing.
        self._truth = self._padded([batch.labels.astype(np.int16) for batch in self._batches])
        self._target = self._padded([batch.targets.astype(np.int16) for batch in self._batches])

    def read(self) -> Results:
        members = registry.round_submissions(self._session, self._row.id)
        attacks = [m for m in members if m.type != "defense"]
        defenses = [m for m in members if m.type == "defense"]
        rows = self._rows(members)
        batches, images = len(self._batches), len(self._dataset.ids)
        made = np.full((len(attacks), batches), _NONE, np.int64)
        attack_done = np.zeros((len(attacks), batches), bool)
        ended = {m.id: rows.of(m.id, None) for m in attacks}
        for entry, member in enumerate(attacks):
            runs = ended[member.id]
            where = self._batch_of[self._index(runs.input_ids)]
            attack_done[entry, where] = True
            made[entry, where] = np.where(runs.output_ids > 0, self._index(runs.output_ids), _NONE)
        produced = self._images(np.where((made >= 0)[..., None], self._produced()[made], False))  # noqa: FBT003
        codes = np.zeros((len(attacks), len(defenses), images), np.uint8)
        run_done = np.zeros((len(attacks), len(defenses), batches), bool)
        clean = self._clean_inputs()
        in_play = self._in_play(made, attack_done)
        ended |= {m.id: rows.of(m.id, self._ids[in_play]) for m in defenses}
        clean_codes = np.zeros((len(defenses), images), np.uint8)
        clean_done = np.zeros((len(defenses), batches), bool)
        for entry, member in enumerate(defenses):
            verdicts, done = self._verdicts(ended[member.id], rows.verdicts)
            if self._mixed:
                verdicts, done = self._dealt_back(verdicts, done, in_play)
            codes[:, entry] = self._images(np.where((made >= 0)[..., None], verdicts[made], 0).astype(np.uint8))
            run_done[:, entry] = attack_done & ((made < 0) | done[made])
            clean_codes[entry] = self._images(verdicts[clean][None])[0]
            clean_done[entry] = done[clean]
        audited = audit.findings(self._session, self._row)
        marks = {name: audit.MARK for name, finding in audited.items() if finding.differs}
        entries = {m.id: _entry(m, ended[m.id], marks.get(m.name, "")) for m in members}
        return Results(
            attacks=tuple(entries[m.id] for m in attacks), defenses=tuple(entries[m.id] for m in defenses),
            truth=self._dataset.labels, target=self._dataset.targets,
            batch=np.repeat(np.arange(batches), [len(b.ids) for b in self._batches]).astype(np.int32), produced=produced,
            codes=codes, attack_done=attack_done, run_done=run_done, clean_codes=clean_codes, clean_done=clean_done,
            tournament=self._row.tournament, round=self._row.name, image_ids=self._dataset.ids,
            runs=self._counts(ended, attack_done, len(in_play), [m.id for m in defenses]))

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
            masks = [registry.unpack_bits(s.produced, len(self._batches[batch].ids)) for s in sources]
            digests = [(batch, dealt.digest) for dealt in mix([s.digest for s in sources], masks)]
            found += [index_of[digest] for digest in digests if digest in index_of]
        return np.array(sorted(found), np.int64)

    def _dealt_back(self, verdicts: NDArray[np.uint8], done: NDArray[np.bool_],
                    in_play: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Verdicts on mixed inputs, given back to the inputs that the images came from."""
        by_source, source_done = np.zeros_like(verdicts), np.zeros_like(done)
        missing = np.zeros_like(done)
        for index in in_play.tolist():
            parts = np.frombuffer(self._inputs[int(self._ids[index])].parts or b"", np.int32)
            at = np.flatnonzero(parts)
            sources = self._index(parts[at].astype(np.int64))
            by_source[sources, at] = verdicts[index, at]
            source_done[sources] = True
            if not done[index]:
                missing[sources] = True
        return by_source, source_done & ~missing

    def _counts(self, ended: dict[int, _Ended], attack_done: NDArray[np.bool_], in_play: int,
                defenses: Sequence[int]) -> RunCounts:
        attacks, batches = attack_done.shape
        unknown = int(np.count_nonzero(~attack_done))
        if self._mixed:
            unknown = int((~attack_done).any(axis=0).sum()) * (attacks + 1)
        total = attacks * batches + len(defenses) * (in_play + unknown)
        done = int(attack_done.sum()) + sum(len(ended[defense].input_ids) for defense in defenses)
        return RunCounts(done=done, total=total, failed=sum(e.failed for e in ended.values()))

    def _rows(self, members: Sequence[SubmissionRow]) -> _Rows:
        conditions = {m.id: round_state.conditions_of(self._row, m, isolation=self._isolation) for m in members}
        counts_for = np.full(max(conditions, default=0) + 1, _NONE, np.int64)
        counts_for[list(conditions)] = list(conditions.values())
        connection = self._session.connection()
        # Room for every run there is; what is not filled never becomes memory.
        verdicts = np.zeros((round_state.next_ids(connection)[0], self._width), np.uint8)
        names: dict[str, int] = {}
        parts, filled = [_NO_ROWS], 0
        for chunk in round_state.result_chunks(connection, set(conditions.values())):
            # Only rows that belong to the round.
            known = np.append(counts_for, _NONE)[np.minimum(chunk.submission_ids, len(counts_for))]
            keep = np.flatnonzero((known == chunk.conditions_ids) & np.isin(chunk.input_ids, self._ids))
            for outcome in dict.fromkeys(chunk.outcomes):
                names.setdefault(outcome, len(names))
            outcomes = np.fromiter(map(names.__getitem__, chunk.outcomes), np.int64, len(chunk.outcomes))
            self._fill(verdicts[filled: filled + len(keep)], chunk, keep)
            filled += len(keep)
            parts.append((chunk.submission_ids[keep], chunk.input_ids[keep], chunk.output_ids[keep], chunk.usable[keep],
                          chunk.wall_s[keep], outcomes[keep]))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        submission_ids, input_ids, output_ids, usable, wall_s, found = (column[order] for column in columns)
        return _Rows(submission_ids, input_ids, output_ids, usable, wall_s, found, order, verdicts, tuple(names))

    def _fill(self, verdicts: NDArray[np.uint8], chunk: round_state.ResultChunk, keep: NDArray[np.int64]) -> None:
        """Turn the labels of the rows ``keep`` into ``verdicts``, uint8 [rows, widest batch]."""
        starts, counts = (np.cumsum(chunk.counts) - chunk.counts)[keep], chunk.counts[keep]
        batches = self._batch_of[self._index(chunk.input_ids[keep])]
        for count in np.unique(counts[counts > 0]).tolist():
            at = np.flatnonzero(counts == count)
            given = np.lib.stride_tricks.sliding_window_view(chunk.labels, count)[starts[at]]
            truth, target = (side[:, :count][batches[at]] for side in (self._truth, self._target))
            verdicts[at, :count] = codes_from_labels(given, truth, target)

    def _index(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of input ids among all inputs of the round (0 for an id of 0, which callers mask)."""
        return np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)

    def _produced(self) -> NDArray[np.bool_]:
        """bool [inputs, widest batch]."""  # noqa: D403 - a dtype
        masks = [registry.unpack_bits(self._inputs[int(i)].produced, len(self._batches[b].ids))
                 for i, b in zip(self._ids, self._batch_of, strict=True)]
        return self._padded(masks)

    def _clean_inputs(self) -> NDArray[np.int64]:
        by_batch = {self._position[i.batch_id]: i.id for i in self._inputs.values() if i.kind == "clean"}
        return self._index(np.array([by_batch[b] for b in range(len(self._batches))], np.int64))

    def _verdicts(self, runs: _Ended, all_verdicts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Of one defense: uint8 [inputs, widest batch] verdicts, and which inputs it has a result for."""
        verdicts = np.zeros((len(self._ids), self._width), np.uint8)
        done = np.zeros(len(self._ids), bool)
        where = self._index(runs.input_ids)
        done[where] = True
        verdicts[where] = all_verdicts[runs.at]
        return verdicts, done

    def _padded(self, rows: Sequence[NDArray[S]], fill: int = 0) -> NDArray[S]:
        """Rows of up to the widest batch as one array."""
        if all(len(r) == self._width for r in rows):
            return np.stack(rows)
        padded = np.full((len(rows), self._width), fill, rows[0].dtype)
        for target, source in zip(padded, rows, strict=True):
            target[: len(source)] = source
        return padded

    def _images(self, by_batch: NDArray[S]) -> NDArray[S]:
        """[entries, batches, widest batch] as [entries, images]: the padding of a short batch is cut out."""
        keep = np.concatenate([np.arange(self._width) < len(b.ids) for b in self._batches])
        return by_batch.reshape(len(by_batch), -1)[:, keep]


def _entry(member: SubmissionRow, runs: _Ended, mark: str) -> Entry:
    return Entry(name=member.name, team=member.team, type=cast("Track", member.type), baseline=member.baseline, order=member.id,
                 digest=member.digest, median_time_s=runs.median_s, outcomes=runs.outcomes, mark=mark)


def rules_of(row: RoundRow) -> Rules:
    """The rules a round was made with."""
    return Rules.model_validate(json.loads(row.rules))


def batches_of(row: RoundRow, dataset: Dataset) -> tuple[Batch, ...]:
    """The batches of a round."""
    rules = rules_of(row)
    return dataset.batches(rules.batch_size, rules.max_epsilon)
