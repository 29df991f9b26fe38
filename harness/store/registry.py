"""Submissions, batches, conditions and rounds: what a tournament is made of, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.errors import UnknownNameError
from harness.store import owners
from harness.store.facade import Transaction
from harness.store.models import (
    BatchRow,
    ConditionsRow,
    RoundBatchRow,
    RoundRow,
    RoundSubmissionRow,
    SubmissionRow,
)


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
