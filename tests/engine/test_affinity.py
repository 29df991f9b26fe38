"""Which node a job goes to: pure, on nodes as the head has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.ray_engine import _Far
from harness.engine.remote_node import About, Report
from harness.execution.job import Job, RunResult, Slot
from harness.sandbox.base import Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from tests.engine.test_local import make_job

IMAGE = "sha256:base"
JOB = replace(make_job(1), served=True, input_digest="input", program=Program("code", IMAGE, None, "run"))


def node(name: str, **more: Any) -> _Far:
    slots = tuple(Slot(f"{name}/cpu{number}", None, name) for number in range(2))
    return _Far(name, None, About("", token=True, slots=slots), **more)


def opened(**programs: int) -> Report:
    return Report((), programs, {})


LACKS = RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail="no room"))
BUSY = {(run, 1): JOB for run in range(6)}


@pytest.mark.parametrize(("job", "better", "worse"), [
    (JOB, node("a", report=opened(code=1)), node("b", has={"code", IMAGE, "input"})),
    (replace(JOB, served=False), node("b", has={IMAGE, "input"}), node("a", report=opened(code=1))),
    (JOB, node("a", report=opened(code=1)), node("b", report=opened(other=3))),
    (JOB, node("a", has={IMAGE, "input"}), node("b", has={"input"})),
    (JOB, node("a", has={IMAGE, "code"}), node("b", has={IMAGE})),
    (JOB, node("a", has={"input"}), node("b")),
    (JOB, node("a", has={IMAGE}), node("b", in_flight={(1, 1): JOB})),
    (JOB, node("a"), node("b", in_flight={(1, 1): JOB})),
    (JOB, node("a"), node("b", report=opened(code=1), in_flight=BUSY)),
    (JOB, node("a"), node("b", has={"input"}, awaits=Counter([IMAGE]))),
], ids=["open", "open is nothing to a fresh run", "whose program is open", "image and input", "its code too", "input",
        "image before room", "room", "no room", "its image is on the way"])
def test_the_better_node_is_taken(job: Job, better: _Far, worse: _Far) -> None:
    assert better.misfit(job) < worse.misfit(job)


@pytest.mark.parametrize(("lacks", "cannot"), [({IMAGE: LACKS}, True), ({"code": LACKS}, True), ({"sha256:other": LACKS}, False)])
def test_a_node_that_lacks_an_image_is_not_asked_for_it(lacks, cannot) -> None:
    assert (node("a", lacks=lacks).cannot(JOB) is not None) is cannot
