"""One run, start to end, in three steps that can overlap with other runs: prepare, perform, collect.

``prepare`` stages the input (before a slot is free), ``perform`` holds the slot while the program runs, ``collect`` reads, enforces
and stores its output (after the slot was released). Knows no database and no schedule; a host failure in any step is an outcome,
not an exception, so that one bad disk sector does not end a tournament.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness import faults
from harness.dataset.load import UnlabelledBatch
from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.execution.input_files import ARRAY, InputFiles, Layout, write_array, write_targets
from harness.execution.job import AdversarialBatch, Job, Opponent, Performed, Prepared, RunResult
from harness.execution.outputs import OutputReader, ReaderError
from harness.execution.query_broker import DuelResult, DuelSide, QueryDuel, play, unplayed
from harness.execution.session_pool import SessionPool, Wanted
from harness.formats.answers import reader_named
from harness.formats.images import changed_images, encode_perturbation, pixel_digest
from harness.sandbox.base import RunReport, RunRequest, Sandbox, Session
from harness.sandbox.outcomes import POLICY, Ending, Outcome, classify, leaves_output
from harness.sandbox.output_area import OutputArea
from harness.store.artifacts import ArtifactStore, CorruptArtifactError
from harness.store.stored_images import StoredImages
from harness.tracks import TRACKS, Track


class Images(Protocol):
    """Source of clean images: the data set, or a store that has them."""

    def pixels(self, batch: UnlabelledBatch) -> NDArray[np.uint8]:
        """Clean images of a batch: uint8 [n, height, width, 3]."""


class Stages(Protocol):
    """What a node asks of an executor: the stages of a job, from many threads at once. A result is passed on as it is."""

    def bring(self, job: Job) -> RunResult | None:
        """Have what a job needs here; how it ended where that is not available."""

    def prepare(self, job: Job) -> Prepared | RunResult:
        """Before a slot is free."""

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        """On a slot."""

    def collect(self, stage: Performed | RunResult) -> RunResult:
        """After the slot was released."""

    def close(self) -> None:
        """No job is running any more."""


class Executor:
    """Performs jobs on this machine; all methods may be called from several threads.

    Args:
        images: The clean ones.
        work: Where it may write; removed when it closes.
        sessions: Programs that are kept open, for jobs that are served.
        code: Where a directory's frozen code lies, by its digest; None where jobs say themselves.
        stored: Docker images that are brought here when they are first asked for; None where all have to be here.
        reader: Of what programs leave, for who wants to see it too; closed with the executor.
    """

    def __init__(self, images: Images, sandbox: Sandbox, artifacts: ArtifactStore, work: Path,
                 sessions: SessionPool | None = None, code: Callable[[str], Path] | None = None,
                 stored: StoredImages | None = None, reader: OutputReader | None = None) -> None:
        self._images = images
        self._sandbox = sandbox
        self._artifacts = artifacts
        self._work = work
        self._code = code
        self._stored = stored
        self._sessions = sessions
        # Duels by queries are between open programs in any case; without the pool each has two of its own.
        self._for_duels = sessions or SessionPool(sandbox, work, 0, keep=False)
        self._reader = reader or OutputReader()
        self._startable: set[str] = set()
        self._input_files = InputFiles(work / "cache")

    def close(self) -> None:
        """End worker processes and open programs, and remove the work files."""
        if self._sessions is not None:
            self._sessions.close()
        self._reader.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def bring(self, job: Job) -> RunResult | None:
        """Have the images of a job here, which may take minutes the first time; how it ended where one is not available."""
        for ident in job.images if self._stored is not None else ():
            try:
                self._stored.bring(ident, job.pulls.get(ident, ()))  # type: ignore[union-attr]
            except ImageUnavailableError as error:
                return replace(_failure(Outcome.IMAGE_MISSING, str(error)), lacking=ident)
            except HarnessError as error:
                return replace(_failure(Outcome.HOST_ERROR, str(error)), lacking=ident)
        return None

    def prepare(self, job: Job) -> Prepared | RunResult:
        """Stage a job's input under random names in random order."""
        began = time.monotonic()
        # Not the run's number: a program sees this path in its mounts, and the order of runs reveals who made its input.
        directory = self._work / f"run-{secrets.token_hex(8)}"
        layout = Layout.draw(job.produced)
        stage: Prepared | RunResult
        try:
            if self._code is not None and job.program.entry_point is not None:
                job = replace(job, program=replace(job.program, code_dir=self._code(job.program.digest)))
            if self._code is not None and job.program.target is not None:
                target = replace(job.program.target, directory=self._code(job.program.target.digest))
                job = replace(job, program=replace(job.program, target=target))
            self._sandbox.prepare(job.program)
            self._startable.add(job.program.digest)
            if job.opponent is not None:
                return self._prepare_duel(job, job.opponent, layout, directory, began)
            arrays = self._stage(job, layout, directory)
            stage = Prepared(job=job, directory=directory, layout=layout, arrays=arrays, prepare_s=time.monotonic() - began)
        except CorruptArtifactError as error:
            stage = _failure(Outcome.HOST_ERROR, str(error), corrupt_input=error.digest)
        except ImageUnavailableError as error:
            stage = self._image_failure(job, str(error))
        except (HarnessError, OSError) as error:
            stage = _failure(Outcome.HOST_ERROR, f"preparing the input: {error}")
        if isinstance(stage, RunResult):
            shutil.rmtree(directory, ignore_errors=True)
            stage = replace(stage, prepare_s=time.monotonic() - began)
        faults.reach("prepared")
        return stage

    def _prepare_duel(self, job: Job, opponent: Opponent, layout: Layout, directory: Path, began: float) -> Prepared | RunResult:
        """Make the other side startable too; a duel's input is staged when it runs."""
        program = opponent.program
        if self._code is not None and program.entry_point is not None:
            program = replace(program, code_dir=self._code(program.digest))
        job = replace(job, opponent=replace(opponent, program=program))
        try:
            self._sandbox.prepare(program)
        except ImageUnavailableError as error:
            missing = RunReport(Ending.IMAGE_MISSING, detail=str(error))
            if program.digest in self._startable:
                missing = RunReport(Ending.HOST_ERROR, detail=f"The image of {opponent.name} was here and was removed: {error}")
            return _of_duel(job, unplayed(None, missing, len(job.batch.ids)))
        self._startable.add(program.digest)
        return Prepared(job=job, directory=directory, layout=layout, arrays=False, prepare_s=time.monotonic() - began)

    def _play(self, job: Job, opponent: Opponent, gpu: str | None, cancel: threading.Event) -> RunResult:
        """Open both programs, on one slot, and relay between them."""
        attack, other = (Wanted(side.program, side.track, side.limits) for side in (job, opponent))
        with self._for_duels.lend_both(attack, other, gpu, job.labels, cancel) as (mine, theirs):
            if mine.session is None or theirs.session is None:
                return _of_duel(job, unplayed(mine.report, theirs.report, len(job.batch.ids)))
            duel = QueryDuel(
                clean=self._images.pixels(job.batch), threat=job.batch.threat, bound=job.batch.bound, budget=opponent.budget,
                classes=opponent.classes, targets=job.batch.targets if TRACKS[job.track].takes_targets else None)
            sides = (_side(attack, mine.session, mine.workspace), _side(other, theirs.session, theirs.workspace))
            return _of_duel(job, play(duel, *sides, self._reader, cancel), mine.start_s)

    def _stage(self, job: Job, layout: Layout, directory: Path) -> bool:
        """Whether it is there as one array."""
        source = directory / "in"
        source.mkdir(parents=True)
        # World-readable: the program's user is not ours. The work directory above is private.
        source.chmod(0o755)
        key, load = self._source(job)
        arrays = job.served and self._sessions is not None and self._sessions.takes_arrays(job.program)
        if arrays:
            write_array(source, self._input_files.pixels(key, load)[layout.positions])
        else:
            self._input_files.stage_files(key, load, layout, source)
        if TRACKS[job.track].takes_targets:
            write_targets(source, layout, job.batch.targets)
        return arrays

    def _source(self, job: Job) -> tuple[str, Callable[[], NDArray[np.uint8]]]:
        """Where the input's pixels come from."""
        if TRACKS[job.track].reader is None or job.clean:
            return job.batch.clean_digest, lambda: self._images.pixels(job.batch)
        if job.parts:
            return job.input_digest, lambda: self._mix(job)
        return job.input_digest, lambda: self._load_adversarial(job, job.input_digest)

    def _load_adversarial(self, job: Job, digest: str) -> NDArray[np.uint8]:
        return self._artifacts.load(digest, self._images.pixels(job.batch))[0]

    def _mix(self, job: Job) -> NDArray[np.uint8]:
        """Put a mixed batch together from the adversarial batches that it takes images of."""
        mixed = self._images.pixels(job.batch).copy()
        for digest, clean, positions in job.parts:
            if not clean:
                source = self._input_files.pixels(digest, lambda part=digest: self._load_adversarial(job, part))  # type: ignore[misc]
                mixed[positions] = source[positions]
        return mixed

    def perform(self, stage: Prepared | RunResult, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        """Run the program; holds the slot. What an open program leaves is read at once: its place is the next batch's as well."""
        if isinstance(stage, RunResult):
            return stage
        ended: Performed | RunResult
        try:
            if stage.job.opponent is not None:
                ended = self._play(stage.job, stage.job.opponent, gpu, cancel)
            elif stage.job.served and self._sessions is not None:
                ended = self._serve(self._sessions, stage, gpu, cancel)
            else:
                ended = self._run_fresh(stage, gpu, cancel)
        except EngineError as error:
            ended = _failure(Outcome.HOST_ERROR, str(error))
        except OSError as error:
            ended = _failure(Outcome.HOST_ERROR, f"the output area: {error}")
        if ended.report.ending is Ending.IMAGE_MISSING:
            if isinstance(ended, Performed):
                _throw_away(ended.output)
            ended = self._image_failure(stage.job, ended.report.detail)
        if isinstance(ended, RunResult):
            shutil.rmtree(stage.directory, ignore_errors=True)
            ended = replace(ended, prepare_s=stage.prepare_s)
        faults.reach("performed")
        return ended

    def _image_failure(self, job: Job, detail: str) -> RunResult:
        """An image that never was here is the submission's fault; one that was removed meanwhile is the host's."""
        if self._stored is not None:
            self._stored.forget(job.images)
        if job.program.digest in self._startable:
            return _failure(Outcome.HOST_ERROR, f"The image of {job.name} was here and was removed: {detail}")
        return _failure(Outcome.IMAGE_MISSING, detail)

    def _run_fresh(self, prepared: Prepared, gpu: str | None, cancel: threading.Event) -> Performed:
        limits = prepared.job.limits
        area = OutputArea(prepared.directory / "out", limits.output_bytes, limits.output_files)
        area.__enter__()
        try:
            with nullcontext() if gpu is None or self._sessions is None else self._sessions.beside(gpu):
                report = self._sandbox.run(_request(prepared.job, prepared.directory / "in", area, gpu), cancel)
        except BaseException:  # Ctrl-C too: no mounted output area may stay
            area.close()
            raise
        return Performed(prepared=prepared, report=report, output=area)

    def _serve(self, sessions: SessionPool, prepared: Prepared, gpu: str | None, cancel: threading.Event) -> Performed | RunResult:
        """Serve the batch from an open program, and read its output before anyone else uses that program."""
        job = prepared.job
        with sessions.lend(job.program, job.track, job.limits, gpu, job.labels, cancel) as loan:
            if loan.session is None:
                assert loan.report is not None  # noqa: S101 - a loan has one of the two
                return Performed(prepared=prepared, report=loan.report, output=None)
            input_dir = loan.workspace / "in" / prepared.directory.name
            shutil.rmtree(input_dir, ignore_errors=True)
            (prepared.directory / "in").rename(input_dir)
            request = loan.complete(_request(job, input_dir, loan.session.output, gpu), prepared.directory.name,
                                    input_dir / ARRAY if prepared.arrays else None, prepared.layout.names)
            try:
                report = loan.session.serve(request, cancel)
                report = replace(report, start_s=report.start_s + loan.start_s)
                result = self._read_back(prepared, request.output_dir, report)
                result = replace(result, report=loan.session.with_log(result.report))
                loan.session.output.clear()
            finally:
                shutil.rmtree(input_dir, ignore_errors=True)
        return result

    def collect(self, stage: Performed | RunResult) -> RunResult:
        """Read back, enforce and store what the program left, and clean up."""
        if isinstance(stage, RunResult):
            result = stage
        else:
            prepared = stage.prepared
            try:
                result = self._read_back(prepared, None if stage.output is None else stage.output.path, stage.report)
                result = replace(result, prepare_s=prepared.prepare_s)
            finally:
                _throw_away(stage.output)
                shutil.rmtree(prepared.directory, ignore_errors=True)
        faults.reach("collected")
        return result

    def _read_back(self, prepared: Prepared, directory: Path | None, report: RunReport) -> RunResult:
        began = time.monotonic()
        track = TRACKS[prepared.job.track]
        if directory is None or not leaves_output(report.ending):
            result = RunResult(outcome=classify(report.ending, report.exit_code, usable=0, refused=0), report=report,
                               expected=len(prepared.layout.names))
        else:
            try:
                if track.reader is None:
                    result = self._read_images(prepared, directory, report)
                else:
                    result = self._read_answers(track, prepared, directory, report)
            except (OSError, HarnessError, ReaderError) as error:
                result = _failure(Outcome.HOST_ERROR, f"reading the output: {error}", report)
        return replace(result, collect_s=time.monotonic() - began)

    def _read_images(self, prepared: Prepared, directory: Path, report: RunReport) -> RunResult:
        job, layout = prepared.job, prepared.layout
        clean = self._images.pixels(job.batch)
        # A producer is given every image of a batch, so each has a name.
        names = [name or "" for name in layout.by_position()]
        output = self._reader.read_attack(directory, names, clean, job.batch.bound, threat=job.batch.threat,
                                          rows=layout.positions if prepared.arrays else None)
        usable = int(output.produced.sum())
        made = None
        if usable:
            digest = pixel_digest(output.adversarial, output.produced)
            stored = self._artifacts.save(digest, clean, encode_perturbation(clean, output.adversarial, output.produced))
            made = AdversarialBatch(digest, output.produced, changed_images(clean, output.adversarial), stored)
        return RunResult(
            outcome=classify(report.ending, report.exit_code, usable=usable, refused=len(output.refused)), report=report,
            usable=usable, expected=len(clean), made=made, refused={job.batch.ids[i]: why for i, why in output.refused.items()},
            notes=tuple(output.notes), measured=int(output.measured.max()) if (output.measured >= 0).any() else None,
            beyond=int(np.count_nonzero(output.measured > job.batch.bound)))

    def _read_answers(self, track: Track, prepared: Prepared, directory: Path, report: RunReport) -> RunResult:
        assert track.output is not None  # noqa: S101 - a row with a reader has a file
        assert track.reader is not None  # noqa: S101 - the caller has looked
        ids = prepared.job.batch.ids
        read = self._reader.read_answers(directory, track.output, reader_named(track.reader), prepared.layout.by_position())
        usable = int(np.count_nonzero(read.answers.given))
        return RunResult(
            outcome=classify(report.ending, report.exit_code, usable=usable, refused=len(read.refused)), report=report,
            usable=usable, expected=len(prepared.layout.names), answers=read.answers,
            refused={ids[i]: why for i, why in read.refused.items()}, notes=tuple(read.notes))


def _request(job: Job, input_dir: Path, area: OutputArea, gpu: str | None) -> RunRequest:
    return RunRequest(
        program=job.program, track=job.track, input_dir=input_dir, output=area,
        epsilon=job.batch.bound if TRACKS[job.track].takes_bound else None, limits=job.limits, gpu=gpu,
        labels={**job.labels, "run": str(job.run_id), "attempt": str(job.attempt)})


def _of_duel(job: Job, duel: DuelResult, start_s: float = 0.0) -> RunResult:
    """A duel as the result of its run: that of its attack, but where its opponent's side has none that counts."""
    side = duel.attack
    if not duel.final and POLICY[side.outcome].final:
        assert job.opponent is not None  # noqa: S101 - it was played
        other = duel.opponent.report
        side = replace(duel.opponent, report=replace(
            side.report, ending=other.ending, detail=f"{job.opponent.name}: {other.detail}"))
    return RunResult(outcome=side.outcome, report=replace(side.report, start_s=side.report.start_s + start_s), notes=side.notes,
                     usable=int(np.count_nonzero(duel.counts)), expected=len(duel.counts), duel=duel)


def _side(want: Wanted, session: Session, workspace: Path) -> DuelSide:
    return DuelSide(program=want.program, track=want.track, session=session, workspace=workspace, limits=want.limits)


def _throw_away(area: OutputArea | None) -> None:
    if area is not None:
        area.close()


def _failure(outcome: Outcome, detail: str, report: RunReport | None = None, *, corrupt_input: str | None = None) -> RunResult:
    ending = Ending.IMAGE_MISSING if outcome is Outcome.IMAGE_MISSING else Ending.HOST_ERROR
    if report is None:
        report = RunReport(ending, detail=detail)
    return RunResult(outcome=outcome, report=report, corrupt_input=corrupt_input, notes=(detail,))
