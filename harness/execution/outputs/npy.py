"""``images.npy`` of a served attack: one array instead of a hundred PNG files, with a header that is checked by hand.

numpy's own reader would do for a friend's file; here the header is text of an opponent, so only the one that numpy writes for
uint8[n, h, w, 3] in C order is taken, and nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import os
import struct

import numpy as np
from numpy.typing import NDArray

from harness.execution.outputs.safe_open import RefusedFileError, open_file

NAME = "images.npy"
_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 1024


def read_array(directory: int, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The array of exactly this shape, None where the file is absent.

    Args:
        directory: Descriptor of the output directory.
        shape: (n, h, w, 3).

    Raises:
        RefusedFileError: Not a regular file, or not the array that was asked for.
    """
    pixel_bytes = int(np.prod(shape))
    descriptor = open_file(directory, NAME, pixel_bytes + _MAX_HEADER_BYTES)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        head = file.read(10)
        if len(head) < 10 or head[:8] != _MAGIC + b"\x01\x00":  # noqa: PLR2004 - magic, version, length
            reason = "it is not a .npy file of version 1"
            raise RefusedFileError(reason)
        (length,) = struct.unpack_from("<H", head, 8)
        if length > _MAX_HEADER_BYTES - len(head):
            reason = "its header is too long"
            raise RefusedFileError(reason)
        _check_header(file.read(length), shape)
        if os.fstat(descriptor).st_size != len(head) + length + pixel_bytes:
            reason = "it is cut short, or holds more than its header says"
            raise RefusedFileError(reason)
        pixels = np.empty(shape, np.uint8)
        if file.readinto(pixels.reshape(pixel_bytes).data) != pixel_bytes:
            reason = "it is cut short"
            raise RefusedFileError(reason)
    return pixels


def _check_header(text: bytes, shape: tuple[int, ...]) -> None:
    try:
        header = ast.literal_eval(text.decode("ascii"))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        reason = "its header is not one that numpy writes"
        raise RefusedFileError(reason) from error
    if header != {"descr": "|u1", "fortran_order": False, "shape": shape}:
        reason = f"it is not an array uint8{list(shape)}"
        raise RefusedFileError(reason)
