"""Which sandbox a tournament uses, and what to say about it.

``auto`` takes Docker where an engine answers. The process sandbox does not isolate, and is never chosen silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import EngineError, HarnessError, ImageUnavailableError, SubmissionError
from harness.sandbox.base import Sandbox
from harness.sandbox.image_rules import ImageRules
from harness.submission import ImageInfo

WARNING = ("No Docker engine is used: submissions run as ordinary processes of this user, WITHOUT isolation. "
           "Run only programs that you trust.")


#: What connecting says where there is no engine. Anything else (no permission, no answer in time) is an engine that fails.
_NO_ENGINE = ("No such file or directory", "FileNotFoundError", "Connection refused")


def docker_answers() -> bool:
    """Whether a Docker engine answers on this host.

    Raises:
        EngineError: There is one, and it cannot be used: that is not the answer "no".
    """
    from harness.sandbox.docker.client import connect  # noqa: PLC0415 - the client costs a quarter of a second

    try:
        connect().close()
    except EngineError as error:
        if any(words in error.problem for words in _NO_ENGINE):
            return False
        raise
    return True


def choose_sandbox(backend: Literal["auto", "docker", "process"], runtime: str | None = None,
                   scratch: Path | None = None, database: Path | None = None) -> tuple[Sandbox, str]:
    """The sandbox, and a warning to show (empty where there is nothing to warn of).

    ``scratch`` is where the process sandbox puts its programs' private directories: below a tournament's work directory what
    a killed harness left there goes with the next `harness run`. ``database`` is the tournament's: one that has run isolated does
    not go on without because its engine is down.

    Raises:
        EngineError: Docker is asked for and no engine answers, one is there and fails, or ``auto`` would end the isolation.
    """
    if backend != "process":
        if docker_answers():
            from harness.sandbox.docker import DockerSandbox  # noqa: PLC0415

            return DockerSandbox(runtime), ""
        if backend == "docker":
            raise EngineError("No Docker engine answers on this host.",
                              "Start it (`harness doctor` says how), or use --sandbox process for your own programs.")
        if database is not None and has_run_isolated(database):
            raise EngineError("No Docker engine answers on this host, and this tournament's programs have run isolated until now.",
                              "Start the engine, or say --sandbox process to run them without isolation.")
    from harness.sandbox.process import ProcessSandbox  # noqa: PLC0415

    return ProcessSandbox(scratch), WARNING


def has_run_isolated(database: Path) -> bool:
    """Whether a tournament has results of programs that ran in containers; false where it has no database yet.

    Raises:
        StoreError: The database cannot be used.
    """
    from sqlalchemy import select  # noqa: PLC0415 - with SQLAlchemy, only where something falls back

    from harness.store.database import explain, open_database  # noqa: PLC0415
    from harness.store.models import ConditionsRow, RunRow  # noqa: PLC0415

    if not database.exists():
        return False
    engine = open_database(database, create=False)
    try:
        with explain(database), engine.connect() as connection:
            used = connection.scalars(select(ConditionsRow.text).where(
                select(RunRow.id).where(RunRow.conditions_id == ConditionsRow.id).exists())).all()
    finally:
        engine.dispose()
    return any(json.loads(text).get("sandbox") not in (None, "process") for text in used)


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


class Based(Given, Protocol):
    """A submission and the image that it names."""

    @property
    def container(self) -> str:
        """As its metadata say it."""


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


def image_lookup(rules: ImageRules | None = None) -> Callable[[str], ImageInfo] | None:
    """How to look a Docker image up; None where no engine answers, or one fails: who needs it asks again and is told.

    Args:
        rules: For images that directories name; None for what the organiser names, which is pulled from wherever it is.
    """
    try:
        if not docker_answers():
            return None
    except EngineError:
        return None
    from harness.sandbox.docker import DockerSandbox  # noqa: PLC0415

    sandbox = DockerSandbox()

    def look_up(reference: str) -> ImageInfo:
        facts = sandbox.image_facts(reference) if rules is None else sandbox.base_facts(reference, rules)
        return ImageInfo(facts.ident, facts.labels, facts.architecture)

    return look_up


def resolve_bases(submissions: Iterable[Based], rules: ImageRules) -> dict[str, HarnessError]:
    """Look up, and pull where that is allowed, the images that directories name; what is wrong, by submission's name.

    This is when it is done: a run pulls nothing. Where no engine answers nothing is looked up.
    """
    named = [given for given in submissions if given.kind != "image" and given.container]
    look_up = image_lookup(rules) if named else None
    found: dict[str, HarnessError] = {}
    answers: dict[str, HarnessError | None] = {}
    for given in named if look_up is not None else ():
        if given.container not in answers:
            answers[given.container] = _refusal(look_up, given.container)  # type: ignore[arg-type]
        refused = answers[given.container]
        if refused is not None:
            found[given.name] = refused
    return found


def _refusal(look_up: Callable[[str], ImageInfo], reference: str) -> HarnessError | None:
    try:
        look_up(reference)
    except ImageUnavailableError as error:
        return error
    return None
