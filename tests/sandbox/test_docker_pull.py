"""Images that cannot be pulled: a registry's answer is the submission's fault, a registry or an engine out of order the host's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound
from requests import Response
from requests.exceptions import ConnectionError as NoConnectionError
from requests.exceptions import ReadTimeout
from urllib3.exceptions import ProtocolError

from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.sandbox.docker import images
from harness.sandbox.image_rules import ImageRules


class FakeEngine:
    """Has no image; what happens when one is pulled is given."""

    def __init__(self, said: Exception | str, *, late: bool) -> None:
        self._said, self._late = said, late

    def inspect_image(self, reference: str) -> dict[str, Any]:
        raise ImageNotFound(reference)

    def pull(self, name: str, **_: Any) -> Iterator[dict[str, str]]:
        assert name == "example/x:1"
        if isinstance(self._said, Exception) and not self._late:
            raise self._said
        return self._events()

    def _events(self) -> Iterator[dict[str, str]]:
        yield {"status": "Pulling"}
        if isinstance(self._said, Exception):
            raise self._said
        yield {"error": self._said}


def refused(status: int, sentence: str) -> APIError:
    response = Response()
    response.status_code = status
    return APIError("refused", response, sentence)


UNAVAILABLE = {
    "no such repository": refused(404, "pull access denied for example/x, repository does not exist or may require 'docker login': "
                                  "denied: requested access to the resource is denied"),
    "no such tag": refused(404, "manifest for example/x:1 not found: manifest unknown: manifest unknown"),
    "no such tag, by an old registry": refused(500, "manifest unknown"),
    "no such name": refused(400, "invalid reference format"),
    "a password is asked for": refused(500, "Get https://example/v2/x/manifests/1: unauthorized: authentication required"),
    "no password is known": refused(500, "Get https://example/v2/x/manifests/1: no basic auth credentials"),
    "forbidden": refused(403, "no"),
    "no such registry": refused(500, "Get https://example/v2/: dial tcp: lookup example on 10.0.0.1:53: no such host"),
    "another machine": "no matching manifest for linux/amd64 in the manifest list entries",
    "not found, late": "manifest for example/x:1 not found",
    "a layer is gone": "unknown blob",
}
OUT_OF_ORDER = {
    "too many requests": refused(429, "toomanyrequests: You have reached your pull rate limit."),
    "too many requests, as the engine passes it on": refused(500, "toomanyrequests: You have reached your pull rate limit. You may "
                                                             "increase the limit by authenticating"),
    "too many, though it says denied": "toomanyrequests: access denied until tomorrow",
    "timed out": refused(500, "Get https://registry-1.docker.io/v2/: net/http: request canceled while waiting for connection "
                         "(Client.Timeout exceeded while awaiting headers)"),
    "refused": refused(500, "Get https://example/v2/: dial tcp 10.0.0.1:443: connect: connection refused"),
    "the registry is out of order": refused(500, "received unexpected HTTP status: 503 Service Unavailable"),
    "nothing known": refused(500, "something else"),
    "the disk is full": "failed to register layer: write /x: no space left on device",
    "cut off": "unexpected EOF",
    "the engine is gone": NoConnectionError("refused"),
    "the engine hangs": ReadTimeout("read timed out"),
    "the engine goes": ProtocolError("connection broken"),
}


@pytest.mark.parametrize("late", [False, True], ids=["at once", "in the middle"])
@pytest.mark.parametrize("row", [*UNAVAILABLE, *OUT_OF_ORDER])
def test_whose_fault_it_is(row, late) -> None:
    said = (UNAVAILABLE | OUT_OF_ORDER)[row]
    kind = ImageUnavailableError if row in UNAVAILABLE else EngineError
    with pytest.raises(kind, match="'example/x:1'") as caught:
        images.require(FakeEngine(said, late=late), "example/x:1")  # type: ignore[arg-type]
    assert type(caught.value) is kind


WORDS = {
    "no such repository": ("no image of that name, or requires a login", "docker login"),
    "no such tag": ("no image of that name and tag", "tag"),
    "no such name": ("no image can have that name", "Check the name"),
    "a password is asked for": ("requires a login", "docker login"),
    "no such registry": ("the name of its registry cannot be resolved", "docker load"),
    "another machine": ("other architectures only", "architecture"),
    "too many, though it says denied": ("rate limit is reached", "Wait"),
    "timed out": ("cannot be reached", "network"),
    "refused": ("cannot be reached", "network"),
    "the disk is full": ("no space for it", "Free space"),
    "nothing known": ("cannot be pulled (something else)", "Check the name"),
}


@pytest.mark.parametrize("row", WORDS)
def test_what_a_registry_answers_is_said_in_words_of_its_own(row) -> None:
    sentence, step = WORDS[row]
    with pytest.raises(HarnessError) as caught:
        images.require(FakeEngine((UNAVAILABLE | OUT_OF_ORDER)[row], late=True), "example/x:1")  # type: ignore[arg-type]
    assert sentence in caught.value.problem
    assert step in caught.value.next_step


def test_a_registrys_own_words_are_text() -> None:
    hostile = "denied \x1b]0;title\x07\u202ereversed" + "x" * 100_000
    with pytest.raises(HarnessError) as caught:
        images.require(FakeEngine(hostile, late=True), "example/x:1")  # type: ignore[arg-type]
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 500


class Asked(FakeEngine):
    """Remembers with which credentials it was asked."""

    def __init__(self, said: Exception | str, *, answers: bool) -> None:
        super().__init__(said, late=True)
        self.credentials: list[object] = []
        self._answers = answers

    def pull(self, name: str, **options: Any) -> Iterator[dict[str, str]]:
        self.credentials.append(options["auth_config"])
        return super().pull(name)

    def ping(self) -> bool:
        if not self._answers:
            raise NoConnectionError("refused")
        return True


@pytest.mark.parametrize("row", [*UNAVAILABLE, *OUT_OF_ORDER])
def test_what_an_author_names_is_the_submissions_fault_and_says_nothing_of_the_network(row) -> None:
    engine = Asked((UNAVAILABLE | OUT_OF_ORDER)[row], answers=True)  # type: ignore[arg-type]
    with pytest.raises(ImageUnavailableError) as caught:
        images.base(engine, "example/x:1", ImageRules(("example/*",)), pull=True)  # type: ignore[arg-type]
    assert caught.value.problem == "The Docker image 'example/x:1' is not available."
    assert engine.credentials == [{}]


@pytest.mark.parametrize(("rules", "pull"), [
    (ImageRules(), True), (ImageRules(("other",)), True), (ImageRules(("example/*",)), False)])
def test_what_is_not_allowed_or_not_at_submit_is_never_asked_for(rules, pull) -> None:
    engine = Asked("x", answers=True)
    with pytest.raises(ImageUnavailableError, match="not on this host"):
        images.base(engine, "example/x:1", rules, pull=pull)  # type: ignore[arg-type]
    assert engine.credentials == []


def test_an_image_of_2017_names_the_one_that_would_do() -> None:
    with pytest.raises(ImageUnavailableError) as caught:
        images.base(Asked("x", answers=True), "gcr.io/tensorflow/tensorflow:1.1.0", ImageRules(), pull=True)  # type: ignore[arg-type]
    assert "localhost/harness-compat-tf1:1 replaces it" in caught.value.next_step
    assert "`docker/build.py compat-tf1` makes it." in caught.value.next_step


def test_what_stands_for_an_image_is_looked_for_instead_and_never_asked_for_elsewhere() -> None:
    engine = Asked("x", answers=True)
    rules = ImageRules(("pytorch/*",), stand_ins=(("pytorch/pytorch*", "localhost/harness-compat-torch:1"),))
    with pytest.raises(ImageUnavailableError) as caught:
        images.base(engine, "pytorch/pytorch:latest", rules, pull=True)  # type: ignore[arg-type]
    assert "'pytorch/pytorch:latest' the tournament file names 'localhost/harness-compat-torch:1'" in caught.value.problem
    assert caught.value.next_step == "`docker/build.py compat-torch` makes it."
    assert engine.credentials == []


def test_a_missing_credential_helper_is_said_before_a_registry_is_asked(tmp_path, monkeypatch) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "nowhere"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine = Asked("x", answers=True)
    with pytest.raises(EngineError, match=f"'example/x:1' .*{tmp_path}/config.json names .*docker-credential-nowhere"):
        images.require(engine, "example/x:1")  # type: ignore[arg-type]
    assert engine.credentials == []
    # What an author names is asked for without credentials, so no helper is missing.
    with pytest.raises(ImageUnavailableError):
        images.base(engine, "example/x:1", ImageRules(("example/*",)), pull=True)  # type: ignore[arg-type]


def test_an_engine_that_goes_away_while_it_pulls_is_no_fault_of_the_submission() -> None:
    with pytest.raises(EngineError):
        images.base(Asked(NoConnectionError("gone"), answers=False), "example/x:1", ImageRules(("example/*",)), pull=True)  # type: ignore[arg-type]
