"""The score records of a round: its inputs, each with a place of its own, and what members' runs on them came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules
from harness.dataset.load import Dataset
from harness.sandbox.outcomes import NUMBERS
from harness.scoring import Entry, Layout
from harness.scoring.records import comparison, record_type, row_bytes, verdict_planes, whole
from harness.scoring.verdicts import rejections_as_labels
from harness.store import round_state, rounds
from harness.store.damage import damaged
from harness.store.facade import Transaction
from harness.store.rounds import unpack_bits
from harness.store.values import StoredRound, StoredSubmission
from harness.tournament.hardware import Hardware, Times
from harness.tracks import Access, Threat, detects, labels

S = TypeVar("S", bound=np.generic)

#: The place of an input that is not there.
NONE = -1


@dataclass(frozen=True)
class Ended:
    """What ended runs of one submission have in common."""

    runs: int
    failed: int
    median_s: float | None
    outcomes: dict[str, int]
    times: Times


class RoundRecords:
    """The inputs of a round, I in all, and the score records of its members on them.

    Attributes:
        transaction: In which all is read.
        row: The round's.
        dataset: The round's.
        rules: Those that the round was made with.
        batches: Of the data set.
        width: Images of the widest batch.
        layout: Of verdicts, from end to end.
        rows: The stored batches.
        inputs: By id.
        position: Of a stored batch in the round, by id.
        ids: int64 [I], ascending; an input's place among them is what others name it by.
        batch_of: int64 [I], the position of its batch.
    """

    def __init__(self, transaction: Transaction, row: StoredRound, members: Sequence[StoredSubmission], dataset: Dataset,
                 isolation: str) -> None:
        self.transaction = transaction
        self.row = row
        self.dataset = dataset
        self.rules = Rules.stored(row.rules)
        self.batches = dataset.batches(self.rules.batch_size, self.rules.bounds)
        self.width = max(len(batch.ids) for batch in self.batches)
        self.layout = Layout.of_batches([len(batch.ids) for batch in self.batches], row_bytes(self.width))
        self.rows = rounds.batches(transaction, row.id)
        self.position = {stored.id: position for position, stored in enumerate(self.rows)}
        self.inputs = round_state.inputs_of(transaction, self.rows)
        self.ids = np.array(sorted(self.inputs), np.int64)
        self._place = np.zeros(int(self.ids[-1]) + 2, np.int64)
        self._place[self.ids] = np.arange(len(self.ids))
        self.batch_of = np.array([self.position[self.inputs[int(i)].batch_id] for i in self.ids], np.int64)
        # What 0.1.0 compared says nothing of rejections, and is as good where there are none.
        self._compared_with = np.array([[comparison(batch.labels, batch.targets, rejections=rejections) for batch in self.batches]
                                        for rejections in ((True, False) if self.rules.rejection is None else (True,))], np.uint64)
        self._hardware = Hardware.read(transaction)
        self._records = self._read(members, isolation)
        # Of two bytes where they fit, which are sorted several times as quickly.
        ids = self._records["submission_id"]
        ids = ids.astype(np.uint16) if len(ids) and ids.max() <= np.iinfo(np.uint16).max else ids
        self._order = np.argsort(ids, kind="stable")
        self._ends = np.append(0, np.cumsum(np.bincount(ids)))

    def of(self, submission_id: int) -> NDArray[Any]:
        """One submission's records, a copy."""
        first, last = self._ends[np.minimum([submission_id, submission_id + 1], len(self._ends) - 1)]
        mine: NDArray[Any] = self._records[self._order[first:last]]
        return mine

    def ended(self, records: NDArray[Any]) -> Ended:
        """What the runs behind some records of one submission have in common."""
        counts = np.bincount(records["outcome"], minlength=max(NUMBERS.values()) + 1)
        return Ended(len(records), int(np.count_nonzero(records["usable"] == 0)),
                     float(np.median(records["wall_s"])) if len(records) else None,
                     {name.value: int(counts[number]) for name, number in NUMBERS.items() if counts[number]},
                     self._hardware.times(records["run_id"], records["wall_s"]))

    def index(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Places of inputs by id (0 for an id of 0 and of another round, which callers mask)."""
        place: NDArray[np.int64] = self._place[np.minimum(ids, len(self._place) - 1)]
        return place

    def produced(self) -> NDArray[np.bool_]:
        """Which images an input has: bool [I, widest batch]."""
        masks = [unpack_bits(self.inputs[int(i)].produced, len(self.batches[b].ids))
                 for i, b in zip(self.ids, self.batch_of, strict=True)]
        return self._padded(masks)

    def clean_inputs(self) -> NDArray[np.int64]:
        """Places of the clean images of each batch."""
        by_batch = {self.position[i.batch_id]: i.id for i in self.inputs.values() if i.kind == "clean"}
        return self.index(np.array([by_batch[b] for b in range(len(self.batches))], np.int64))

    def verdicts(self, runs: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Of one defense: uint8 [I + 1, 3, row bytes] verdicts, the last of nothing, and which inputs it has a result for."""
        verdicts = np.zeros((len(self.ids) + 1, 3, row_bytes(self.width)), np.uint8)
        done = np.zeros(len(self.ids) + 1, bool)
        where = self.index(runs["input_id"])
        done[where] = True
        verdicts[where] = runs["planes"]
        if self.rules.rejection is None:
            rejections_as_labels(np.moveaxis(verdicts, 1, 0))
        return verdicts, done

    def in_rows(self, verdicts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [entries, batches, 3, row bytes] as rows of the layout, uint8 [3, entries, width]."""
        rows = np.zeros((3, len(verdicts), self.layout.width), np.uint8)
        used = verdicts.shape[1] * verdicts.shape[-1]
        rows[..., :used] = np.moveaxis(verdicts, 2, 0).reshape(3, len(verdicts), used)
        return rows

    def images(self, by_batch: NDArray[S]) -> NDArray[S]:
        """[entries, batches, widest batch] as [entries, images]: the padding of a short batch is cut out."""
        keep = np.concatenate([np.arange(self.width) < len(b.ids) for b in self.batches])
        return by_batch.reshape(len(by_batch), len(keep))[:, keep]

    def _known(self, ids: NDArray[Any]) -> NDArray[np.bool_]:
        """Which input ids are of this round."""
        known: NDArray[np.bool_] = self.ids[self.index(ids)] == ids
        return known

    def _padded(self, rows: Sequence[NDArray[S]]) -> NDArray[S]:
        """Rows of up to the widest batch as one array."""
        if all(len(r) == self.width for r in rows):
            return np.stack(rows)
        padded = np.zeros((len(rows), self.width), rows[0].dtype)
        for target, source in zip(padded, rows, strict=True):
            target[: len(source)] = source
        return padded

    def _compare_again(self, runs: NDArray[Any], batches: NDArray[np.int64], stale: NDArray[np.intp]) -> None:
        """Recompute these verdicts: true labels or target classes changed."""
        answers = round_state.labels_of(self.transaction, runs["run_id"][stale].tolist())
        answered = np.array([at for at in stale.tolist() if int(runs["run_id"][at]) in answers], np.int64)
        for number in np.unique(batches[answered]).tolist():
            at = answered[batches[answered] == number]
            batch = self.batches[number]
            given = np.stack([answers[run] for run in runs["run_id"][at].tolist()])
            planes = verdict_planes(given, batch.labels, batch.targets)
            runs["planes"][at, :, :planes.shape[-1]] = planes

    def _read(self, members: Sequence[StoredSubmission], isolation: str) -> NDArray[Any]:
        conditions = {m.id: self.row.conditions_of(m, isolation=isolation) for m in members}
        counts_for = np.full(max(conditions, default=0) + 2, NONE, np.int64)
        counts_for[list(conditions)] = list(conditions.values())
        widest = record_type(self.width)
        # Room for every run there is; what is not filled never becomes memory.
        records, filled = np.empty(round_state.next_ids(self.transaction)[0], widest), 0
        for kind in {record_type(len(batch.ids)) for batch in self.batches}:
            for data in round_state.score_records(self.transaction, kind.itemsize):
                found = np.frombuffer(data, kind)
                # Only records that belong to the round.
                known = counts_for[np.minimum(found["submission_id"], len(counts_for) - 1)]
                keep = (known == found["conditions_id"]) & self._known(found["input_id"]) & whole(found)
                found = found if keep.all() else found[keep]
                records[filled: filled + len(found)] = found if kind == widest else _widened(found, widest)
                filled += len(found)
        return self._as_of_today(records[:filled], members)

    def _as_of_today(self, records: NDArray[Any], members: Sequence[StoredSubmission]) -> NDArray[Any]:
        """The records without those of damaged answers, of answers that are read beside them, and with today's verdicts."""
        batches = self.batch_of[self.index(records["input_id"])]
        # Their verdicts follow from other true labels or target classes than today's.
        stale = (records["compared_with"] != self._compared_with[:, batches]).all(axis=0)
        read = [member.id for member in members if detects(member.type) or member.access == Access.QUERY]
        beside = stale | np.isin(records["submission_id"], read) if read else stale
        if not beside.any():
            return records
        lost = damaged(self.transaction, records["run_id"][beside].tolist())
        stale &= np.isin(records["submission_id"], [member.id for member in members if labels(member.type)])
        self._compare_again(records, batches, np.flatnonzero(stale & ~np.isin(records["run_id"], lost)))
        return records[~np.isin(records["run_id"], lost)] if lost else records


def _widened(records: NDArray[Any], into: np.dtype[np.void]) -> NDArray[Any]:
    """Records of a smaller batch as those of a larger one."""
    wide = np.zeros(len(records), into)
    for name in into.names or ():
        if name != "planes":
            wide[name] = records[name]
    wide["planes"][..., :records["planes"].shape[-1]] = records["planes"]
    return wide


def entry_of(member: StoredSubmission, runs: Ended, mark: str, on: tuple[list[str], bool]) -> Entry:
    """A member as scoring has it, with times on the kinds of hardware of ``compared``."""
    kinds, comparable = on
    apart = {kind: runs.times[kind][1] if kind in runs.times else None for kind in kinds} if len(kinds) > 1 else {}
    median_s = runs.median_s if not apart else apart[kinds[0]] if comparable else None
    return Entry(name=member.name, team=member.team, type=member.type, baseline=member.baseline, order=member.id,
                 digest=member.digest, median_time_s=median_s, by_hardware=apart, outcomes=runs.outcomes, mark=mark,
                 threat=Threat(member.threat), access=Access(member.access))
