"""Whose a name is: the team and track that registered it, as the newest version of the name has them.

A name comes from strangers: a file's name, an image's, a line of metadata. Whoever meets one that is taken is refused, unless the
organiser says which team it is (``--team``) or that it replaces what is there (``--replace``). What an archive or an image says of
its own team is its author's word: it is believed of a name that nobody else's word stands for. What the tournament file names is
the organiser's own. Nothing of this needs a column: the rows of the versions say it, and one counter remembers whose word it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from harness.errors import SubmissionError
from harness.store.facade import Transaction
from harness.store.models import CounterRow, SubmissionRow
from harness.submission.metadata import fold

if TYPE_CHECKING:
    from harness.submission.load import Submission


def spelling(transaction: Transaction, name: str) -> str:
    """The name as it was registered first, where only its case differs from this one."""
    known = transaction.session.scalars(select(SubmissionRow.name).where(func.lower(SubmissionRow.name) == name.lower())
                            .order_by((SubmissionRow.name == name).desc(), SubmissionRow.id).limit(1)).one_or_none()
    return name if known is None else known


def check(transaction: Transaction, submission: Submission, *, source: str, own: bool) -> None:
    """Refuse what takes another's name, or a baseline's place, on its author's word.

    Args:
        transaction: To read in.
        submission: What is to be registered.
        source: Where it was read from.
        own: Whether the tournament file names it.

    Raises:
        SubmissionError: The name is somebody else's, or the submission calls itself a baseline.
    """
    if submission.baseline and "baseline" not in submission.said and not (own and submission.kind == "directory"):
        raise SubmissionError(f"{source} calls itself a baseline, which only the organiser can.",
                              "Submit it with --baseline if it is one, else with --no-baseline.")
    name = spelling(transaction, submission.name)
    versions = transaction.session.scalars(select(SubmissionRow).where(SubmissionRow.name == name)
                               .order_by(SubmissionRow.version.desc())).all()
    if versions and (reason := _stranger(transaction, versions, submission, source, own=own)):
        owner = versions[0]
        whose = f"team {owner.team}" if owner.team else f"whoever handed in {owner.source}"
        raise SubmissionError(f"The name {name} belongs to {whose} ({owner.type}), and {source} {reason}.",
                              "Give it another name with --name, or say --replace if it shall replace that one.")


def confirm(transaction: Transaction, submission_id: int) -> None:
    """Remember that the organiser said which team this is."""
    transaction.session.merge(CounterRow(name=_confirmation(submission_id), value=1))


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
        return "" if believed else f"is of team {team} by its own word alone (say --team if that is so)"
    return "" if _same_hand(owner, submission, source, own=own) else "is of no known team (--team)"


def _known_content(rows: Sequence[SubmissionRow], submission: Submission) -> bool:
    """Whether it is what takes part under the name, or may take part again because nothing else does."""
    known = any(row.digest == submission.digest for row in rows)
    return known and not any(row.state == "active" and row.digest != submission.digest for row in rows)


def _same_hand(owner: SubmissionRow, submission: Submission, source: str, *, own: bool) -> bool:
    """Whether a directory of no team is the organiser's as the one before; of what came packed nobody can say."""
    if submission.kind != "directory" or owner.kind != "directory":
        return False
    # The directories of the tournament file may have moved with it.
    return own or _same_place(owner.source, source)


def _same_place(first: str, second: str) -> bool:
    return Path(first).is_absolute() and first == second


def _confirmation(submission_id: int) -> str:
    return f"team of submission {submission_id} was said"
