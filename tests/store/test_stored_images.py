"""Images go from an engine that has them to those that lack them: by a registry, else once through the store."""

from __future__ import annotations

import io
import tarfile
import threading
import uuid

import pytest

from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.store import stored_images
from harness.store.artifacts import open_blobs
from harness.store.stored_images import StoredImages
from tests.engine.images import ImageFiles


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_images, "PIECE_BYTES", 1000)

    def make_machine(name: str, *images: str) -> tuple[ImageFiles, StoredImages]:
        files = ImageFiles(tmp_path / name, tmp_path)
        for image in images:
            files.add(image)
        return files, StoredImages(open_blobs(f"file:{tmp_path / 'store'}", tmp_path / name, cached=False), files)

    return make_machine


def test_an_image_is_saved_once_and_loaded_once_by_each(machine) -> None:
    (head, here), (north, there) = machine("head", "sha256:a"), machine("north")
    with pytest.raises(ImageUnavailableError, match="neither on this host nor in the artifact store"):
        there.bring("sha256:a")
    for _ in range(2):
        here.publish("sha256:a")
        threads = [threading.Thread(target=there.bring, args=("sha256:a",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert north.has_image("sha256:a")
    assert (head.done("saved-sha256:a"), head.done("loaded-sha256:a")) == (1, 1)


def test_what_a_machine_has_is_not_asked_for(machine) -> None:
    north, there = machine("north", "sha256:registry")
    there.bring("sha256:registry", north.pull_names("sha256:registry"))
    assert north.done("pulled") == 0


def test_a_registry_is_asked_first_and_each_name_once(machine) -> None:
    north, there = machine("north")
    there.bring("sha256:registry", north.pull_names("sha256:registry"))
    assert (north.has_image("sha256:registry"), north.done("pulled")) == (True, 1)
    for _ in range(2):
        with pytest.raises(ImageUnavailableError):
            there.bring("sha256:registry-closed", north.pull_names("sha256:registry-closed"))
    assert north.done("pulled") == 3


@pytest.mark.parametrize("image", ["sha256:never", "sha256:renamed"])
def test_an_image_that_cannot_be_loaded_is_the_hosts_failure(machine, image) -> None:
    machine("head", image)[1].publish(image)
    with pytest.raises(EngineError, match="no room" if "never" in image else "another id"):
        machine("north")[1].bring(image)


def test_an_image_that_is_nowhere_is_told(machine) -> None:
    with pytest.raises(ImageUnavailableError, match="on none of the machines"):
        machine("head")[1].publish("sha256:gone")


@pytest.mark.parametrize("broken", ["docker/a", "docker-pieces/*/*"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_damaged_image_is_not_loaded_and_is_saved_anew(machine, tmp_path, broken, how) -> None:
    (head, here), (north, there) = machine("head", "sha256:a"), machine("north")
    here.publish("sha256:a")
    path = next((tmp_path / "store").glob(broken))
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HarnessError):
        there.bring("sha256:a")
    assert not north.has_image("sha256:a")
    here.publish("sha256:a")
    there.bring("sha256:a")
    assert (north.has_image("sha256:a"), head.done("saved-sha256:a")) == (True, 2)


def test_loading_can_be_cancelled(machine) -> None:
    machine("head", "sha256:a")[1].publish("sha256:a")
    north, there = machine("north")
    there.cancel()
    with pytest.raises(EngineError, match="cancelled"):
        there.bring("sha256:a")
    assert not north.has_image("sha256:a")


def test_an_image_that_was_removed_is_looked_for_again(machine) -> None:
    machine("head", "sha256:a")[1].publish("sha256:a")
    north, there = machine("north")
    there.bring("sha256:a")
    (north.own / "sha256:a").unlink()
    there.forget({"sha256:a"})
    there.bring("sha256:a")
    assert north.has_image("sha256:a")


@pytest.mark.docker
def test_docker_gives_back_the_image_that_was_saved(docker_client, tmp_path) -> None:
    """One of its own, from nothing: a small file that no other image has."""
    from harness.sandbox.docker import DockerSandbox

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        content = uuid.uuid4().bytes
        member = tarfile.TarInfo("only-here")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    name = f"localhost/harness-test-moved-{uuid.uuid4().hex[:12]}"
    docker_client.api.import_image_from_data(archive.getvalue(), repository=name, tag="1")
    ident = docker_client.api.inspect_image(f"{name}:1")["Id"]
    stored = StoredImages(open_blobs(f"file:{tmp_path}", tmp_path), DockerSandbox())
    try:
        assert stored.pull_names(ident) == ()
        stored.publish(ident)
        docker_client.api.remove_image(ident, force=True)
        stored.bring(ident)
        # By its id alone: the name is the head's.
        assert docker_client.api.inspect_image(ident)["RepoTags"] == []
    finally:
        docker_client.api.remove_image(ident, force=True)
