"""The serving protocol's lines: one JSON object per line, asked on stdin, answered on stdout.

Everything else that a program prints is its log. Nothing that it prints can be more than a line of the protocol: an answer
counts only when it names the batch by the token that was made for it a moment before.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.sandbox.tail import LogTail, clean_text

#: An honest answer has some fifty bytes, an error message perhaps a thousand.
MAX_LINE_BYTES = 1 << 16
#: Answers not yet read; a program has one to give at a time.
_MAX_PENDING = 16
_ERROR_CHARACTERS = 500


@dataclass(frozen=True)
class Answer:
    """One line of a program.

    Attributes:
        batch: The token it names, None for "ready".
        error: What the program says went wrong, None where it says "done".
        arrays: For "ready": whether pixels may come as an array.
    """

    batch: str | None
    error: str | None = None
    arrays: bool = False


class LineReader:
    """Sorts a program's stdout into answers and log.

    Attributes:
        answers: What was answered and not taken yet.
        log: All else.
    """

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.log = LogTail()
        self._line = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> None:
        """Take a piece of stdout."""
        *lines, rest = data.split(b"\n")
        for piece in lines:
            self._line += piece
            self._end_line()
        self._line += rest
        if len(self._line) > MAX_LINE_BYTES:
            self._too_long = True
            self.log.feed(bytes(self._line))
            self._line.clear()

    def _end_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        answer = None if self._too_long or len(line) > MAX_LINE_BYTES else parse(line)
        self._too_long = False
        if answer is None or len(self.answers) >= _MAX_PENDING:
            self.log.feed(line + b"\n")
        else:
            self.answers.append(answer)


def parse(line: bytes) -> Answer | None:
    """An answer, or None where the line is just something printed."""
    try:
        said: Any = json.loads(line) if line.startswith(b"{") else None
        error = _one_line(said["error"]) if isinstance(said, dict) and said.get("error") is not None else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    if said.get("ready") is True:
        return Answer(None, arrays=said.get("arrays") is True)
    batch = said.get("batch")
    if not isinstance(batch, str) or (error is None and said.get("done") is not True):
        return None
    return Answer(batch, error=error)


def _one_line(error: object) -> str:
    """What goes to people's terminals and into the database: nothing that controls the one or that the other cannot hold."""
    # JSON can say half of a surrogate pair, which no encoding writes.
    return " ".join(clean_text(str(error).encode("utf-8", "replace")).split())[:_ERROR_CHARACTERS]


def request_line(token: str, input_dir: str, output: str, epsilon: int | None, array: str | None,
                 names: Sequence[str]) -> bytes:
    """The line that asks for one batch."""
    asked: dict[str, object] = {"batch": token, "input": input_dir, "output": output, "epsilon": epsilon}
    if array is not None:
        asked |= {"array": array, "names": list(names)}
    return json.dumps(asked).encode() + b"\n"
