"""A defense's ``whitebox.py`` tried as a white-box attack would meet it: in the sandbox, beside the program's own answers.

One that cannot be used costs its attackers their duels, so it is a problem of the defense's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.execution.job import RunResult
from harness.formats.answers import Answers
from harness.sandbox.base import Program, Target
from harness.sandbox.outcomes import POLICY, Outcome
from harness.submission.load import Submission
from harness.submission.problems import Problem
from harness.tournament import white_box_probe
from harness.tracks import Access

_PROBE = Path(white_box_probe.__file__)
_STEP = "docs/submissions.md says what a white-box attack expects of it."
#: Answers of the same net in batches of another size differ where two classes are nearly equal.
_MOST_OTHERS = 0.05
_NO_GRADIENT = {"none": "No gradient passes its logits", "zero": "The gradient of its logits is zero everywhere"}


def judge_white_box(submission: Submission, program: Program, answers: Answers | None, run: Callable[[Program], RunResult],
                    work: Path) -> tuple[list[Problem], list[str]]:
    """Problems and remarks, of what the defense shows to white-box and to grey-box attacks.

    Args:
        submission: Frozen.
        program: Its own.
        answers: What that answered about the batch, where it did.
        run: Runs a program on the same batch, as a defense.
        work: Where the program that tries it may lie.
    """
    problems: list[Problem] = []
    remarks: list[str] = []
    for access, part in ((Access.WHITE_BOX, ""), (Access.GREY_BOX, submission.base)):
        if access in submission.open_to:
            target = Target(submission.digest, part, submission.code_dir)
            found = _Looked(f"{part}/whitebox.py".lstrip("/"), run(_probe(program, target, work)))
            problem, said = found.judged(answers if access is Access.WHITE_BOX else None)
            problems += [] if problem is None else [problem]
            remarks += said
    return problems, remarks


def probe_digest() -> str:
    """The digest of the code image of the program that tries a ``whitebox.py``."""
    return hashlib.sha256(_PROBE.read_bytes()).hexdigest()


def _probe(program: Program, target: Target, work: Path) -> Program:
    place = work / "probe"
    if not place.exists():
        place.mkdir(parents=True)
        shutil.copyfile(_PROBE, place / "probe.py")
        # Its modules must not be in the way of the defense's.
        (place / "run").write_text('#!/bin/sh\nexec python3 probe.py "$@"\n')
        (place / "run").chmod(0o755)
    return replace(program, digest=probe_digest(), code_dir=place, entry_point="run", serves=False, target=target)


class _Looked:
    """What a run of the probe showed of one file."""

    def __init__(self, file: str, result: RunResult) -> None:
        self.file, self.result = file, result
        self.found = _said(result.report.stdout)

    def judged(self, answers: Answers | None) -> tuple[Problem | None, list[str]]:
        """What costs its attackers duels, and what is good to know."""
        if "untried" in self.found:
            return None, [f"{self.file} was not tried, because its image lacks what that needs: {self.found['untried']}."]
        fault = self._fault(answers)
        remarks = []
        if fault is None:
            remarks.append(f"{self.file}: logits of {self.found['classes']} classes; attacks may read "
                           f"{'it' if self.file == 'whitebox.py' else 'the base'} where the tournament has such duels.")
            if (none := _NO_GRADIENT.get(str(self.found["gradient"]))) is not None:
                remarks.append(f"{self.file}: {none}: what gradients do not pass belongs in `transform`.")
        return None if fault is None else Problem(self.file, fault, _STEP), remarks

    def _fault(self, answers: Answers | None) -> str | None:
        if "refused" in self.found:
            return str(self.found["refused"])
        if not self.found:
            words = self.result.report.stderr.strip().splitlines()[-1:] or [self.result.report.detail]
            outcome = self.result.outcome
            sentence = "" if outcome in {Outcome.OK, Outcome.EXITED_NONZERO} else f"{POLICY[outcome].sentence} "
            return f"its target could not be asked: {sentence}{words[0]}"
        if self.found["gradient"] == "not finite":
            return "the gradient of its logits is not finite."
        return None if self.found.get("randomised") else self._other_labels(answers)

    def _other_labels(self, answers: Answers | None) -> str | None:
        labels, count = self.result.answers, self.result.expected
        enough = (1 - _MOST_OTHERS) * count
        if self.found["same"] < enough:
            return (f"the largest of `logits(transform(x))` is what `predict` answers for {self.found['same']} of {count} images "
                    "only; check `label_offset`, and what is in `transform`.")
        if labels is None or answers is None or not answers.given.any():
            return None
        same = int(np.count_nonzero(answers.values == labels.values))
        return None if same >= enough else f"`predict` answers as the program itself for {same} of {count} images only."


def _said(stdout: str) -> dict[str, Any]:
    for line in reversed(stdout.splitlines()):
        if line.startswith('{"white box": '):
            try:
                found = json.loads(line)["white box"]
            except (ValueError, RecursionError):
                return {}
            # The target runs in the same program and can print what it likes.
            whole = isinstance(found, dict) and isinstance(found.get("same"), int) and found.keys() >= {"classes", "gradient"}
            told = isinstance(found, dict) and ("refused" in found or "untried" in found)
            return found if whole or told else {}
    return {}
