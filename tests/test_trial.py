"""`harness validate`'s run on a batch, with the process sandbox."""

from __future__ import annotations

import json
import py_compile
from pathlib import Path

import numpy as np
import pytest

from harness.dataset import Dataset
from harness.dataset import load as load_dataset
from harness.dataset_write import Plan, write_dataset
from harness.sandbox.base import Limits
from harness.sandbox.process import ProcessSandbox
from harness.submission import load
from harness.trial import Trial, program_of, try_out

ATTACK = "#!/usr/bin/env python3\nfrom harness.sdk import run_attack\n\n{body}\n\nrun_attack(attack)\n"
DEFENSE = "#!/usr/bin/env python3\nimport numpy as np\nfrom harness.sdk import run_defense\n\n{body}\n\nrun_defense(classify)\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "flat"
    plans = [Plan(f"image-{n}", n % 3 + 1, (n + 1) % 3 + 1, "", lambda n=n: np.full((4, 4, 3), 40 + 60 * (n % 3), np.uint8))
             for n in range(6)]
    write_dataset(root, plans, label_range=(1, 3), size=(4, 4), classes=(), source="test")
    return load_dataset(root)


def tried(dataset: Dataset, place: Path, kind: str, code: str) -> Trial:
    entry = place / "entry"
    entry.mkdir()
    (entry / "main.py").write_text(code)
    (entry / "main.py").chmod(0o755)
    (entry / "metadata.json").write_text(json.dumps(
        {"type": kind, "container": "none", "entry_point": "main.py", "protocol": "serve"}))
    batch = dataset.batches(100, (16,))[0]
    return try_out(load(entry), dataset, batch, ProcessSandbox(), Limits(time_limit_s=60.0))


def test_a_deterministic_attack_is_the_same_served_and_one_shot(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images + epsilon"))
    assert trial.problems == []
    assert any("Largest change of a pixel: 16 of 16" in remark for remark in trial.remarks)
    assert not any("differ" in remark for remark in trial.remarks)


def test_beyond_epsilon_and_no_change(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images + 2 * epsilon"))
    assert [problem.field_or_file for problem in trial.problems] == ["epsilon"]
    assert "up to 32 away" in trial.problems[0].sentence


def test_a_crash_shows_the_end_of_stderr(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images / 2"))
    run = trial.problems[0]
    assert run.field_or_file == "run: exited_nonzero"
    assert "must return a uint8 array" in run.next_step
    assert any(problem.field_or_file.startswith("serving") for problem in trial.problems)


def test_on_a_gpu_it_runs_as_it_will_in_the_contest(dataset: Dataset, tmp_path: Path) -> None:
    body = ("import os\ndef attack(images, epsilon):\n    assert os.environ['CUDA_VISIBLE_DEVICES'] == 'GPU-a'\n"
            "    return images + 1")
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "main.py").write_text(ATTACK.format(body=body))
    (entry / "main.py").chmod(0o755)
    (entry / "metadata.json").write_text(json.dumps(
        {"type": "attack", "container": "none", "container_gpu": "with-cuda", "entry_point": "main.py"}))
    submission, batch = load(entry), dataset.batches(100, (16,))[0]
    assert try_out(submission, dataset, batch, ProcessSandbox(), Limits(time_limit_s=60.0), "GPU-a").problems == []
    assert try_out(submission, dataset, batch, ProcessSandbox(), Limits(time_limit_s=60.0)).problems
    assert (program_of(submission, gpu=True).image, program_of(submission).image) == ("with-cuda", "none")


def test_labels_off_by_one(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "defense", DEFENSE.format(
        body="classify = lambda images: (images[:, 0, 0, 0].astype(int) - 40) // 60"))
    assert [problem.field_or_file for problem in trial.problems] == ["labels"]
    assert "one too low" in trial.problems[0].sentence


def test_a_program_without_its_source_is_tried_as_it_would_run(dataset: Dataset, tmp_path: Path) -> None:
    """The frozen copy runs: what is left out of it is not there, and what is not left out is."""
    entry = tmp_path / "entry"
    (entry / ".git").mkdir(parents=True)
    code = ATTACK.format(body="attack = lambda images, epsilon: images + epsilon")
    (entry / "source.py").write_text(code)
    py_compile.compile(str(entry / "source.py"), str(entry / "main.pyc"))
    py_compile.compile(str(entry / "source.py"), str(entry / "source.pyc"))
    (entry / "run").write_text('#!/bin/sh\nif [ -e source.pyc ] || [ -e .git ]; then exit 3; fi\nexec python3 main.pyc "$@"\n')
    (entry / "run").chmod(0o755)
    (entry / "metadata.json").write_text(json.dumps({"type": "attack", "container": "none", "entry_point": "run"}))
    trial = try_out(load(entry), dataset, dataset.batches(100, (16,))[0], ProcessSandbox(), Limits(time_limit_s=60.0))
    assert trial.problems == []
    assert [remark for remark in trial.remarks if "Left out" in remark] == [
        "Left out of its code: 1 `.git`.", "Left out of its code: 1 compiled Python files that lie beside their source."]
