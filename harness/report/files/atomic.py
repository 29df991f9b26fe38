"""Files of an export: complete or not there at all, as CSV and, where pyarrow is installed, as Parquet."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from harness.files import whole_file
from harness.untrusted_text import csv_cell, lines

Columns = Mapping[str, Sequence[object] | NDArray[np.generic]]


@contextmanager
def csv_file(path: Path) -> Iterator[TextIO]:
    """An open text file for CSV that becomes ``path`` when the block ends well."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_csv(path: Path, header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Write one CSV file; None is an empty field."""
    with csv_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([csv_cell(title) for title in header])
        writer.writerows([csv_cell(value) for value in row] for row in rows)


def parquet_here() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(path: Path, groups: Iterable[Columns], types: Mapping[str, type]) -> None:
    """Write column groups one after another as row groups, so that only one is in memory at a time.

    Args:
        path: The file.
        groups: None at all makes a file without rows.
        types: Columns to str, int, float or bool: an empty group, or a column of None, must not decide a column's type.
    """
    import pyarrow as pa  # noqa: PLC0415 - an optional library, and slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    known = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, known[kind]) for name, kind in types.items()])
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in groups:
            columns = [_fit(group[name]) if types[name] is str else group[name] for name in types]
            writer.write_table(pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
                                        schema=schema))


def _fit(column: Sequence[object] | NDArray[np.generic]) -> list[object]:
    """Text without what a terminal acts on, as in the CSV files; no spreadsheet reads these, so formulas stay as they are."""
    return [lines(value) if isinstance(value, str) else value for value in column]
