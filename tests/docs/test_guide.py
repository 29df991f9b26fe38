"""The submission guide's own commands, run from its text."""

from __future__ import annotations

import contextlib
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.docs.guide import ROOT, blocks, missing, run

GUIDE = ROOT / "docs" / "submissions.md"
#: Where no engine answers, so that `backend: auto` takes the process sandbox.
NOWHERE = "unix:///nonexistent/docker.sock"
BUILT = "localhost/my-image:1"


def check(kind: str, place: Path, **env: str) -> None:
    chosen = [block for block in blocks(GUIDE) if kind in block.words]
    assert chosen
    printed = run(chosen, place, **env)
    wrong = {block.line: lines for block, text in zip(chosen, printed, strict=True) if (lines := missing(block, text))}
    assert not wrong, "\n".join(printed)


@pytest.mark.field
def test_walk_through_with_the_process_sandbox(tmp_path: Path) -> None:
    check("run", tmp_path, DOCKER_HOST=NOWHERE)


@pytest.mark.docker
@pytest.mark.field
def test_plain_image_with_docker(tmp_path: Path, docker_client: docker.DockerClient, light_image: str, full_image: str) -> None:
    assert full_image
    try:
        check("docker", tmp_path, BASE=light_image)
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            docker_client.images.remove(BUILT)
