"""Engines with real nodes and programs: this machine's, and one over three Ray nodes on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.config import load as load_config
from harness.dataset.load import load as load_dataset
from harness.engine.base import Engine
from harness.engine.local import LocalEngine
from harness.engine.node import Node
from harness.engine.ray_engine import RayEngine
from harness.engine.remote_node import Duty, probe
from harness.execution.job import Finished, Slot
from harness.sandbox.process import ProcessSandbox
from harness.store.artifacts import ArtifactStore, open_blobs
from harness.store.stored_images import StoredImages
from tests.e2e import make
from tests.e2e.conftest import eventually
from tests.engine.head import Head
from tests.engine.images import ImageFiles, ImageSandbox

PATIENCE_S = 60.0
SLEEP = "import pathlib, time\npathlib.Path('{told}', str(os.getpid())).touch()\ntime.sleep(600)\n"


def make_head(root: Path) -> Head:
    config = load_config(make.tournament(root, workers={"slots": 1}))
    (root / "told").mkdir()
    # One that does not end, and says that it has begun.
    sleeps = make.entry(root / "entries" / "sleeps", "attack-copy")
    (sleeps / "run").write_text(make.HEAD + "import os\n" + SLEEP.format(told=root / "told"))
    return Head(config, load_dataset(config.dataset), f"file:{root / 'shared'}")


def shared(head: Head) -> Path:
    """A directory that all machines see."""
    return head.config.state.parent / "told-by-machines"


def duty(head: Head, **more: Any) -> Duty:
    label = f"tiny@{head.config.state}"
    probe(head.place, head.config.state, label)
    shared(head).mkdir(exist_ok=True)
    return Duty(head.config, head.place, label, partial(ImageSandbox, shared=shared(head)), **more)


@contextmanager
def running(kind: str, head: Head, request: pytest.FixtureRequest) -> Iterator[Engine]:
    if kind == "ray":
        cluster = request.getfixturevalue("_ray_cluster")
        cluster.fill()
        given = duty(head)
        files = ImageFiles(head.config.state / "image-files", shared(head))
        engine = RayEngine(given, cluster.address, lambda job: None,
                           StoredImages(open_blobs(head.place, head.config.state, cached=False), files))
        try:
            yield engine
        finally:
            engine.stop()
        return
    (head.config.state / "work").mkdir(parents=True)
    blobs = open_blobs(head.place, head.config.state)
    slots = [Slot(f"cpu{number}") for number in range(3)]
    node = Node.here(head.config, head.dataset, ProcessSandbox(head.config.state / "work"), ArtifactStore(blobs), slots)
    local = LocalEngine(node, slots)
    try:
        yield local
    finally:
        local.stop()
        node.close()


def results(engine: Engine, count: int) -> dict[int, Finished]:
    found: dict[int, Finished] = {}
    until = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < until:
        for finished in engine.wait(0.25):
            assert finished.job.run_id not in found, "it came twice"
            found[finished.job.run_id] = finished
    return found


def asleep(head: Head, count: int) -> list[int]:
    """The programs that have begun and do not end."""
    told = head.config.state.parent / "told"
    assert eventually(lambda: len(list(told.iterdir())) >= count, PATIENCE_S)
    return [int(path.name) for path in told.iterdir()]


def ended(programs: list[int]) -> bool:
    return eventually(lambda: not any(psutil.pid_exists(pid) for pid in programs), PATIENCE_S)
