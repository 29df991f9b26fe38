"""Which node a job goes to; without a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.engine.ray_engine import RayEngine, _Far, _machines, _why_it_did_not_begin
from harness.engine.remote_node import About
from harness.execution.job import Finished, Job, RunResult, Slot
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome

LIMITS = Limits(time_limit_s=1)


@pytest.fixture
def engine() -> RayEngine:
    found = object.__new__(RayEngine)
    found._nodes = {name: _Far(name, None, About("", token=True, slots=(Slot(f"{name}/cpu0", node=name),))) for name in ("a", "b")}
    found._publish = lambda job: None
    found._images = None
    found._done = []
    return found


def job(run_id: int, **more: Any) -> Job:
    return Job(run_id=run_id, attempt=1, name="entry", track="attack", program=Program("own", "image", None, None), batch=None,
               input_digest=f"input {run_id}", produced=np.ones(1, bool), limits=LIMITS, **more)


def placed(engine: RayEngine, wanted: Job) -> str:
    engine.submit(wanted)
    return next(name for name, node in engine._nodes.items() if (wanted.run_id, wanted.attempt) in node.in_flight)


def ended(engine: RayEngine, wanted: Job, name: str, result: RunResult) -> RunResult:
    node = engine._nodes[name]
    engine._end(node, Finished(wanted, node.slots[0], result))
    return engine._done.pop().result


def test_a_run_that_a_machine_failed_in_goes_to_another_one_even_where_that_has_more_to_do(engine) -> None:
    first = job(1)
    name = placed(engine, first)
    failed = RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail="The disk is full."))
    assert ended(engine, first, name, failed) is failed
    other = ({"a", "b"} - {name}).pop()
    engine._nodes[other].in_flight.update({(number, 1): job(number) for number in range(10, 16)})
    assert engine._nodes[other].room < 0 < engine._nodes[name].room
    assert placed(engine, replace(first, attempt=2)) == other
    # One that has not failed there has nothing against it.
    assert placed(engine, job(2)) == name


def test_why_a_machine_did_not_begin_is_said_in_one_line() -> None:
    told = "The actor died.\n\tTo disable worker killing, set `RAY_memory_monitor_refresh_ms` to zero. Since 2.56, ..."
    assert "memory runs low; with RAY_memory_monitor_refresh_ms=0" in _why_it_did_not_begin(RuntimeError(told))
    assert _why_it_did_not_begin(RuntimeError("The actor died.\n  ...\nValueError: no such thing\n")) == "ValueError: no such thing"


def test_a_machine_keeps_its_name_whoever_comes_and_goes() -> None:
    names: dict[str, str] = {}

    def named(*ids: str) -> set[str]:
        there = [{"NodeID": each, "NodeManagerHostname": "host", "Alive": True, "Resources": {"CPU": 1}} for each in ids]
        return set(_machines(there, names))

    assert named("aaaaaaaa", "bbbbbbbb") == {"host-aaaaaa", "host-bbbbbb"}
    assert named("bbbbbbbb") == {"host-bbbbbb"}
    names.clear()
    assert named("aaaaaaaa") == {"host"}
    assert named("aaaaaaaa", "bbbbbbbb") == {"host", "host-bbbbbb"}
    # Ray was started anew on that machine.
    names.clear()
    assert named("aaaaaaaa") == named("cccccccc") == {"host"}
