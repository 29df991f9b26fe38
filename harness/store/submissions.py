"""Submissions: who takes part, under which name, in which version, and whose a name is.

A name is its team's and track's that registered it, as the newest version of the name has them. A name comes from strangers: a
file's name, an image's, a line of metadata. Whoever meets one that is taken is refused, unless the organiser says which team it is
(``--team``) or that it replaces what is there (``--replace``). What an archive or an image says of its own team is its author's
word: it is believed of a name that nobody else's word stands for. What the tournament file names is the organiser's own. Nothing
of this needs a column: the rows of the versions say it, and one counter remembers whose word it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from harness.errors import SubmissionError, UnknownNameError
from harness.store import counters
from harness.store.facade import Transaction
from harness.store.models import CounterRow, RoundRow, RoundSubmissionRow, SubmissionRow
from harness.store.values import Registered, StoredSubmission, value_of, values_of
from harness.submission.metadata import fold

if TYPE_CHECKING:
    from harness.submission.load import Submission


def register(transaction: Transaction, submission: Submission, *, source: str, own: bool = False,
             replace: bool = False) -> Registered:
    """Register a submission, pinned by its digest.

    The same content under the same name is the same submission; new content under a known name is a new version and supersedes
    the one that took part. Content that took part under another name is new here: its row stays what rounds hold it as.

    Args:
        transaction: To write in.
        submission: Its code is frozen.
        source: Where it was read from.
        own: Whether the tournament file names it.
        replace: Whether it may take a name that is another's, and known content gets the team that is said now.

    Raises:
        SubmissionError: As ``check``, or the same content takes part under another name.
    """
    session = transaction.session
    if not replace:
        check(transaction, submission, source=source, own=own)
    row, change = _register(transaction, submission, source=source, replace=replace)
    if own or "team" in submission.said:
        # The organiser named the team.
        session.merge(CounterRow(name=_confirmation(row.id), value=1))
    session.flush()
    return Registered(value_of(StoredSubmission, row), change)


def _register(transaction: Transaction, submission: Submission, *, source: str, replace: bool) -> tuple[SubmissionRow, str]:
    session = transaction.session
    name = _spelling(transaction, submission.name)
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
    """Update known content with what the organiser says now, and with what an earlier version did not read of it."""
    row.access, row.base, row.open_to = submission.access, submission.base, " ".join(submission.open_to)
    team = (submission.team or "") if replace else row.team
    baseline = submission.baseline if "baseline" in submission.said else row.baseline
    if (team, baseline) != (row.team, row.baseline):
        row.team, row.baseline = team, baseline
        counters.results_changed(transaction)


def _supersede(session: Session, name: str) -> None:
    session.execute(update(SubmissionRow).where(SubmissionRow.name == name, SubmissionRow.state == "active")
                    .values(state="superseded"))


def check(transaction: Transaction, submission: Submission, *, source: str, own: bool) -> None:
    """Refuse what takes another's name, or a baseline's place, on its author's claim alone.

    Args:
        transaction: To read in.
        submission: What is to be registered.
        source: Where it was read from.
        own: Whether the tournament file names it.

    Raises:
        SubmissionError: The name is somebody else's, or the submission calls itself a baseline.
    """
    if submission.baseline and "baseline" not in submission.said and not (own and submission.kind == "directory"):
        raise SubmissionError(f"{source} calls itself a baseline, which only the organiser may do.",
                              "Submit it with --baseline if it is one, else with --no-baseline.")
    name = _spelling(transaction, submission.name)
    versions = transaction.session.scalars(select(SubmissionRow).where(SubmissionRow.name == name)
                               .order_by(SubmissionRow.version.desc())).all()
    if versions and (reason := _stranger(transaction, versions, submission, source, own=own)):
        owner = versions[0]
        whose = f"team {owner.team}" if owner.team else f"whoever submitted {owner.source}"
        raise SubmissionError(f"The name {name} belongs to {whose} ({owner.type}), and {source} {reason}.",
                              "Give it another name with --name, or pass --replace to replace that one.")


def _stranger(transaction: Transaction, rows: Sequence[SubmissionRow], submission: Submission, source: str, *, own: bool) -> str:
    """Why a submission is not the owner's; empty where it is."""
    owner = rows[0]
    here = own and _same_place(owner.source, source)
    if owner.type != submission.type and not here:
        return f"takes part in another track ({submission.type})"
    team = submission.team or ""
    matches = fold(owner.team) == fold(team)
    if here or (_known_content(rows, submission) and (own or matches or not team)):
        return ""
    if not matches:
        return f"is of team {team}" if team else "does not say that it is theirs (--team)"
    if team:
        # The directory's metadata are the organiser's, if the tournament file names it.
        believed = own or "team" in submission.said or transaction.session.get(CounterRow, _confirmation(owner.id)) is None
        return "" if believed else f"says only in its own metadata that it is of team {team} (pass --team if it is)"
    return "" if _same_source(owner, submission, source, own=own) else "is of no known team (--team)"


def _known_content(rows: Sequence[SubmissionRow], submission: Submission) -> bool:
    """Whether it is what takes part under the name, or may take part again because nothing else does."""
    known = any(row.digest == submission.digest for row in rows)
    return known and not any(row.state == "active" and row.digest != submission.digest for row in rows)


def _same_source(owner: SubmissionRow, submission: Submission, source: str, *, own: bool) -> bool:
    """Whether a directory of no team is the organiser's as the one before; of what came packed it is unknown."""
    if submission.kind != "directory" or owner.kind != "directory":
        return False
    # The directories of the tournament file may have moved with it.
    return own or _same_place(owner.source, source)


def _same_place(first: str, second: str) -> bool:
    return Path(first).is_absolute() and first == second


def _confirmation(submission_id: int) -> str:
    return f"team of submission {submission_id} was said"


def withdraw(transaction: Transaction, name: str, round_name: str) -> StoredSubmission:
    """Take a submission out of the tournament; its results stay, for rounds that hold it and for its return.

    It leaves the round of that name at once: whoever withdraws an entry wants it off the leaderboard now, not after the next run.

    Raises:
        UnknownNameError: No submission of that name takes part.
    """
    session = transaction.session
    row = _find(transaction, name)
    if row.state != "active":
        raise UnknownNameError(f"{row.name} no longer takes part.", "`harness submissions --all` lists every version.")
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
        select(SubmissionRow).where(SubmissionRow.name == _spelling(transaction, name))
        .order_by((SubmissionRow.state == "active").desc(), SubmissionRow.version.desc()).limit(1)).one_or_none()
    if row is None:
        raise UnknownNameError(f"There is no submission {name!r}.", "`harness submissions` lists them.")
    return row


def _spelling(transaction: Transaction, name: str) -> str:
    """The name as it was registered first, where only its case differs from this one."""
    known = transaction.session.scalars(select(SubmissionRow.name).where(func.lower(SubmissionRow.name) == name.lower())
                            .order_by((SubmissionRow.name == name).desc(), SubmissionRow.id).limit(1)).one_or_none()
    return name if known is None else known
