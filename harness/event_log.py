"""The log of a contest: ``harness.log`` in the state directory, a line of JSON for each thing that a person asks about later.

Decisions, failures of the host and what followed from them, clean-up: never a line for a run that simply ended, since results
stand in the database and a contest has 900,000. The standard ``logging``, below the logger ``harness``: a module logs a constant
sentence, and its details as facts (``extra=facts(...)``), so that lines can be searched, and authors' text is sanitised in one
place. A log that cannot be written is reported once and stops nothing.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.untrusted_text import lines, plain

NAME = "harness.log"
#: A file of this size is kept beside the new one, this many of them: 20 MiB in all, some 80,000 lines.
MOST_BYTES, KEPT_FILES = 4 << 20, 4
#: Of one fact; evidence in full is in the database.
MOST_CHARACTERS = 1000
#: Of a traceback, its end.
_MOST_TRACEBACK = 8000

_ROOT = logging.getLogger("harness")
# Without a log nothing is printed: without a handler, `logging` prints warnings by itself.
_ROOT.addHandler(logging.NullHandler())
_LOG = logging.getLogger(__name__)


def facts(**values: object) -> dict[str, Mapping[str, object]]:
    """What belongs to a sentence, as ``extra`` of a call of ``logging``."""
    return {"facts": values}


@contextmanager
def kept(state: Path) -> Iterator[None]:
    """Keep the log of a state directory; for who holds its writer's lock, so that there is one writer.

    What ends the block by an error is logged: a bug of ours with its traceback.
    """
    with _handled(_File(state / NAME)):
        try:
            yield
        except HarnessError as error:
            _LOG.error("The command ends with an error.", extra=facts(problem=error.problem))
            raise
        except Exception:  # a bug of ours: logged, and raised again
            _LOG.critical("The command ends unexpectedly.", exc_info=True)
            raise
        except BaseException as stop:
            _LOG.warning("The command is stopped.", extra=facts(by=str(stop) or type(stop).__name__))
            raise


@contextmanager
def shown(say: Callable[[str], None]) -> Iterator[None]:
    """Say each line to a person."""
    with _handled(_Printer(say)):
        yield


@contextmanager
def _handled(handler: logging.Handler) -> Iterator[None]:
    level = _ROOT.level
    _ROOT.setLevel(logging.INFO)
    _ROOT.addHandler(handler)
    try:
        yield
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)
        handler.close()


def as_json(record: logging.LogRecord) -> str:
    """A record as one line."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line = {"time": when, "level": record.levelname.lower(), "part": record.name.removeprefix("harness."),
            "message": plain(record.getMessage(), MOST_CHARACTERS), **_facts_of(record)}
    if record.exc_info:
        line["traceback"] = lines("".join(traceback.format_exception(*record.exc_info)))[-_MOST_TRACEBACK:]
    return json.dumps(line, ensure_ascii=False)


def as_text(record: logging.LogRecord) -> str:
    """A record for a person."""
    told = ", ".join(f"{name} {value}" for name, value in _facts_of(record).items())
    sentence = plain(record.getMessage(), MOST_CHARACTERS)
    return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname.lower()}: " + (
        f"{sentence.removesuffix('.')} ({told})." if told else sentence)


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    held: Mapping[str, object] = getattr(record, "facts", {})
    return {name: _harmless(value) for name, value in held.items()}


def _harmless(value: object) -> Any:  # noqa: ANN401 - whatever JSON takes
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {plain(str(key), MOST_CHARACTERS): _harmless(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(held) for held in value]
    return plain(str(value), MOST_CHARACTERS)


class _File(RotatingFileHandler):
    """Lines of JSON in a file that is opened with the first of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, encoding="utf-8", delay=True)
        self._lost = False

    def format(self, record: logging.LogRecord) -> str:
        return as_json(record)

    def _open(self) -> TextIOWrapper:
        file = super()._open()
        if file.tell():
            with Path(self.baseFilename).open("rb") as written:
                written.seek(-1, os.SEEK_END)
                if written.read() != b"\n":
                    file.write("\n")  # a harness was killed in the middle of a line
        return file

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        del record
        if not self._lost:
            self._lost = True
            problem = f"{self.baseFilename} cannot be written ({sys.exc_info()[1]}); the contest continues without it."
            if sys.stderr is not None:
                sys.stderr.write(f"{plain(problem)}\n")

    def close(self) -> None:
        try:
            super().close()
        except OSError:
            self.stream = None  # what it still held is lost


class _Printer(logging.Handler):
    """Prints each record as a sentence."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(as_text(record))
