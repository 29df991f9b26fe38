"""The one PNG encoder of the project: same pixels, same bytes, everywhere.

Every image that a submission sees goes through it, so that no header, filter choice, metadata or file size says what
made the pixels. It stores and does not compress: the length of a file depends on the image's size alone (a compressed
size tells clean from perturbed images), and storing is what makes it fast. Pillow at level 0 was the alternative; it
still filters row by row, and its bytes may change with its version.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Longest stored block of the deflate format (RFC 1951, section 3.2.4).
_BLOCK_BYTES = 65535
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_HEADER = b"\x78\x01"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_END = _chunk(b"IEND", b"")


@lru_cache(maxsize=16)
def _frame(height: int, width: int) -> tuple[bytes, int, tuple[bytes, ...]]:
    """What one image size fixes: the head of the file, the raw length, and the header of each stored block."""
    raw_bytes = height * (1 + 3 * width)
    starts = range(0, raw_bytes, _BLOCK_BYTES)
    sizes = [min(_BLOCK_BYTES, raw_bytes - start) for start in starts]
    last = len(sizes) - 1
    headers = tuple(struct.pack("<BHH", index == last, size, size ^ 0xFFFF) for index, size in enumerate(sizes))
    body_bytes = len(_ZLIB_HEADER) + raw_bytes + 5 * len(headers) + 4
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", ihdr) + struct.pack(">I", body_bytes), raw_bytes, headers


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """An RGB image as an uncompressed PNG file (filter 0, no metadata, one IDAT chunk).

    Args:
        pixels: uint8[h, w, 3], h and w at least 1.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:  # noqa: PLR2004 - RGB
        msg = f"expected uint8[h, w, 3], got {pixels.dtype}{list(pixels.shape)}"
        raise ValueError(msg)
    height, width = pixels.shape[:2]
    head, raw_bytes, headers = _frame(height, width)
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    raw = rows.reshape(raw_bytes).data
    parts: list[bytes | memoryview] = [b"IDAT", _ZLIB_HEADER]
    for index, header in enumerate(headers):
        parts += (header, raw[index * _BLOCK_BYTES : (index + 1) * _BLOCK_BYTES])
    parts.append(struct.pack(">I", zlib.adler32(raw)))
    idat = b"".join(parts)
    return b"".join((head, idat, struct.pack(">I", zlib.crc32(idat)), _END))
