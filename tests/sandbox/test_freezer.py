"""Stopping a container through its control group: every process stands, and the engine can still end it."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import psutil
import pytest
from docker.models.containers import Container

from harness.sandbox.docker import freezer as module
from harness.sandbox.docker.freezer import Freezer

pytestmark = [pytest.mark.docker, pytest.mark.root]

COUNTS = "sh -c 'while true; do i=$((i+1)); done' & while true; do i=$((i+1)); done"


@pytest.fixture
def busy(docker_client: docker.DockerClient, light_image: str) -> Iterator[Container]:
    """A container in which two processes count."""
    container = docker_client.containers.run(light_image, ["sh", "-c", COUNTS], detach=True, network_disabled=True,
                                             labels={"harness": "test"})
    yield container
    container.remove(force=True, v=True)


def counted(container: Container) -> float:
    """CPU seconds of all its processes."""
    found = [psutil.Process(int(row[1])) for row in container.top()["Processes"]]
    return sum(sum(process.cpu_times()[:2]) for process in found)


def moves(container: Container, wait_s: float) -> bool:
    before = counted(container)
    psutil.cpu_percent(wait_s)
    return counted(container) > before


def test_every_process_stands_and_goes_on(busy, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 60.0)
    freezer = Freezer(busy.id)
    for _ in range(20):
        assert freezer.freeze()
        assert freezer.frozen
        assert freezer.thaw()
    assert freezer.freeze()
    assert not moves(busy, 0.3)
    assert freezer.thaw()
    assert not freezer.frozen
    assert moves(busy, 0.5)


def test_the_engine_can_end_what_was_frozen(busy, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 60.0)
    assert Freezer(busy.id).freeze()
    # What a later harness does that finds a killed one's container.
    busy.remove(force=True, v=True)
    with pytest.raises(docker.errors.NotFound):
        busy.reload()
    busy.remove = lambda **_: None


def test_one_that_does_not_come_to_a_stand_is_let_go_on(busy, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    freezer = Freezer(busy.id)
    freezer._stopped = "never said"
    assert not freezer.freeze()
    assert not freezer.frozen
    assert moves(busy, 0.5)


def test_no_group_to_write(busy) -> None:
    assert not Freezer("").freeze()
    gone = Freezer(busy.id)
    busy.kill()
    busy.wait()
    assert not gone.freeze()
    assert not gone.frozen
