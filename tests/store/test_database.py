from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DatabaseError, IntegrityError

from harness.errors import StoreError
from harness.store import database
from harness.store.database import explained, open_database
from harness.store.logs import LogStore
from harness.store.migrations import STEPS
from harness.store.models import SCHEMA_VERSION, Base


def test_it_is_made_durable_with_foreign_keys_and_its_version(tmp_path) -> None:
    db = open_database(tmp_path / "new" / "tournament.db")
    with db.connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar()
                 for name in ("journal_mode", "foreign_keys", "synchronous", "user_version")}
    db.dispose()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "user_version": SCHEMA_VERSION}


def test_foreign_keys_bite(tmp_path) -> None:
    db = open_database(tmp_path / "tournament.db")
    with pytest.raises(IntegrityError), db.begin() as connection:
        connection.execute(text("INSERT INTO round_batch VALUES (1, 1, 0)"))
    db.dispose()


def test_it_is_opened_again(tmp_path) -> None:
    for _ in range(2):
        open_database(tmp_path / "tournament.db").dispose()


#: Ends the process without a word before its n-th statement, for each n in turn; prints how many statements there were.
_KILLED_WHILE_MAKING = """
import itertools, os, sys
from pathlib import Path
from sqlalchemy import Engine, event
from harness.store.database import open_database

def end_before(number):
    statements = itertools.count(1)
    @event.listens_for(Engine, "before_cursor_execute")
    def end(*_):
        if next(statements) == number:
            os._exit(9)

for number in itertools.count(1):
    path = Path(sys.argv[1], str(number), "tournament.db")
    child = os.fork()
    if child == 0:
        end_before(number)
        open_database(path)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(number - 1)
        break
"""


def test_killed_at_any_statement_while_it_is_made_it_is_made_by_the_next(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED_WHILE_MAKING, str(tmp_path)], check=True, capture_output=True, text=True)
    statements = int(done.stdout)
    assert statements > 2 * len(Base.metadata.tables)
    for number in range(1, statements + 1):
        db = open_database(tmp_path / str(number) / "tournament.db")
        with db.connect() as connection:
            assert connection.execute(text("PRAGMA user_version")).scalar() == SCHEMA_VERSION
            assert connection.execute(text("SELECT value FROM counter")).scalars().all() == [0]
        assert set(inspect(db).get_table_names()) == set(Base.metadata.tables)
        db.dispose()


def test_two_that_come_first_at_once_make_it_once(tmp_path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for db in pool.map(open_database, [tmp_path / "state" / "tournament.db"] * 4):
            with db.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM counter")).scalar() == 1
            db.dispose()


OPENERS = {"tournament.db": lambda place: open_database(place / "tournament.db").dispose(),
           "logs.db": lambda place: LogStore(place).close()}


@pytest.fixture(params=OPENERS)
def held(request, tmp_path):
    """A database that another program has begun to write, and what opens it."""
    holder = sqlite3.connect(tmp_path / request.param, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield holder, lambda: OPENERS[request.param](tmp_path)
    holder.close()


def test_who_comes_while_another_makes_it_waits(held, monkeypatch) -> None:
    """Any statement waits for a lock but the switch to WAL."""
    holder, opened = held
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            holder.rollback()

    monkeypatch.setattr(time, "sleep", wait)
    opened()
    assert len(waits) == 3
    assert holder.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_waits_for_too_long_is_told(held, monkeypatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with pytest.raises(StoreError, match="locked by another program"):
        held[1]()


def test_looking_at_what_is_not_there_makes_nothing(tmp_path) -> None:
    with pytest.raises(StoreError, match="nothing has been run"):
        open_database(tmp_path / "state" / "tournament.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("version", "words"), [
    (SCHEMA_VERSION + 1, "newer harness"), (1, "older harness"),
    *((version, "not a database of this harness") for version in (0, *STEPS, SCHEMA_VERSION))])
def test_another_version_is_refused(tmp_path, version, words) -> None:
    path = tmp_path / "tournament.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("CREATE TABLE run (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=words):
        open_database(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_database(tmp_path) -> None:
    (tmp_path / "tournament.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        open_database(tmp_path / "tournament.db")


SAYINGS = [("database or disk is full", "is full"), ("disk I/O error", "is full"), ("database is locked", "locked by another"),
           ("attempt to write a readonly database", "cannot be written"), ("unable to open database file", "cannot be written"),
           ("database disk image is malformed", "damaged"), ("file is not a database", "damaged"),
           ("no such table: round", "not a database of this harness"), ("something else", "something else")]


@pytest.mark.parametrize(("said", "told"), SAYINGS)
def test_what_sqlite_says_in_words(tmp_path, said, told) -> None:
    error = explained(tmp_path / "tournament.db", DatabaseError("SELECT", {}, sqlite3.OperationalError(said)))
    assert told in error.problem
    assert "tournament.db" in error.problem
