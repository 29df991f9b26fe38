"""What a sandbox promises: the request, the limits, the report, and the two protocols.

A sandbox starts one program, watches it, ends it, and reports what happened. It knows nothing of images, labels, scores or the
database. It never asks a program to stop in time: it kills it. It alone decides the ``Ending``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from harness.sandbox.image_rules import BaseImage, ImageRules
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea
from harness.sandbox.watch import Verdict

Profile = Literal["strict", "legacy"]

#: Bytes of stdout and of stderr kept for each run.
LOG_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """What one program may use.

    Attributes:
        time_limit_s: Wall clock from the start of the container, per batch, on the harness's monotonic clock.
        start_limit_s: Wall clock until a served program says that it is ready.
        cpus: CPU cores.
        memory_bytes: Memory, swap included.
        shm_bytes: Size of ``/dev/shm``.
        tmp_bytes: Size of ``/tmp``.
        pids: Processes and threads.
        output_bytes: Bytes in the output area.
        output_files: Files and directories in the output area.
        layer_bytes: Bytes written anywhere else in the container (legacy profile).
    """

    time_limit_s: float = 500.0
    start_limit_s: float = 120.0
    cpus: float = 1.0
    memory_bytes: int = 4 << 30
    shm_bytes: int = 1 << 30
    tmp_bytes: int = 1 << 30
    pids: int = 512
    output_bytes: int = 512 << 20
    output_files: int = 4096
    layer_bytes: int = 4 << 30


@dataclass(frozen=True)
class Target:
    """The opponent's code as an attack may read it.

    Attributes:
        digest: Of the submission that it belongs to.
        part: The directory in it that is shown; empty for all of it.
        directory: Where the submission's frozen code lies on this host; whoever performs the job fills it in, like ``code_dir``.
    """

    digest: str
    part: str = ""
    directory: Path | None = None


@dataclass(frozen=True)
class Program:
    """What to start, as the sandbox needs it.

    Attributes:
        digest: Content digest of the submission (hex).
        image: Docker image reference pinned by id or digest; for a 2017 directory the base image that it names.
        code_dir: A 2017 directory's frozen code on the host (to appear at ``/code``, writable for the program, discarded
            after the run), None for a plain image.
        entry_point: Path relative to ``code_dir``, run as ``./entry_point``; None for a plain image, whose own ENTRYPOINT/CMD
            runs with the arguments appended.
        profile: ``legacy`` is root inside the container with a disposable writable layer, ``strict`` an unprivileged user on
            a read-only root file system.
        serves: Whether the program speaks the serving protocol.
        rules: What of the host's images a directory may be based on.
        target: What of its opponent's code the program may read; None for all but white-box and grey-box attacks.
    """

    digest: str
    image: str | None
    code_dir: Path | None
    entry_point: str | None
    profile: Profile = "legacy"
    serves: bool = False
    rules: ImageRules = field(default_factory=ImageRules)
    target: Target | None = None

    @property
    def image_id(self) -> str | None:
        """Id of the image that it starts from, which is the same on every machine; None where it is not known."""
        pinned = self.rules.pinned.get(self.image or "")
        ident = self.image if pinned is None else pinned.ident
        return ident if ident is not None and ident.startswith("sha256:") else None

    @property
    def lends_exec_bit(self) -> bool:
        """Whether the copy that runs gets the entry point's exec bit where it lacks it, as 2017's server did.

        A fifth of what was published then lacks it, the first two places in defense among them.
        """
        return self.profile == "legacy" and self.entry_point is not None


@dataclass(frozen=True)
class RunRequest:
    """One program on one batch.

    A fresh program sees ``input_dir`` read-only at ``/input_images`` and ``output_dir`` writable at ``/output_images``
    (attacks) or ``/output_data`` (defenses). A served one sees them below ``/batches`` and ``/output``. Either sees its target
    read-only at ``/target``. The process sandbox passes host paths instead.

    Attributes:
        track: Whose contract's arguments to pass.
        input_dir: Host directory with the batch's files and nothing else; for a session a directory in ``workspace/in``.
        output: The open output area; for a session its own (``session.output``).
        epsilon: Integer L-infinity bound in 0..255 for attacks, None for defenses.
        gpu: GPU index or UUID, or None.
        labels: Container labels beyond the sandbox's own, by bare key: ``tournament``, ``run``, ``attempt``.
        output_name: For a session the directory made in ``output`` for this batch; empty for a fresh program.
        array: For a session that accepts arrays: a ``.npy`` file inside ``input_dir``, uint8 [n, h, w, 3].
        names: File names belonging to the array's rows.
    """

    program: Program
    track: str
    input_dir: Path
    output: OutputArea
    epsilon: int | None
    limits: Limits
    gpu: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    output_name: str = ""
    array: Path | None = None
    names: Sequence[str] = ()

    @property
    def output_dir(self) -> Path:
        """Where the outputs of this batch lie once the program has stopped or is frozen."""
        return self.output.path / self.output_name


@dataclass(frozen=True)
class RunReport:
    """What happened to one program on one batch.

    Attributes:
        ending: What the harness saw or did.
        exit_code: What the program returned; None where it was killed by the harness or never ran.
        detail: One sentence of evidence for anything but ``finished`` (the engine's message, bytes seen, ...).
        wall_s: From the start of the program to its end, seconds.
        start_s: Time the sandbox needed before the program ran (create, start; 0 for a batch served by an open program).
        cpu_s: CPU seconds of the program and its children, None where unknown.
        peak_memory_bytes: Peak memory, None where unknown.
        stdout: Last ``LOG_TAIL_BYTES`` of stdout, control characters removed.
        stderr: The same of stderr.
    """

    ending: Ending
    exit_code: int | None = None
    detail: str = ""
    wall_s: float = 0.0
    start_s: float = 0.0
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Answered:
    """What a program gets for one question.

    Attributes:
        data: The file that it finds.
        asked: Whether somebody else had to work for it; what took no work but ours is on the program's own clock.
    """

    data: bytes
    asked: bool


class Oracle(Protocol):
    """Who answers what a served program asks in the middle of a batch.

    Attributes:
        budget: Questions for each image, as the program is told it.
        rows: Most rows of one question, as the program is told it.
        classes: Scores that each answer has beside its label, as the program is told it; 0 where it has none.
    """

    budget: int
    rows: int
    classes: int

    def answer(self, output_dir: Path) -> Answered | Verdict:
        """Read the question from the program's output; the program is frozen, or has ended. A verdict ends it."""


class Session(Protocol):
    """An open program that serves batches one after another. Not thread-safe; frozen between batches.

    Attributes:
        output: The output area at ``workspace/out``; call its ``clear`` once a batch's outputs are read.
        accepts_arrays: Whether the program takes ``RunRequest.array``.
        memory_bytes: Memory it held when it was frozen last.
    """

    output: OutputArea
    accepts_arrays: bool
    memory_bytes: int

    def serve(self, request: RunRequest, cancel: threading.Event, oracle: Oracle | None = None) -> RunReport:
        """Serve one batch; ask ``alive`` afterwards: any fault has killed the program.

        One that ended by itself after an answer is not alive; a batch that it is given all the same restarts it within that batch's
        time.

        With an oracle the program may ask in between. It stands while that is answered, and so does its clock (see ``Answered``).

        A batch that the program itself reports as failed, or that it dies in, ends ``finished`` with an exit code other
        than 0 (1 for a reported failure, None for a broken protocol).
        """

    def with_log(self, report: RunReport) -> RunReport:
        """The report of the last batch with all that was printed for it. Call it once the outputs are read.

        stderr may reach us after the answer on stdout: an engine hands over the two on their own.
        """

    @property
    def alive(self) -> bool:
        """Whether the session can take another batch."""

    def close(self) -> None:
        """Kill the program and remove what it left. Never raises."""


class Sandbox(Protocol):
    """Starts programs. All methods may be called from several threads at once."""

    name: str
    isolates: bool

    def prepare(self, program: Program) -> None:
        """Make the program startable (pull its image, put its code into an image); cheap when already done.

        Raises:
            ImageUnavailableError: The image is not here and cannot be pulled.
            EngineError: The engine does not answer.
        """

    def run(self, request: RunRequest, cancel: threading.Event) -> RunReport:
        """Run one program from start to end; never raises for what the program or the engine does.

        Returns within a second of the time limit, and within a few seconds of ``cancel`` being set.
        """

    def open(self, program: Program, track: str, workspace: Path, limits: Limits,
             gpu: str | None, labels: Mapping[str, str], cancel: threading.Event | None = None) -> Session | RunReport:
        """Start a program that serves; a ``RunReport`` where it failed to start (or ``cancel`` was set meanwhile).

        The sandbox makes ``workspace/in`` and ``workspace/out``. Every later request's ``input_dir`` lies in the first (only
        the current batch should lie there: the program sees all of it), its ``output`` is ``session.output``.
        """

    def cleanup(self, tournament: str | None = None) -> list[str]:
        """Remove what an earlier, killed harness left (selected by label only); says what was removed."""


@runtime_checkable
class CodeImages(Protocol):
    """A sandbox that makes images of directories."""

    def remove_code_images(self, digests: Collection[str] | None = None, tournament: str | None = None) -> list[str]:
        """Remove the images made of these submissions' directories, of all where None; says what was removed."""


@runtime_checkable
class BaseImages(Protocol):
    """A sandbox that starts directories in the images that they name."""

    def pin_base(self, reference: str, rules: ImageRules) -> BaseImage:
        """What the name stands for now; pulled where it is absent and the organiser allows it.

        Raises:
            EngineError: The engine does not answer.
        """


@runtime_checkable
class MovableImages(Protocol):
    """A sandbox whose images can be brought from one machine to another. An image is meant by its id."""

    def has_image(self, ident: str) -> bool:
        """Whether it is here.

        Raises:
            EngineError: The engine does not answer.
        """

    def pull_names(self, ident: str) -> tuple[str, ...]:
        """Names with digests under which a registry has it, as far as is known here."""

    def pull_image(self, name: str) -> None:
        """Have it from a registry, without credentials.

        Raises:
            HarnessError: It is not available.
        """

    def save_image(self, ident: str) -> Iterator[bytes]:
        """It as an archive.

        Raises:
            EngineError: The engine failed.
        """

    def load_image(self, archive: Iterable[bytes]) -> None:
        """Take it from such an archive.

        Raises:
            EngineError: The engine failed.
        """
