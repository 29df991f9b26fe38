"""The synthetic tournament is a real one: its scores from the store equal a direct count, also after an interruption."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contest_size
from benchmarks.all import main as all_of_them
from benchmarks.synthetic import NullExecutor, Size, made_by, make_tournament, read_tournament
from harness.engine.local import LocalEngine
from harness.engine.node import Node
from harness.execution.job import Slot
from harness.scheduling.scheduler import Scheduler
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.store.logs import LogStore
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament

SIZE = Size(attacks=9, defenses=4, batches=3, images_per_batch=12)


def test_importing_the_program_runs_nothing() -> None:
    assert importlib.import_module("benchmarks.__main__").main is all_of_them


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tournament(tmp_path, SIZE)
    with Tournament(read_tournament(tmp_path)) as tournament:
        tournament.submit_configured()
    return tmp_path


def run(root: Path, steps: int = 100_000) -> int:
    """Step a while; what is then in flight stays "running" in the database, as after a kill."""
    with Tournament(read_tournament(root)) as tournament:
        round_ = tournament.open_round(tournament.dataset(), sandbox="process")
        logs = LogStore(tournament.config.state / "logs")
        recorder = tournament.store.recorder(logs)
        node = Node(NullExecutor(round_.lineup.batches))
        engine = LocalEngine(node, [Slot("cpu0"), Slot("cpu1")])
        scheduler = Scheduler(round_.lineup, round_.board, round_.store_state, engine, recorder)
        for _ in range(steps):
            if not scheduler.step():
                break
        recorder.close()
        engine.stop()
        node.close()
        logs.close()
        return scheduler.progress.finished


def counted(tournament: Tournament) -> dict[str, np.ndarray]:
    """Every pair's counts, from the made-up labels themselves."""
    dataset = tournament.dataset()
    counts = {name: np.zeros((SIZE.attacks, SIZE.defenses), int) for name in ("labelled", "correct", "target_hit")}
    batches = dataset.batches(SIZE.images_per_batch, (4, 8, 12, 16))
    executor = NullExecutor(batches)
    for batch in batches:
        for attack in range(SIZE.attacks):
            made = made_by(f"a{attack:03d}", batch)
            for defense in range(SIZE.defenses):
                labels = executor.labels(f"d{defense:03d}", made.digest, batch, made.produced)
                counts["labelled"][attack, defense] += (labels >= 0).sum()
                counts["correct"][attack, defense] += (labels == batch.labels).sum()
                counts["target_hit"][attack, defense] += (labels == batch.targets).sum()
    return counts


@pytest.mark.parametrize("stops", [[], [1, 7, 30]])
def test_scores_from_the_store_equal_a_direct_count(root: Path, stops: list[int]) -> None:
    finished = sum(run(root, steps) for steps in stops) + run(root)
    assert finished == SIZE.runs
    assert run(root) == 0
    with Tournament(read_tournament(root)) as tournament:
        matrix = build_matrix(load_results(tournament, tournament.dataset()))
        for name, expected in counted(tournament).items():
            np.testing.assert_array_equal(getattr(matrix.cells, name), expected, err_msg=name)
        board = build_leaderboard(load_results(tournament, tournament.dataset()), resamples=10)
        assert board.runs.done == board.runs.total == SIZE.runs


def test_each_stage_of_the_benchmark_runs(root: Path) -> None:
    options = argparse.Namespace(root=root, slots=2)
    assert contest_size.STAGES["plan"](options)["runs"] == SIZE.runs
    assert contest_size.STAGES["run"](options)["runs"] == SIZE.runs
    first = contest_size.STAGES["score"](options)
    assert contest_size.STAGES["forget"](options) == {"dropped": 3}
    second = contest_size.STAGES["score"](options)
    assert first["digest"] == second["digest"]
