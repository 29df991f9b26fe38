"""``tournament.yaml`` as typed models.

Every field is documented where it is declared; an unknown field is refused and the nearest known one named, because a typo that
is silently ignored changes a contest. Paths are resolved against the file's directory, so that a tournament can be run from
anywhere.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from harness.errors import ConfigError, StoreError
from harness.formats.field_errors import explain
from harness.formats.strict_yaml import Document, read_yaml
from harness.tracks import DUELS, Access, Threat

#: Docker refuses less.
_LEAST_MEMORY = 6 << 20
_LEAST_BYTES = 64 << 10
#: More than any host has: a typing error.
_MOST_BYTES = 64 << 40
#: Each slot is a thread with a container.
MOST_SLOTS = 1024
_WEEK_S = 7 * 24 * 3600
#: More than any host has.
_MOST_CPUS = 4096
#: Bytes of one part of a path, and of the whole, on Linux.
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
#: A tournament file larger than this is another file.
_MAX_FILE_BYTES = 1 << 20

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?[ \t]*([kmgtb]?)(?:i?b)?", re.ASCII)


def parse_bytes(value: object) -> object:
    """Read ``4g``, ``512m`` or a plain number of bytes."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip(" \t").lower())
        if match is None:
            message = f"{value[:60]!a} is not a size; write it like 512m or 4g"
            raise ValueError(message)
        whole, part, unit = match.groups(default="")
        return int(Fraction(int(whole + part), 10 ** len(part)) * _UNITS[unit])
    return value


def _size(least: int) -> AfterValidator:
    def bounded(value: int) -> int:
        if not least <= value <= _MOST_BYTES:
            message = f"{value} bytes are too {'few' if value < least else 'many'}; write {in_units(least)} to 64t, with a unit"
            raise ValueError(message)
        return value

    return AfterValidator(bounded)


def in_units(size: int) -> str:
    """``6m`` for a number of bytes."""
    unit = next(unit for unit in "tgmkb" if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value:
        message = "the path is empty"
        raise ValueError(message)
    if len(os.fsencode(value)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in value.split("/")):
        message = "the path is too long for a file system"
        raise ValueError(message)
    return value


#: A bucket's name, and a prefix of parts that mean nothing to a path.
_OBJECT_STORE = re.compile(
    r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{0,254}(/[A-Za-z0-9_=+-][A-Za-z0-9._=+-]{0,254}){0,20}/?", re.ASCII)


def _place_of_artifacts(value: str) -> str:
    if value.startswith("file:") and value.removeprefix("file:").strip("/") and "\0" not in value:
        _path(value.removeprefix("file:"))
        return value
    if not _OBJECT_STORE.fullmatch(value):
        message = f"{value[:60]!a} is not a place for artifacts; write file:DIRECTORY, or s3://BUCKET/PREFIX (gs://, az://)"
        raise ValueError(message)
    return value


_GPU = re.compile(r"[0-9]{1,4}|[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)


def parse_gpus(value: object) -> object:
    """Read GPUs' indices, which YAML gives as numbers, as the names that they are."""
    if isinstance(value, list):
        wrong = [item for item in value if isinstance(item, bool) or not isinstance(item, int | str)]
        if wrong:
            # Checked here: of a union, pydantic would name a member that was not meant.
            message = f"{wrong[0]!r} is not a GPU; write an index like 0 or a UUID"
            raise ValueError(message)
        if not value:
            message = "an empty list leaves no slot; write none to use no GPU"
            raise ValueError(message)
        names = tuple(str(item) for item in value)
        for name in names:
            if not _GPU.fullmatch(name):
                message = f"{name[:60]!a} is not a GPU; write an index like 0 or a UUID"
                raise ValueError(message)
            if names.count(name) > 1:
                message = f"GPU {name} is named twice; name it once, and share it with slots_per_gpu"
                raise ValueError(message)
        return names
    return value


Bytes = Annotated[int, BeforeValidator(parse_bytes), _size(_LEAST_BYTES)]
Memory = Annotated[int, BeforeValidator(parse_bytes), _size(_LEAST_MEMORY)]
Directory = Annotated[Path, BeforeValidator(_path)]
ImageName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Gpus = Annotated[Literal["auto", "none"] | tuple[str, ...], BeforeValidator(parse_gpus)]


class _Model(BaseModel):
    # Strict: true and "16" are not numbers, and 16.0 is not a whole one. A list of YAML may still be a tuple.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Condition:
    """Marks a field that can change the outcome of a run: results are kept under it (see ``harness.tournament.conditions``).

    Attributes:
        limit: The field of ``sandbox.base.Limits`` that it sets.
        always: Whether it is in every key. One that came after version 0.1.0 is left out at its default, so that older results
            keep their keys.
    """

    limit: str | None = None
    always: bool = True


_Epsilon = Annotated[int, Field(ge=0, le=255)]
#: What is too large for the images is refused where their size is known (``Dataset.batches``).
_Bound = Annotated[int, Field(ge=1, le=1 << 31)]


class _LinfBounds(_Model):
    bounds: tuple[_Epsilon, ...] = Field(strict=False, min_length=1, max_length=1000)


class _Bounds(_Model):
    bounds: tuple[_Bound, ...] = Field(strict=False, min_length=1, max_length=1000)


class _NoBounds(_Model):
    pass


class Threats(_Model):
    """What attacks may change; one that is not given is not part of the contest."""

    linf: _LinfBounds | None = None
    l2: _Bounds | None = None
    patch: _Bounds | None = None
    unrestricted: _NoBounds | None = None

    @model_validator(mode="before")
    @classmethod
    def _some(cls, given: object) -> object:
        if isinstance(given, dict):
            if not given:
                message = f"it names no threat; name at least one of {', '.join(Threat)}"
                raise ValueError(message)
            # An empty one would allow no threat at all.
            for name in (name for name, value in given.items() if name in list(Threat) and value is None):
                message = f"{name} says nothing; write {name}: {'{}' if name == Threat.UNRESTRICTED else '{bounds: [...]}'}"
                raise ValueError(message)
        return given

    @model_serializer(mode="wrap")
    def _given(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in whole(self).items() if value is not None}


class Rejection(_Model):
    """A defense may answer -1, "adversarial, no class"."""

    max_clean: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.05


class Query(_Model):
    """What query attacks are given."""

    budget: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    answers: Literal["labels", "scores"] = "labels"


def _access(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    for name in value:
        if name == Access.BLACK_BOX:
            message = "black_box attacks take part in every round; leave it out"
            raise ValueError(message)
        if name not in list(DUELS):
            message = f"{str(name)[:60]!a} is not one of {', '.join(DUELS)}"
            raise ValueError(message)
        if list(value).count(name) > 1:
            message = f"{name} is named twice; name it once"
            raise ValueError(message)
    return tuple(Access(name) for name in value)


class Rules(_Model):
    """Rules that affect scores."""

    batch_size: int = Field(100, ge=1, le=1000, description="Clean images in one batch; 2017 used 100.")
    max_epsilon: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        (16,), strict=False, min_length=1, max_length=1000,
        description="L-infinity bounds in 0..255; batch k gets max_epsilon[k mod length]. The short form of threats.linf.")
    threats: Threats | None = Field(
        None, description="What attacks may change, instead of max_epsilon, as in `{linf: {bounds: [4, 8]}, l2: {bounds: [256]}, "
        "patch: {bounds: [48]}, unrestricted: {}}`; batch k gets bounds[k mod length] of each. null: linf with max_epsilon.")
    time_limit_s: Annotated[float, Condition(limit="time_limit_s")] = Field(
        500.0, ge=0.01, le=_WEEK_S, description="Wall clock of one run, seconds, from the container's start.")
    mixed_batches: bool = Field(
        default=False, description="Mix the adversarial images of several attacks in each defense run, so that a batch "
        "reveals nothing about its attack.")
    audit: float = Field(
        0.0, ge=0, le=1, description="Share of served runs repeated in fresh containers and compared; at least four of each "
        "program.")

    rejection: Rejection | None = Field(
        None, description="`{max_clean: 0.05}` lets a defense answer -1 for an image that it takes for adversarial. That counts as "
        "correct on adversarial images if it rejects at most this share of the clean ones, else as wrong. null: -1 is a label "
        "that no image has.")
    access: Annotated[tuple[Access, ...], BeforeValidator(_access)] = Field(
        (), description="What attacks may know of a defense that they meet alone, in duels: a list of grey_box (a directory of "
        "its code), white_box (all of its code) and query (its answers). Empty: no attack meets a defense alone.")
    query: Query | None = Field(
        None, description="`{budget: 1000, answers: labels}` sets a query attack's number of queries for each image, and the "
        "answers: labels, or scores (of all classes, besides the label). null: those values.")

    @model_validator(mode="after")
    def _queries_that_somebody_asks(self) -> Self:
        if self.query is not None and Access.QUERY not in self.access:
            message = "query is set, but access does not name query; name it there, or leave this out"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.threats is not None and "max_epsilon" in self.model_fields_set:
            message = "max_epsilon is the short form of threats.linf; write one of the two, max_epsilon or threats"
            raise ValueError(message)
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        values: dict[str, object] = whole(self)
        # Rules without what came later are kept as version 0.1.0 kept them.
        del values["threats" if self.threats is None else "max_epsilon"]
        for name in ("rejection", "access", "query"):
            if not getattr(self, name):
                del values[name]
        return values

    @property
    def bounds(self) -> Mapping[Threat, tuple[int, ...]]:
        """The threats of the contest, each with its bounds, in the order of ``Threat``."""
        if self.threats is None:
            return {Threat.LINF: self.max_epsilon}
        given = {threat: getattr(self.threats, threat) for threat in Threat}
        # 255 is how far a pixel can change; attacks get it all the same.
        return {threat: getattr(held, "bounds", (255,)) for threat, held in given.items() if held is not None}

    @property
    def queries(self) -> Query:
        """What query attacks are given."""
        return self.query or Query()

    @classmethod
    def stored(cls, text: str) -> Rules:
        """The rules of a round, as they were kept with it.

        Raises:
            StoreError: An earlier version kept something that cannot be read back, such as a time limit without end.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise StoreError(f"The rules kept with a round cannot be used: `{field}` has no value that is possible today.",
                             "Start another round, or another state directory.") from None


class SandboxConfig(_Model):
    """Sandbox limits."""

    backend: Literal["auto", "docker", "process"] = Field(
        "auto", description="docker isolates; process does not (for your own programs); auto: docker if an engine "
        "answers, else process.")
    isolation: Literal["run", "submission"] = Field(
        "run", description="run: a fresh container for every run; submission: one container serves many batches.")
    cpus: Annotated[float, Condition(limit="cpus")] = Field(1.0, ge=0.01, le=_MOST_CPUS, description="CPU cores of one run.")
    memory: Annotated[Memory, Condition(limit="memory_bytes")] = Field(4 << 30, description="Memory of one run, swap included.")
    shm: Annotated[Bytes, Condition(limit="shm_bytes")] = Field(1 << 30, description="Size of /dev/shm.")
    tmp: Annotated[Bytes, Condition(limit="tmp_bytes")] = Field(1 << 30, description="Size of /tmp.")
    pids: Annotated[int, Condition(limit="pids")] = Field(512, ge=1, le=1 << 22, description="Processes and threads of one run.")
    output: Annotated[Bytes, Condition(limit="output_bytes")] = Field(
        512 << 20, description="Bytes that one run may write as output.")
    layer: Annotated[Bytes, Condition(limit="layer_bytes")] = Field(
        4 << 30, description="Bytes that one run may write elsewhere in its container.")
    start_limit_s: Annotated[float, Condition(limit="start_limit_s", always=False)] = Field(
        120.0, ge=0.01, le=_WEEK_S, description="Seconds until a served program must be ready.")
    images: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        None, description="Images that directories may name as `container`, as patterns like python:3.*-slim; what matches and "
        "is not on this host is pulled at submit. null: the base images, and what is on the host under a name.")
    runtime: Annotated[str | None, Condition()] = Field(
        None, min_length=1, max_length=100, description="Docker runtime, such as runsc or kata; null for the engine's default.")


class Require(_Model):
    """What a machine must have to take part."""

    gpu: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")] | None = Field(
        None, description="Use only GPUs that have these words in their name, such as H100; machines without are not used.")


class Workers(_Model):
    """Where runs execute."""

    engine: Literal["local", "ray"] = Field(
        "local", description="local: this machine; ray: every machine of a Ray cluster (docs/cluster.md; needs harness[ray]).")
    address: Annotated[str, Field(pattern=r"^(auto|[A-Za-z0-9.-]{1,253}:[0-9]{1,5})$")] = Field(
        "auto", description="With engine: ray: the head's host:port; auto: the cluster that this machine belongs to.")
    slots: Annotated[int, Field(ge=1, le=MOST_SLOTS)] | Literal["auto"] = Field(
        "auto", description="Concurrent runs on a machine; auto: CPU cores / sandbox.cpus.")
    gpus: Gpus = Field(
        "auto", description="GPUs to use: auto (all found), none, or a list of indices or UUIDs.")
    require: Require = Field(Require(), description="What a machine must have to take part.")
    slots_per_gpu: int = Field(1, ge=1, le=100, description="Concurrent runs on one GPU.")
    session_memory: Memory | Literal["auto"] = Field(
        "auto", description="Memory for programs kept open with isolation: submission; auto: 70 % of what is free.")


class StoreConfig(_Model):
    """Where things are kept beside the state directory."""

    artifacts: Annotated[str, AfterValidator(_place_of_artifacts)] | None = Field(
        None, description="Where adversarial images are kept: file:DIRECTORY, or an object store such as s3://bucket/contest "
        "(needs harness[cluster]). null: in the state directory.")


class TournamentConfig(_Model):
    """The whole of ``tournament.yaml``."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="Name of the tournament.")
    dataset: Directory = Field(strict=False, description="Directory of the data set.")
    submissions: tuple[Annotated[str, BeforeValidator(_path)], ...] = Field(
        (), strict=False, description="Globs of submission directories or archives.")
    rules: Rules = Rules()
    sandbox: SandboxConfig = SandboxConfig()
    workers: Workers = Workers()
    store: StoreConfig = StoreConfig()
    images: dict[ImageName, ImageName] = Field(
        {}, description="Images that authors name, as patterns, and the image of this host to run instead, as in "
        "`pytorch/pytorch*: localhost/harness-compat-torch:1`; the first that matches holds.")
    state: Directory = Field(Path(".tournament"), strict=False, description="Directory of everything the harness keeps.")

    @property
    def stand_ins(self) -> tuple[tuple[str, str], ...]:
        """The replacements for images that authors name, in the file's order."""
        return tuple(self.images.items())

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
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", "Name the tournament file with --config.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read: {reason}.") from None
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {_MAX_FILE_BYTES} bytes.", "Name the tournament file with --config.")
    try:
        document = read_yaml(data)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.", "Correct that file.") from None
    try:
        config = TournamentConfig.model_validate(document.values)
    except ValidationError as error:
        raise _explain(path, error, document) from None
    base = path.resolve().parent
    store = config.store
    if store.artifacts is not None and store.artifacts.startswith("file:"):
        store = store.model_copy(update={"artifacts": f"file:{base / store.artifacts.removeprefix('file:')}"})
    # The directory is no part of the person's pattern, whatever characters it has.
    submissions = tuple(pattern if pattern.startswith("/") else f"{glob.escape(str(base))}/{pattern}"
                        for pattern in config.submissions)
    return config.model_copy(update={
        "store": store, "dataset": base / config.dataset, "state": base / config.state, "submissions": submissions})


def _explain(path: Path, error: ValidationError, document: Document) -> ConfigError:
    errors = error.errors(include_url=False, include_context=True)
    # A misspelt field is reported before the missing one that it should have been.
    first = min(errors, key=lambda found: found["type"] != "extra_forbidden")
    place = first["loc"] if first["type"] == "extra_forbidden" else _place(first["loc"])
    where = ".".join(ascii(part)[1:-1] if isinstance(part, str) else str(part) for part in place)
    line = document.line(place) if first["type"] != "missing" else None
    there = f"{path}: " if line is None else f"{path}: line {line}: "
    if first["type"] != "extra_forbidden":
        found = [each for each in errors if _place(each["loc"]) == place]
        step = f"Add {where} to it." if first["type"] == "missing" else f"Correct {where}."
        return ConfigError(f"{there}field {where}: {explain(found, document.texts, place)}.", step)
    known = _fields_at(first["loc"][:-1])
    close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.0)
    return ConfigError(f"{there}unknown field {where}.", f"Did you mean {close[0]}?" if close else "")


def _place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The part of pydantic's location that a person wrote: without the member of a union that did not match."""
    model: Any = TournamentConfig
    for depth, part in enumerate(location):
        fields = getattr(model, "model_fields", None)
        if fields is None:
            # An item of a list is a place; a member of a union is none.
            return location[: depth + isinstance(part, int)]
        model = _alone(fields[str(part)].annotation) if str(part) in fields else None
    return location


def _alone(annotation: Any) -> Any:  # noqa: ANN401 - what a field is annotated with
    """The model of a part that may be null."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if len(members) == 1 and NoneType in get_args(annotation) else annotation


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = TournamentConfig
    for part in location:
        model = _alone(model.model_fields[str(part)].annotation)
    return list(model.model_fields)
