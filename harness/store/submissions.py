"""Submissions: who takes part, under which name, in which version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from harness.errors import SubmissionError, UnknownNameError
from harness.store import counters, owners
from harness.store.facade import Transaction
from harness.store.models import RoundRow, RoundSubmissionRow, SubmissionRow
from harness.store.values import Registered, StoredSubmission, value_of, values_of

if TYPE_CHECKING:
    from harness.submission.load import Submission


def register(transaction: Transaction, submission: Submission, *, source: str, own: bool = False,
             replace: bool = False) -> Registered:
    """Put a submission into the tournament, pinned by its digest.

    The same content under the same name is the same submission; new content under a known name is a new version and supersedes
    the one that took part. Content that took part under another name is new here: its row stays what rounds hold it as.
    Whether the name is the submission's to take is asked before (``owners.check``).

    Args:
        transaction: To write in.
        submission: Its code is frozen.
        source: Where it was read from.
        own: Whether the tournament file names it.
        replace: Whether known content gets the team that is said now.

    Raises:
        SubmissionError: The same content takes part under another name.
    """
    session = transaction.session
    row, change = _register(transaction, submission, source=source, replace=replace)
    if own or "team" in submission.said:
        owners.confirm(transaction, row.id)
    session.flush()
    return Registered(value_of(StoredSubmission, row), change)


def _register(transaction: Transaction, submission: Submission, *, source: str, replace: bool) -> tuple[SubmissionRow, str]:
    session = transaction.session
    name = owners.spelling(transaction, submission.name)
    rows = session.scalars(select(SubmissionRow).where(SubmissionRow.digest == submission.digest)).all()
    known = next((row for row in rows if row.name == name), None)
    if known is not None:
        _correct(transaction, known, submission, replace=replace)
    if known is not None and known.state == "active":
        return known, "same"
    if other := next((row for row in rows if row.state == "active"), None):
        raise SubmissionError(f"{source} has the same content as the submission {other.name}.",
                              "Change its content, or withdraw the other one.")
    latest = session.scalar(select(func.max(SubmissionRow.version)).where(SubmissionRow.name == name))
    _supersede(session, name)
    if known is not None:
        known.state = "active"
        return known, "back"
    row = SubmissionRow(
        name=name, version=(latest or 0) + 1, type=submission.type, team=submission.team or "",
        baseline=submission.baseline, digest=submission.digest, kind=submission.kind, container=submission.container,
        container_gpu=submission.container_gpu or "", entry_point=submission.entry_point or "", profile=submission.profile,
        serves=submission.serves, source=source, submitted_at=time.time(), threat=submission.threat,
        access=submission.access, base=submission.base, open_to=" ".join(submission.open_to))
    session.add(row)
    session.flush()
    return row, "version" if latest else "new"


def _correct(transaction: Transaction, row: SubmissionRow, submission: Submission, *, replace: bool) -> None:
    """Take over what the organiser says now of content that is known, and what an earlier version did not read of it."""
    row.access, row.base, row.open_to = submission.access, submission.base, " ".join(submission.open_to)
    team = (submission.team or "") if replace else row.team
    baseline = submission.baseline if "baseline" in submission.said else row.baseline
    if (team, baseline) != (row.team, row.baseline):
        row.team, row.baseline = team, baseline
        counters.results_changed(transaction)


def _supersede(session: Session, name: str) -> None:
    session.execute(update(SubmissionRow).where(SubmissionRow.name == name, SubmissionRow.state == "active")
                    .values(state="superseded"))


def withdraw(transaction: Transaction, name: str, round_name: str) -> StoredSubmission:
    """Take a submission out of the tournament; its results stay, for rounds that hold it and for its return.

    It leaves the round of that name at once: who withdraws an entry wants it off the leaderboard now, not after the next run.

    Raises:
        UnknownNameError: No submission of that name takes part.
    """
    session = transaction.session
    row = _find(transaction, name)
    if row.state != "active":
        raise UnknownNameError(f"{row.name} does not take part any more.", "`harness submissions --all` lists every version.")
    row.state = "withdrawn"
    known = select(RoundRow.id).where(RoundRow.name == round_name)
    session.execute(delete(RoundSubmissionRow).where(RoundSubmissionRow.round_id.in_(known),
                                                     RoundSubmissionRow.submission_id == row.id))
    session.flush()
    return value_of(StoredSubmission, row)


def active(transaction: Transaction) -> list[StoredSubmission]:
    """The submissions that take part, in order of submission."""
    return values_of(StoredSubmission, transaction.session.scalars(
        select(SubmissionRow).where(SubmissionRow.state == "active").order_by(SubmissionRow.id)))


def every(transaction: Transaction) -> list[StoredSubmission]:
    """Every version of every submission, in order of submission."""
    return values_of(StoredSubmission, transaction.session.scalars(select(SubmissionRow).order_by(SubmissionRow.id)))


def images(transaction: Transaction) -> frozenset[str]:
    """The images that are submissions, whether they take part or not."""
    return frozenset(transaction.session.scalars(select(SubmissionRow.container).where(SubmissionRow.kind == "image")))


def find(transaction: Transaction, name: str) -> StoredSubmission:
    """The version of a submission that takes part, else its newest one, by name in any case.

    Raises:
        UnknownNameError: No submission has that name.
    """
    return value_of(StoredSubmission, _find(transaction, name))


def _find(transaction: Transaction, name: str) -> SubmissionRow:
    # An old version that was put back takes part although a later one is known.
    row = transaction.session.scalars(
        select(SubmissionRow).where(SubmissionRow.name == owners.spelling(transaction, name))
        .order_by((SubmissionRow.state == "active").desc(), SubmissionRow.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise UnknownNameError(f"There is no submission {name!r}.", "`harness submissions` lists them.")
    return row
