"""The machine that a round runs on: node, engine, recorder and scheduler together, made when the first run needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from harness.dataset.load import Dataset
from harness.engine.base import Engine
from harness.engine.local import LocalEngine
from harness.engine.node import Node, check_memory, choose_slots, sweep
from harness.engine.ray_engine import RayEngine
from harness.engine.remote_node import Duty, probe
from harness.engine.trace import Tracer
from harness.event_log import facts
from harness.execution.job import Finished, Job, Slot
from harness.sandbox.base import BaseImages, MovableImages, Sandbox
from harness.sandbox.image_rules import BaseImage
from harness.scheduling.scheduler import Progress, Scheduler
from harness.store.artifacts import open_blobs, remove_half_written
from harness.store.recorder import Recorder
from harness.store.stored_images import StoredImages
from harness.store.transfer import publish_code, publish_pixels
from harness.tournament.audit import plan_audit
from harness.tournament.choose_sandbox import choose_sandbox
from harness.tournament.round_loader import Round
from harness.tournament.tournament import TakingPart, Tournament

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """How a call of ``run_round`` ended."""

    round_name: str
    progress: Progress
    stopped: bool
    waiting: int
    removed: tuple[str, ...]


class Watcher:
    """Callbacks while a round runs; the defaults do nothing. A context manager: open while programs may run."""

    def __enter__(self) -> Self:
        """The watcher."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Nothing is running any more."""

    def say(self, text: str) -> None:
        """Something that the person should know."""

    def prepared(self, scheduler: Scheduler, engine: Engine, round_: Round, removed: list[str]) -> None:
        """The round is about to start."""

    def finished(self, finished: Finished) -> None:
        """A run ended."""

    def tick(self) -> None:
        """Called several times a second."""

    def ended(self, summary: Summary) -> None:
        """Everything is recorded, and a signal that came meanwhile has not ended the command yet."""


class Machine:
    """Where a round runs: this machine, or those of a cluster. What performs runs is made when the first one needs it.

    Args:
        tournament: Open; the caller holds its lock.
        dataset: Its data set.
        sandbox: Where programs run.
        slots: At the same time, instead of what the tournament file says.
        gpus: Which are used, instead of what the tournament file says.
        tracing: Whether to note what every slot does.
        had_gpu: Whether the round's results were obtained on a GPU. A cluster is then not joined before there is a run for it;
            where it is None, at once.

    Attributes:
        slots: Where runs may be performed at the same time; none before a cluster is joined.

    Raises:
        EngineError: There is no such cluster, none of its machines can work, or a GPU is not there.
        StoreError: The artifact store cannot be used.
    """

    def __init__(self, tournament: Tournament, dataset: Dataset, sandbox: Sandbox, slots: int | None = None,
                 gpus: Literal["auto", "none"] | tuple[str, ...] | None = None, *, tracing: bool = False,
                 had_gpu: bool | None = None) -> None:
        config = tournament.config
        self.tracer = Tracer()
        self._tournament = tournament
        self._dataset = dataset
        self._sandbox = sandbox
        self._tracing = tracing
        self._stack = ExitStack()
        self._parts: tuple[LocalEngine | RayEngine, Recorder] | None = None
        _ = tournament.artifacts
        self._join = partial(join_cluster, tournament, dataset, sandbox, slots, gpus, tracing=tracing)
        self._cluster: RayEngine | None = None
        self._expected_gpu = False
        self.slots: tuple[Slot, ...] = ()
        if config.workers.engine != "ray":
            self.slots = choose_slots(config, slots, gpus)
        elif had_gpu is None:
            self.join()
        else:
            wanted = config.workers.gpus if gpus is None else gpus
            asked = config.workers.require.gpu is not None or wanted not in ("auto", "none")
            self._expected_gpu = wanted != "none" and (asked or had_gpu)

    @property
    def known(self) -> bool:
        """Whether it is known what it has: this machine is, a cluster once it is joined."""
        return bool(self.slots)

    def join(self) -> None:
        """Join the cluster.

        Raises:
            EngineError: There is none, or none of its machines can work.
            StoreError: The artifact store cannot be used.
        """
        self._cluster = self._join()
        self._stack.callback(self._cluster.stop)
        self.slots = self._cluster.slots

    @property
    def gpu(self) -> bool:
        """Whether runs have a GPU; of a cluster that is not joined yet, whether they would have by all that is known here."""
        return any(slot.gpu for slot in self.slots) if self.known else self._expected_gpu

    def remarks(self) -> list[str]:
        """What a person should know of it, as sentences.

        Raises:
            EngineError: One run alone may use more memory than there is.
        """
        if self._cluster is not None:
            return self._cluster.remarks
        if not self.known:
            return []
        return list(filter(None, [check_memory(self.slots, self._tournament.config)]))

    def pin_images(self, who: TakingPart, watcher: Watcher) -> dict[str, BaseImage]:
        """What the names that directories give stand for, looked up once: one that is moved meanwhile changes nothing of the round.

        Runs of a submission whose image is not available end as image_missing; nobody else waits for it.
        """
        found: dict[str, BaseImage] = {}
        if not isinstance(self._sandbox, BaseImages):
            return found
        for member in who.members:
            reference = member.image(gpu=self.gpu)
            if member.kind == "image" or not reference:
                continue
            if reference not in found:
                found[reference] = self._sandbox.pin_base(reference, who.images)
            if found[reference].ident is None:
                watcher.say(f"{member.name}: {found[reference].refusal}")
                _LOG.warning("A base image is not available.", extra=facts(submission=member.name, said=found[reference].refusal))
        return found

    def sweep(self) -> list[str]:
        """Remove what an earlier, killed harness left here; what was removed."""
        return sweep(self._sandbox, self._tournament.config.state, self._tournament.label)

    def removed_elsewhere(self) -> list[str]:
        """The same on the machines of a cluster, which they do when they are joined."""
        return self._cluster.removed if self._cluster is not None else []

    def run(self, round_: Round, watcher: Watcher, stop: Callable[[], bool], progress: Progress, removed: list[str]) -> bool:
        """Run a board to its end; whether it was stopped before. Whatever happens, nothing is left running."""
        if round_.board.complete:
            return False
        if self._parts is None:
            removed += self._sweep_store()
        engine, recorder = self._start()
        scheduler = Scheduler(round_.lineup, round_.board, round_.store_state, engine, recorder, on_finished=watcher.finished,
                              progress=progress)
        watcher.prepared(scheduler, engine, round_, removed)
        try:
            while not stop():
                if not scheduler.step():
                    return False
                watcher.tick()
        except BaseException:  # Ctrl-C too: what runs is ended before the exception propagates
            scheduler.cancel()
            raise
        scheduler.cancel()
        return True

    def _sweep_store(self) -> list[str]:
        """The same in a directory that machines share, which may be large and far: only where something runs."""
        removed = remove_half_written(self._tournament.config.store.artifacts)
        for what in removed:
            _LOG.info("Leftovers of an earlier harness are removed.", extra=facts(what=what))
        return removed

    def audit(self, round_: Round, asked: set[tuple[int, int, int]]) -> Round | None:
        """The runs that an audit of served runs needs next, of those that were not asked for yet."""
        if self._tournament.config.sandbox.isolation != "submission":
            return None
        if self._parts is not None:
            self._parts[1].flush()
        planned = plan_audit(self._tournament, self._dataset, round_, asked)
        if planned is not None and self._parts is not None:
            # Only fresh containers from now on: each must find the memory, also of the GPU, that its author was promised.
            self._parts[0].close_programs()
        return planned

    def _start(self) -> tuple[LocalEngine | RayEngine, Recorder]:
        if self._parts is None:
            # What it holds goes last.
            node = None if self._cluster is not None else Node.here(
                self._tournament.config, self._dataset, self._sandbox, self._tournament.artifacts, self.slots,
                self.tracer if self._tracing else None)
            if node is not None:
                self._stack.callback(node.close)
            logs = self._tournament.store.logs()
            self._stack.callback(logs.close)
            recorder = self._tournament.store.recorder(logs)
            self._stack.callback(recorder.close)
            engine: LocalEngine | RayEngine
            if self._cluster is not None:
                engine = self._cluster
                engine.tell_facts(recorder.put)
                engine.tell_spans(self.tracer.add)
            else:
                assert node is not None  # noqa: S101 - without a cluster there is one
                recorder.put(*node.facts)
                engine = LocalEngine(node, self.slots)
            self._stack.callback(engine.stop)
            self._parts = engine, recorder
        return self._parts

    def close(self) -> None:
        """Stop the engine, record what is left, remove the work files."""
        self._stack.close()


def join_cluster(tournament: Tournament, dataset: Dataset, sandbox: Sandbox, slots: int | None,
                 gpus: Literal["auto", "none"] | tuple[str, ...] | None, *, tracing: bool = False) -> RayEngine:
    """The machines of the cluster that the tournament file names, each with a node for this tournament.

    Raises:
        EngineError: There is no such cluster, or none of its machines can work.
        StoreError: The artifact store cannot be used.
    """
    config = tournament.config
    place = config.store.artifacts or f"file:{config.state / 'artifacts'}"
    probe(place, config.state, tournament.label)
    make_sandbox = partial(_sandbox_there, sandbox.name, config.sandbox.runtime)
    duty = Duty(config, place, tournament.label, make_sandbox, slots, gpus, tracing=tracing)
    images = StoredImages(open_blobs(place, config.state, cached=False), sandbox) if isinstance(sandbox, MovableImages) else None
    return RayEngine(duty, config.workers.address, _Publisher(tournament, dataset), images)


def _sandbox_there(name: str, runtime: str | None, scratch: Path) -> Sandbox:
    """The sandbox of that name on the machine that this is called on."""
    return choose_sandbox("docker" if name == "docker" else "process", runtime, scratch)[0]


class _Publisher:
    """Puts what the machines of a cluster have to fetch into the artifact store, once in a call."""

    def __init__(self, tournament: Tournament, dataset: Dataset) -> None:
        self._tournament = tournament
        self._dataset = dataset
        self._there: set[str] = set()

    def __call__(self, job: Job) -> None:
        blobs = self._tournament.artifacts.blobs
        for digest in job.code - self._there:
            publish_code(blobs, self._tournament.config.state / "submissions" / digest, digest)
            self._there.add(digest)
        if job.batch.clean_digest not in self._there:
            publish_pixels(blobs, job.batch, self._dataset.pixels(job.batch))
            self._there.add(job.batch.clean_digest)
