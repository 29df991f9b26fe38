"""Which sandbox a tournament uses, and what to say about it.

``auto`` uses Docker if an engine answers. The process sandbox does not isolate, and is never chosen silently.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from harness.errors import EngineError, HarnessError, ImageUnavailableError, NoEngineError
from harness.sandbox.base import Sandbox
from harness.sandbox.image_rules import ImageRules
from harness.submission.load import ImageInfo
from harness.submission.problems import Problem

if TYPE_CHECKING:
    from harness.sandbox.docker import DockerSandbox
    from harness.sandbox.docker.images import ImageFacts

WARNING = ("No Docker engine is used: submissions run as ordinary processes of this user, WITHOUT isolation. "
           "Run only programs that you trust.")


_OR_PROCESS = "Or pass --sandbox process to run programs that you trust without isolation."


class DockerHost:
    """The Docker engine of this host, connected to once per command, on first use.

    Args:
        runtime: As for ``DockerSandbox``.
    """

    def __init__(self, runtime: str | None = None) -> None:
        self._runtime = runtime
        self._found: DockerSandbox | EngineError | None = None

    def sandbox(self) -> DockerSandbox:
        """The engine's sandbox.

        Raises:
            NoEngineError: There is no engine.
            EngineError: There is one, or one is named, and it cannot be used.
        """
        if self._found is None:
            from harness.sandbox.docker import DockerSandbox  # noqa: PLC0415 - the client costs a quarter of a second

            try:
                self._found = DockerSandbox(self._runtime)
            except EngineError as error:
                self._found = error
        if isinstance(self._found, EngineError):
            raise self._found
        return self._found

    def absent(self) -> NoEngineError | None:
        """Why there is no engine on this host, None where one answers.

        Raises:
            EngineError: There is one that cannot be used: that is not the answer "no".
        """
        try:
            self.sandbox()
        except NoEngineError as error:
            return error
        return None


def choose_sandbox(backend: Literal["auto", "docker", "process"], runtime: str | None = None,
                   scratch: Path | None = None, database: Path | None = None,
                   docker: DockerHost | None = None) -> tuple[Sandbox, str]:
    """The sandbox, and a warning to show (empty where there is nothing to warn of).

    ``scratch`` is where runs get their directories (the temporary directory where None), which a Docker engine has to see. The
    process sandbox puts its programs' private directories there: below a tournament's work directory what a killed harness left
    goes with the next `harness run`. ``database`` is the tournament's: one that has run isolated does not go on without because its
    engine is down. ``docker`` is the engine where it was asked already, with the same runtime.

    Raises:
        EngineError: Docker is asked for and no engine answers, one is there and fails, or ``auto`` would end the isolation.
    """
    why = ""
    if backend != "process":
        docker = docker or DockerHost(runtime)
        try:
            absent = docker.absent()
            if absent is None:
                sandbox = docker.sandbox()
                sandbox.require_shared(scratch or Path(tempfile.gettempdir()))
                return sandbox, ""
        except EngineError as error:
            raise EngineError(error.problem, f"{error.next_step} {_OR_PROCESS}") from error
        if backend == "docker":
            raise EngineError(absent.problem, f"{absent.next_step} {_OR_PROCESS}")
        if database is not None and has_run_isolated(database):
            raise EngineError(f"{absent.problem} This tournament's programs have run isolated until now.",
                              f"{absent.next_step} {_OR_PROCESS}")
        why = f"{absent.problem} "
    from harness.sandbox.process import ProcessSandbox  # noqa: PLC0415

    return ProcessSandbox(scratch), f"{why}{WARNING}"


def has_run_isolated(database: Path) -> bool:
    """Whether a tournament has results of programs that ran in containers; false where it has no database yet.

    Raises:
        StoreError: The database cannot be used.
    """
    from harness.store import rounds  # noqa: PLC0415 - with SQLAlchemy, only where something falls back
    from harness.store.database import is_there  # noqa: PLC0415
    from harness.store.facade import Store  # noqa: PLC0415

    if not is_there(database):
        return False
    with closing(Store(database.parent, create=False)) as store, store.read() as transaction:
        used = rounds.used_conditions(transaction)
    return any(conditions.get("sandbox") not in (None, "process") for conditions in used)


def isolates(backend: Literal["auto", "docker", "process"], docker: DockerHost) -> bool:
    """Whether the sandbox that ``choose_sandbox`` would take isolates, without making it."""
    return backend == "docker" or (backend == "auto" and docker.absent() is None)


class Given(Protocol):
    """A submission, loaded or registered."""

    @property
    def name(self) -> str:
        """In the tournament."""

    @property
    def kind(self) -> str:
        """``directory``, ``archive`` or ``image``."""


class Based(Given, Protocol):
    """A submission and the image that it names."""

    @property
    def container(self) -> str:
        """As its metadata say it."""

    @property
    def container_gpu(self) -> str | None:
        """The same for hosts with a GPU, where it is another one."""


def image_lookup(docker: DockerHost) -> Callable[[str], ImageInfo]:
    """How to look up an image that the organiser names, which is pulled from wherever it is; the engine is asked when it is used.

    Each image is looked up once. It raises ``EngineError`` with the reason where no engine can be used.
    """
    return cache(lambda reference: _info(docker.sandbox().image_facts(reference)))


def image_problems(reference: str, docker: DockerHost) -> list[Problem]:
    """What is wrong with the way in which an image that was found starts its program."""
    return docker.sandbox().image_problems(reference)


def base_lookup(rules: ImageRules, docker: DockerHost) -> Callable[[str], ImageInfo] | EngineError:
    """How to look up an image that a directory names, or why that cannot be done: a directory can be looked at without."""
    try:
        sandbox = docker.sandbox()
    except EngineError as error:
        return error
    return lambda reference: _info(sandbox.base_facts(reference, rules))


def _info(facts: ImageFacts) -> ImageInfo:
    return ImageInfo(facts.ident, facts.labels, facts.architecture)


def resolve_bases(given: Based, rules: ImageRules, docker: DockerHost) -> list[HarnessError]:
    """Look up, and pull where that is allowed, the images that a directory names; what is wrong.

    It is done here because a run pulls nothing. Where no engine answers nothing is looked up.
    """
    fields = {} if given.kind == "image" else {"container": given.container, "container_gpu": given.container_gpu}
    named = {field: reference for field, reference in fields.items() if reference}
    look_up = base_lookup(rules, docker) if named else None
    refused: list[HarnessError] = []
    if look_up is None or isinstance(look_up, EngineError):
        return refused
    for field, reference in named.items():
        try:
            look_up(reference)
        except ImageUnavailableError as error:
            refused.append(ImageUnavailableError(f"{given.name}, {field}: {error.problem}", error.next_step))
    return refused
