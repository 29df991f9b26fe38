"""Where a tournament is: jobs of it, made as the scheduler makes them, for machines that share its artifact store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.config import TournamentConfig
from harness.dataset.load import Dataset
from harness.execution.job import Job, Slot
from harness.sandbox.base import Limits, Program
from harness.store.artifacts import open_blobs
from harness.store.blobs import Blobs
from harness.store.transfer import publish_code, publish_pixels
from harness.submission.load import freeze
from harness.submission.load import load as load_submission
from harness.tracks import TRACKS

SLOT = Slot("cpu0")


@contextmanager
def hold(job: Job) -> Iterator[Slot]:
    del job
    yield SLOT


@dataclass
class Head:
    """Where the tournament is: all that jobs are made from."""

    config: TournamentConfig
    dataset: Dataset
    place: str

    def blobs(self, machine: str) -> Blobs:
        return open_blobs(self.place, self.state(machine))

    def state(self, machine: str) -> Path:
        return self.config.state.parent / machine

    def job(self, program: str, input_digest: str | None = None, produced: np.ndarray | None = None, run_id: int = 1) -> Job:
        frozen = freeze(load_submission(str(self.config.state.parent / "entries" / program)), self.config.state / "submissions")
        batch = self.dataset.batches(10, [16])[0]
        publish_code(self.blobs("head"), frozen.code_dir, frozen.digest)
        publish_pixels(self.blobs("head"), batch, self.dataset.pixels(batch))
        digest = input_digest or (batch.task_digest if TRACKS[frozen.type].reader is None else batch.clean_digest)
        return Job(run_id=run_id, attempt=1, name=program, track=frozen.type, batch=batch.unlabelled(), input_digest=digest,
                   program=Program(frozen.digest, None, None, frozen.entry_point), limits=Limits(time_limit_s=300),
                   produced=np.ones(len(batch.ids), bool) if produced is None else produced, clean=input_digest is None)
