"""Detectors from their entries to stored scores: what they are shown, what is run again, what an older database lacks."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.config import TournamentConfig, load
from harness.scoring import Results
from harness.scoring.detection import separation
from harness.store import round_state, rounds
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, run_round
from harness.tournament.tournament import Tournament
from harness.views.round_reader import RoundReader
from tests.e2e import make
from tests.helpers import stored

BATCHES, BATCH = 3, 10


def config_of(root: Path) -> TournamentConfig:
    config = load(root / "tournament.yaml")
    return config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": "process"})})


def run(root: Path, options: Options = Options()) -> Counter[str]:  # noqa: B008 - frozen
    """Run what is waiting; how many runs each submission had."""
    before = attempts(root)
    summary = run_round(config_of(root), options, Watcher(), lambda: False)
    assert summary.waiting == 0
    return Counter(name for name, *_ in attempts(root) - before)


def attempts(root: Path) -> set[tuple[str, int, int]]:
    """The last attempt of each run: submission, run, number."""
    if not (root / "state" / "tournament.db").exists():
        return set()
    return {(run.name, run.id, run.attempt) for run in stored.runs(root / "state")}


def results(root: Path) -> Results:
    with Tournament(config_of(root)) as tournament:
        return load_results(tournament, tournament.dataset())


def area(found: Results, attack: str) -> float:
    """The AUROC of the first detector on an attack."""
    scores = found.detections
    at = scores.attacks.index(attack)
    shown = scores.shown[at]
    return separation(scores.attacked[0, at, shown], scores.clean[0, at, shown])[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("detectors")
    make.tournament(root, ("attack-copy", "attack-darken", "attack-half", "attack-some", "defense-mean", "detector-level"))
    run(root)
    return root


@pytest.fixture
def again(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "t")
    return tmp_path / "t"


def test_two_runs_a_batch_for_each_attack_that_changed_something(finished) -> None:
    runs = Counter(name for name, *_ in attempts(finished))
    assert runs == {"attack-copy": BATCHES, "attack-darken": BATCHES, "attack-half": BATCHES, "attack-some": BATCHES,
                               "defense-mean": 4 * BATCHES, "detector-level": 4 * BATCHES}
    with Tournament(config_of(finished)) as tournament, tournament.read() as transaction:
        reader = RoundReader(tournament, transaction)
        totals = {member.name: reader.totals(reader.attack_states())[member.id] for member in reader.members}
    assert totals == runs
    found = results(finished)
    assert found.runs.done == found.runs.total == sum(totals.values())


def test_each_changed_image_comes_once_attacked_and_once_clean(finished) -> None:
    inputs = {row.id: row for row in stored.composed(finished / "state")}
    halves = [row for row in inputs.values() if row.kind == round_state.HALF]
    assert len(halves) == 4 * BATCHES
    for source in {round_state.half_of(row.parts) for row in halves}:
        changed = rounds.unpack_bits(inputs[source].changed, BATCH)
        one, other = (np.sign(np.frombuffer(row.parts, np.int32)) for row in halves if round_state.half_of(row.parts) == source)
        assert (one == -other).all()
        assert ((one != 0) == changed).all()


def test_scores_stand_where_the_image_was_shown(finished) -> None:
    found = results(finished)
    assert [entry.name for entry in found.defenses] == ["defense-mean"]
    scores = found.detections
    assert scores.attacks == ("attack-copy", "attack-darken", "attack-half", "attack-some")
    assert scores.detectors == ("detector-level",)
    assert scores.done.all()
    assert scores.shown.sum(axis=1)[:3].tolist() == [0, 30, 0]
    assert 0 < scores.shown[3].sum() < found.produced[3].sum() < 30
    assert np.isneginf(scores.attacked[:, ~scores.shown]).all()
    assert np.isposinf(scores.clean[:, ~scores.shown]).all()
    assert area(found, "attack-darken") == 1
    # The clean score of an image is the same beside whatever attack.
    both = scores.shown[1] & scores.shown[3]
    assert (scores.clean[0, 1, both] == scores.clean[0, 3, both]).all()


def test_scores_are_those_of_their_images_where_a_batch_is_shorter(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-darken", "detector-level"), rules={"batch_size": 13})
    run(tmp_path)
    scores = results(tmp_path).detections
    with Tournament(config_of(tmp_path)) as tournament:
        dataset = tournament.dataset()
        clean = np.concatenate([dataset.pixels(batch) for batch in dataset.batches(13, [8])])
    level = (clean.mean(axis=(1, 2, 3)) - 12) / 25
    assert scores.clean[0, 0] == pytest.approx(np.abs(level - np.round(level)), abs=1e-6)
    assert (scores.attacked != scores.clean).all()


def test_only_what_is_new_is_run(again) -> None:
    assert not run(again)
    make.entry(again / "entries" / "attack-bright", "attack-bright")
    assert run(again) == {"attack-bright": BATCHES, "defense-mean": BATCHES, "detector-level": 2 * BATCHES}
    make.entry(again / "entries" / "detector-other", "detector-level", note="other")
    assert run(again) == {"detector-other": 6 * BATCHES}
    scores = results(again).detections
    assert np.array_equal(*scores.attacked)


def test_results_of_a_detector_are_forgotten_by_attack_and_batch(again) -> None:
    assert run(again, Options(fresh=["detector-level"], fresh_against="attack-some")) == {"detector-level": 2 * BATCHES}
    assert run(again, Options(fresh=["detector-level"], fresh_batch=1)) == {"detector-level": 4}
    assert run(again, Options(fresh=["attack-darken"])) == {"attack-darken": BATCHES}


def test_only_some_submissions(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-darken", "attack-some", "defense-mean", "detector-level"))
    assert run(tmp_path, Options(only=("attack-some",))) == {
        "attack-some": BATCHES, "defense-mean": BATCHES, "detector-level": 2 * BATCHES}
    assert not run(tmp_path, Options(only=("detector-level",)))
    assert not results(tmp_path).detections.done[:, 0].any()


def test_a_database_that_knows_of_no_changes_is_looked_through_for_a_new_detector(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-copy", "attack-some", "attack-darken"))
    run(tmp_path)
    stored.forget_changes(tmp_path / "state")
    digest = next(row.digest for row in stored.composed(tmp_path / "state"))
    (damaged,) = (tmp_path / "state" / "artifacts").rglob(f"{digest}*")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    make.entry(tmp_path / "entries" / "detector-level", "detector-level")
    runs = run(tmp_path)
    assert (runs.pop("detector-level"), sum(runs.values())) == (4 * BATCHES, 1)
    assert results(tmp_path).detections.done.all()
    assert not run(tmp_path)
    assert all(row.changed for row in stored.composed(tmp_path / "state") if row.kind == "adversarial")


def test_halves_are_the_same_when_they_are_made_again(again) -> None:
    def halves() -> set[str]:
        return {row.digest for row in stored.composed(again / "state") if row.kind == round_state.HALF}

    before = halves()
    stored.forget_halves(again / "state")
    assert not halves()
    assert run(again) == {"detector-level": 4 * BATCHES}
    assert halves() == before


def test_defenses_on_mixed_batches_and_detectors_on_halves_beside_each_other(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-darken", "attack-some", "defense-mean", "detector-level"), rules={"mixed_batches": True})
    assert run(tmp_path) == {"attack-darken": BATCHES, "attack-some": BATCHES, "defense-mean": 3 * BATCHES,
                             "detector-level": 4 * BATCHES}
    found = results(tmp_path)
    assert found.run_done.all()
    assert found.detections.done.all()
    assert area(found, "attack-darken") == 1
