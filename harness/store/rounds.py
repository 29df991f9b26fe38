"""Rounds: their members, their batches and the conditions that their runs are recorded under."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from harness.errors import DatasetError, UnknownNameError
from harness.store.facade import Transaction
from harness.store.models import (
    BatchRow,
    ConditionsRow,
    InputRow,
    RoundBatchRow,
    RoundRow,
    RoundSubmissionRow,
    RunRow,
    SubmissionRow,
)
from harness.store.values import TASK, StoredBatch, StoredRound, StoredSubmission, task_kind, value_of, values_of

if TYPE_CHECKING:
    from harness.dataset.load import Batch


def pack_bits(produced: NDArray[np.bool_]) -> bytes:
    """Flags, bool [n], as bytes, most significant bit first."""
    return np.packbits(produced).tobytes()


def unpack_bits(data: bytes, count: int) -> NDArray[np.bool_]:
    """The inverse of ``pack_bits``."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count).astype(bool)


def ensure_batches(transaction: Transaction, batches: Sequence[Batch], dataset_digest: str,
                   pixel_digest: Callable[[Batch], str]) -> list[StoredBatch]:
    """The rows of these batches with their tasks and ``clean`` inputs, made where absent.

    ``pixel_digest`` gives a batch's clean pixels the digest that an attack which changes nothing would get: then the two are
    one input and share predictions.

    Raises:
        DatasetError: Two are the same, which would be one run and one result for both.
    """
    first: dict[str, int] = {}
    for batch in batches:
        if first.setdefault(batch.task_digest, batch.index) != batch.index:
            raise DatasetError(f"Batches {first[batch.task_digest]} and {batch.index} have the same images, targets and bound.",
                               "Remove the copies from the data set, or change rules.batch_size.")
    session = transaction.session
    rows = []
    tasks = {(row, kind) for row, kind in session.execute(
        select(InputRow.batch_id, InputRow.kind).where(InputRow.kind.startswith(TASK)))}
    next_batch = (session.scalar(select(func.max(BatchRow.id))) or 0) + 1
    next_input = (session.scalar(select(func.max(InputRow.id))) or 0) + 1
    for batch in batches:
        row = session.scalars(select(BatchRow).where(BatchRow.task_digest == batch.task_digest)).one_or_none()
        if row is None:
            size = len(batch.ids)
            row = BatchRow(id=next_batch, task_digest=batch.task_digest, clean_digest=batch.clean_digest,
                           dataset_digest=dataset_digest, size=size, epsilon=batch.bound)
            session.add(row)
            session.flush()
            next_batch += 1
            session.add(InputRow(id=next_input, batch_id=row.id, kind="clean", digest=pixel_digest(batch),
                                 produced=pack_bits(np.ones(size, bool))))
            next_input += 1
        for given in map(batch.under, batch.threats):
            kind = task_kind(given.threat, given.bound)
            if (row.id, kind) not in tasks:
                session.add(InputRow(id=next_input, batch_id=row.id, kind=kind, digest=given.task_digest,
                                     produced=pack_bits(np.ones(row.size, bool))))
                next_input += 1
        rows.append(row)
    session.flush()
    return values_of(StoredBatch, rows)


def find_conditions(transaction: Transaction, conditions: Mapping[str, object]) -> int | None:
    """The id of these conditions, if any run was ever planned under them."""
    return transaction.session.scalars(
        select(ConditionsRow.id).where(ConditionsRow.text == _canonical(conditions))).one_or_none()


def ensure_conditions(transaction: Transaction, conditions: Mapping[str, object]) -> int:
    """The id of these conditions, made where there is none."""
    found = find_conditions(transaction, conditions)
    if found is not None:
        return found
    row = ConditionsRow(text=_canonical(conditions))
    transaction.session.add(row)
    transaction.session.flush()
    return row.id


def conditions(transaction: Transaction, conditions_id: int) -> dict[str, Any]:
    """The conditions of an id."""
    found: dict[str, Any] = json.loads(transaction.session.get_one(ConditionsRow, conditions_id).text)
    return found


def used_conditions(transaction: Transaction) -> list[dict[str, Any]]:
    """All conditions that any run was recorded under."""
    used = select(RunRow.id).where(RunRow.conditions_id == ConditionsRow.id).exists()
    return [json.loads(text) for text in transaction.session.scalars(select(ConditionsRow.text).where(used))]


def _canonical(conditions: Mapping[str, object]) -> str:
    return json.dumps(conditions, sort_keys=True)


def ensure(transaction: Transaction, name: str, tournament: str, dataset_digest: str, rules: str,
           conditions: tuple[int, int], batches: Sequence[StoredBatch], submissions: Iterable[StoredSubmission]) -> StoredRound:
    """The round of this name with these members, and these batches in this order; made where there is none."""
    session = transaction.session
    row = _named(session, name)
    if row is None:
        row = RoundRow(name=name, tournament=tournament, dataset_digest=dataset_digest, rules=rules,
                       conditions_id=conditions[0], served_conditions_id=conditions[1], created_at=time.time())
        session.add(row)
        session.flush()
    row.dataset_digest, row.rules = dataset_digest, rules
    row.conditions_id, row.served_conditions_id = conditions
    if [held.id for held in _batches(session, row.id)] != [batch.id for batch in batches]:
        session.execute(delete(RoundBatchRow).where(RoundBatchRow.round_id == row.id))
        session.add_all(RoundBatchRow(row.id, batch.id, position) for position, batch in enumerate(batches))
    _set_members(session, row.id, {submission.id for submission in submissions})
    session.flush()
    return value_of(StoredRound, row)


def _set_members(session: Session, round_id: int, wanted: set[int]) -> None:
    present = {row.id for row in _members(session, round_id)}
    session.execute(delete(RoundSubmissionRow).where(RoundSubmissionRow.round_id == round_id,
                                                     RoundSubmissionRow.submission_id.in_(present - wanted)))
    session.add_all(RoundSubmissionRow(round_id, submission) for submission in sorted(wanted - present))


def named(transaction: Transaction, name: str) -> StoredRound | None:
    """The round of this name, None where it does not exist."""
    row = _named(transaction.session, name)
    return None if row is None else value_of(StoredRound, row)


def _named(session: Session, name: str) -> RoundRow | None:
    return session.scalars(select(RoundRow).where(RoundRow.name == name)).one_or_none()


def find(transaction: Transaction, name: str | None = None) -> StoredRound:
    """A round by name, or the newest one.

    Raises:
        UnknownNameError: There is none.
    """
    query = select(RoundRow).order_by(RoundRow.id.desc()).limit(1)
    row = transaction.session.scalars(query if name is None else query.where(RoundRow.name == name)).one_or_none()
    if row is None:
        what = "Nothing has been run yet." if name is None else f"There is no round {name!r}."
        raise UnknownNameError(what, "Run `harness run` first." if name is None else "`harness status` lists the rounds.")
    return value_of(StoredRound, row)


def names(transaction: Transaction) -> tuple[str, ...]:
    """The names of all rounds, the newest first."""
    return tuple(transaction.session.scalars(select(RoundRow.name).order_by(RoundRow.id.desc())))


def members(transaction: Transaction, round_id: int) -> list[StoredSubmission]:
    """The submissions of a round, in order of submission."""
    return values_of(StoredSubmission, _members(transaction.session, round_id))


def _members(session: Session, round_id: int) -> Sequence[SubmissionRow]:
    return session.scalars(
        select(SubmissionRow).join(RoundSubmissionRow, RoundSubmissionRow.submission_id == SubmissionRow.id)
        .where(RoundSubmissionRow.round_id == round_id).order_by(SubmissionRow.id)).all()


def batches(transaction: Transaction, round_id: int) -> list[StoredBatch]:
    """The batches of a round in its own order: a batch's position is its number in this round."""
    return values_of(StoredBatch, _batches(transaction.session, round_id))


def _batches(session: Session, round_id: int) -> Sequence[BatchRow]:
    return session.scalars(
        select(BatchRow).join(RoundBatchRow, RoundBatchRow.batch_id == BatchRow.id)
        .where(RoundBatchRow.round_id == round_id).order_by(RoundBatchRow.position)).all()
