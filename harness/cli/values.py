"""Values of options, checked as those of the tournament file are: typing errors that click would accept are refused by name.

click's own types take ``nan`` within any bounds, ``inf`` without an upper one, ``1_0``, digits of other scripts, and an empty path,
which is the current directory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

#: No contest has more batches, rows or labels; SQLite takes no number beyond 63 bits.
MANY = 1_000_000_000
#: As ``config.MOST_SLOTS``, ``dataset_import`` and ``predictions.OUT_OF_RANGE`` have them; not imported, for the sake of --help.
MOST_SLOTS, MOST_PIXELS, MOST_LABEL = 1024, 16384, 32766
A_WEEK_S = 7 * 24 * 3600
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})", re.ASCII)
#: Bytes of one part of a path, and of the whole, on Linux.
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
_LONGEST_LABEL = 100


class Whole(click.IntRange):
    """A whole number within bounds, in plain digits."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(min=least, max=most)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{value[:60]!a} is not a whole number.", param, ctx)
        return super().convert(value, param, ctx)  # type: ignore[arg-type]


class Seconds(click.FloatRange):
    """Seconds within bounds, in plain digits with a point."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__(min=least, max=most)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            self.fail(f"{value[:60]!a} is not a number of seconds.", param, ctx)
        return super().convert(value, param, ctx)  # type: ignore[arg-type]


class Place(click.Path):
    """A path; an empty one is an unset variable in a script, not the current directory."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if isinstance(value, str):
            if not value:
                self.fail("the path is empty.", param, ctx)
            if len(os.fsencode(value)) > _LONGEST_PATH or any(len(os.fsencode(p)) > _LONGEST_NAME for p in value.split("/")):
                self.fail("the path is too long for a file system.", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))  # type: ignore[arg-type]


def gpus(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
    """``auto``, ``none``, or a tuple of GPUs by index or UUID, as ``workers.gpus`` takes them; a callback of an option."""
    from harness.config import parse_gpus  # noqa: PLC0415 - pydantic: --help does not need it

    if value is None or value in ("auto", "none"):
        return value
    names = [name.strip(" ") for name in value.split(",")]
    if {"auto", "none"}.intersection(names):
        problem = f"{value[:60]!a} mixes auto or none with other names."
        raise click.BadParameter(problem, ctx, param)
    try:
        return parse_gpus(names)
    except ValueError as error:
        problem = f"{error}."
        raise click.BadParameter(problem, ctx, param) from None


def label(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A name that is stored and printed: not empty, no blanks around it, no invisible characters; a callback."""
    if value is not None and not (value and value.isprintable() and value == value.strip() and len(value) <= _LONGEST_LABEL):
        problem = f"{value[:60]!a} is not a name; write 1 to {_LONGEST_LABEL} visible characters without blanks at either end."
        raise click.BadParameter(problem, ctx, param)
    return value
