"""Images: found or pulled, pinned, and what of their configuration matters here.

Names that start with ``localhost/`` are made on the host and never asked for elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker import APIClient
from docker.errors import ImageNotFound, NotFound, NullResource

from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox.docker.client import ENGINE_FAILURES, explain, status_of

_BARE_ID = re.compile(r"(sha256:)?[0-9a-f]{64}|sha256:[0-9a-f]+")


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
        ImageUnavailableError: It is neither here nor can be pulled.
        EngineError: The engine does not answer.
    """
    facts = find(api, reference)
    if facts is None and _pullable(reference):
        _pull(api, reference)
        facts = find(api, reference)
    if facts is None:
        problem = f"The Docker image {reference!r} is not on this host."
        raise ImageUnavailableError(problem, "Build it (`docker/build.py` makes the project's own) or pull it.")
    return facts


def _pullable(reference: str) -> bool:
    return not (reference.startswith("localhost/") or _BARE_ID.fullmatch(reference))


def _pull(api: APIClient, reference: str) -> None:
    # Without a tag the engine would be asked for every tag of the repository.
    name = reference if "@" in reference or ":" in reference.rsplit("/", 1)[-1] else f"{reference}:latest"
    try:
        for event in api.pull(name, stream=True, decode=True):
            if "error" in event:
                problem = f"The Docker image {reference!r} cannot be pulled ({event['error']})."
                raise ImageUnavailableError(problem, "Check the name, or build or load the image on this host.")
    except ENGINE_FAILURES as error:
        problem = f"The Docker image {reference!r} is not on this host and cannot be pulled ({explain(error)})."
        raise ImageUnavailableError(problem, "Check the name, or build or load the image on this host.") from error


def _facts(described: Mapping[str, Any]) -> ImageFacts:
    config = described.get("Config") or {}
    return ImageFacts(
        ident=str(described["Id"]),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=tuple(config.get("Env") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        labels=dict(config.get("Labels") or {}),
        architecture=str(described.get("Architecture") or ""))
