"""``metadata.json`` of a submission: a flat object of the 2017 format with a few optional fields of ours.

Unknown fields are ignored, as in 2017. Everything wrong is found at once; the reader never raises for what the bytes hold.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from harness.formats.strict_json import read_json
from harness.submission.problems import Problem
from harness.tracks import TRACKS, Access, Threat, labels

Profile = Literal["strict", "legacy"]
PROFILES: tuple[str, ...] = get_args(Profile)
MAX_BYTES = 1 << 20

_REFERENCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,254}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MAX_TEXT = 100
_MAX_REASON = 200
#: How similar two fields are of which one is taken for a typing error.
_NEAR = 0.8
#: As for any path of a submission (``code_tree``), and what a file system bears of one name.
_MAX_PATH_BYTES, _MAX_NAME_BYTES = 1024, 255
#: The built-in opponent of every defense.
_RESERVED = "clean"


def fold(text: str) -> str:
    """A name or a team as it is compared: without case, composition and spacing."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


@dataclass(frozen=True)
class Metadata:
    """What ``metadata.json`` says, checked."""

    type: str
    container: str
    entry_point: str
    container_gpu: str | None = None
    profile: Profile | None = None
    serves: bool = False
    baseline: bool = False
    name: str | None = None
    team: str | None = None
    threat: Threat = Threat.LINF
    access: Access = Access.BLACK_BOX
    base: str | None = None


def read_metadata(data: bytes) -> tuple[Metadata | None, list[Problem]]:
    """The metadata, or None and every problem."""
    fields, problems = _object(data)
    if fields is None:
        return None, problems
    problems = [*_required(fields), *_optional(fields)]
    if problems:
        return None, problems
    return Metadata(
        type=fields["type"],
        container=fields["container"],
        entry_point=str(PurePosixPath(fields["entry_point"])),
        container_gpu=fields.get("container_gpu") or None,
        profile=fields.get("profile"),
        serves=fields.get("protocol") == "serve",
        baseline=bool(fields.get("baseline")),
        name=fields.get("name"),
        team=fields.get("team"),
        threat=Threat(fields.get("threat") or Threat.LINF),
        access=Access(fields.get("access") or Access.BLACK_BOX),
        base=str(PurePosixPath(fields["base"])) if fields.get("base") is not None else None,
    ), []


def misspelt(data: bytes) -> dict[str, str]:
    """Unknown fields, each with the known one that was probably meant; such a field is silently ignored."""
    fields, known = _object(data)[0] or {}, Metadata.__dataclass_fields__.keys() - {"serves"} | {"protocol"}
    near = {field: difflib.get_close_matches(field.lower().replace("-", "_"), known, n=1, cutoff=_NEAR)
            for field in list(fields)[:_MAX_TEXT] if field not in known and len(field) <= _MAX_TEXT}
    return {field: found[0] for field, found in near.items() if found and found[0] not in fields}


def read_entry_point(data: bytes) -> str | None:
    """The entry point alone, where it is usable; other fields may be wrong."""
    fields, _ = _object(data)
    if fields is None or "entry_point" not in fields or _entry_point(fields["entry_point"]):
        return None
    return str(PurePosixPath(fields["entry_point"]))


def name_problem(name: object, field: str = "name") -> Problem | None:
    """Why something cannot be the name of a submission."""
    if isinstance(name, str) and _NAME.fullmatch(name) and name.lower() != _RESERVED:
        return None
    if isinstance(name, str) and name.lower() == _RESERVED:
        return Problem(field, "`clean` is the name of the built-in opponent.", "Choose another name.")
    sentence = f"{_told(name)} is not a name: letters, digits, `.`, `_`, `-`, at most 64, the first a letter or digit."
    return Problem(field, sentence, "Give a name with --name.")


def text_problem(text: object, field: str) -> Problem | None:
    """Why something cannot be shown as one line of text."""
    if isinstance(text, str) and 0 < len(text) <= _MAX_TEXT and text.isprintable() and text.strip():
        return None
    return Problem(field, f"it must be one line of text, 1 to {_MAX_TEXT} characters.", f"Correct `{field}`.")


def threat_problem(threat: object, track: object, field: str = "threat") -> Problem | None:
    """Why something cannot be what a submission of this track may change."""
    if not isinstance(threat, str) or threat not in list(Threat):
        return Problem(field, f"{_told(threat)} is not one of {', '.join(Threat)}.", f"Correct or remove `{field}`.")
    if isinstance(track, str) and track in TRACKS and not TRACKS[track].takes_bound:
        return Problem(field, f"a {track} changes no image.", f"Remove `{field}`.")
    return None


def access_problem(access: object, track: object, field: str = "access", *, serves: bool) -> Problem | None:
    """Why something cannot be what a submission of this track may know of its opponents."""
    if not isinstance(access, str) or access not in list(Access):
        return Problem(field, f"{_told(access)} is not one of {', '.join(Access)}.", f"Correct or remove `{field}`.")
    if isinstance(track, str) and track in TRACKS and not TRACKS[track].takes_bound:
        return Problem(field, f"a {track} attacks nobody.", f"Remove `{field}`.")
    if access == Access.QUERY and not serves:
        return Problem(field, "a query attack has to be a served program, to ask during its work.",
                       "Set `protocol` (an image's label harness.protocol) to `serve`.")
    return None


def _object(data: bytes) -> tuple[dict[str, Any] | None, list[Problem]]:
    where, step = "metadata.json", "Write it as one flat JSON object with type, container and entry_point."
    if len(data) > MAX_BYTES:
        return None, [Problem(where, f"it has more than {MAX_BYTES} bytes.", step)]
    try:
        fields = read_json(data)
    except ValueError as error:
        return None, [Problem(where, f"it is not JSON ({str(error)[:_MAX_REASON]}).", step)]
    if not isinstance(fields, dict):
        return None, [Problem(where, "it is not a JSON object.", step)]
    return fields, []


def _told(value: object) -> str:
    """A value as it is shown: short, and without looking into what may be nested a thousand deep."""
    if isinstance(value, str):
        return ascii(value[:_MAX_TEXT])[:80]
    return {list: "an array", dict: "an object", type(None): "null"}.get(type(value), str(value)[:80])


def _required(fields: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for field, example in (("type", "attack"), ("container", "python:3.11-slim"), ("entry_point", "run.sh")):
        if field not in fields:
            problems.append(Problem(field, "the field is missing.", f'Add `"{field}": "{example}"` to metadata.json.'))
    if "type" in fields and (not isinstance(fields["type"], str) or fields["type"] not in TRACKS):
        sentence = f"{_told(fields['type'])} is not one of {', '.join(TRACKS)}."
        problems.append(Problem("type", sentence, "Correct `type` in metadata.json."))
    if "container" in fields:
        problems += _reference(fields["container"], "container")
    if "entry_point" in fields:
        problems += _entry_point(fields["entry_point"])
    return problems


def _reference(value: object, field: str) -> list[Problem]:
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return []
    sentence = f"{_told(value)} is not the name of a Docker image."
    return [Problem(field, sentence, f"Correct `{field}` in metadata.json.")]


def _entry_point(value: object) -> list[Problem]:
    return _inside(value, "entry_point", "file")


def _base(value: object, track: object) -> list[Problem]:
    if isinstance(track, str) and track in TRACKS and not labels(track):
        return [Problem("base", "only a defense has one.", "Remove `base`.")]
    return _inside(value, "base", "directory")


def _inside(value: object, field: str, what: str) -> list[Problem]:
    """Why something cannot be the path of a file or directory of the submission."""
    step = f"Name a {what} of the submission, relative to its root."
    if not isinstance(value, str) or not value or not value.isprintable():
        return [Problem(field, f"{_told(value)} is not the path of a {what}.", step)]
    path = PurePosixPath(value)
    if len(value.encode()) > _MAX_PATH_BYTES or any(len(part.encode()) > _MAX_NAME_BYTES for part in path.parts):
        return [Problem(field, f"{_told(value)} is too long for a path.", step)]
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return [Problem(field, f"{_told(value)} is not in the submission.", step)]
    return []


def _optional(fields: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem | None] = []
    if fields.get("threat") is not None:
        problems.append(threat_problem(fields["threat"], fields.get("type")))
    if fields.get("access") is not None:
        problems.append(access_problem(fields["access"], fields.get("type"), serves=fields.get("protocol") == "serve"))
    if fields.get("base") is not None:
        problems += _base(fields["base"], fields.get("type"))
    if fields.get("container_gpu"):
        problems += _reference(fields["container_gpu"], "container_gpu")
    if fields.get("name") is not None:
        problems.append(name_problem(fields["name"]))
    if fields.get("team") is not None:
        problems.append(text_problem(fields["team"], "team"))
    for field, allowed in (("profile", PROFILES), ("protocol", ("run", "serve")), ("baseline", (True, False))):
        value = fields.get(field)
        if value is not None and not any(value is choice or (value == choice and isinstance(value, str)) for choice in allowed):
            choices = " nor ".join(json.dumps(choice) for choice in allowed)
            sentence = f"{_told(value)} is neither {choices}." if len(allowed) > 1 else ""
            problems.append(Problem(field, sentence, f"Correct or remove `{field}` in metadata.json."))
    return [problem for problem in problems if problem is not None]
