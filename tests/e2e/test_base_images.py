"""A base image that is rebuilt between two commands, with a real engine: what runs again, and what is said."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.make import entry
from tests.test_docker_images import build

pytestmark = pytest.mark.docker


@pytest.fixture
def image(light_image) -> Iterator[str]:
    """A base image of this test's own, labelled as `docker/build.py` does."""
    name = f"localhost/harness-test-{uuid.uuid4().hex[:12]}:1"
    subprocess.run(["docker", "tag", light_image, name], check=True)
    build.put_labels("light", name)
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], check=True, capture_output=True)


def rebuild(name: str) -> None:
    subprocess.run(["docker", "build", "--network=none", "--no-cache", "-q", f"--tag={name}", "-"], check=True, text=True,
                   capture_output=True, input=f"FROM {name}\nRUN date > /root/built")


@pytest.mark.alone  # removes what dead harnesses left
def test_what_ran_on_another_image_runs_again_and_is_counted(image, make_place) -> None:
    place = make_place(("attack-darken",), images=10, sandbox={"backend": "docker"})
    entry(place.root / "entries" / "defense-mean", "defense-mean", metadata={"container": image})
    try:
        assert "3 runs done" in place.run().stderr
        rebuild(image)
        build.put_labels("light", image)
        assert "Nothing new to run" in place.run().stderr
        rebuild(image)
        done = place.run().stderr
        assert f"{image} is another image than before: 2 runs of a submission on it are repeated" in done
        assert "2 runs done" in done
        assert "Nothing new to run" in place.run().stderr
    finally:
        place.harness("doctor", "--clean")
