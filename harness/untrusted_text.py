"""Untrusted text, made safe for a terminal, a spreadsheet and a page: every output calls this module.

Names, teams, image fields, evidence, logs and paths may hold terminal codes, marks that turn text around or hide it, formulas and
markup. They are kept as they came and made harmless where a person sees them, so that no new source of text can be forgotten.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache

#: Terminal escape sequences, removed whole so that their parameters do not stay behind as noise. No part can match what the next
#: one matches: the time is linear.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]")
#: Controls, formats (bidi marks, zero widths, tags), halves of surrogates, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: What begins a formula, in one spreadsheet or another.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_MARKDOWN = re.compile(r"[\\`*\[\]|~@#!]|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_NOT_ASCII = re.compile(r"[^\n -~]")


def lines(text: str) -> str:
    """Text of several lines without control sequences or invisible characters; newlines and tabs stay."""
    if text.isprintable():
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(character for character in text if character in "\n\t" or not _hidden(character))


def plain(text: str, limit: int | None = None) -> str:
    """The same as one line, cut to ``limit`` characters with an ellipsis."""
    if limit is not None and len(text) > limit:
        # Before anything else: a text may be long.
        text = text[:limit - 1] + "…"
    return text if text.isprintable() else " ".join(lines(text).split())


def csv_cell(value: object) -> object:
    """A cell of a CSV file: a number stays one, and text that looks like a formula is prefixed with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = lines(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def markdown_cell(text: str) -> str:
    """A cell of a Markdown table: text, and neither markup, HTML, a link nor another cell."""
    return _MARKDOWN.sub(r"\\\g<0>", plain(text).translate(_HTML))


def json_text(text: str) -> str:
    """JSON whose strings have no terminal control characters; its value is the same."""
    return _NOT_ASCII.sub(lambda found: json.dumps(found.group())[1:-1] if _hidden(found.group()) else found.group(), text)


@lru_cache(4096)
def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN
