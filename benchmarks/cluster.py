"""What several machines cost compared with one: this machine's engine, and Ray nodes on it, under one scheduler and recorder.

Nodes are Ray nodes on this machine, each with a process of its own; nothing of a network is in these figures. Programs do nothing,
or sleep. `--profile` lists where the time of the scheduler's thread goes with Ray.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pickle
import pstats
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.contest_size import scaled
from benchmarks.measure import REPOSITORY, load, machine, table, verdict
from benchmarks.synthetic import NullExecutor, Size, make_tournament, read_tournament
from harness.engine import ray_engine
from harness.engine.local import LocalEngine
from harness.engine.node import Node
from harness.engine.ray_engine import RayEngine
from harness.engine.remote_node import About, Duty, RemoteNode, _myself
from harness.execution.job import Finished, Job, Performed, Prepared, RunResult, Slot
from harness.sandbox.base import Sandbox
from harness.scheduling.scheduler import Scheduler
from harness.store.logs import LogStore
from harness.tournament.tournament import Tournament
from tests.ray_cluster import RayCluster, running

TARGET_RUNS_S, TARGET_BUSY = 1000.0, 0.95
SLEEP_S = 0.2
#: Runs of each slot that sleep.
RUNS_OF_A_SLOT = 50


@dataclass(frozen=True)
class Work:
    """What the nodes' programs do: sleep so long. It stands where a duty has its sandbox, and reaches the nodes with it."""

    root: Path
    sleep_s: float

    def __call__(self, scratch: Path) -> Sandbox:
        """No sandbox is made."""
        raise NotImplementedError(scratch)

    def executor(self) -> NullExecutor:
        """What performs on a node."""
        with Tournament(read_tournament(self.root), create=False) as tournament:
            batches = tournament.dataset().batches(tournament.config.rules.batch_size, tournament.config.rules.max_epsilon)
        return SleepingExecutor(batches, self.sleep_s)


class SleepingExecutor(NullExecutor):
    """As a sandbox whose programs sleep."""

    def __init__(self, batches: Any, sleep_s: float) -> None:  # noqa: ANN401 - handed on
        super().__init__(batches)
        self._sleep_s = sleep_s

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        """Sleep."""
        if self._sleep_s:
            time.sleep(self._sleep_s)
        return super().perform(stage, gpu, cancel)


class IdleNode(RemoteNode):
    """A remote node around an executor that starts no program."""

    def _begin(self, name: str, cores: int) -> About:
        del cores
        assert isinstance(self._duty.make_sandbox, Work)
        slots = (Slot(f"{name}/cpu0", node=name),)
        self._node = Node(self._duty.make_sandbox.executor())
        self._engine = LocalEngine(self._node, slots)
        return replace(_myself(), slots=slots)


@dataclass
class Played:
    """How a round went."""

    runs: int
    wall_s: float
    processor_s: float
    profile: cProfile.Profile | None = None


Engines = Callable[[Path], Any]


def play(root: Path, make: Engines, *, profile: bool = False) -> Played:
    """A whole round of a tournament, recorded as always, in a new state directory."""
    shutil.rmtree(root / "state", ignore_errors=True)
    with Tournament(read_tournament(root)) as tournament:
        tournament.submit_configured()
        round_ = tournament.open_round(tournament.dataset(), sandbox="process")
        with make(root) as engine:
            logs = LogStore(tournament.config.state / "logs")
            recorder = tournament.store.recorder(logs)
            scheduler = Scheduler(round_.lineup, round_.board, round_.store_state, engine, recorder)
            profiler = cProfile.Profile() if profile else None
            began, used = time.perf_counter(), time.process_time()
            if profiler is not None:
                profiler.enable()
            progress = scheduler.run()
            if profiler is not None:
                profiler.disable()
            recorder.close()
            found = Played(progress.finished, time.perf_counter() - began, time.process_time() - used, profiler)
            logs.close()
    return found


@contextmanager
def local(root: Path, slots: int, sleep_s: float) -> Iterator[LocalEngine]:
    """This machine's engine."""
    node = Node(Work(root, sleep_s).executor())
    engine = LocalEngine(node, [Slot(f"cpu{number}") for number in range(slots)])
    try:
        yield engine
    finally:
        engine.stop()
        node.close()


@contextmanager
def far(root: Path, cluster: RayCluster, sleep_s: float) -> Iterator[RayEngine]:
    """One slot on each Ray node."""
    config = read_tournament(root)
    engine = RayEngine(Duty(config, f"file:{root}", f"bench@{root}", Work(root, sleep_s)), cluster.address, lambda _: None)
    assert len(engine.slots) == len(cluster.nodes), engine.remarks
    try:
        yield engine
    finally:
        engine.stop()


class Weighed:
    """An engine, and how many bytes of jobs and results pass it (pickled)."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self.out: list[int] = []
        self.back: list[int] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the engine has
        """Of the engine."""
        return getattr(self._engine, name)

    def submit(self, job: Job) -> None:
        """Weigh a job."""
        self.out.append(len(pickle.dumps(job)))
        self._engine.submit(job)

    def wait(self, timeout_s: float) -> list[Finished]:
        """Weigh results."""
        found = self._engine.wait(timeout_s)
        self.back += [len(pickle.dumps(finished)) for finished in found]
        return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1,2,4,8")
    parser.add_argument("--empty", type=Fraction, default=Fraction(1, 64), help="Share of a 2017-size final whose runs are empty.")
    parser.add_argument("--runs", type=int, default=RUNS_OF_A_SLOT, help="Of each slot, that sleep.")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    counts = [int(text) for text in options.nodes.split(",")]
    vars(ray_engine)["RemoteNode"] = IdleNode
    print(f"Several machines, as Ray nodes on this one. {machine()}.\n")
    with (tempfile.TemporaryDirectory(prefix="cluster-bench-") as directory,
          running({"PYTHONPATH": str(REPOSITORY)}, count=counts[0]) as cluster):
        root = Path(directory)
        empty(root, cluster, scaled(options.empty), profile=options.profile)
        busy(root, cluster, counts, options.runs)
    print(f"\nAt the end: {load()}.")


def empty(root: Path, cluster: RayCluster, size: Size, *, profile: bool) -> None:
    """What a run costs whose program takes no time."""
    cluster.fill(2)
    make_tournament(root / "empty", size)
    here = play(root / "empty", lambda root: local(root, 2, 0))
    there = play(root / "empty", lambda root: far(root, cluster, 0), profile=profile)
    rows: list[list[object]] = []
    for name, played in (("this machine, 2 slots", here), ("Ray, 2 nodes of a slot", there)):
        rate = played.runs / played.wall_s
        target = ["", ""] if played is here else [f">= {TARGET_RUNS_S:g}", verdict(-rate, -TARGET_RUNS_S)]
        rows.append([name, played.runs, 1000 * played.wall_s / played.runs, 1000 * played.processor_s / played.runs,
                     (played.wall_s / played.runs) / (here.wall_s / here.runs), round(rate), *target])
    print(table(["empty runs", "runs", "ms a run", "processor of the head, ms", "of this machine", "runs a second", "target", ""],
                rows))
    weighed = []

    @contextmanager
    def weighing(root: Path) -> Iterator[Weighed]:
        with far(root, cluster, 0) as engine:
            weighed.append(Weighed(engine))
            yield weighed[0]

    make_tournament(root / "weighed", scaled(Fraction(1, 1024)))
    play(root / "weighed", weighing)
    print(f"\nA run of {size.images_per_batch} images: {sum(weighed[0].out) / len(weighed[0].out):,.0f} bytes out, "
          f"{sum(weighed[0].back) / len(weighed[0].back):,.0f} back, pixels apart.\n")
    if there.profile is not None:
        pstats.Stats(there.profile).sort_stats("tottime").print_stats(30)


def busy(root: Path, cluster: RayCluster, counts: list[int], runs: int) -> None:
    """Whether slots have work all the time."""
    rows: list[list[object]] = []
    for count in counts:
        cluster.fill(count)
        while len(cluster.nodes) > count:
            cluster.remove(0)
        # Attacks alone: all are ready at once, so that what waits is the engine.
        attacks = math.ceil(runs * count / 50)
        make_tournament(root / f"busy{count}", Size(attacks, 0, 50, images_per_batch=10))
        here, there = (play(root / f"busy{count}", make) for make in (
            lambda root, count=count: local(root, count, SLEEP_S), lambda root: far(root, cluster, SLEEP_S)))
        shares = [played.runs * SLEEP_S / (count * played.wall_s) for played in (here, there)]
        rows.append([count, there.runs, *(f"{100 * share:.1f}%" for share in shares), f">= {100 * TARGET_BUSY:g}%",
                     verdict(-shares[1], -TARGET_BUSY)])
    print(table(["nodes of a slot", f"runs of {SLEEP_S:g} s", "slots busy, this machine", "slots busy, Ray", "target", ""], rows))


if __name__ == "__main__":
    main()
