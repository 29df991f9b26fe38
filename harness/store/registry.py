"""Submissions, batches, conditions and rounds: what a tournament is made of, as rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from harness.dataset import Batch
from harness.errors import DatasetError, SubmissionError, UnknownNameError
from harness.store import owners
from harness.store.facade import Transaction
from harness.store.models import (
    BatchRow,
    ConditionsRow,
    CounterRow,
    InputRow,
    RoundBatchRow,
    RoundRow,
    RoundSubmissionRow,
    SubmissionRow,
)
from harness.submission import Submission


@dataclass(frozen=True)
class Registered:
    """A submission's row, and what ``register`` did.

    Attributes:
        change: ``new``; ``same``, its content takes part under this name already; ``version``, a new version of the name; ``back``,
            content that was superseded or withdrawn takes part again, and its results count again.
    """

    row: SubmissionRow
    change: str


def register(session: Session, submission: Submission, *, source: str, replace: bool = False) -> Registered:
    """Put a submission into the tournament, pinned by its digest.

    The same content under the same name is the same submission; new content under a known name is a new version and supersedes
    the one that took part. Content that took part under another name is new here: its row stays what rounds hold it as.
    Whether the name is the submission's to take is asked before (``owners.check``).

    Args:
        session: Of the tournament's database.
        submission: Its code is frozen.
        source: Where it was read from.
        replace: Whether known content gets the team that is said now.

    Raises:
        SubmissionError: The same content takes part under another name.
    """
    name = owners.spelling(Transaction(session), submission.name)
    rows = session.scalars(select(SubmissionRow).where(SubmissionRow.digest == submission.digest)).all()
    known = next((row for row in rows if row.name == name), None)
    if known is not None:
        _correct(session, known, submission, replace=replace)
    if known is not None and known.state == "active":
        return Registered(known, "same")
    if other := next((row for row in rows if row.state == "active"), None):
        raise SubmissionError(f"{source} has the same content as the submission {other.name}.",
                              "Change its content, or withdraw the other one.")
    latest = session.scalar(select(func.max(SubmissionRow.version)).where(SubmissionRow.name == name))
    _supersede(session, name)
    if known is not None:
        known.state = "active"
        return Registered(known, "back")
    row = SubmissionRow(
        name=name, version=(latest or 0) + 1, type=submission.type, team=submission.team or "",
        baseline=submission.baseline, digest=submission.digest, kind=submission.kind, container=submission.container,
        container_gpu=submission.container_gpu or "", entry_point=submission.entry_point or "", profile=submission.profile,
        serves=submission.serves, source=source, submitted_at=time.time())
    session.add(row)
    session.flush()
    return Registered(row, "version" if latest else "new")


def _correct(session: Session, row: SubmissionRow, submission: Submission, *, replace: bool) -> None:
    """Take over what the organiser says now of content that is known."""
    team = (submission.team or "") if replace else row.team
    baseline = submission.baseline if "baseline" in submission.said else row.baseline
    if (team, baseline) != (row.team, row.baseline):
        row.team, row.baseline = team, baseline
        session.execute(update(CounterRow).where(CounterRow.name == "results").values(value=CounterRow.value + 1))


def _supersede(session: Session, name: str) -> None:
    session.execute(update(SubmissionRow).where(SubmissionRow.name == name, SubmissionRow.state == "active")
                    .values(state="superseded"))


def withdraw(session: Session, name: str, round_name: str) -> SubmissionRow:
    """Take a submission out of the tournament; its results stay, for rounds that hold it and for its return.

    It leaves the round of that name at once: who withdraws an entry wants it off the leaderboard now, not after the next run.

    Raises:
        UnknownNameError: No submission of that name takes part.
    """
    row = find(session, name)
    if row.state != "active":
        raise UnknownNameError(f"{row.name} does not take part any more.", "`harness submissions --all` lists every version.")
    row.state = "withdrawn"
    known = round_named(session, round_name)
    if known is not None:
        session.execute(delete(RoundSubmissionRow).where(RoundSubmissionRow.round_id == known.id,
                                                         RoundSubmissionRow.submission_id == row.id))
    return row


def active(session: Session) -> list[SubmissionRow]:
    """The submissions that take part, in order of submission."""
    return list(session.scalars(select(SubmissionRow).where(SubmissionRow.state == "active").order_by(SubmissionRow.id)))


def find(session: Session, name: str) -> SubmissionRow:
    """The version of a submission that takes part, else its newest one, by name in any case.

    Raises:
        UnknownNameError: No submission has that name.
    """
    # An old version that was put back takes part although a later one is known.
    row = session.scalars(select(SubmissionRow).where(SubmissionRow.name == owners.spelling(Transaction(session), name))
                          .order_by((SubmissionRow.state == "active").desc(), SubmissionRow.version.desc())
                          .limit(1)).one_or_none()
    if row is None:
        raise UnknownNameError(f"There is no submission {name!r}.", "`harness submissions` lists them.")
    return row


def pack_bits(produced: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bytes:
    """Flags, bool [n], as bytes, most significant bit first."""
    return np.packbits(produced).tobytes()


def unpack_bits(data: bytes, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The inverse of ``pack_bits``."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count).astype(bool)


def ensure_batches(session: Session, batches: Sequence[Batch], dataset_digest: str,
                   pixel_digest: Callable[[Batch], str]) -> list[BatchRow]:
    """The rows of these batches with their ``task`` and ``clean`` inputs, made where absent.

    ``pixel_digest`` gives a batch's clean pixels the digest that an attack which changes nothing would get: then the two are
    one input and share predictions.

    Raises:
        DatasetError: Two are the same, which would be one run and one result for both.
    """
    first: dict[str, int] = {}
    for batch in batches:
        if first.setdefault(batch.task_digest, batch.index) != batch.index:
            raise DatasetError(f"Batches {first[batch.task_digest]} and {batch.index} have the same images, targets and epsilon.",
                               "Take the copies out of the data set, or change rules.batch_size.")
    rows = []
    next_batch = (session.scalar(select(func.max(BatchRow.id))) or 0) + 1
    next_input = (session.scalar(select(func.max(InputRow.id))) or 0) + 1
    for batch in batches:
        row = session.scalars(select(BatchRow).where(BatchRow.task_digest == batch.task_digest)).one_or_none()
        if row is None:
            size = len(batch.ids)
            row = BatchRow(id=next_batch, task_digest=batch.task_digest, clean_digest=batch.clean_digest,
                           dataset_digest=dataset_digest, size=size, epsilon=batch.epsilon)
            session.add(row)
            session.flush()
            everything = pack_bits(np.ones(size, bool))
            for kind, digest in (("task", batch.task_digest), ("clean", pixel_digest(batch))):
                session.add(InputRow(id=next_input, batch_id=row.id, kind=kind, digest=digest, produced=everything))
                next_input += 1
            next_batch += 1
        rows.append(row)
    session.flush()
    return rows


def find_conditions(session: Session, conditions: Mapping[str, object]) -> int | None:
    """The id of these conditions, if anything was ever planned under them."""
    return session.scalars(select(ConditionsRow.id).where(ConditionsRow.text == _canonical(conditions))).one_or_none()


def ensure_conditions(session: Session, conditions: Mapping[str, object]) -> int:
    """The id of these conditions, made where there is none."""
    found = find_conditions(session, conditions)
    if found is not None:
        return found
    row = ConditionsRow(text=_canonical(conditions))
    session.add(row)
    session.flush()
    return row.id


def _canonical(conditions: Mapping[str, object]) -> str:
    return json.dumps(conditions, sort_keys=True)


def ensure_round(session: Session, name: str, tournament: str, dataset_digest: str, rules: str,
                 conditions: tuple[int, int], batches: Sequence[BatchRow],
                 submissions: Iterable[SubmissionRow], *, frozen: bool) -> RoundRow:
    """The round of this name with its members, and its batches in this order.

    A round that a person named keeps the members and rules it was made with (``frozen``); the default one follows the
    tournament file.
    """
    row = round_named(session, name)
    if row is not None and frozen:
        return row
    if row is None:
        row = RoundRow(name=name, tournament=tournament, dataset_digest=dataset_digest, rules=rules,
                       conditions_id=conditions[0], served_conditions_id=conditions[1], created_at=time.time())
        session.add(row)
        session.flush()
    row.dataset_digest, row.rules = dataset_digest, rules
    row.conditions_id, row.served_conditions_id = conditions
    if [held.id for held in round_batches(session, row.id)] != [batch.id for batch in batches]:
        session.execute(delete(RoundBatchRow).where(RoundBatchRow.round_id == row.id))
        session.add_all(RoundBatchRow(row.id, batch.id, position) for position, batch in enumerate(batches))
    _set_members(session, row.id, {submission.id for submission in submissions})
    session.flush()
    return row


def _set_members(session: Session, round_id: int, wanted: set[int]) -> None:
    present = {row.id for row in round_submissions(session, round_id)}
    session.execute(delete(RoundSubmissionRow).where(RoundSubmissionRow.round_id == round_id,
                                                     RoundSubmissionRow.submission_id.in_(present - wanted)))
    session.add_all(RoundSubmissionRow(round_id, submission) for submission in sorted(wanted - present))


def round_named(session: Session, name: str) -> RoundRow | None:
    """The round of this name, None where nobody has made it."""
    return session.scalars(select(RoundRow).where(RoundRow.name == name)).one_or_none()


def find_round(session: Session, name: str | None) -> RoundRow:
    """A round by name, or the newest one.

    Raises:
        UnknownNameError: There is none.
    """
    query = select(RoundRow).order_by(RoundRow.id.desc()).limit(1)
    row = session.scalars(query if name is None else query.where(RoundRow.name == name)).one_or_none()
    if row is None:
        what = "Nothing has been run yet." if name is None else f"There is no round {name!r}."
        raise UnknownNameError(what, "Run `harness run` first." if name is None else "`harness status` lists the rounds.")
    return row


def round_submissions(session: Session, round_id: int) -> list[SubmissionRow]:
    """The submissions of a round, in order of submission."""
    return list(session.scalars(
        select(SubmissionRow).join(RoundSubmissionRow, RoundSubmissionRow.submission_id == SubmissionRow.id)
        .where(RoundSubmissionRow.round_id == round_id).order_by(SubmissionRow.id)))


def round_batches(session: Session, round_id: int) -> list[BatchRow]:
    """The batches of a round in its own order: where one stands is its number in this round."""
    return list(session.scalars(
        select(BatchRow).join(RoundBatchRow, RoundBatchRow.batch_id == BatchRow.id)
        .where(RoundBatchRow.round_id == round_id).order_by(RoundBatchRow.position)))
