"""The submissions that a tournament file names: found by its globs and loaded."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.config import TournamentConfig
from harness.errors import SubmissionError
from harness.submission.archive import bare_name
from harness.submission.load import Submission, read_metadata_file
from harness.submission.load import load as load_submission
from harness.submission.metadata import fold

#: Called with a source that is left out, and why.
LeftOut = Callable[[str, SubmissionError], None]


@dataclass(frozen=True)
class Configured:
    """A submission that the tournament file names.

    Attributes:
        source: Where it lies.
        submission: As loaded.
        by_itself: Whether the file names it without a wildcard: then it is never left out.
    """

    source: str
    submission: Submission
    by_itself: bool


def load_configured(config: TournamentConfig, left_out: LeftOut | None = None) -> list[Configured]:
    """What the globs of the tournament file name; nothing is written.

    Args:
        config: The tournament file.
        left_out: Called with each that cannot be used and that only a glob names; where None, it is an error. One broken directory
            among a hundred must not end a contest; one that is named by itself would be missed.

    Raises:
        SubmissionError: A glob matches nothing, two have one name or one content, or one cannot be used.
    """
    loaded: list[Configured] = []
    known: dict[str, str] = {}
    named = _named(config)
    for source in _sources(config):
        try:
            loaded.append(Configured(source, load_submission(source), source in named))
        except SubmissionError as error:
            if left_out is None or source in named:
                raise
            left_out(source, error)
    for each in loaded:
        name, digest = fold(each.submission.name), each.submission.digest
        if name in known:
            raise SubmissionError(f"{known[name]} and {each.source} are both named {each.submission.name}.",
                                  "Give one of them another `name` in its metadata.json.")
        if digest in known:
            raise SubmissionError(f"{known[digest]} and {each.source} have the same content.",
                                  "Change the content of one of them, or leave it out.")
        known[name] = known[digest] = each.source
    return loaded


def _sources(config: TournamentConfig) -> list[str]:
    """The paths that the tournament file names, each once."""
    found: dict[str, None] = {}
    for pattern in config.submissions:
        sources = sorted(path for path in glob.glob(pattern) if not Path(path).name.startswith("."))  # noqa: PTH207
        if not sources:
            raise SubmissionError(f"`submissions: {pattern}` in the tournament file matches nothing.",
                                  "Correct the path, or remove the line.")
        found |= dict.fromkeys(sources)
    return list(found)


def _named(config: TournamentConfig) -> set[str]:
    """The paths that the tournament file names by themselves, without wildcards."""
    plain = (re.sub(r"\[([*?[])\]", r"\1", pattern) for pattern in config.submissions
             if not glob.has_magic(re.sub(r"\[[*?[]\]", "", pattern)))
    return set(plain)


def configured_names(config: TournamentConfig) -> dict[str, str]:
    """Sources that the tournament file names, by the name each has without being unpacked."""
    names: dict[str, str] = {}
    for pattern in config.submissions:
        for source in glob.glob(pattern):  # noqa: PTH207
            path = Path(source)
            metadata = read_metadata_file(path)[0] if path.is_dir() else None
            own = path.name if path.is_dir() else bare_name(path)
            names[fold((metadata and metadata.name) or own)] = source
    return names
