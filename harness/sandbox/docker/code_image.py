"""A 2017 directory as an image: base image plus its code at ``/code``, made once per submission.

A container made from it starts at once with its own disposable writable layer, however large the weights. Copying the code
into each new container would cost its size per run; binding the host's directory would make it either read-only, which breaks 2017
entries, or shared between runs, which the rules forbid.

Where nothing but metadata.json differs from a directory that has its image, the new one is that image with another metadata.json.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from docker import APIClient
from docker.errors import APIError, NotFound

from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox import owner
from harness.sandbox.base import Program
from harness.sandbox.docker import failures, images
from harness.sandbox.docker.client import ENGINE_FAILURES, explain
from harness.sandbox.image_rules import CODE_DEPTH, CODE_FILES, CODE_LABEL, CODE_REPOSITORY, CODE_TOURNAMENT
from harness.submission import code_tree
from harness.submission.load import METADATA

#: Longest chain of images made from each other, each earlier one removed: an engine supports some hundred layers.
_MOST_DEEP = 16


def ensure(api: APIClient, program: Program, base: images.ImageFacts, good: images.ImageFacts | None) -> images.ImageFacts:
    """The image of a directory on its base, made where it is not there yet.

    Args:
        api: The engine.
        program: What to put on the base.
        base: The image that the directory names.
        good: An image that has been seen to work; where the engine takes files into it, a failure is the submission's.

    Raises:
        ImageUnavailableError: The base hides ``/code`` behind a volume, or no image can be made on it.
        EngineError: The engine failed.
    """
    covered = [volume for volume in base.volumes if volume.rstrip("/") in {"", "/code"}]
    if covered:
        problem = f"The Docker image {program.image!r} declares a volume at {covered[0]!r}, where the code has to be."
        raise ImageUnavailableError(problem, "Name an image without it in metadata.json.")
    tag = program.rules.code_tag(program.digest, base.ident)
    name = f"{CODE_REPOSITORY}:{tag}"
    found = images.find(api, name)
    if found is None:
        try:
            _build(api, program, base, tag)
        except ENGINE_FAILURES as error:
            problem = f"The Docker engine failed to make an image of {program.digest[:12]} ({explain(error)})."
            if good is not None and not failures.says_the_host(explain(error)) and _takes_files(api, good):
                raise ImageUnavailableError(problem, "Name another image in metadata.json, or look at the files.") from error
            raise EngineError(problem, "Run `harness doctor`.") from error
        found = images.find(api, name)
    if found is None:
        problem = f"The image {name} was made, but is gone."
        raise EngineError(problem, "Run `harness doctor`.")
    return found


def of_tournament(api: APIClient, tournament: str | None) -> list[dict[str, Any]]:
    """The code images of one tournament, or of all."""
    wanted = [CODE_LABEL] if tournament is None else [CODE_LABEL, f"{CODE_TOURNAMENT}={tournament}"]
    return list(api.images(filters={"label": wanted}))


def remove(api: APIClient, digests: Collection[str] | None = None, tournament: str | None = None) -> list[str]:
    """Remove the code images of these submissions, or of all, in one tournament or in all; says what was removed."""
    removed = []
    for image in of_tournament(api, tournament):
        digest = (image.get("Labels") or {}).get(CODE_LABEL, "")
        if digests is not None and digest not in digests:
            continue
        # Without force where a container still uses it: that one's run goes on. By its name, because the engine refuses an id that
        # another image was made from; then the name goes, and the layers with the last that needs them.
        names = [name for name in image.get("RepoTags") or () if name.startswith(f"{CODE_REPOSITORY}:")]
        with contextlib.suppress(APIError):
            api.remove_image((names or [image["Id"]])[0])
            removed.append(f"code image of {digest[:12]}")
    return removed


def _takes_files(api: APIClient, good: images.ImageFacts) -> bool:
    """Whether the engine still does with a known good image what it failed to do."""
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("control"))
    try:
        ident = api.create_container_from_config({  # type: ignore[no-untyped-call]
            "Image": good.ident, "Entrypoint": ["/never-started"], "Cmd": [], "NetworkDisabled": True,
            "Labels": owner.labels_of({"builder": "1"})})["Id"]
        try:
            api.put_archive(ident, "/", spool.getvalue())
        finally:
            api.remove_container(ident, v=True, force=True)
    except ENGINE_FAILURES:
        return False
    return True


def _build(api: APIClient, program: Program, base: images.ImageFacts, tag: str) -> None:
    assert program.code_dir is not None  # noqa: S101 - the caller's promise, for the type checker
    files = _files_digest(program.code_dir, _lent_exec_bit(program))
    ours = {CODE_LABEL: program.digest, CODE_TOURNAMENT: program.rules.tournament, CODE_FILES: files}
    twin = _twin(api, program, base, files)
    if twin is not None:
        # It may be removed meanwhile.
        with contextlib.suppress(NotFound):
            _commit(api, str(twin["Id"]), program, [Path(METADATA)], tag, {**ours, CODE_DEPTH: str(_depth(twin) + 1)})
            return
    _commit(api, base.ident, program, _everything(program.code_dir), tag, {**ours, CODE_DEPTH: "0"})


def _commit(api: APIClient, origin: str, program: Program, paths: Iterable[Path], tag: str, ours: dict[str, str]) -> None:
    """Make an image of another one and these files of a directory."""
    assert program.code_dir is not None  # noqa: S101 - as above
    # An engine that goes away, or a kill, leaves this container behind: it has to be recognisable as ours. An image inherits its
    # container's labels, and must not: they are emptied, because they cannot be taken away.
    labels = owner.labels_of({"builder": "1"})
    ident = api.create_container_from_config({  # type: ignore[no-untyped-call]
        "Image": origin, "Entrypoint": ["/never-started"], "Cmd": [], "NetworkDisabled": True, "Labels": labels})["Id"]
    try:
        with tempfile.TemporaryFile() as spool:
            _write_tar(spool, program.code_dir, _lent_exec_bit(program), paths)
            spool.seek(0)
            api.put_archive(ident, "/", spool)
        api.commit(ident, repository=CODE_REPOSITORY, tag=tag, conf={"Labels": {**dict.fromkeys(labels, ""), **ours}})
    finally:
        # With v: an image with volumes has made anonymous ones.
        api.remove_container(ident, v=True, force=True)


def _lent_exec_bit(program: Program) -> str | None:
    """The file that gets an exec bit where it lacks it."""
    return program.entry_point if program.lends_exec_bit else None


def _files_digest(root: Path, lent: str | None) -> str:
    """A digest of all files but metadata.json, as they lie in the image."""
    nodes = [(node, content) for node, content in code_tree.listed(code_tree.contents(root)) if node.path != METADATA]
    return hashlib.sha256(repr((nodes, lent)).encode()).hexdigest()


def _twin(api: APIClient, program: Program, base: images.ImageFacts, files: str) -> Mapping[str, Any] | None:
    """A code image on the same base that differs in metadata.json at most: the one with the fewest layers."""
    assert program.code_dir is not None  # noqa: S101 - as above
    if not (program.code_dir / METADATA).is_file():
        return None  # in the other image there may be one
    found = [image for image in of_tournament(api, program.rules.tournament)
             if _is_ours(image, program, base, files) and _depth(image) < _MOST_DEEP]
    return min(found, key=_depth, default=None)


def _depth(image: Mapping[str, Any]) -> int:
    text = (image.get("Labels") or {}).get(CODE_DEPTH, "")
    return int(text) if text.isdecimal() else _MOST_DEEP


def _is_ours(image: Mapping[str, Any], program: Program, base: images.ImageFacts, files: str) -> bool:
    """Whether it has the files, and the one tag that only the harness knows: an image made from it by hand has its labels too."""
    labels = image.get("Labels") or {}
    tag = program.rules.code_tag(labels.get(CODE_LABEL, ""), base.ident)
    return labels.get(CODE_FILES) == files and f"{CODE_REPOSITORY}:{tag}" in (image.get("RepoTags") or ())


def _everything(root: Path) -> Iterator[Path]:
    """All below a directory, relative to it; first itself."""
    yield Path()
    for folder, names, files in os.walk(root):
        names.sort()
        yield from (Path(folder, name).relative_to(root) for name in sorted(names + files))


def _write_tar(target: IO[bytes], root: Path, lend: str | None, paths: Iterable[Path]) -> None:
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for inside in paths:
            _add(archive, str("code" / inside), root / inside, executable=lend is not None and inside == Path(lend))


def _add(archive: tarfile.TarFile, name: str, path: Path, *, executable: bool = False) -> None:
    """Add a file, directory or link as root's, without set-uid bits, times or anything else of the host."""
    facts = path.lstat()
    member = tarfile.TarInfo(name)
    # Readable for all: under the strict profile the program is not root.
    member.mode = 0o755 if executable or facts.st_mode & 0o111 or stat.S_ISDIR(facts.st_mode) else 0o644
    if stat.S_ISLNK(facts.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
        archive.addfile(member)
    elif stat.S_ISDIR(facts.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif stat.S_ISREG(facts.st_mode):
        with path.open("rb") as content:
            member.size = os.fstat(content.fileno()).st_size
            archive.addfile(member, content)
