"""An engine that sees other directories than the harness is found before anything runs, and told apart from one that fails."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests import Response

from harness.doctor import client
from harness.errors import EngineError
from harness.sandbox.docker import DockerSandbox, failures, shared_paths
from harness.sandbox.outcomes import Ending


def refused(status: int, sentence: str) -> APIError:
    response = Response()
    response.status_code = status
    return (NotFound if status == 404 else APIError)("refused", response, sentence)


NOWHERE = refused(400, 'invalid mount config for type "bind": bind source path does not exist: /here/.harness-probe-x')


class Engine:
    """One whose view of the host's files is given: it reads those of ``sees`` that are not ``hidden``."""

    def __init__(self, sees: str, hidden: str = "nothing") -> None:
        self.sees, self.hidden, self.source = sees, hidden, Path()
        self.removed = 0

    def images(self) -> list[dict[str, Any]]:
        return [] if self.sees == "no image" else [{"Id": "sha256:2", "Created": 2}, {"Id": "sha256:1", "Created": 1}]

    def create_container_from_config(self, config: dict) -> dict[str, str]:
        if self.sees == "nothing":
            raise NOWHERE
        if self.sees == "a failure":
            raise refused(500, "no space left on device")
        assert config["Image"] == "sha256:1"  # a new one may be about to be removed again
        self.source = Path(config["HostConfig"]["Mounts"][0]["Source"])
        return {"Id": "c"}

    def get_archive(self, ident: str, path: str) -> tuple[Iterator[bytes], dict]:
        name = path.removeprefix("/harness-probe/")
        if name == self.hidden or self.sees == "an empty directory":
            raise refused(404, "Could not find the file")
        data = b"another's" if self.sees == "another directory" else (self.source / name).read_bytes()
        spool = io.BytesIO()
        with tarfile.open(fileobj=spool, mode="w") as archive:
            member = tarfile.TarInfo("token")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        return iter([spool.getvalue()]), {}

    def remove_container(self, ident: str, **_: Any) -> None:
        self.removed += 1


@pytest.mark.parametrize(("engine", "words"), [
    (Engine("nothing"), "does not see"), (Engine("an empty directory"), "sees another directory"),
    (Engine("another directory"), "sees another directory"), (Engine("all", "out/token"), "what the harness mounts below"),
    (Engine("all"), None)], ids=lambda value: getattr(value, "sees", value))
def test_what_the_engine_sees(engine, words, tmp_path) -> None:
    found = shared_paths.problem(engine, tmp_path / "state" / "work")
    check = client.shared(engine, tmp_path / "state" / "work")
    assert check.state == ("ok" if words is None else "fail")
    assert (found is None) == (words is None)
    assert found is None or (words in found.problem and str(tmp_path) in found.problem)
    assert found is None or (f"-v {tmp_path}:{tmp_path}:" in found.next_step)
    assert engine.removed == (0 if engine.sees == "nothing" else 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sees", ["no image", "a failure"])
def test_what_could_not_be_tried_is_not_told_as_found(sees, tmp_path) -> None:
    with pytest.raises(EngineError, match="could not be tested"):
        shared_paths.problem(Engine(sees), tmp_path)  # type: ignore[arg-type]
    check = client.shared(Engine(sees), tmp_path)  # type: ignore[arg-type]
    assert check.state == "warn"
    assert check.next_step


def test_in_a_run_it_is_the_hosts_fault_and_says_why() -> None:
    verdict = failures.of_create(NOWHERE)
    assert verdict.ending is Ending.HOST_ERROR
    assert "does not see" in verdict.detail
    assert "/here/.harness-probe-x" in verdict.detail


@pytest.mark.docker
def test_this_hosts_own_engine(docker_sandbox: DockerSandbox, base_image, tmp_path) -> None:
    assert base_image
    docker_sandbox.require_shared(tmp_path / "not there yet")
    assert shared_paths.problem(docker_sandbox.api, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert not [each for each in docker_sandbox.api.containers(all=True) if str(tmp_path) in str(each["Mounts"])]
