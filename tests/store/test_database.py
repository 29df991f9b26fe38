from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, IntegrityError

from harness.errors import StoreError
from harness.store.database import explained, open_database
from harness.store.models import SCHEMA_VERSION


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


def test_looking_at_what_is_not_there_makes_nothing(tmp_path) -> None:
    with pytest.raises(StoreError, match="nothing has been run"):
        open_database(tmp_path / "state" / "tournament.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("version", "words"), [(SCHEMA_VERSION + 1, "newer harness"), (0, "not a database of this harness")])
def test_another_version_is_refused(tmp_path, version, words) -> None:
    path = tmp_path / "tournament.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("CREATE TABLE other (id INTEGER)")
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
           ("something else", "something else")]


@pytest.mark.parametrize(("said", "told"), SAYINGS)
def test_what_sqlite_says_in_words(tmp_path, said, told) -> None:
    error = explained(tmp_path / "tournament.db", DatabaseError("SELECT", {}, sqlite3.OperationalError(said)))
    assert told in error.problem
    assert "tournament.db" in error.problem
