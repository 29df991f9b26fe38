"""A sandbox with a hole made on purpose does not pass: each promise that is broken fails the row that tests it, by name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from harness.execution import input_files
from harness.sandbox.docker import DockerSandbox, container, layer, page_cache
from harness.sandbox.docker import options as docker_options
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.serving import ServedProgram
from harness.selftest.run import Findings, examine
from harness.selftest.table import ROWS
from tests.conftest import built
from tests.sandbox.test_page_cache import put_out

pytestmark = [pytest.mark.docker, pytest.mark.slow]

#: What is changed of a container's HostConfig, and a row that has to notice.
HOLES: dict[str, Any] = {
    "the host's network": ({"NetworkMode": "host"}, "hunts-the-network"),
    "the host's processes": ({"PidMode": "host"}, "hunts-processes"),
    "capabilities": ({"CapDrop": [], "CapAdd": ["SYS_ADMIN"]}, "hunts-with-system-calls"),
    "no seccomp filter": ({"SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"]}, "hunts-with-system-calls-strict"),
    "the engine's own filter": ({"SecurityOpt": ["no-new-privileges:true"]}, "hunts-for-channels"),
    "queues": ({"Ulimits": []}, "hunts-for-channels-strict"),
    "new privileges": ({"SecurityOpt": [], "CapDrop": []}, "image-with-set-uid-program"),
    "writable kernel settings": ({"ReadonlyPaths": []}, "hunts-in-proc-and-sys"),
    "the host's files": ({"Binds": [f"{tempfile.gettempdir()}:/host:ro"]}, "hunts-files"),
    "a directory that outlives a run": ({"Binds": [f"{tempfile.mkdtemp()}:/var/tmp:rw"]}, "detector-links-the-halves"),
    "shared memory without a limit": ({"ShmSize": 1 << 30}, "fills-tmp-and-shm"),
}


#: A rule for base images that is left out, what it says then, and a row that has to notice.
WITHOUT_RULES = {
    "any image of the host": ("problem", None, "base-that-is-a-code-image"),
    "any registry": ("may_pull", True, "base-at-an-address"),
}


@pytest.fixture
def look(honest_in_docker) -> Callable[[str], Findings]:
    """Runs one row and says what came of it."""
    def run(name: str) -> Findings:
        sandbox = DockerSandbox()
        try:
            return examine([row for row in ROWS if row.name == name], sandbox, time_limit_s=4, alone=honest_in_docker)
        finally:
            sandbox.api.close()

    return run


def failed(findings: Findings) -> list[str]:
    return [verdict.row.name for verdict in findings.verdicts if not verdict.passed]


@pytest.mark.parametrize("hole", WITHOUT_RULES)
def test_a_rule_for_images_that_is_left_out_is_noticed(hole: str, look, monkeypatch) -> None:
    rule, says, name = WITHOUT_RULES[hole]
    monkeypatch.setattr(ImageRules, rule, lambda *_: says)
    findings = look(name)
    assert failed(findings) == [name]
    assert any("planted port" in line for line in findings.host) is (rule == "may_pull")


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_noticed(hole: str, look, monkeypatch) -> None:
    changed, name = HOLES[hole]
    real = docker_options.container_config

    def opened(start: docker_options.Start) -> dict[str, Any]:
        config = real(start)
        # The engine has a second lock on the network.
        more = {"NetworkDisabled": False} if "NetworkMode" in changed else {}
        return {**config, **more, "HostConfig": {**config["HostConfig"], **changed}}

    monkeypatch.setattr(container, "container_config", opened)
    assert failed(look(name)) == [name]


#: What of the harness's own doing is left out, and a row that has to notice.
OMISSIONS = {
    "inputs are links": (input_files, "_copy", os.link, "hunts-for-channels"),
    "only names count": (layer, "unlinked_bytes", lambda _threads, _upper: 0, "holds-unlinked-files"),
    "only the layer counts": (layer, "_BOUND", (), "fills-bound-files"),
}


@pytest.mark.parametrize("omission", OMISSIONS)
def test_an_omission_is_noticed(omission: str, look, monkeypatch) -> None:
    where, what, instead, name = OMISSIONS[omission]
    monkeypatch.setattr(where, what, instead)
    assert failed(look(name)) == [name]


@pytest.mark.alone  # others start containers of that image, which brings its pages back
def test_pages_left_out_of_memory_are_noticed(look, monkeypatch) -> None:
    monkeypatch.setattr(page_cache.PageCache, "settle", lambda *_: None)
    sandbox = DockerSandbox()
    for layer_directory in page_cache.PageCache(sandbox.api)._find_layers(built("light")):
        put_out(layer_directory)
    sandbox.api.close()
    assert failed(look("reads-the-page-cache")) == ["reads-the-page-cache"]


def test_a_batch_in_sight_of_a_program_that_starts_is_noticed(look, monkeypatch) -> None:
    monkeypatch.setattr(ServedProgram, "_batch_hidden", lambda *_: nullcontext())
    assert failed(look("serves-and-works-while-it-starts")) == ["serves-and-works-while-it-starts"]
