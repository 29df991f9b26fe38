"""What a leaderboard reads of a run: one record of fixed size, made when the run ends.

A 2017-size final has 904,600 runs of 300 bytes in fifteen columns; reading them as columns and comparing 89 million labels takes
longer than all scoring. A record holds the few columns that scoring asks for and the verdicts as bits, and is read as it lies.

Verdicts follow from the labels that were given and from true labels and target classes. An organiser may correct a true label
when all has run: the record says what it was compared with, and one that was compared with something else is rebuilt from the
labels, which are kept with the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness import tracks
from harness.dataset.load import Batch
from harness.formats.result_csv import NO_LABEL, REJECTED
from harness.sandbox.outcomes import NUMBERS, Outcome
from harness.store import round_state, scores
from harness.store.facade import Transaction

_HEAD = [("run_id", "<u4"), ("submission_id", "<u4"), ("conditions_id", "<u4"), ("input_id", "<u4"), ("output_id", "<u4"),
         ("usable", "<u2"), ("outcome", "u1"), ("wall_s", "<f8"), ("compared_with", "<u8")]


#: Odd, so that no bit of a word is lost when it is multiplied: one that changed always shows.
_FACTORS = np.array([pow(0x9E3779B1, power, 1 << 32) for power in range(1, 1 << 10)], np.uint32)
#: Of a record of zeros, which is none.
_OF_NOTHING = np.uint32(0x5C0BE5)


@lru_cache
def record_type(size: int) -> np.dtype[np.void]:
    """The record of a run on a batch of so many images; the same one for sizes of as many ``row_bytes``.

    Its ``planes`` are as in ``verdict_planes``, and ``check`` follows from all that stands before it.
    """
    return np.dtype([*_HEAD, ("planes", "u1", (3, row_bytes(size))), ("check", "<u4")])


def whole(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which records are as they were made, bool[n]: a disk may change a byte of one, and SQLite keeps no checksum."""
    found: NDArray[np.bool_] = _checks(records) == records["check"]
    return found


def _checks(records: NDArray[np.void]) -> NDArray[np.uint32]:
    """A weighted sum of each record's words: a million take 50 ms, where a digest of each would take a second."""
    size = records.dtype.itemsize - _FACTORS.itemsize
    data = records.view(np.uint8).reshape(len(records), -1)
    words = data[:, :size // 4 * 4].view("<u4")
    count, rest = words.shape[1], data[:, size // 4 * 4:size]
    sums: NDArray[np.uint32] = _OF_NOTHING + words @ _FACTORS[:count] + rest @ _FACTORS[count:count + rest.shape[1]]
    return sums


def row_bytes(size: int) -> int:
    """Bytes of one bit for each image of a batch."""
    return (size + 7) // 8


def comparison(truth: NDArray[np.int32], target: NDArray[np.int32], *, rejections: bool = True) -> int:
    """The number that stands for the true labels and target classes of a batch, each int32[n].

    Version 0.1.0 compared without telling rejections from labels: without ``rejections`` the number is the one that it wrote.
    """
    given = truth.tobytes() + b"|" + target.tobytes() + (b"|rejections" if rejections else b"")
    return int.from_bytes(hashlib.blake2b(given, digest_size=8).digest(), "little")


def verdict_planes(labels: NDArray[np.int16], truth: NDArray[np.int32], target: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Whether each label was given, is the true one, is the target class: bits, lowest first.

    The label ``REJECTED`` is none of an image: it has the last bit alone.

    Args:
        labels: int16[..., n] as answered, ``NO_LABEL`` where none was given.
        truth: int32[n].
        target: int32[n].

    Returns:
        uint8[..., 3, n / 8 rounded up].
    """
    given = labels != NO_LABEL
    correct, hit = given & (labels == truth), given & (labels == target)
    rejected = (labels == REJECTED) & ~correct & ~hit
    bits = np.stack([given & ~rejected, correct, hit | rejected], axis=-2)
    return np.packbits(bits, axis=-1, bitorder="little")


def make_record(*, run_id: int, submission_id: int, conditions_id: int, input_id: int, output_id: int | None, usable: int,
                outcome: Outcome, wall_s: float, labels: NDArray[np.int16] | None, truth: NDArray[np.int32],
                target: NDArray[np.int32]) -> bytes:
    """The record of a run that ended; ``labels`` as in ``verdict_planes``, None for an attack or where there are none."""
    record = np.zeros(1, record_type(len(truth)))
    for name, value in (("run_id", run_id), ("submission_id", submission_id), ("conditions_id", conditions_id),
                        ("input_id", input_id), ("output_id", output_id or 0), ("usable", usable),
                        ("outcome", NUMBERS[outcome]), ("wall_s", wall_s), ("compared_with", comparison(truth, target))):
        record[name] = value
    if labels is not None:
        record["planes"] = verdict_planes(labels, truth, target)
    record["check"] = _checks(record)
    return record.tobytes()


def repair(transaction: Transaction, batches: Mapping[int, Batch]) -> int:
    """Make the records of runs on these batches (by stored id) that are absent or damaged; how many there were."""
    made, kinds = [], {record_type(size) for size in scores.batch_sizes(transaction)}
    for kind in kinds:
        if not all(whole(np.frombuffer(data, kind)).all() for data in round_state.score_records(transaction, kind.itemsize)):
            scores.drop_records(transaction, [run for run, record in scores.records(transaction, kind.itemsize)
                                              if not whole(np.frombuffer(record, kind)).all()])
    for run in scores.without_record(transaction, {kind.itemsize for kind in kinds}):
        batch = batches.get(run.batch_id)
        if batch is not None:
            labels = None if run.answers is None or not tracks.labels(run.track) else np.frombuffer(run.answers, np.int16)
            made.append((run.id, make_record(
                run_id=run.id, submission_id=run.submission_id, conditions_id=run.conditions_id, input_id=run.input_id,
                output_id=run.output_id, usable=run.usable, outcome=Outcome(run.outcome), wall_s=run.wall_s or 0.0, labels=labels,
                truth=batch.labels, target=batch.targets)))
    scores.keep_records(transaction, made)
    return len(made)
