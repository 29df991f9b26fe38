"""Which sandbox a tournament uses, and what to say about it.

``auto`` takes Docker where an engine answers. The process sandbox does not isolate, and is never chosen silently.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.errors import EngineError, SubmissionError
from harness.sandbox.base import Sandbox
from harness.submission import ImageInfo

WARNING = ("No Docker engine is used: submissions run as ordinary processes of this user, WITHOUT isolation. "
           "Run only programs that you trust.")


def docker_answers() -> bool:
    """Whether a Docker engine answers on this host."""
    from harness.sandbox.docker import engine_answers  # noqa: PLC0415 - the client costs a quarter of a second

    return engine_answers()


def choose_sandbox(backend: Literal["auto", "docker", "process"], runtime: str | None = None,
                   scratch: Path | None = None) -> tuple[Sandbox, str]:
    """The sandbox, and a warning to show (empty where there is nothing to warn of).

    ``scratch`` is where the process sandbox puts its programs' private directories: below a tournament's work directory what
    a killed harness left there goes with the next `harness run`.

    Raises:
        EngineError: Docker is asked for and no engine answers.
    """
    if backend != "process":
        if docker_answers():
            from harness.sandbox.docker import DockerSandbox  # noqa: PLC0415

            return DockerSandbox(runtime), ""
        if backend == "docker":
            raise EngineError("No Docker engine answers on this host.",
                              "Start it (`harness doctor` says how), or use --sandbox process for your own programs.")
    from harness.sandbox.process import ProcessSandbox  # noqa: PLC0415

    return ProcessSandbox(scratch), WARNING


def refuse_untrusted(backend: Literal["auto", "docker", "process"], source: str) -> None:
    """Refuse someone else's archive or image where it would run without isolation.

    Raises:
        SubmissionError: No Docker engine would hold it.
    """
    if backend == "process" or (backend == "auto" and not docker_answers()):
        raise SubmissionError(f"{source} would run without isolation on this host, with all rights of your user.",
                              "Start Docker, or say --trust-process-sandbox if you wrote it yourself.")


def image_lookup() -> Callable[[str], ImageInfo] | None:
    """How to look a Docker image up; None where no engine answers."""
    if not docker_answers():
        return None
    from harness.sandbox.docker import DockerSandbox  # noqa: PLC0415

    sandbox = DockerSandbox()

    def look_up(reference: str) -> ImageInfo:
        ident = sandbox.pin_image(reference)
        described = sandbox.api.inspect_image(ident)  # type: ignore[no-untyped-call]
        return ImageInfo(ident, sandbox.image_labels(ident), described.get("Architecture", ""))

    return look_up
