"""What tests need from the host: said in one place, never missing silently.

A marker names the need (pyproject.toml lists them). Where the host lacks it the test is skipped with the reason, and the end of
the run names every test that was left out. With HARNESS_REQUIRE_DOCKER=1 and HARNESS_REQUIRE_BROWSER=1, as CI sets
them, a missing engine or browser is a failure.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import hypothesis
import pytest

from harness.sandbox.docker import code_image
from harness.sandbox.image_rules import CODE_TOURNAMENT

if TYPE_CHECKING:
    from tests.object_server import ObjectServer
    from tests.ray_cluster import RayCluster

# An example that takes 200 ms shows nothing but how busy the host is.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
#: Markers whose need CI promised to meet.
REQUIRED = {name for name in ("docker", "browser") if os.environ.get(f"HARNESS_REQUIRE_{name.upper()}", "") not in {"", "0"}}


@functools.cache
def docker_problem() -> str:
    """Why no test can use Docker; empty where an engine answers."""
    try:
        client = docker.from_env(timeout=20)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as error:
        return f"no Docker engine answers ({error})"
    return ""


def field_problem() -> str:
    """Why the sample entries cannot run here; empty where their libraries are installed."""
    missing = [name for name in ("torch", "torchvision", "timm", "sklearn") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(missing)} (pip install -e .[field])" if missing else ""


def root_problem() -> str:
    """Why mounts cannot be made here."""
    return "" if os.geteuid() == 0 else "needs root (mounts)"


def compat_problem() -> str:
    """Why the images for TensorFlow entries of 2017 are not tried: they take minutes to make."""
    asked = os.environ.get("HARNESS_COMPAT", "") not in {"", "0"}
    return docker_problem() if asked else "`make compat` builds these images and runs these tests"


def photos_problem() -> str:
    """Why the pretrained nets are not tried: their weights are 60 MB, and the data set's packages 290 MB."""
    asked = os.environ.get("HARNESS_PHOTOS", "") not in {"", "0"}
    return "" if asked else "`make photos` installs the nets and runs these tests"


def soak_problem() -> str:
    """Why faults by the dozen are not tried."""
    return "" if os.environ.get("HARNESS_SOAK", "") not in {"", "0"} else "`make soak` runs these tests, for minutes"


def browser_problem() -> str:
    """Why no page can be opened in a browser; empty where chromium and its driver are installed."""
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    missing += ["selenium"] if importlib.util.find_spec("selenium") is None else []
    return f"not installed: {', '.join(missing)} (apt-get install chromium chromium-driver)" if missing else ""


NEEDS: dict[str, Any] = {"docker": docker_problem, "browser": browser_problem, "field": field_problem, "root": root_problem,
         "compat": compat_problem, "photos": photos_problem, "soak": soak_problem}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``-n 3 --alone no``, then ``--alone only``: all tests, several at a time where they may be (scripts/test.sh)."""
    parser.addoption("--alone", choices=("no", "only"), help="leave out tests that nothing may run beside, or run only these")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what ``--alone`` leaves out."""
    if asked := config.getoption("--alone"):
        chosen = [item for item in items if (item.get_closest_marker("alone") is not None) is (asked == "only")]
        config.hook.pytest_deselected(items=list(set(items).difference(chosen)))
        items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, Any], dict[str, Any]]:
    """What a test prints may hold half characters on purpose; sent as they are to the process that reports, they end the run."""
    found: dict[str, Any] = _whole((yield))
    return found


def _whole(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_whole(key): _whole(value) for key, value in data.items()}
    return type(data)(map(_whole, data)) if isinstance(data, list | tuple) else data


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the host cannot run; fail instead where CI promised an engine."""
    for marker, problem in NEEDS.items():
        if item.get_closest_marker(marker) and (reason := problem()):
            if marker in REQUIRED:
                pytest.fail(f"{reason}, and HARNESS_REQUIRE_{marker.upper()} is set", pytrace=False)
            pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that was left out, by reason."""
    left_out: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        left_out.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    for reason, tests in sorted(left_out.items()):
        terminalreporter.section(f"left out: {len(tests)} tests, {reason}")
        for test in tests:
            terminalreporter.line(test)


@pytest.fixture(scope="session", autouse=True)
def no_code_images_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the code images that the engine keeps for tournaments of this run: their directories go, and nobody cleans up."""
    yield
    if docker_problem():
        return
    base = tmp_path_factory.getbasetemp()
    client = docker.from_env(timeout=120)
    try:
        for image in code_image.of_tournament(client.api, None):
            if f"@{base}/" in (image["Labels"].get(CODE_TOURNAMENT) or ""):
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_image(image["Id"])
    finally:
        client.close()


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names."""
    if reason := docker_problem():
        pytest.skip(reason)
    client = docker.from_env(timeout=120)
    yield client
    client.close()


def built(name: str) -> str:
    """Build a base image where it is missing or out of date; its tag."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "build.py"), name], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"docker/build.py {name}: {done.stderr[-2000:]}", pytrace=False)
    sys.stderr.write(done.stderr)  # a test that fails shows which images were out of date and are new
    return f"localhost/harness-{name}:1"


@pytest.fixture(scope="session")
def light_image(docker_client: docker.DockerClient) -> str:
    """Python, numpy, Pillow, the SDK."""
    assert docker_client.ping()
    return built("light")


@pytest.fixture(scope="session")
def full_image(docker_client: docker.DockerClient) -> str:
    """The light image, torch and the sample entries' libraries."""
    assert docker_client.ping()
    return built("full")


@pytest.fixture(scope="session")
def _object_server() -> Iterator[ObjectServer]:
    from tests.object_server import running

    with running() as server:
        yield server


@pytest.fixture
def object_server(_object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """An S3 server with a new bucket, which the environment leads to."""
    _object_server.new_bucket()
    for name, value in _object_server.environment().items():
        monkeypatch.setenv(name, value)
    return _object_server


@pytest.fixture(scope="session")
def _ray_cluster(_object_server: ObjectServer) -> Iterator[RayCluster]:
    from tests.ray_cluster import running

    with running(_object_server.environment()) as cluster:
        yield cluster


@pytest.fixture
def ray_cluster(_ray_cluster: RayCluster) -> RayCluster:
    """Three Ray nodes on this machine, which a test may kill."""
    _ray_cluster.fill()
    return _ray_cluster
