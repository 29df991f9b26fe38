"""Answers that are no longer what was stored: which they are, and what becomes of their runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from harness.store import damage, round_state
from harness.store.facade import Store
from harness.store.recorder import NewInput, PlayedDuel, RunFinish, RunStart
from harness.store.values import DONE
from tests.helpers import stored

PARENTS = """
INSERT INTO submission (id, name, version, type, team, baseline, digest, kind, container, container_gpu, entry_point, profile,
                        serves, source, submitted_at, state)
VALUES (1, 'asks', 1, 'attack', '', 0, 'd1', 'directory', '', '', 'run', 'legacy', 0, '', 0, 'active');
INSERT INTO batch VALUES (1, 't', 'c', 'd', 3, 16);
INSERT INTO conditions VALUES (1, '{"cpus": 1}');
INSERT INTO conditions VALUES (2, '{"cpus": 2}');
INSERT INTO conditions VALUES (3, '{"cpus": 1, "repeat": 2}');
"""
DUEL, ANSWERED, NOTHING = 1, 2, 3
#: Of a round: the submission with conditions of its runs.
MEMBERS = {(1, 1)}


@pytest.fixture
def state(tmp_path) -> Path:
    """A duel by queries, a run that answered, and one that did not."""
    with closing(Store(tmp_path)) as store:
        with store.write() as transaction:
            for statement in PARENTS.strip().split(";")[:-1]:
                transaction.connection.execute(text(statement))
            for run in (DUEL, ANSWERED, NOTHING):
                round_state.add_inputs(transaction, [NewInput(run, 1, "clean", str(run), b"x", 0)])
        with closing(store.logs()) as logs, closing(store.recorder(logs)) as recorder:
            for run in (DUEL, ANSWERED, NOTHING):
                recorder.put(RunStart(run, 1, run, 1, 1, 5.0, new=True), RunFinish(
                    run, 1, DONE, "ok", None, bytes(range(200)) if run == ANSWERED else None, 3, 1.0, 0.1, None, None,
                    record=b"record", duel=PlayedDuel("ok", 1.0, 2, bytes(12), bytes(36)) if run == DUEL else None))
    return tmp_path


def damaged(state: Path, runs: list[int] | None = None) -> list[int]:
    with closing(Store(state)) as store, store.read() as transaction:
        return damage.damaged(transaction, runs)


def test_what_is_as_it_was_stored_is_sound(state) -> None:
    assert damaged(state) == damaged(state, [DUEL, ANSWERED, NOTHING]) == []
    with closing(Store(state)) as store, store.write() as transaction:
        assert not damage.reopen(transaction, MEMBERS)
        assert damage.malformed(transaction) == []


@pytest.mark.parametrize(("table", "column", "run"), [
    ("run", "labels", ANSWERED), ("duel", "counts", DUEL), ("duel", "findings", DUEL)])
def test_one_bit_is_noticed_and_its_run_is_open_again(state, table, column, run) -> None:
    stored.flip_a_bit(state, table, column, run)
    assert damaged(state) == damaged(state, [DUEL, ANSWERED, NOTHING]) == [run]
    assert damaged(state, [NOTHING]) == []
    with closing(Store(state)) as store, store.write() as transaction:
        assert ANSWERED not in round_state.labels_of(transaction, [ANSWERED]) or run != ANSWERED
        assert damage.reopen(transaction, MEMBERS) == {"asks": 1}
        assert list(round_state.unfinished_runs(transaction).values()) == [(run, 1)]
        assert damage.damaged(transaction) == []
    assert [each.id for each in stored.runs(state) if each.done] == [each for each in (DUEL, ANSWERED, NOTHING) if each != run]


@pytest.mark.parametrize("value", ["'ab'", "''", "7", "0"])
def test_an_answer_that_is_no_longer_bytes_is_damaged(state, value) -> None:
    """The type of a value is a few bits of the row's header."""
    with closing(Store(state)) as store, store.write() as transaction:
        transaction.connection.execute(text(f"UPDATE run SET labels = {value} WHERE id = {ANSWERED}"))
    assert damaged(state) == damaged(state, [ANSWERED]) == [ANSWERED]


@pytest.mark.parametrize(("conditions", "members", "named"), [
    (2, MEMBERS, {}), (1, {(2, 1)}, {}), (3, MEMBERS, {"asks": 1}), (3, {(1, 2)}, {}),
], ids=["under other conditions", "of another submission", "an audit's repeat", "a repeat under other conditions"])
def test_what_other_rounds_alone_count_is_left_to_them(state, conditions, members, named) -> None:
    """What was kept of the answer counts there as before; the answer itself is shown nowhere."""
    stored.flip_a_bit(state, "run", "labels", ANSWERED)
    with closing(Store(state)) as store, store.write() as transaction:
        transaction.connection.execute(text(f"UPDATE run SET conditions_id = {conditions} WHERE id = {ANSWERED}"))
        assert damage.reopen(transaction, members) == named
        kept = transaction.connection.scalars(text(f"SELECT record FROM score WHERE run_id = {ANSWERED}")).all()
        assert kept == ([] if named else [b"record"])
        assert damage.damaged(transaction) == ([] if named else [ANSWERED])
