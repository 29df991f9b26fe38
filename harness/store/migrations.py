"""Migrate a database of an earlier version, in the transaction that its opener has begun.

Each step is independent and never edited once released: databases that went through it exist. A harness killed in the middle leaves
the database as it was.

Version 2 (harness 0.1.0) kept labels as int16 with -1 for "no label" and 32767 for every integer outside of the data set's label
range. Version 3 keeps what was answered, -1 included, with -32768 for "no label". Which integer a 32767 of version 2 was, nobody
knows any more: it stays beyond every range, and wrong.

Version 4 tells apart what ran on different base images. On which ones the results of earlier versions were obtained, nobody knows:
they belong to the first one that is seen under each name.

Version 5 tells attacks apart by what they may change. Before, that was the L-infinity norm.

Version 6 knows which images of what an attack made differ from the clean ones. Of older batches it is looked up in their pixels
where a detector needs it.

Version 7 knows what attacks may know of their opponents, and which opponents let them. What was submitted before is known to answer
queries where it serves; all else is read when it is submitted again, which `harness run` does with all that its file names.

Version 8 keeps a check behind what scoring reads of a run.

Version 9 keeps what came of duels by queries.

Version 10 keeps a check beside each answer.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable

import numpy as np
from sqlalchemy import Connection

_NONE_IN_2, _NONE_IN_3 = -1, -32768
#: Kept as evidence by version 2. It is judged by today's range when it is shown.
_RANGE_NOTE = re.compile(r"result\.csv: \d+ labels lie outside of \d+\.\.\d+ and count as wrong\.")


def _to_3(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    driver.create_function("labels_to_3", 1, _labels_to_3, deterministic=True)
    driver.create_function("evidence_to_3", 1, _evidence_to_3, deterministic=True)
    # Most runs have every label, and their bytes hold no -1.
    connection.exec_driver_sql("UPDATE run SET labels = labels_to_3(labels) WHERE instr(labels, x'ffff') > 0")
    connection.exec_driver_sql("UPDATE attempt SET evidence = evidence_to_3(evidence) WHERE evidence LIKE '%lie outside of%'")
    # Tables that were computed under older rules.
    connection.exec_driver_sql("DELETE FROM summary")


def _labels_to_3(stored: bytes) -> bytes:
    labels = np.frombuffer(stored, np.int16)
    return np.where(labels == _NONE_IN_2, np.int16(_NONE_IN_3), labels).tobytes()


def _evidence_to_3(stored: str) -> str:
    facts = json.loads(stored)
    facts["notes"] = [note for note in facts.get("notes", []) if not _RANGE_NOTE.fullmatch(note)]
    if not facts["notes"]:
        del facts["notes"]
    return json.dumps(facts)


def _to_4(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE image (reference VARCHAR NOT NULL, first VARCHAR NOT NULL, latest VARCHAR NOT NULL, "
                               "PRIMARY KEY (reference))")
    connection.exec_driver_sql("ALTER TABLE round ADD COLUMN own_conditions VARCHAR DEFAULT '{}' NOT NULL")


def _to_5(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE submission ADD COLUMN threat VARCHAR DEFAULT 'linf' NOT NULL")


def _to_6(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE input ADD COLUMN changed BLOB")


def _to_7(connection: Connection) -> None:
    for column, default in (("access", "black_box"), ("base", ""), ("open_to", "")):
        connection.exec_driver_sql(f"ALTER TABLE submission ADD COLUMN {column} VARCHAR DEFAULT '{default}' NOT NULL")
    connection.exec_driver_sql("UPDATE submission SET open_to = 'query' WHERE type = 'defense' AND serves")


def _to_8(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    driver.create_function("checked_in_8", 1, _checked_in_8, deterministic=True)
    connection.exec_driver_sql("UPDATE score SET record = checked_in_8(record)")


def _checked_in_8(record: bytes) -> bytes:
    count = len(record) // 4
    numbers = [int(word) for word in np.frombuffer(record, "<u4", count)] + list(record[4 * count:])
    check = 0x5C0BE5 + sum(number * pow(0x9E3779B1, place, 1 << 32) for place, number in enumerate(numbers, 1))
    return record + (check % (1 << 32)).to_bytes(4, "little")


def _to_9(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE duel (run_id INTEGER NOT NULL, opponent_outcome VARCHAR NOT NULL, opponent_s DOUBLE NOT NULL, "
        "batches INTEGER NOT NULL, counts BLOB NOT NULL, findings BLOB NOT NULL, PRIMARY KEY (run_id), "
        "FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE)")


def _to_10(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    driver.create_function("crc_in_10", 1, zlib.crc32, deterministic=True)
    driver.create_function("crc_in_10", 2, lambda one, other: zlib.crc32(other, zlib.crc32(one)), deterministic=True)
    connection.exec_driver_sql("ALTER TABLE run ADD COLUMN crc BIGINT")
    connection.exec_driver_sql("UPDATE run SET crc = crc_in_10(labels) WHERE labels IS NOT NULL")
    connection.exec_driver_sql("ALTER TABLE duel ADD COLUMN crc BIGINT")
    connection.exec_driver_sql("UPDATE duel SET crc = crc_in_10(counts, findings)")


#: Tables and columns that the steps make.
ADDED = frozenset({("image", "reference"), ("image", "first"), ("image", "latest"), ("round", "own_conditions"),
                   ("submission", "threat"), ("input", "changed"), ("submission", "access"), ("submission", "base"),
                   ("submission", "open_to"), *(("duel", column) for column in (
                       "run_id", "opponent_outcome", "opponent_s", "batches", "counts", "findings", "crc")), ("run", "crc")})
#: From a version to the next one.
STEPS: dict[int, Callable[[Connection], None]] = {2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6, 6: _to_7, 7: _to_8, 8: _to_9,
                                                  9: _to_10}


def migrate(connection: Connection, found: int, wanted: int) -> None:
    """Bring a database of version ``found``, whose steps are all known, to ``wanted``."""
    for version in range(found, wanted):
        STEPS[version](connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {wanted}")
