"""An engine that goes away, hangs or comes back: a host error, never a zero, never a hang.

The real engine is not touched: the sandbox talks to it through a socket of ours that can be cut.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from harness.errors import EngineError
from harness.sandbox.docker import DockerSandbox
from harness.sandbox.outcomes import Ending

from .conftest import LIMITS, Bench
from .test_docker import meanwhile

pytestmark = [pytest.mark.docker, pytest.mark.alone]  # its limits are those of a host at rest


class Wire:
    """Passes bytes between a socket of its own and the engine's, until it is cut."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path, self._engine = path, engine
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self.stalled = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=[source, target], daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.stalled.is_set():
                    time.sleep(0.05)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.path.unlink(missing_ok=True)
        # Shut down first: closing alone does not wake the thread that waits in accept.
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wired(docker_sandbox, base_image, tmp_path_factory, monkeypatch):
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    path = tmp_path_factory.mktemp("s") / "d.sock"
    wire = Wire(path, engine)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    sandbox = DockerSandbox()
    yield wire, sandbox
    wire.cut()
    sandbox.api.close()
    # The wire is cut for good: what it could not remove is removed past it.
    docker_sandbox._engine.orphans.extend(sandbox._engine.orphans)
    docker_sandbox._engine.remove_orphans()


def test_gone_in_the_middle_of_a_run(wired, docker_sandbox, bench: Bench) -> None:
    wire, sandbox = wired
    program = bench.program("#!/bin/bash\nsleep 60")
    sandbox.prepare(program)
    thread = meanwhile(docker_sandbox, lambda _: wire.cut())
    report = bench.run(sandbox, program)
    thread.join()
    assert report.ending is Ending.HOST_ERROR
    assert report.wall_s < LIMITS.time_limit_s / 2, "it does not wait for the program's limit"
    assert len(sandbox._engine.orphans) == 1
    # When the engine is back, what could not be removed is.
    orphans = list(sandbox._engine.orphans)
    docker_sandbox._engine.orphans.extend(orphans)
    docker_sandbox.cleanup("nothing of that name")
    assert docker_sandbox._engine.orphans == []
    assert not {found["Id"] for found in docker_sandbox.api.containers(all=True)} & set(orphans)


def test_gone_before_a_run(wired, bench: Bench) -> None:
    wire, sandbox = wired
    program = bench.program("#!/bin/bash\nsleep 60")
    sandbox.prepare(program)
    wire.cut()
    assert bench.run(sandbox, program).ending is Ending.HOST_ERROR
    with pytest.raises(EngineError):
        sandbox.pin_image("x")
    with pytest.raises(EngineError):
        sandbox.cleanup()
    with pytest.raises(EngineError):
        DockerSandbox()


def test_hangs(wired, docker_sandbox, bench: Bench) -> None:
    wire, sandbox = wired
    program = bench.program("#!/bin/bash\nsleep 60")
    sandbox.prepare(program)
    stalled = []

    def stall(_: str) -> None:
        sandbox.api.timeout = 1
        wire.stalled.set()
        stalled.append(time.monotonic())

    thread = meanwhile(docker_sandbox, stall)
    # Long after the last of the calls to which nobody answers has been given up.
    clear = threading.Timer(60, wire.stalled.clear)
    clear.start()
    report = bench.run(sandbox, program, dataclasses.replace(LIMITS, time_limit_s=120))
    took_s = time.monotonic() - stalled[0]
    clear.cancel()
    wire.stalled.clear()
    thread.join()
    assert report.ending is Ending.HOST_ERROR
    assert took_s < 50
