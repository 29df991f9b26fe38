"""Base images as conditions of runs: a result on one image is not one on another of the same name.

Conditions name an image only where it is not the first one that was seen under its name. So results from before images were told
apart, whose image nobody knows, belong to the first one that is seen, and none of their rows has to be rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import aliased

from harness.store import rounds
from harness.store.facade import Transaction
from harness.store.models import ImageRow, InputRow, RoundBatchRow, RoundRow, RunRow
from harness.store.values import DONE, StoredRound, StoredSubmission


@dataclass(frozen=True)
class Based:
    """A member of a round with its base image: the image's name, and its identity (empty where it was not available)."""

    member: StoredSubmission
    reference: str
    identity: str


@dataclass(frozen=True)
class Moved:
    """A name that stands for another image than when its last results were obtained: how many results of how many submissions."""

    reference: str
    results: int
    submissions: int


def changed(transaction: Transaction, row: StoredRound, based: Iterable[Based]) -> list[str]:
    """The names that stand for other images than those that a round was made on."""
    based = list(based)
    _meet(transaction, based)
    return sorted({each.reference for each in based if each.identity
                   and _on(transaction, row, each.reference, each.identity) != row.both_conditions_of(each.member)})


def follow(transaction: Transaction, row: StoredRound, based: Sequence[Based],
           isolation: str) -> tuple[StoredRound, list[Moved]]:
    """Let a round's members run under the images that their names stand for now; which ones were others before, with results.

    An image that is not available is taken for the one that it was: what has a result keeps it.
    """
    _meet(transaction, based)
    moved = _moved(transaction, row, based, isolation)
    session = transaction.session
    for each in based:
        if each.identity:
            session.get_one(ImageRow, each.reference).latest = each.identity
    session.flush()
    usual = (row.conditions_id, row.served_conditions_id)
    own = {each.member.id: _on(transaction, row, each.reference, each.identity) for each in based}
    text = json.dumps({str(member): pair for member, pair in sorted(own.items()) if pair != usual})
    session.execute(update(RoundRow).where(RoundRow.id == row.id).values(own_conditions=text))
    return replace(row, own_conditions=text), moved


def _meet(transaction: Transaction, based: Iterable[Based]) -> None:
    """Take an image for the first of its name where none is known."""
    for each in based:
        if each.identity and transaction.session.get(ImageRow, each.reference) is None:
            transaction.session.add(ImageRow(each.reference, each.identity, each.identity))
            transaction.session.flush()


def _on(transaction: Transaction, row: StoredRound, reference: str, identity: str) -> tuple[int, int]:
    """The conditions of fresh and of served runs on an image; where it has no identity, on the latest one of its name."""
    known = transaction.session.get(ImageRow, reference)
    identity = identity or (known.latest if known is not None else "")
    if known is None or identity == known.first:
        return row.conditions_id, row.served_conditions_id
    fresh, served = (rounds.ensure_conditions(transaction, {**rounds.conditions(transaction, usual), "image": identity})
                     for usual in (row.conditions_id, row.served_conditions_id))
    return fresh, served


def _moved(transaction: Transaction, row: StoredRound, based: Sequence[Based], isolation: str) -> list[Moved]:
    found: dict[str, list[int]] = {}
    members = [member.id for member in rounds.members(transaction, row.id)]
    for each in based:
        known = transaction.session.get(ImageRow, each.reference)
        if known is not None and each.identity not in {"", known.latest}:
            served = isolation == "submission" and each.member.serves
            before, now = (_on(transaction, row, each.reference, identity)[served] for identity in (known.latest, each.identity))
            found.setdefault(each.reference, []).append(_only_under(transaction, row, each.member.id, before, now, members))
    return [Moved(reference, sum(counts), sum(map(bool, counts))) for reference, counts in found.items() if any(counts)]


def _only_under(transaction: Transaction, row: StoredRound, member: int, before: int, now: int, members: Sequence[int]) -> int:
    """How many results of the round's input a submission has under some conditions and not under others."""
    made, again = aliased(RunRow), aliased(RunRow)
    # What earlier versions of attacks made is not run again.
    in_play = or_(InputRow.kind != "adversarial",
                  InputRow.id.in_(select(made.output_id).where(made.submission_id.in_(members), made.output_id.is_not(None))))
    return transaction.session.scalar(
        select(func.count()).select_from(RunRow).join(InputRow, InputRow.id == RunRow.input_id)
        .join(RoundBatchRow, RoundBatchRow.batch_id == InputRow.batch_id)
        .where(RoundBatchRow.round_id == row.id, RunRow.submission_id == member, RunRow.conditions_id == before,
               RunRow.state == DONE, in_play,
               ~select(again.id).where(again.submission_id == member, again.input_id == RunRow.input_id,
                                       again.conditions_id == now, again.state == DONE).exists())) or 0
