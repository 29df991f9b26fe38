"""Every row of the hostile corpus comes out as its table says, and leaves the honest entries and the host as they were."""

from __future__ import annotations

import pytest

from harness.selftest.judge import Verdict
from harness.selftest.run import Findings
from harness.selftest.table import ROWS

from .conftest import QUICK

#: The first item of a sandbox runs the whole corpus: minutes on a loaded machine.
#: Nothing beside it: only then is what it leaves in the engine judged, and its limits are those of a host at rest.
pytestmark = [pytest.mark.timeout(1800), pytest.mark.alone]


def verdict(findings: Findings, name: str) -> Verdict:
    return next(found for found in findings.verdicts if found.row.name == name)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_in_docker(name: str, docker_findings: Findings) -> None:
    assert verdict(docker_findings, name).problems == ()


@pytest.mark.docker
@pytest.mark.slow
def test_scores_beside_them_in_docker(docker_findings: Findings) -> None:
    assert docker_findings.scores == ()


@pytest.mark.docker
@pytest.mark.slow
def test_the_host_after_them_in_docker(docker_findings: Findings) -> None:
    assert docker_findings.host == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in QUICK])
def test_in_processes(name: str, process_findings: Findings) -> None:
    assert verdict(process_findings, name).problems == ()


@pytest.mark.slow
def test_scores_beside_them_in_processes(process_findings: Findings) -> None:
    assert process_findings.scores == ()


@pytest.mark.slow
def test_the_host_after_them_in_processes(process_findings: Findings) -> None:
    assert process_findings.host == ()
