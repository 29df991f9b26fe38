"""One machine behind one method, and the only place beside the sandboxes that asks a host anything."""

from __future__ import annotations

import ast
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.engine import node as node_module
from harness.engine.gpu import Gpu
from harness.engine.node import Node
from harness.execution.job import Job, Performed, Prepared, RunResult, Slot
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from tests.engine.test_local import FakeExecutor, make_job

PACKAGE = Path(node_module.__file__).parents[1]
#: Who may ask the host: the node and what it is made of; who works on this machine before any contest (data sets, entries that are
#: checked); who judges this very host.
ASKS = {"engine/node.py", "engine/gpu.py", "engine/host_load.py", "engine/host_memory.py", "sandbox", "execution/outputs",
        "doctor", "selftest", "submission/entry_file.py", "cli/validate.py", "dataset/pixel_cache.py", "dataset/verify.py",
        "dataset/write.py"}
FACTS = {"cpu_count", "process_cpu_count", "sched_getaffinity", "getloadavg", "sysconf", "uname"}
MODULES = ("psutil", "platform", "resource", "harness.engine.gpu", "harness.engine.host_load", "harness.engine.host_memory")


def asked(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of each place where a host is asked for its facts."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                names += [alias.name for alias in node.names if alias.name in FACTS]
            case ast.Attribute(attr=attr) if attr in FACTS:
                names = [attr]
            case ast.Constant(value=str(text)) if id(node) not in texts and ("/proc" in text or "nvidia-smi" in text):
                names = ["/proc"]
            case _:
                continue
        yield from ((node.lineno, name) for name in names if name in {*MODULES, *FACTS, "/proc"})


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py"))
            if not {place.as_posix() for place in (path.relative_to(PACKAGE), *path.relative_to(PACKAGE).parents)} & ASKS]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_else_asks_this_host(path) -> None:
    found = [f"{path.name}:{line} asks this host ({what}): a scheduler has many, ask the node"
             for line, what in asked(ast.parse(path.read_text(), str(path)))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", [
    "import psutil", "from psutil import virtual_memory", "import os\nos.cpu_count()", "from os import cpu_count",
    "from harness.engine import gpu as gpus", "from harness.engine.gpu import detect", "open('/proc/stat')", "run(['nvidia-smi'])",
    "from harness.engine.host_load import HostLoad", "import platform", "f'/proc/{pid}'",
])
def test_a_question_to_the_host_is_found(text) -> None:
    assert list(asked(ast.parse(text)))


@contextmanager
def hold(job: Job) -> Iterator[Slot]:
    del job
    yield Slot("gpu0", "GPU-abc", "north")


@pytest.fixture
def opened():
    nodes: list[Node] = []

    def make_node(executor: FakeExecutor, **more) -> Node:
        nodes.append(Node(executor, **more))
        return nodes[-1]

    yield make_node
    for node in nodes:
        node.close()


def test_a_job_comes_back_with_all_that_is_known_of_it(opened) -> None:
    executor = FakeExecutor()
    finished = opened(executor).perform(make_job(7), hold)
    assert executor.reached == [("prepare", 7), ("perform", 7), ("collect", 7)]
    assert executor.gpus == {7: "GPU-abc"}
    assert (finished.job.run_id, finished.slot.node, finished.busy) == (7, "north", 1)
    assert finished.result.outcome is Outcome.OK
    travelled = pickle.loads(pickle.dumps(finished))
    assert travelled.job.run_id == 7
    assert travelled.result.report == finished.result.report


def test_no_slot_is_held_before_and_after_the_program(opened) -> None:
    executor = FakeExecutor()

    @contextmanager
    def watched(job: Job) -> Iterator[Slot]:
        assert executor.reached == [("prepare", job.run_id)]
        yield Slot("cpu0")
        assert executor.reached[-1] == ("perform", job.run_id)

    opened(executor).perform(make_job(1), watched)
    assert executor.reached[-1] == ("collect", 1)


class Serving(FakeExecutor):
    """What an open program left is read before its slot is given on."""

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> RunResult:
        return RunResult(outcome=Outcome.TIME_LIMIT, report=super().perform(stage, gpu, cancel).report)

    def collect(self, stage: Performed | RunResult) -> RunResult:
        assert isinstance(stage, RunResult)
        return stage


@pytest.mark.parametrize("kind", [FakeExecutor, Serving])
@pytest.mark.parametrize(("ending", "said"), [(Ending.TIME_LIMIT, "late. 9 MiB stay."), (Ending.FINISHED, "late.")])
def test_a_killed_programs_gpu_is_waited_for_and_what_is_said_is_kept(opened, kind, ending, said) -> None:
    asked_for = []
    node = opened(kind(report=RunReport(ending, detail="late.")), settle=lambda gpu: asked_for.append(gpu) or "9 MiB stay.")
    finished = node.perform(make_job(1), hold)
    assert finished.result.report.detail == said
    assert asked_for == (["GPU-abc"] if ending is Ending.TIME_LIMIT else [])


def test_facts_tell_slots_apart_by_their_gpu() -> None:
    gpu = Gpu("0", "GPU-abc", "H100", "550", 80_000, 0, 1980)
    with_gpu, without = node_module._facts([Slot("gpu0", "GPU-abc"), Slot("cpu0")], [gpu])
    assert '"name": "H100"' in with_gpu.facts
    assert "cores" in with_gpu.facts
    assert "gpu" not in without.facts
