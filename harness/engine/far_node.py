"""A node on another machine as the head has it: what it performs, what suits it, and why it is left out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from harness import __version__
from harness.engine.ray_cluster import SECURE_STEP
from harness.engine.remote_node import About, Report
from harness.execution.job import Job, RunResult, Slot
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome

#: Jobs that a node has beyond one per slot and one staged for each: being read back, or on their way.
_ON_THE_WAY = 2
_MEMORY = "RAY_memory_monitor_refresh_ms"


@dataclass(eq=False)
class FarNode:
    """A node as the head has it."""

    name: str
    actor: Any
    about: About | None = None
    asked: Any = None
    since: float = field(default_factory=time.monotonic)
    in_flight: dict[tuple[int, int], Job] = field(default_factory=dict)
    outbox: list[Job] = field(default_factory=list)
    report: Report = field(default_factory=lambda: Report((), {}, {}))
    out: set[str] = field(default_factory=set)
    #: Programs, images and inputs that it has performed, so has.
    has: set[str] = field(default_factory=set)
    #: Images (or programs, where an image has no id) that it cannot get, with what became of the run that asked for each.
    lacks: dict[str, RunResult] = field(default_factory=dict)
    #: Images that are being saved for it.
    awaits: Counter[str] = field(default_factory=Counter)
    #: Runs in which it failed.
    failed: set[int] = field(default_factory=set)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Those that it has said."""
        return self.about.slots if self.about is not None else ()

    @property
    def usable(self) -> int:
        """How many slots are not out for good."""
        return len(self.slots) - len(self.out)

    @property
    def room(self) -> int:
        """How many jobs more it takes."""
        return 2 * self.usable + _ON_THE_WAY - len(self.in_flight) if self.usable else 0

    def cannot(self, job: Job) -> RunResult | None:
        """Why it cannot perform a job, None where it can for all that is known."""
        wanted = job.images | {job.program.digest}
        return next((why for image, why in self.lacks.items() if image in wanted), None)

    def misfit(self, job: Job) -> tuple[object, ...]:
        """How badly a job suits it: best where its program is open, then where image and input are; last where it failed."""
        opened = job.served and self.report.open_programs.get(job.program.digest, 0) > 0
        known = len(self.has & {job.program.digest, job.input_digest, *job.images})
        return (job.run_id in self.failed, any(self.awaits[image] for image in job.images), self.room <= 0, not opened, -known,
                -self.room)


def without_image(job: Job, node: FarNode, nodes: Collection[FarNode]) -> RunResult:
    """What becomes of a run whose image a node cannot get: others are asked, as long as there are any."""
    why = {other.name: other.cannot(job) for other in nodes}
    own = node.cannot(job)
    assert own is not None  # noqa: S101 - the caller's promise
    reasons = {name: found for name, found in why.items() if found is not None}
    everybody = len(reasons) == len(why)
    if everybody and all(found.outcome is Outcome.IMAGE_MISSING for found in reasons.values()):
        return own
    detail = f"node {node.name}: {own.report.detail}"
    if everybody:
        detail = f"No node can get the image of {job.name}: " + "; ".join(
            f"{name}: {found.report.detail}" for name, found in reasons.items())
    return RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=detail), notes=(detail,),
                     lacking=own.lacking, others_may=not everybody, nobody_can=everybody)


def why_it_did_not_begin(error: Exception) -> str:
    """What Ray says of a node that never was, in one line."""
    said = str(error).strip()
    if _MEMORY in said:  # Ray says how to change that, in a long text
        return (f"Ray killed its process because the machine ran low on memory; with {_MEMORY}=0 in the environment of `ray start` "
                "it does not, and the harness's own limits are left")
    return said.split("\n")[-1]


def trouble(about: About) -> str:
    """Why a node gets no work; empty where it does."""
    if not about.token:
        return f"its Ray asks for no token. {SECURE_STEP}"
    if about.version != __version__:
        return f"it has harness {about.version}, and here is {__version__}"
    return about.trouble
