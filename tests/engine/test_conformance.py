"""One contract over every engine: this machine's, and three Ray nodes on it. Real programs, the process sandbox."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from harness.engine.base import Engine
from harness.execution.job import Finished, Job
from harness.sandbox.base import Program
from harness.sandbox.outcomes import Outcome
from tests.engine.engines import make_head, results, running, shared
from tests.engine.head import Head
from tests.engine.images import ImageFiles

pytestmark = pytest.mark.alone  # one cluster is enough for two cores


@dataclass
class Standing:
    """An engine for all tests that leave it as it was: on several nodes it takes ten seconds to come up."""

    engine: Engine
    head: Head
    kind: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def job(self, *args: Any) -> Job:
        return self.head.job(*args, run_id=next(self.numbers))  # type: ignore[misc]

    def done(self, *jobs: Job) -> list[Finished]:
        for job in jobs:
            self.engine.submit(job)
        found = results(self.engine, len(jobs))
        return [found[job.run_id] for job in jobs]


@pytest.fixture(scope="module", params=["local", "ray"])
def standing(request, tmp_path_factory) -> Iterator[Standing]:
    head = make_head(tmp_path_factory.mktemp("standing"))
    with running(request.param, head, request) as found:
        yield Standing(found, head, request.param)


def test_each_job_comes_back_once_with_what_it_made(standing) -> None:
    found = standing.done(*(standing.job(("attack-darken", "attack-copy", "defense-mean")[run % 3]) for run in range(9)))
    assert {finished.result.outcome for finished in found} == {Outcome.OK}, [finished.result.report for finished in found]
    # What one made, whichever machine that was, any other one reads.
    made = found[0].result.made
    assert {found[run].result.made.digest for run in (0, 3, 6)} == {made.digest}
    (answered,) = standing.done(standing.job("defense-mean", made.digest, made.produced))
    assert (answered.result.outcome, answered.result.usable) == (Outcome.OK, 10)
    clean = standing.head.dataset.labels[:10]
    assert np.array_equal(found[2].result.answers.values, clean)
    assert not np.array_equal(answered.result.answers.values, clean)


def test_a_failure_of_the_host_is_its_jobs_alone(standing) -> None:
    failed, good = standing.done(standing.job("defense-mean", "ab" * 32), standing.job("attack-copy"))
    assert (failed.result.outcome, failed.result.corrupt_input) == (Outcome.HOST_ERROR, "ab" * 32)
    assert good.result.outcome is Outcome.OK


@pytest.mark.parametrize("standing", ["ray"], indirect=True)
def test_a_program_goes_again_where_it_has_been(standing) -> None:
    assert len({standing.done(standing.job("attack-noise"))[0].slot.node for _ in range(4)}) == 1


def with_image(standing: Standing, entry: str, ident: str, here: bool = True) -> Job:
    """A job of an entry whose base image the head has, or has not."""
    if here:
        ImageFiles(standing.head.config.state / "image-files", shared(standing.head)).add(ident)
    job = standing.job(entry)
    return replace(job, program=replace(job.program, image=ident))


@pytest.mark.parametrize("standing", ["ray"], indirect=True)
def test_an_image_goes_once_from_the_head_to_each_machine_that_needs_it(standing) -> None:
    found = standing.done(*(with_image(standing, name, "sha256:at-head")
                            for name in ("attack-copy", "attack-darken", "defense-mean", "attack-noise") * 3))
    assert {finished.result.outcome for finished in found} == {Outcome.OK}, [finished.result.report for finished in found]
    nodes = {finished.slot.node for finished in found}
    machines = ImageFiles(standing.head.config.state / "image-files", shared(standing.head))
    assert (machines.done("saved-sha256:at-head"), machines.done("loaded-sha256:at-head")) == (1, len(nodes))


@pytest.mark.parametrize("standing", ["ray"], indirect=True)
def test_a_registry_spares_the_head_the_saving(standing) -> None:
    (finished,) = standing.done(with_image(standing, "attack-copy", "sha256:registry"))
    assert finished.result.outcome is Outcome.OK
    machines = ImageFiles(standing.head.config.state / "image-files", shared(standing.head))
    assert (machines.done("pulled"), machines.done("saved-sha256:registry")) == (1, 0)


@pytest.mark.parametrize("standing", ["ray"], indirect=True)
def test_a_machine_that_cannot_load_an_image_is_not_asked_again_and_others_go_on(standing) -> None:
    (failed,) = standing.done(with_image(standing, "attack-copy", "sha256:once"))
    node, result = failed.slot.node, failed.result
    assert (result.outcome, result.others_may, result.nobody_can) == (Outcome.HOST_ERROR, True, False)
    assert result.report.detail == f"node {node}: There is no room for it."
    again = standing.done(*(with_image(standing, "attack-copy", "sha256:once") for _ in range(6)))
    assert {finished.result.outcome for finished in again} == {Outcome.OK}
    assert node not in {finished.slot.node for finished in again}
    others = standing.done(*(standing.job("attack-noise") for _ in range(9)))
    assert node in {finished.slot.node for finished in others}


@pytest.mark.parametrize("standing", ["ray"], indirect=True)
def test_an_image_that_no_machine_can_load_is_one_sentence_that_names_all(standing) -> None:
    said = [standing.done(with_image(standing, "attack-copy", "sha256:never"))[0].result for _ in range(4)]
    assert [(result.outcome, result.nobody_can) for result in said] == [
        (Outcome.HOST_ERROR, last) for last in (False, False, True, True)]
    assert said[2].report.detail == said[3].report.detail
    assert said[3].report.detail.startswith("No node can get the image of attack-copy: ")
    assert said[3].report.detail.count("There is no room for it.") == 3
    machines = ImageFiles(standing.head.config.state / "image-files", shared(standing.head))
    assert (machines.done("saved-sha256:never"), machines.done("loaded-sha256:never")) == (1, 3)


@pytest.mark.parametrize("standing", ["local", "ray"], indirect=True)
def test_an_image_that_no_machine_has_is_the_submissions_fault_and_one_machines_alone_is_not(standing) -> None:
    said = []
    for _ in range(3 if standing.kind == "ray" else 1):
        job = replace(standing.job("attack-copy"), program=Program("ab" * 32, "sha256:absent", None, None))  # nor the head
        (finished,) = standing.done(job)
        said.append((finished.slot.node, finished.result.outcome))
        if finished.result.outcome is Outcome.HOST_ERROR:
            assert finished.result.report.detail.startswith(f"node {finished.slot.node}: ")
    assert [outcome for _, outcome in said] == [*[Outcome.HOST_ERROR] * (len(said) - 1), Outcome.IMAGE_MISSING]
    assert len({node for node, _ in said}) == len(said)
