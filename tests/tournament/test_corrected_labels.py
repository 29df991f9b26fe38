"""Labels and label range corrected when all has run: what was answered is judged by those of today, whatever was so when it ran."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from harness.config import load
from harness.dataset.digest import Record, dataset_digest
from harness.sandbox.process import ProcessSandbox
from harness.scoring import View
from harness.scoring.leaderboard import build_matrix
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.helpers import stored

#: Images of classes 0..8; in the first data set those of class 8 are called 7, the highest label that it knows.
SHOWN = [record for record in make.records(20) if record.label <= 8]


def label_as(root: Path, name: str, labels: list[int], label_range: tuple[int, int]) -> None:
    """A data set of the same images and targets with these labels."""
    made = [Record(shown.image_id, label, 1 + shown.target % 7, shown.pixels) for shown, label in zip(SHOWN, labels, strict=True)]
    if not (root / name).exists():
        shutil.copytree(root / "data", root / name)
    lines = [f"{r.image_id},{r.label},{r.target}" for r in made]
    (root / name / "metadata.csv").write_text("\n".join(["ImageId,TrueLabel,TargetClass", *lines]) + "\n")
    described = {"name": name, "digest": dataset_digest(label_range, make.SIZE, made), "label_low": label_range[0],
                 "label_high": label_range[1], "width": make.SIZE[0], "height": make.SIZE[1]}
    (root / name / "dataset.yaml").write_text(yaml.safe_dump(described))


def played(root: Path, dataset: str, round_name: str | None = None) -> tuple[int, dict[str, list]]:
    """How many runs were started, and the tables without times."""
    config = load(root / "tournament.yaml")
    with Tournament(config.model_copy(update={"dataset": root / dataset})) as tournament:
        tournament.submit_configured()
        summary = play_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(round_name), Watcher(),
                            lambda: False)
        boards = load_leaderboards(tournament, tournament.dataset, tuple(View), round_name)
        clean = build_matrix(load_results(tournament, tournament.dataset(), round_name)).clean.correct
    rows = {str(view): sorted((row.name, row.score, row.raw, row.worst, row.coverage) for track in board.tracks.values()
                              for row in track) for view, board in boards.items()}
    return summary.progress.started, {**rows, "clean": clean.tolist()}


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """The same contest twice, each with the first labels (of 0..7), the corrected ones (0..8) and ones counted from 1."""
    both = tmp_path / "corrected", tmp_path / "fresh"
    for root in both:
        make.tournament(root, ("attack-darken", "targeted-step", "defense-mean", "defense-centre"), images=20)
        kept = {record.image_id for record in SHOWN}
        for image in (root / "data" / "images").iterdir():
            if image.stem not in kept:
                image.unlink()
        label_as(root, "data", [min(record.label, 7) for record in SHOWN], (0, 7))
        label_as(root, "right", [record.label for record in SHOWN], (0, 8))
        label_as(root, "from-one", [min(record.label, 7) + 1 for record in SHOWN], (1, 8))
    return both


def test_labels_that_are_damaged_are_judged_by_no_corrected_ones(places) -> None:
    root, fresh = places
    played(root, "data")
    assert played(root, "right")[0] == 0
    damaged = next(run.id for run in stored.runs(root / "state") if run.name == "defense-mean" and run.reads == "clean")
    stored.flip_a_bit(root / "state", "run", "labels", damaged)
    config = load(root / "tournament.yaml")
    with Tournament(config.model_copy(update={"dataset": root / "right"})) as tournament:
        found = load_results(tournament, tournament.dataset())
    assert found.runs.total - found.runs.done == 1
    assert found.clean_done.sum() == found.clean_done.size - 1
    started, tables = played(root, "right")
    assert started == 1
    assert tables == played(fresh, "right")[1]


@pytest.mark.parametrize("corrected", ["right", "from-one"])
@pytest.mark.parametrize("round_name", [None, "final"], ids=["newest", "named"])
def test_corrected_labels_give_the_scores_of_a_fresh_state(places, corrected, round_name) -> None:
    root, fresh = places
    first, before = played(root, "data", round_name and "qualifying")
    again, found = played(root, corrected, round_name)
    started, wanted = played(fresh, corrected, round_name)
    assert (first, again) == (started, 0)
    assert found == wanted
    assert found != before
    if corrected == "right":
        assert found["clean"] == [len(SHOWN)] * 2
        assert before["clean"] != found["clean"]
