"""A tournament of any size whose programs do nothing: the harness's own work alone.

Everything but the executor is real: data set, submissions on disk, store, board, scheduler, engine threads, recorder. The
results are a pure function of (submission, batch), so that scores can be computed a second way and compared.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from harness.config import TournamentConfig
from harness.config import load as load_config
from harness.dataset.load import Batch, UnlabelledBatch
from harness.dataset.write import Plan, write_dataset
from harness.execution.input_files import Layout
from harness.execution.job import AdversarialBatch, Job, Performed, Prepared, RunResult
from harness.formats.answers import Answers
from harness.formats.result_csv import NO_LABEL
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.tracks import produces

CLASSES = 1000
#: Different answers of a defense to a batch; a run takes one by a hash of who answers what.
_POOL = 4096
_NOTHING = Layout((), np.zeros(0, np.intp), 0)


@dataclass(frozen=True)
class Size:
    """How large a tournament is."""

    attacks: int
    defenses: int
    batches: int
    images_per_batch: int = 100

    @property
    def runs(self) -> int:
        """Attack runs, defense runs on what they made, and the defenses' runs on the clean images."""
        return self.attacks * self.batches + self.defenses * self.batches * (self.attacks + 1)


#: 162 attacks, 110 defenses and 50 batches of 100: 899,100 runs, and 5,500 on the clean images.
FINAL = Size(162, 110, 50)


def make_tournament(root: Path, size: Size) -> Path:
    """Write data set, submissions and tournament file; returns the latter."""
    generator = np.random.default_rng(2017)
    count = size.batches * size.images_per_batch
    labels = generator.integers(1, CLASSES + 1, count)
    targets = (labels + generator.integers(0, CLASSES - 1, count)) % CLASSES + 1
    plans = [Plan(f"{i:06d}", int(labels[i]), int(targets[i]), "", partial(np.full, (8, 8, 3), i % 251, np.uint8))
             for i in range(count)]
    write_dataset(root / "dataset", plans, label_range=(1, CLASSES), size=(8, 8), classes=(), source="synthetic")
    for number in range(size.attacks):
        # As in 2017's final: about three attacks in five were non-targeted.
        _submission(root, f"a{number:03d}", "attack" if number % 5 < 3 else "targeted_attack")
    for number in range(size.defenses):
        _submission(root, f"d{number:03d}", "defense")
    file = root / "tournament.yaml"
    file.write_text(yaml.safe_dump({
        "name": "synthetic", "dataset": "dataset", "submissions": ["submissions/*"],
        "rules": {"batch_size": size.images_per_batch, "max_epsilon": [4, 8, 12, 16]},
        "sandbox": {"backend": "process"}, "state": "state"}), encoding="utf-8")
    return file


def read_tournament(root: Path) -> TournamentConfig:
    """The configuration that ``make_tournament`` wrote."""
    return load_config(root / "tournament.yaml")


def _submission(root: Path, name: str, kind: str) -> None:
    directory = root / "submissions" / name
    directory.mkdir(parents=True)
    (directory / "metadata.json").write_text(json.dumps(
        {"type": kind, "container": "none", "entry_point": "run.sh", "name": name}), encoding="utf-8")
    (directory / "run.sh").write_text(f"#!/bin/sh\n# {name}\n", encoding="utf-8")
    (directory / "run.sh").chmod(0o755)


class NullExecutor:
    """Takes the executor's place: answers at once, like a sandbox whose programs take no time."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        generator = np.random.default_rng(1)
        self._batches = batches
        #: 0: no label, 1: the true one, 2: the target class, 3: another.
        self._answers = generator.choice(4, size=(_POOL, 1000), p=[0.002, 0.6, 0.1, 0.298]).astype(np.uint8)

    def bring(self, job: Job) -> None:
        """Every image is here."""

    def prepare(self, job: Job) -> Prepared:
        """Stage nothing."""
        return Prepared(job=job, directory=Path(), layout=_NOTHING, arrays=False, prepare_s=0.0)

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        """Run nothing."""
        del gpu, cancel
        if isinstance(stage, RunResult):
            return stage
        report = RunReport(Ending.FINISHED, exit_code=0, wall_s=1.25, start_s=0.25, cpu_s=1.0, peak_memory_bytes=300 << 20)
        return Performed(prepared=stage, report=report, output=None)

    def collect(self, stage: Performed | RunResult) -> RunResult:
        """Make a result up."""
        if isinstance(stage, RunResult):
            return stage
        job, report = stage.prepared.job, stage.report
        count = len(job.batch.ids)
        if produces(job.track):
            return RunResult(outcome=Outcome.OK, report=report, usable=count, expected=count, made=made_by(job.name, job.batch))
        labels = self.labels(job.name, job.input_digest, self._batches[job.batch.index], job.produced)
        answers = Answers(labels, labels != NO_LABEL)
        return RunResult(outcome=Outcome.OK, report=report, usable=int(answers.given.sum()), expected=count, answers=answers)

    def close(self) -> None:
        """Nothing to end."""

    def labels(self, name: str, input_digest: str, batch: Batch, produced: NDArray[np.bool_]) -> NDArray[np.int16]:
        """What a defense says of an input: int16 [n], -1 for none."""
        answer = self._answers[(int(input_digest[:8], 16) + 977 * int(name[1:])) % _POOL, : len(batch.ids)]
        labels = np.choose(answer, [NO_LABEL, batch.labels, batch.targets, batch.labels % CLASSES + 1])
        return np.where(produced, labels, NO_LABEL).astype(np.int16)


def made_by(name: str, batch: UnlabelledBatch) -> AdversarialBatch:
    """What an attack makes of a batch: every seventh attack misses an image now and then."""
    digest = hashlib.sha256(f"{name} {batch.index}".encode()).hexdigest()
    produced = np.ones(len(batch.ids), bool)
    if int(name[1:]) % 7 == 3:
        produced[int(digest[:6], 16) % len(produced)] = False
    return AdversarialBatch(digest, produced, produced, 5_000_000)
