"""What a program printed, bounded: the last 64 KiB of a stream, made safe for a terminal and a database."""

from __future__ import annotations

from harness import untrusted_text
from harness.sandbox.base import LOG_TAIL_BYTES


class LogTail:
    """The last ``limit`` bytes of a stream."""

    def __init__(self, limit: int = LOG_TAIL_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.seen_bytes = 0

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self.seen_bytes += len(data)
        self._kept += data[-self._limit:]
        # Cut seldom: cutting at each read would move 64 KiB for every few bytes.
        if len(self._kept) > 2 * self._limit:
            del self._kept[:-self._limit]

    def clear(self) -> None:
        """Clear it, for the next batch of a served program."""
        self._kept.clear()

    def text(self) -> str:
        """The tail as text without control characters."""
        return clean_text(bytes(self._kept[-self._limit:]))


def clean_text(data: bytes) -> str:
    """Decode untrusted output; undecodable bytes become U+FFFD, carriage returns become line ends."""
    return untrusted_text.lines(data.decode("utf-8", "replace"))
