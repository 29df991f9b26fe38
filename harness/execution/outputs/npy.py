"""Arrays of a served program: one file instead of a hundred PNG files, with a header that is checked by hand.

numpy's own reader would do for a trusted file; here the header is untrusted text, so only the one that numpy writes for the
expected type and rows in C order is taken, and nothing is ever unpickled. The memory for it is bounded before its header is read.
"""

from __future__ import annotations

import ast
import os
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from harness.execution.outputs.safe_open import RefusedFileError, open_file

NAME = "images.npy"
_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 1024


def read_array(directory: int, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The array ``images.npy`` of exactly this shape, None where the file is absent.

    Args:
        directory: Descriptor of the output directory.
        shape: (n, h, w, 3).

    Raises:
        RefusedFileError: Not a regular file, or not the array that was asked for.
    """
    return read_rows(directory, NAME, np.uint8, shape[1:], shape[0], fewest=shape[0])


def read_rows(directory: int, name: str, dtype: DTypeLike, row: tuple[int, ...], most: int, fewest: int = 0) -> NDArray[Any] | None:
    """An array of ``fewest`` to ``most`` rows, None where the file is absent.

    Args:
        directory: Descriptor of the output directory.
        name: Of the file, chosen by the harness.
        dtype: Of its values, in this machine's byte order.
        row: Shape of one row.
        most: Rows at the most.
        fewest: Rows at the least.

    Raises:
        RefusedFileError: Not a regular file, or not an array that was asked for.
    """
    kind = np.dtype(dtype)
    row_bytes = kind.itemsize * int(np.prod(row, dtype=np.int64))
    descriptor = open_file(directory, name, most * row_bytes + _MAX_HEADER_BYTES)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        rows = _rows(_header(file), kind, row, (fewest, most))
        if os.fstat(descriptor).st_size != file.tell() + rows * row_bytes:
            reason = "it is cut short, or holds more than its header says"
            raise RefusedFileError(reason)
        array = np.empty((rows, *row), kind)
        if file.readinto(array.reshape(-1).view(np.uint8).data) != rows * row_bytes:
            reason = "it is cut short"
            raise RefusedFileError(reason)
    return array


def _header(file: IO[bytes]) -> bytes:
    head = file.read(10)
    if len(head) < 10 or head[:8] != _MAGIC + b"\x01\x00":  # noqa: PLR2004 - magic, version, length
        reason = "it is not a .npy file of version 1"
        raise RefusedFileError(reason)
    (length,) = struct.unpack_from("<H", head, 8)
    if length > _MAX_HEADER_BYTES - len(head):
        reason = "its header is too long"
        raise RefusedFileError(reason)
    return file.read(length)


def _rows(text: bytes, kind: np.dtype[Any], row: tuple[int, ...], bounds: tuple[int, int]) -> int:
    """How many rows a header tells of."""
    try:
        header = ast.literal_eval(text.decode("ascii"))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        reason = "its header is not one that numpy writes"
        raise RefusedFileError(reason) from error
    shape = header.get("shape") if isinstance(header, dict) else None
    rows = shape[0] if isinstance(shape, tuple) and shape and type(shape[0]) is int else -1
    wanted = {"descr": kind.str, "fortran_order": False, "shape": (rows, *row)}
    fewest, most = bounds
    if header != wanted or any(type(length) is not int for length in shape or ()) or not fewest <= rows <= most:
        count = f"{most}" if fewest == most else f"{fewest} to {most}"
        reason = f"it is not an array {kind.name}[{', '.join([count, *map(str, row)])}]"
        raise RefusedFileError(reason)
    return rows
