"""Named numbers: the version of the results, and secrets that are drawn once."""

from __future__ import annotations

import secrets

from sqlalchemy import select, update

from harness.store.facade import Transaction
from harness.store.models import CounterRow


def results_version(transaction: Transaction) -> int:
    """The counter that grows whenever a result is recorded, or what is kept of one changes."""
    return transaction.session.scalars(select(CounterRow.value).where(CounterRow.name == "results")).one()


def results_changed(transaction: Transaction) -> None:
    """Let tables that were computed from the results be computed again."""
    transaction.session.execute(update(CounterRow).where(CounterRow.name == "results").values(value=CounterRow.value + 1))


def secret(transaction: Transaction, name: str) -> int:
    """A number that nobody outside can know, drawn once for each database."""
    row = transaction.session.get(CounterRow, name)
    if row is None:
        row = CounterRow(name=name, value=secrets.randbits(63))
        transaction.session.add(row)
        transaction.session.flush()
    return row.value
