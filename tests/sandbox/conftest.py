"""The two sandboxes, and a way to make a submission out of a few lines of text."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Sandbox
from harness.sandbox.output_area import OutputArea
from harness.sandbox.process import ProcessSandbox

BASES = ("localhost/harness-light:1", "harness-python-base:bookworm")
#: Long: what must meet one of its times names a shorter one.
LIMITS = Limits(time_limit_s=40, start_limit_s=30, memory_bytes=256 << 20, shm_bytes=64 << 20, tmp_bytes=64 << 20, pids=128,
                output_bytes=4 << 20, output_files=50, layer_bytes=64 << 20)
INPUT = b"one picture"
#: Digests of all programs made by the tests, whose images are removed at the end.
MADE: set[str] = set()


@pytest.fixture(scope="session")
def docker_sandbox() -> Iterator[Sandbox]:
    from harness.sandbox.docker import DockerSandbox, engine_answers

    if not engine_answers():
        pytest.skip("no Docker engine answers")
    sandbox = DockerSandbox()
    yield sandbox
    sandbox.remove_code_images(MADE)
    sandbox.api.close()


@pytest.fixture(scope="session")
def base_image(docker_sandbox) -> str:
    from harness.sandbox.docker import images

    for name in BASES:
        if images.find(docker_sandbox.api, name) is not None:
            return name
    return pytest.skip("none of the base images is here; `docker/build.py` makes them")


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request, tmp_path_factory) -> Sandbox:
    if request.param == "process":
        return ProcessSandbox(tmp_path_factory.mktemp("scratch"))
    request.getfixturevalue("base_image")
    return request.getfixturevalue("docker_sandbox")


class Bench:
    """Makes programs, runs them, and keeps what they left in ``outputs``."""

    def __init__(self, root: Path, image: str | None) -> None:
        self.root = root
        self.image = image
        self.input = root / "in"
        self.input.mkdir()
        (self.input / "a.png").write_bytes(INPUT)
        self.outputs: dict[str, bytes] = {}

    def program(self, text: str | bytes, *, mode: int = 0o755, entry_point: str = "run.sh",
                profile: str = "legacy") -> Program:
        data = text.encode() if isinstance(text, str) else text
        # Another process of these tests must not remove the image of a program of ours.
        digest = hashlib.sha256(data + f"{mode:o} {os.getpid()}".encode()).hexdigest()
        MADE.add(digest)
        folder = self.root / digest[:16]
        folder.mkdir(exist_ok=True)
        (folder / "run.sh").write_bytes(data)
        (folder / "run.sh").chmod(mode)
        return Program(digest, self.image, folder, entry_point, profile)  # type: ignore[arg-type]

    def run(self, sandbox: Sandbox, program: Program, limits: Limits = LIMITS, *, track: str = "attack",
            cancel: threading.Event | None = None,
            seen: Callable[[OutputArea], None] | None = None) -> RunReport:
        with OutputArea(self.root / "out", limits.output_bytes, limits.output_files) as area:
            request = RunRequest(program, track, self.input, area, 16 if track == "attack" else None, limits,
                                 labels={"tournament": "conformance", "run": "1", "attempt": "1"})
            report = sandbox.run(request, cancel or threading.Event())
            self.outputs = {path.name: path.read_bytes()[:100] for path in sorted(area.path.iterdir()) if path.is_file()}
            if seen is not None:
                seen(area)
        return report


@pytest.fixture
def bench(request, tmp_path) -> Bench:
    # Only Docker needs an image: the process sandbox's tests must pass where no engine is.
    uses_docker = "docker" in request.node.keywords
    return Bench(tmp_path, request.getfixturevalue("base_image") if uses_docker else None)
