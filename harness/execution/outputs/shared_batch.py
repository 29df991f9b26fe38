"""The memory that the harness and a decoding worker share: decoded pixels and verdicts out.

Everything is at fixed offsets of one anonymous file, so a worker that dies leaves behind what it had finished and which image it
was at. Nothing in it is trusted for more than pixels, a number and a short text.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

#: Processor time for one image; 2048x2048 pixels in the slowest format take 0.5 s.
CPU_LIMIT_S = 3.0
#: Most files of one message to a worker.
FILES = 32
_REASON_BYTES = 240


class Verdict(IntEnum):
    """What became of one expected image."""

    UNSEEN = 0
    ABSENT = 1
    PRODUCED = 2
    RESIZED = 3
    REFUSED = 4


@dataclass(frozen=True, eq=False)
class SharedBatch:
    """Views into the shared memory for one batch.

    Attributes:
        current: int32[1], the image that the worker is at.
        spent_s: float64[1], CPU time that decoding took so far.
        verdicts: uint8[n], of ``Verdict``.
        reasons: uint8[n, _REASON_BYTES], UTF-8 padded with zeros.
        decoded: uint8[n, h, w, 3].
    """

    current: NDArray[np.int32]
    spent_s: NDArray[np.float64]
    verdicts: NDArray[np.uint8]
    reasons: NDArray[np.uint8]
    decoded: NDArray[np.uint8]

    def refuse(self, index: int, reason: str) -> None:
        """Note why an image does not count."""
        text = reason.encode("utf-8", "replace")[:_REASON_BYTES]
        self.reasons[index] = 0
        self.reasons[index, : len(text)] = np.frombuffer(text, np.uint8)
        self.verdicts[index] = Verdict.REFUSED

    def reason(self, index: int) -> str:
        """Why an image does not count, printable whatever the worker wrote."""
        text = self.reasons[index].tobytes().rstrip(b"\0").decode("utf-8", "replace")
        return "".join(character if character.isprintable() else "?" for character in text)


def byte_size(shape: tuple[int, int, int]) -> int:
    """Bytes that a batch of (n, h, w) needs."""
    count, height, width = shape
    return 64 + count * (64 + _REASON_BYTES) + count * height * width * 3


def views(memory: mmap.mmap, shape: tuple[int, int, int]) -> SharedBatch:
    """The views for a batch of (n, h, w)."""
    count, height, width = shape
    buffer = memoryview(memory)
    pixel_bytes = count * height * width * 3
    reasons = 64 + count
    decoded = 64 + count * (64 + _REASON_BYTES)
    return SharedBatch(
        current=np.frombuffer(buffer, np.int32, 1, 0),
        spent_s=np.frombuffer(buffer, np.float64, 1, 8),
        verdicts=np.frombuffer(buffer, np.uint8, count, 64),
        reasons=np.frombuffer(buffer, np.uint8, count * _REASON_BYTES, reasons).reshape(count, _REASON_BYTES),
        decoded=np.frombuffer(buffer, np.uint8, pixel_bytes, decoded).reshape(count, height, width, 3),
    )
