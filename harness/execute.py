"""One run, start to end, in three steps that can overlap with other runs: prepare, perform, collect.

``prepare`` lays out the input (before a slot is free), ``perform`` holds the slot while the program runs, ``collect`` reads
back, enforces and stores what it left (after the slot was given on). Knows no database and no schedule; a host failure in
any step is an outcome, not an exception, so that one bad disk sector does not end a tournament.
"""

from __future__ import annotations

import csv
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness import faults
from harness.dataset import Batch, Dataset
from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.images import encode_perturbation, pixel_digest
from harness.materials import FILE_TIME_S, Materials, random_names
from harness.outputs import OutputReader, ReaderError
from harness.predictions import NO_LABEL
from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Sandbox
from harness.sandbox.outcomes import Ending, Outcome, classify, leaves_output
from harness.sandbox.output_area import OutputArea
from harness.sessions import SessionPool
from harness.store.artifacts import ArtifactStore, CorruptArtifactError
from harness.tracks import TRACKS, produces


@dataclass(frozen=True)
class Job:
    """One attempt of one run, complete: an engine on another machine needs nothing else but the shared files.

    Attributes:
        run_id: The store's id of the run.
        track: What the submission is.
        batch: The clean batch with labels, targets and epsilon.
        input_digest: For a defense the pixel digest of what it labels.
        clean: Whether that is the clean batch itself.
        produced: bool [n], which images of the input exist.
        parts: For a mixed input, what it is made of: (pixel digest, whether that is the clean batch, positions of images).
        alone: Whether nothing else may run on the host meanwhile.
        served: Whether to use an open program.
    """

    run_id: int
    attempt: int
    name: str
    track: str
    program: Program
    batch: Batch
    input_digest: str
    produced: NDArray[np.bool_]
    limits: Limits
    clean: bool = False
    served: bool = False
    alone: bool = False
    parts: tuple[tuple[str, bool, NDArray[np.intp]], ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What an attack run left, enforced and stored."""

    digest: str
    produced: NDArray[np.bool_]
    stored_bytes: int


@dataclass(frozen=True)
class RunResult:
    """Everything that is known of an ended attempt.

    Attributes:
        usable: Images or labels accepted; ``expected`` how many were asked for.
        labels: int16 [n] in the batch's order, as answered, ``NO_LABEL`` where none, for a defense.
        refused: Image id to reason, for outputs that were there but not accepted.
        linf: Largest raw L-infinity distance before enforcement, for an attack that produced something.
        corrupt_input: Pixel digest of a stored adversarial batch that does not match it: it has to be made again.
        prepare_s: Seconds for laying out the input.
        collect_s: Seconds for reading back, enforcing and storing.
    """

    outcome: Outcome
    report: RunReport
    usable: int = 0
    expected: int = 0
    made: Made | None = None
    labels: NDArray[np.int16] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    linf: int | None = None
    corrupt_input: str | None = None
    prepare_s: float = 0.0
    collect_s: float = 0.0


@dataclass
class Prepared:
    """An input laid out. ``names[i]`` is the file of image ``positions[i]`` of the batch."""

    job: Job
    directory: Path
    names: list[str]
    positions: NDArray[np.intp]
    seconds: float
    failure: RunResult | None = None
    report: RunReport | None = None
    output: OutputArea | None = None
    result: RunResult | None = None


class Executor:
    """Performs jobs on this machine; all methods may be called from several threads."""

    def __init__(self, dataset: Dataset, sandbox: Sandbox, artifacts: ArtifactStore, work: Path,
                 sessions: SessionPool | None = None) -> None:
        self._dataset = dataset
        self._sandbox = sandbox
        self._artifacts = artifacts
        self._work = work
        self._sessions = sessions
        self._reader = OutputReader()
        self._startable: set[str] = set()
        self._materials = Materials(work / "cache")

    def close(self) -> None:
        """End worker processes and open programs, and remove the work files."""
        if self._sessions is not None:
            self._sessions.close()
        self._reader.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def prepare(self, job: Job) -> Prepared:
        """Lay out a job's input under random names in random order."""
        began = time.monotonic()
        # Not the run's number: a program reads this path in its mounts, and the order of runs says who made its input.
        directory = self._work / f"run-{secrets.token_hex(8)}"
        positions = np.flatnonzero(job.produced)
        names = random_names(len(positions))
        prepared = Prepared(job, directory, names, positions, 0.0)
        try:
            self._sandbox.prepare(job.program)
            self._startable.add(job.program.digest)
            self._lay_out(prepared)
        except CorruptArtifactError as error:
            prepared.failure = _failure(Outcome.HOST_ERROR, str(error), corrupt_input=error.digest)
        except ImageUnavailableError as error:
            prepared.failure = self._image_failure(job, str(error))
        except (HarnessError, OSError) as error:
            prepared.failure = _failure(Outcome.HOST_ERROR, f"preparing the input: {error}")
        if prepared.failure is not None:
            shutil.rmtree(directory, ignore_errors=True)
        prepared.seconds = time.monotonic() - began
        faults.reach("prepared")
        return prepared

    def _lay_out(self, prepared: Prepared) -> None:
        job = prepared.job
        shutil.rmtree(prepared.directory, ignore_errors=True)
        source = prepared.directory / "in"
        source.mkdir(parents=True)
        # Anybody may read inside: the program's user is not ours. The work directory above is private.
        source.chmod(0o755)
        key, load = self._source(job)
        if job.served and self._sessions is not None and self._sessions.takes_arrays(job.program):
            order = np.argsort(prepared.names)
            prepared.names = [prepared.names[i] for i in order]
            prepared.positions = prepared.positions[order]
            np.save(source / "images.npy", self._materials.pixels(key, load)[prepared.positions])
            os.utime(source / "images.npy", (FILE_TIME_S, FILE_TIME_S))
        else:
            self._materials.lay_out(key, load, prepared.positions.tolist(), prepared.names, source)
        if TRACKS[job.track].takes_targets:
            _write_targets(source, prepared)

    def _source(self, job: Job) -> tuple[str, Callable[[], NDArray[np.uint8]]]:
        """Where the input's pixels come from."""
        if produces(job.track) or job.clean:
            return job.batch.clean_digest, lambda: self._dataset.pixels(job.batch)
        if job.parts:
            return job.input_digest, lambda: self._mix(job)
        return job.input_digest, lambda: self._load_adversarial(job, job.input_digest)

    def _load_adversarial(self, job: Job, digest: str) -> NDArray[np.uint8]:
        return self._artifacts.load(digest, self._dataset.pixels(job.batch))[0]

    def _mix(self, job: Job) -> NDArray[np.uint8]:
        """Put a mixed batch together from the adversarial batches that it takes images of."""
        mixed = self._dataset.pixels(job.batch).copy()
        for digest, clean, positions in job.parts:
            if not clean:
                source = self._materials.pixels(digest, lambda part=digest: self._load_adversarial(job, part))  # type: ignore[misc]
                mixed[positions] = source[positions]
        return mixed

    def perform(self, prepared: Prepared, gpu: str | None, cancel: threading.Event) -> Prepared:
        """Run the program; holds the slot."""
        if prepared.failure is not None:
            return prepared
        try:
            if prepared.job.served and self._sessions is not None:
                self._serve(prepared, gpu, cancel)
            else:
                self._run_fresh(prepared, gpu, cancel)
        except EngineError as error:
            prepared.failure = _failure(Outcome.HOST_ERROR, str(error))
        except OSError as error:
            prepared.failure = _failure(Outcome.HOST_ERROR, f"the output area: {error}")
        if prepared.report is not None and prepared.report.ending is Ending.IMAGE_MISSING:
            prepared.failure = self._image_failure(prepared.job, prepared.report.detail)
        faults.reach("performed")
        return prepared

    def _image_failure(self, job: Job, detail: str) -> RunResult:
        """An image that never was here is the submission's fault; one that was removed meanwhile is the host's."""
        if job.program.digest in self._startable:
            return _failure(Outcome.HOST_ERROR, f"The image of {job.name} was here and was removed: {detail}")
        return _failure(Outcome.IMAGE_MISSING, detail)

    def _run_fresh(self, prepared: Prepared, gpu: str | None, cancel: threading.Event) -> None:
        job = prepared.job
        area = OutputArea(prepared.directory / "out", job.limits.output_bytes, job.limits.output_files)
        area.__enter__()
        prepared.output = area
        with nullcontext() if gpu is None or self._sessions is None else self._sessions.beside(gpu):
            prepared.report = self._sandbox.run(self._request(prepared, prepared.directory / "in", area, gpu), cancel)

    def _request(self, prepared: Prepared, input_dir: Path, area: OutputArea, gpu: str | None) -> RunRequest:
        job = prepared.job
        return RunRequest(
            program=job.program, track=job.track, input_dir=input_dir, output=area,
            epsilon=job.batch.epsilon if TRACKS[job.track].takes_bound else None, limits=job.limits, gpu=gpu,
            labels={**job.labels, "run": str(job.run_id), "attempt": str(job.attempt)})

    def _serve(self, prepared: Prepared, gpu: str | None, cancel: threading.Event) -> None:
        """Serve the batch from an open program, and read its output before anyone else uses that program."""
        assert self._sessions is not None  # noqa: S101 - perform has looked
        job = prepared.job
        with self._sessions.lend(job.program, job.track, job.limits, gpu,
                                 job.labels, cancel) as loan:
            if loan.session is None:
                prepared.report = loan.report
                return
            input_dir = loan.workspace / "in" / prepared.directory.name
            shutil.rmtree(input_dir, ignore_errors=True)
            (prepared.directory / "in").rename(input_dir)
            request = self._request(prepared, input_dir, loan.session.output, gpu)
            array = input_dir / "images.npy"
            arrays = array.exists()
            request = loan.complete(request, prepared.directory.name, array if arrays else None, prepared.names)
            try:
                report = loan.session.serve(request, cancel)
                prepared.report = replace(report, start_s=report.start_s + loan.start_s)
                result = self._read_back(prepared, request.output_dir, prepared.report, arrays=arrays)
                prepared.result = replace(result, report=loan.session.with_log(result.report))
                loan.session.output.clear()
            finally:
                shutil.rmtree(input_dir, ignore_errors=True)

    def collect(self, prepared: Prepared) -> RunResult:
        """Read back, enforce and store what the program left, and clean up."""
        try:
            result = prepared.failure or prepared.result
            if result is None:
                assert prepared.report is not None  # noqa: S101 - perform sets one of the three
                directory = prepared.output.path if prepared.output is not None else None
                result = self._read_back(prepared, directory, prepared.report, arrays=False)
        finally:
            if prepared.output is not None:
                prepared.output.close()
            shutil.rmtree(prepared.directory, ignore_errors=True)
        faults.reach("collected")
        return replace(result, prepare_s=prepared.seconds)

    def _read_back(self, prepared: Prepared, directory: Path | None, report: RunReport, *, arrays: bool) -> RunResult:
        began = time.monotonic()
        if directory is None or not leaves_output(report.ending):
            result = RunResult(classify(report.ending, report.exit_code, usable=0, refused=0), report,
                               expected=len(prepared.names))
        else:
            read = self._read_images if produces(prepared.job.track) else self._read_labels
            try:
                result = read(prepared, directory, report, arrays=arrays)
            except (OSError, HarnessError, ReaderError) as error:
                result = _failure(Outcome.HOST_ERROR, f"reading the output: {error}", report)
        return replace(result, collect_s=time.monotonic() - began)

    def _read_images(self, prepared: Prepared, directory: Path, report: RunReport, *, arrays: bool) -> RunResult:
        job = prepared.job
        clean = self._dataset.pixels(job.batch)
        names = [""] * len(clean)
        for name, position in zip(prepared.names, prepared.positions, strict=True):
            names[position] = name
        if arrays:
            # The program's rows follow the sorted names; the reader speaks in the batch's order.
            output = self._reader.read_attack(directory, prepared.names, clean[prepared.positions], job.batch.epsilon,
                                              arrays=True)
            back = np.argsort(prepared.positions)
            adversarial, produced, linf = output.adversarial[back], output.produced[back], output.linf[back]
            refused = {int(prepared.positions[i]): reason for i, reason in output.refused.items()}
        else:
            output = self._reader.read_attack(directory, names, clean, job.batch.epsilon)
            adversarial, produced, linf, refused = output.adversarial, output.produced, output.linf, output.refused
        usable = int(produced.sum())
        made = None
        if usable:
            digest = pixel_digest(adversarial, produced)
            stored = self._artifacts.save(digest, encode_perturbation(clean, adversarial, produced))
            made = Made(digest, produced, stored)
        return RunResult(
            classify(report.ending, report.exit_code, usable=usable, refused=len(refused)), report, usable=usable,
            expected=len(clean), made=made, refused={job.batch.ids[i]: why for i, why in refused.items()},
            notes=tuple(output.notes), linf=int(linf.max()) if usable else None)

    def _read_labels(self, prepared: Prepared, directory: Path, report: RunReport, *, arrays: bool) -> RunResult:
        del arrays  # a defense answers with result.csv in either case
        job = prepared.job
        output = self._reader.read_defense(directory, prepared.names)
        labels = np.full(len(job.batch.ids), NO_LABEL, np.int16)
        labels[prepared.positions] = output.labels
        usable = int(np.count_nonzero(output.labels != NO_LABEL))
        refused = {job.batch.ids[prepared.positions[i]]: why for i, why in output.refused.items() if i >= 0}
        return RunResult(
            classify(report.ending, report.exit_code, usable=usable, refused=len(refused)), report, usable=usable,
            expected=len(prepared.names), labels=labels, refused=refused, notes=tuple(output.notes))


def _write_targets(source: Path, prepared: Prepared) -> None:
    path = source / "target_class.csv"
    rows = sorted(zip(prepared.names, prepared.job.batch.targets[prepared.positions].tolist(), strict=True))
    with path.open("w", newline="", encoding="ascii") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    path.chmod(0o444)
    os.utime(path, (FILE_TIME_S, FILE_TIME_S))


def _failure(outcome: Outcome, detail: str, report: RunReport | None = None, *, corrupt_input: str | None = None) -> RunResult:
    ending = Ending.IMAGE_MISSING if outcome is Outcome.IMAGE_MISSING else Ending.HOST_ERROR
    if report is None:
        report = RunReport(ending, detail=detail)
    return RunResult(outcome, report, corrupt_input=corrupt_input, notes=(detail,))

