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
from tests.engine.engines import make_head, results, running
from tests.engine.head import Head

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


@pytest.mark.parametrize("standing", ["local", "ray"], indirect=True)
def test_an_image_that_no_machine_has_is_the_submissions_fault_and_one_machines_alone_is_not(standing) -> None:
    said = []
    for _ in range(3 if standing.kind == "ray" else 1):
        job = replace(standing.job("attack-copy"), program=Program("ab" * 32, "sha256:absent", None, None))
        (finished,) = standing.done(job)
        said.append((finished.slot.node, finished.result.outcome))
        if finished.result.outcome is Outcome.HOST_ERROR:
            assert finished.result.report.detail.startswith(f"node {finished.slot.node}: ")
    assert [outcome for _, outcome in said] == [*[Outcome.HOST_ERROR] * (len(said) - 1), Outcome.IMAGE_MISSING]
    assert len({node for node, _ in said}) == len(said)
