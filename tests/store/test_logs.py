from __future__ import annotations

import pytest

from harness.errors import StoreError
from harness.store.logs import LogStore


@pytest.fixture
def logs(tmp_path):
    store = LogStore(tmp_path / "logs")
    yield store
    store.close()


def test_every_attempt_is_kept_oldest_first(logs) -> None:
    logs.save([(7, 2, "second", ""), (7, 1, "first", "said"), (8, 1, "", "other")])
    assert logs.load(7) == [(1, "first", "said"), (2, "second", "")]
    assert logs.load(8) == [(1, "", "other")]
    assert logs.load(9) == []


def test_what_said_nothing_takes_no_room(logs) -> None:
    logs.save([(1, 1, "", "")])
    assert logs.load(1) == []


def test_the_same_attempt_again_replaces(logs) -> None:
    logs.save([(1, 1, "a", "")])
    logs.save([(1, 1, "b", "")])
    assert logs.load(1) == [(1, "b", "")]


@pytest.mark.parametrize("text", ["ünïcode ☃", "\x00\x1b[31m", "x" * 65536, "\ud800"],
                         ids=["unicode", "control", "long", "surrogate"])
def test_any_text_comes_back(logs, text) -> None:
    logs.save([(1, 1, text, text)])
    assert logs.load(1) == [(1, text, text)]


def test_a_flood_is_kept_small(logs) -> None:
    logs.save([(run, 1, "the same line\n" * 4000, "") for run in range(50)])
    assert logs.path.stat().st_size + logs.path.with_name("logs.db-wal").stat().st_size < 200_000


def test_another_process_may_read_meanwhile(logs) -> None:
    logs.save([(1, 1, "a", "")])
    other = LogStore(logs.path.parent)
    assert other.load(1) == [(1, "a", "")]
    other.close()


def test_what_is_no_database_is_named(tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "logs.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"logs\.db is damaged or not a database"):
        LogStore(tmp_path / "logs")


def test_damage_that_shows_in_reading_is_named(tmp_path) -> None:
    store = LogStore(tmp_path / "logs")
    store.save([(run, 1, f"{run}" * 3000, "") for run in range(400)])
    store.close()
    store.path.write_bytes(store.path.read_bytes()[:4096] + b"\xff" * 200_000)
    again = LogStore(tmp_path / "logs")
    with pytest.raises(StoreError, match=r"logs\.db is damaged"):
        again.load(200)
    again.close()
