"""An untrusted ``result.csv`` to labels; ``answer_csv`` says which rows count.

A label is ASCII digits with an optional sign and surrounding white space, as 2017's ``int()`` of Python 2 took it. `` 123 ``,
``+123`` and ``0123`` count; ``123.0``, ``[123]``, ``1_0``, ``1e2``, digits of other scripts and an empty field do not.

Where a defense also answers scores of all classes, they are the columns behind the label.

An integer is kept as it was answered, whatever the data set's label range: an organiser may correct labels and range when all has
run, and scoring judges by those of that day. One that does not fit is kept as the nearer of two numbers that no range reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.formats.answer_csv import WHITE_SPACE, Kind, parse_number, read_rows, whole_rows
from harness.formats.answers import Answers, Reading

#: Stored for "no label". No answer is stored so: -1 is an answer.
NO_LABEL = -32768
#: "Adversarial, no class", where a round's rules let a defense reject; elsewhere a label that no image has.
REJECTED = -1
#: Stored for an integer that does not fit 16 bits, with its sign; no label range reaches it.
OUT_OF_RANGE = 32767

_MOST_DIGITS = len(str(OUT_OF_RANGE))


def read_labels(data: bytes, names: Sequence[str | None]) -> Reading:
    """Labels of a batch from the bytes of ``result.csv``: int16, ``NO_LABEL`` where none counts, else as answered.

    Args:
        data: The whole file; of one that is too large none counts.
        names: The images of the batch, with or without extension; None for one that was not shown.
    """
    rows = read_rows(data, names, _LABELS)
    values = np.array([rows.answers.get(index, NO_LABEL) for index in range(len(names))], np.int16)
    return Reading(Answers(values, values != NO_LABEL), rows.refused, rows.notes)


def out_of_range(labels: NDArray[np.int16], label_range: tuple[int, int], *, rejections: bool) -> int:
    """How many answers no label range of today holds; a matter of the day, so it is not kept with them.

    Args:
        labels: int16, as stored.
        label_range: Lowest and highest label of the data set.
        rejections: Whether ``REJECTED`` is an answer too.
    """
    low, high = label_range
    beyond = (labels != NO_LABEL) & ((labels < low) | (labels > high))
    return int(np.count_nonzero(beyond & (labels != REJECTED) if rejections else beyond))


def read_class_scores(data: bytes, names: Sequence[str | None], classes: int) -> NDArray[np.float32]:
    """What a ``result.csv`` says behind its labels: float32 [n, classes], NaN for an image of which not each class has a score.

    They stand in the row whose label counts, in the order of the data set's labels; what stands behind them is ignored.
    """
    scores = np.full((len(names), classes), np.nan, np.float32)
    for index, row in whole_rows(data, names, _LABELS).items():
        read = [parse_number(text) for text in row[2:2 + classes]]
        whole = len(read) == classes and None not in read
        scores[index] = read if whole else np.nan
    return scores


def score_columns(data: bytes, names: Sequence[str | None]) -> NDArray[np.int32]:
    """How many columns stand behind the label that counts, whatever they hold: int32 [n], -1 for an image without a label."""
    columns = np.full(len(names), -1, np.int32)
    for index, row in whole_rows(data, names, _LABELS).items():
        columns[index] = len(row) - 2
    return columns


def _label(text: str) -> int | None:
    digits = text.strip(WHITE_SPACE)
    negative = digits.startswith("-")
    digits = digits[1:] if digits.startswith(("-", "+")) else digits
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0")
    value = OUT_OF_RANGE if len(digits) > _MOST_DIGITS else min(int(digits or "0"), OUT_OF_RANGE)
    return -value if negative else value


_LABELS = Kind("result.csv", "label", "an integer", _label)
