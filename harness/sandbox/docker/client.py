"""The connection to the Docker engine, and what its failures are called here.

Nothing waits for the engine without a bound: an engine that hangs costs ``TIMEOUT_S`` and is a host error.
"""

from __future__ import annotations

from http.client import HTTPException

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from urllib3.exceptions import HTTPError

from harness.errors import EngineError

#: Creating a container on a loaded host has been seen to take several seconds; an engine silent for longer is broken.
TIMEOUT_S = 30

#: All that a call to the engine raises when the engine, the connection or the host is at fault. ``OSError`` covers
#: requests' exceptions too.
ENGINE_FAILURES = (DockerException, HTTPError, HTTPException, OSError, ValueError)


def connect(slots: int = 32) -> APIClient:
    """A client for the engine that the environment names; safe for several threads.

    Raises:
        EngineError: No engine answers.
    """
    try:
        # The version is asked for once, here, and proves that somebody answers.
        return APIClient(version="auto", timeout=TIMEOUT_S, max_pool_size=slots, **kwargs_from_env())
    except ENGINE_FAILURES as error:
        problem = f"No Docker engine answers ({explain(error)})."
        raise EngineError(problem, "Start it, or use `--sandbox process` for programs you trust.") from error


def engine_answers() -> bool:
    """Whether a Docker engine can be used here."""
    try:
        connect().close()
    except EngineError:
        return False
    return True


def explain(error: BaseException) -> str:
    """One line of what the engine said."""
    if isinstance(error, APIError) and error.explanation:
        return " ".join(str(error.explanation).split())
    return " ".join(str(error).split()) or type(error).__name__


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an engine's refusal, None where it did not answer."""
    return error.status_code if isinstance(error, APIError) else None
