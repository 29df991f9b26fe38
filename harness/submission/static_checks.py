"""What can be checked of a submission without running it: every problem at once, in the order of reading.

Running it on a real batch is the other half (``tournament/dry_run.py``). Nothing is executed and nothing outside of the source is
read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.submission import archive, code_tree
from harness.submission.entry_file import crlf_problem, first_bytes, host_architecture, start_problems
from harness.submission.load import ImageInfo, entry_point_alone, kind_of, load, read_metadata_file, unpack
from harness.submission.metadata import name_problem
from harness.submission.problems import Problem

__all__ = ["Problem", "check", "check_directory"]

ImageLookUp = Callable[[str], ImageInfo]

#: Code is copied for every run; above this a run's start is dominated by it.
LARGE_BYTES = 4 << 30


def check(source: str | Path, *, type: str | None = None, image_info: ImageLookUp | None = None,  # noqa: A002
          base_info: ImageLookUp | None = None, unpack: Callable[[Path], Path] = unpack,
          without_gpu: list[Problem] | None = None) -> list[Problem]:
    """Every problem of a directory, archive or image that can be seen without running it; never raises for what it holds.

    Args:
        source: As for ``submission.load``.
        type: The track, for an image without the label ``harness.type``.
        image_info: Looks a Docker image up; None where no engine is available, and then images are not looked for.
        base_info: The same for what a directory names.
        without_gpu: Where no run will have a GPU: what is wrong with ``container_gpu``, which costs nothing then, is put here.
        unpack: Instead of ``submission.unpack``, for one who goes on with the unpacked archive.
    """
    path = Path(source)
    try:
        kind = kind_of(path)
        if kind == "directory":
            return check_directory(path, base_info, own_name=path.resolve().name, without_gpu=without_gpu)
        if kind == "archive":
            return check_directory(unpack(path), base_info, own_name=archive.bare_name(path), without_gpu=without_gpu)
        loaded = load(source, type=type, image_info=image_info)
    except HarnessError as error:
        return [Problem(code_tree.shown(source), error.problem, error.next_step)]
    return _architecture(image_info, loaded.container, str(source))


def check_directory(root: Path, image_info: ImageLookUp | None = None, *, own_name: str | None = None,
                    without_gpu: list[Problem] | None = None) -> list[Problem]:
    """As ``check``, for the root of a submission.

    Args:
        root: Where metadata.json lies.
        image_info: As for ``check``.
        own_name: What the submission is called where its metadata do not say.
        without_gpu: As for ``check``.
    """
    metadata, problems = read_metadata_file(root)
    if own_name is not None and metadata is not None and metadata.name is None:
        problem = name_problem(own_name)
        problems += [problem] if problem is not None else []
    # Also where other fields are wrong: the author wants all of it.
    entry_point = metadata.entry_point if metadata is not None else entry_point_alone(root)
    lent = metadata is None or metadata.profile != "strict"
    problems += start_problems(root, entry_point, lent=lent) if entry_point else []
    problems += _content(root)
    if metadata is not None and image_info is not None:
        problems += _image(image_info, metadata.container, "container")
        if metadata.container_gpu is not None:
            (problems if without_gpu is None else without_gpu).extend(_image(image_info, metadata.container_gpu, "container_gpu"))
    return problems


def _content(root: Path) -> list[Problem]:
    """The files as such: what cannot be copied, what is too large, scripts written on Windows."""
    try:
        nodes = code_tree.walk(root)
    except HarnessError as error:
        return [Problem(code_tree.shown(root), error.problem, error.next_step)]
    found = [crlf_problem(first_bytes(root, node.path), code_tree.shown(node.path)) for node in nodes if node.kind == "file"]
    problems = [problem for problem in found if problem is not None]
    total = sum(node.size for node in nodes)
    if total > LARGE_BYTES:
        sentence = f"it holds {total / (1 << 30):.1f} GiB, which every run has to copy."
        problems.append(Problem(str(root), sentence, "Put what never changes into the Docker image."))
    return problems


def _image(image_info: ImageLookUp, reference: str, field: str) -> list[Problem]:
    try:
        return _architecture(image_info, reference, field)
    except HarnessError as error:
        return [Problem(field, error.problem, error.next_step)]


def _architecture(image_info: ImageLookUp | None, reference: str, where: str) -> list[Problem]:
    if image_info is None:
        return []
    made_for = image_info(reference).arch
    if not made_for or made_for == host_architecture():
        return []
    sentence = f"the image {reference} is for {made_for}, and this host is {host_architecture()}."
    return [Problem(where, sentence, f"Build or name an image for {host_architecture()}.")]
