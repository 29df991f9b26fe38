"""Write a commented tournament file: every field with its value and its meaning, from the models that read it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.config import TournamentConfig
from harness.errors import ConfigError
from harness.files import whole_file
from harness.sandbox.image_rules import OF_2017

#: Kinds of tournament: field -> value where it is not the default; a field of a part is written with a dot.
LIKE: Mapping[str, Mapping[str, object]] = {
    "digits": {
        "dataset": "dataset/digits", "submissions": ("submissions/*",), "rules.max_epsilon": (16, 32, 48, 64),
    },
    "photos": {
        "dataset": "dataset/photos", "submissions": ("submissions/*",), "rules.batch_size": 50, "rules.max_epsilon": (4, 8, 12, 16),
        "rules.time_limit_s": 1800,
    },
    "nips2017": {
        "dataset": "dataset/nips2017", "submissions": ("submissions/*",), "rules.max_epsilon": (4, 8, 12, 16),
        "sandbox.backend": "docker", "sandbox.cpus": 3.75, "sandbox.memory": 24 << 30, "images": OF_2017,
    },
}
#: How the data set of each is made, in the new directory.
DATA_SET = {
    "digits": "harness dataset build digits",
    "photos": "harness dataset build photos --images 200",
    "nips2017": "harness dataset import images/ --csv images.csv --into dataset/nips2017",
}

_WIDTH = 110


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a model and of its parts, the latter with a dot."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def written(value: object) -> str:
    """A value as one would write it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    for power, unit in ((30, "g"), (20, "m")):
        if isinstance(value, int) and value >= 1 << power and value % (1 << power) == 0:
            return f"{value >> power}{unit}"
    return str(value)


def text(name: str, like: str) -> str:
    """The file, every field with its value.

    Args:
        name: Of the tournament.
        like: A key of ``LIKE``.
    """
    values = {"name": name, **LIKE[like]}
    lines = ["# A tournament. Paths are relative to this file. `harness run` reads it each time; what affects a result",
             "# (limits, images) is kept with it, so a changed limit repeats the runs that it affects and nothing else.", ""]
    within: list[str] = []
    for key, field in fields(TournamentConfig):
        *parents, leaf = key.split(".")
        indent = "  " * len(parents)
        if parents[:1] != within[:1]:
            lines.append("")
        # A nested part is listed among its parent's fields; the parent's other fields follow it.
        lines += [f"{'  ' * depth}{part}:" for depth, part in enumerate(parents) if parents[:depth + 1] != within[:depth + 1]]
        within = parents
        value = values.get(key, field.default)
        default = field.default
        meant = field.description or ""
        if key in values and default is not PydanticUndefined and default != values[key]:
            meant += f" Default: {written(default)}."
        lines += [f"{indent}# {line}" for line in textwrap.wrap(meant, _WIDTH, break_long_words=False, break_on_hyphens=False)]
        lines += _entry(indent, leaf, value)
    return "\n".join(lines) + "\n"


def create(directory: Path, like: str) -> Path:
    """Write the tournament file into a directory, which is made where it is absent.

    Raises:
        ConfigError: There is one already, or it cannot be written.
    """
    path = directory / "tournament.yaml"
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path} already exists.", "Name another directory, or remove that file.")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", directory.resolve().name).lstrip("._-")[:100] or "contest"
    try:
        (directory / "submissions").mkdir(parents=True, exist_ok=True)
        with whole_file(path) as place:
            place.write_text(text(name, like), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", "Name a directory that you may write.") from None
    return path


def _entry(indent: str, key: str, value: object) -> list[str]:
    """One field; long lists and mappings a line each."""
    if isinstance(value, Mapping) and value:
        return [f"{indent}{key}:", *(f"{indent}  {each}: {written(stands)}" for each, stands in value.items())]
    return [f"{indent}{key}: {written(value)}"]
