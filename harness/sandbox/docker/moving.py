"""Copy images from one engine to another: by digest from a registry, else as the archive that ``docker save`` writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from docker import APIClient

from harness.errors import EngineError
from harness.sandbox.docker import images
from harness.sandbox.docker.client import ENGINE_FAILURES, connect, explain

#: An engine is silent while it reads all layers of an image from its disk, or writes them: minutes for one of 6 GB.
_PATIENCE_S = 1800
_CHUNK_BYTES = 1 << 20


def pull_names(api: APIClient, ident: str) -> tuple[str, ...]:
    """The image's names with digests, as registries gave them; what this host alone has is none of them."""
    facts = images.find(api, ident)
    names = () if facts is None else facts.names
    return tuple(name for name in names if "@" in name and images.in_a_registry(name))


def save(ident: str) -> Iterator[bytes]:
    """An image as an archive.

    Raises:
        EngineError: The engine failed.
    """
    with contextlib.closing(connect(timeout_s=_PATIENCE_S)) as api:
        try:
            yield from api.get_image(ident, chunk_size=_CHUNK_BYTES)
        except ENGINE_FAILURES as error:
            raise EngineError(f"The Docker engine failed to save the image {ident[:19]} ({explain(error)}).",
                              "Run `harness doctor`.") from error


def load(archive: Iterable[bytes]) -> None:
    """Take an image from an archive.

    Raises:
        EngineError: The engine failed.
    """
    with contextlib.closing(connect(timeout_s=_PATIENCE_S)) as api:
        try:
            said = [event["error"] for event in api.load_image(archive) if "error" in event]  # type: ignore[no-untyped-call]
        except ENGINE_FAILURES as error:
            said = [explain(error)]
    if said:
        raise EngineError(f"The Docker engine failed to load an image ({said[0]}).", "Run `harness doctor`.")
