"""Answers that are no longer what was stored: a disk may change a bit, and SQLite keeps no checksums.

What is stored of an answer has a check beside it (``values.crc_of``, in SQL ``crc``). Where the two differ, the run has no result:
it is shown nowhere, and run again. Score records have a check of their own (``harness.scoring.records``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping

from sqlalchemy import text

from harness.store import counters, rounds
from harness.store.facade import Transaction
from harness.store.values import DONE, OPEN

#: A submission and conditions of its runs, by their ids.
Taken = tuple[int, int]
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


def reopen(transaction: Transaction, members: Collection[Taken]) -> Counter[str]:
    """Take the results of a round's damaged runs away, so that they are run again; how many of each submission.

    What other rounds alone count is left to them: a damaged answer is shown nowhere, and whoever runs that round makes it again.

    Args:
        transaction: Writes.
        members: The submissions of the round by id, each with conditions that its runs have there. Those of an audit's repeats
            are the same but for ``repeat``.
    """
    runs = damaged(transaction)
    if not runs:
        return Counter()
    ours = {(member, _text(rounds.conditions(transaction, these))) for member, these in members}
    found = transaction.connection.execute(text(
        "SELECT run.id, name, submission_id, conditions.text FROM json_each(:runs) JOIN run ON run.id = json_each.value "
        "JOIN submission ON submission.id = submission_id JOIN conditions ON conditions.id = conditions_id"),
        {"runs": json.dumps(runs)}).all()
    lost = [(run, name) for run, name, member, held in found if (member, _text(json.loads(held))) in ours]
    asked = {"runs": json.dumps([run for run, _ in lost])}
    these = "(SELECT value FROM json_each(:runs))"
    transaction.connection.execute(text(
        f"UPDATE run SET state = {OPEN}, outcome = NULL, labels = NULL, crc = NULL WHERE id IN {these}"), asked)  # noqa: S608
    for result in ("score", "duel"):
        transaction.connection.execute(text(f"DELETE FROM {result} WHERE run_id IN {these}"), asked)  # noqa: S608
    if lost:
        counters.results_changed(transaction)
    return Counter(name for _, name in lost)


def _text(conditions: Mapping[str, object]) -> str:
    """Conditions without which of an audit's repeats it is."""
    return json.dumps({name: value for name, value in conditions.items() if name != "repeat"}, sort_keys=True)


def malformed(transaction: Transaction) -> list[str]:
    """What SQLite itself finds wrong with the file, at most ten sentences."""
    found = transaction.connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
    return [] if found == ["ok"] else [str(each) for each in found]
