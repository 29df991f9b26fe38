"""Times on different hardware do not compare: what a leaderboard makes of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.contest_size import STAGES
from benchmarks.synthetic import Size, make_tournament, read_tournament
from harness.scoring import View
from harness.scoring.leaderboard import Leaderboard, Row, build_leaderboard
from harness.tournament.hardware import Hardware, compared, kinds_of
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament
from harness.views.leaderboard import columns, footnotes
from tests.helpers import stored

from .test_leaderboard_cache import _Options

HOST = {"machine": "x86_64", "cores": 16, "memory_bytes": 128 << 30}
GPU = HOST | {"gpu": {"index": "0", "name": "H100", "driver": "570", "memory_total_mib": 1000, "clock_mhz": 1980}}
PLAIN, FAST = "16 cores of x86_64, 128 GiB", "H100, 16 cores of x86_64, 128 GiB"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("played")
    make_tournament(root, Size(attacks=3, defenses=2, batches=5, images_per_batch=2))
    with Tournament(read_tournament(root)) as opened:
        opened.submit_configured()
    STAGES["run"](_Options(root))  # type: ignore[arg-type]
    return root


def board(root: Path, on_gpu: Callable[[stored.Run], bool], others: dict[str, Any] = HOST) -> tuple[Leaderboard, dict[str, Any]]:
    """The table where these runs were on a GPU and the others on another slot; times by name and side."""
    runs = stored.runs(root / "state")
    with Tournament(read_tournament(root)) as opened:
        with opened.store.write() as transaction:
            stored.forget_slots(transaction)
            stored.put_on_slot(transaction, "north/gpu0", GPU, [run.id for run in runs if on_gpu(run)])
            stored.put_on_slot(transaction, "south/cpu0", others, [run.id for run in runs if not on_gpu(run)])
        made = build_leaderboard(load_results(opened, opened.dataset()), View.STANDARD, resamples=20)
    times: dict[str, Any] = {}
    for run in runs:
        times.setdefault(run.name, {}).setdefault(on_gpu(run), []).append(run.wall_s)
    return made, {name: {side: statistics.median(each) for side, each in found.items()} for name, found in times.items()}


def all_rows(made: Leaderboard) -> list[Row]:
    return [row for rows in made.tracks.values() for row in rows]


def test_times_of_a_kind_that_ran_every_entry_are_compared(played: Path) -> None:
    # Most runs are on a GPU, and one batch of everybody is not.
    made, times = board(played, lambda run: run.position != 0)
    for row in all_rows(made):
        assert row.by_hardware == pytest.approx({FAST: times[row.name][True], PLAIN: times[row.name][False]})
        assert row.median_time_s == pytest.approx(times[row.name][True])
        assert row.to_json()["by_hardware"] == dict(row.by_hardware or {})
        assert Row.from_json(row.to_json()) == row
    assert [each.title for each in columns("defense", made.tracks["defense"]) if each.title.startswith("sec")] == ["sec"]
    assert f"sec: median per batch on {FAST}, which ran every entry; `harness show NAME` has the times on other hardware." in (
        footnotes(made))


def test_a_kind_that_ran_everybody_stands_before_one_with_more_runs(played: Path) -> None:
    made, times = board(played, lambda run: run.name.startswith("d") or run.position > 0 or run.name == "a001")
    assert {row.name for row in all_rows(made) if (row.by_hardware or {})[PLAIN] is None} == {"a001", "d000", "d001"}
    assert all(row.median_time_s == pytest.approx(times[row.name][True]) for row in all_rows(made))


def test_where_none_ran_everybody_each_kind_has_a_column(played: Path) -> None:
    made, times = board(played, lambda run: run.name.startswith("d"))
    for row in all_rows(made):
        assert row.median_time_s is None
        assert row.by_hardware == {FAST: times[row.name].get(True), PLAIN: times[row.name].get(False)}
    for track, unknown in (("defense", "sec b"), ("attack", "sec a")):
        rows = made.tracks[track]
        shown = {each.title: [each.cell(row) for row in rows] for each in columns(track, rows) if each.title.startswith("sec")}
        assert list(shown) == ["sec a", "sec b"]
        assert {title for title, cells in shown.items() if set(cells) == {"-"}} == {unknown}
    assert f"sec: median per batch on different hardware, whose times do not compare (a: {FAST}; b: {PLAIN})." in footnotes(made)


@pytest.mark.parametrize(("on_gpu", "others"), [
    (lambda run: True, HOST), (lambda run: run.position > 0, GPU)], ids=["nobody was on the other", "two machines of a kind"])
def test_one_kind_is_as_it_always_was(played: Path, on_gpu: Callable[[stored.Run], bool], others: dict[str, Any]) -> None:
    made, _ = board(played, on_gpu, others)
    runs = stored.runs(played / "state")
    assert {row.name: row.median_time_s for row in all_rows(made)} == pytest.approx(
        {row.name: statistics.median(run.wall_s for run in runs if run.name == row.name) for row in all_rows(made)})
    assert all("by_hardware" not in row.to_json() for row in all_rows(made))
    assert "sec: median per batch." in footnotes(made)


def test_a_run_whose_slot_nobody_has_described_is_of_no_kind(played: Path) -> None:
    last = max(run.id for run in stored.runs(played / "state"))
    board(played, lambda run: run.position != 0)
    with Tournament(read_tournament(played)) as opened:
        with opened.store.write() as transaction:
            stored.put_on_slot(transaction, None, {}, [last])
            found = Hardware.read(transaction)
        ids = np.array([last, last + 5])
        assert found.times(ids, np.ones(2)) == {}
        assert list(found.times(np.array([last - 1]), np.ones(1)).values()) == [(1, 1.0)]


def test_a_kept_table_has_them(played: Path) -> None:
    board(played, lambda run: run.position != 0)
    with Tournament(read_tournament(played)) as opened:
        first, second = (load_leaderboards(opened, opened.dataset)[View.STANDARD] for _ in range(2))
    assert first == second
    assert all(row.by_hardware for row in all_rows(first))


def described(memory_gib: float | None, cores: int = 16, gpu: str | None = None) -> dict[str, Any]:
    memory = None if memory_gib is None else round(memory_gib * (1 << 30))
    return HOST | {"memory_bytes": memory, "cores": cores} | ({"gpu": {"name": gpu}} if gpu else {})


@pytest.mark.parametrize(("facts", "kinds"), [
    ([described(125.7), described(125.6), described(126.0)], 1),
    ([described(15.65), described(15.64), described(15.49)], 1),
    ([described(7.7), described(7.4)], 1),
    ([described(126), described(63)], 2),
    ([described(16), described(12), described(16)], 2),
    ([described(16), described(16, cores=8)], 2),
    ([described(16), described(16, gpu="H100"), described(15.9, gpu="H100"), described(16, gpu="H200")], 3),
    ([described(None), described(None), described(16)], 2),
], ids=["after an update", "on both sides of a rounding", "small", "half the memory", "three quarters", "cores", "GPUs", "unknown"])
def test_machines_that_are_alike_are_of_one_kind(facts: list[dict[str, Any]], kinds: int) -> None:
    found = kinds_of(facts)
    assert len(set(found)) == kinds
    assert kinds_of(facts[::-1]) == found[::-1]


def test_one_machine_after_an_update_is_as_it_was(played: Path) -> None:
    made, _ = board(played, lambda run: run.position > 0, GPU | {"memory_bytes": (128 << 30) - (70 << 20)})
    assert all("by_hardware" not in row.to_json() for row in all_rows(made))


A, B = {"a": (5, 1.0)}, {"b": (1, 2.0)}


@pytest.mark.parametrize(("times", "order", "comparable"), [
    ([], [], False),
    ([A, {}], ["a"], True),
    ([A, B], ["a", "b"], False),
    ([A | B, B], ["b", "a"], True),
    ([A | B, A | B], ["a", "b"], True),
    ([{}, {}], [], False),
], ids=["nobody", "one kind", "none ran all", "one ran all", "both ran all", "nothing is known"])
def test_which_kind_is_compared_on(times, order, comparable) -> None:
    assert compared(times) == (order, comparable)
