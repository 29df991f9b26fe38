"""A job and its result travel: another machine, which shares nothing but the artifact store, performs it to the same end."""

from __future__ import annotations

import pickle
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.config import load as load_config
from harness.dataset.load import load as load_dataset
from harness.engine.node import Node
from harness.execution.job import Finished, Job, Opponent
from harness.sandbox.base import Limits, Target
from harness.sandbox.outcomes import Outcome
from harness.sandbox.process import ProcessSandbox
from harness.store.artifacts import ArtifactStore, artifact_name
from harness.store.transfer import FetchedCode, StoredPixels
from tests.e2e import make
from tests.engine.head import SLOT, Head, hold


@pytest.fixture(params=["file", "s3"])
def head(request, tmp_path) -> Head:
    config = load_config(make.tournament(tmp_path))
    place = f"file:{tmp_path / 'shared'}" if request.param == "file" else request.getfixturevalue("object_server").place()
    return Head(config, load_dataset(config.dataset), place)


@pytest.fixture
def machine(head, request):
    """Another machine: its own state directory, no data set, no entries."""
    with ExitStack() as stack:
        def make_machine(name: str) -> Node:
            state = head.state(name)
            (state / "work").mkdir(parents=True)
            blobs = head.blobs(name)
            node = Node.here(head.config.model_copy(update={"state": state, "dataset": Path("/nowhere")}), StoredPixels(blobs),
                             ProcessSandbox(state / "work"), ArtifactStore(blobs), [SLOT],
                             code=FetchedCode(blobs, state / "submissions"))
            stack.callback(node.close)
            return node

        yield make_machine


def travelled(node: Node, job: Job) -> Finished:
    return pickle.loads(pickle.dumps(node.perform(pickle.loads(pickle.dumps(job)), hold)))


def test_what_one_machine_makes_another_one_answers_about(head, machine) -> None:
    north, south = machine("north"), machine("south")
    made = travelled(north, head.job("attack-darken")).result
    assert (made.outcome, made.report.detail, made.usable) == (Outcome.OK, "", 10)
    answered = travelled(south, head.job("defense-mean", made.made.digest, made.made.produced)).result
    assert (answered.outcome, answered.usable) == (Outcome.OK, 10)

    # The machine that has the data set and the entries itself comes to the same.
    sandbox = ProcessSandbox(head.config.state / "work")
    here = Node.here(head.config, head.dataset, sandbox, ArtifactStore(head.blobs("head")), [SLOT])
    try:
        again = here.perform(head.job("attack-darken"), hold).result
        assert again.made.digest == made.made.digest
        own = here.perform(head.job("defense-mean", made.made.digest, made.made.produced), hold).result
        assert np.array_equal(own.answers.values, answered.answers.values)
    finally:
        here.close()


def test_the_true_labels_never_leave_the_head(head) -> None:
    job = head.job("attack-darken")
    labels = head.dataset.batches(10, [16])[0].labels
    assert not hasattr(job.batch, "labels")
    assert labels.tobytes() not in pickle.dumps(job)


@pytest.mark.parametrize("head", ["s3"], indirect=True)  # a directory is read where it is
def test_what_a_machine_has_it_asks_for_once(head, machine, object_server) -> None:
    node = machine("north")
    job, again = head.job("defense-mean"), head.job("defense-centre")
    assert travelled(node, job).result.outcome is Outcome.OK
    object_server.requests.clear()
    assert travelled(node, job).result.outcome is Outcome.OK
    assert object_server.requests == []
    assert travelled(node, again).result.outcome is Outcome.OK
    assert not [path for _, path in object_server.requests if "/images/" in path]


def test_a_damaged_artifact_is_told_by_the_machine_that_reads_it(head, machine) -> None:
    north, south = machine("north"), machine("south")
    made = travelled(north, head.job("attack-darken")).result.made
    job = head.job("defense-mean", made.digest, made.produced)
    head.blobs("vandal").set_aside(artifact_name(made.digest, head.dataset.pixels(job.batch)))
    result = travelled(south, job).result
    assert (result.outcome, result.corrupt_input) == (Outcome.HOST_ERROR, made.digest)
    travelled(north, head.job("attack-darken"))
    assert travelled(south, job).result.outcome is Outcome.OK


def test_code_that_cannot_be_had_is_the_hosts_failure(head, machine) -> None:
    job = head.job("attack-darken")
    head.blobs("vandal").set_aside(f"code/{job.program.digest}")
    result = travelled(machine("north"), job).result
    assert result.outcome is Outcome.HOST_ERROR
    assert "cannot be fetched from the store" in result.report.detail


def test_a_machine_is_ended_while_it_performs(head, machine) -> None:
    # One that never ends by itself.
    make.entry(head.config.state.parent / "entries" / "attack-slow", "attack-slow")
    node = machine("north")
    node.cancel()
    result = travelled(node, head.job("attack-slow")).result
    assert result.outcome is Outcome.CANCELLED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("job")]


def test_a_duel_travels_with_the_code_of_both_sides(head, machine) -> None:
    entries = head.config.state.parent / "entries"
    make.entry(entries / "asks", "attack-asks", metadata={"protocol": "serve", "access": "query"})
    make.entry(entries / "serves", "defense-serves", metadata={"protocol": "serve"})
    make.entry(entries / "reads", "attack-reads", metadata={"access": "white_box"})
    (entries / "serves" / "whitebox.py").write_text("# brighter\n")
    asks, serves, reads = (replace(head.job(name), limits=Limits(time_limit_s=60, start_limit_s=60)) for name in (
        "asks", "serves", "reads"))
    program = replace(serves.program, serves=True)
    duel = replace(asks, program=replace(asks.program, serves=True), opponent=Opponent(
        name="serves", track="defense", program=program, limits=serves.limits, budget=8))
    read = replace(reads, program=replace(reads.program, target=Target(program.digest)))
    assert duel.code == {asks.program.digest, program.digest}
    assert read.code == {reads.program.digest, program.digest}
    done = travelled(machine("north"), duel).result
    assert (done.outcome, done.report.detail) == (Outcome.OK, "")
    assert done.duel.counts.min() >= 4
    assert len(done.duel.findings.image)
    made = travelled(machine("south"), read).result
    assert (made.outcome, made.report.detail, made.usable) == (Outcome.OK, "", 10)
