"""Cached computations on the results, as bytes by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.store.facade import Transaction
from harness.store.models import SummaryRow


def kept(transaction: Transaction, name: str, version: int) -> bytes | None:
    """What is kept of this name, if it was computed from results of this version."""
    row = transaction.session.get(SummaryRow, name)
    return row.data if row is not None and row.version == version else None


def keep(transaction: Transaction, version: int, summaries: Mapping[str, bytes]) -> None:
    """Keep what was computed from results of this version."""
    for name, data in summaries.items():
        transaction.session.merge(SummaryRow(name=name, version=version, data=data))
