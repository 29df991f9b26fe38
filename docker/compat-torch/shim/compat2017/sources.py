"""Programs that Python 2.7 or 3.6 took and today's Python refuses to compile: tabs among blanks, and ``async`` as a name.

A tab went to the next multiple of eight columns. ``async=True`` was an argument of ``cuda``, now ``non_blocking``. A source
is only looked at again when it does not compile. Modules are repaired as they are imported. The main script is none of the
import system's business: where it does not compile, Python is started again, in this process, with ``run`` as its program.
"""

# ruff: noqa: ANN401 - code objects

from __future__ import annotations

import io
import os
import re
import sys
import tokenize
from collections.abc import Callable
from types import CodeType
from typing import Any

REPAIRABLE = re.compile(rb"^ *\t|\basync\s*=", re.MULTILINE)
ASYNC = re.compile(r"\basync(?=\s*=[^=])")
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def _inside_strings(source: str) -> set[int]:
    """The lines that begin inside a string."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING:
            lines.update(range(token.start[0] + 1, token.end[0] + 1))
    return lines


def repaired(source: bytes) -> bytes:
    """The same program as today's Python takes it: line numbers, strings and encoding stay."""
    encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    text = source.decode(encoding)
    spread = INDENT.sub(lambda found: found.group().expandtabs(8), text)
    spread = ASYNC.sub("non_blocking", spread)
    kept = _inside_strings(spread)
    lines = zip(text.splitlines(keepends=True), spread.splitlines(keepends=True), strict=True)
    return "".join(old if number in kept else new for number, (old, new) in enumerate(lines, 1)).encode(encoding)


def compiled(compile_it: Callable[[Any], CodeType], source: Any) -> CodeType:
    """What ``compile_it`` makes of a source, repaired where it has to be."""
    try:
        return compile_it(source)
    except SyntaxError:
        if not isinstance(source, bytes) or not REPAIRABLE.search(source):
            raise
        try:
            again = repaired(source)
        except (SyntaxError, UnicodeDecodeError, tokenize.TokenError):
            again = source
        return compile_it(again)


def start_again(script: str, source: bytes) -> None:
    """Start Python again, in this process, where its main script compiles only when repaired."""
    if not REPAIRABLE.search(source):
        return
    try:
        compile(source, script, "exec", dont_inherit=True)
    except SyntaxError:
        options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
        os.execv(sys.executable, [sys.executable, *options, "-m", f"{__package__}.run", *sys.argv])  # noqa: S606
    except ValueError:
        return
