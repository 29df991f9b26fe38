"""Which sandbox is taken where an engine is absent, fails, or is down in the middle of a contest."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox import docker
from harness.sandbox.image_rules import ImageRules
from harness.submission import archive
from harness.tournament import choose_sandbox as choose
from tests.e2e.conftest import Place, make_place  # noqa: F401 - a fixture
from tests.helpers import stored

PROGRAMS = ("attack-darken", "defense-mean")


@pytest.fixture
def no_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_auto_takes_processes_and_says_so(tmp_path) -> None:
    sandbox, warning = choose.choose_sandbox("auto", scratch=tmp_path, database=tmp_path / "tournament.db")
    assert not sandbox.isolates
    assert "WITHOUT isolation" in warning


def test_an_engine_that_does_not_answer_is_not_taken_for_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("harness.sandbox.docker.client.TIMEOUT_S", 0.3)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/silent.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(EngineError):
            choose.choose_sandbox("auto")
        assert choose.choose_sandbox("process")[1]
        with pytest.raises(EngineError, match="did not answer within"):
            choose.image_lookup(choose.DockerHost())("example/x:1")
        assert "did not answer within" in str(choose.base_lookup(ImageRules(), choose.DockerHost()))


class Counted:
    """A function with a note of how often it was called."""

    def __init__(self, function: Callable) -> None:
        self.calls = 0
        self._function = function

    def __call__(self, *arguments, **named):
        self.calls += 1
        return self._function(*arguments, **named)


@pytest.mark.usefixtures("no_engine")
def test_validate_connects_and_unpacks_once(make_place, tmp_path, monkeypatch) -> None:  # noqa: F811
    place = make_place(PROGRAMS, sandbox={"backend": "auto"})
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", place.root / "entries", "attack-darken")
    connect, unpack = Counted(docker.connect), Counted(archive.unpack)  # type: ignore[attr-defined]
    monkeypatch.setattr(docker, "connect", connect)
    monkeypatch.setattr(archive, "unpack", unpack)
    done = CliRunner().invoke(cli, ["validate", packed, "--trust-process-sandbox", "--config", str(place.root / "tournament.yaml")])
    assert done.exit_code == 0, done.output
    assert (connect.calls, unpack.calls) == (1, 1)


@pytest.mark.parametrize("command", [("run",), ("run", "--round", "new"), ("validate", "entries/attack-darken")], ids=" ".join)
def test_what_has_run_isolated_goes_on_without_only_when_told(make_place, tmp_path, command) -> None:  # noqa: F811
    place = make_place(PROGRAMS, sandbox={"backend": "auto"})
    nowhere = f"unix://{tmp_path}/absent.sock"
    place.run(DOCKER_HOST=nowhere)
    assert place.harness(*command, DOCKER_HOST=nowhere).returncode == 0
    stored.make_isolated(place.state)
    started = place.started()
    done = place.harness(*command, DOCKER_HOST=nowhere)
    assert done.returncode == 2, done.stderr
    assert "have run isolated" in done.stderr
    assert "--sandbox process" in done.stderr
    assert place.started() == started
    # A named round is of one kind for good; another one may be told.
    told = [word.replace("new", "other") for word in command]
    assert place.harness(*told, "--sandbox", "process", DOCKER_HOST=nowhere).returncode == 0


class Named:
    """A submission that names images."""

    name = "mine"

    def __init__(self, container: str, container_gpu: str | None, kind: str = "directory") -> None:
        self.container, self.container_gpu, self.kind = container, container_gpu, kind


@pytest.mark.parametrize(("given", "fields"), [
    (Named("here", None), []), (Named("here", ""), []), (Named("here", "here"), []), (Named("absent", None), ["container"]),
    (Named("here", "absent"), ["container_gpu"]), (Named("absent", "absent"), ["container", "container_gpu"]),
    (Named("absent", None, "image"), []),
], ids=["one", "an empty one", "both", "not the one", "not the one for a GPU", "neither", "an image itself"])
def test_both_images_that_a_directory_names_are_looked_up(monkeypatch, given, fields) -> None:
    def look_up(reference: str) -> None:
        if reference == "absent":
            raise ImageUnavailableError("The Docker image 'absent' is not on this host.", "Name another.")

    monkeypatch.setattr(choose, "base_lookup", lambda *_: look_up)
    said = [str(refused) for refused in choose.resolve_bases(given, ImageRules(), choose.DockerHost())]
    assert said == [f"mine, {field}: The Docker image 'absent' is not on this host. Name another." for field in fields]
