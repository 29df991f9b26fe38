"""YAML that a person wrote, parsed without the traps of YAML 1.1.

YAML 1.1 drops the first of two equal keys, reads ``010`` as 8, ``1:30`` as 90, ``no`` as false and ``2026-11-27`` as a date.
Each silently changes what was said, so each is refused with its line and its meaning. What readers of 1.1 and 1.2 take for
different things (``1e3``, ``08``, ``0o10``) stays text here, and a field that needs a number explains why it is not one
(``reading``). Anchors, aliases, merge keys and tags are refused: nothing here needs them, and they are how a small file becomes a
large one. Rejected: a constructor on top of PyYAML's own, which resolves a scalar before anybody has seen its text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from harness.formats.strict_text import decode_text

Place = tuple[int | str, ...]

_MAX_DEPTH = 10
_MAX_DIGITS = 18
_SHOWN = 60
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]{1,3})?", re.ASCII)
#: What a plain word of YAML 1.1 means where people may not know it, by the tag that YAML gives it.
_MEANINGS = {"bool": "is {value} in YAML 1.1", "timestamp": "is a date in YAML", "merge": "is a merge key, which is not read here",
             "value": "is a key of its own in YAML 1.1"}
_TRUE = {"yes", "on", "true"}


@dataclass(frozen=True)
class Document:
    """A mapping as it was written.

    Attributes:
        values: Plain dictionaries, lists, text, numbers, booleans and None.
        lines: Line of each value by its place, the keys and positions on the way to it.
        texts: What stands there, of each plain scalar.
    """

    values: dict[str, object]
    lines: dict[Place, int] = field(default_factory=dict)
    texts: dict[Place, str] = field(default_factory=dict)

    def line(self, place: Place) -> int | None:
        """The line of the nearest thing that is there."""
        known = (self.lines.get(place[:depth]) for depth in range(len(place), 0, -1))
        return next((line for line in known if line is not None), None)


def read_yaml(data: bytes) -> Document:
    """The mapping that a file holds.

    Raises:
        ValueError: It is no YAML, no mapping, or holds a trap; one line, mostly ``line 3: ...``, without a full stop.
    """
    text = decode_text(data)
    try:
        _check_events(text)
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ValueError(_malformed(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = 1 + text.count("\n", 0, int(error.position))
        raise ValueError(f"line {line}: the character {chr(int(error.character))!a} is not allowed in YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ValueError):
            raise
        raise ValueError("it is not YAML") from None
    if not isinstance(node, yaml.MappingNode):
        words = "it must hold a mapping of fields; write lines like `key: value`, with a blank after the colon"
        raise ValueError(words) if node is None else _at(node, words)
    document = Document({})
    document.values.update(_mapping(node, (), document))
    return document


def reading(text: str) -> str:
    """Why a plain text that looks like a number is none here, and what to write; empty where it does not look like one."""
    if re.fullmatch(r"[-+]?[0-9.]{1,20}[eE][-+]?[0-9]{1,3}", text, re.ASCII):
        return f"`{text}` is text in YAML 1.1 and a number in YAML 1.2: write it without an exponent"
    if re.fullmatch(r"0o[0-7]{1,20}", text, re.ASCII):
        return f"`{text}` is text in YAML 1.1 and octal in YAML 1.2, {int(text, 8)}: write that, in decimal"
    if re.fullmatch(r"[-+]?0[0-9]{1,18}", text, re.ASCII):
        return f"`{text}` is text in YAML 1.1, for its leading zero: write {int(text)}"
    return ""


def _check_events(text: str) -> None:
    """Refuse what needs no meaning to be refused, before anything is built from it."""
    depth = documents = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            words = "which is not read here; write the value again, or put it in quotes if it is text"
            raise ValueError(f"line {line}: `*{event.anchor}` refers to an anchor, {words}")  # noqa: TRY004 - a fault of a text
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ValueError(f"line {line}: a second document starts here, and only one could count; remove the `---`")
        elif isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:
                raise ValueError(f"line {line}: `&{event.anchor}` is an anchor, which is not read here; "
                                 "remove it, or put the value in quotes if it is text")
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise ValueError(f"line {line}: `{tag[:_SHOWN]}` is a tag, which is not read here; "
                                 "remove it, or put the value in quotes if it is text")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f"line {line}: values are nested more than {_MAX_DEPTH} deep")


def _mapping(node: yaml.MappingNode, place: Place, document: Document) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = _key(key_node)
        here = (*place, key)
        if key in found:
            raise _at(key_node, f"`{key[:_SHOWN]}` appears twice (first in line {document.lines[here]}), "
                             "and only one of them could count; remove one")
        document.lines[here] = _line(key_node)
        found[key] = _value(value_node, here, document)
    return found


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _at(node, "a key must be a word, not a list or a mapping")
    value = _scalar(node)
    if not isinstance(value, str):
        raise _at(node, f"the key `{node.value[:_SHOWN]}` is not text; put it in quotes if it is meant")
    return value


def _value(node: yaml.Node, place: Place, document: Document) -> object:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, document)
    if isinstance(node, yaml.SequenceNode):
        return list(_items(node, place, document))
    if not isinstance(node, yaml.ScalarNode):
        raise _at(node, "it is neither a value, a list nor a mapping")
    if not node.style:
        document.texts[place] = node.value
        if not node.value:
            shown = ".".join(str(part) for part in place)
            raise _at(node, f"`{shown}` has nothing after it; write its value, or remove the line")
    return _scalar(node)


def _items(node: yaml.SequenceNode, place: Place, document: Document) -> Iterator[object]:
    for index, item in enumerate(node.value):
        document.lines[*place, index] = _line(item)
        yield _value(item, (*place, index), document)


def _scalar(node: yaml.ScalarNode) -> object:
    text, kind = str(node.value), str(node.tag).rpartition(":")[2]
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _at(node, f"{ascii(text)[:_SHOWN]} has a character that is not allowed in text")
    if node.style or kind == "str":
        return text
    if kind == "null":
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "int" and _INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise _at(node, f"a number of {len(text)} digits is too large")
        return int(text)
    if kind == "float" and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise _at(node, _trap(text, kind))


def _trap(text: str, kind: str) -> str:
    shown = f"`{text[:_SHOWN]}`"
    if kind in _MEANINGS:
        value = "true" if text.lower() in _TRUE else "false"
        instead = f'write {value}, or "{text}" in quotes' if kind == "bool" else f'write "{text[:_SHOWN]}" in quotes'
        return f"{shown} {_MEANINGS[kind].format(value=value)}: {instead}"
    if text.lower().lstrip("+-") in {".inf", ".nan"} or (kind == "float" and _FLOAT.fullmatch(text)):
        return f"{shown} is not a finite number: write the number that you mean"
    if len(text) > _MAX_DIGITS:
        return f"a number of {len(text)} characters is too large"
    return f"{shown} {_odd_number(text, kind)}"


def _odd_number(text: str, kind: str) -> str:
    means = yaml.SafeLoader("").construct_yaml_int(yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", text)) if kind == "int" else None
    plain = text.replace("_", "")
    if ":" in text:
        value = "" if means is None else f" and would be {means}"
        words = f'is base 60 in YAML 1.1{value}: write the number, or "{text}" in quotes'
    elif plain.lstrip("+-").lower().startswith(("0x", "0b")):
        words = f"is {'hexadecimal' if 'x' in text.lower() else 'binary'} and would be {means}: write {means}"
    elif kind == "int" and plain.lstrip("+-").startswith("0"):
        words = f"is octal in YAML 1.1 and would be {means}: write {int(plain)}, or {means}"
    elif "_" in text:
        words = f"is a number with underscores: write {plain}"
    else:
        words = "is an unusual number: write it plainly, such as 0.5, or in quotes if it is text"
    return words


def _malformed(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or "not valid YAML").splitlines()[0]
    if mark is None:
        return problem
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    where = f"line {mark.line + 1}: "
    if line[mark.column : mark.column + 1] == "\t" or "'\\t'" in problem:
        return f"{where}a tab; YAML is indented with blanks"
    if "scanning an alias" in str(error.context):
        return f"{where}`*` at the start of a value has a meaning of its own in YAML; put the value in quotes"
    return f"{where}it is malformed: {problem}"


def _at(node: yaml.Node, words: str) -> ValueError:
    return ValueError(f"line {_line(node)}: {words}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
