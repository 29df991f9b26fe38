"""The submissions that a tournament file names: found by its globs and loaded, by source."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.config import TournamentConfig
from harness.errors import SubmissionError
from harness.submission.archive import bare_name
from harness.submission.load import Submission, read_metadata_file
from harness.submission.load import load as load_submission
from harness.submission.metadata import fold

#: Is told of a source that is left out, and why.
LeftOut = Callable[[str, SubmissionError], None]


def load_configured(config: TournamentConfig, left_out: LeftOut | None = None) -> dict[str, Submission]:
    """What the globs of the tournament file name, by source; nothing is written.

    Args:
        config: The tournament file.
        left_out: Is told of each that cannot be used and that only a glob names; where None, it is an error. One broken
            directory among a hundred shall not end a contest; one that is named by itself is missed.

    Raises:
        SubmissionError: A glob matches nothing, two have one name or one content, or one cannot be used.
    """
    loaded: dict[str, Submission] = {}
    known: dict[str, str] = {}
    for source in _sources(config):
        with leaving_out(config, source, left_out):
            loaded[source] = load_submission(source)
    for source, submission in loaded.items():
        name = fold(submission.name)
        if name in known:
            raise SubmissionError(f"{known[name]} and {source} are both named {submission.name}.",
                                  "Give one of them another `name` in its metadata.json.")
        if submission.digest in known:
            raise SubmissionError(f"{known[submission.digest]} and {source} have the same content.",
                                  "Change the content of one of them, or leave it out.")
        known[name] = known[submission.digest] = source
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


@contextmanager
def leaving_out(config: TournamentConfig, source: str, left_out: LeftOut | None) -> Iterator[None]:
    """Report what cannot be used and goes on, where only a glob names it."""
    try:
        yield
    except SubmissionError as error:
        if left_out is None or source in _named(config):
            raise
        left_out(source, error)


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
