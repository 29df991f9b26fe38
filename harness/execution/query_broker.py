"""One query duel of one batch: an attack asks, one defense answers, and the harness is between the two.

Both are open served programs. While one works the other one is frozen, so neither can wait for the other, and neither ever sees a
path, a name or an order of the other's.

The attack gets the clean batch as an array and an oracle (``sandbox.protocol`` has its lines). A query is two files in its output
directory: ``queries.npy``, uint8 [m, h, w, 3], and ``index.npy``, int64 [m], which row of the batch each of them is about and is
charged to (``query_record``); it has at most as many rows as the batch. It is read while the attack is frozen, as carefully as any
output, and one that cannot be read ends the attack, which keeps what it had found. The answer is an array int64 [m] of labels. A
row beyond the budget is answered ``BEYOND_BUDGET`` and not shown to the opponent.

The opponent gets the rows as any other batch: fresh random names, shuffled, in the same form, as many as an ordinary batch has at
the most and under the limit of one. It may end between two batches as any served program may. If it fails, the duel ends there;
that is the opponent's outcome and not the attack's.

What the attack returns is brought within the bound and looked at as well, one query for each image that has one left.
"""

from __future__ import annotations

import io
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import faults
from harness.execution.input_files import Layout, write_array, write_files, write_targets
from harness.execution.outputs import OutputReader, ReaderError
from harness.execution.outputs import npy as array_file
from harness.execution.outputs.decoder_process import opened_directory
from harness.execution.outputs.safe_open import RefusedFileError
from harness.execution.query_record import Findings, Pixels, QueryRecord
from harness.formats.answers import Reading, reader_named
from harness.formats.result_csv import NO_LABEL, read_class_scores
from harness.formats.threats import enforce
from harness.sandbox.base import Answered, Limits, Program, RunReport, RunRequest, Session
from harness.sandbox.outcomes import POLICY, Ending, Outcome, classify, leaves_output
from harness.sandbox.watch import Verdict
from harness.tracks import TRACKS, Threat

QUERIES, INDEX = "queries.npy", "index.npy"
#: Answered for a row beyond the budget, which the opponent was not shown. No label that a defense gives is answered so.
BEYOND_BUDGET = -2
#: The lowest answer that a defense can give on purpose: "adversarial, no class".
_REJECTED = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryDuel:
    """What is played.

    Attributes:
        clean: uint8 [n, h, w, 3], the batch; true labels are not needed.
        bound: In the threat's unit; the attack is told it.
        budget: Queries for each image.
        classes: Scores of an answer beside its label, one for each label of the data set; 0 where labels are all.
        targets: int32 [n], target class of each image, for an attack that takes those.
    """

    clean: Pixels
    threat: Threat
    bound: int
    budget: int
    classes: int = 0
    targets: NDArray[np.int32] | None = None


@dataclass(frozen=True, kw_only=True)
class DuelSide:
    """A program that is open for one side of a duel.

    Attributes:
        limits: For the attack the clock of its whole batch; for the opponent that of each query batch.
        workspace: Of the session.
    """

    program: Program
    track: str
    session: Session
    workspace: Path
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Part:
    """What became of one side.

    Attributes:
        report: ``wall_s`` and ``cpu_s`` are of the whole duel, the side's own work only.
        refused: Outputs or answers that were there and do not count.
        notes: Why.
    """

    outcome: Outcome
    report: RunReport
    refused: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class DuelResult:
    """All that is known of a duel that was played.

    Attributes:
        counts: int32 [n], queries charged to each image, never above the budget.
        batches: Query batches that the opponent was given.
        asked: How many of them were the attack's questions; what it returned is another one.
    """

    findings: Findings
    counts: NDArray[np.int32]
    batches: int
    asked: int
    attack: Part
    opponent: Part

    @property
    def final(self) -> bool:
        """Whether it counts; otherwise the whole duel is played again, and nothing of this one carries over."""
        return all(POLICY[part.outcome].final for part in (self.attack, self.opponent))


def play(duel: QueryDuel, attack: DuelSide, opponent: DuelSide, reader: OutputReader, cancel: threading.Event) -> DuelResult:
    """Play a duel to its end; never raises for what either program does."""
    record = QueryRecord(duel.clean, duel.threat, duel.bound, duel.budget)
    other = _Opponent(opponent, duel.classes, reader, cancel)
    report, refused, notes, asked = _attack(duel, attack, record, other, cancel)
    outcome = classify(report.ending, report.exit_code, usable=int(record.counts.sum()), refused=refused)
    return DuelResult(findings=record.findings(), counts=record.counts, batches=other.batches, asked=asked,
                      opponent=other.part(), attack=Part(outcome=outcome, report=report, refused=refused, notes=tuple(notes)))


def unplayed(attack: RunReport | None, opponent: RunReport | None, images: int) -> DuelResult:
    """A duel of which a side did not start, as its report says; the other side, without one, did nothing and has no blame."""
    mine, theirs = (Part(outcome=Outcome.OK, report=RunReport(Ending.FINISHED, exit_code=0)) if report is None else
                    Part(outcome=classify(report.ending, report.exit_code, usable=0, refused=0), report=report)
                    for report in (attack, opponent))
    return DuelResult(findings=Findings.read(b""), counts=np.zeros(images, np.int32), batches=0, asked=0, attack=mine,
                      opponent=theirs)


def _attack(duel: QueryDuel, attack: DuelSide, record: QueryRecord, opponent: _Opponent,
            cancel: threading.Event) -> tuple[RunReport, int, list[str], int]:
    """The attack's side: its report, how much of what it returned was refused, and why, and how often it asked."""
    if not attack.session.accepts_arrays:
        detail = 'A query attack has to take its batch as an array: it says so with "arrays" when it is ready.'
        return RunReport(Ending.FINISHED, detail=detail), 0, [], 0
    layout = Layout.draw(np.ones(len(duel.clean), np.bool_))
    refused = asked = 0
    notes: list[str] = []
    try:
        with _batch(attack, layout, duel.clean[layout.positions], duel.bound) as request:
            if duel.targets is not None:
                write_targets(request.input_dir, layout, duel.targets)
            oracle = _Oracle(duel, layout, record, opponent)
            report = attack.session.serve(request, cancel, oracle)
            asked = opponent.batches
            if opponent.failed and report.ending is Ending.FINISHED:
                # It was ended in the middle of its work, and not for anything that it did.
                report = replace(report, exit_code=0)
            elif leaves_output(report.ending):
                refused, notes = _try_returned(duel, request.output_dir, layout, record, opponent)
            report = attack.session.with_log(report)
    except (OSError, ReaderError) as error:
        report = RunReport(Ending.HOST_ERROR, detail=f"The attack's files: {error}")
    return report, refused, notes, asked


def _try_returned(duel: QueryDuel, output_dir: Path, layout: Layout, record: QueryRecord,
                     opponent: _Opponent) -> tuple[int, list[str]]:
    """What the attack returned, within the bound, one query each: how much of it was refused, and why."""
    try:
        with opened_directory(output_dir) as directory:
            found = None if directory is None else array_file.read_array(directory, duel.clean.shape)
    except RefusedFileError as refusal:
        return len(duel.clean), [f"{array_file.NAME}: {refusal.reason}"]
    if found is None:
        return 0, []
    within = enforce(duel.threat, duel.clean[layout.positions], found, duel.bound)
    rows = np.array([row for row in range(len(found)) if row not in within.refused], np.intp)
    _ask(record, opponent, layout.positions[rows], within.pixels[rows])
    return len(within.refused), sorted(set(within.refused.values()))


class _Oracle:
    """Answers the attack; see ``sandbox.base.Oracle``."""

    def __init__(self, duel: QueryDuel, layout: Layout, record: QueryRecord, opponent: _Opponent) -> None:
        self.budget, self.rows, self.classes = duel.budget, len(duel.clean), duel.classes
        self._row = duel.clean.shape[1:]
        self._positions, self._record, self._opponent = layout.positions, record, opponent

    def answer(self, output_dir: Path) -> Answered | Verdict:
        """See ``sandbox.base.Oracle``."""
        try:
            pixels, index = self._read(output_dir)
        except RefusedFileError as refusal:
            return Verdict(Ending.FINISHED, f"A query cannot be read: {refusal.reason}.")
        except (OSError, ReaderError) as error:
            return Verdict(Ending.HOST_ERROR, f"A query cannot be read: {error}.")
        before = self._opponent.batches
        answers = _ask(self._record, self._opponent, self._positions[index], pixels)
        if answers is None:
            return Verdict(Ending.FINISHED, "The duel ended with its opponent.")
        file = io.BytesIO()
        np.save(file, answers)
        return Answered(file.getvalue(), asked=self._opponent.batches > before)

    def _read(self, output_dir: Path) -> tuple[Pixels, NDArray[np.int64]]:
        with opened_directory(output_dir) as directory:
            index = self._rows(directory, INDEX, np.int64, ())
            if ((index < 0) | (index >= self.rows)).any():
                reason = f"{INDEX}: it names an image that is not in the batch; its numbers go from 0 to {self.rows - 1}"
                raise RefusedFileError(reason)
            pixels = self._rows(directory, QUERIES, np.uint8, self._row)
        if len(pixels) != len(index):
            reason = f"{QUERIES} has {len(pixels)} rows and {INDEX} {len(index)}"
            raise RefusedFileError(reason)
        return pixels, index

    def _rows(self, directory: int | None, name: str, dtype: type[np.generic], row: tuple[int, ...]) -> NDArray[Any]:
        try:
            found = None if directory is None else array_file.read_rows(directory, name, dtype, row, self.rows)
        except RefusedFileError as refusal:
            reason = f"{name}: {refusal.reason}"
            raise RefusedFileError(reason) from refusal
        if found is None:
            reason = f"there is no {name}"
            raise RefusedFileError(reason)
        return found


def _ask(record: QueryRecord, opponent: _Opponent, images: NDArray[np.intp], pixels: Pixels) -> NDArray[Any] | None:
    """Charge rows, show those within the budget to the opponent, and keep what it says; [m] answers, None where it failed."""
    numbers = record.charge(images, pixels)
    shown = numbers > 0
    answers = np.full(len(images), BEYOND_BUDGET, np.int64)
    scores = np.full((len(images), opponent.classes), np.nan, np.float32)
    if shown.any():
        said = opponent.label(pixels[shown])
        if said is None:
            return None
        labels, scores[shown] = said
        record.observe(images[shown], numbers[shown], pixels[shown], labels)
        # A defense cannot make an attack believe that its budget is used up.
        answers[shown] = np.where(labels < _REJECTED, NO_LABEL, labels)
    faults.reach("asked")
    if not opponent.classes:
        return answers
    records = np.empty(len(images), [("label", np.int64), ("scores", np.float32, (opponent.classes,))])
    records["label"], records["scores"] = answers, scores
    return records


class _Opponent:
    """The other side: one ordinary batch for each question, of whose purpose nothing tells.

    Attributes:
        classes: Scores that it is asked for beside a label.
        batches: How many it was given.
        failed: Whether it gave up; it is not asked again then.
    """

    def __init__(self, side: DuelSide, classes: int, reader: OutputReader, cancel: threading.Event) -> None:
        self._side, self._reader, self._cancel = side, reader, cancel
        self.classes = classes
        self._track = TRACKS[side.track]
        self._last = RunReport(Ending.FINISHED, exit_code=0)
        self._wall_s = self._cpu_s = self._start_s = 0.0
        self._usable = self._refused = self.batches = 0
        self._notes: dict[str, None] = {}
        self.failed = False

    def label(self, pixels: Pixels) -> tuple[NDArray[np.int16], NDArray[np.float32]] | None:
        """Its label of each row, ``NO_LABEL`` where it gave none, and its scores; None where it failed, now or before."""
        if self.failed:
            return None
        layout = Layout.draw(np.ones(len(pixels), np.bool_))
        self.batches += 1
        try:
            with _batch(self._side, layout, pixels[layout.positions], None) as request:
                report = self._side.session.serve(request, self._cancel)
                self.failed = report.ending is not Ending.FINISHED or report.exit_code != 0
                said = None if self.failed else self._read(request.output_dir, layout)
                self._last = report if not self.failed else self._side.session.with_log(report)
        except (OSError, ReaderError) as error:
            self._last = RunReport(Ending.HOST_ERROR, detail=f"The opponent's files: {error}")
            self.failed, said = True, None
        self._wall_s += self._last.wall_s
        self._cpu_s += self._last.cpu_s or 0.0
        self._start_s += self._last.start_s
        return said

    def _read(self, output_dir: Path, layout: Layout) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        assert self._track.output is not None  # noqa: S101 - a consumer leaves a file
        assert self._track.reader is not None  # noqa: S101 - the same
        labels_of = reader_named(self._track.reader)
        scores = np.empty((0, 0), np.float32)

        def read_both(data: bytes, names: Sequence[str | None]) -> Reading:
            nonlocal scores
            scores = read_class_scores(data, names, self.classes)
            return labels_of(data, names)

        read = self._reader.read_answers(output_dir, self._track.output, read_both, layout.by_position())
        self._usable += int(np.count_nonzero(read.answers.given))
        self._refused += len(read.refused)
        self._notes |= dict.fromkeys(read.notes) if len(self._notes) < _NOTES else {}
        return read.answers.values, scores

    def part(self) -> Part:
        """What became of it."""
        report = replace(self._last, wall_s=self._wall_s, cpu_s=self._cpu_s if self.batches else None, start_s=self._start_s)
        outcome = Outcome.OK
        if self.batches:
            outcome = classify(report.ending, report.exit_code, usable=self._usable, refused=self._refused)
        return Part(outcome=outcome, report=report, refused=self._refused, notes=tuple(self._notes)[:_NOTES])


#: Sentences that are kept of a duel of thousands of batches.
_NOTES = 10


@contextmanager
def _batch(side: DuelSide, layout: Layout, rows: Pixels, bound: int | None) -> Iterator[RunRequest]:
    """Rows as one batch of a program; nothing of it, and of what the program left, stays.

    It looks like any other: the name says nothing, and the form is what the program takes.
    """
    session, name = side.session, f"run-{secrets.token_hex(8)}"
    directory = side.workspace / "in" / name
    directory.mkdir()
    try:
        directory.chmod(0o755)
        array = None
        if session.accepts_arrays:
            array = write_array(directory, rows)
        else:
            write_files(directory, layout.names, rows)
        yield RunRequest(side.program, side.track, directory, session.output, bound, side.limits, output_name=name,
                         array=array, names=layout.names if array is not None else ())
        session.output.clear()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
