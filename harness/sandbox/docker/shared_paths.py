"""Whether the engine sees this host's directories where the harness sees them.

Containers get directories of the host by path. An engine on another host, or one beside which the harness runs in a container of
its own, looks for these paths elsewhere: it finds nothing, or another directory, which looks like a program that wrote no output.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
import tempfile
from pathlib import Path

from docker import APIClient
from docker.errors import NotFound

from harness.errors import EngineError
from harness.sandbox import owner
from harness.sandbox.docker.client import ENGINE_FAILURES, explain, status_of
from harness.sandbox.output_area import OutputArea

_TARGET = "/harness-probe"
_STEP = ("Use an engine of this very host; where the harness runs in a container, give that directory to it under the path that "
         "it has on the engine's host (-v {place}:{place}:rshared).")
ABSENT = "bind source path does not exist"


def problem(api: APIClient, place: Path) -> EngineError | None:
    """What is wrong with the engine's view of a place where the harness works, None where nothing is.

    A file in a directory there, and one in an output area, are read through a container that is never started.

    Args:
        api: The engine.
        place: Need not be there yet.

    Raises:
        EngineError: It could not be tried.
    """
    place = next(each for each in [place, *place.absolute().parents] if each.is_dir())
    token = secrets.token_bytes(16)
    try:
        with tempfile.TemporaryDirectory(prefix=".harness-probe-", dir=place) as made:
            probe = Path(made).resolve()
            with OutputArea(probe / "out", 1 << 16, 16) as area:
                for folder in (probe, area.path):
                    (folder / "token").write_bytes(token)
                return _compared(api, probe, token)
    except (*ENGINE_FAILURES, tarfile.TarError) as error:
        sentence = f"Whether the Docker engine sees the directories below {place} could not be tested ({explain(error)})."
        raise EngineError(sentence, "Run `harness doctor`.") from error


def _compared(api: APIClient, probe: Path, token: bytes) -> EngineError | None:
    # The oldest: a container keeps its image from being removed, and the newest may be one that is just being made.
    images = sorted(api.images(), key=lambda image: int(image["Created"]))
    if not images:
        raise EngineError("Whether the Docker engine sees this host's directories could not be tested: it has no image.",
                          "Make the base images with `docker/build.py`.")
    place = probe.parent
    step = _STEP.format(place=place)
    try:
        ident = api.create_container_from_config({  # type: ignore[no-untyped-call]
            "Image": images[0]["Id"], "Entrypoint": ["/never-started"], "Cmd": [], "NetworkDisabled": True,
            "Labels": owner.labels_of({"builder": "1"}),
            "HostConfig": {"Mounts": [{"Type": "bind", "Source": str(probe), "Target": _TARGET, "ReadOnly": True}]}})["Id"]
    except ENGINE_FAILURES as error:
        if status_of(error) is not None and ABSENT in explain(error):
            return EngineError(f"The Docker engine does not see {place} of this host: it looks for it elsewhere.", step)
        raise
    try:
        if _read(api, ident, "token") != token:
            return EngineError(f"The Docker engine sees another directory at {place} than the harness.", step)
        if _read(api, ident, "out/token") != token:
            sentence = f"The Docker engine does not see what the harness mounts below {place}, so no output would come back."
            return EngineError(sentence, step)
    finally:
        with contextlib.suppress(*ENGINE_FAILURES):
            api.remove_container(ident, v=True, force=True)
    return None


def _read(api: APIClient, ident: str, name: str) -> bytes | None:
    try:
        stream, _ = api.get_archive(ident, f"{_TARGET}/{name}")
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        return file.read(64) if file is not None else None
