"""What lies in a state directory, as plain values: for tests that look at results, the one way into the tables.

It is opened read-only, whatever a command does with it meanwhile: a look repairs nothing that a killed one left, and holds up
nobody. A test that changes rows, as another program would, does it with a function of this module too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Executable, create_engine, delete, func, insert, select, text, update
from sqlalchemy.orm import Session, aliased
from sqlalchemy.pool import NullPool

from harness.errors import StoreError
from harness.store import submissions as store_submissions
from harness.store.database import explain
from harness.store.facade import Store, Transaction
from harness.store.models import AttemptRow, ConditionsRow, InputRow, RoundBatchRow, RunRow, ScoreRow, SlotRow, SubmissionRow
from harness.store.values import DONE, RUNNING, StoredSubmission


@dataclass(frozen=True)
class Run:
    """A run as it is on record.

    Attributes:
        name: Of the submission.
        reads: The kind of its input.
        position: Of the batch in its rounds (the same in all, in tests that ask); -1 in none.
        labels: As answered, int16; None without.
        makes: The kind of the input that it made; None for none.
    """

    id: int
    name: str
    reads: str
    position: int
    running: bool
    done: bool
    attempt: int
    outcome: str | None
    usable: int
    wall_s: float | None
    labels: tuple[int, ...] | None
    makes: str | None


@contextmanager
def look(state: Path) -> Iterator[Transaction]:
    """A moment's view of the database of a state directory.

    Raises:
        StoreError: There is none, or it has no tables (yet).
    """
    path = state / "tournament.db"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    with explain(path), Session(engine) as session:
        yield Transaction(session)


def runs(state: Path) -> list[Run]:
    """Every run that is on record, in the order in which they were begun."""
    made = aliased(InputRow)
    query = (
        select(RunRow.id, SubmissionRow.name, InputRow.kind, func.coalesce(func.min(RoundBatchRow.position), -1), RunRow.state,
               RunRow.attempt, RunRow.outcome, RunRow.usable, RunRow.wall_s, RunRow.labels, made.kind)
        .join(SubmissionRow, SubmissionRow.id == RunRow.submission_id).join(InputRow, InputRow.id == RunRow.input_id)
        .outerjoin(made, made.id == RunRow.output_id).outerjoin(RoundBatchRow, RoundBatchRow.batch_id == InputRow.batch_id)
        .group_by(RunRow.id).order_by(RunRow.id))
    with look(state) as transaction:
        found = transaction.connection.execute(query).all()
    return [Run(run, name, reads, position, at == RUNNING, at == DONE, attempt, outcome, usable, wall_s,
                None if labels is None else tuple(np.frombuffer(labels, "<i2").tolist()), makes)
            for run, name, reads, position, at, attempt, outcome, usable, wall_s, labels, makes in found]


def run_rows(state: Path) -> list[tuple[Any, ...]]:
    """All that is stored of all runs: to see that nothing of it changes."""
    return _all(state, RunRow)


def submission_rows(state: Path) -> list[tuple[Any, ...]]:
    """All that is stored of all submissions."""
    return _all(state, SubmissionRow)


def _all(state: Path, table: type[RunRow | SubmissionRow]) -> list[tuple[Any, ...]]:
    with look(state) as transaction:
        return [tuple(row) for row in transaction.connection.execute(select(table.__table__).order_by(table.id))]


def run_keys(transaction: Transaction) -> list[tuple[tuple[int, int, int], int, bool]]:
    """Of every run, what it is known by (submission, input, conditions), its id, and whether it has a result."""
    found = transaction.connection.execute(
        select(RunRow.submission_id, RunRow.input_id, RunRow.conditions_id, RunRow.id, RunRow.state))
    return [((submission, read, conditions), run, state == DONE) for submission, read, conditions, run, state in found]


def answers(transaction: Transaction) -> list[bytes]:
    """What each run that answered did, as stored."""
    return [found or b"" for found in transaction.connection.scalars(select(RunRow.labels).where(RunRow.labels.is_not(None)))]


def submissions(state: Path) -> list[StoredSubmission]:
    """Every version of every submission, in order of submission."""
    with look(state) as transaction:
        return store_submissions.every(transaction)


def inputs(state: Path) -> list[tuple[str, str]]:
    """Kind and digest of every input."""
    with look(state) as transaction:
        return [(kind, digest) for kind, digest in transaction.connection.execute(select(InputRow.kind, InputRow.digest))]


def host_errors(state: Path) -> list[str]:
    """The evidence of every attempt that failed on the host's side."""
    with look(state) as transaction:
        return list(transaction.connection.scalars(select(AttemptRow.evidence).where(AttemptRow.outcome == "host_error")))


def slots(state: Path) -> tuple[set[str | None], set[str]]:
    """Names of the slots that runs were on, and of those that are described."""
    with look(state) as transaction:
        return set(transaction.connection.scalars(select(RunRow.slot))), set(transaction.connection.scalars(select(SlotRow.name)))


def forget_slots(transaction: Transaction) -> None:
    """As if no slot had been described."""
    transaction.connection.execute(delete(SlotRow))


def put_on_slot(transaction: Transaction, name: str | None, facts: dict[str, Any], run_ids: Collection[int]) -> None:
    """Describe a slot, and say that these runs were on it; None is no slot."""
    if name is not None:
        transaction.connection.execute(insert(SlotRow).values(name=name, seen_at=0.0, facts=json.dumps(facts)))
    transaction.connection.execute(update(RunRow).where(RunRow.id.in_(run_ids)).values(slot=name))


def is_sound(state: Path) -> bool:
    """Whether SQLite finds no damage."""
    with look(state) as transaction:
        return transaction.connection.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]


def version(database: Path) -> int:
    """The number of its version that a database bears."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def make_foreign(database: Path, version: int) -> None:
    """A database of another program, which numbers its versions too."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("CREATE TABLE something (id INTEGER)")
        connection.commit()


def change(database: Path, statement: str) -> None:
    """One statement, as another program would execute it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Another program holds the database for writing."""
    with closing(Store(state, create=False)) as store, store.write():
        yield


def make_isolated(state: Path) -> None:
    """The results of a tournament as if they came of containers."""
    with closing(Store(state, create=False)) as store, store.write() as transaction:
        transaction.connection.execute(update(ConditionsRow).values(
            text=func.replace(ConditionsRow.text, '"sandbox": "process"', '"sandbox": "docker"')))


def remake_outputs(state: Path) -> None:
    """What attacks made becomes another input, as if they had just ended once more."""
    with closing(Store(state, create=False)) as store, store.write() as transaction:
        adversarial = select(InputRow).where(InputRow.kind == "adversarial")
        first = transaction.session.scalars(adversarial.limit(1)).one()
        earlier = list(transaction.session.scalars(adversarial.with_only_columns(InputRow.id)))
        transaction.connection.execute(insert(InputRow).values(
            id=999, batch_id=first.batch_id, kind=first.kind, digest="new", produced=first.produced, stored_bytes=0))
        transaction.connection.execute(update(RunRow).where(RunRow.output_id.in_(earlier)).values(output_id=999))


def forget_changes(state: Path) -> None:
    """As if an earlier version had written it: nobody knows which images attacks changed."""
    with closing(Store(state, create=False)) as store, store.write() as transaction:
        transaction.connection.execute(update(InputRow).values(changed=None))


def forget_halves(state: Path) -> None:
    """The halves that detectors were run on, with the runs on them."""
    halves = select(InputRow.id).where(InputRow.kind == "half")
    with closing(Store(state, create=False)) as store, store.write() as transaction:
        transaction.connection.execute(delete(RunRow).where(RunRow.input_id.in_(halves)))
        transaction.connection.execute(delete(InputRow).where(InputRow.kind == "half"))


def composed(state: Path) -> list[InputRow]:
    """All inputs beside the task and clean ones."""
    with look(state) as transaction:
        found = list(transaction.session.scalars(select(InputRow).where(InputRow.kind.in_(("adversarial", "mixed", "half")))))
        transaction.session.expunge_all()
        return found


def forget_runs_under_other(transaction: Transaction, conditions_id: int) -> None:
    """Keep the runs under these conditions alone."""
    transaction.connection.execute(delete(RunRow).where(RunRow.conditions_id != conditions_id))


def change_team(transaction: Transaction, name: str, team: str) -> None:
    """Behind the back of whoever keeps tables."""
    transaction.connection.execute(update(SubmissionRow).where(SubmissionRow.name == name).values(team=team))


def flip_a_bit(state: Path, table: str, column: str, run_id: int) -> None:
    """As a disk may, in the middle of what is stored of a run."""
    key = "id" if table == "run" else "run_id"
    with closing(sqlite3.connect(state / "tournament.db")) as connection:
        (data,) = connection.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", [run_id]).fetchone()
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", [bytes(changed), run_id])
        connection.commit()


#: What can befall score records.
RECORD_DAMAGE: dict[str, Executable] = {
    "absent": delete(ScoreRow).where(ScoreRow.run_id % 3 == 0),
    "cut short": update(ScoreRow).values(record=func.substr(ScoreRow.record, 1, 20)),
    "empty": update(ScoreRow).values(record=b""),
    "another byte": text("UPDATE score SET record = substr(record, 1, 40) || x'a5' || substr(record, 42) WHERE run_id % 3 = 0"),
    "zeros": text("UPDATE score SET record = zeroblob(length(record))"),
}


def done(state: Path) -> int:
    """How many runs have a result; 0 while there is no database."""
    try:
        with look(state) as transaction:
            return transaction.connection.scalar(select(func.count()).where(RunRow.state == DONE)) or 0
    except StoreError:
        return 0
