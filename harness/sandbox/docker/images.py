"""Images: found or pulled, pinned, and what of their configuration matters here.

Names that start with ``localhost/`` are made on the host and never asked for elsewhere. What the organiser names (``require``) is
pulled with the organiser's credentials, and the registry's answer is shown. What an author names (``base``) is asked for only where
the organiser allows it, without credentials, and no answer of a network is passed on: it would tell which hosts and ports there
are. Nothing is pulled in a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker import APIClient
from docker.errors import ImageNotFound, InvalidRepository, NotFound, NullResource

from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.sandbox import image_rules
from harness.sandbox.docker.client import ENGINE_FAILURES, explain, status_of
from harness.sandbox.docker.client_config import context, credentials_problem
from harness.sandbox.image_rules import BaseImage, ImageRules, would_do
from harness.untrusted_text import plain

#: What registries answer about an image that does not exist, or not for us. The engine passes these sentences on under any status.
_NOT_THERE = re.compile(
    r"not found|does not exist|no such (image|host)|denied|unauthorized|authentication required|no basic auth credentials"
    r"|(manifest|name|blob|repository name).{0,12} (unknown|invalid)|unknown (manifest|blob)|no matching manifest"
    r"|invalid (reference|repository)", re.IGNORECASE)
#: Messages of a registry or a host that is out of order, whatever else they say.
_OUT_OF_ORDER = re.compile(
    r"toomanyrequests|too many requests|rate limit|time[d ]*out|deadline|unexpected http status: 5|no space left", re.IGNORECASE)
#: HTTP: a bad name, no right to it, nothing of that name.
_FINAL = frozenset({400, 401, 403, 404})
_CHECK = "Check the name and whether its registry can be reached, or build or load the image on this host."
_SAID_MAX = 300


def _reason(pattern: str, words: str, step: str) -> tuple[re.Pattern[str], str, str]:
    return re.compile(pattern, re.IGNORECASE), words, step


#: What a registry's or the engine's answer means, read from the top.
_REASONS = (
    _reason(r"toomanyrequests|too many requests|rate limit", "its registry's rate limit is reached",
            "Wait, log in to it (`docker login`), or load the image on this host."),
    _reason(r"no space left", "there is no space for it", "Free space where Docker keeps its data."),
    _reason(r"no such host|server misbehaving|name resolution", "the name of its registry cannot be resolved",
            "Correct the registry's name, check the engine's network, or load the image on this host (`docker load`)."),
    _reason(r"x509|tls: |HTTP response to HTTPS", "its registry's TLS is not accepted",
            "Give the engine the registry's certificate, or load the image on this host."),
    _reason(r"time[d ]*out|deadline|refused|unreachable|no route|connection reset|proxyconnect|unexpected http status: 5|EOF",
            "its registry cannot be reached",
            "Check the network and the engine's proxy, or load the image on this host (`docker load`)."),
    _reason(r"no matching manifest|no match for platform", "its registry has it for other architectures only",
            "Build it for this host's architecture."),
    _reason(r"denied|unauthorized|authentication required|no basic auth",
            "its registry has no image of that name, or requires a login",
            "Check the name, log in (`docker login`), or build or load the image on this host."),
    _reason(r"unknown|not found|does not exist", "its registry has no image of that name and tag",
            "Check name and tag, or build or load the image on this host."),
    _reason(r"invalid", "no image can have that name", "Check the name."),
)
_BARE_ID = re.compile(r"(sha256:)?[0-9a-f]{64}|sha256:[0-9a-f]+")

_OURS = re.compile(r"localhost/harness-([\w-]+):1")


@dataclass(frozen=True)
class ImageFacts:
    """What a container made from an image would inherit."""

    ident: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    architecture: str
    names: tuple[str, ...] = ()
    seal: str = ""


def find(api: APIClient, reference: str) -> ImageFacts | None:
    """The image's facts, None where it is not on this host.

    Raises:
        EngineError: The engine does not answer.
    """
    try:
        return _facts(api.inspect_image(reference))  # type: ignore[no-untyped-call]
    except (ImageNotFound, NotFound, NullResource):
        return None
    except ENGINE_FAILURES as error:
        if status_of(error) == 400:  # noqa: PLR2004 - "invalid reference format": a name that no image can have
            return None
        problem = f"The Docker engine failed to look up {reference!r} ({explain(error)})."
        raise EngineError(problem, "Run `harness doctor`.") from error


def require(api: APIClient, reference: str) -> ImageFacts:
    """The image's facts, pulled where it is absent.

    Raises:
        ImageUnavailableError: It is neither here nor in its registry.
        EngineError: The engine or the registry does not answer.
    """
    facts = find(api, reference)
    if facts is None and in_a_registry(reference):
        pull_image(api, reference, None)
        facts = find(api, reference)
    if facts is None:
        problem = f"The Docker image {reference!r} is not on this host."
        other = context()
        if other is not None:
            problem += f" The docker command uses another engine than the harness: the context {other.name} ({other.said_by})."
        raise ImageUnavailableError(problem, "Build it (`docker/build.py` makes the project's own) or pull it.")
    return facts


def pin(api: APIClient, reference: str, rules: ImageRules) -> BaseImage:
    """What the name that a directory gives stands for now; pulled as by ``base``.

    Raises:
        EngineError: The engine does not answer.
    """
    try:
        facts = base(api, reference, rules, pull=True)
    except ImageUnavailableError as error:
        return BaseImage(None, refusal=str(error))
    return BaseImage(facts.ident, image_rules.identity(rules.meant(reference), facts.ident, facts.labels, facts.seal))


def pinned(api: APIClient, reference: str, image: BaseImage) -> ImageFacts:
    """The facts of the image that a name stood for.

    Raises:
        ImageUnavailableError: It was not available then. One that has come since waits for the next call, which looks again.
        EngineError: It was removed since, or the engine does not answer.
    """
    if image.ident is None:
        raise ImageUnavailableError(image.refusal, "")
    facts = find(api, image.ident)
    if facts is None:
        problem = f"The Docker image that {reference!r} was when the round began ({image.ident[:19]}) is no longer on this host."
        raise EngineError(problem, "Run `harness run` again to use the image that has this name now.")
    return facts


def base(api: APIClient, reference: str, rules: ImageRules, *, pull: bool) -> ImageFacts:
    """The facts of the image that a directory names, pulled where it is absent, ``pull`` is said and the organiser allows it.

    Raises:
        ImageUnavailableError: It is not available, or may not be used.
        EngineError: The engine does not answer.
    """
    if (known := rules.pinned.get(reference)) is not None:
        return pinned(api, reference, known)
    named, reference = reference, rules.meant(reference)
    facts = find(api, reference)
    if facts is None and named != reference:
        problem = f"For the Docker image {named!r} the tournament file names {reference!r} (`images`), which is not on this host."
        raise ImageUnavailableError(problem, _making(reference))
    if facts is None and pull and rules.may_pull(reference):
        try:
            pull_image(api, reference, {})
        except HarnessError as error:
            # The reason is not shown: it is the answer of a host that an author chose.
            if api_silent(api):
                raise
            problem = f"The Docker image {reference!r} is not available."
            raise ImageUnavailableError(problem, "Name one that the organiser offers, or ask the organiser to load it.") from error
        facts = find(api, reference)
    if facts is None:
        problem = f"The Docker image {reference!r} is not on this host."
        instead = would_do(reference)
        step = "Name one that the organiser offers, or ask the organiser to load it."
        if instead is not None:
            step = f"{instead} replaces it: name it under `images` in the tournament file. {_making(instead)}"
        raise ImageUnavailableError(problem, step)
    refused = rules.problem(reference, facts.ident, facts.names, facts.labels)
    if refused is not None:
        problem = f"The Docker image {reference!r} {refused}."
        raise ImageUnavailableError(problem, "Name one of the base images, or one that the organiser offers.")
    return facts


def _making(reference: str) -> str:
    """How an image of ours is made."""
    ours = _OURS.fullmatch(reference)
    return f"`docker/build.py {ours.group(1)}` makes it." if ours else f"Build or load {reference} on this host."


def api_silent(api: APIClient) -> bool:
    """Whether the engine does not answer."""
    try:
        api.ping()
    except ENGINE_FAILURES:
        return True
    return False


def in_a_registry(reference: str) -> bool:
    """Whether a registry may have an image under this name."""
    return bool(reference) and not (reference.startswith("localhost/") or _BARE_ID.fullmatch(reference))


def pull_image(api: APIClient, reference: str, credentials: dict[str, str] | None) -> None:
    """Pull it; with None for ``credentials`` the client looks for the person's own.

    Raises:
        ImageUnavailableError: Its registry does not have it, or not for us.
        EngineError: The engine or the registry does not answer.
    """
    wrong = credentials_problem(reference) if credentials is None else None
    if wrong is not None:
        raise EngineError(f"The Docker image {reference!r} is not on this host and cannot be pulled: {wrong[0]}.", wrong[1])
    # Without a tag the engine would be asked for every tag of the repository.
    name = reference if "@" in reference or ":" in reference.rsplit("/", 1)[-1] else f"{reference}:latest"
    try:
        for event in api.pull(name, stream=True, decode=True, auth_config=credentials):
            if "error" in event:
                raise _unpulled(reference, str(event["error"]), None)
    except ENGINE_FAILURES as error:
        status = 400 if isinstance(error, InvalidRepository) else status_of(error)
        if status is None:
            problem = f"The Docker engine went away while it pulled {reference!r} ({explain(error)})."
            raise EngineError(problem, "Run `harness doctor`.") from error
        raise _unpulled(reference, explain(error), status) from error


def _unpulled(reference: str, said: str, status: int | None) -> HarnessError:
    said = plain(said, _SAID_MAX)
    final = not _OUT_OF_ORDER.search(said) and (status in _FINAL or _NOT_THERE.search(said))
    known = ((words, step) for pattern, words, step in _REASONS if pattern.search(said))
    words, step = next(known, ("it cannot be pulled", _CHECK))
    problem = f"The Docker image {reference!r} is not on this host, and {words} ({said})."
    return (ImageUnavailableError if final else EngineError)(problem, step)


def _facts(described: Mapping[str, Any]) -> ImageFacts:
    config = described.get("Config") or {}
    return ImageFacts(
        ident=str(described["Id"]),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=tuple(config.get("Env") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        labels=dict(config.get("Labels") or {}),
        architecture=str(described.get("Architecture") or ""),
        names=(*(described.get("RepoTags") or ()), *(described.get("RepoDigests") or ())),
        seal=image_rules.seal(described))
