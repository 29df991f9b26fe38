"""JSON that a person or a program wrote, parsed strictly.

Python's parser accepts what JSON does not have (NaN, Infinity), turns 1e999 into infinity, and drops the first of two equal keys.
Each of these silently changes what was written, so each is refused here, with its line where that is certain.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from harness.formats.strict_text import decode_text, line_of

#: Digits of an integer: what 64 bits hold.
_MAX_DIGITS = 19
_SHOWN = 60


def read_json(data: bytes) -> Any:  # noqa: ANN401 - that is what JSON is
    """The value that a text holds.

    Raises:
        ValueError: It is no JSON, or says something twice or something that JSON cannot; one line without a full stop.
    """
    text = decode_text(data)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, text), parse_constant=_constant, parse_int=_integer,
                          parse_float=_float)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _object(pairs: list[tuple[str, Any]], text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{_place(key, text)}the key {_shown(key)} appears twice, and only one of its values could count")
        found[key] = value
    return found


def _place(key: str, text: str) -> str:
    """The line of a repeated key; empty where another object has such a key as well."""
    places = [match.start() for match in re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)]
    return f"line {line_of(text, places[1])}: " if len(places) == 2 else ""  # noqa: PLR2004 - the first and its repetition


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number; write a finite one")


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text.removeprefix('-'))} digits is too large")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_SHOWN]} is too large for a number")
    return value


def _shown(key: str) -> str:
    return ascii(key) if len(key) <= _SHOWN else f"{key[:_SHOWN]!a}..."
