"""`harness validate`'s run on a batch, with the process sandbox."""

from __future__ import annotations

import json
import py_compile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from harness.dataset.load import Batch, Dataset
from harness.dataset.load import load as load_dataset
from harness.dataset.write import Plan, write_dataset
from harness.errors import EngineError as EngineEnded
from harness.sandbox.base import Limits
from harness.sandbox.process import ProcessSandbox
from harness.submission.load import load
from harness.tournament.dry_run import Trial, _at_least, _judge_share, _unread, program_of, try_out
from harness.tracks import Threat

ATTACK = "#!/usr/bin/env python3\nfrom harness.sdk import run_attack\n\n{body}\n\nrun_attack(attack)\n"
DEFENSE = "#!/usr/bin/env python3\nimport numpy as np\nfrom harness.sdk import run_defense\n\n{body}\n\nrun_defense(classify)\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "flat"
    plans = [Plan(f"image-{n}", n % 3 + 1, (n + 1) % 3 + 1, "", lambda n=n: np.full((4, 4, 3), 40 + 60 * (n % 3), np.uint8))  # type: ignore[misc]
             for n in range(6)]
    write_dataset(root, plans, label_range=(1, 3), size=(4, 4), classes=(), source="test")
    return load_dataset(root)


def tried(dataset: Dataset, place: Path, kind: str, code: str, *, serves: bool = True, baseline: bool = False,
          batch: Batch | None = None) -> Trial:
    entry = place / "entry"
    entry.mkdir()
    (entry / "main.py").write_text(code)
    (entry / "main.py").chmod(0o755)
    (entry / "metadata.json").write_text(json.dumps(
        {"type": kind, "container": "none", "entry_point": "main.py", "baseline": baseline,
         "protocol": "serve" if serves else "run"}))
    return try_out(load(entry), dataset, batch or dataset.batches(100, (16,))[0], ProcessSandbox(), Limits(time_limit_s=60.0))


def test_a_deterministic_attack_is_the_same_served_and_one_shot(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images + epsilon"))
    assert trial.problems == []
    assert any("Largest change of a pixel: 16 of 16" in remark for remark in trial.remarks)
    assert not any("differ" in remark for remark in trial.remarks)


def test_beyond_epsilon_costs_nothing(dataset: Dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images + 2 * epsilon"))
    assert trial.problems == []
    assert any("Largest change of a pixel: 32 of 16" in remark for remark in trial.remarks)
    assert any("clips what exceeds the bound, without penalty" in remark for remark in trial.remarks)


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


def test_an_entry_point_without_its_exec_bit_runs_and_is_remarked(dataset: Dataset, tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "main.py").write_text(ATTACK.format(body="attack = lambda images, epsilon: images + 1"))
    (entry / "main.py").chmod(0o644)
    (entry / "metadata.json").write_text(json.dumps({"type": "attack", "container": "none", "entry_point": "main.py"}))
    batch = dataset.batches(100, (16,))[0]
    trial = try_out(load(entry), dataset, batch, ProcessSandbox(), Limits(time_limit_s=60.0))
    assert trial.problems == []
    assert "main.py is not executable; the copy that runs is (profile legacy)." in trial.remarks
    assert (entry / "main.py").stat().st_mode & 0o111 == 0


def test_what_metadata_say_without_effect(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("main.py", "inner/net.py"):
        (tmp_path / name).write_text("")
    said = {"type": "defense", "container": "none", "entry_point": "main.py", "base": "inner", "Protokol": "serve"}
    (tmp_path / "metadata.json").write_text(json.dumps(said))
    assert _unread(load(tmp_path, name="d")) == [
        "metadata.json: unknown field 'Protokol'. Did you mean `protocol`?",
        "base: there is no whitebox.py in 'inner', so that grey-box attacks do not meet this defense."]
    (tmp_path / "inner" / "whitebox.py").write_text("")
    (tmp_path / "metadata.json").write_text(json.dumps({**said, "Protokol": 1, "protocol": "run"}))
    assert _unread(load(tmp_path, name="d")) == []


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


RIGHT = "(images[:, 0, 0, 0].astype(int) - 40) // 60 + 1"
FINDINGS = {
    "nothing changed": ("attack", "attack = lambda images, epsilon: images", "output", "No pixel of any image was changed"),
    "everything resized": (
        "attack", ("attack = None\nimport sys\nfrom pathlib import Path\nfrom PIL import Image\n"
        "for path in Path(sys.argv[1]).glob('*.png'):\n"
        "    Image.open(path).resize((8, 8)).point(lambda v: v + 9).save(Path(sys.argv[2]) / path.name)\nsys.exit(0)"),
        "output", "every image has another size"),
    "one answer": ("defense", "classify = lambda images: np.full(len(images), 2)", "labels", "every answer is 2"),
    "no better than guesses": ("defense", f"classify = lambda images: 4 - ({RIGHT})", "labels", "4 of 12 are right"),
    "all out of range": ("defense", f"classify = lambda images: {RIGHT} + 500", "labels", "lie outside of 1..3"),
}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "flat"
    plans = [Plan(f"image-{n:02}", n % 3 + 1, (n + 1) % 3 + 1, "", lambda n=n: np.full((4, 4, 3), 40 + 60 * (n % 3), np.uint8))  # type: ignore[misc]
             for n in range(12)]
    write_dataset(root, plans, label_range=(1, 3), size=(4, 4), classes=(), source="test")
    return load_dataset(root)


@pytest.mark.parametrize("name", FINDINGS)
def test_what_costs_points_is_a_problem(larger: Dataset, tmp_path: Path, name: str) -> None:
    kind, body, field, words = FINDINGS[name]
    trial = tried(larger, tmp_path, kind, (ATTACK if kind == "attack" else DEFENSE).format(body=body), serves=False)
    assert [problem.field_or_file for problem in trial.problems] == [field]
    assert words in trial.problems[0].sentence


def test_a_baseline_may_change_nothing(larger: Dataset, tmp_path: Path) -> None:
    code = ATTACK.format(body="attack = lambda images, epsilon: images")
    trial = tried(larger, tmp_path, "attack", code, serves=False, baseline=True)
    assert trial.problems == []
    assert "No pixel of any image was changed." in trial.remarks


@pytest.mark.parametrize(("share", "problems", "remarks"), [(0.5, 0, 0), (0.71, 0, 1), (0.94, 0, 1), (0.96, 1, 0)])
def test_most_of_a_limit_is_a_remark_and_nearly_all_a_problem(share, problems, remarks) -> None:
    trial = Trial(result=None)
    _judge_share(trial, "time", share, "Do less.")
    assert (len(trial.problems), len(trial.remarks)) == (problems, remarks)


@pytest.mark.parametrize(("successes", "trials", "share", "probability"), [
    (0, 5, 0.5, 1.0), (5, 5, 0.5, 1 / 32), (1, 2, 0.5, 0.75), (2, 100, 0.001, 0.004638)])
def test_the_probability_of_a_guess(successes, trials, share, probability) -> None:
    assert _at_least(successes, trials, share) == pytest.approx(probability, rel=1e-3)


def test_few_images_tell_nothing(dataset: Dataset, tmp_path: Path) -> None:
    """Six right answers of three classes are one chance in 729: nobody is accused on such a batch."""
    trial = tried(dataset, tmp_path, "defense", DEFENSE.format(body=f"classify = lambda images: 4 - ({RIGHT})"), serves=False)
    assert [problem.sentence for problem in trial.problems if "guessing" in problem.sentence] == []


def test_a_failure_of_the_host_is_no_problem_of_the_entry(dataset: Dataset, tmp_path: Path, monkeypatch) -> None:
    def broken(*_args, **_options):
        raise EngineEnded("the engine is gone")

    monkeypatch.setattr(ProcessSandbox, "run", broken)
    with pytest.raises(EngineEnded, match="not its fault: the engine is gone"):
        tried(dataset, tmp_path, "attack", ATTACK.format(body="attack = lambda images, epsilon: images + 1"), serves=False)


class Beyond(NamedTuple):
    """What an attack does to images of 4x4 pixels, and what is said of it."""

    threat: Threat
    bound: int
    attack: str
    remarks: tuple[str, ...]
    problems: tuple[str, ...] = ()


ONE_CORNER = "made = images.copy(); made[:, :{0}, :{0}] += 30; return made"
#: 7 added to each of 48 values has the norm 48.5.
BEYOND = {
    "within an l2 norm": Beyond(Threat.L2, 49, "return images + 7", ("Largest L2 norm of a change: 49 of 49 allowed.",)),
    "beyond an l2 norm": Beyond(Threat.L2, 48, "return images + 7", (
        "Largest L2 norm of a change: 49 of 48 allowed.",
        "The harness scales back what exceeds the bound, without penalty, here in 12 of 12 images")),
    "within a patch": Beyond(Threat.PATCH, 2, ONE_CORNER.format(2), ("Largest side of a changed square: 2 of 2 allowed.",)),
    "beyond a patch": Beyond(Threat.PATCH, 2, ONE_CORNER.format(3), (
        "Largest side of a changed square: 3 of 2 allowed.", "12 of 12 images changed outside of one square: they are refused."),
        ("12 refused, image-00 for one: its changes span 3x3 pixels, and a square of 2x2 may change.",)),
    "any change": Beyond(Threat.UNRESTRICTED, 255, "return 255 - images",
                         ("Largest change of a pixel: 175 of 255 allowed.",)),
    "no change at all": Beyond(Threat.UNRESTRICTED, 255, "return images", ("Largest change of a pixel: 0 of 255 allowed.",),
                               ("No pixel of any image was changed.",)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_how_far_beyond_an_attack_goes_and_what_is_done_about_it(larger: Dataset, tmp_path: Path, name: str) -> None:
    case = BEYOND[name]
    code = ATTACK.format(body=f"def attack(images, bound):\n    assert bound == {case.bound}\n    {case.attack}")
    batch = larger.batches(100, {case.threat: (case.bound,)})[0].under(case.threat)
    trial = tried(larger, tmp_path, "attack", code, serves=False, batch=batch)
    told = [problem.sentence for problem in trial.problems]
    assert [words for words in case.problems if words not in told] == [], told
    assert bool(told) == bool(case.problems), told
    assert [words for words in case.remarks if not any(words in remark for remark in trial.remarks)] == [], trial.remarks


DETECTOR = "#!/usr/bin/env python3\nimport numpy as np\nfrom harness.sdk import run_detector\n\n{body}\n\nrun_detector(detect)\n"
ROUGHNESS = "np.abs(np.diff(images.astype(float), axis=1)).mean(axis=(1, 2, 3))"


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("more") / "flat"
    plans = [Plan(f"image-{n}", 1, 2, "", lambda n=n: np.full((4, 4, 3), 40 + n, np.uint8)) for n in range(12)]  # type: ignore[misc]
    write_dataset(root, plans, label_range=(1, 3), size=(4, 4), classes=(), source="test")
    return load_dataset(root)


@pytest.mark.parametrize(("body", "problem"), [
    (f"detect = lambda images: {ROUGHNESS}", None),
    (f"detect = lambda images: -{ROUGHNESS}", "higher must mean adversarial"),
    ("detect = lambda images: np.zeros(len(images))", "every score is 0, whatever the image"),
])
def test_a_detector_is_tried_on_a_half_and_half_batch(flat: Dataset, tmp_path: Path, body: str, problem: str | None) -> None:
    trial = tried(flat, tmp_path, "detector", DETECTOR.format(body=body))
    assert [found.field_or_file for found in trial.problems] == (["scores"] if problem else [])
    assert problem is None or problem in trial.problems[0].sentence
    assert problem or any("AUROC on this batch" in remark and "1.00" in remark for remark in trial.remarks)
    assert not any("differ" in remark for remark in trial.remarks)


def test_scores_that_are_missing_or_not_finite_are_named(flat: Dataset, tmp_path: Path) -> None:
    trial = tried(flat, tmp_path, "detector", """#!/usr/bin/env python3
import os, sys
names = sorted(os.listdir(sys.argv[1]))
open(sys.argv[2], "w").writelines(f"{name},{'nan' if n < 2 else n}\\n" for n, name in enumerate(names[1:]))
""", serves=False)
    told = " ".join(f"{problem.sentence}" for problem in trial.problems)
    assert "1 of 12 scores are missing." in told
    assert "'nan' is not a finite number" in told
