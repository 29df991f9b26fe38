"""Opening ``tournament.db``: schema version, migration, pragmas, and SQLite's failures as sentences.

WAL lets `status` and `leaderboard` read while `run` writes. ``synchronous=FULL`` makes a commit durable; the recorder batches
runs into one commit instead of weakening it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from harness.errors import StoreError
from harness.store.lock import writer_lock
from harness.store.migrations import ADDED, STEPS, migrate
from harness.store.models import SCHEMA_VERSION, Base, CounterRow
from harness.store.values import crc_of

#: How long a command waits for another program that holds the database.
BUSY_TIMEOUT_S = 30
_BETWEEN_TRIES_S = 0.01


def open_database(path: Path, *, create: bool = True) -> Engine:
    """Open the database, making it where it is absent.

    Raises:
        StoreError: It is absent (and ``create`` is false), from a version that cannot be migrated, damaged, or its place cannot be
            read or written.
    """
    if not is_there(path):
        if not create:
            raise StoreError(f"{path} does not exist: nothing has been run yet.", "Run `harness run` first.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The state directory {path.parent} cannot be made: {error.strerror}.",
                             "Choose another `state:` in tournament.yaml, or make it writable.") from None
    url = URL.create("sqlite", database=str(path))  # pasted into a URL, `two%20` and `two ` are one path
    engine = create_engine(url, creator=lambda: connect(path))
    event.listen(engine, "connect", _configure)
    try:
        with explain(path):
            _check_version(engine, path)
    except StoreError:
        engine.dispose()
        raise
    return engine


def is_there(path: Path) -> bool:
    """Whether there is a database file.

    Raises:
        StoreError: Nobody can tell: its directory cannot be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from None
    return True


def unreadable(path: Path, error: OSError) -> StoreError:
    """The sentence for a file that this user may not read, or that its file system does not give."""
    return StoreError(f"{path} cannot be read: {error.strerror}.",
                      "Run this as the user that owns the state directory, or choose another `state:`.")


def connect(path: Path) -> sqlite3.Connection:
    """Open a database file; one on a file system that is mounted read-only, as an archived contest may be, to be read."""
    target = str(path)
    if is_frozen(path):
        # SQLite makes two files beside a WAL database even to read it, unless it is told that nobody writes.
        target = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(target, uri=target != str(path), timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def is_frozen(path: Path) -> bool:
    """Whether a file lies on a file system that is mounted read-only, and no SQLite had its hands on it then."""
    with contextlib.suppress(OSError):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and not path.with_name(f"{path.name}-wal").exists()
    return False


def _configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's hook
    connection.execute("PRAGMA foreign_keys=ON")
    use_wal(connection)  # one that is frozen says "off", and stays as it is
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-65536")
    connection.create_function("crc", -1, crc_of, deterministic=True)


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch a database to WAL, waiting for others that hold it: this one statement ends at once where any other would wait.

    Raises:
        sqlite3.OperationalError: Somebody holds it for longer than ``BUSY_TIMEOUT_S``, or it cannot be written.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return


def _check_version(engine: Engine, path: Path) -> None:
    with engine.begin() as connection:
        found = _version(connection)
        if found == SCHEMA_VERSION:
            check_tables(connection, path)
            return
        if found == 0 or found in STEPS:
            found = _bring_up(connection, path)
            if found == SCHEMA_VERSION:
                return
    raise of_no_use(path, found)


def of_no_use(path: Path, version: int) -> StoreError:
    """The sentence for a database whose version is neither this harness's nor one that it migrates."""
    if version > SCHEMA_VERSION:
        return StoreError(f"{path} was written by a newer harness (database version {version}, this one knows "
                          f"{SCHEMA_VERSION}).", "Use the newer harness, or another `state:` directory.")
    if version:
        return StoreError(f"{path} was written by an older harness (database version {version}, this one knows "
                          f"{SCHEMA_VERSION}).", "Use the older harness, or another `state:` directory.")
    return _foreign(path)


def check_tables(connection: Connection, path: Path, absent: Collection[tuple[str, str]] = ()) -> None:
    """Other programs number their databases too; ``absent`` are columns that a database of an earlier version has not.

    Raises:
        StoreError: It is none of this harness.
    """
    rows = connection.exec_driver_sql(
        "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table'")
    found = {(table, column) for table, column in rows}
    wanted = {(table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns}
    if not found.issuperset(wanted.difference(absent)):
        raise _foreign(path)


def _foreign(path: Path) -> StoreError:
    return StoreError(f"{path} is not a database of this harness.", "Use another `state:` directory in tournament.yaml.")


def _bring_up(connection: Connection, path: Path) -> int:
    """Make the tables, or migrate those of an earlier version; the version that the database then has."""
    try:
        # The driver begins no transaction before DDL: without this one, a harness killed here would leave some of the tables
        # and no version, and two that come first at once would each make them.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = _version(connection)
        tables = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE type = 'table'")).scalar_one()
        if found == 0 and tables == 0:
            Base.metadata.create_all(connection)
            connection.execute(CounterRow.__table__.insert(), [{"name": "results", "value": 0}])  # type: ignore[attr-defined]
            connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))
            return SCHEMA_VERSION
        if found in STEPS:
            check_tables(connection, path, ADDED)
            # An older `harness run` that still works on it would go on to write in the older form. Whoever waits for this
            # transaction finds a migrated database and asks for no lock.
            with writer_lock(path.parent):
                migrate(connection, found, SCHEMA_VERSION)
                connection.commit()
            return SCHEMA_VERSION
    except OperationalError as error:
        if "readonly" in str(error.orig):
            raise StoreError(f"{path} was written by an older harness and has to be migrated, but it cannot be written.",
                             "Make the state directory writable and run any command once; or use the older harness.") from error
        raise
    return found


def _version(connection: Connection) -> int:
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


@contextmanager
def explain(path: Path) -> Iterator[None]:
    """Turn SQLite's failures into sentences with a next step."""
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        raise explained(path, error) from error


def explained(path: Path, error: BaseException) -> StoreError:
    """The sentence for one failure of SQLite."""
    reason = str(getattr(error, "orig", error))
    if "full" in reason or "disk I/O" in reason or "No space" in reason:
        return StoreError(f"The disk that holds {path} is full ({reason}).",
                          "Free some space, then run the same command again; nothing recorded is lost.")
    if "locked" in reason or "busy" in reason:
        return StoreError(f"{path} is locked by another program.", "End that program, then run the same command again.")
    if "readonly" in reason or "unable to open" in reason:
        return StoreError(f"{path} cannot be written ({reason}).", "Make the state directory writable, or choose another.")
    if "no such table" in reason or "no such column" in reason:
        return _foreign(path)
    if "not a database" in reason or "malformed" in reason:
        return StoreError(f"{path} is damaged or not a database ({reason}).",
                          "Restore it from a copy, or use another `state:`.")
    return StoreError(f"{path}: {reason}.")
