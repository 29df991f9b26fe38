"""The serving protocol's lines: one JSON object per line, asked on stdin, answered on stdout.

Everything else that a program prints is its log. Nothing that it prints can be more than a line of the protocol: an answer
counts only when it names the batch by the token that was made for it a moment before.

A batch with an oracle is asked with one field more, ``"query": {"token": T, "budget": B, "rows": R}`` (and ``"classes": C`` where
answers have scores). The program may then leave rows in its output and write ``{"query": T}``. It is stopped, and reads
``{"query": T, "answers": PATH, "next": T2}`` when it goes on: the answers lie at PATH, and its next question is
``{"query": T2}``. So one token asks once, however often it is written and whenever that is read.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.sandbox.tail import LogTail, clean_text

#: An honest answer has some fifty bytes, an error message perhaps a thousand.
MAX_LINE_BYTES = 1 << 16
#: Lines that may look like answers, for each batch: all of them together cost the harness a tenth of a second at worst.
MAX_CANDIDATES = 10_000
MAX_CANDIDATE_BYTES = 4 << 20
#: What every answer has in it, and what a question has in a batch with an oracle. In any other batch it is something printed.
_KEYS = (b'"batch"', b'"ready"')
_QUERY_KEY = b'"query"'
#: Answers not yet read; a program has one to give at a time.
_MAX_PENDING = 16
_ERROR_CHARACTERS = 500


@dataclass(frozen=True)
class Answer:
    """One line of a program.

    Attributes:
        batch: The token it names, None for "ready" and for a question.
        error: What the program says went wrong, None where it says "done".
        arrays: For "ready": whether pixels may come as an array.
        query: The token of a question, None for anything else.
    """

    batch: str | None
    error: str | None = None
    arrays: bool = False
    query: str | None = None


class LineReader:
    """Sorts a program's stdout into answers and log.

    Only a line that names ``"batch"`` or ``"ready"`` is parsed (``"query"`` too where there is an oracle), and only so many of
    them a batch or question: a flood of lines goes into the log in one piece, and one of lines that look like answers ends the
    program instead of costing the harness a processor.

    Attributes:
        answers: What was answered and not taken yet.
        log: All else.
        flooded: Whether more looked like answers than are looked at.
    """

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.log = LogTail()
        self._line = bytearray()
        self._too_long = False
        self.new_batch()

    def new_batch(self, *, queries: bool = False) -> None:
        """Reset the limits, and say whether queries are accepted."""
        self._queries = queries
        self._keys = (*_KEYS, _QUERY_KEY) if queries else _KEYS
        self.flooded = False
        self._lines = self._bytes = 0

    def feed(self, data: bytes) -> None:
        """Take a piece of stdout."""
        end = data.rfind(b"\n") + 1
        if end:
            whole = bytes(self._line) + data[:end]
            self._line.clear()
            self._sort(whole)
        self._line += data[end:]
        if len(self._line) > MAX_LINE_BYTES:
            self._too_long = True
            self.log.feed(bytes(self._line))
            self._line.clear()

    def _sort(self, lines: bytes) -> None:
        """Take whole lines."""
        at = 0
        if self._too_long:
            at = lines.index(b"\n") + 1
            self._too_long = False
            self.log.feed(lines[:at])
        nearest = dict.fromkeys(self._keys, -1)
        while at < len(lines) and not self.flooded and len(self.answers) < _MAX_PENDING:
            for key, place in nearest.items():
                if place < at:
                    found = lines.find(key, at)
                    nearest[key] = len(lines) if found < 0 else found
            hit = min(nearest.values())
            if hit == len(lines):
                break
            begin, end = lines.rfind(b"\n", at, hit) + 1 or at, lines.index(b"\n", hit) + 1
            self.log.feed(lines[at:begin])
            answer = self._look(lines[begin:end - 1])
            if answer is None:
                self.log.feed(lines[begin:end])
            else:
                self.answers.append(answer)
            at = end
        self.log.feed(lines[at:])

    def _look(self, line: bytes) -> Answer | None:
        self._lines += 1
        self._bytes += len(line)
        self.flooded = self._lines > MAX_CANDIDATES or self._bytes > MAX_CANDIDATE_BYTES
        return None if self.flooded or len(line) > MAX_LINE_BYTES else parse(line, queries=self._queries)


def parse(line: bytes, *, queries: bool = False) -> Answer | None:
    """An answer (or, with ``queries``, a query), or None where the line is just log output."""
    try:
        said: Any = json.loads(line) if line.startswith(b"{") else None
        error = _one_line(said["error"]) if isinstance(said, dict) and said.get("error") is not None else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    if said.get("ready") is True:
        return Answer(None, arrays=said.get("arrays") is True)
    batch, query = said.get("batch"), said.get("query")
    if queries and batch is None and isinstance(query, str):
        return Answer(None, query=query)
    if not isinstance(batch, str) or (error is None and said.get("done") is not True):
        return None
    return Answer(batch, error=error)


def _one_line(error: object) -> str:
    """What goes to people's terminals and into the database: nothing that controls the one or that the other cannot hold."""
    # JSON can say half of a surrogate pair, which no encoding writes.
    return " ".join(clean_text(str(error).encode("utf-8", "replace")).split())[:_ERROR_CHARACTERS]


def request_line(token: str, input_dir: str, output: str, epsilon: int | None, array: str | None,
                 names: Sequence[str], query: Mapping[str, object] | None = None, target: str | None = None) -> bytes:
    """The line that asks for one batch."""
    asked: dict[str, object] = {"batch": token, "input": input_dir, "output": output, "epsilon": epsilon}
    if array is not None:
        asked |= {"array": array, "names": list(names)}
    if query is not None:
        asked["query"] = dict(query)
    if target is not None:
        asked["target"] = target
    return json.dumps(asked).encode() + b"\n"


def reply_line(token: str, answers: str, following: str) -> bytes:
    """The line that says where the answers to one query are, and the token of the next."""
    return json.dumps({"query": token, "answers": answers, "next": following}).encode() + b"\n"
