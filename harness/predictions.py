"""An untrusted ``result.csv`` to labels. Bytes in, an array out; it never raises for what the bytes hold.

What counts, row by row, as Python's ``csv`` module splits them (quoted newlines and NUL bytes stay inside a field):

- The first column is the image's name; one trailing ``.png`` or ``.jpg`` is dropped; then it must match exactly.
  Unknown names are ignored. A byte-order mark before the first row is dropped. Bytes that are not UTF-8 spoil only
  their own field.
- The second column is the label: ASCII digits with an optional sign and surrounding white space, as 2017's ``int()``
  of Python 2 took it. `` 123 ``, ``+123`` and ``0123`` count; ``123.0``, ``[123]``, ``1_0``, ``1e2``, digits of other
  scripts and an empty field do not, and such a row is skipped (an earlier good row of the same image stays).
- Further columns are ignored. Of several good rows of one image the last wins.
- An integer outside of the label range, however long, is a label that was given and is wrong: it is stored as
  ``OUT_OF_RANGE`` and noted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: Stored for "no label".
NO_LABEL = -1
#: Stored for an integer outside of the label range: it fits 16 bits, and no label range reaches it.
OUT_OF_RANGE = 32767
#: Most bytes of result.csv that are looked at: 100 rows with 1,000 further columns of 20 bytes would fit four times.
MAX_RESULT_BYTES = 8 << 20

_INTEGER = re.compile(r"[ \t\n\r\x0b\x0c]*([+-]?)0*([0-9]+)[ \t\n\r\x0b\x0c]*", re.ASCII)
_DIGITS_IN_RANGE = 5
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Labels:
    """What a defense said about one batch.

    Attributes:
        labels: int32[n], in the order of the asked names; ``NO_LABEL`` where none counts.
        refused: Name as asked -> why the row that was there does not count.
        notes: Sentences about what was ignored, a bounded number.
    """

    labels: NDArray[np.int32]
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Counts:
    """What was ignored, to be told in one sentence each."""

    unknown: int = 0
    short: int = 0
    repeated: int = 0
    out_of_range: int = 0
    unreadable: int = 0

    def notes(self, label_range: tuple[int, int]) -> list[str]:
        low, high = label_range
        lines = (
            (self.unknown, "rows name no image of this batch"),
            (self.short, "rows have fewer than two columns"),
            (self.repeated, "rows repeat an image; the last one counts"),
            (self.out_of_range, f"labels lie outside of {low}..{high} and count as wrong"),
            (self.unreadable, "rows are not CSV"),
        )
        return [f"result.csv: {count} {text}." for count, text in lines if count]


def bare_name(name: str) -> str:
    """An image's name without one trailing ``.png`` or ``.jpg``."""
    return name[:-4] if name.endswith((".png", ".jpg")) else name


def read_labels(data: bytes, names: Sequence[str], label_range: tuple[int, int]) -> Labels:
    """Labels of a batch from the bytes of ``result.csv``.

    Args:
        data: The whole file; beyond ``MAX_RESULT_BYTES`` none of it counts.
        names: The images of the batch, with or without extension.
        label_range: Lowest and highest label, both included; at most ``OUT_OF_RANGE - 1``.
    """
    labels = [NO_LABEL] * len(names)
    if len(data) > MAX_RESULT_BYTES:
        reason = f"result.csv has more than {MAX_RESULT_BYTES} bytes"
        return Labels(np.array(labels, np.int32), dict.fromkeys(names, reason), [f"{reason}; none of it counts."])
    counts = _Counts()
    index_of = {bare_name(name): index for index, name in enumerate(names)}
    refused: dict[int, str] = {}
    for row in _rows(data, counts):
        if len(row) < 2:  # noqa: PLR2004 - a name and a label
            counts.short += bool(row)
            continue
        index = index_of.get(bare_name(row[0]))
        if index is None:
            counts.unknown += 1
            continue
        label = _label(row[1], label_range)
        if label is None:
            if labels[index] == NO_LABEL:
                refused[index] = f"the label {row[1][:_SHOWN_CHARACTERS]!a} is not an integer"
            continue
        counts.repeated += labels[index] != NO_LABEL
        labels[index] = label
        refused.pop(index, None)
    counts.out_of_range = labels.count(OUT_OF_RANGE)
    named = {names[index]: reason for index, reason in refused.items()}
    return Labels(np.array(labels, np.int32), named, counts.notes(label_range))


def _rows(data: bytes, counts: _Counts) -> Iterator[list[str]]:
    text = data.decode("utf-8-sig", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""))
    while True:
        try:
            row = next(reader, None)
        except csv.Error:  # a field above 128 KiB; the reader goes on after it
            counts.unreadable += 1
            continue
        if row is None:
            return
        yield row


def _label(text: str, label_range: tuple[int, int]) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, digits = match.groups()
    if len(digits) > _DIGITS_IN_RANGE:
        return OUT_OF_RANGE
    value = -int(digits) if sign == "-" else int(digits)
    low, high = label_range
    return value if low <= value <= high else OUT_OF_RANGE
