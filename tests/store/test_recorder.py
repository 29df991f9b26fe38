"""The recorder on a real database: order, late results, failures that surface."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from sqlalchemy import text

from harness.errors import StoreError
from harness.store import database
from harness.store.database import open_database
from harness.store.logs import LogStore
from harness.store.recorder import Evidence, Log, NewInput, Recorder, RunFinish, RunStart
from harness.store.values import DONE, OPEN, RUNNING

PARENTS = """
INSERT INTO submission (id, name, version, type, team, baseline, digest, kind, container, container_gpu, entry_point, profile,
                        serves, source, submitted_at, state)
VALUES (1, 'a', 1, 'attack', '', 0, 'd1', 'directory', '', '', 'run', 'legacy', 0, '', 0, 'active');
INSERT INTO batch VALUES (1, 't', 'c', 'd', 3, 16);
INSERT INTO input (id, batch_id, kind, digest, produced, stored_bytes) VALUES (1, 1, 'task', 't', x'E0', 0);
INSERT INTO conditions VALUES (1, '{}');
"""


class Desk:
    """A database with one submission and one batch, and a recorder on it."""

    def __init__(self, tmp_path) -> None:
        self.path = tmp_path / "tournament.db"
        self.db = open_database(self.path)
        with self.db.begin() as connection:
            for statement in PARENTS.strip().split(";")[:-1]:
                connection.execute(text(statement))
        self.logs = LogStore(tmp_path / "logs")
        self.recorder = Recorder(self.db, self.logs, self.path)

    def runs(self) -> list[tuple]:
        with self.db.connect() as connection:
            return [tuple(row) for row in connection.execute(text("SELECT id, state, attempt, outcome FROM run ORDER BY id"))]

    def one(self, query: str) -> object:
        with self.db.connect() as connection:
            return connection.execute(text(query)).scalar()


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    with contextlib.suppress(StoreError):
        made.recorder.close()
    made.logs.close()
    made.db.dispose()


def start(run: int = 1, attempt: int = 1, input_id: int = 1) -> RunStart:
    return RunStart(run, 1, input_id, 1, attempt, 5.0, new=attempt == 1)


def finish(run: int = 1, attempt: int = 1, state: int = DONE, outcome: str = "ok", output: int | None = None,
           record: bytes | None = None) -> RunFinish:
    return RunFinish(run, attempt, state, outcome, output, None, 3, 1.0, 0.1, None, None, record=record)


def test_a_run_from_start_to_end(desk) -> None:
    desk.recorder.put(start())
    desk.recorder.flush()
    assert desk.runs() == [(1, RUNNING, 1, None)]
    desk.recorder.put(finish())
    desk.recorder.flush()
    assert desk.runs() == [(1, DONE, 1, "ok")]


def test_start_and_end_in_one_commit(desk) -> None:
    desk.recorder.put(start(), finish())
    desk.recorder.flush()
    assert desk.runs() == [(1, DONE, 1, "ok")]


def test_a_late_result_of_a_lost_attempt_is_refused(desk) -> None:
    desk.recorder.put(start(), finish(state=OPEN, outcome="host_error"), start(attempt=2))
    desk.recorder.flush()
    desk.recorder.put(finish(attempt=1, outcome="time_limit"))
    desk.recorder.flush()
    assert desk.runs() == [(1, RUNNING, 2, None)]
    assert desk.recorder.refused_late == 1
    desk.recorder.put(finish(attempt=2))
    desk.recorder.flush()
    assert desk.runs() == [(1, DONE, 2, "ok")]


def test_a_second_result_of_the_same_attempt_is_refused(desk) -> None:
    desk.recorder.put(start(), finish())
    desk.recorder.flush()
    desk.recorder.put(finish(outcome="time_limit"))
    desk.recorder.flush()
    assert desk.runs() == [(1, DONE, 1, "ok")]
    assert desk.recorder.refused_late == 1


def test_what_is_scored_is_what_was_accepted(desk) -> None:
    def scored() -> object:
        desk.recorder.flush()
        return desk.one("SELECT group_concat(run_id || record) FROM score")

    desk.recorder.put(NewInput(2, 1, "adversarial", "d", b"\xe0", 10))
    desk.recorder.put(start(), start(2, input_id=2), finish(record=b"first"), finish(2, state=OPEN, outcome="host_error"))
    assert scored() == "1first"
    desk.recorder.put(finish(record=b"second"), finish(2, record=b"late"))
    assert scored() == "1first"
    desk.recorder.put(start(2, 2, 2), finish(2, attempt=1, record=b"late"), finish(2, attempt=2, record=b"again"))
    assert scored() == "1first,2again"
    # What a run made was lost: it has no result until it has made it again.
    desk.recorder.put(start(attempt=2))
    assert scored() == "2again"
    with desk.db.begin() as connection:
        connection.execute(text("DELETE FROM run WHERE id = 2"))
    assert scored() is None


def test_an_attempt_that_fails_and_starts_again_within_one_commit(desk) -> None:
    desk.recorder.put(start(), finish(state=OPEN, outcome="host_error"), start(attempt=2), finish(attempt=2),
                      finish(attempt=1, outcome="no_output"))
    desk.recorder.flush()
    assert desk.runs() == [(1, DONE, 2, "ok")]


def test_what_an_attack_made_stands_before_the_run_that_names_it(desk) -> None:
    desk.recorder.put(start())
    desk.recorder.put(finish(output=2), NewInput(2, 1, "adversarial", "d", b"\xe0", 10))
    desk.recorder.flush()
    assert desk.one("SELECT output_id FROM run") == 2


def test_evidence_and_logs_of_every_attempt_are_kept(desk) -> None:
    desk.recorder.put(start(), finish(state=OPEN, outcome="host_error"),
                      Evidence(1, 1, "host_error", 5.0, "cpu0", None, 0.0, "{}"), Log(1, 1, "out", ""), start(attempt=2),
                      finish(attempt=2, outcome="exited_nonzero"), Evidence(1, 2, "exited_nonzero", 6.0, "cpu1", 3, 1.0, "{}"),
                      Log(1, 2, "", "err"))
    desk.recorder.flush()
    assert desk.one("SELECT group_concat(number || outcome) FROM attempt") == "1host_error,2exited_nonzero"
    assert desk.logs.load(1) == [(1, "out", ""), (2, "", "err")]


def test_the_counter_of_results_grows_with_results_only(desk) -> None:
    before = desk.one("SELECT value FROM counter WHERE name = 'results'")
    desk.recorder.put(start())
    desk.recorder.flush()
    assert desk.one("SELECT value FROM counter WHERE name = 'results'") == before
    desk.recorder.put(finish())
    desk.recorder.flush()
    assert desk.one("SELECT value FROM counter WHERE name = 'results'") == before + 1


def test_closing_commits_what_is_left(desk) -> None:
    desk.recorder.put(start(), finish())
    desk.recorder.close()
    assert desk.runs() == [(1, DONE, 1, "ok")]


def test_a_row_that_cannot_be_is_a_failure_that_surfaces(desk) -> None:
    desk.recorder.put(start(input_id=77))
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        desk.recorder.flush()
    with pytest.raises(StoreError):
        desk.recorder.put(start(2))
    with pytest.raises(StoreError):
        desk.recorder.close()
    assert desk.runs() == []


def test_a_database_that_another_program_holds(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    desk = Desk(tmp_path)
    other = sqlite3.connect(desk.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    desk.recorder.put(start())
    with pytest.raises(StoreError, match="locked by another program"):
        desk.recorder.flush()
    other.rollback()
    other.close()
    with pytest.raises(StoreError):
        desk.recorder.close()
    assert desk.runs() == []
    desk.logs.close()
    desk.db.dispose()


def test_a_full_disk_is_told_as_such(desk) -> None:
    with desk.db.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()

    from sqlalchemy import event

    desk.db.dispose()
    event.listen(desk.db, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count = {pages}"))
    desk.recorder.put(*(NewInput(run + 10, 1, "adversarial", f"{run}" * 50, b"\xe0" * 2000, 10) for run in range(200)))
    with pytest.raises(StoreError, match="is full"):
        desk.recorder.flush()
