"""Judging by itself: a row that is silent, or finds something, or comes out otherwise, does not pass."""

from __future__ import annotations

import numpy as np
import pytest

from harness.dataset.load import UnlabelledBatch
from harness.execution.job import Job, RunResult
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.selftest.judge import Seen, judge, judge_refusal
from harness.selftest.row import Row, one_of

HUNT = Row("hunt", "looks", one_of(Outcome.OK), hunts=True)
CONTROL = Row("control", "is shown", one_of(Outcome.OK), finds=("a file", "a port"))


def seen(stderr: str = "", outcome: Outcome = Outcome.OK, usable: int = 2, refused: int = 0) -> Seen:
    labels = np.zeros(2, np.int32)
    batch = UnlabelledBatch(index=0, ids=("a", "b"), targets=labels, bound=16, clean_digest="c", task_digest="t")
    job = Job(run_id=1, attempt=1, name="x", track="attack", program=Program("d", None, None, None), batch=batch, input_digest="",
              produced=np.ones(2, bool), limits=Limits())
    report = RunReport(Ending.FINISHED, exit_code=0, stderr=stderr)
    return Seen(job, RunResult(outcome=outcome, report=report, usable=usable, expected=2,
                               refused={str(n): "why" for n in range(refused)}), labels)


@pytest.mark.parametrize(("row", "found", "passes"), [
    (HUNT, seen("refused x\nHUNT COMPLETE 1\n"), True),
    (HUNT, seen("refused x\n"), False),
    (HUNT, seen(""), False),
    (HUNT, seen("HUNT COMPLETE 0\n"), False),
    (HUNT, seen("FOUND x\nHUNT COMPLETE 1\n"), False),
    (HUNT, seen("HUNT COMPLETE 1\n", usable=1), False),
    (HUNT, seen("HUNT COMPLETE 1\n", refused=1), False),
    (HUNT, seen("HUNT COMPLETE 1\n", Outcome.TIME_LIMIT), False),
    (HUNT, seen("HUNT COMPLETE 1\n", Outcome.HOST_ERROR), False),
    (CONTROL, seen("FOUND a file\nFOUND a port 7\nHUNT COMPLETE 2\n"), True),
    (CONTROL, seen("FOUND a file\nrefused a port\nHUNT COMPLETE 2\n"), False),
])
def test_a_run(row: Row, found: Seen, passes: bool) -> None:
    assert judge(row, [found]).passed is passes


LOADS = Row("loads", "loads", one_of(*Outcome), "any", "any", check="only_saboteurs_cost")


def met(**changed: tuple[Outcome, int]) -> list[Seen]:
    """What came of its duels, as it should; with some that did not."""
    duels = {"honest-mean": (Outcome.OK, 2), "honest-median": (Outcome.OK, 2), "target-that-hangs": (Outcome.TIME_LIMIT, 2),
             "target-that-ends-its-reader": (Outcome.EXITED_NONZERO, 2), "target-that-removes-outputs": (Outcome.NO_OUTPUT, 0),
             "target-that-leaves-processes": (Outcome.BAD_OUTPUT, 1)}
    duels |= {name.replace("_", "-"): came for name, came in changed.items()}
    return [seen(f"OPPONENT {name}\n", outcome, usable) for name, (outcome, usable) in duels.items()]


def test_a_saboteur_costs_its_own_duel_and_no_other() -> None:
    assert judge(LOADS, met()).passed
    assert not judge(LOADS, met()[1:]).passed, "the honest one was never met"
    assert not judge(LOADS, met(honest_median=(Outcome.OK, 1))).passed
    assert not judge(LOADS, met(honest_mean=(Outcome.TIME_LIMIT, 2))).passed
    assert not judge(LOADS, met(target_that_hangs=(Outcome.TIME_LIMIT, 1))).passed
    assert not judge(LOADS, met(target_that_removes_outputs=(Outcome.OK, 2))).passed


def test_a_row_that_never_ran() -> None:
    assert not judge(HUNT, []).passed


def test_a_refusal() -> None:
    row = Row("r", "climbs", sentence="it holds the path")
    assert judge_refusal(row, "The archive x is refused: it holds the path '../x'.").passed
    assert not judge_refusal(row, "Something else.").passed
    assert not judge_refusal(row, None).passed
