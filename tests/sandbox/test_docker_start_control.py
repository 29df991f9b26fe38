"""Starts that fail in words that nobody knows: the image's fault where another image starts, the host's where none does."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest
from docker.errors import ImageNotFound

from harness.sandbox.base import Program
from harness.sandbox.docker import DockerSandbox
from harness.sandbox.docker import start_control as blame
from harness.sandbox.outcomes import Ending

pytestmark = pytest.mark.docker

BASH = "#!/bin/bash\n"


@pytest.fixture
def fresh(docker_sandbox, base_image) -> Iterator[DockerSandbox]:
    """A sandbox that has seen nothing start yet."""
    sandbox = DockerSandbox()
    yield sandbox
    sandbox.api.close()


@pytest.fixture(params=["/dev", "/proc"])
def hostile(fresh, base_image, request) -> Iterator[Program]:
    """An image with a volume where the kernel's devices or its settings have to be: the latter are missed in a random order."""
    ident = fresh.api.create_container(base_image, ["true"])["Id"]
    image = fresh.api.commit(ident, conf={"Entrypoint": ["true"], "Volumes": {request.param: {}}})["Id"]
    fresh.api.remove_container(ident, v=True)
    yield Program("hostile" + image, image, None, None, "strict")
    with contextlib.suppress(ImageNotFound):
        fresh.api.remove_image(image, force=True)


def test_the_hosts_where_nothing_was_seen_to_start(fresh, bench, hostile) -> None:
    assert bench.run(fresh, hostile).ending is Ending.HOST_ERROR


def test_the_images_where_another_starts(fresh, bench, hostile) -> None:
    assert bench.run(fresh, bench.program(BASH + "true")).ending is Ending.FINISHED
    for _ in range(6):
        report = bench.run(fresh, hostile)
        assert report.ending is Ending.START_FAILED
        assert "cannot be started here" in report.detail
    assert bench.run(fresh, bench.program(BASH + "true")).ending is Ending.FINISHED


def test_the_hosts_where_the_other_does_not_start_either(fresh, bench, hostile, monkeypatch) -> None:
    assert bench.run(fresh, bench.program(BASH + "true")).ending is Ending.FINISHED
    real = blame._failure

    def the_control_fails_too(api, start, orphans):
        return real(api, start if start.argv != [blame._NOWHERE] else dataclasses.replace(
            start, image=dataclasses.replace(start.image, ident="sha256:" + "0" * 64)), orphans)

    monkeypatch.setattr(blame, "_failure", the_control_fails_too)
    assert bench.run(fresh, hostile).ending is Ending.HOST_ERROR
