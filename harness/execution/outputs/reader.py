"""From what a run left to enforced pixels and answers, in the batch's order. May be called from several threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.execution.outputs import npy as array_file
from harness.execution.outputs import safe_open as walk
from harness.execution.outputs.decoder_process import ReaderError, Worker, memory_for, opened_directory
from harness.execution.outputs.shared_batch import Verdict
from harness.formats.answer_csv import MAX_BYTES, bare_name
from harness.formats.answers import AnswerReader, Reading
from harness.formats.threats import enforce
from harness.tracks import Threat


@dataclass(frozen=True, eq=False)
class AttackOutput:
    """What an attack run left, enforced.

    Attributes:
        adversarial: uint8[n, h, w, 3], within the bound; the clean pixels where nothing was produced.
        produced: bool[n].
        measured: int64[n], how far each image went before anything was cut (``formats.threats.Enforced``), -1 where there was none.
        refused: Index -> why the file that was there does not count.
        notes: Sentences about what was put right (sizes).
    """

    adversarial: NDArray[np.uint8]
    produced: NDArray[np.bool_]
    measured: NDArray[np.int64]
    refused: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def resized_note(count: int) -> str:
    """What is said of images of another size."""
    return f"{count} images had another size and were resized."


class OutputReader:
    """Reads outputs; keeps a few decoding processes open.

    Args:
        workers: Most decoding processes at once; further callers wait for one.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._free = threading.BoundedSemaphore(workers or os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._closed = False

    def read_attack(
        self, output_dir: Path, names: Sequence[str], clean: NDArray[np.uint8], bound: int, *,
        threat: Threat = Threat.LINF, rows: NDArray[np.intp] | None = None
    ) -> AttackOutput:
        """The images that an attack left in a directory.

        Args:
            output_dir: Where it wrote; the program has been stopped or frozen.
            names: File names that it was to write, in the order of ``clean``; ``.png`` is added where it lacks.
            clean: uint8[n, h, w, 3].
            bound: Of the threat.
            threat: What may change.
            rows: Where ``images.npy`` counts, before any PNG file: intp[n], which image of the batch each of its rows is.

        Raises:
            ReaderError: The host's fault, not the submission's.
        """
        if rows is not None:
            output = _from_array(output_dir, rows, clean, threat, bound)
            if output is not None:
                return output
        files = [f"{bare_name(name)}.png" for name in names]
        shape = (len(clean), clean.shape[1], clean.shape[2])
        with self._worker(memory_for(shape)) as worker:
            shared = worker.decode(output_dir, files, shape)
            verdicts = shared.verdicts.copy()
            produced = (verdicts == Verdict.PRODUCED) | (verdicts == Verdict.RESIZED)
            # A copy: a decoder that an image has taken over could change them between two looks.
            pixels = np.where(produced[:, None, None, None], shared.decoded, clean)
            refused = {index: shared.reason(index) for index in np.flatnonzero(verdicts == Verdict.REFUSED).tolist()}
        resized = int(np.count_nonzero(verdicts == Verdict.RESIZED))
        output = _enforced(threat, clean, pixels, produced, bound)
        return replace(output, refused=refused | output.refused, notes=[resized_note(resized)] if resized else [])

    def read_answers(self, output_dir: Path, file: str, read: AnswerReader, names: Sequence[str | None]) -> Reading:
        """The answers that a consumer left in one file of a directory.

        Args:
            output_dir: Where it wrote; the program has been stopped or frozen.
            file: The file's name.
            read: Its track's reader.
            names: The images of the batch as it found them named, with or without extension; None for those it was not shown.

        Raises:
            ReaderError: The host's fault, not the submission's.
        """
        try:
            with opened_directory(output_dir) as directory:
                data = None if directory is None else walk.read_file(directory, file, MAX_BYTES)
        except walk.RefusedFileError as refusal:
            shown = [index for index, name in enumerate(names) if name is not None]
            return Reading(read(b"", names).answers, dict.fromkeys(shown, f"{file}: {refusal.reason}"))
        if data is None:
            return Reading(read(b"", names).answers, notes=[f"There is no {file}."])
        return read(data, names)

    def close(self) -> None:
        """End the decoding processes; those at work end with their batch."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    @contextmanager
    def _worker(self, memory_bytes: int) -> Iterator[Worker]:
        with self._free:
            worker = self._take(memory_bytes)
            try:
                yield worker
            except BaseException:  # whatever came between, its answer may still be under way: not reused
                worker.close()
                raise
            with self._lock:
                if not self._closed:
                    self._idle.append(worker)
                    return
            worker.close()

    def _take(self, memory_bytes: int) -> Worker:
        with self._lock:
            if self._closed:
                msg = "the reader is closed"
                raise ReaderError(msg)
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.memory_bytes >= memory_bytes:
            return worker
        if worker is not None:
            worker.close()
        try:
            return Worker(memory_bytes)
        except OSError as error:
            msg = f"no memory can be shared with a decoding worker ({error.strerror})"
            raise ReaderError(msg) from error


def _enforced(threat: Threat, clean: NDArray[np.uint8], pixels: NDArray[np.uint8], produced: NDArray[np.bool_],
              bound: int) -> AttackOutput:
    """What was produced, within the bound; an image that the threat refuses was not produced."""
    found = enforce(threat, clean, pixels, bound)
    kept = produced.copy()
    kept[list(found.refused)] = False
    return AttackOutput(found.pixels, kept, np.where(produced, found.measured, -1), dict(found.refused))


def _from_array(output_dir: Path, rows: NDArray[np.intp], clean: NDArray[np.uint8], threat: Threat,
                bound: int) -> AttackOutput | None:
    try:
        with opened_directory(output_dir) as directory:
            found = None if directory is None else array_file.read_array(directory, clean.shape)
    except walk.RefusedFileError as refusal:
        count = len(clean)
        refused = dict.fromkeys(range(count), f"{array_file.NAME}: {refusal.reason}")
        return AttackOutput(clean.copy(), np.zeros(count, np.bool_), np.full(count, -1, np.int64), refused)
    if found is None:
        return None
    pixels = np.empty_like(found)
    pixels[rows] = found
    return _enforced(threat, clean, pixels, np.ones(len(clean), np.bool_), bound)
