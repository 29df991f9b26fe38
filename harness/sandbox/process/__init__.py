"""The process sandbox: programs as ordinary processes of this user. It limits and cleans up; it does not isolate.

For your own programs on a machine without Docker. A program here can read whatever its user can read, the true labels
included, and can end the harness itself.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import ImageUnavailableError
from harness.sandbox import contract
from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Session
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea
from harness.sandbox.process.child import Child
from harness.sandbox.process.scratch import Scratch, remove_leftovers
from harness.sandbox.protocol import LineReader
from harness.sandbox.running import NotStartedError, to_the_end
from harness.sandbox.serving import Opened, Place, open_session
from harness.sandbox.watch import Check, Watch

_MEMORY_EVERY_S = 0.2
_DISK_EVERY_S = 2.0


class ProcessSandbox:
    """Starts programs as processes.

    Args:
        scratch: Where their private directories lie; the system's directory for temporary files where None.
    """

    name = "process"
    isolates = False

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = scratch or Path(tempfile.gettempdir())

    def prepare(self, program: Program) -> None:
        """See ``Sandbox.prepare``."""
        if program.code_dir is None:
            problem = "A plain Docker image cannot run without Docker."
            raise ImageUnavailableError(problem, "Start a Docker engine and use `--sandbox docker`.")

    def run(self, request: RunRequest, cancel: threading.Event) -> RunReport:
        """See ``Sandbox.run``."""
        began = time.monotonic()

        def arguments(scratch: Scratch) -> list[str]:
            return contract.arguments(request.track, request.input_dir.absolute(), request.output_dir, request.epsilon,
                                      scratch.target)

        started = self._start(request.program, arguments, request.limits, request.gpu)
        if isinstance(started, RunReport):
            return started
        child, scratch = started
        try:
            watch = Watch(request.limits.time_limit_s, cancel, request.output, process_checks(child, scratch, request.limits))
            return dataclasses.replace(to_the_end(child, watch), start_s=watch.begun - began)
        finally:
            child.remove()
            scratch.remove()

    def open(self, program: Program, track: str, workspace: Path, limits: Limits,  # noqa: ARG002
             gpu: str | None, labels: Mapping[str, str],  # noqa: ARG002
             cancel: threading.Event | None = None) -> Session | RunReport:
        """See ``Sandbox.open``."""

        def start(area: OutputArea) -> Opened | RunReport:
            reader = LineReader()
            started = self._start(program, lambda _: ["serve"], limits, gpu, reader)
            if isinstance(started, RunReport):
                return started
            child, scratch = started
            source = workspace.absolute() / "in"
            return Opened(child, reader, area, Place(source, source, area.path, scratch.target),
                          process_checks(child, scratch, limits), scratch.remove)

        return open_session(start, workspace, limits, cancel)

    def cleanup(self, tournament: str | None = None) -> list[str]:  # noqa: ARG002 - one place for all tournaments
        """Remove the private directories of dead harnesses; their programs died with them."""
        return remove_leftovers(self._scratch)

    def _start(self, program: Program, arguments: Callable[[Scratch], list[str]], limits: Limits, gpu: str | None,
               reader: LineReader | None = None) -> tuple[Child, Scratch] | RunReport:
        try:
            self.prepare(program)
        except ImageUnavailableError as error:
            return RunReport(Ending.IMAGE_MISSING, detail=str(error))
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            scratch = Scratch(self._scratch, program)
        except (OSError, shutil.Error) as error:
            return RunReport(Ending.HOST_ERROR, detail=f"The program's private directory could not be made ({error}).")
        try:
            argv = [f"./{program.entry_point}", *arguments(scratch)]
            return Child.started(argv, scratch.code, scratch.environment(limits, gpu), limits, reader), scratch
        except NotStartedError as error:
            scratch.remove()
            return RunReport(error.verdict.ending, detail=error.verdict.detail)


def process_checks(child: Child, scratch: Scratch, limits: Limits) -> list[Check]:
    """What is checked only in a process: its memory, its private directory."""
    return [Check(child.memory_verdict, _MEMORY_EVERY_S), Check(scratch.check(limits), _DISK_EVERY_S)]
