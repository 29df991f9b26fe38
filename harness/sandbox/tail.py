"""What a program printed, bounded: the last 64 KiB of a stream, made safe for a terminal and a database."""

from __future__ import annotations

import re

from harness.sandbox.base import LOG_TAIL_BYTES

#: Terminal escape sequences (CSI, OSC and other string sequences, two-byte escapes), removed whole so that their
#: parameters do not stay behind as noise.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]")
#: Every control character but newline and tab, and the marks that turn text around or hide it.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


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
        """Forget all, for the next batch of a served program."""
        self._kept.clear()

    def text(self) -> str:
        """The tail as text without control characters."""
        return clean_text(bytes(self._kept[-self._limit:]))


def clean_text(data: bytes) -> str:
    """Decode untrusted output; undecodable bytes become U+FFFD, carriage returns become line ends."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))
