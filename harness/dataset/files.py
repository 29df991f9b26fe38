"""The two text files of a data set, ``dataset.yaml`` and ``metadata.csv``, read and checked.

Each fault is one sentence that names the file and the row or field, raised as ``DatasetError``. Pixels are checked elsewhere.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import DatasetError
from harness.formats.field_errors import explain
from harness.formats.result_csv import OUT_OF_RANGE
from harness.formats.strict_text import decode_text
from harness.formats.strict_yaml import Document, read_yaml

DESCRIPTION = "dataset.yaml"
METADATA = "metadata.csv"
IMAGES = "images"
COLUMNS = ("ImageId", "TrueLabel", "TargetClass")
#: Written by us so that `verify` can name the images that changed; the data set's digest covers it.
HASH_COLUMN = "PixelSha256"

_IMAGE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
#: Separators of a CSV other than commas, as words.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "`|`"}
_INTEGER = re.compile(r"\s*-?[0-9]{1,6}\s*", re.ASCII)


class Description(BaseModel):
    """``dataset.yaml``: what the data set is, and the digest of what it holds.

    Attributes:
        name: Shown, and part of no key.
        digest: ``dataset_digest`` of labels, targets and pixels, 64 hex digits.
        label_low: Lowest label that a defense may give.
        label_high: Highest one, included.
        width: Of every image, pixels.
        height: Of every image, pixels.
        classes: Names of the labels from ``label_low`` on; may be empty.
        licence: Of the images.
        source: Where they come from.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    label_low: Annotated[int, Field(ge=0)]
    label_high: Annotated[int, Field(lt=OUT_OF_RANGE)]
    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]
    classes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    licence: str = ""
    source: str = ""


class Row(NamedTuple):
    """One image in ``metadata.csv``; the digest of its pixels where that column is there, else empty."""

    image_id: str
    label: int
    target: int
    pixel_sha256: str = ""


@dataclass(frozen=True)
class CsvSource:
    """Where rows came from, and what to do when they are wrong; gives the errors of one file one form."""

    path: Path

    def error(self, problem: str, next_step: str = "Correct that file.") -> DatasetError:
        """A fault of this file."""
        return DatasetError(f"{self.path}: {problem}.", next_step)


def read_description(root: Path) -> Description:
    """``dataset.yaml`` of a data set.

    Raises:
        DatasetError: It is missing or malformed.
    """
    path = root / DESCRIPTION
    if not root.is_dir():
        problem = f"The data set {root} is not there."
        raise DatasetError(problem, "Make it with `harness dataset build digits` or `harness dataset import`.")
    try:
        document = read_yaml(path.read_bytes())
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})."
        raise DatasetError(problem, "Make the data set with `harness dataset build` or `harness dataset import`.") from error
    except ValueError as error:
        problem = f"{path} cannot be read: {error}."
        raise DatasetError(problem, "Correct that file, or make the data set again.") from error
    _refuse_near_names(path, document)
    try:
        described = Description.model_validate(document.values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        place = errors[0]["loc"]
        found = explain([each for each in errors if each["loc"] == place], document.texts, place)
        line = document.line(place) if errors[0]["type"] != "missing" else None
        there = "" if line is None else f"line {line}: "
        problem = f"{path}: {there}`{'.'.join(str(part) for part in place)}` is wrong: it {found}."
        raise DatasetError(problem, "Correct that file, or make the data set again.") from error
    if described.label_high < described.label_low:
        problem = f"{path}: `label_high` is below `label_low`."
        raise DatasetError(problem, "Correct the label range.")
    return described


def _refuse_near_names(path: Path, document: Document) -> None:
    """Further fields are ignored; one that is nearly ours is a typing error."""
    for name in document.values:
        close = difflib.get_close_matches(name.lower(), Description.model_fields, n=1, cutoff=0.8)
        if name not in Description.model_fields and close:
            problem = f"{path}: line {document.line((name,))}: unknown field {ascii(name)[1:-1]}."
            raise DatasetError(problem, f"Did you mean {close[0]}?")


def read_metadata(root: Path, label_range: tuple[int, int]) -> list[Row]:
    """``metadata.csv`` of a data set, sorted by image id.

    Raises:
        DatasetError: Missing, a column missing, a duplicate id, a label outside of the range, no rows.
    """
    return read_rows(root / METADATA, label_range)


def read_rows(
    path: Path, label_range: tuple[int, int], *, offset: int = 0, suffixes: tuple[str, ...] = (".png",),
) -> list[Row]:
    """Rows of a CSV in the 2017 format, sorted by image id; the columns are found by name, all others are ignored.

    Args:
        path: The file.
        label_range: Lowest and highest label, after the offset.
        offset: Added to every label and target.
        suffixes: Of images, in small letters; one of them is removed from the end of an ImageId.

    Raises:
        DatasetError: As ``read_metadata``.
    """
    source = CsvSource(path)
    try:
        text = decode_text(path.read_bytes())
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        rows = _checked(reader, len(header), _places(header, source), label_range, offset, suffixes, source)
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
        raise source.error(problem, "A data set needs this file beside its images.") from error
    except ValueError as error:
        problem = f"it cannot be read: {error}"
        raise source.error(problem, "Save it as CSV in UTF-8, separated by commas.") from error
    except csv.Error as error:
        problem = f"it cannot be read: {error} (at row {reader.line_num}); is a quote left open?"
        raise source.error(problem) from error
    if not rows:
        problem = "it names no image"
        raise source.error(problem)
    return sorted(rows)


def _places(header: Sequence[str], source: CsvSource) -> tuple[int, int, int, int | None]:
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        problem = f"the first line names no column {' and no column '.join(missing)}"
        separator = next((words for sign, words in _SEPARATORS.items() if len(names) == 1 and sign in names[0]), None)
        if separator is not None:
            problem += f", because its columns are separated by {separator}"
            raise source.error(problem, "Save it separated by commas.")
        raise source.error(problem, f"Let the first line name {', '.join(COLUMNS)}, in these letters and separated by commas.")
    twice = [column for column in (*COLUMNS, HASH_COLUMN) if names.count(column) > 1]
    if twice:
        problem = f"the first line names the column {twice[0]} twice, and only one could count"
        raise source.error(problem, "Remove or rename one of them.")
    first, second, third = (names.index(column) for column in COLUMNS)
    return first, second, third, names.index(HASH_COLUMN) if HASH_COLUMN in names else None


def _checked(
    lines: Iterable[list[str]],
    width: int,
    places: tuple[int, int, int, int | None],
    label_range: tuple[int, int],
    offset: int,
    suffixes: tuple[str, ...],
    source: CsvSource,
) -> list[Row]:
    rows: dict[str, Row] = {}
    *needed, hash_place = places
    columns = [place for place in places if place is not None]
    for number, line in enumerate(lines, 2):
        if not any(line):
            continue
        if len(line) <= max(columns):
            problem = f"row {number} has too few columns"
            raise source.error(problem)
        if any(line[width:]):
            problem = f"row {number} has {len(line)} columns, and the first line {width}"
            raise source.error(problem, "Put text that holds a comma into quotes.")
        image_id, label, target = (line[place].strip() for place in needed if place is not None)
        suffix = next((suffix for suffix in suffixes if image_id.lower().endswith(suffix)), "")
        image_id = image_id[: len(image_id) - len(suffix)]
        if not _IMAGE_ID.fullmatch(image_id):
            problem = f"row {number} has an ImageId that is not a plain file name: {image_id[:60]!r}"
            raise source.error(problem)
        if image_id in rows:
            problem = f"row {number} repeats the ImageId {image_id}"
            raise source.error(problem)
        values = [_class(text, label_range, offset, source, number) for text in (label, target)]
        sha256 = "" if hash_place is None else line[hash_place].strip()
        rows[image_id] = Row(image_id, values[0], values[1], sha256)
    return list(rows.values())


def _class(text: str, label_range: tuple[int, int], offset: int, source: CsvSource, number: int) -> int:
    low, high = label_range
    if not _INTEGER.fullmatch(text):
        problem = f"row {number} has a label that is not an integer: {text[:60]!r}"
        raise source.error(problem)
    value = int(text) + offset
    if not low <= value <= high:
        problem = f"row {number} has the label {value}, outside of {low}..{high}"
        raise source.error(problem, "Correct the row, or the label range.")
    return value

