"""One program on one batch in a container of its own, from start to end."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from docker import APIClient

from harness.sandbox import contract
from harness.sandbox.base import RunReport
from harness.sandbox.docker import layer, start_control
from harness.sandbox.docker.container import Container, removed
from harness.sandbox.docker.options import Start
from harness.sandbox.output_area import OutputArea
from harness.sandbox.protocol import LineReader
from harness.sandbox.running import NotStartedError, to_the_end
from harness.sandbox.serving import Opened, Place
from harness.sandbox.watch import Check, Watch


@dataclass(frozen=True)
class Engine:
    """The engine, and what it is asked only once.

    Attributes:
        root: Its data directory, whose free space is watched.
        runtime: A container runtime other than its default, or None.
        orphans: Containers that could not be removed because it had gone away.
        known: What has been seen to start on it.
    """

    api: APIClient
    root: Path
    runtime: str | None
    orphans: list[str] = field(default_factory=list)
    known: start_control.LastGoodImage = field(default_factory=start_control.LastGoodImage)

    def remove_orphans(self) -> None:
        """Try again to remove what could not be removed."""
        for ident in list(self.orphans):
            if removed(self.api, ident):
                with contextlib.suppress(ValueError):
                    self.orphans.remove(ident)


def run_container(engine: Engine, start: Start, watch: Watch, began: float) -> RunReport:
    """Run to the end or to a limit; nothing of the container is left when this returns.

    Args:
        engine: Where to run it.
        start: What to run.
        watch: The limits; its clock is set here when the program starts.
        began: When the sandbox began to prepare, monotonic.
    """
    engine.remove_orphans()
    try:
        container = start_control.started(engine.api, start, engine.orphans, engine.known)
    except NotStartedError as error:
        return RunReport(error.verdict.ending, detail=error.verdict.detail, start_s=time.monotonic() - began)
    try:
        watch.begun = time.monotonic()
        watch.checks.extend(container_checks(engine, start, container))
        return dataclasses.replace(to_the_end(container, watch), start_s=watch.begun - began)
    finally:
        container.remove()


def open_container(engine: Engine, start: Start, area: OutputArea, workspace: Path) -> Opened | RunReport:
    """Start a program that serves."""
    reader = LineReader()
    try:
        container = start_control.started(engine.api, start, engine.orphans, engine.known, reader)
    except NotStartedError as error:
        return RunReport(error.verdict.ending, detail=error.verdict.detail)
    place = Place(workspace.absolute() / "in", PurePosixPath(contract.SERVE_INPUT), PurePosixPath(contract.SERVE_OUTPUT),
                  None if start.program.target is None else PurePosixPath(contract.TARGET))
    return Opened(container, reader, area, place, container_checks(engine, start, container))


def container_checks(engine: Engine, start: Start, container: Container) -> list[Check]:
    """What is checked only in a container: its control group's figures, its writable layer."""
    checks = [Check(container.sampler.sample, 0.1)]
    if start.program.profile == "legacy":
        checks.append(Check(layer.layer_check(container, start.limits, engine.root), layer.EVERY_S))
    return checks
