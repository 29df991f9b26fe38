"""Attacks under several threats in one round: bounds, enforcement, who takes part, and what is run again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.config import load
from harness.execution.job import Finished
from harness.sandbox.outcomes import Outcome
from harness.store.database import open_database
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, run_round
from harness.tournament.tournament import Tournament
from harness.tracks import Threat
from harness.views.status_reader import StatusReader
from harness.views.submission_reader import SubmissionReader
from tests.e2e import make


class Listener(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.runs: list[Finished] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def finished(self, finished: Finished) -> None:
        self.runs.append(finished)

    def of(self, name: str) -> list[Finished]:
        return sorted((run for run in self.runs if run.job.name == name), key=lambda run: run.job.batch.index)


def rules(root: Path, **given: Any) -> None:
    file = yaml.safe_load((root / "tournament.yaml").read_text())
    file["rules"] = {"batch_size": 10, "time_limit_s": 60, **given}
    (root / "tournament.yaml").write_text(yaml.safe_dump(file))


def run(root: Path) -> Listener:
    listener = Listener()
    run_round(load(root / "tournament.yaml"), Options(), listener, lambda: False)
    return listener


@pytest.fixture
def root(tmp_path) -> Path:
    """An attack that darkens every pixel by its bound, once under each threat."""
    make.tournament(tmp_path, ("defense-mean",))
    for threat in Threat:
        make.entry(tmp_path / "entries" / f"dark-{threat}", "attack-darken", note=threat, metadata={"threat": threat})
    return tmp_path


def test_each_attack_gets_the_bounds_of_its_threat_and_is_held_to_them(root) -> None:
    rules(root, threats={"linf": {"bounds": [4, 8]}, "l2": {"bounds": [100]}, "patch": {"bounds": [8, 7]}})
    listener = run(root)
    has = "and the tournament has linf, l2, patch"
    assert f"dark-unrestricted does not take part: its threat is unrestricted, {has}." in listener.said
    given = {threat: [(run.job.batch.threat, run.job.batch.bound) for run in listener.of(f"dark-{threat}")] for threat in Threat}
    assert given == {"linf": [("linf", 4), ("linf", 8), ("linf", 4)], "l2": [("l2", 100)] * 3,
                     "patch": [("patch", 8), ("patch", 7), ("patch", 8)], "unrestricted": []}
    made = {threat: [run.result for run in listener.of(f"dark-{threat}")] for threat in Threat}
    assert [result.outcome for result in made[Threat.PATCH]] == [Outcome.OK, Outcome.BAD_OUTPUT, Outcome.OK]
    patches = [(result.measured, result.beyond, len(result.refused)) for result in made[Threat.PATCH]]
    assert patches == [(8, 0, 0), (8, 10, 10), (8, 0, 0)]
    assert all(result.outcome is Outcome.OK and result.beyond == 10 for result in made[Threat.L2])
    with Tournament(load(root / "tournament.yaml")) as tournament:
        dataset = tournament.dataset()
        for batch, result in zip(dataset.batches(10, [8]), made[Threat.L2], strict=True):
            assert result.made is not None
            clean = dataset.pixels(batch)
            adversarial, produced = tournament.artifacts.load(result.made.digest, clean)
            norms = np.sqrt(((adversarial.astype(np.int64) - clean) ** 2).sum(axis=(1, 2, 3)))
            assert produced.all()
            assert (norms <= 100).all()
            assert (norms > 100 - math.sqrt(clean[0].size)).all()
        results = load_results(tournament, dataset)
        assert [entry.name for entry in results.attacks] == ["dark-l2", "dark-linf", "dark-patch"]
        assert results.produced.sum(axis=1).tolist() == [30, 30, 20]
        with tournament.read() as transaction:
            reader = SubmissionReader(tournament, transaction)
            notes = {threat: reader.submission(f"dark-{threat}").notes for threat in Threat}
            counts = StatusReader(tournament, transaction).status().kinds
    assert notes[Threat.L2][0].startswith("In 3 of its runs images went beyond their L2 bound (up to ")
    assert notes[Threat.PATCH] == ("In 1 of its runs images went beyond their square (up to 8 pixels); they were refused.",)
    assert notes[Threat.LINF] == notes[Threat.UNRESTRICTED] == ()
    assert (counts[0].kind, counts[0].done) == ("attack", 9)
    assert sum(kind.waiting for kind in counts) == 0


def test_any_change_is_kept_exactly(root) -> None:
    rules(root, threats={"unrestricted": {}})
    listener = run(root)
    runs = listener.of("dark-unrestricted")
    assert [run.job.batch.bound for run in runs] == [255] * 3
    with Tournament(load(root / "tournament.yaml")) as tournament:
        dataset = tournament.dataset()
        for batch, finished in zip(dataset.batches(10, [8]), runs, strict=True):
            assert finished.result.made is not None
            clean = dataset.pixels(batch)
            adversarial, _ = tournament.artifacts.load(finished.result.made.digest, clean)
            assert not adversarial.any(), "darkened by 255"


def started(listener: Listener) -> dict[str, int]:
    names = [run.job.name for run in listener.runs]
    return {name: names.count(name) for name in sorted(set(names))}


def test_a_threat_more_and_other_bounds_run_what_is_new_and_nothing_else(root) -> None:
    rules(root, max_epsilon=[4, 8])
    assert started(run(root)) == {"dark-linf": 3, "defense-mean": 6}
    rules(root, threats={"linf": {"bounds": [4, 8]}, "l2": {"bounds": [100]}})
    assert started(run(root)) == {"dark-l2": 3, "defense-mean": 3}
    rules(root, threats={"linf": {"bounds": [4, 8]}, "l2": {"bounds": [200]}})
    assert started(run(root)) == {"dark-l2": 3, "defense-mean": 3}
    config = load(root / "tournament.yaml")
    with Tournament(config) as tournament, tournament.read() as transaction:
        counts = {kind.kind: (kind.done, kind.waiting) for kind in StatusReader(tournament, transaction).status().kinds}
        assert (counts["attack"], counts["defense"]) == ((6, 0), (9, 0)), "runs under the old bound are none of the round's"
    rules(root, threats={"linf": {"bounds": [4, 8]}, "l2": {"bounds": [100]}})
    assert started(run(root)) == {}
    rules(root, max_epsilon=[4, 8])
    assert started(run(root)) == {}
    engine = open_database(config.database)
    with engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT rules FROM round").scalar_one()
    engine.dispose()
    assert "threats" not in stored


def test_bounds_that_the_images_cannot_reach_change_nothing(root) -> None:
    rules(root, threats={"patch": {"bounds": [9]}})
    with pytest.raises(Exception, match=r"rules\.threats\.patch: 9 is more than images of 8x8 pixels can change by"):
        run(root)
