"""What ends an engine, a part of one, or its beginning: each of these tests has one of its own."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness import __version__
from harness.config import Require
from harness.engine.base import Engine
from harness.engine.far_node import trouble
from harness.engine.ray_engine import RayEngine
from harness.engine.remote_node import About
from harness.errors import EngineError
from harness.sandbox.outcomes import Outcome
from harness.store.recorder import SlotFacts
from tests.e2e.conftest import eventually
from tests.engine.engines import PATIENCE_S, asleep, duty, ended, make_head, results, running
from tests.engine.head import Head

pytestmark = pytest.mark.alone  # one cluster is enough for two cores

SLOTS = 3


@pytest.fixture
def head(tmp_path) -> Head:
    return make_head(tmp_path)


@pytest.fixture(params=["local", "ray"])
def engine(request, head) -> Iterator[Engine]:
    with running(request.param, head, request) as found:
        yield found


@pytest.fixture
def ray_engine(request, head) -> Iterator[Engine]:
    with running("ray", head, request) as found:
        yield found


def test_slots_are_told_apart_and_say_what_they_do(engine, head) -> None:
    assert len({view.slot.name for view in engine.view()}) == engine.usable_slots() == 3
    room = engine.room()
    for run in range(3):
        engine.submit(head.job("sleeps", run_id=run))
    assert engine.room() == room - 3
    assert engine.wait(0.1) == []
    programs = asleep(head, 3)

    def busy() -> bool:
        assert engine.wait(0.1) == []
        return sorted(view.job.run_id for view in engine.view() if view.job is not None) == [0, 1, 2]

    assert eventually(busy, PATIENCE_S)
    engine.stop()
    assert ended(programs)


def test_a_slot_out_for_good_gets_nothing(engine, head) -> None:
    out = [view.slot for view in engine.view()][:2]
    for slot in out:
        engine.rest(slot, math.inf)
    assert engine.usable_slots() == 1
    for run in range(4):
        engine.submit(head.job("attack-copy", run_id=run))
    assert not {finished.slot.name for finished in results(engine, 4).values()} & {slot.name for slot in out}
    engine.rest([view.slot for view in engine.view()][2], math.inf)
    assert (engine.usable_slots(), engine.room()) == (0, 0)


def test_a_lost_node_costs_what_it_was_running(ray_engine, ray_cluster, head) -> None:
    for run in range(3):
        ray_engine.submit(head.job("sleeps", run_id=run))
    ray_engine.wait(0.1)
    programs = asleep(head, 3)
    assert eventually(lambda: ray_engine.wait(0.1) or all(view.job for view in ray_engine.view()), PATIENCE_S)
    by_node = {view.slot.node: view.job.run_id for view in ray_engine.view()}
    told: list[SlotFacts] = []
    ray_engine.tell_facts(told.append)
    removed = ray_cluster.remove(0)
    gone = next(name for name in by_node if name.endswith(removed[:6]))
    (lost,) = results(ray_engine, 1).values()
    assert (lost.job.run_id, lost.result.outcome, lost.result.node_lost) == (by_node[gone], Outcome.HOST_ERROR, True)
    assert lost.result.report.detail == f"node {gone} was lost"
    assert ray_engine.usable_slots() == 2
    (why,) = ray_engine.absent().values()
    assert gone in ray_engine.absent()
    assert why.startswith("lost ")
    assert [json.loads(known.facts).get("lost") for known in told if known.name.startswith(gone)] == [None, True]
    assert sorted(view.job.run_id for view in ray_engine.view()) == sorted(set(by_node.values()) - {by_node[gone]})
    # A machine that joins is put to work.
    ray_cluster.add()
    assert eventually(lambda: ray_engine.wait(0.1) or ray_engine.usable_slots() == SLOTS, PATIENCE_S)
    ray_engine.submit(replace(head.job("attack-copy", run_id=by_node[gone]), attempt=2))
    assert [found.result.outcome for found in results(ray_engine, 1).values()] == [Outcome.OK]
    ray_engine.stop()
    assert ended(programs)


def test_nodes_that_hear_nothing_of_the_head_end_what_they_run(head, ray_cluster) -> None:
    engine = RayEngine(duty(head, silence_s=3.0), ray_cluster.address, lambda job: None)
    try:
        engine.submit(head.job("sleeps"))
        engine.wait(0.1)
        programs = asleep(head, 1)
        engine._beating.set()
        assert ended(programs)
        # As after a partition that heals: the head finds out that they have gone.
        assert [found.result.node_lost for found in results(engine, 1).values()] == [True]
    finally:
        engine.stop()


def test_a_store_that_a_node_does_not_see_is_told_at_the_start(head, ray_cluster) -> None:
    with pytest.raises(EngineError, match=r"does not see the artifact store file:.*object store"):
        RayEngine(replace(duty(head), place=f"file:{head.config.state.parent / 'elsewhere'}"), ray_cluster.address, print)


def test_no_node_with_the_gpu_that_is_asked_for_is_one_sentence_that_names_all(head, ray_cluster) -> None:
    workers = head.config.workers.model_copy(update={"require": Require(gpu="K9000"), "gpus": "auto"})
    asks = head.config.model_copy(update={"workers": workers})
    with pytest.raises(EngineError, match=r"No node of the Ray cluster is usable: (\S+: No GPU of this host is .* K9000.*){3}"):
        RayEngine(replace(duty(head), config=asks), ray_cluster.address, print)


@pytest.mark.parametrize(("version", "mode", "words"), [
    ("2.51.1", "token", "too old"), ("2.60.0", "", "without a token"), ("2.60.0", "disabled", "without a token"),
    (None, "token", r"harness\[ray\]")])
def test_a_cluster_that_anybody_could_use_is_refused(head, monkeypatch, version, mode, words) -> None:
    def installed(name: str) -> str:

        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr("harness.engine.ray_cluster.importlib.metadata.version", installed)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(EngineError, match=words):
        RayEngine(duty(head), "127.0.0.1:1", print)


@pytest.mark.parametrize(("about", "words"), [
    (About(__version__, token=False), "asks for no token"), (About("0.0.1", token=True), "it has harness 0.0.1"),
    (About(__version__, token=True), "")])
def test_a_node_that_cannot_be_trusted_gets_no_work(about, words) -> None:
    assert words in trouble(about)
    assert bool(words) is bool(trouble(about))


def test_ray_is_imported_by_nobody_who_does_not_ask_for_it() -> None:

    code = "import sys, harness.tournament.run_round; sys.exit(bool({'ray', 'obstore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ}).returncode == 0
