"""What `harness validate` says of a defense's ``whitebox.py``: how it is looked at, what is made of that, and both together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.execution.job import RunResult
from harness.formats.answers import Answers
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.sandbox.process import ProcessSandbox
from harness.sdk import Target
from harness.submission.load import Submission, load
from harness.tournament.dry_run import Trial, try_out
from harness.tournament.white_box_probe import look
from harness.tournament.white_box_trial import judge_white_box

from .test_dry_run import DEFENSE, dataset

__all__ = ["dataset"]

#: Grey images of three shades; the label is one more than the shade's number.
CLASSIFY = DEFENSE.format(body="classify = lambda images: (images[:, 0, 0, 0].astype(int) - 40) // 60 + 1")
WHITE_BOX = """
import torch
class Net:
    label_offset = 1
    def logits(self, pixels):
        shades = torch.tensor([40., 100., 160.]) / 255
        return -(pixels.mean((1, 2, 3))[:, None] - shades).square()
    def predict(self, pixels): return self.logits(pixels).argmax(1).numpy() + 1
load = Net
"""


def entry(place: Path, white_box: str, base: str | None = None) -> Submission:
    root = place / "entry"
    root.mkdir()
    (root / "main.py").write_text(CLASSIFY)
    (root / "main.py").chmod(0o755)
    (root / "whitebox.py").write_text(white_box)
    metadata = {"type": "defense", "container": "none", "entry_point": "main.py"}
    if base is not None:
        (root / "base").mkdir()
        (root / "base" / "whitebox.py").write_text(base)
        metadata["base"] = "base"
    (root / "metadata.json").write_text(json.dumps(metadata))
    return load(root)


def tried(dataset: Any, submission: Submission, limits: Limits | None = None) -> Trial:
    return try_out(submission, dataset, dataset.batches(100, (16,))[0], ProcessSandbox(), limits or Limits(time_limit_s=60.0))


@pytest.mark.field
def test_a_good_one_has_a_remark(dataset, tmp_path: Path) -> None:
    """Its base is another classifier: what that answers is not the program's business."""
    pytest.importorskip("torch")
    trial = tried(dataset, entry(tmp_path, WHITE_BOX, base=WHITE_BOX.replace("return -(", "return (")))
    assert trial.problems == []
    assert "whitebox.py: logits of 3 classes; attacks may read it where the tournament has such duels." in trial.remarks
    assert any(remark.startswith("base/whitebox.py: logits of 3 classes; attacks may read the base") for remark in trial.remarks)


@pytest.mark.parametrize(("white_box", "time_limit_s", "said"), [
    ("import os; os._exit(0)", 60.0, "its target could not be asked: "),
    ("import time; time.sleep(600)", 4.0, "time limit"),
], ids=["leaves", "hangs"])
def test_one_that_sabotages_is_bounded_as_any_program(dataset, tmp_path: Path, white_box, time_limit_s, said) -> None:
    pytest.importorskip("torch")
    trial = tried(dataset, entry(tmp_path, white_box), limits=Limits(time_limit_s=time_limit_s))
    assert [problem.field_or_file for problem in trial.problems] == ["whitebox.py"]
    assert said in trial.problems[0].sentence


class Net:
    """Of images of ones and zeros: class 1 or 0."""

    label_offset = 0

    def logits(self, pixels: Any) -> Any:
        import torch

        means = pixels.mean((1, 2, 3))
        return torch.stack([1 - means, means], 1)

    def predict(self, pixels: Any) -> Any:
        return self.logits(pixels).argmax(1).numpy() + self.label_offset


LOOKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it should be": ({}, {"randomised": False, "classes": 2, "same": 4, "gradient": "finite"}),
    "labels that count from one": ({"label_offset": 1}, {"same": 4}),
    "other labels than its logits'": ({"predict": lambda self, pixels: np.array([1, 0, 0, 0])}, {"same": 2}),
    "adversarial, the last class": ({"predict": lambda self, pixels: np.array([-1, 0, -1, 0])}, {"same": 3}),
    "a transform": ({"transform": lambda self, pixels: 1 - pixels}, {"same": 0, "gradient": "finite"}),
    "a transform that no gradient passes": (
        {"transform": lambda self, pixels: pixels.round(), "randomised": True}, {"randomised": True, "gradient": "finite"}),
    "rounded in its logits": ({"logits": lambda self, pixels: Net.logits(self, pixels.round())}, {"gradient": "zero"}),
    "detached": ({"logits": lambda self, pixels: Net.logits(self, pixels.detach())}, {"gradient": "none"}),
    "of nothing": ({"logits": lambda self, pixels: Net.logits(self, pixels) / (pixels - pixels).abs().sum().sqrt()},
                   {"gradient": "not finite"}),
}


@pytest.mark.parametrize("row", LOOKS)
def test_what_is_looked_at(row: str) -> None:
    torch = pytest.importorskip("torch")
    changed, expected = LOOKS[row]
    pixels = torch.tensor([0.0, 0.0, 1.0, 0.0])[:, None, None, None].expand(4, 3, 2, 2).clone()
    _, found = look(Target(type("Changed", (Net,), changed)()), pixels, torch)
    assert found == found | expected


GOOD = {"randomised": False, "classes": 3, "same": 20, "gradient": "finite"}
JUDGED: dict[str, tuple[dict[str, Any] | str, str, str]] = {
    "all is well": (GOOD, "", "logits of 3 classes"),
    "no gradient": (GOOD | {"gradient": "none"}, "", "No gradient passes its logits"),
    "a gradient of zeros": (GOOD | {"gradient": "zero"}, "", "zero everywhere"),
    "at random": (GOOD | {"randomised": True, "same": 0}, "", "logits of 3 classes"),
    "no torch": ({"untried": "No module named 'torch'"}, "", "was not tried"),
    "one image of twenty is as good as equal": (GOOD | {"same": 19}, "", "logits of 3 classes"),
    "refused": ({"refused": "There is no load."}, "There is no load.", ""),
    "not finite": (GOOD | {"gradient": "not finite"}, "the gradient of its logits is not finite", ""),
    "others than its logits": (GOOD | {"same": 18}, "is what `predict` answers for 18 of 20 images only", ""),
    "says nothing": ("", "its target could not be asked: the last line", ""),
    "says that all is well": ('{"white box": {}}', "its target could not be asked", ""),
    "says nonsense": ('{"white box": [1', "its target could not be asked", ""),
    "says what has no number": ('{"white box": {"classes": 1, "gradient": [], "same": "all"}}', "could not be asked", ""),
    "nested": ('{"white box": ' + "[" * 5000, "its target could not be asked", ""),
}


@pytest.mark.parametrize("row", JUDGED)
def test_one_sentence_each(tmp_path: Path, row: str) -> None:
    said, problem, remark = JUDGED[row]
    text = said if isinstance(said, str) else json.dumps({"white box": said})
    report = RunReport(Ending.FINISHED, exit_code=1, stdout=f"talk\n{text}\n", stderr="first\nthe last line\n")
    answers = Answers(np.zeros(20, np.int16), np.ones(20, bool))

    def run(program: Program) -> RunResult:
        assert program.target is not None
        assert (program.code_dir / program.entry_point).exists()
        return RunResult(outcome=Outcome.EXITED_NONZERO, report=report, expected=20, answers=answers)

    submission = entry(tmp_path, WHITE_BOX)
    found, remarks = judge_white_box(submission, Program("d", None, submission.code_dir, "main.py"), answers, run, tmp_path)
    assert [each.sentence for each in found if problem in each.sentence] == [each.sentence for each in found]
    assert len(found) == bool(problem)
    assert any(remark in each for each in remarks) == bool(remark)


def test_its_labels_are_laid_beside_the_programs_own(tmp_path: Path) -> None:
    report = RunReport(Ending.FINISHED, exit_code=0, stdout=json.dumps({"white box": GOOD}))
    theirs = Answers(np.repeat(np.array([1, 0], np.int16), 10), np.ones(20, bool))

    def run(_: Program) -> RunResult:
        return RunResult(outcome=Outcome.OK, report=report, expected=20, answers=theirs)

    submission = entry(tmp_path, WHITE_BOX)
    own = Answers(np.ones(20, np.int16), np.ones(20, bool))
    found, _ = judge_white_box(submission, Program("d", None, submission.code_dir, "main.py"), own, run, tmp_path)
    assert [each.sentence for each in found] == ["`predict` answers as the program itself for 10 of 20 images only."]
