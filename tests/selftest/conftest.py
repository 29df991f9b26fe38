"""The corpus run once for each sandbox; a test item for each row looks at what came of it."""

from __future__ import annotations

import pytest

from harness.sandbox.process import ProcessSandbox
from harness.scoring import Results
from harness.selftest.run import TIME_LIMIT_S, Findings, examine
from harness.selftest.table import ROWS
from tests.conftest import built, docker_problem

#: What the process sandbox promises too, and shows in seconds.
QUICK = tuple(row for row in ROWS if row.process)


@pytest.fixture(scope="session")
def docker_findings() -> Findings:
    if reason := docker_problem():
        pytest.skip(reason)
    from harness.sandbox.docker import DockerSandbox

    built("light")
    sandbox = DockerSandbox()
    try:
        # Half as much again as the command gives: twice as many programs as cores run beside whatever else the host does.
        return examine(ROWS, sandbox, time_limit_s=1.5 * TIME_LIMIT_S)
    finally:
        sandbox.api.close()


@pytest.fixture(scope="session")
def process_findings(tmp_path_factory) -> Findings:
    return examine(QUICK, ProcessSandbox(tmp_path_factory.mktemp("scratch")))


@pytest.fixture(scope="session")
def honest_in_docker() -> Results | None:
    """The honest entries' own tournament, where nothing is open: once for all tests that open something."""
    from harness.sandbox.docker import DockerSandbox

    built("light")
    sandbox = DockerSandbox()
    try:
        return examine((), sandbox, time_limit_s=20).alone
    finally:
        sandbox.api.close()


@pytest.fixture(scope="session")
def honest_in_processes(tmp_path_factory) -> Results | None:
    """The same in processes."""
    return examine((), ProcessSandbox(tmp_path_factory.mktemp("scratch"))).alone
