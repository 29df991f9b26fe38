"""Which sandbox a tournament uses, and what to say about it.

``auto`` takes Docker where an engine answers. The process sandbox does not isolate, and is never chosen silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

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


def isolates(backend: Literal["auto", "docker", "process"]) -> bool:
    """Whether the sandbox that ``choose_sandbox`` would take isolates, without making it."""
    return backend == "docker" or (backend == "auto" and docker_answers())


class Given(Protocol):
    """A submission, loaded or registered."""

    @property
    def name(self) -> str:
        """In the tournament."""

    @property
    def kind(self) -> str:
        """``directory``, ``archive`` or ``image``."""


def refuse_untrusted(submissions: Iterable[Given], *, isolated: bool, trusted: bool) -> None:
    """Refuse someone else's archive or image where it would run without isolation.

    A directory is taken for one's own; what came packed is taken for somebody else's, until a person says otherwise. Asked
    wherever something is accepted or about to run: what was accepted under Docker must not run without it unnoticed.

    Args:
        submissions: What is accepted, or would run.
        isolated: Whether the sandbox isolates.
        trusted: Whether the person said ``--trust-process-sandbox`` to this very command.

    Raises:
        SubmissionError: Nothing would hold one of them.
    """
    if isolated or trusted:
        return
    for given in submissions:
        if given.kind != "directory":
            raise SubmissionError(f"{given.name} is an {given.kind} and would run without isolation, with all rights of your user.",
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
