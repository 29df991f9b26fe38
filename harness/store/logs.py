"""The logs of runs, in a database of their own.

They are the bulk of what a contest keeps and the least of what it queries, so they stay out of ``tournament.db``; one file of
compressed rows instead of a file for each of 899,100 runs. Losing the last second of logs in a power failure is acceptable,
losing a result is not, hence the weaker ``synchronous`` here.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import zstandard

from harness.store.database import connect, explained, is_frozen, use_wal

_CREATE = """CREATE TABLE IF NOT EXISTS log
(run_id INTEGER, attempt INTEGER, data BLOB NOT NULL, PRIMARY KEY (run_id, attempt)) WITHOUT ROWID"""


class LogStore:
    """stdout and stderr tails by (run, attempt).

    Raises:
        StoreError: The database cannot be opened or made.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "logs.db"
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._connection = connect(self.path)
            if not is_frozen(self.path):
                use_wal(self._connection)
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute(_CREATE)
        except (OSError, sqlite3.Error) as error:
            raise explained(self.path, error) from error
        self._compressor = zstandard.ZstdCompressor(level=3)

    def save(self, rows: list[tuple[int, int, str, str]]) -> None:
        """Keep (run id, attempt, stdout, stderr); rows with nothing in both are left out."""
        packed = [(run, attempt, self._compressor.compress(json.dumps([out, err]).encode()))
                  for run, attempt, out, err in rows if out or err]
        if packed:
            with self._lock, self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", packed)

    def load(self, run_id: int) -> list[tuple[int, str, str]]:
        """All kept logs of a run: (attempt, stdout, stderr), oldest attempt first.

        Raises:
            StoreError: They cannot be read.
        """
        try:
            with self._lock:
                rows = self._connection.execute(
                    "SELECT attempt, data FROM log WHERE run_id = ? ORDER BY attempt", (run_id,)).fetchall()
        except sqlite3.Error as error:
            raise explained(self.path, error) from error
        found = []
        for attempt, data in rows:
            out, err = json.loads(zstandard.ZstdDecompressor().decompress(data))
            found.append((attempt, out, err))
        return found

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
