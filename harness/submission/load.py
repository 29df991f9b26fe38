"""A directory, an archive or a Docker image as a ``Submission``, pinned by the digest of its content.

The same content is the same submission, whether it came as a directory or as an archive, and whatever it is called. This module
talks to no Docker engine: who calls it says how to look an image up.
"""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from harness.errors import HarnessError, SubmissionError
from harness.submission import archive, code_tree
from harness.submission.metadata import (
    MAX_BYTES,
    PROFILES,
    Metadata,
    Profile,
    access_problem,
    misspelt,
    name_problem,
    read_entry_point,
    read_metadata,
    text_problem,
    threat_problem,
)
from harness.submission.misplaced import close_by, without_metadata
from harness.submission.problems import Problem, raise_all
from harness.tracks import TRACKS, Access, Threat, labels

METADATA = "metadata.json"
#: The file of a defense that attacks may read (`harness.sdk.target`).
WHITE_BOX = "whitebox.py"
#: What the name of an image is made of, beside its registry and tag.
_NAME_PART = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


@dataclass(frozen=True)
class ImageInfo:
    """What a Docker engine says about an image.

    Attributes:
        id: Content id, ``sha256:`` and 64 hex digits.
        labels: The image's labels.
        arch: Architecture as Docker names it (``amd64``, ``arm64``).
    """

    id: str
    labels: Mapping[str, str]
    arch: str


@dataclass(frozen=True)
class Submission:
    """A program of the tournament.

    Attributes:
        name: Unique in the tournament.
        type: Its track.
        team: Who made it, or None.
        baseline: Whether ranks show it as a baseline.
        digest: Of its content (hex).
        kind: What it was given as.
        container: The Docker image that it names, or, for an image, its content id.
        container_gpu: The image for hosts with a GPU, or None for ``container``.
        entry_point: Path relative to ``code_dir``, None for an image.
        profile: Which sandbox profile it asks for.
        serves: Whether it speaks the serving protocol.
        threat: What an attack may change.
        access: What an attack may know of its opponents.
        base: The directory of a defense that is shown to grey-box attacks, empty where it has none.
        open_to: The duels that a defense can be an opponent in, in the order of ``Access``.
        code_dir: Its code, None for an image. Of an archive, a temporary directory until ``freeze``.
        said: Which of ``team`` and ``baseline`` the organiser said; all else is its author's word.
    """

    name: str
    type: str
    team: str | None
    baseline: bool
    digest: str
    kind: Literal["directory", "archive", "image"]
    container: str
    container_gpu: str | None
    entry_point: str | None
    profile: Profile
    serves: bool
    code_dir: Path | None
    said: frozenset[str] = frozenset()
    threat: Threat = Threat.LINF
    access: Access = Access.BLACK_BOX
    base: str = ""
    open_to: tuple[Access, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """What the command line says besides the source."""

    name: str | None
    type: str | None
    team: str | None
    baseline: bool | None

    @property
    def said(self) -> frozenset[str]:
        return frozenset(field for field in ("team", "baseline") if getattr(self, field) is not None)

    def problems(self) -> list[Problem]:
        found = [
            name_problem(self.name, "--name") if self.name is not None else None,
            text_problem(self.team, "--team") if self.team is not None else None,
        ]
        if self.type is not None and self.type not in TRACKS:
            sentence = f"{self.type[:80]!a} is not one of {', '.join(TRACKS)}."
            found.append(Problem("--type", sentence, "Correct --type."))
        return [problem for problem in found if problem is not None]


def unpack(path: Path) -> Path:
    """An archive's root directory in a temporary place that goes when the process ends.

    Raises:
        SubmissionError: Not an archive, or one that must not be unpacked.
    """
    place = Path(tempfile.mkdtemp(prefix="harness-submission-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return archive.unpack(path, place / "code")


def load(
    source: str | Path,
    *,
    name: str | None = None,
    type: str | None = None,  # noqa: A002 - the field's name, in metadata.json and on the command line
    team: str | None = None,
    baseline: bool | None = None,
    image_info: Callable[[str], ImageInfo] | None = None,
    unpack: Callable[[Path], Path] = unpack,
) -> Submission:
    """The submission that a source holds.

    Args:
        source: A directory, a ``.zip``, ``.tar`` or ``.tar.gz``; what is none of them is taken as a Docker image.
        name: Instead of the metadata's, else of the directory's, file's or image's own name.
        type: The track, for an image without the label ``harness.type``.
        team: Instead of the metadata's.
        baseline: Instead of the metadata's.
        image_info: Looks a Docker image up (and pulls it); None where no engine is available.
        unpack: Instead of ``unpack``, for one who has the archive unpacked.

    Raises:
        SubmissionError: It is not there or cannot be used; names every problem of its metadata.
    """
    asked = _Asked(name, type, team, baseline)
    raise_all(asked.problems(), str(source))
    path = Path(source)
    kind = kind_of(path)
    if kind == "directory":
        return _from_directory(path, path.resolve().name, asked, "directory")
    if kind == "archive":
        root = unpack(path)
        return _from_directory(root, archive.bare_name(path), asked, "archive")
    return _from_image(str(source), asked, image_info)


def kind_of(path: Path) -> Literal["directory", "archive", "absent"]:
    """What lies at a path.

    Raises:
        SubmissionError: A pipe, a socket, a device, or a link in a circle.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - of a path that may be none
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.EACCES):
            raise SubmissionError(f"{code_tree.shown(path)} cannot be read ({error.strerror}).", "Correct the path.") from None
        return "absent"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISREG(mode):
        return "archive"
    raise SubmissionError(f"{code_tree.shown(path)} is neither a directory nor a file.",
                          "Name a directory, a .zip, .tar or .tar.gz.")


def read_metadata_file(root: Path) -> tuple[Metadata | None, list[Problem]]:
    """``metadata.json`` of a directory: the metadata, or None and every problem."""
    try:
        return read_metadata(_metadata_bytes(root))
    except OSError as error:
        misplaced = without_metadata(root) if error.errno == errno.ENOENT else None
        if misplaced is not None:
            return None, [misplaced]
        sentence = f"it cannot be read ({error.strerror})."
        return None, [Problem(METADATA, sentence, "Write metadata.json with type, container and entry_point.")]


def entry_point_alone(root: Path) -> str | None:
    """The entry point of a metadata.json that has other faults, where it is usable by itself."""
    try:
        return read_entry_point(_metadata_bytes(root))
    except OSError:
        return None


def misspelt_fields(root: Path) -> dict[str, str]:
    """Unknown fields of its metadata.json, each with the known one that was probably meant."""
    try:
        return misspelt(_metadata_bytes(root))
    except OSError:
        return {}


def _metadata_bytes(root: Path) -> bytes:
    with code_tree.open_inside(root, METADATA) as file:
        return file.read(MAX_BYTES + 1)


def freeze(submission: Submission, submissions_dir: Path) -> Submission:
    """The same submission with its code copied, read-only, to ``submissions_dir/<digest>``; an image stays as it is.

    Raises:
        SubmissionError: The code changed since it was loaded, or cannot be copied.
    """
    if submission.code_dir is None:
        return submission
    place = submissions_dir / submission.digest
    try:
        # An author who changes a line of metadata.json brings the same gigabytes of weights again.
        kept = code_tree.keep(submission.code_dir, place, submission.digest, apart=METADATA)
    except OSError as error:
        problem = f"The code of {submission.name} cannot be copied to {place} ({error.strerror})."
        raise SubmissionError(problem, "Free some space, or make the state directory writable.") from error
    if not kept:
        raise SubmissionError(f"The code of {submission.name} changed while it was read.", "Submit it again.")
    return replace(submission, code_dir=place)


def _from_directory(root: Path, own_name: str, asked: _Asked, kind: Literal["directory", "archive"]) -> Submission:
    metadata, problems = read_metadata_file(root)
    name = asked.name or (metadata and metadata.name) or own_name
    if metadata and not metadata.name and (problem := name_problem(name)):
        problems.append(problem)
    if metadata and asked.type is not None and asked.type != metadata.type:
        sentence = f"metadata.json says {metadata.type}, --type says {asked.type}."
        problems.append(Problem("type", sentence, "Leave --type out, or correct metadata.json."))
    nodes = code_tree.walk(root) if metadata and not problems else ()
    if metadata and metadata.base is not None and nodes and not any(n.path.startswith(f"{metadata.base}/") for n in nodes):
        problems.append(Problem("base", f"there is no directory {code_tree.shown(metadata.base)} in it, or an empty one.",
                                "Name the directory of the classifier that the defense protects."))
    raise_all(problems, str(root) if kind == "directory" else own_name)
    metadata = cast("Metadata", metadata)
    return Submission(
        name=name,
        type=metadata.type,
        team=asked.team if asked.team is not None else metadata.team,
        baseline=metadata.baseline if asked.baseline is None else asked.baseline,
        digest=code_tree.digest(root),
        kind=kind,
        container=metadata.container,
        container_gpu=metadata.container_gpu,
        entry_point=metadata.entry_point,
        profile=metadata.profile or "legacy",
        serves=metadata.serves,
        code_dir=root,
        said=asked.said,
        threat=metadata.threat,
        access=metadata.access,
        base=metadata.base or "",
        open_to=_open_to(metadata, nodes),
    )


def _open_to(metadata: Metadata, nodes: Sequence[code_tree.Node]) -> tuple[Access, ...]:
    """The duels that a directory can be an opponent in."""
    if not labels(metadata.type):
        return ()
    files = {node.path for node in nodes if node.kind == "file"}
    opens = {Access.GREY_BOX: metadata.base is not None and f"{metadata.base}/{WHITE_BOX}" in files,
             Access.WHITE_BOX: WHITE_BOX in files, Access.QUERY: metadata.serves}
    return tuple(access for access, is_open in opens.items() if is_open)


def _may_be_an_image(reference: str) -> bool:
    """Whether an image can have that name: lower case, no blank, no empty part; anything else is a path that is not there."""
    if reference.startswith((".", "/", "~")) or reference.endswith(archive.SUFFIXES):
        return False
    first, slash, rest = reference.partition("@")[0].partition("/")
    registry = slash and ("." in first or ":" in first or first == "localhost")
    place, colon, tag = (rest if registry else f"{first}{slash}{rest}").partition(":")
    named = all(part and _NAME_PART.issuperset(part) for part in place.split("/"))
    return named and (not colon or (bool(tag) and tag.isascii() and tag.isprintable() and not set(tag) & {" ", "/"}))


def _looked_up(reference: str, image_info: Callable[[str], ImageInfo] | None) -> ImageInfo:
    """The engine's facts about the image of that name."""
    if not _may_be_an_image(reference):
        near = close_by(reference)
        problem = f"The submission {reference[:200]!a} is not there." + (f" There is {near}." if near else "")
        raise SubmissionError(problem, "Name a directory, a .zip, .tar or .tar.gz, or a Docker image.")
    if image_info is None:
        near = close_by(reference)
        problem = f"{reference} is neither a directory nor an archive, and there is no Docker engine to look for an image."
        problem += f" There is {near}." if near else ""
        raise SubmissionError(problem, "Correct the path, or start the Docker engine.")
    try:
        return image_info(reference)
    except HarnessError as error:
        near = close_by(reference)
        if not near and (":" in reference or "@" in reference):
            raise  # a registry's port, a tag or a digest: nobody means a path
        # A mistyped directory must not only give messages about registries or an engine.
        problem = f"There is no path {reference}{f', but {near}' if near else ''}; and as an image: {error.problem}"
        step = f"Correct the path, or for an image: {error.next_step}"
        raise (SubmissionError if near else type(error))(problem, step) from error


def _from_image(reference: str, asked: _Asked, image_info: Callable[[str], ImageInfo] | None) -> Submission:
    info = _looked_up(reference, image_info)
    said = info.labels
    own_name = reference.split("@", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1].split(":", maxsplit=1)[0]
    kind = asked.type or said.get("harness.type", "")
    name = asked.name or said.get("harness.name") or own_name
    if name == "sha256":
        raise SubmissionError(f"The image {reference} is given by its id, which is not a name.", "Give a name with --name.")
    team = asked.team or said.get("harness.team")
    profile = said.get("harness.profile", "strict")
    serves = said.get("harness.protocol") == "serve"
    threat, access = said.get("harness.threat") or Threat.LINF, said.get("harness.access") or Access.BLACK_BOX
    problems = [
        name_problem(name),
        text_problem(team, "harness.team") if team is not None else None,
        threat_problem(threat, kind, "harness.threat") if "harness.threat" in said else None,
        access_problem(access, kind, "harness.access", serves=serves) if "harness.access" in said else None,
    ]
    if kind not in TRACKS:
        sentence = "the image has no `harness.type` label." if not kind else f"{kind[:80]!a} is not one of {', '.join(TRACKS)}."
        problems.append(Problem("harness.type", sentence, f"Give --type, one of {', '.join(TRACKS)}."))
    if profile not in PROFILES:
        sentence = f"{profile[:80]!a} is not one of {', '.join(PROFILES)}."
        problems.append(Problem("harness.profile", sentence, "Correct the image's label."))
    raise_all([problem for problem in problems if problem is not None], reference)
    # The track is not part of the image's content: one image may be submitted as an attack and as a targeted attack.
    content = hashlib.sha256(f"harness image 1\0{info.id}\0{kind}\0{profile}\0{serves}".encode())
    if threat != Threat.LINF:
        content.update(f"\0{threat}".encode())
    if access != Access.BLACK_BOX:
        content.update(f"\0access {access}".encode())
    return Submission(
        name=name,
        type=kind,
        team=team,
        baseline=bool(asked.baseline),
        digest=content.hexdigest(),
        kind="image",
        container=info.id,
        container_gpu=None,
        entry_point=None,
        profile=cast("Profile", profile),
        serves=serves,
        code_dir=None,
        said=asked.said,
        threat=Threat(threat),
        access=Access(access),
        open_to=(Access.QUERY,) if serves and labels(kind) else (),
    )
