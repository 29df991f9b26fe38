"""A state directory of version 0.1.0, kept as a frozen file, opens and keeps its results."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event

from harness.config import load
from harness.errors import StoreError
from harness.formats.result_csv import NO_LABEL, OUT_OF_RANGE
from harness.sandbox.outcomes import NUMBERS, Outcome
from harness.scoring import View
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.scoring.records import record_type, whole
from harness.store.database import open_database
from harness.store.inspection import inspect, standing
from harness.store.lock import writer_lock
from harness.store.models import SCHEMA_VERSION
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament

ASSET = Path(__file__).parent / "assets" / "contest-0.1.0.tar.gz"
ROUNDS = {"newest": None, "qualifying": "qualifying"}


@pytest.fixture
def old(tmp_path) -> Path:
    """The contest as 0.1.0 left it. Of labels 0..9, defense-odd answers 10, -1, 9...9, `eight` and nothing for some classes."""
    with tarfile.open(ASSET) as archive:
        archive.extractall(tmp_path / "contest", filter="data")
    return tmp_path / "contest"


def rows(root: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(root / "state" / "tournament.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def everything(root: Path) -> dict[str, list[tuple]]:
    names = [name for (name,) in rows(root, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {"version": rows(root, "PRAGMA user_version"), **{name: rows(root, f"SELECT * FROM {name}") for name in names}}


def migrated(old: Path) -> dict[str, list[tuple]]:
    open_database(old / "state" / "tournament.db").dispose()
    return everything(old)


def test_labels_are_kept_as_answered_as_far_as_that_is_known(old) -> None:
    before = [np.frombuffer(labels, np.int16) for (labels,) in rows(old, "SELECT labels FROM run ORDER BY id") if labels]
    assert {-1, 32767} < {int(label) for labels in before for label in labels}
    kept = everything(old)
    found = migrated(old)
    assert found["version"] == [(SCHEMA_VERSION,)]
    after = [np.frombuffer(labels, np.int16) for (labels,) in rows(old, "SELECT labels FROM run ORDER BY id") if labels]
    for was, now in zip(before, after, strict=True):
        assert now.tolist() == [{-1: NO_LABEL, 32767: OUT_OF_RANGE}.get(label, label) for label in was.tolist()]
    assert [run[:9] + run[10:-1] for run in found["run"]] == [run[:9] + run[10:] for run in kept["run"]]
    assert [run[-1] for run in found["run"]] == [None if run[9] is None else zlib.crc32(run[9]) for run in found["run"]]
    untouched = set(found) - {"version", "run", "attempt", "summary", "round", "image", "submission", "input", "score", "duel"}
    assert {name: found[name] for name in untouched} == {name: kept[name] for name in untouched}
    assert found["duel"] == []
    assert (found["image"], found["round"]) == ([], [(*row, "{}") for row in kept["round"]])
    assert found["submission"] == [(*row, "linf", "black_box", "", "") for row in kept["submission"]]
    assert found["input"] == [(*row, None) for row in kept["input"]]
    assert [(run, record[:-4]) for run, record in found["score"]] == kept["score"]
    kinds = {record_type(size).itemsize: record_type(size) for size in (5, 10, 20)}
    assert all(whole(np.frombuffer(record, kinds[len(record)])).all() for _, record in found["score"])


def test_what_was_judged_when_labels_were_read_is_judged_anew(old) -> None:
    assert any("lie outside of" in text for (text,) in rows(old, "SELECT evidence FROM attempt"))
    migrated(old)
    evidence = [text for (text,) in rows(old, "SELECT evidence FROM attempt")]
    assert evidence
    assert not any("lie outside of" in text for text in evidence)
    assert any("is not an integer" in text for text in evidence)
    assert all(json.loads(text)["usable"] >= 0 for text in evidence)


def _shown(old: Path, what: str) -> dict:
    return json.loads((old / "shown" / f"{what}.json").read_text())


@pytest.mark.parametrize("name", ROUNDS)
def test_the_tables_are_those_that_it_showed(old, name) -> None:
    with Tournament(load(old / "tournament.yaml")) as tournament:
        boards = load_leaderboards(tournament, tournament.dataset, tuple(View), ROUNDS[name])
        results = load_results(tournament, tournament.dataset(), ROUNDS[name])
    for view in (View.NIPS2017, View.TOOLKIT):
        board, shown = boards[view].to_json(), _shown(old, f"leaderboard-{name}-{view}")
        assert board["runs"] == shown["runs"]
        for track, wanted in shown["tracks"].items():
            facts = ("name", "score", "raw", "worst", "worst_opponent", "coverage", "median_time_s", "outcomes", "rank")
            assert [{fact: row[fact] for fact in facts} for row in board["tracks"][track]] == [
                {fact: row[fact] for fact in facts} for row in wanted]
    shown = _shown(old, f"matrix-{name}")
    correct, hits, produced = (np.array(shown[key]) for key in ("correct", "target_hit", "produced"))
    cells = build_matrix(results).cells
    assert np.array_equal(cells.correct, correct)
    assert np.array_equal(cells.target_hit, hits)
    # RULES.md, section 4: `standard` has changed since.
    images, defenses = 20, len(shown["defenses"])
    wanted = dict(zip(shown["defenses"], correct.sum(axis=0) / produced.sum(), strict=True))
    for at, attack in enumerate(shown["attacks"]):
        earned = hits[at].sum() if attack.startswith("targeted") else (produced[at] - correct[at]).sum()
        wanted[attack] = earned / (images * defenses)
    found = {row.name: row.score for track in boards[View.STANDARD].tracks.values() for row in track}
    assert found == pytest.approx(wanted)


def test_nothing_is_to_be_run_again(old) -> None:
    with Tournament(load(old / "tournament.yaml")) as tournament:
        assert {registered.change for registered in tournament.submit_configured()} == {"same"}
        for name in ROUNDS.values():
            assert tournament.open_round(tournament.dataset(), sandbox="process", name=name).board.complete


def test_a_migrated_database_has_the_tables_of_a_new_one(old, tmp_path) -> None:
    migrated(old)
    open_database(tmp_path / "new" / "state" / "tournament.db").dispose()
    for table in [name for (name,) in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table'")]:
        columns = [row[1:] for row in rows(old, f"PRAGMA table_info({table})")]
        assert columns == [row[1:] for row in rows(tmp_path / "new", f"PRAGMA table_info({table})")], table


#: Ends the process without a word before its n-th statement, or before it commits, for each n in turn.
_KILLED_WHILE_MIGRATING = """
import itertools, os, shutil, sys
from pathlib import Path
from sqlalchemy import Engine, event
from harness.store.database import open_database

def end_before(number):
    steps = itertools.count(1)
    def end(*_):
        if next(steps) == number:
            os._exit(9)
    event.listen(Engine, "before_cursor_execute", end)
    event.listen(Engine, "commit", end)

for number in itertools.count(1):
    path = Path(sys.argv[1], str(number), "tournament.db")
    path.parent.mkdir()
    shutil.copyfile(sys.argv[2], path)
    child = os.fork()
    if child == 0:
        end_before(number)
        open_database(path)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(number - 1)
        break
"""


def test_killed_at_any_step_it_is_migrated_by_the_next(old, tmp_path) -> None:
    places = tmp_path / "killed"
    places.mkdir()
    done = subprocess.run([sys.executable, "-c", _KILLED_WHILE_MIGRATING, str(places), str(old / "state" / "tournament.db")],
                          check=True, capture_output=True, text=True)
    before = everything(old)
    whole = migrated(old)
    steps = int(done.stdout)
    assert steps > 5
    versions = []
    for number in range(1, steps + 1):
        contest = places / f"{number}-contest"
        contest.mkdir()
        (places / str(number)).rename(contest / "state")
        left = everything(contest)
        versions.append(left["version"])
        assert left == (before if left["version"] == [(2,)] else whole)
        assert migrated(contest) == whole
    assert versions.count([(2,)]) >= 5


def test_two_that_open_it_at_once_migrate_it_once(old) -> None:
    before = {label for (labels,) in rows(old, "SELECT labels FROM run") if labels for label in np.frombuffer(labels, np.int16)}
    with ThreadPoolExecutor(4) as pool:
        for db in pool.map(open_database, [old / "state" / "tournament.db"] * 4):
            db.dispose()
    after = {label for (labels,) in rows(old, "SELECT labels FROM run") if labels for label in np.frombuffer(labels, np.int16)}
    assert after == before - {-1} | {NO_LABEL}


def test_one_that_an_older_harness_works_on_is_left_to_it(old) -> None:
    before = everything(old)
    with writer_lock(old / "state"), pytest.raises(StoreError, match=rf"process {os.getpid()}\) is working on"):
        open_database(old / "state" / "tournament.db")
    assert everything(old) == before
    assert migrated(old)["version"] == [(SCHEMA_VERSION,)]


def test_one_that_is_only_inspected_stays_as_it_is(old) -> None:
    path, before = old / "state" / "tournament.db", everything(old)
    files = sorted(path.parent.iterdir())
    with inspect(path) as transaction:
        assert standing(transaction, path) == "earlier"
    assert sorted(path.parent.iterdir()) == files
    assert everything(old) == before


def test_one_that_cannot_be_written_is_said_in_a_sentence(old) -> None:
    before = everything(old)

    def read_only(connection, _record) -> None:
        connection.execute("PRAGMA query_only = ON")

    event.listen(Engine, "connect", read_only)
    try:
        with pytest.raises(StoreError, match="older harness and has to be migrated, but it cannot be written"):
            open_database(old / "state" / "tournament.db", create=False)
    finally:
        event.remove(Engine, "connect", read_only)
    assert everything(old) == before


def test_outcomes_have_the_numbers_that_version_0_1_0_stored(old) -> None:
    assert {outcome.value: number for outcome, number in NUMBERS.items() if number <= 10} == {
        "ok": 0, "exited_nonzero": 1, "time_limit": 2, "memory_limit": 3, "output_limit": 4, "no_output": 5, "bad_output": 6,
        "start_failed": 7, "image_missing": 8, "host_error": 9, "cancelled": 10}
    assert set(NUMBERS) == set(Outcome)
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    migrated(old)
    with Tournament(load(old / "tournament.yaml")) as tournament:
        board = build_leaderboard(load_results(tournament, tournament.dataset()))
    found = {name: count for track in board.tracks.values() for row in track for name, count in row.outcomes.items()}
    assert set(found) == {outcome for (outcome,) in rows(old, "SELECT DISTINCT outcome FROM run")}
