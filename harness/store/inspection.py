"""Looking at a database without touching it: nothing is made beside it, migrated or recovered, whichever version it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from harness.store.database import BUSY_TIMEOUT_S, check_tables, explain, of_no_use, unreadable
from harness.store.facade import Transaction
from harness.store.migrations import ADDED, STEPS
from harness.store.models import SCHEMA_VERSION
from harness.store.values import crc_of


def in_use(path: Path) -> bool:
    """Whether somebody has a database open, or was killed while he had."""
    return path.with_name(f"{path.name}-wal").exists()


def standing(transaction: Transaction, path: Path) -> Literal["empty", "earlier", "ours"]:
    """Whether somebody was killed before he made its tables, the next command that opens it migrates it, or it is as today's are.

    Raises:
        StoreError: This harness cannot use it.
    """
    version, tables = (transaction.connection.exec_driver_sql(question).scalar_one() for question in (
        "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"))
    if not version and not tables:
        return "empty"
    if version != SCHEMA_VERSION and version not in STEPS:
        raise of_no_use(path, version)
    check_tables(transaction.connection, path, ADDED if version in STEPS else ())
    return "earlier" if version in STEPS else "ours"


@contextmanager
def inspect(path: Path) -> Iterator[Transaction]:
    """A database file as it lies there.

    Raises:
        StoreError: It cannot be read, or is none.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise unreadable(path, error) from None
    # Even to read a WAL database SQLite makes two files beside it, and a reader does not remove them. Without them nobody has it
    # open, and they are not needed.
    target = f"{path.absolute().as_uri()}?mode=ro{'' if in_use(path) else '&immutable=1'}"
    engine = create_engine("sqlite://", poolclass=NullPool,
                           creator=lambda: sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT_S))
    event.listen(engine, "connect", lambda connection, _: connection.create_function("crc", -1, crc_of, deterministic=True))
    try:
        with explain(path), Session(engine) as session:
            yield Transaction(session)
    finally:
        engine.dispose()
