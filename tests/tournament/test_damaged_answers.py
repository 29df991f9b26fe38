"""A bit of a stored answer that a disk has changed: its run counts for nothing, is named, and is made again."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from harness.doctor.database import database
from harness.scoring import View
from harness.store import runs
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, run_round
from harness.tournament.tournament import Tournament
from harness.views.round_reader import RoundReader
from tests.e2e import make
from tests.helpers import stored

from .test_detectors import attempts, config_of


class Listener(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("damaged")
    make.tournament(root, ("attack-darken", "defense-mean", "detector-level"))
    run_round(config_of(root), Options(), Watcher(), lambda: False)
    return root


@pytest.fixture
def root(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "t")
    return tmp_path / "t"


def tables(root: Path) -> dict[str, list]:
    with Tournament(config_of(root)) as tournament:
        board = load_leaderboards(tournament, tournament.dataset, (View.STANDARD,))[View.STANDARD]
    return {track: [(row.name, row.score, row.coverage) for row in rows] for track, rows in board.tracks.items()}


@pytest.mark.parametrize(("name", "counts"), [("detector-level", False), ("defense-mean", True)], ids=["scores", "labels"])
def test_it_is_named_and_made_again(root, name, counts) -> None:
    before, kept = attempts(root), tables(root)
    damaged = next(run.id for run in stored.runs(root / "state") if run.name == name)
    stored.flip_a_bit(root / "state", "run", "labels", damaged)
    with Tournament(config_of(root)) as tournament:
        found = load_results(tournament, tournament.dataset()).runs
        with tournament.read() as transaction:
            reader = RoundReader(tournament, transaction)
            shown = list(runs.labels(transaction, reader.own([reader.member(name)])))
    # Of a defense that labels, a checked record is scored: its labels are read where those of the data set were corrected.
    assert found.total - found.done == (0 if counts else 1)
    assert len(shown) == sum(run.name == name for run in stored.runs(root / "state")) - 1
    (check,) = database(config_of(root))
    assert (check.state, check.what) == ("warn", "1 stored answer is damaged, and count for nothing")
    listener = Listener()
    assert run_round(config_of(root), Options(), listener, lambda: False).progress.finished == 1
    assert f"A stored answer of {name} is damaged and counts for nothing until it is made again." in listener.told
    assert Counter(attempts(root) - before) == {(name, damaged, 2): 1}
    assert tables(root) == kept
    assert [check.state for check in database(config_of(root))] == ["ok"]


def test_damage_to_answers_and_records_at_once(root) -> None:
    kept = tables(root)
    damaged = [run.id for run in stored.runs(root / "state") if run.name == "defense-mean"][:2]
    for run in damaged:
        stored.flip_a_bit(root / "state", "run", "labels", run)
        stored.flip_a_bit(root / "state", "score", "record", run)
    listener = Listener()
    assert run_round(config_of(root), Options(), listener, lambda: False).progress.finished == 2
    assert "2 stored answers of defense-mean are damaged and count for nothing until they are made again." in listener.told
    assert tables(root) == kept


def test_damage_to_what_another_round_counts_is_left_to_that_round(root) -> None:
    """It has the record, which counts there; a round under other limits has results of its own, and nothing is told of it."""
    kept = tables(root)
    damaged = next(run.id for run in stored.runs(root / "state") if run.name == "defense-mean")
    config = config_of(root)
    other = config.model_copy(update={"rules": config.rules.model_copy(update={"time_limit_s": 77})})
    run_round(config, Options(round_name="final"), Watcher(), lambda: False)
    run_round(other, Options(), Watcher(), lambda: False)
    stored.flip_a_bit(root / "state", "run", "labels", damaged)
    listener = Listener()
    assert run_round(other, Options(), listener, lambda: False).progress.finished == 0
    assert not any("damaged" in said for said in listener.told)
    with Tournament(config) as tournament:
        board = load_leaderboards(tournament, tournament.dataset, (View.STANDARD,), "final")[View.STANDARD]
    assert {track: [(row.name, row.score, row.coverage) for row in rows] for track, rows in board.tracks.items()} == kept
    listener = Listener()
    assert run_round(config, Options(round_name="final"), listener, lambda: False).progress.finished == 1
    assert any("defense-mean is damaged" in said for said in listener.told)


def test_a_database_that_sqlite_finds_damaged(root) -> None:
    path = root / "state" / "tournament.db"
    data = bytearray(path.read_bytes())
    data[4096 * 3:4096 * 9] = bytes(4096 * 6)
    path.write_bytes(data)
    (check,) = database(config_of(root))
    assert check.state == "fail"
    assert "damaged" in check.what


def test_there_is_none_yet(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-darken",))
    assert database(config_of(tmp_path)) == []
