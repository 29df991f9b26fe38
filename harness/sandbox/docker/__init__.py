"""The Docker sandbox: each program in its own hardened container.

``options.py`` holds what a container may do, ``run.py`` the course of a run, ``serving.py`` that of a served program,
``failures.py`` whose fault a failure is, ``unreachable.py`` why no engine can be used, ``image_form.py`` what is wrong with how an
image starts its program. Importing this package imports the Docker client (a quarter of a second): import it
where it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox import contract, owner
from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Session
from harness.sandbox.docker import cleanup, code_image, image_form, images, moving, shared_paths
from harness.sandbox.docker.client import connect, described, engine_answers
from harness.sandbox.docker.options import Mount, Start, command_line
from harness.sandbox.docker.page_cache import PageCache
from harness.sandbox.docker.run import Engine, open_container, run_container
from harness.sandbox.image_rules import BaseImage, ImageRules
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea
from harness.sandbox.serving import Opened, open_session
from harness.sandbox.target import shown
from harness.sandbox.watch import Watch
from harness.submission.problems import Problem
from harness.tracks import TRACKS

__all__ = ["DockerSandbox", "engine_answers"]

_NOT_SHOWN = "The opponent's code could not be staged ({})."


class DockerSandbox:
    """Starts programs in containers.

    Args:
        runtime: A container runtime other than the engine's default (``runsc``, ``kata``), or None.

    Raises:
        EngineError: No engine answers, or it does not describe itself.
    """

    name = "docker"
    isolates = True

    def __init__(self, runtime: str | None = None) -> None:
        self.api = connect()
        facts = described(self.api)
        root = Path(facts.get("DockerRootDir") or "/var/lib/docker")
        # The engine refuses a container that asks for more processors than it has.
        self._most_cpus = float(facts.get("NCPU") or sys.maxsize)
        self._engine = Engine(self.api, root, runtime)
        self._page_cache = PageCache(self.api)
        self._good_base: images.ImageFacts | None = None
        self._ready: dict[tuple[str, str], images.ImageFacts] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()
        self._form: dict[tuple[str, str], str] = {}

    def require_shared(self, place: Path) -> None:
        """See that the engine sees a place where runs get their directories.

        Raises:
            EngineError: It does not. Where that cannot be tried nothing is said: the runs themselves will show it.
        """
        found = None
        with contextlib.suppress(EngineError):
            found = shared_paths.problem(self.api, place)
        if found is not None:
            raise found

    def prepare(self, program: Program) -> None:
        """See ``Sandbox.prepare``."""
        # The first time here, where no slot waits for it.
        self._page_cache.settle(self._image(program).ident)

    def pin_image(self, reference: str) -> str:
        """The id of an image, which no later tag can move; pulled where it is absent.

        Raises:
            ImageUnavailableError: It is not available locally and could not be pulled.
            EngineError: The engine does not answer.
        """
        return self.image_facts(reference).ident

    def image_labels(self, reference: str) -> dict[str, str]:
        """The labels of an image (``harness.type``, ``harness.protocol``); raises as ``pin_image`` does."""
        return dict(self.image_facts(reference).labels)

    def image_facts(self, reference: str) -> images.ImageFacts:
        """Id, labels, architecture and start command of an image; raises as ``pin_image`` does."""
        return images.require(self.api, reference)

    def image_problems(self, reference: str) -> list[Problem]:
        """What is wrong with the way in which an image that is here starts its program; nothing where it cannot be told."""
        return image_form.problems(self.api, reference)

    def base_facts(self, reference: str, rules: ImageRules) -> images.ImageFacts:
        """The image that a directory names, pulled where it is absent and the organiser allows it; raises as ``pin_image`` does."""
        return images.base(self.api, reference, rules, pull=True)

    def pin_base(self, reference: str, rules: ImageRules) -> BaseImage:
        """See ``BaseImages.pin_base``."""
        return images.pin(self.api, reference, rules)

    def has_image(self, ident: str) -> bool:
        """See ``MovableImages``."""
        return images.find(self.api, ident) is not None

    def pull_names(self, ident: str) -> tuple[str, ...]:
        """See ``MovableImages``."""
        return moving.pull_names(self.api, ident)

    def pull_image(self, name: str) -> None:
        """See ``MovableImages``."""
        images.pull_image(self.api, name, {})

    def save_image(self, ident: str) -> Iterator[bytes]:
        """See ``MovableImages``."""
        return moving.save(ident)

    def load_image(self, archive: Iterable[bytes]) -> None:
        """See ``MovableImages``."""
        moving.load(archive)

    def run(self, request: RunRequest, cancel: threading.Event) -> RunReport:
        """See ``Sandbox.run``."""
        began = time.monotonic()
        try:
            with shown(request.program.target, request.input_dir.parent) as target:
                return self._run(request, target, cancel, began)
        except OSError as error:
            return RunReport(Ending.HOST_ERROR, detail=_NOT_SHOWN.format(error))

    def _run(self, request: RunRequest, target: Path | None, cancel: threading.Event, began: float) -> RunReport:
        program = request.program
        output = TRACKS[request.track].output_dir
        mounts = [Mount(request.input_dir, contract.INPUT, read_only=True),
                  Mount(request.output_dir, output, read_only=False), *_mounted(target)]
        arguments = contract.arguments(request.track, contract.INPUT, output, request.epsilon,
                                       None if target is None else contract.TARGET)
        for last in (False, True):
            start = self._start(program, arguments, mounts, request.limits, request.gpu, request.labels, stdin=False)
            if isinstance(start, RunReport):
                return start
            watch = Watch(request.limits.time_limit_s, cancel, request.output)
            report = run_container(self._engine, start, watch, began)
            if report.ending is not Ending.IMAGE_MISSING or last:
                return self._with_form(start, report, wrote=any(request.output.path.iterdir()))
            # It was here at preparation and has been removed since: a code image can be made again.
            self._ready.pop(_key(program), None)
        raise AssertionError

    def open(self, program: Program, track: str, workspace: Path, limits: Limits,  # noqa: ARG002
             gpu: str | None, labels: Mapping[str, str], cancel: threading.Event | None = None) -> Session | RunReport:
        """See ``Sandbox.open``."""

        def start(area: OutputArea) -> Opened | RunReport:
            with contextlib.ExitStack() as kept:
                try:
                    target = kept.enter_context(shown(program.target, workspace))
                except OSError as error:
                    return RunReport(Ending.HOST_ERROR, detail=_NOT_SHOWN.format(error))
                mounts = [Mount(workspace / "in", contract.SERVE_INPUT, read_only=True),
                          Mount(area.path, contract.SERVE_OUTPUT, read_only=False), *_mounted(target)]
                start = self._start(program, ["serve"], mounts, limits, gpu, labels, stdin=True)
                if isinstance(start, RunReport):
                    return start
                begun.append(start)
                opened = open_container(self._engine, start, area, workspace)
                if isinstance(opened, RunReport):
                    return opened
                return dataclasses.replace(opened, remove=kept.pop_all().close)

        begun: list[Start] = []
        opened = open_session(start, workspace, limits, cancel)
        return self._with_form(begun[0], opened, wrote=False) if isinstance(opened, RunReport) and begun else opened

    def cleanup(self, tournament: str | None = None) -> list[str]:
        """See ``Sandbox.cleanup``; raises ``EngineError`` where the engine does not answer."""
        self._engine.remove_orphans()
        return cleanup.remove_leftovers(self.api, tournament)

    def remove_code_images(self, digests: Collection[str] | None = None, tournament: str | None = None) -> list[str]:
        """Remove the images made of these submissions' directories, of all where None; they are made again when needed."""
        return code_image.remove(self.api, digests, tournament)

    def _with_form(self, start: Start, report: RunReport, *, wrote: bool) -> RunReport:
        """A failed run of a plain image, with what is wrong with how the image starts its program."""
        failed = report.ending is Ending.START_FAILED or (report.ending is Ending.FINISHED and (report.exit_code or not wrote))
        if not failed or start.program.code_dir is not None:
            return report
        key = (start.image.ident, start.program.profile)
        if key not in self._form:
            self._form[key] = image_form.said_of_a_failure(self.api, start.image.ident, start.program.profile)
        return dataclasses.replace(report, detail=f"{report.detail} {self._form[key]}".strip())

    def _start(self, program: Program, arguments: list[str], mounts: list[Mount], limits: Limits, gpu: str | None,
               labels: Mapping[str, str], *, stdin: bool) -> Start | RunReport:
        try:
            image = self._image(program)
        except ImageUnavailableError as error:
            return RunReport(Ending.IMAGE_MISSING, detail=str(error))
        except EngineError as error:
            return RunReport(Ending.HOST_ERROR, detail=str(error))
        argv = command_line(program, image, arguments)
        if not argv:
            return RunReport(Ending.START_FAILED, detail="The image has neither an ENTRYPOINT nor a CMD.")
        self._page_cache.settle(image.ident)
        limits = dataclasses.replace(limits, cpus=min(limits.cpus, self._most_cpus))
        return Start(program, image, argv, mounts, limits, gpu, owner.labels_of(labels), self._engine.runtime, stdin)

    def _image(self, program: Program) -> images.ImageFacts:
        """The image that a program's containers are made from, made once."""
        key = _key(program)
        found = self._ready.get(key)
        if found is not None:
            return found
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._ready:
                if program.image is None:
                    problem = "The submission names no Docker image."
                    raise ImageUnavailableError(problem, "Add `container` to its metadata.json.")
                self._ready[key] = self._made(program, program.image)
            return self._ready[key]


    def _made(self, program: Program, reference: str) -> images.ImageFacts:
        if program.code_dir is None:
            found = images.find(self.api, reference)
            if found is None:
                problem = f"The Docker image {reference!r} is not on this host."
                raise ImageUnavailableError(problem, "Load it, or submit it again.")
            return found
        base = images.base(self.api, reference, program.rules, pull=False)
        made = code_image.ensure(self.api, program, base, self._good_base or self._engine.known.image)
        self._good_base = base
        return made


def _mounted(target: Path | None) -> list[Mount]:
    return [] if target is None else [Mount(target, contract.TARGET, read_only=True)]


def _key(program: Program) -> tuple[str, str]:
    pinned = program.rules.pinned.get(program.image or "")
    return program.digest, (program.image or "") if pinned is None else str(pinned.ident)
