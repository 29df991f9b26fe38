"""The two text files of a data set, ``dataset.yaml`` and ``metadata.csv``, read and checked.

Each fault is one sentence that names the file and the row or field, raised as ``DatasetError``. Pixels are looked at elsewhere.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import DatasetError
from harness.predictions import OUT_OF_RANGE

DESCRIPTION = "dataset.yaml"
METADATA = "metadata.csv"
IMAGES = "images"
COLUMNS = ("ImageId", "TrueLabel", "TargetClass")
#: Written by us so that `verify` can name the images that changed; the data set's digest covers it.
HASH_COLUMN = "PixelSha256"

_IMAGE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
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

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    label_low: Annotated[int, Field(ge=0)]
    label_high: Annotated[int, Field(lt=OUT_OF_RANGE)]
    width: Annotated[int, Field(ge=1, le=16384)]
    height: Annotated[int, Field(ge=1, le=16384)]
    classes: tuple[str, ...] = ()
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
    """Where rows came from, and what to do when they are wrong; makes the errors of one file read alike."""

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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f"{path} cannot be read ({_first_line(error)})."
        raise DatasetError(problem, "Make the data set with `harness dataset build` or `harness dataset import`.") from error
    if not isinstance(values, dict):
        problem = f"{path} is not a list of `key: value` lines."
        raise DatasetError(problem, "Make the data set again.")
    try:
        described = Description.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = f"{path}: `{field}` is wrong ({first['msg']})."
        raise DatasetError(problem, "Make the data set again.") from error
    if described.label_high < described.label_low:
        problem = f"{path}: `label_high` is below `label_low`."
        raise DatasetError(problem, "Correct the label range.")
    return described


def read_metadata(root: Path, label_range: tuple[int, int]) -> list[Row]:
    """``metadata.csv`` of a data set, sorted by image id.

    Raises:
        DatasetError: Missing, a column missing, a duplicate id, a label outside of the range, no rows.
    """
    return read_rows(root / METADATA, label_range)


def read_rows(path: Path, label_range: tuple[int, int], *, offset: int = 0) -> list[Row]:
    """Rows of a CSV in the 2017 format, sorted by image id; the columns are found by name, all others are ignored.

    Args:
        path: The file.
        label_range: Lowest and highest label, after the offset.
        offset: Added to every label and target.

    Raises:
        DatasetError: As ``read_metadata``.
    """
    source = CsvSource(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            places = _places(next(reader, []), source)
            rows = _checked(reader, places, label_range, offset, source)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problem = f"it cannot be read ({_first_line(error)})"
        raise source.error(problem, "A data set needs this file beside its images.") from error
    if not rows:
        problem = "it names no image"
        raise source.error(problem)
    return sorted(rows)


def _places(header: Sequence[str], source: CsvSource) -> tuple[int, int, int, int | None]:
    names = [name.strip() for name in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        problem = f"the first line names no column {' and no column '.join(missing)}"
        raise source.error(problem)
    first, second, third = (names.index(column) for column in COLUMNS)
    return first, second, third, names.index(HASH_COLUMN) if HASH_COLUMN in names else None


def _checked(
    lines: Iterable[list[str]],
    places: tuple[int, int, int, int | None],
    label_range: tuple[int, int],
    offset: int,
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
        image_id, label, target = (line[place].strip() for place in needed if place is not None)
        image_id = image_id.removesuffix(".png")
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


def _first_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__
