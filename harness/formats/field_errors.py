"""Pydantic's errors in the terms of the file.

Pydantic speaks of Python ("valid tuple", "model type"); the author of YAML is told what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.formats.strict_yaml import Place, reading

_SHOWN = 60
#: What must stand there, by pydantic's type of error; {names} are filled from the error's context.
WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 18 digits",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "tuple_type": "must be a list, such as [a, b]",
    "model_type": "must be a mapping of fields",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must hold at least {min_length} of them",
    "too_long": "must hold at most {max_length} of them",
    "string_too_short": "must have at least {min_length} character",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "does not have the form {pattern}",
}
#: Patterns of our fields, in words.
PATTERNS = {
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, `.`, `_`, `-`, the first a letter or digit",
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
}
#: Of a union, a member that the value is not is told only where the value is none of them.
_OTHER_KIND = {"int_type", "float_type", "bool_type", "string_type", "tuple_type", "literal_error"}


def explain(found: Sequence[Mapping[str, Any]], texts: Mapping[Place, str], place: Place) -> str:
    """What is wrong at one place, as the end of a sentence that begins with the field's name.

    Args:
        found: Pydantic's errors there: several where a field may be of several kinds.
        texts: What the person wrote, of unquoted values.
        place: The field.
    """
    error = next((each for each in found if each["type"] not in _OTHER_KIND), None)
    if error is not None and error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    words = [_words(each) for each in ([error] if error is not None else found)]
    text = " or ".join([words[0], *(word.removeprefix("must be ") for word in words[1:])])
    if found[0]["type"] in {"missing", "extra_forbidden"}:
        return text
    said = texts.get(place)
    hint = reading(said) if said is not None else ""
    return f"{text}, not {_shown(found[0]['input'], said)}" + (f" ({hint})" if hint else "")


def _words(error: Mapping[str, Any]) -> str:
    template = WORDS.get(error["type"])
    if template is None:
        return str(error["msg"])
    context = {name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()}
    if "pattern" in context:
        context["pattern"] = PATTERNS.get(context["pattern"], context["pattern"])
    if "expected" in context:
        context["expected"] = context["expected"].replace("'", "")
    return template.format(**context)


def _shown(value: object, said: str | None) -> str:
    if said is not None:
        return f"`{said[:_SHOWN]}`"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return ascii(value)[:_SHOWN] + (" in quotes" if isinstance(value, str) else "")
