"""One attempt of one run, from its input to its result: each stage is a value, and none can be incomplete.

``Prepared`` has its input staged, ``Performed`` has ended and its output is unread, ``RunResult`` is all that is known of an ended
attempt. A stage that fails ends in a ``RunResult`` at once, which the later ones pass on.

A job and what comes back of it travel between machines: they hold digests and numbers, no true labels and no path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.load import UnlabelledBatch
from harness.execution.input_files import Layout
from harness.execution.query_broker import DuelResult
from harness.formats.answers import Answers
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Outcome
from harness.sandbox.output_area import OutputArea


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """The other side of a run that is a duel by queries.

    Attributes:
        limits: Of each query batch.
        budget: Queries for each image.
        classes: Scores of an answer beside its label; 0 where labels are all.
    """

    name: str
    track: str
    program: Program
    limits: Limits
    budget: int
    classes: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One attempt of one run, complete but for true labels: whoever performs it needs nothing else but the shared files.

    Attributes:
        run_id: The store's id of the run.
        track: What the submission is.
        program: Without the place of its code, which is where whoever performs the job keeps it.
        batch: The batch with target classes and bound.
        input_digest: For a consumer the pixel digest of what it answers about.
        clean: Whether that is the clean batch itself.
        produced: bool [n], which images of the input exist.
        parts: For a mixed input or a half, its parts: (pixel digest, whether that is the clean batch, positions of images).
        opponent: Whom the program asks, for an attack by queries.
        pulls: For a machine that lacks an image: by the image's id, names with digests that registries may have it under.
        alone: Whether nothing else may run on the host meanwhile.
        served: Whether to use an open program.
    """

    run_id: int
    attempt: int
    name: str
    track: str
    program: Program
    batch: UnlabelledBatch
    input_digest: str
    produced: NDArray[np.bool_]
    limits: Limits
    clean: bool = False
    served: bool = False
    alone: bool = False
    parts: tuple[tuple[str, bool, NDArray[np.intp]], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    opponent: Opponent | None = None
    pulls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def images(self) -> frozenset[str]:
        """Ids of the images that its program and its opponent's start from, where they are known."""
        programs = (self.program, *(() if self.opponent is None else (self.opponent.program,)))
        return frozenset(program.image_id for program in programs if program.image_id is not None)

    @property
    def code(self) -> frozenset[str]:
        """Digests of the directories of code that whoever performs it needs: its own, its target's and its opponent's."""
        programs = (self.program, *(() if self.opponent is None else (self.opponent.program,)))
        shown = () if self.program.target is None else (self.program.target.digest,)
        return frozenset((*shown, *(program.digest for program in programs if program.entry_point is not None)))


@dataclass(frozen=True, eq=False)
class AdversarialBatch:
    """What a producer's run left, enforced and stored.

    Attributes:
        digest: Of its pixels.
        produced: bool [n], which images it holds.
        changed: bool [n], which of them differ from the clean ones.
    """

    digest: str
    produced: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    stored_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """Everything that is known of an ended attempt.

    Attributes:
        usable: Images or answers accepted; ``expected`` how many were asked for.
        made: Of a producer that left something.
        answers: Of a consumer whose output was read.
        refused: Image id to reason, for outputs that were there but not accepted.
        measured: How far an image went at most before enforcement, in the units of its threat, for a producer that left something.
        beyond: Images that went beyond the bound.
        duel: Of a duel by queries that was begun.
        corrupt_input: Pixel digest of a stored adversarial batch that does not match it: it has to be made again.
        node_lost: Whether its machine went away meanwhile: that says nothing of the submission, and no try is counted.
        lacking: Id of the image that its machine does not have and cannot get; with ``image_missing`` nobody has stored it yet.
        others_may: Whether another machine may have that image: no try is counted.
        nobody_can: Whether no machine can get it: further tries make no sense.
        prepare_s: Seconds for staging the input.
        collect_s: Seconds for reading back, enforcing and storing.
    """

    outcome: Outcome
    report: RunReport
    usable: int = 0
    expected: int = 0
    made: AdversarialBatch | None = None
    answers: Answers | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    measured: int | None = None
    beyond: int = 0
    duel: DuelResult | None = None
    corrupt_input: str | None = None
    node_lost: bool = False
    lacking: str = ""
    others_may: bool = False
    nobody_can: bool = False
    prepare_s: float = 0.0
    collect_s: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """An input staged in ``directory / "in"``.

    Attributes:
        arrays: Whether it is one array, for an open program that takes those, and not files.
        prepare_s: Seconds that it took.
    """

    job: Job
    directory: Path
    layout: Layout
    arrays: bool
    prepare_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Performed:
    """A program that ended, what it left not read yet.

    Attributes:
        output: Where that is; None where no program got far enough to have one.
    """

    prepared: Prepared
    report: RunReport
    output: OutputArea | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where a run can execute: a share of a machine's CPU, or a share of one of its GPUs.

    Attributes:
        name: Of its own on its node.
        gpu: UUID.
        node: Name of the machine; empty for the one that the harness runs on.
    """

    name: str
    gpu: str | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job ended on a slot.

    Attributes:
        waited_s: From hand-over to the program's start, staging the input included.
        began_at: Wall clock at the program's start, seconds since the epoch; for people, never for measuring.
        busy: Runs that executed on this node when this one started, itself included.
        load_per_core: Mean runnable threads per core of the host during the run, None where that is not known.
        overloaded: Whether the host was too busy, or stopped, for a time limit to be held against the program.
    """

    job: Job
    slot: Slot
    result: RunResult
    waited_s: float = 0.0
    began_at: float = 0.0
    busy: int = 1
    load_per_core: float | None = None
    overloaded: bool = False
