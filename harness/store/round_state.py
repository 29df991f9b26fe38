"""What the store knows of a round, as arrays: results to put on a board, and the state of what has none yet.

Reads the 891,000 defense runs of a 2017-size final as one integer array each, never as objects.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, insert, or_, select, text, update

from harness.store.facade import Transaction
from harness.store.models import SOUND, AttemptRow, CounterRow, DuelRow, InputRow, RunRow, ScoreRow
from harness.store.recorder import NewInput, PlayedDuel
from harness.store.values import DONE, DUEL, TASK, StoredBatch, StoredInput, value_of

Rows = NDArray[np.int64]

#: The kind of the inputs that detectors are run on.
HALF = "half"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run gave: its outcome, the input that it made (0 for none) and its answers as they are stored."""

    outcome: str
    output_id: int
    answers: bytes


def inputs_of(transaction: Transaction, batches: Sequence[StoredBatch]) -> dict[int, StoredInput]:
    """Every input of these batches by id."""
    ids = {batch.id for batch in batches}
    rows = transaction.connection.execute(select(InputRow.id, InputRow.batch_id, InputRow.kind, InputRow.digest,
                                                 InputRow.produced, InputRow.parts, InputRow.changed)).all()
    return {row[0]: StoredInput(*row) for row in rows if row[1] in ids}


def input_ids(transaction: Transaction, batches: Sequence[StoredBatch]) -> frozenset[int]:
    """The ids of these batches' inputs."""
    return frozenset(transaction.connection.scalars(
        select(InputRow.id).where(InputRow.batch_id.in_([batch.id for batch in batches]))))


def digest_of(transaction: Transaction, input_id: int) -> str | None:
    """The digest of an input's pixels; None where there is no such input."""
    return transaction.connection.scalar(select(InputRow.digest).where(InputRow.id == input_id))


def digests_of_tasks(transaction: Transaction, batches: Sequence[StoredBatch]) -> dict[int, dict[str, dict[str, int]]]:
    """By batch id, kind and digest: the ids of these batches as attacks are given them, in duels or against all."""
    found: dict[int, dict[str, dict[str, int]]] = {batch.id: {} for batch in batches}
    rows = transaction.connection.execute(select(InputRow.batch_id, InputRow.kind, InputRow.digest, InputRow.id).where(
        or_(InputRow.kind.startswith(TASK), InputRow.kind.startswith(DUEL))))
    for batch, kind, digest, given in rows:
        if batch in found:
            found[batch].setdefault(kind, {})[digest] = given
    return found


def half_of(parts: bytes | None) -> int:
    """What an attack made, of which an input with these parts is a half, by id."""
    return int(np.abs(np.frombuffer(parts or b"", np.int32)).max(initial=0))


def halves_of(transaction: Transaction, batches: Iterable[int] | None = None) -> dict[int, int]:
    """Every half (of some batches, by id) and what the attack made of which it is one, by id."""
    query = select(InputRow.id, InputRow.batch_id, InputRow.parts).where(InputRow.kind == HALF)
    wanted = None if batches is None else set(batches)
    return {half: half_of(parts) for half, batch, parts in transaction.connection.execute(query)
            if wanted is None or batch in wanted}


def keep_changed(transaction: Transaction, changed: Mapping[int, bytes]) -> None:
    """Keep which images differ from the clean ones, by input id."""
    for made, bits in changed.items():
        transaction.connection.execute(update(InputRow).where(InputRow.id == made).values(changed=bits))


def add_inputs(transaction: Transaction, inputs: Sequence[NewInput]) -> None:
    """Rows for inputs that no run made."""
    if inputs:
        transaction.connection.execute(insert(InputRow), [asdict(new) for new in inputs])


def done_runs(transaction: Transaction, submissions: Sequence[tuple[int, int]]) -> Rows:
    """Runs that have a result.

    Args:
        transaction: To read in.
        submissions: (submission id, conditions id) pairs.

    Returns:
        int64 [runs, 5]: submission id, input id, output id (0 where none), run id, attempt.
    """
    return _integers(transaction, submissions, "submission_id, input_id, coalesce(output_id, 0), id, attempt", 5)


def done_pairs(transaction: Transaction, submissions: Sequence[tuple[int, int]]) -> Rows:
    """Submission id and input id of runs that have a result: int64 [runs, 2].

    At contest size this is asked for 891,000 rows. Each such run is in the index ``run_key``, so the table with its labels
    is not read; the few rows without a result are known from their own index and taken out.
    """
    rows = _integers(transaction, submissions, "submission_id, input_id", 2, covered=True)
    asked = set(submissions)
    unfinished = np.array([(s, i) for s, i, c in unfinished_runs(transaction) if (s, c) in asked], np.int64).reshape(-1, 2)
    if len(unfinished) and len(rows):
        width = int(max(rows[:, 1].max(), unfinished[:, 1].max())) + 1
        rows = rows[~np.isin(rows @ (width, 1), unfinished @ (width, 1))]
    return rows


def _integers(transaction: Transaction, submissions: Sequence[tuple[int, int]], columns: str, width: int, *,
              covered: bool = False) -> Rows:
    """Integer columns of the runs of (submission id, conditions id) pairs, read without an object for each row."""
    where = "" if covered else "AND state = 2"
    query = f"SELECT {columns} FROM run WHERE submission_id = ? AND conditions_id = ? {where}"  # noqa: S608 - our own columns
    parts = []
    for pair in submissions:
        found = transaction.connection.exec_driver_sql(query, pair)
        rows: Iterable[tuple[int, ...]] = found.cursor.fetchall() if found.cursor is not None else ()
        parts.append(np.fromiter(itertools.chain.from_iterable(rows), np.int64))
        found.close()
    return np.concatenate([np.zeros(0, np.int64), *parts]).reshape(-1, width)


#: One row for a whole range of runs: a Python object for each of 904,600 rows takes longer than all that follows. The text that
#: SQLite makes of a blob is its bytes, which the outer CAST gives back.
_RECORDS = """SELECT count(*), CAST(group_concat(record, '') AS BLOB) FROM score
WHERE run_id BETWEEN :first AND :last AND length(record) = :size"""


def score_records(transaction: Transaction, size: int, step: int = 50_000) -> Iterator[bytes]:
    """The score records of ``size`` bytes of all runs of all rounds, one after the other, in the order of their runs."""
    last = transaction.connection.scalar(select(func.max(ScoreRow.run_id))) or 0
    for first in range(0, last + 1, step):
        asked = {"first": first, "last": first + step - 1, "size": size}
        count, records = transaction.connection.exec_driver_sql(_RECORDS, asked).one()
        if count * size != len(records or b""):
            raise _misjoined(count, size, records)
        if records:
            yield records


def labels_of(transaction: Transaction, run_ids: Sequence[int]) -> dict[int, NDArray[np.int16]]:
    """Labels by run id, int16 [n] each, of those of the runs that have any."""
    found: dict[int, NDArray[np.int16]] = {}
    for start in range(0, len(run_ids), 500):
        some = select(RunRow.id, RunRow.labels).where(RunRow.id.in_(run_ids[start: start + 500]), RunRow.labels.is_not(None), SOUND)
        found |= {run: np.frombuffer(labels or b"", np.int16) for run, labels in transaction.connection.execute(some)}
    return found


def query_duels(transaction: Transaction, run_ids: Sequence[int]) -> dict[int, PlayedDuel]:
    """The results of duels by queries, by run id."""
    found = {}
    for start in range(0, len(run_ids), 500):
        for row in transaction.session.scalars(select(DuelRow).where(DuelRow.run_id.in_(run_ids[start: start + 500]))):
            found[row.run_id] = value_of(PlayedDuel, row)
    return found


#: Joined as score records are, with the runs in the same order. By run, and so in the order in which the rows lie: asked for by
#: submission, the answers of 20 detectors in a 2017-size final, 130 MB, take seven times as long.
_ANSWERS = """SELECT count(*), CAST(group_concat(run.labels, '') AS BLOB), group_concat(run.id)
FROM json_each(:runs) CROSS JOIN run ON run.id = json_each.value WHERE length(run.labels) = :size"""


def answers_of(transaction: Transaction, runs: Sequence[int], size: int,
               step: int = 20_000) -> Iterator[tuple[NDArray[np.int64], bytes]]:
    """What runs (ascending) answered, of those whose answers have ``size`` bytes: ids, int64 [n], and their answers in one."""
    for start in range(0, len(runs), step):
        asked = {"runs": json.dumps(runs[start: start + step]), "size": size}
        count, answers, found = transaction.connection.exec_driver_sql(_ANSWERS, asked).one()
        if count * size != len(answers or b""):
            raise _misjoined(count, size, answers)
        if answers:
            yield np.array(found.split(","), np.int64), answers


def _misjoined(count: int, size: int, joined: bytes | None) -> RuntimeError:
    return RuntimeError(f"SQLite {sqlite3.sqlite_version} joined {count} blobs of {size} bytes to {len(joined or b'')}")


def unfinished_runs(transaction: Transaction) -> dict[tuple[int, int, int], tuple[int, int]]:
    """(submission, input, conditions) to (run id, attempt), of every run that has begun and has no result."""
    rows = transaction.connection.execute(
        select(RunRow.submission_id, RunRow.input_id, RunRow.conditions_id, RunRow.id, RunRow.attempt)
        .where(text("state <> 2")))  # literally, or SQLite does not take the partial index
    return {(s, i, c): (run, attempt) for s, i, c, run, attempt in rows}


def suspects(transaction: Transaction, outcome: str) -> frozenset[int]:
    """Submissions that have a run without a result of which an attempt ended so, other than by what its node alone lacked."""
    rows = transaction.connection.execute(select(RunRow.submission_id).distinct().join(AttemptRow, AttemptRow.run_id == RunRow.id)
                              .where(text("state <> 2"), AttemptRow.outcome == outcome,
                                     func.json_extract(AttemptRow.evidence, "$.node_lost").is_(None),
                                     func.json_extract(AttemptRow.evidence, "$.image_elsewhere").is_(None)))
    return frozenset(submission for submission, in rows)


def next_ids(transaction: Transaction) -> tuple[int, int]:
    """The next free ids of runs and of inputs."""
    run = transaction.connection.scalar(select(func.max(RunRow.id))) or 0
    # Logs are kept by run id: the id of a run that was dropped on purpose is not given to another.
    run = max(run, transaction.connection.scalar(select(CounterRow.value).where(CounterRow.name == "last_run")) or 0)
    made = transaction.connection.scalar(select(func.max(InputRow.id))) or 0
    return run + 1, made + 1


def median_times(transaction: Transaction, submission_ids: Sequence[int]) -> dict[int, float]:
    """Median wall clock of a run by submission, seconds, over the newest results (of any round and conditions).

    The newest runs are found in the index alone: sorting a defense's 8,150 rows themselves would read them all.
    """
    newest = select(RunRow.id).where(RunRow.submission_id == bindparam("submission")).order_by(RunRow.id.desc()).limit(101)
    query = select(RunRow.wall_s).where(RunRow.id.in_(newest), RunRow.state == DONE, RunRow.wall_s.is_not(None))
    found: dict[int, float] = {}
    for submission_id in submission_ids:
        times = transaction.connection.scalars(query, {"submission": submission_id}).all()
        if times:
            found[submission_id] = float(np.median(np.array(times, np.float64)))
    return found


def answers(transaction: Transaction, conditions_id: int,
            only: Iterable[int] | None = None) -> dict[tuple[int, int], Answer]:
    """(submission, input) to what a run answered, under some conditions; of some inputs only where they are given."""
    query = select(RunRow.submission_id, RunRow.input_id, RunRow.outcome, RunRow.output_id, RunRow.labels).where(
        RunRow.conditions_id == conditions_id, RunRow.state == DONE, SOUND)
    if only is not None:
        query = query.where(RunRow.input_id.in_(list(only)))
    return {(s, i): Answer(str(outcome), output or 0, labels or b"")
            for s, i, outcome, output, labels in transaction.connection.execute(query)}
