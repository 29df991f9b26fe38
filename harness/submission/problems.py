"""What is wrong with something that a person wrote, as data, so that all of it can be reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import SubmissionError


@dataclass(frozen=True)
class Problem:
    """One thing to correct.

    Attributes:
        field_or_file: Where: a field of ``metadata.json``, a file, or what was given on the command line.
        sentence: What is wrong with it.
        next_step: What to do, as an imperative sentence.
    """

    field_or_file: str
    sentence: str
    next_step: str = ""


def raise_all(problems: Sequence[Problem], where: str) -> None:
    """All problems as one error; nothing where there is none.

    Raises:
        SubmissionError: There is at least one problem.
    """
    if not problems:
        return
    sentences = " ".join(f"{problem.field_or_file}: {problem.sentence}" for problem in problems)
    steps = dict.fromkeys(problem.next_step for problem in problems if problem.next_step)
    problem = f"The submission {where} cannot be used. {sentences}"
    raise SubmissionError(problem, " ".join(steps))
