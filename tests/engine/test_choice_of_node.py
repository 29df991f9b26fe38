"""Which node a job goes to, and what a node is called; without a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.far_node import FarNode, why_it_did_not_begin
from harness.engine.ray_cluster import named_machines
from harness.engine.ray_engine import RayEngine
from harness.engine.remote_node import About, Report
from harness.execution.job import Finished, Job, RunResult, Slot
from harness.sandbox.base import Program, RunReport
from harness.sandbox.outcomes import Ending, Outcome
from tests.engine.test_local import make_job

IMAGE = "sha256:base"
JOB = replace(make_job(1), served=True, input_digest="input", program=Program("code", IMAGE, None, "run"))


def node(name: str, *, slots: int = 2, **more: Any) -> FarNode:
    its = tuple(Slot(f"{name}/cpu{number}", None, name) for number in range(slots))
    return FarNode(name, None, About("", token=True, slots=its), **more)


def opened(**programs: int) -> Report:
    return Report((), programs, {})


def failed(detail: str) -> RunResult:
    return RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=detail))


LACKS = failed("no room")
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
    (JOB, node("a", in_flight=BUSY), node("b", report=opened(code=1), failed={1})),
    (JOB, node("a", report=opened(code=1), failed={2}), node("b")),
    (JOB, node("a"), node("b", slots=0, report=opened(code=1))),
], ids=["open", "open is nothing to a fresh run", "whose program is open", "image and input", "its code too", "input",
        "image before room", "room", "no room", "its image is on the way", "this run failed there", "another run failed there",
        "no slot is left"])
def test_the_better_node_is_taken(job: Job, better: FarNode, worse: FarNode) -> None:
    assert better.misfit(job) < worse.misfit(job)


@pytest.mark.parametrize(("lacks", "cannot"), [({IMAGE: LACKS}, True), ({"code": LACKS}, True), ({"sha256:other": LACKS}, False)])
def test_a_node_that_lacks_an_image_is_not_asked_for_it(lacks, cannot) -> None:
    assert (node("a", lacks=lacks).cannot(JOB) is not None) is cannot


@pytest.fixture
def engine() -> RayEngine:
    found = object.__new__(RayEngine)
    found._nodes = {name: node(name, slots=1) for name in ("a", "b")}
    found._publish = lambda job: None
    found._images = None
    found._done = []
    return found


def placed(engine: RayEngine, wanted: Job) -> str:
    engine.submit(wanted)
    return next(name for name, node in engine._nodes.items() if (wanted.run_id, wanted.attempt) in node.in_flight)


def ended(engine: RayEngine, wanted: Job, name: str, result: RunResult) -> RunResult:
    node = engine._nodes[name]
    engine._end(node, Finished(wanted, node.slots[0], result))
    return engine._done.pop().result


def test_a_run_that_a_machine_failed_in_goes_to_another_one_even_where_that_has_more_to_do(engine) -> None:
    first = make_job(1)
    name = placed(engine, first)
    full = failed("The disk is full.")
    assert ended(engine, first, name, full) is full
    other = ({"a", "b"} - {name}).pop()
    engine._nodes[other].in_flight.update({(number, 1): make_job(number) for number in range(10, 16)})
    assert engine._nodes[other].room < 0 < engine._nodes[name].room
    assert placed(engine, replace(first, attempt=2)) == other
    # One that has not failed there has nothing against it.
    assert placed(engine, make_job(2)) == name


def test_why_a_machine_did_not_begin_is_said_in_one_line() -> None:
    told = "The actor died.\n\tTo disable worker killing, set `RAY_memory_monitor_refresh_ms` to zero. Since 2.56, ..."
    assert "low on memory; with RAY_memory_monitor_refresh_ms=0" in why_it_did_not_begin(RuntimeError(told))
    assert why_it_did_not_begin(RuntimeError("The actor died.\n  ...\nValueError: no such thing\n")) == "ValueError: no such thing"


def test_a_machine_keeps_its_name_whoever_comes_and_goes() -> None:
    names: dict[str, str] = {}

    def named(*ids: str) -> set[str]:
        there = [{"NodeID": each, "NodeManagerHostname": "host", "Alive": True, "Resources": {"CPU": 1}} for each in ids]
        return set(named_machines(there, names))

    assert named("aaaaaaaa", "bbbbbbbb") == {"host-aaaaaa", "host-bbbbbb"}
    assert named("bbbbbbbb") == {"host-bbbbbb"}
    names.clear()
    assert named("aaaaaaaa") == {"host"}
    assert named("aaaaaaaa", "bbbbbbbb") == {"host", "host-bbbbbb"}
    # Ray was started anew on that machine.
    names.clear()
    assert named("aaaaaaaa") == named("cccccccc") == {"host"}
