"""Answers that are no longer what was stored: a disk may change a bit, and SQLite keeps no checksums.

What is stored of an answer has a check beside it (``values.crc_of``, in SQL ``crc``). Where the two differ, the run has no result:
it is shown nowhere, and run again. Score records have a check of their own (``harness.scoring.records``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection

from sqlalchemy import text

from harness.store import counters
from harness.store.facade import Transaction
from harness.store.values import DONE, OPEN

_ALL = f"""SELECT id FROM run WHERE state = {DONE} AND crc(labels) IS NOT crc
UNION SELECT run_id FROM duel WHERE crc(counts, findings) IS NOT crc"""  # noqa: S608 - our own numbers
#: By run, in the order in which the rows lie.
_OF = """SELECT run.id FROM json_each(:runs) CROSS JOIN run ON run.id = json_each.value WHERE crc(labels) IS NOT crc
UNION SELECT run_id FROM json_each(:runs) CROSS JOIN duel ON run_id = json_each.value WHERE crc(counts, findings) IS NOT crc"""


def damaged(transaction: Transaction, runs: Collection[int] | None = None) -> list[int]:
    """The runs whose answers are damaged, of those with a result, by id; all are looked at, or some of them."""
    if runs is None:
        return list(transaction.connection.scalars(text(_ALL)))
    return list(transaction.connection.scalars(text(_OF), {"runs": json.dumps(sorted(runs))})) if runs else []


def reopen(transaction: Transaction) -> Counter[str]:
    """Take the results of damaged runs away, of whatever round, so that they are run again; how many of each submission."""
    runs = damaged(transaction)
    if not runs:
        return Counter()
    asked = {"runs": json.dumps(runs)}
    these = "(SELECT value FROM json_each(:runs))"
    names = transaction.connection.scalars(text(
        f"SELECT name FROM run JOIN submission ON submission.id = submission_id WHERE run.id IN {these}"), asked)  # noqa: S608
    found = Counter(names)
    transaction.connection.execute(text(
        f"UPDATE run SET state = {OPEN}, outcome = NULL, labels = NULL, crc = NULL WHERE id IN {these}"), asked)  # noqa: S608
    for result in ("score", "duel"):
        transaction.connection.execute(text(f"DELETE FROM {result} WHERE run_id IN {these}"), asked)  # noqa: S608
    counters.results_changed(transaction)
    return found


def malformed(transaction: Transaction) -> list[str]:
    """What SQLite itself finds wrong with the file, at most ten sentences."""
    found = transaction.connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
    return [] if found == ["ok"] else [str(each) for each in found]
