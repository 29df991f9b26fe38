"""An untrusted ``result.csv`` to labels. Bytes in, an array out; it never raises for what the bytes hold.

What counts, row by row, as Python's ``csv`` module splits them (quoted newlines and NUL bytes stay inside a field):

- The first column is the image's name; one trailing ``.png`` or ``.jpg`` is dropped; then it must match exactly.
  Unknown names are ignored. A byte-order mark before the first row is dropped. Bytes that are not UTF-8 spoil only
  their own field.
- The second column is the label: ASCII digits with an optional sign and surrounding white space, as 2017's ``int()``
  of Python 2 took it. `` 123 ``, ``+123`` and ``0123`` count; ``123.0``, ``[123]``, ``1_0``, ``1e2``, digits of other
  scripts and an empty field do not, and such a row is skipped (an earlier good row of the same image stays).
- Further columns are ignored. Of several good rows of one image the last wins.
- An integer is kept as it was answered, whatever the data set's label range: an organiser may correct labels and range when
  all has run, and scoring judges by those of that day. One that does not fit is kept as the nearer of two numbers that no
  label range reaches.

What does not count is told to the author in terms of the file that is there: another separator, another encoding, another suffix.
Every step is linear in the bytes, with no pattern that could backtrack.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.answers import Answers, Reading

#: Stored for "no label". No answer is stored so: -1 is an answer.
NO_LABEL = -32768
#: Stored for an integer that does not fit 16 bits, with its sign; no label range reaches it.
OUT_OF_RANGE = 32767
#: Most bytes of result.csv that are looked at: 100 rows with 1,000 further columns of 20 bytes would fit four times.
MAX_RESULT_BYTES = 8 << 20

_WHITE_SPACE = " \t\n\r\x0b\x0c"
_MOST_DIGITS = len(str(OUT_OF_RANGE))
_SHOWN_CHARACTERS = 40
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ":": "colons", " ": "blanks"}
_AROUND = " \t'\""
#: Rows that name no image, and labels, of which examples are looked at to say what is wrong with a file.
_EXAMPLES = 5


@dataclass
class _Counts:
    """What was ignored, to be told in one sentence each, with examples of what stood in its place."""

    rows: int = 0
    unknown: int = 0
    short: int = 0
    repeated: int = 0
    unreadable: int = 0
    examples: list[list[str]] = field(default_factory=list)

    def ignore(self, row: list[str]) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples.append([text[:_SHOWN_CHARACTERS + 1] for text in row[:_EXAMPLES]])

    def notes(self) -> list[str]:
        lines = (
            (self.unknown, "name no image of this batch", "names no image of this batch"),
            (self.short, "have fewer than two columns", "has fewer than two columns"),
            (self.repeated, "repeat an image; the last one counts", "repeats an image; the last one counts"),
            (self.unreadable, "are not CSV", "is not CSV"),
        )
        return [f"result.csv: {count} {'rows' if count != 1 else 'row'} {many if count != 1 else one}."
                for count, many, one in lines if count]


def bare_name(name: str) -> str:
    """An image's name without one trailing ``.png`` or ``.jpg``."""
    return name[:-4] if name.endswith((".png", ".jpg")) else name


def read_labels(data: bytes, names: Sequence[str | None]) -> Reading:
    """Labels of a batch from the bytes of ``result.csv``: int16, ``NO_LABEL`` where none counts, else as answered.

    Args:
        data: The whole file; beyond ``MAX_RESULT_BYTES`` none of it counts.
        names: The images of the batch, with or without extension; None for one that was not shown.
    """
    labels = [NO_LABEL] * len(names)
    index_of = {bare_name(name): index for index, name in enumerate(names) if name is not None}
    if len(data) > MAX_RESULT_BYTES:
        reason = f"result.csv has more than {MAX_RESULT_BYTES} bytes"
        return Reading(_answers(labels), dict.fromkeys(index_of.values(), reason), [f"{reason}; none of it counts."])
    counts = _Counts()
    refused: dict[int, str] = {}
    for row in _rows(data, counts):
        if len(row) < 2:  # noqa: PLR2004 - a name and a label
            if row:
                counts.short += 1
                counts.ignore(row)
            continue
        index = index_of.get(bare_name(row[0]))
        if index is None:
            counts.unknown += 1
            counts.ignore(row)
            continue
        label = _label(row[1])
        if label is None:
            if labels[index] == NO_LABEL:
                refused[index] = f"the label {row[1][:_SHOWN_CHARACTERS]!a} is not an integer"
            continue
        counts.repeated += labels[index] != NO_LABEL
        labels[index] = label
        refused.pop(index, None)
    notes = counts.notes()
    if any(labels[index] == NO_LABEL for index in index_of.values()):
        notes += _causes(data, counts, index_of)
    return Reading(_answers(labels), refused, notes)


def _answers(labels: Sequence[int]) -> Answers:
    values = np.array(labels, np.int16)
    return Answers(values, values != NO_LABEL)


def out_of_range(labels: NDArray[np.int16], label_range: tuple[int, int]) -> int:
    """How many answers no label range of today holds; a matter of the day, so it is not kept with them."""
    low, high = label_range
    return int(np.count_nonzero((labels != NO_LABEL) & ((labels < low) | (labels > high))))


def _rows(data: bytes, counts: _Counts) -> Iterator[list[str]]:
    # A row of 8 MiB takes the csv module a tenth of a second, in which no other thread runs.
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
        counts.rows += bool(row)
        yield row


def _label(text: str) -> int | None:
    digits = text.strip(_WHITE_SPACE)
    negative = digits.startswith("-")
    digits = digits[1:] if digits.startswith(("-", "+")) else digits
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0")
    value = OUT_OF_RANGE if len(digits) > _MOST_DIGITS else min(int(digits or "0"), OUT_OF_RANGE)
    return -value if negative else value


def _causes(data: bytes, counts: _Counts, index_of: Mapping[str, int]) -> list[str]:
    """What is wrong with a file of which some images found no label, as far as its own rows show it; one sentence each."""
    if not data.strip():
        return ["result.csv is empty."]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (counts.examples and data[:200].count(0) > len(data[:200]) // 3):
        return ["result.csv is in UTF-16: write it in UTF-8 or ASCII (in Python, open(path, 'w', encoding='utf-8'))."]
    causes = [cause for row in counts.examples if (cause := _cause(row, index_of))]
    if not causes and counts.rows and counts.unknown + counts.short == counts.rows:
        shown = next((row[0][:_SHOWN_CHARACTERS] for row in counts.examples if row), "")
        causes = [f"none of its rows names an image of this batch ({shown!a} for one): write the names of the input files"]
    return [f"result.csv: {cause}." for cause in dict.fromkeys(causes)]


def _cause(row: Sequence[str], index_of: Mapping[str, int]) -> str | None:
    """Why an ignored row named no image, where that can be seen."""
    name = row[0]
    if len(row) == 1:
        for separator, words in _SEPARATORS.items():
            if separator in name and bare_name(name.partition(separator)[0].strip(_AROUND)) in index_of:
                return f"its columns are separated by {words}: separate them by commas"
        return "a row has a name and no label" if bare_name(name) in index_of else None
    for at, text in enumerate(row[1:], 2):
        if bare_name(text.strip()) in index_of:
            return f"the image's name stands in column {at}: it belongs into the first column and the label into the second"
    stem, dot, suffix = name.rpartition(".")
    named = {
        stem: f"its names end in {dot + suffix!a}: write the names of the input files, or leave the suffix out",
        bare_name(name.strip(_AROUND)): "its names have blanks or quotes around them, which belong to a name: leave them out",
        bare_name(name.replace("\\", "/").rpartition("/")[2]):
            "its names have a directory in front: write the bare names of the input files",
    }
    return next((cause for text, cause in named.items() if text in index_of), None)
