"""Programs that serve, and abuse the protocol."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Count, Row, Track, one_of

_OK, _TIME, _NONZERO = Outcome.OK, Outcome.TIME_LIMIT, Outcome.EXITED_NONZERO


def _serves(name: str, tries: str, *outcomes: Outcome, usable: Count = "all", track: Track = "attack", **more: object) -> Row:
    return Row(name, tries, one_of(*outcomes), usable, track=track, serves=True, process=True, **more)  # type: ignore[arg-type]


ROWS = (
    _serves("serves-well", "serves as it should (a control)", _OK, track="defense", check="all_right"),
    _serves("serves-answers-before-it-is-asked", "answers a batch before it is asked for one", _NONZERO, usable="none"),
    _serves("serves-for-another-batch", "answers for another batch than it was asked for", _NONZERO, usable="any"),
    _serves("serves-the-next-batch-in-advance", "answers each batch twice", _OK, _NONZERO, usable="any", track="defense"),
    _serves("serves-and-never-says-ready", "says ready in every way but the right one", _TIME, usable="none"),
    _serves("serves-and-stops-answering", "works and never answers", _TIME),
    _serves("serves-an-endless-line", "answers with a line that never ends", _TIME, check="logs_bounded"),
    _serves("serves-a-flood-of-braces", "prints lines that begin like answers without end", _TIME, usable="none",
            check="logs_bounded"),
    _serves("serves-what-looks-like-answers", "prints half answers without end", _NONZERO, usable="none", check="logs_bounded"),
    _serves("serves-nested-lines", "prints deeply nested and broken lines before its answer", _OK),
    _serves("serves-and-reports-an-error", "reports an error of 30,000 characters", _NONZERO, usable="none"),
    _serves("serves-and-dies", "exits with 0 instead of an answer", _NONZERO, usable="none"),
    _serves("serves-and-leaves-after-its-answer", "answers behind a flood and is gone before its answer is read", _OK),
    _serves("serves-and-writes-on", "spoils its labels after it has answered", _OK, track="defense", check="all_right"),
    _serves("serves-a-link-for-its-output", "puts a link to its input in the place of its output", Outcome.NO_OUTPUT,
            usable="none"),
    Row("serves-and-works-while-it-starts", "exits in the middle of a batch, and works on it while it is restarted",
        one_of(_OK), track="defense", serves=True, hunts=True),
    Row("serves-batches-of-others", "looks for other batches beside its own", one_of(_OK), track="defense", serves=True,
        hunts=True),
)
