"""``tournament.yaml`` as typed models.

Every field is documented where it is declared; an unknown field is refused and the nearest known one named, because a typo that
is silently ignored changes a contest. Paths are resolved against the file's directory, so that a tournament can be run from
anywhere.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.errors import ConfigError

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_bytes(value: object) -> object:
    """Read ``4g``, ``512m`` or a plain number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgtb]?)(?:i?b)?", value.strip().lower())
        if match is None:
            message = f"{value!r} is not a size; write it like 512m or 4g"
            raise ValueError(message)
        return int(float(match[1]) * _UNITS[match[2]])
    return value


def parse_gpus(value: object) -> object:
    """Read GPUs' indices, which YAML gives as numbers, as the names that they are."""
    if isinstance(value, list):
        wrong = [item for item in value if isinstance(item, bool) or not isinstance(item, int | str)]
        if wrong:
            # Said here: of a union, pydantic would name the member that nobody meant.
            message = f"{wrong[0]!r} names no GPU; write an index like 0 or a UUID"
            raise ValueError(message)
        if not value:
            message = "an empty list leaves no slot; write none to use no GPU"
            raise ValueError(message)
        return tuple(str(item) for item in value)
    return value


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Gpus = Annotated[Literal["auto", "none"] | tuple[str, ...], BeforeValidator(parse_gpus)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rules(_Model):
    """What is contested: everything here can change a score."""

    batch_size: int = Field(100, ge=1, le=1000, description="Clean images in one batch; 2017 used 100.")
    max_epsilon: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        (16,), min_length=1, description="L-infinity bounds in 0..255; batch k gets max_epsilon[k mod length].")
    time_limit_s: float = Field(500.0, gt=0, description="Wall clock of one run, seconds, from the container's start.")
    mixed_batches: bool = Field(
        default=False, description="Mix the adversarial images of several attacks in each defense run, so that a batch "
        "says nothing of its attack.")
    audit: float = Field(
        0.0, ge=0, le=1, description="Share of served runs that is run again in fresh containers and compared.")


class SandboxConfig(_Model):
    """How a submission's program is held."""

    backend: Literal["auto", "docker", "process"] = Field(
        "auto", description="docker isolates; process does not (for your own programs); auto takes docker where it answers.")
    isolation: Literal["run", "submission"] = Field(
        "run", description="run: a fresh container for every run; submission: one container serves many batches.")
    cpus: float = Field(1.0, gt=0, description="CPU cores of one run.")
    memory: Bytes = Field(4 << 30, description="Memory of one run, swap included.")
    shm: Bytes = Field(1 << 30, description="Size of /dev/shm.")
    tmp: Bytes = Field(1 << 30, description="Size of /tmp.")
    pids: int = Field(512, ge=1, description="Processes and threads of one run.")
    output: Bytes = Field(512 << 20, description="Bytes that one run may write as output.")
    layer: Bytes = Field(4 << 30, description="Bytes that one run may write elsewhere in its container.")
    start_limit_s: float = Field(120.0, gt=0, description="Seconds until a served program must be ready.")
    runtime: str | None = Field(None, description="Docker runtime, such as runsc or kata; null for the engine's default.")


class Workers(_Model):
    """Where runs execute."""

    engine: Literal["local"] = Field("local", description="What owns the slots: this machine.")
    slots: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Runs at the same time; auto: CPU cores / sandbox.cpus.")
    gpus: Gpus = Field(
        "auto", description="GPUs to use: auto (all found), none, or a list of indices or UUIDs.")
    slots_per_gpu: int = Field(1, ge=1, description="Runs at the same time on one GPU.")
    session_memory: Bytes | Literal["auto"] = Field(
        "auto", description="Memory for programs kept open with isolation: submission; auto: 70 % of what is free.")


class TournamentConfig(_Model):
    """The whole of ``tournament.yaml``."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the tournament.")
    dataset: Path = Field(description="Directory of the data set.")
    submissions: tuple[str, ...] = Field((), description="Globs of submission directories or archives.")
    rules: Rules = Rules()
    sandbox: SandboxConfig = SandboxConfig()
    workers: Workers = Workers()
    state: Path = Field(Path(".tournament"), description="Directory of everything the harness keeps.")

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state / "tournament.db"


def load(path: Path) -> TournamentConfig:
    """Read a tournament file.

    Raises:
        ConfigError: The file is missing, is not YAML, or a field is unknown or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", "Name the tournament file with --config.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigError(f"{path} is malformed{where}: {problem}.", "Correct the YAML there.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping of fields (name, dataset, ...).")
    try:
        config = TournamentConfig.model_validate(data)
    except ValidationError as error:
        raise _explain(path, error) from None
    base = path.resolve().parent
    return config.model_copy(update={"dataset": base / config.dataset, "state": base / config.state, "submissions": tuple(
        str(base / pattern) for pattern in config.submissions)})


def _explain(path: Path, error: ValidationError) -> ConfigError:
    # A misspelt field is told before the missing one that it should have been.
    first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in _place(first["loc"]))
    if first["type"] != "extra_forbidden":
        message = str(first["msg"]).removeprefix("Value error, ")
        return ConfigError(f"{path}: field {where}: {message}.", f"Correct {where}.")
    known = _fields_at(first["loc"][:-1])
    close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.0)
    hint = f"Did you mean {close[0]}?" if close else ""
    return ConfigError(f"{path}: unknown field {where}.", hint)


def _place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The part of pydantic's location that a person wrote: without the member of a union that did not match."""
    model: Any = TournamentConfig
    for depth, part in enumerate(location):
        fields = getattr(model, "model_fields", None)
        if fields is None:
            return location[:depth]
        model = fields[str(part)].annotation if str(part) in fields else None
    return location


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = TournamentConfig
    for part in location:
        model = model.model_fields[str(part)].annotation
    return list(model.model_fields)
