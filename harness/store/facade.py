"""The store as the rest of the harness has it: one object that is open, and two ways in.

``read()`` and ``write()`` each give a ``Transaction``, which the commands and queries of this package take as their first
argument (``submissions``, ``rounds``, ``round_state``, ...). They answer with plain values: no SQL, no session and no row leaves
the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from harness.store.database import explain, open_database

# Imported where they are asked for: who reads a kept table needs no recorder.
if TYPE_CHECKING:
    from harness.store.logs import LogStore
    from harness.store.recorder import Recorder


class Transaction:
    """An open transaction. ``session`` and ``connection`` are for the modules of this package alone."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def connection(self) -> Connection:
        """Of the session, for queries that make no objects."""
        return self.session.connection()


class Store:
    """The database and the files of one state directory.

    Args:
        state: The state directory.
        create: Whether to make it where it is absent.

    Raises:
        StoreError: It cannot be used.
    """

    def __init__(self, state: Path, *, create: bool = True) -> None:
        self.state = state
        self.database = state / "tournament.db"
        self.engine = open_database(self.database, create=create)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One snapshot for all that is read, whoever writes meanwhile.

        Raises:
            StoreError: The database cannot be read.
        """
        with explain(self.database), Session(self.engine) as session:
            # The driver begins none before a SELECT: a run read late could name an input that was not read early.
            session.connection().exec_driver_sql("BEGIN")
            yield Transaction(session)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """All that is written in it, or nothing; nobody else writes meanwhile.

        Raises:
            StoreError: The database cannot be written.
        """
        with explain(self.database), Session(self.engine) as session, session.begin():
            # At once, not at the first change: what is decided here follows from what is read here.
            session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield Transaction(session)

    def logs(self) -> LogStore:
        """What runs printed; whoever asks closes it."""
        from harness.store.logs import LogStore  # noqa: PLC0415

        return LogStore(self.state / "logs")

    def recorder(self, logs: LogStore) -> Recorder:
        """The writer of runs; whoever asks closes it."""
        from harness.store.recorder import Recorder  # noqa: PLC0415

        return Recorder(self.engine, logs, self.database)
