"""The CSV file of a consumer: one row per image, its name and its answer. Bytes in, answers out.

It never raises for what the bytes hold. What counts, row by row, as Python's ``csv`` module splits them (quoted newlines and NUL
bytes stay inside a field):

- The first column is the image's name; one trailing ``.png`` or ``.jpg`` is dropped; then it must match exactly.
  Unknown names are ignored. A byte-order mark before the first row is dropped. Bytes that are not UTF-8 spoil only
  their own field.
- The second column is the answer; what is one is for the track's reader to say. A row whose answer is none is skipped (an earlier
  good row of the same image stays).
- Further columns are ignored here (``whole_rows`` is for who reads them). Of several good rows of one image the last wins.

What does not count is told to the author in terms of the file that is there: another separator, another encoding, another suffix.
Every step is linear in the bytes, with no pattern that could backtrack.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

#: Most bytes of such a file that are looked at: 100 rows with 1,000 further columns of 20 bytes would fit four times.
MAX_BYTES = 8 << 20
#: Characters that count as white space around an answer, as 2017's ``int()`` of Python 2 took it.
WHITE_SPACE = " \t\n\r\x0b\x0c"

_LARGEST = float(np.finfo(np.float32).max)
#: A number with more characters is none: no float64 needs so many, whatever is printed of it.
_MOST_CHARACTERS = 1100
_SHOWN_CHARACTERS = 40
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ":": "colons", " ": "blanks"}
_AROUND = " \t'\""
#: Rows that name no image, of which examples are looked at to say what is wrong with a file.
_EXAMPLES = 5


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a track's file is called and holds.

    Attributes:
        file: Its name.
        answer: What an answer is called.
        type: What it must be, with its article.
        parse: Text to an answer; None where it is none.
    """

    file: str
    answer: str
    type: str
    parse: Callable[[str], T | None]


@dataclass(frozen=True)
class Rows(Generic[T]):
    """What a file holds.

    Attributes:
        answers: Position of an image in the batch -> its answer.
        refused: Position of an image -> why what was there for it does not count.
        notes: Sentences about what was ignored, a bounded number.
    """

    answers: Mapping[int, T]
    refused: Mapping[int, str]
    notes: Sequence[str]


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

    def notes(self, file: str) -> list[str]:
        lines = (
            (self.unknown, "name no image of this batch", "names no image of this batch"),
            (self.short, "have fewer than two columns", "has fewer than two columns"),
            (self.repeated, "repeat an image; the last one counts", "repeats an image; the last one counts"),
            (self.unreadable, "are not CSV", "is not CSV"),
        )
        return [f"{file}: {count} {'rows' if count != 1 else 'row'} {many if count != 1 else one}."
                for count, many, one in lines if count]


def bare_name(name: str) -> str:
    """An image's name without one trailing ``.png`` or ``.jpg``."""
    return name[:-4] if name.endswith((".png", ".jpg")) else name


def read_rows(data: bytes, names: Sequence[str | None], kind: Kind[T]) -> Rows[T]:
    """The answers of a batch.

    Args:
        data: The whole file; beyond ``MAX_BYTES`` none of it counts.
        names: The images of the batch, with or without extension; None for one that was not shown.
        kind: What the file is.
    """
    index_of = {bare_name(name): index for index, name in enumerate(names) if name is not None}
    if len(data) > MAX_BYTES:
        reason = f"{kind.file} has more than {MAX_BYTES} bytes"
        return Rows({}, dict.fromkeys(index_of.values(), reason), [f"{reason}; none of it counts."])
    counts = _Counts()
    answers: dict[int, T] = {}
    refused: dict[int, str] = {}
    for row in _rows(data, counts):
        if len(row) < 2:  # noqa: PLR2004 - a name and an answer
            if row:
                counts.short += 1
                counts.ignore(row)
            continue
        index = index_of.get(bare_name(row[0]))
        if index is None:
            counts.unknown += 1
            counts.ignore(row)
            continue
        answer = kind.parse(row[1])
        if answer is None:
            if index not in answers:
                refused[index] = f"the {kind.answer} {row[1][:_SHOWN_CHARACTERS]!a} is not {kind.type}"
            continue
        counts.repeated += index in answers
        answers[index] = answer
        refused.pop(index, None)
    notes = counts.notes(kind.file)
    if len(answers) < len(index_of):
        notes += _causes(data, counts, index_of, kind)
    return Rows(answers, refused, notes)


def whole_rows(data: bytes, names: Sequence[str | None], kind: Kind[T]) -> dict[int, list[str]]:
    """Position of an image in the batch -> all columns of the row that counts for it, where there is one."""
    index_of = {bare_name(name): index for index, name in enumerate(names) if name is not None}
    found: dict[int, list[str]] = {}
    for row in _rows(data if len(data) <= MAX_BYTES else b"", _Counts()):
        index = index_of.get(bare_name(row[0])) if len(row) > 1 else None
        if index is not None and kind.parse(row[1]) is not None:
            found[index] = row
    return found


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


def _causes(data: bytes, counts: _Counts, index_of: Mapping[str, int], kind: Kind[T]) -> list[str]:
    """What is wrong with a file of which some images found no label, as far as its own rows show it; one sentence each."""
    if not data.strip():
        return [f"{kind.file} is empty."]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (counts.examples and data[:200].count(0) > len(data[:200]) // 3):
        return [f"{kind.file} is in UTF-16: write it in UTF-8 or ASCII (in Python, open(path, 'w', encoding='utf-8'))."]
    causes = [cause for row in counts.examples if (cause := _cause(row, index_of, kind.answer))]
    if not causes and counts.rows and counts.unknown + counts.short == counts.rows:
        shown = next((row[0][:_SHOWN_CHARACTERS] for row in counts.examples if row), "")
        causes = [f"none of its rows names an image of this batch ({shown!a} for one): write the names of the input files"]
    return [f"{kind.file}: {cause}." for cause in dict.fromkeys(causes)]


def _cause(row: Sequence[str], index_of: Mapping[str, int], answer: str) -> str | None:
    """Why an ignored row named no image, where that can be seen."""
    name = row[0]
    if len(row) == 1:
        for separator, words in _SEPARATORS.items():
            if separator in name and bare_name(name.partition(separator)[0].strip(_AROUND)) in index_of:
                return f"its columns are separated by {words}: separate them by commas"
        return f"a row has a name and no {answer}" if bare_name(name) in index_of else None
    for at, text in enumerate(row[1:], 2):
        if bare_name(text.strip()) in index_of:
            return f"the image's name is in column {at}: it belongs in the first column and the {answer} in the second"
    stem, dot, suffix = name.rpartition(".")
    named = {
        stem: f"its names end in {dot + suffix!a}: write the names of the input files, or leave the suffix out",
        bare_name(name.strip(_AROUND)): "its names have blanks or quotes around them, which belong to a name: leave them out",
        bare_name(name.replace("\\", "/").rpartition("/")[2]):
            "its names have a directory in front: write the bare names of the input files",
    }
    return next((cause for text, cause in named.items() if text in index_of), None)


def parse_number(text: str) -> float | None:
    """A finite decimal number as the nearest that float32 has, one beyond its range as its largest; None where it is none."""
    number = text.strip(WHITE_SPACE)
    if len(number) > _MOST_CHARACTERS or not number.isascii() or "_" in number:
        return None
    try:
        value = float(number)
    except ValueError:
        return None
    # "1e999" is written as a number and read as an infinity; "inf" is written as none.
    if math.isnan(value) or (math.isinf(value) and not any(character.isdigit() for character in number)):
        return None
    return max(-_LARGEST, min(_LARGEST, value))
